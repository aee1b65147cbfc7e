# SPDX-License-Identifier: GPL-2.0
"""Kernel trees: from ``debian:``, ``deb:``, ``git:``, ``dir:`` or ``tar:`` to an unpacked source.

A tree lies in the cache under the digest of where it came from and is read-only from then on:
builds mount it, patched copies share its files by hardlink.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from rmaplab.build import harvest
from rmaplab.errors import BuildError, InfraError, UserError
from rmaplab.log import log
from rmaplab.model import Tree
from rmaplab.model.digest import digest_of
from rmaplab.source import debian, download, git, repository, snapshot, unpack
from rmaplab.source.repository import Repository
from rmaplab.store.cache import Cache, sha256_of

SCHEMES = (
    "debian:PACKAGE, deb:PATH, git:PATH_OR_URL#REF, dir:PATH, tar:PATH_OR_URL#sha256=HEX "
    "or deb:URL#sha256=HEX"
)
SECTION = "trees"
"""The section of the cache that trees are in."""
_IDENTITY = "identity.json"

Fetch = Callable[[], Tree]
"""Fetches and unpacks a tree if it is not in the cache. Raises InfraError if that fails."""


def fetch(spec: str, cache: Cache) -> Tree:
    """Return the tree that ``spec`` names, fetched and unpacked if it is not in the cache.

    Raises UserError on a spec that names nothing, InfraError if fetching fails.
    """
    return find(spec, cache)()


def find(spec: str, cache: Cache) -> Fetch:
    """Look for the tree that ``spec`` names and return what fetches it; nothing is fetched yet.

    Raises UserError on a spec that names nothing, as far as this host knows without a network.
    """
    scheme, colon, rest = spec.partition(":")
    finders = {"debian": _debian, "deb": _deb, "git": _git, "dir": _dir, "tar": _tar}
    if not colon or scheme not in finders or not rest or "\0" in spec:
        raise UserError(f"not a kernel tree: {spec!r}", hint=f"a tree is one of: {SCHEMES}")
    return finders[scheme](spec, rest, cache)


def cached(spec: str, entry: str, digest: str, cache: Cache) -> Tree | None:
    """Return a tree of an earlier run by its cache entry; None if the cache has it no longer.

    ``digest`` is that of the tree's content: a tree with another one is not it.
    """
    folder = cache.path(SECTION, entry)
    try:
        tree = _tree(spec, folder)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return tree if tree.digest == digest and tree.path.is_dir() else None


def entry_of(tree: Tree) -> str:
    """Return the name of a tree's entry in the cache."""
    return tree.path.parent.name


def _debian(spec: str, rest: str, cache: Cache) -> Fetch:
    wanted = debian.wanted(rest)

    def entry(found: debian.Found) -> str:
        return digest_of("debian", found.package, found.version)

    def fetched() -> Tree:
        found = debian.known(wanted, cache)
        if found is None or not cache.path(SECTION, entry(found)).is_dir():
            found = debian.look_up(wanted, cache)  # lists of another suite may have grown old
        return _tree(spec, cache.entry(SECTION, entry(found), lambda folder: make(found, folder)))

    def make(found: debian.Found, folder: Path) -> None:
        with log.step(f"fetching {found.package} {found.version} from Debian"):
            archive = debian.source_archive(found, cache)
        _unpack(archive, folder / "tree")
        _remember(folder, f"{found.package} {found.version}", sha256_of(archive))

    return fetched


def _deb(spec: str, rest: str, cache: Cache) -> Fetch:
    place, hash_sign, given = rest.partition("#")
    match = re.fullmatch(r"sha256=([0-9a-f]{64})", given)
    if match is None and (hash_sign or download.is_remote(place)):
        raise UserError(
            f"package without its sha256: {spec!r}",
            hint="write deb:URL#sha256=HEX, with the 64 hex digits of sha256sum",
        )
    path = None if download.is_remote(place) else Path(place).expanduser().resolve()
    if path is not None and not path.is_file():
        raise UserError(f"there is no package {path}")
    sha256 = match[1] if match else sha256_of(path) if path else ""
    key = digest_of("deb", sha256)

    def make(folder: Path) -> None:
        package = download.archive(place, sha256, cache)
        archive = debian.archive_of(package, f"deb-{sha256[:16]}", cache)
        _unpack(archive, folder / "tree")
        _remember(folder, f"{Path(place).name} sha256 {sha256}", sha256_of(archive))

    if path is not None:
        download.archive(place, sha256, cache)  # it is the one that is meant
    return lambda: _tree(spec, cache.entry(SECTION, key, make))


def _tar(spec: str, rest: str, cache: Cache) -> Fetch:
    place, _, given = rest.partition("#")
    match = re.fullmatch(r"sha256=([0-9a-f]{64})", given)
    if match is None:
        raise UserError(
            f"tar tree without its sha256: {spec!r}",
            hint="write tar:PATH_OR_URL#sha256=HEX, with the 64 hex digits of sha256sum",
        )
    sha256 = match[1]
    key = digest_of("tar", sha256)

    def make(folder: Path) -> None:
        archive = download.archive(place, sha256, cache)
        _unpack(archive, folder / "tree")
        _remember(folder, f"sha256 {sha256}", sha256)

    if not cache.path(SECTION, key).is_dir() and not download.is_remote(place):
        download.archive(place, sha256, cache)  # it is there, and is the one that is meant
    return lambda: _tree(spec, cache.entry(SECTION, key, make))


def _git(spec: str, rest: str, cache: Cache) -> Fetch:
    place, hash_sign, ref = rest.rpartition("#")
    if not hash_sign or not place or not ref or ref.startswith("-") or place.startswith("-"):
        raise UserError(f"not a git tree: {spec!r}", hint="write git:PATH_OR_URL#REF")
    local = place.removeprefix("file://")
    if "://" in local or re.match(r"[\w.-]+@", local):
        return lambda: _exported(spec, place, *_fetched_commit(place, ref, cache), cache)
    repo = Path(local).expanduser().resolve()
    if not repo.is_dir():
        raise UserError(f"{spec}: there is no folder {repo}")
    found = repository.find(repo)
    commit = found.commit(ref)
    return lambda: _exported(spec, place, found, commit, cache)


def _exported(spec: str, place: str, repo: Repository, commit: str, cache: Cache) -> Tree:
    def make(folder: Path) -> None:
        with log.step(f"exporting {commit[:12]} of {place}"):
            tree = repo.export(commit, folder)
        _remember(folder, f"commit {commit}", tree)

    # Entries without "checked" are of versions that believed what a repository had for a commit.
    return _tree(spec, cache.entry(SECTION, digest_of("git", "checked", commit), make))


def _fetched_commit(url: str, ref: str, cache: Cache) -> tuple[Repository, str]:
    """Return a bare repository in the cache that has the commit, and it, fetched shallowly."""
    name = f"git-{digest_of(url)}"
    place = cache.path("downloads", name)
    with cache.lock("downloads", name), log.step(f"fetching {ref} of {url}"):
        fetched = git.fetch(place, url, ref)
        if not fetched.ok:
            raise InfraError(
                f"git fetch of {ref!r} from {url} failed: {fetched.complaint}",
                hint="a commit has to be named by a branch or tag, or in full; of a repository "
                "that asks for a password make a clone, and name its folder",
            )
        found = repository.find(place)
        return found, found.commit("FETCH_HEAD")


def _dir(spec: str, rest: str, cache: Cache) -> Fetch:
    place = Path(rest).expanduser().resolve()
    if not (place / "Makefile").is_file():
        raise UserError(f"{spec}: {place} is no kernel tree: it has no Makefile")

    def take() -> Tree:
        folder = snapshot.take(place, cache, SECTION, _remember_content)
        return _tree(spec, folder)

    return take


def _remember_content(folder: Path, digest: str) -> None:
    _remember(folder, f"content {digest}", digest)


def _unpack(archive: Path, target: Path) -> None:
    with log.step(f"unpacking {archive.name}"):
        target.mkdir()
        unpack.archive(archive, target)
    if not harvest.is_file(target, "Makefile"):
        raise UserError(f"{archive} is no kernel tree: it has no Makefile at its top level")


def _remember(folder: Path, origin: str, content: str) -> None:
    """Write a tree's identity; ``content`` is a hash of its archive or of all its files."""
    version = kernel_version(folder / "tree" / "Makefile")
    identity = {"origin": origin, "version": version, "digest": content}
    (folder / _IDENTITY).write_text(json.dumps(identity), encoding="utf-8")


def _tree(spec: str, folder: Path) -> Tree:
    identity = json.loads((folder / _IDENTITY).read_text(encoding="utf-8"))
    return Tree(
        spec=spec,
        path=folder / "tree",
        version=identity["version"],
        origin=identity["origin"],
        digest=identity["digest"],
    )


def kernel_version(makefile: Path) -> str:
    """Return the version that a kernel's top Makefile states: ``6.12.117``, ``6.13.0-rc4``.

    Raises UserError if it is no file: a link or a pipe of a stranger's tree.
    """
    try:
        text = harvest.text(makefile.parent, makefile.name)
    except BuildError as error:
        raise UserError(f"{makefile.parent} is no kernel tree: {error.message}") from error
    found: dict[str, str] = dict(
        re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) *=[ \t]*(.*)$", text, re.M)
    )
    numbers = ".".join(
        found.get(k, "").strip() or "0" for k in ("VERSION", "PATCHLEVEL", "SUBLEVEL")
    )
    return numbers + found.get("EXTRAVERSION", "").strip()
