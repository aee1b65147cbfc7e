# SPDX-License-Identifier: GPL-2.0
"""Which guests' memories a run keeps."""

from __future__ import annotations

import pytest

from rmaplab.guest.postmortem import MemoryDumpPermit
from rmaplab.model import Cell, MemoryDumpPolicy
from rmaplab.pipeline.memory_quota import MemoryQuota

from . import builders

READABLE = frozenset({"base"})


def cell(name: str = "a/a", *, kernel: str = "base") -> Cell:
    return builders.cell(kernel=kernel, testcase=builders.testcase(name))


def keep(places: MemoryQuota, of: Cell) -> MemoryDumpPermit:
    found = places.keep(of)
    assert found is not None
    return found


def test_a_run_keeps_so_many_and_no_more() -> None:
    places = MemoryQuota(MemoryDumpPolicy(run=2, testcase=2), READABLE)
    kept = [keep(places, cell(name)).claim() for name in ("a/a", "b/b", "c/c")]
    assert kept == [True, True, False]


def test_one_testcase_takes_not_all_places() -> None:
    places = MemoryQuota(MemoryDumpPolicy(run=4, testcase=1), READABLE)
    assert keep(places, cell()).claim()
    assert not keep(places, cell()).claim()
    assert keep(places, cell("b/b")).claim()


def test_both_sides_of_an_ab_have_their_own_places_of_a_testcase() -> None:
    places = MemoryQuota(MemoryDumpPolicy(run=4, testcase=1), frozenset({"base", "patched"}))
    assert keep(places, cell(kernel="base")).claim()
    assert keep(places, cell(kernel="patched")).claim()


def test_a_place_that_is_given_back_is_free_again() -> None:
    places = MemoryQuota(MemoryDumpPolicy(run=1), READABLE)
    first = keep(places, cell())
    assert first.claim()
    first.give_back()
    assert keep(places, cell("b/b")).claim()


def test_what_a_resumed_run_kept_before_counts() -> None:
    places = MemoryQuota(MemoryDumpPolicy(run=2, testcase=1), READABLE, taken=[cell()])
    assert not keep(places, cell()).claim()
    assert keep(places, cell("b/b")).claim()
    assert not keep(places, cell("c/c")).claim()


@pytest.mark.parametrize(
    ("policy", "kernel", "watched"),
    [
        (MemoryDumpPolicy(), "base", True),
        (MemoryDumpPolicy(), "no-debug-info", False),
        (MemoryDumpPolicy(asked=True), "no-debug-info", True),
        (MemoryDumpPolicy(run=0, asked=True), "base", False),
    ],
)
def test_without_debug_info_only_who_asks_gets_one(
    policy: MemoryDumpPolicy, kernel: str, watched: bool
) -> None:
    assert (MemoryQuota(policy, READABLE).keep(cell(kernel=kernel)) is not None) is watched


def test_the_limit_of_a_memory_is_in_bytes() -> None:
    assert keep(MemoryQuota(MemoryDumpPolicy(max_mb=3), READABLE), cell()).max_bytes == 3 << 20
