# SPDX-License-Identifier: GPL-2.0
"""The quota of memories: which cells may dump one, and which of the dumped ones a run keeps."""

from __future__ import annotations

import pytest

from rmaplab.model import Cell, MemoryDumpPolicy
from rmaplab.pipeline.memory_quota import MemoryQuota

from . import builders

READABLE = frozenset({"base", "patched"})


def cell(name: str = "a/a", *, kernel: str = "base") -> Cell:
    return builders.cell(kernel=kernel, testcase=builders.testcase(name))


def kept(quota: MemoryQuota, *cells: Cell) -> list[bool]:
    """Which of the memories are kept, if each cell leaves one; a failure that nobody knows."""
    return [quota.charge(one, as_expected=False) for one in cells]


def test_a_run_keeps_so_many_and_no_more() -> None:
    quota = MemoryQuota(MemoryDumpPolicy(run=2, testcase=2), READABLE)
    assert kept(quota, cell("a/a"), cell("b/b"), cell("c/c")) == [True, True, False]


def test_one_testcase_takes_not_the_whole_quota() -> None:
    quota = MemoryQuota(MemoryDumpPolicy(run=4, testcase=1), READABLE)
    assert kept(quota, cell(), cell(), cell("b/b")) == [True, False, True]


def test_both_sides_of_an_ab_keep_a_testcases_memory() -> None:
    quota = MemoryQuota(MemoryDumpPolicy(run=4, testcase=1), READABLE)
    assert kept(quota, cell(kernel="base"), cell(kernel="patched")) == [True, True]


def test_cells_that_leave_no_memory_use_nothing_up() -> None:
    quota = MemoryQuota(MemoryDumpPolicy(run=1), READABLE)
    assert all(quota.permit(cell()) for _ in range(10))
    assert kept(quota, cell()) == [True]


def test_without_room_nobody_dumps_a_memory_any_more() -> None:
    quota = MemoryQuota(MemoryDumpPolicy(run=2, testcase=1), READABLE)
    assert kept(quota, cell()) == [True]
    assert quota.permit(cell()) is None
    assert quota.permit(cell("b/b")) is not None
    assert kept(quota, cell("b/b")) == [True]
    assert quota.permit(cell("c/c")) is None


@pytest.mark.parametrize("asked", [False, True])
def test_a_known_failure_keeps_its_memory_only_if_that_is_asked_for(asked: bool) -> None:
    quota = MemoryQuota(MemoryDumpPolicy(run=1, asked=asked), READABLE)
    assert quota.charge(cell(), as_expected=True) is asked
    assert kept(quota, cell("b/b")) == [not asked]


def test_the_memories_of_before_a_resumption_count() -> None:
    quota = MemoryQuota(MemoryDumpPolicy(run=2, testcase=1), READABLE, kept=[cell()])
    assert quota.permit(cell()) is None
    assert kept(quota, cell(), cell("b/b"), cell("c/c")) == [False, True, False]


@pytest.mark.parametrize(
    ("policy", "kernel", "permitted"),
    [
        (MemoryDumpPolicy(), "base", True),
        (MemoryDumpPolicy(), "no-debug-info", False),
        (MemoryDumpPolicy(asked=True), "no-debug-info", True),
        (MemoryDumpPolicy(run=0, asked=True), "base", False),
    ],
)
def test_without_debug_info_a_memory_is_dumped_only_if_asked_for(
    policy: MemoryDumpPolicy, kernel: str, permitted: bool
) -> None:
    assert (MemoryQuota(policy, READABLE).permit(cell(kernel=kernel)) is not None) is permitted


def test_the_limit_of_a_memory_is_in_bytes() -> None:
    permit = MemoryQuota(MemoryDumpPolicy(max_mb=3), READABLE).permit(cell())
    assert permit is not None
    assert permit.max_bytes == 3 << 20
