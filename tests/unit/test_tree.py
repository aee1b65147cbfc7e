# SPDX-License-Identifier: GPL-2.0
"""Kernel trees from a folder, an archive and a repository, with their identity."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rmaplab import proc
from rmaplab.errors import InfraError, UserError
from rmaplab.source import debian
from rmaplab.source.tree import fetch, kernel_version
from rmaplab.store.cache import Cache

from .repositories import commit, git, repository, write

MAKEFILE = "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\nEXTRAVERSION =\nNAME = Baby\n"
FILES: dict[str, str | None] = {"Makefile": MAKEFILE, "mm/rmap.c": "int rmap;\n"}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A tree that is no checkout."""
    place = tmp_path / "linux"
    write(place, FILES)
    return place


@pytest.mark.parametrize(
    ("extra", "version"),
    [("", "6.12.117"), (" -rc4", "6.12.117-rc4"), (" -rt10 ", "6.12.117-rt10")],
)
def test_the_version_is_the_makefiles(tmp_path: Path, extra: str, version: str) -> None:
    makefile = tmp_path / "Makefile"
    text = MAKEFILE.replace("EXTRAVERSION =", f"EXTRAVERSION ={extra}")
    makefile.write_text(text, encoding="utf-8")
    assert kernel_version(makefile) == version


@pytest.mark.parametrize("spec", ["", "linux", "dir:", "ftp:x", "6.12"])
def test_what_names_no_tree_says_what_would(cache: Cache, spec: str) -> None:
    with pytest.raises(UserError, match="not a kernel tree") as caught:
        fetch(spec, cache)
    assert "dir:PATH" in caught.value.hint


# -- dir: --------------------------------------------------------------------------------------


def test_a_folder_is_copied_as_it_is_now(plain: Path, cache: Cache) -> None:
    tree = fetch(f"dir:{plain}", cache)
    assert tree.version == "6.12.117"
    (plain / "mm/rmap.c").write_text("int changed;\n", encoding="utf-8")
    assert (tree.path / "mm/rmap.c").read_text(encoding="utf-8") == "int rmap;\n"


def test_the_same_content_is_the_same_tree_and_other_content_another(
    plain: Path, cache: Cache
) -> None:
    first = fetch(f"dir:{plain}", cache)
    os.utime(plain / "mm/rmap.c", (1, 1))
    assert fetch(f"dir:{plain}", cache) == first
    (plain / "mm/rmap.c").chmod(0o755)
    executable = fetch(f"dir:{plain}", cache)
    (plain / "mm/rmap.c").write_text("int changed;\n", encoding="utf-8")
    changed = fetch(f"dir:{plain}", cache)
    assert len({first.digest, executable.digest, changed.digest}) == 3


def test_links_stay_links_to_files_and_to_folders(plain: Path, cache: Cache) -> None:
    (plain / "scripts").mkdir()
    (plain / "scripts/mm").symlink_to("../mm")
    (plain / "scripts/rmap.c").symlink_to("../mm/rmap.c")
    (plain / "scripts/dangling").symlink_to("nowhere")
    tree = fetch(f"dir:{plain}", cache)
    links = {path.name: str(path.readlink()) for path in (tree.path / "scripts").iterdir()}
    assert links == {"mm": "../mm", "rmap.c": "../mm/rmap.c", "dangling": "nowhere"}


def test_of_a_checkout_what_git_ignores_is_left_out(tmp_path: Path, cache: Cache) -> None:
    repo = repository(tmp_path / "repo", {**FILES, ".gitignore": "*.o\n"})
    write(repo, {"mm/rmap.o": "object\n", "mm/new.c": "int new;\n"})
    tree = fetch(f"dir:{repo}", cache)
    assert (tree.path / "mm/new.c").exists()
    assert not (tree.path / "mm/rmap.o").exists()
    assert not (tree.path / ".git").exists()


def test_a_file_that_was_deleted_from_a_checkout_is_gone(tmp_path: Path, cache: Cache) -> None:
    repo = repository(tmp_path / "repo", FILES)
    (repo / "mm/rmap.c").unlink()
    assert not (fetch(f"dir:{repo}", cache).path / "mm/rmap.c").exists()


def test_a_folder_without_a_makefile_is_no_tree(tmp_path: Path, cache: Cache) -> None:
    with pytest.raises(UserError, match="no Makefile"):
        fetch(f"dir:{tmp_path}", cache)


# -- tar: --------------------------------------------------------------------------------------


def packed(plain: Path) -> tuple[Path, str]:
    archive = plain.parent / "linux.tar.xz"
    subprocess.run(["tar", "-cJf", archive, "-C", plain.parent, plain.name], check=True)
    return archive, hashlib.sha256(archive.read_bytes()).hexdigest()


def test_an_archive_is_unpacked_without_its_top_folder(plain: Path, cache: Cache) -> None:
    archive, sha256 = packed(plain)
    tree = fetch(f"tar:{archive}#sha256={sha256}", cache)
    assert (tree.version, tree.digest) == ("6.12.117", sha256)
    assert (tree.path / "mm/rmap.c").exists()
    archive.unlink()
    assert fetch(f"tar:{archive}#sha256={sha256}", cache) == tree


@pytest.mark.parametrize("end", ["", "#", "#sha256=", "#sha256=abc", "#md5=" + "0" * 64])
def test_an_archive_needs_its_digest(plain: Path, cache: Cache, end: str) -> None:
    archive, _ = packed(plain)
    with pytest.raises(UserError, match="without its sha256"):
        fetch(f"tar:{archive}{end}", cache)


def test_an_archive_with_another_digest_leaves_no_tree(plain: Path, cache: Cache) -> None:
    archive, _ = packed(plain)
    with pytest.raises(UserError, match="another sha256"):
        fetch(f"tar:{archive}#sha256={'0' * 64}", cache)
    assert list(cache.entries()) == []


def test_an_archive_of_something_else_is_the_users_mistake(plain: Path, cache: Cache) -> None:
    (plain / "Makefile").unlink()
    archive, sha256 = packed(plain)
    with pytest.raises(UserError, match="no kernel tree"):
        fetch(f"tar:{archive}#sha256={sha256}", cache)
    assert list(cache.entries()) == []


# -- git: --------------------------------------------------------------------------------------


def test_a_repository_is_exported_at_the_commit_that_was_named(
    tmp_path: Path, cache: Cache
) -> None:
    repo = repository(tmp_path / "repo", FILES)
    first = commit(repo, "one")
    commit(repo, "two", {"mm/rmap.c": "int two;\n"})
    (repo / "mm/rmap.c").write_text("int uncommitted;\n", encoding="utf-8")
    old, new = fetch(f"git:{repo}#{first}", cache), fetch(f"git:{repo}#main", cache)
    assert old.origin == f"commit {first}"
    assert (old.path / "mm/rmap.c").read_text(encoding="utf-8") == "int rmap;\n"
    assert (new.path / "mm/rmap.c").read_text(encoding="utf-8") == "int two;\n"
    assert old.digest != new.digest


def everything_of(repo: Path) -> dict[str, bytes]:
    """Return what a repository has besides objects: index, HEAD, references, lists of worktrees."""
    return {
        str(path.relative_to(repo)): path.read_bytes()
        for path in sorted(repo.rglob("*"))
        if path.is_file() and ".git/objects/" not in str(path)
    }


@pytest.mark.parametrize("at", ["repo", "stable"])
def test_stable_mainline_and_next_are_refs_of_one_checkout_that_stays_as_it_is(
    tmp_path: Path, cache: Cache, at: str
) -> None:
    repo = repository(tmp_path / "repo", FILES)
    git(repo, "tag", "--annotate", "v6.12.117", "-m", "Linux 6.12.117")
    newer = "VERSION = 7\nPATCHLEVEL = 4\nSUBLEVEL = 0\nEXTRAVERSION = -rc2\n"
    mainline = commit(repo, "7.4-rc2", {"Makefile": newer})
    git(repo, "update-ref", "refs/remotes/akpm/mm-unstable", mainline)
    git(repo, "worktree", "add", "--quiet", str(tmp_path / "stable"), "v6.12.117")
    (repo / "mm/rmap.c").write_text("int staged;\n", encoding="utf-8")
    git(repo, "add", "mm/rmap.c")
    (repo / "mm/rmap.c").write_text("int uncommitted;\n", encoding="utf-8")
    was = everything_of(tmp_path / "repo"), everything_of(tmp_path / "stable")

    wanted = {"v6.12.117": "6.12.117", "main": "7.4.0-rc2", "akpm/mm-unstable": "7.4.0-rc2"}
    for ref, version in wanted.items():
        found = fetch(f"git:{tmp_path / at}#{ref}", cache)
        assert found.version == version
        assert (found.path / "mm/rmap.c").read_text("utf-8") == "int rmap;\n"
        assert not (found.path / ".git").exists()
    assert (everything_of(tmp_path / "repo"), everything_of(tmp_path / "stable")) == was


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The URL of a repository that a server of this host has."""
    repo = repository(tmp_path / "repo", FILES)
    commit(repo, "one")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["git", "daemon", "--listen=127.0.0.1", f"--port={port}", "--export-all",
             f"--base-path={tmp_path}", "--reuseaddr"]  # fmt: skip
    with subprocess.Popen(words, start_new_session=True) as server:
        for _ in range(1000):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.01)
        yield f"git://127.0.0.1:{port}/repo"
        os.killpg(server.pid, signal.SIGTERM)


def test_a_repository_by_url_is_fetched(served: str, tmp_path: Path, cache: Cache) -> None:
    remote = fetch(f"git:{served}#main", cache)
    places = (str(tmp_path / "repo"), f"file://{tmp_path}/repo")
    for place in places:
        local = fetch(f"git:{place}#main", Cache(tmp_path / "other"))
        assert (remote.digest, remote.origin) == (local.digest, local.origin)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("", "not a git tree"),
        ("#", "not a git tree"),
        ("#--upload-pack=x", "not a git tree"),
        ("#nope", "has no commit 'nope'"),
    ],
)
def test_a_commit_that_is_not_there_is_the_users_mistake(
    tmp_path: Path, cache: Cache, end: str, said: str
) -> None:
    repo = repository(tmp_path / "repo", FILES)
    with pytest.raises(UserError, match=said):
        fetch(f"git:{repo}{end}", cache)


def test_a_folder_that_is_no_repository_is_the_users_mistake(
    plain: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(plain.parent))
    with pytest.raises(UserError, match="not a git repository"):
        fetch(f"git:{plain}#main", cache)
    with pytest.raises(UserError, match="there is no folder"):
        fetch(f"git:{plain}/none#main", cache)


def test_a_url_that_cannot_be_fetched_is_the_labs_fault(cache: Cache) -> None:
    with pytest.raises(InfraError, match="git fetch of 'main'"):
        fetch("git:git://127.0.0.1:1/none#main", cache)


# -- debian: -----------------------------------------------------------------------------------


POLICY = """linux-source-{v}:
  Installed: (none)
  Candidate: {c}
  Version table:
     {c} 500
        500 http://archive.invalid/debian {s}/main amd64 Packages
     6.12.0-1 100
        100 http://archive.invalid/debian {s}/main amd64 Packages
"""


@dataclass
class Apt:
    """Stands for apt: the versions of one package by suite, "" for the host's own lists."""

    package: str = "linux-source-7.3"
    lists: dict[str, str] = field(default_factory=dict)
    updated: list[str] = field(default_factory=list)
    fails: str = ""

    def run(self, argv: Sequence[str | Path], **_options: object) -> proc.Finished:
        words = [str(word) for word in argv]
        if words[0] not in {"apt-cache", "apt-get"}:
            return real(argv)
        chosen = [w for w in words if w.startswith("Dir::Etc::SourceList=")]
        suite = Path(chosen[0].partition("=")[2]).stem if chosen else ""
        if words[-1] == "update":
            self.updated.append(suite)
            if self.fails:
                return proc.Finished(tuple(words), 100, b"", self.fails.encode(), 0.0)
            text = Path(chosen[0].partition("=")[2]).read_text(encoding="utf-8")
            assert text.startswith(f"deb [signed-by={debian.KEYRING}]")
            return said("")
        version = self.lists.get(suite)
        if "pkgnames" in words:
            return said(f"{self.package}\n" if version else "")
        if version is None or words[-1] != self.package:
            return said("")
        return said(POLICY.format(v=self.package[13:], c=version, s=suite or "bookworm"))


real = proc.run


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Apt:
    keyring = tmp_path / "keyring.gpg"
    keyring.write_bytes(b"")
    monkeypatch.setattr(debian, "KEYRING", keyring)
    found = Apt()
    monkeypatch.setattr(proc, "run", found.run)
    return found


def said(text: str) -> proc.Finished:
    return proc.Finished(("apt-cache",), 0, text.encode(), b"", 0.0)


def test_what_the_hosts_apt_has_is_taken_from_there(apt: Apt, cache: Cache) -> None:
    apt.lists = {"": "7.3.1-1~bpo12+1", "sid": "7.3.9-1"}
    package = debian.wanted("linux-source-7.3")
    wanted = debian.Found("linux-source-7.3", "7.3.1-1~bpo12+1")
    assert debian.known(package, cache) == wanted == debian.look_up(package, cache)
    assert apt.updated == []


def test_what_the_host_does_not_have_is_looked_for_in_other_suites(apt: Apt, cache: Cache) -> None:
    apt.lists = {"sid": "7.3.9-1"}
    package = debian.wanted("linux-source-7.3")
    assert debian.known(package, cache) is None, "no list of sid is here"
    found = debian.look_up(package, cache)
    assert (found.version, apt.updated) == ("7.3.9-1", ["trixie-backports", "sid"])
    folder = cache.path("downloads", "apt-sid")
    assert f"Dir::State::Lists={folder}/lists" in found.options
    assert "Dir::Etc::SourceParts=/dev/null" in found.options
    assert debian.known(package, cache) == found
    assert apt.updated == ["trixie-backports", "sid"], "known() fetches nothing"


def test_a_suite_that_is_named_is_asked_alone(apt: Apt, cache: Cache) -> None:
    apt.lists = {"": "7.3.1-1", "trixie-backports": "7.3.4-1~bpo13+1", "sid": "7.3.9-1"}
    found = debian.look_up(debian.wanted("linux-source-7.3/sid"), cache)
    assert (found.version, apt.updated) == ("7.3.9-1", ["sid"])


def test_a_version_that_is_named_is_that_one_or_none(apt: Apt, cache: Cache) -> None:
    apt.lists = {"sid": "7.3.9-1"}
    for version in ("7.3.9-1", "6.12.0-1"):
        found = debian.look_up(debian.wanted(f"linux-source-7.3={version}"), cache)
        assert found.version == version
    with pytest.raises(UserError, match=r"has linux-source-7.3 7\.3\.9"):
        debian.look_up(debian.wanted("linux-source-7.3=7.3.9"), cache)


def test_a_package_that_no_suite_has_is_the_users_mistake(apt: Apt, cache: Cache) -> None:
    apt.lists = {"sid": "7.3.9-1"}
    with pytest.raises(UserError, match="neither this host's apt nor Debian's") as caught:
        debian.look_up(debian.wanted("linux-source-9.9"), cache)
    assert "linux-source-7.3" in caught.value.hint


def test_lists_that_cannot_be_had_are_no_answer(apt: Apt, cache: Cache) -> None:
    apt.fails = "E: The repository is not signed."
    with pytest.raises(InfraError, match="not signed"):
        debian.look_up(debian.wanted("linux-source-7.3/sid"), cache)
    assert not cache.path("downloads", "apt-sid").exists(), "no lists, rather than unsigned ones"


def test_lists_that_are_here_outlive_an_update_that_fails(apt: Apt, cache: Cache) -> None:
    apt.lists = {"sid": "7.3.9-1"}
    package = debian.wanted("linux-source-7.3/sid")
    found = debian.look_up(package, cache)
    apt.fails = "E: no network"
    with pytest.raises(InfraError):
        debian.look_up(package, cache)
    assert debian.known(package, cache) == found


def test_no_keyring_is_no_signature(
    apt: Apt, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "KEYRING", Path("/nowhere/keyring.gpg"))
    with pytest.raises(InfraError, match=r"no /nowhere/keyring\.gpg") as caught:
        debian.look_up(debian.wanted("linux-source-7.3"), cache)
    assert "debian-archive-keyring" in caught.value.hint
    assert apt.updated == []


def test_lists_without_a_signature_are_refused_by_apt_itself(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real apt, on an archive of a folder that nobody has signed."""
    if not debian.KEYRING.is_file():
        pytest.fail(f"there is no {debian.KEYRING}: install debian-archive-keyring")
    place = tmp_path / "archive/dists/sid/main/binary-amd64"
    write(place, {"Packages": "Package: linux-source-7.3\nVersion: 1\nArchitecture: all\n"})
    write(tmp_path / "archive/dists/sid", {"Release": "Suite: sid\n"})
    monkeypatch.setattr(debian, "ARCHIVE", f"file://{tmp_path}/archive")
    with pytest.raises(InfraError, match="not signed"):
        debian.look_up(debian.wanted("linux-source-7.3/sid"), cache)


# -- deb: --------------------------------------------------------------------------------------


def package_file(folder: Path, files: dict[str, bytes]) -> Path:
    """Make a Debian package with some files."""
    root = folder / "root"
    write(root, {"DEBIAN/control": CONTROL})
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    made = folder / "source.deb"
    subprocess.run(["dpkg-deb", "--build", root, made], check=True, capture_output=True)
    return made


CONTROL = """Package: linux-source-7.3
Version: 7.3.4-1
Architecture: all
Maintainer: Nobody <nobody@example.org>
Description: a kernel
"""


def source_tar(folder: Path) -> bytes:
    write(folder / "linux-source-7.3", FILES)
    made = folder / "made.tar"
    subprocess.run(["tar", "-cf", made, "-C", folder, "linux-source-7.3"], check=True)
    return made.read_bytes()


def test_a_package_file_is_a_tree(tmp_path: Path, cache: Cache) -> None:
    tar = source_tar(tmp_path)
    package = package_file(tmp_path, {"usr/src/linux-source-7.3.tar.xz": tar})
    tree = fetch(f"deb:{package}", cache)
    assert tree.version == "6.12.117"
    assert (tree.path / "mm/rmap.c").read_text(encoding="utf-8") == "int rmap;\n"
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    assert fetch(f"deb:{package}#sha256={digest}", cache).path == tree.path
    assert digest in tree.origin


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("deb:https://archive.invalid/x.deb", "without its sha256"),
        ("deb:{place}#sha256=1", "without its sha256"),
        ("deb:{place}#sha256=" + 64 * "0", "another sha256"),
        ("deb:{place}.none", "there is no package"),
        ("deb:{place}", "holds no kernel source archive"),
        ("deb:{other}", "is no Debian package"),
    ],
)
def test_a_package_that_is_no_source_is_the_users_mistake(
    tmp_path: Path, cache: Cache, spec: str, match: str
) -> None:
    package = package_file(tmp_path, {"usr/src/other": b"x"})
    (tmp_path / "other.deb").write_bytes(b"no package")
    with pytest.raises(UserError, match=match):
        fetch(spec.format(place=package, other=tmp_path / "other.deb"), cache)


def test_a_package_does_not_reach_files_of_the_host(tmp_path: Path, cache: Cache) -> None:
    secret = tmp_path / "secret.tar"
    secret.write_bytes(source_tar(tmp_path))
    root = tmp_path / "root/usr/src"
    root.mkdir(parents=True)
    (root / "linux-source-7.3.tar.xz").symlink_to(secret)
    package = package_file(tmp_path, {})
    with pytest.raises(UserError, match="holds no kernel source archive"):
        fetch(f"deb:{package}", cache)


@pytest.mark.parametrize(
    "name",
    [
        "linux-image-6.12",
        "-o=x",
        "linux-source-6.12 evil",
        "",
        "linux-source-7.3/",
        "linux-source-7.3=-o",
        "linux-source-7.3/../x",
    ],
)
def test_another_package_is_no_source(name: str) -> None:
    with pytest.raises(UserError, match="not a kernel source package"):
        debian.wanted(name)
