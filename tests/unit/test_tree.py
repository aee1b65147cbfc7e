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
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmaplab import proc
from rmaplab.errors import InfraError, UserError
from rmaplab.source import debian
from rmaplab.source.tree import fetch, kernel_version
from rmaplab.store.cache import Cache

from .repositories import commit, repository, write

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


def said(text: str) -> proc.Finished:
    return proc.Finished(("apt-cache",), 0, text.encode(), b"", 0.0)


def test_the_candidate_is_apts(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = "linux-source-6.12:\n  Installed: (none)\n  Candidate: 6.12.1-1~bpo12+1\n"
    monkeypatch.setattr(proc, "run", lambda *words, **options: said(policy))
    assert debian.candidate("linux-source-6.12") == "6.12.1-1~bpo12+1"


@pytest.mark.parametrize("policy", ["", "linux-source-9.9:\n  Candidate: (none)\n"])
def test_a_package_that_apt_does_not_know_says_how_to_refresh(
    monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    monkeypatch.setattr(proc, "run", lambda *words, **options: said(policy))
    with pytest.raises(InfraError, match="does not know") as caught:
        debian.candidate("linux-source-9.9")
    assert "apt-get update" in caught.value.hint


@pytest.mark.parametrize("name", ["linux-image-6.12", "-o=x", "linux-source-6.12 evil", ""])
def test_another_package_is_no_source(name: str) -> None:
    with pytest.raises(UserError, match="not a kernel source package"):
        debian.candidate(name)
