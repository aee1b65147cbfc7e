# SPDX-License-Identifier: GPL-2.0
"""Snapshots of a working tree: the content of one moment, told by its digest."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rmaplab.errors import UserError
from rmaplab.source import snapshot
from rmaplab.source.tree import fetch
from rmaplab.store.cache import Cache

from .repositories import git, repository, write

FILES: dict[str, str | None] = {
    "Makefile": "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 1\n",
    "mm/rmap.c": "int rmap;\n",
    "mm/ksm.c": "int ksm;\n",
}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write(tmp_path / "linux", FILES)
    return tmp_path / "linux"


def trees(cache: Cache) -> list[str]:
    return [entry.path.name for entry in cache.entries(["trees"])]


def test_a_file_of_an_earlier_snapshot_is_linked_and_an_edited_one_copied(
    place: Path, cache: Cache
) -> None:
    first = fetch(f"dir:{place}", cache).path
    write(place, {"mm/rmap.c": "int changed;\n"})
    second = fetch(f"dir:{place}", cache).path
    assert (second / "mm/ksm.c").samefile(first / "mm/ksm.c")
    assert not (second / "mm/rmap.c").samefile(first / "mm/rmap.c")
    assert (first / "mm/rmap.c").read_text(encoding="utf-8") == "int rmap;\n"
    assert (second / "mm/rmap.c").read_text(encoding="utf-8") == "int changed;\n"


def test_a_snapshot_shares_no_file_with_the_working_tree(place: Path, cache: Cache) -> None:
    """An editor that writes in place would change it."""
    tree = fetch(f"dir:{place}", cache)
    with (place / "mm/rmap.c").open("a", encoding="utf-8") as file:
        file.write("int more;\n")
    assert (tree.path / "mm/rmap.c").read_text(encoding="utf-8") == "int rmap;\n"


@pytest.mark.parametrize(
    "damage",
    [
        lambda tree: (tree / "mm/ksm.c").unlink(),
        lambda tree: (tree / "mm/ksm.c").write_bytes(b""),
        lambda tree: (tree.parent / "files.json").write_text("{", encoding="utf-8"),
    ],
)
def test_an_earlier_snapshot_that_is_damaged_is_no_source_of_links(
    place: Path, cache: Cache, damage: Callable[[Path], None]
) -> None:
    damage(fetch(f"dir:{place}", cache).path)
    write(place, {"mm/rmap.c": "int changed;\n"})
    second = fetch(f"dir:{place}", cache).path
    assert (second / "mm/ksm.c").read_text(encoding="utf-8") == "int ksm;\n"


def edits(place: Path, monkeypatch: pytest.MonkeyPatch, times: int) -> list[int]:
    """Have a file edited each time that it is about to be copied, so many times."""
    copy: Callable[[Path, str, Path], None] = snapshot._copy
    done: list[int] = []

    def edited(source: Path, kind: str, target: Path) -> None:
        if source.name == "rmap.c" and len(done) < times:
            done.append(len(done))
            source.write_text(f"int edited{len(done)};\n", encoding="utf-8")
        copy(source, kind, target)

    monkeypatch.setattr(snapshot, "_copy", edited)
    return done


def test_a_file_that_is_edited_while_it_is_copied_is_in_the_digest_as_it_was_copied(
    place: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits(place, monkeypatch, 1)
    tree = fetch(f"dir:{place}", cache)
    assert (tree.path / "mm/rmap.c").read_text(encoding="utf-8") == "int edited1;\n"
    assert tree.digest == snapshot.digest_of_manifest(snapshot.manifest(tree.path))
    assert len(trees(cache)) == 1


def test_a_tree_that_changes_without_end_is_the_users_mistake(
    place: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits(place, monkeypatch, 99)
    with pytest.raises(UserError, match="changes while it is copied"):
        fetch(f"dir:{place}", cache)
    assert trees(cache) == []


def test_pipes_and_nested_repositories_are_left_out(
    tmp_path: Path, cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = repository(tmp_path / "repo", FILES)
    repository(repo / "nested", {"x.c": "x\n"})
    os.mkfifo(repo / "mm/fifo")
    tree = fetch(f"dir:{repo}", cache)
    assert sorted(path.name for path in tree.path.iterdir()) == ["Makefile", "mm"]
    assert sorted(path.name for path in (tree.path / "mm").iterdir()) == ["ksm.c", "rmap.c"]
    assert "is a repository of its own" in " ".join(capsys.readouterr().err.split())


def test_a_repositorys_own_programs_are_not_run(tmp_path: Path, cache: Cache) -> None:
    repo = repository(tmp_path / "repo", FILES)
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n", encoding="utf-8")
    hook.chmod(0o755)
    git(repo, "config", "core.fsmonitor", str(hook))
    fetch(f"dir:{repo}", cache)
    assert not (tmp_path / "ran").exists()


def test_the_digest_is_that_of_earlier_versions_of_the_lab(place: Path) -> None:
    """Or every kernel of a dir: tree would be built anew."""
    (place / "link").symlink_to("mm/rmap.c")
    (place / "mm/ksm.c").chmod(0o755)
    assert snapshot.digest_of_manifest(snapshot.manifest(place)) == "5000eb15718054e2"
