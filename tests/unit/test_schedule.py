# SPDX-License-Identifier: GPL-2.0
"""Longest first, and how long it takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from rmaplab.model import Cell, Requirements
from rmaplab.schedule import Remaining, estimate, order, width

from .builders import cell, testcase


def cells(*skips: str) -> list[Cell]:
    return [cell(repeat=number, skip=skip) for number, skip in enumerate(skips, start=1)]


def took(some: list[Cell], *seconds: float | None) -> dict[str, float]:
    return {one.id: value for one, value in zip(some, seconds, strict=True) if value is not None}


def test_the_longest_comes_first_and_the_unknown_before_it() -> None:
    some = cells("", "", "", "", "")
    placed = order(some, took(some, 1.0, None, 3.0, 3.0, None))
    assert [one.repeat for one in placed] == [2, 5, 3, 4, 1]


def test_without_a_history_the_order_stays() -> None:
    some = cells("", "", "")
    assert order(some, {}) == some


def test_an_estimate_is_that_of_the_busiest_worker() -> None:
    some = cells("", "", "", "")
    known = took(some, 1.0, 2.0, 3.0, 4.0)
    assert estimate(some, known, 1) == 10.0
    assert estimate(some, known, 2) == 5.0
    assert estimate(some, known, 9) == 4.0


def test_an_unknown_cell_counts_as_the_mean_and_a_skip_as_nothing() -> None:
    some = cells("", "", "", "needs swap")
    assert estimate(some, took(some, 2.0, 4.0, None, 9.0), 1) == 9.0


@pytest.mark.parametrize(("skips", "seconds"), [(("",), None), ((), 0.0), (("no",), 0.0)])
def test_without_any_history_there_is_no_estimate(
    skips: tuple[str, ...], seconds: float | None
) -> None:
    assert estimate(cells(*skips), {}, 2) == seconds


@effort(deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1e4)), max_size=30), st.integers(1, 5))
def test_an_order_loses_no_cell_and_an_estimate_lies_within_its_bounds(
    seconds: list[float | None], jobs: int
) -> None:
    some = cells(*["" for _ in seconds])
    known = took(some, *seconds)
    placed = order(some, known)
    assert sorted(one.id for one in placed) == sorted(one.id for one in some)
    whole, alone = estimate(some, known, jobs), estimate(some, known, 1)
    if known:
        assert whole is not None
        assert alone is not None
        longest = max(known.values())
        assert max(longest, alone / jobs) - 1e-6 <= whole <= alone / jobs + longest + 1e-6


def test_what_is_left_is_corrected_by_the_pace_so_far() -> None:
    some = cells("", "", "")
    left = Remaining(some, took(some, 2.0, 4.0, 6.0), 2)
    assert left.seconds == 6.0
    left.finished(some[0], 4.0)  # twice as long as expected
    assert left.seconds == 10.0
    left.finished(some[1], 4.0)
    left.finished(some[2], 6.0)
    assert left.seconds == 0.0


def test_without_a_history_the_first_finished_cell_tells() -> None:
    some = cells("", "", "", "needs swap")
    left = Remaining(some, {}, 1)
    assert left.seconds is None
    left.finished(some[3], 0.0)
    assert left.seconds is None
    left.finished(some[0], 3.0)
    assert left.seconds == 6.0


def test_a_cell_without_a_history_weighs_as_much_as_the_others() -> None:
    some = cells("", "", "")
    assert Remaining(some, took(some, 2.0, 4.0, None), 1).seconds == 9.0


def test_nothing_to_run_takes_no_time() -> None:
    assert Remaining(cells("needs swap"), {}, 1).seconds == 0.0


def test_a_cell_that_turned_out_to_be_a_skip_says_nothing_of_the_pace() -> None:
    some = cells("", "")
    left = Remaining(some, took(some, 2.0, 4.0), 1)
    left.finished(some[0], 0.0)
    assert left.seconds == 4.0


def test_an_estimate_knows_of_cells_that_need_two_slots() -> None:
    narrow, wide = cell(), cell(testcase=testcase("stress/wide", requires=Requirements(cpus=2)))
    known = {narrow.id: 3.0, wide.id: 5.0}
    assert (width(wide, 2), width(wide, 1), width(narrow, 2)) == (2, 1, 1)
    assert estimate([narrow, wide], known, 2) == 8.0
    assert estimate([narrow, wide], known, 3) == 5.0
    remaining = Remaining([narrow, wide], known, 2)
    assert remaining.seconds == 6.5
    remaining.finished(wide, 5.0)
    assert remaining.seconds == 1.5


def test_two_finished_cells_give_the_pace_together() -> None:
    some = cells("", "", "", "")
    left = Remaining(some, took(some, 2.0, 2.0, 2.0, 4.0), 1)
    left.finished(some[0], 2.0)
    left.finished(some[1], 6.0)
    # 8 s for what was to take 4: the 6 s that are left take 12.
    assert left.seconds == 12.0
    left.finished(some[2], 4.0)
    assert left.seconds == 8.0


def test_a_cell_that_takes_all_that_is_left_leaves_nothing() -> None:
    some = cells("", "", "")
    left = Remaining(some, took(some, 0.1, 0.2, 0.3), 1)
    for one in some[:2]:
        left.finished(one, 1.0)
    assert left.seconds == pytest.approx(0.3 * 2.0 / 0.3)
    left.finished(some[2], 1.0)
    assert left.seconds == 0.0
