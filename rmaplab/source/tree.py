# SPDX-License-Identifier: GPL-2.0
"""Kernel trees: from ``debian:``, ``git:``, ``dir:`` or ``tar:`` to an unpacked source.

A tree lies in the cache under the digest of where it came from and is read-only from then on:
builds mount it, patched copies share its files by hardlink.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from rmaplab import proc
from rmaplab.errors import InfraError, UserError
from rmaplab.log import log
from rmaplab.model import Tree
from rmaplab.source import debian, download
from rmaplab.store.cache import Cache, digest_of, sha256_of

SCHEMES = "debian:PACKAGE, git:PATH_OR_URL#REF, dir:PATH, tar:PATH_OR_URL#sha256=HEX"
_IDENTITY = "identity.json"


def fetch(spec: str, cache: Cache) -> Tree:
    """The tree that ``spec`` names, fetched and unpacked if it is not in the cache.

    Raises UserError on a spec that names nothing, InfraError if fetching fails.
    """
    scheme, colon, rest = spec.partition(":")
    makers = {"debian": _debian, "git": _git, "dir": _dir, "tar": _tar}
    if not colon or scheme not in makers or not rest:
        raise UserError(f"not a kernel tree: {spec!r}", hint=f"a tree is one of: {SCHEMES}")
    return makers[scheme](spec, rest, cache)


def _debian(spec: str, package: str, cache: Cache) -> Tree:
    version = debian.candidate(package)
    key = digest_of("debian", package, version)

    def make(folder: Path) -> None:
        with log.step(f"fetching {package} {version} from Debian"):
            archive = debian.source_archive(package, version, cache)
        _unpack(archive, folder / "tree")
        _remember(folder, f"{package} {version}", sha256_of(archive))

    return _tree(spec, cache.entry("trees", key, make))


def _tar(spec: str, rest: str, cache: Cache) -> Tree:
    place, _, given = rest.partition("#")
    match = re.fullmatch(r"sha256=([0-9a-f]{64})", given)
    if match is None:
        raise UserError(
            f"tar tree without its sha256: {spec!r}",
            hint="write tar:PATH_OR_URL#sha256=HEX, with the 64 hex digits of sha256sum",
        )
    sha256 = match[1]

    def make(folder: Path) -> None:
        archive = download.archive(place, sha256, cache)
        _unpack(archive, folder / "tree")
        _remember(folder, f"sha256 {sha256}", sha256)

    return _tree(spec, cache.entry("trees", digest_of("tar", sha256), make))


def _git(spec: str, rest: str, cache: Cache) -> Tree:
    place, hash_sign, ref = rest.rpartition("#")
    if not hash_sign or not place or not ref or ref.startswith("-") or place.startswith("-"):
        raise UserError(f"not a git tree: {spec!r}", hint="write git:PATH_OR_URL#REF")
    if "://" in place or re.match(r"[\w.-]+@", place):
        repo, commit = _fetched_commit(place, ref, cache)
    else:
        repo = Path(place).expanduser().resolve()
        if not repo.is_dir():
            raise UserError(f"{spec}: there is no folder {repo}")
        commit = _commit(repo, ref, spec)

    def make(folder: Path) -> None:
        with log.step(f"exporting {commit[:12]} of {place}"):
            exported = folder / "tree.tar"
            proc.run(["git", "-C", repo, "archive", "--format=tar", f"--output={exported}", commit])
            (folder / "tree").mkdir()
            proc.run(["tar", "-xf", exported, "-C", folder / "tree", "--no-same-owner"])
            content = sha256_of(exported)
            exported.unlink()
        _remember(folder, f"commit {commit}", content)

    return _tree(spec, cache.entry("trees", digest_of("git", commit), make))


def _commit(repo: Path, ref: str, spec: str) -> str:
    found = proc.run(
        ["git", "-C", repo, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"], check=False
    )
    if not found.ok:
        said = f": {found.complaint}" if found.complaint else ""
        raise UserError(f"{spec}: {repo} has no commit {ref!r}{said}")
    return found.text.strip()


def _fetched_commit(url: str, ref: str, cache: Cache) -> tuple[Path, str]:
    """A bare repository in the cache that has the commit, fetched shallowly."""
    name = f"git-{digest_of(url)}"
    repo = cache.path("downloads", name)
    with cache.lock("downloads", name), log.step(f"fetching {ref} of {url}"):
        if not (repo / "HEAD").exists():
            proc.run(["git", "init", "--quiet", "--bare", repo])
        fetched = proc.run(
            ["git", "-C", repo, "fetch", "--quiet", "--depth=1", "--", url, ref], check=False
        )
        if not fetched.ok:
            raise InfraError(
                f"git fetch of {ref!r} from {url} failed: {fetched.complaint}",
                hint="a commit has to be named by a branch or tag, or in full",
            )
        return repo, _commit(repo, "FETCH_HEAD", url)


def _dir(spec: str, rest: str, cache: Cache) -> Tree:
    """A developer's working tree, copied as it is now: its files may change under a build."""
    place = Path(rest).expanduser().resolve()
    if not (place / "Makefile").is_file():
        raise UserError(f"{spec}: {place} is no kernel tree: it has no Makefile")
    files = list(_worktree_files(place))
    digest = _content_digest(place, files)

    def make(folder: Path) -> None:
        with log.step(f"copying {place}"):
            for name in files:
                target = folder / "tree" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(place / name, target, follow_symlinks=False)
        _remember(folder, f"content {digest}", digest)

    return _tree(spec, cache.entry("trees", digest_of("dir", digest), make))


def _worktree_files(place: Path) -> Iterator[str]:
    """Paths relative to the tree: what git would track if it is a checkout, else everything."""
    if (place / ".git").exists():
        listed = proc.run(
            ["git", "-C", place, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        )
        names = listed.stdout.decode("utf-8", "surrogateescape").split("\0")
        yield from sorted(n for n in set(names) if n and os.path.lexists(place / n))
        return
    found = [
        Path(where, name)
        for where, folders, files in os.walk(place)
        for name in (*files, *(folder for folder in folders if Path(where, folder).is_symlink()))
    ]
    yield from sorted(str(path.relative_to(place)) for path in found)


def _content_digest(place: Path, files: list[str]) -> str:
    sha = hashlib.sha256()
    for name in files:
        path = place / name
        sha.update(name.encode("utf-8", "surrogateescape") + b"\0")
        if path.is_symlink():
            sha.update(b"link " + os.fsencode(path.readlink()))
        else:
            sha.update(b"exec " if os.access(path, os.X_OK) else b"file ")
            sha.update(hashlib.sha256(path.read_bytes()).digest())
    return sha.hexdigest()[:16]


def _unpack(archive: Path, target: Path) -> None:
    with log.step(f"unpacking {archive.name}"):
        target.mkdir()
        proc.run(
            ["tar", "-xf", archive, "-C", target, "--strip-components=1", "--no-same-owner"],
        )
    if not (target / "Makefile").is_file():
        raise UserError(f"{archive} is no kernel tree: it has no Makefile at its top level")


def _remember(folder: Path, origin: str, content: str) -> None:
    """``content`` is a hash of everything in the tree, from its archive or its files."""
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
    """The version that a kernel's top Makefile states, such as ``6.12.117`` or ``6.13.0-rc4``."""
    text = makefile.read_text(encoding="utf-8", errors="replace")
    found: dict[str, str] = dict(
        re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) *=[ \t]*(.*)$", text, re.M)
    )
    numbers = ".".join(
        found.get(k, "").strip() or "0" for k in ("VERSION", "PATCHLEVEL", "SUBLEVEL")
    )
    return numbers + found.get("EXTRAVERSION", "").strip()
