# SPDX-License-Identifier: GPL-2.0
"""The cache shrinks by itself: the entries go that were not used for longest, in use by no lab."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rmaplab.errors import UserError
from rmaplab.store import inuse, limits
from rmaplab.store.cache import Cache

SIZE = 64 << 10


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """A cache with three templates of SIZE bytes, used one after the other, and a build."""
    found = Cache(tmp_path)

    def fill(folder: Path) -> None:
        (folder / "node0.ram").write_bytes(b"x" * SIZE)

    for age, name in enumerate(("new", "middle", "old")):
        folder = found.entry("templates", name, fill)
        os.utime(folder, (1e9 - age, 1e9 - age))
    found.entry("builds", "kernel", fill)
    return found


def names(cache: Cache) -> set[str]:
    return {entry.name for entry in cache.entries()}


def test_what_was_not_used_for_longest_goes(cache: Cache) -> None:
    inuse.keep_within(cache, 2 * SIZE + SIZE // 2, ["templates"])
    assert names(cache) == {"new", "middle", "kernel"}


def test_what_was_used_again_stays(cache: Cache) -> None:
    cache.entry("templates", "old", lambda folder: pytest.fail("it is there"))
    inuse.keep_within(cache, SIZE + SIZE // 2, ["templates"])
    assert names(cache) == {"old", "kernel"}


def test_nothing_goes_that_has_room(cache: Cache) -> None:
    inuse.keep_within(cache, 4 * SIZE, ["templates"])
    assert names(cache) == {"new", "middle", "old", "kernel"}


def test_nothing_goes_while_a_lab_uses_the_cache(cache: Cache) -> None:
    with inuse.shared(cache):
        inuse.keep_within(cache, 0, ["templates"])
    assert names(cache) == {"new", "middle", "old", "kernel"}


# -- the whole cache -------------------------------------------------------------------------------


def test_all_sections_share_a_size_and_the_history_stays(cache: Cache) -> None:
    cache.entry("trees", "tree", lambda folder: None)
    history = cache.path("history", "cells.sqlite")
    history.parent.mkdir()
    history.write_bytes(b"x" * SIZE)
    os.utime(cache.path("builds", "kernel"), (1e9 - 0.5, 1e9 - 0.5))
    os.utime(history, (1, 1))
    inuse.keep_within(cache, 2 * SIZE + SIZE // 2)
    assert names(cache) == {"tree", "new", "kernel", "cells.sqlite"}
    inuse.keep_within(cache, 0)
    assert names(cache) == {"cells.sqlite"}


def test_a_file_that_two_entries_share_counts_once(cache: Cache) -> None:
    """As the patched sources share the files of their tree."""

    def link(folder: Path) -> None:
        (folder / "file").hardlink_to(cache.path("builds", "kernel") / "node0.ram")

    cache.entry("sources", "patched", link)
    inuse.keep_within(cache, SIZE + SIZE // 2, ["sources", "builds"])
    assert {"patched", "kernel"} <= names(cache)


def test_what_a_killed_lab_left_half_made_goes_as_the_rest(cache: Cache) -> None:
    half = cache.path("builds", ".other.half")
    half.mkdir()
    (half / "x").write_bytes(b"x" * SIZE)
    os.utime(half, (1, 1))
    inuse.keep_within(cache, SIZE + SIZE // 2, ["builds"])
    assert not half.exists()
    assert cache.path("builds", "kernel").is_dir()


@pytest.mark.parametrize(
    ("text", "size"),
    [("5G", 5 << 30), ("500M", 500 << 20), ("1.5gb", 1_500_000_000), ("2 KiB", 2048),
     ("1000", 1000), ("7B", 7), ("0", 0)],
)  # fmt: skip
def test_a_size_is_read_as_coreutils_read_it(text: str, size: int) -> None:
    assert limits.size(text, "x") == size


@pytest.mark.parametrize("text", ["", "5X", "-1G", "G", "1e9", "nan", "5 G M", "9" * 40, "\u0665G"])
def test_a_size_that_is_none_is_a_mistake(text: str) -> None:
    with pytest.raises(UserError, match="is no size"):
        limits.size(text, "x")


def test_an_interrupted_lab_leaves_its_half_for_the_next_one(cache: Cache) -> None:
    """A cancelled job has seconds, and a kernel's folder takes as long to remove."""

    def interrupted(folder: Path) -> None:
        (folder / "x").write_bytes(b"x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.entry("builds", "patched", interrupted)
    half = cache.path("builds", ".patched.half")
    assert half.is_dir()
    assert not cache.path("builds", "patched").exists()
    with inuse.shared(cache):
        inuse.sweep(cache)
    assert half.is_dir()
    inuse.sweep(cache)
    assert not half.exists()
    assert names(cache) == {"new", "middle", "old", "kernel"}


def test_a_half_is_no_hindrance_for_the_entry_itself(cache: Cache) -> None:
    half = cache.path("builds", ".patched.half")
    half.mkdir()
    (half / "old").touch()
    made = cache.entry("builds", "patched", lambda folder: (folder / "x").touch())
    assert [path.name for path in made.iterdir()] == ["x"]
    assert not half.exists()
