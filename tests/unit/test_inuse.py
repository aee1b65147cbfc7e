# SPDX-License-Identifier: GPL-2.0
"""The cache shrinks by itself: the entries go that were not used for longest, in use by no lab."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rmaplab.store import inuse
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
    inuse.keep_within(cache, "templates", 2 * SIZE + SIZE // 2)
    assert names(cache) == {"new", "middle", "kernel"}


def test_what_was_used_again_stays(cache: Cache) -> None:
    cache.entry("templates", "old", lambda folder: pytest.fail("it is there"))
    inuse.keep_within(cache, "templates", SIZE + SIZE // 2)
    assert names(cache) == {"old", "kernel"}


def test_nothing_goes_that_has_room(cache: Cache) -> None:
    inuse.keep_within(cache, "templates", 4 * SIZE)
    assert names(cache) == {"new", "middle", "old", "kernel"}


def test_nothing_goes_while_a_lab_uses_the_cache(cache: Cache) -> None:
    with inuse.shared(cache):
        inuse.keep_within(cache, "templates", 0)
    assert names(cache) == {"new", "middle", "old", "kernel"}
