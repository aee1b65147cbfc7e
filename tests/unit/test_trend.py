# SPDX-License-Identifier: GPL-2.0
"""Trends of earlier runs: rates, flips, first failures, costs, and a bound on false alarms."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmaplab.model import HistoryPoint, PastPlace
from rmaplab.report.history import false_alarms as phrase
from rmaplab.report.sparkline import of_costs, sparkline
from rmaplab.trend import Trend, false_alarms, together, trend

PLACE = PastPlace("exclusive/mapcount", "test", "b" * 16, "q35", "dmirror", "thp-never", "tcg")
CONTROL = replace(PLACE, testcase="control/empty", kind="control")


def points(shown: str, *, programs: str = "", kernels: str = "") -> list[HistoryPoint]:
    """A point for each letter: pass, fail, both (x), skip, error."""
    counts = {"p": (1, 0), "f": (0, 1), "x": (2, 1), "s": (0, 0), "e": (0, 0)}
    return [
        HistoryPoint(
            run, (kernels or "k" * len(shown))[run], (programs or "a" * len(shown))[run],
            *counts[letter], int(letter == "s"), int(letter == "e"), 0,
            None if letter in "se" else 1.0,
        )
        for run, letter in enumerate(shown)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("shown", "flips"),
    [("", 0), ("ppp", 0), ("fff", 0), ("pfp", 2), ("psp", 0), ("psf", 1), ("pxp", 2), ("xx", 2),
     ("epe", 0)],
)  # fmt: skip
def test_a_flip_is_a_run_that_differs_from_itself_or_the_one_before(shown: str, flips: int) -> None:
    assert trend(points(shown)).flips == flips


def test_another_workload_or_kernel_flips_nothing() -> None:
    assert trend(points("pf", programs="ab")).flips == 0
    assert trend(points("pf", kernels="kl")).flips == 0
    assert trend(points("pfpf", kernels="klkl")).flips == 0
    assert trend(points("pff", kernels="klk")).flips == 1


@pytest.mark.parametrize(
    ("shown", "since"),
    [("ppp", None), ("ppf", 2), ("pff", 1), ("fff", 0), ("ffp", None), ("pfsf", 1), ("pfs", 1),
     ("fxf", 1), ("fpx", 2), ("ss", None)],
)  # fmt: skip
def test_a_row_fails_since_the_first_run_after_its_last_pass(shown: str, since: int | None) -> None:
    assert trend(points(shown)).failing_since == since


def test_a_skip_and_an_error_are_no_result() -> None:
    one = trend(points("psef"))
    assert (one.trials, one.passed, one.skipped, one.errors, one.rate) == (2, 1, 1, 1, 0.5)
    assert trend(points("se")).rate is None


def test_the_cost_is_held_against_the_median_of_the_runs_before() -> None:
    costs = [1.0, 9.0, 2.0, 3.0]
    some = [p._replace(cost=c) for p, c in zip(points("pppp"), costs, strict=True)]
    one = trend(some)
    assert (one.cost, one.usual_cost, one.growth) == (3.0, 2.0, 50.0)
    assert trend(some[:1]).growth is None


def test_places_are_summed_up_and_a_steady_failure_of_one_is_no_flip() -> None:
    one = together([trend(points("ppp")), trend(points("fff"))], {0: 0, 1: 1, 2: 2})
    assert (one.passed, one.failed, one.flips, one.failing_since) == (3, 3, 0, 0)
    assert [point.rate for point in one.points] == [0.5, 0.5, 0.5]


def test_runs_are_in_their_order_whatever_their_numbers() -> None:
    late = [point._replace(run=run) for point, run in zip(points("pf"), (7, 3), strict=True)]
    one: Trend = together([trend(late), trend(late[1:])], {7: 0, 3: 1})
    assert [point.run for point in one.points] == [7, 3]


# -- false alarms ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "trials", "bound"),
    # Of tables of the exact one-sided limit; the rule of three gives 3/n for none.
    [(0, 5680, 0.000527), (0, 100, 0.0295), (1, 100, 0.0466), (2, 20, 0.2826), (20, 20, 1.0)],
)
def test_the_bound_is_clopper_and_pearsons(events: int, trials: int, bound: float) -> None:
    counted = false_alarms(trials, [(CONTROL, "a", False)] * events, frozenset())
    assert counted.bound == pytest.approx(bound, rel=0.002)


def test_an_alarm_is_false_for_one_of_three_reasons_and_counted_once() -> None:
    alarms = [
        (PLACE, "a", False),  # stands
        (PLACE, "b", False),  # marked
        (PLACE, "c", True),  # passed as well
        (CONTROL, "b", True),  # all three
    ]
    one = false_alarms(10, alarms, frozenset({"b"}))
    assert (one.alarms, one.marked, one.contradicted, one.controls, one.false) == (4, 2, 2, 1, 3)


def test_the_line_says_how_many_of_what_and_rounds_up() -> None:
    assert phrase(false_alarms(5680, [], frozenset())) == (
        "false alarms: 0 of 5,680 trials, so under 0.053 % at 95 %"
    )
    assert phrase(false_alarms(20, [(PLACE, "a", False)], frozenset())).endswith(
        "so under 14 % at 95 %; 1 other alarm stands"
    )
    assert phrase(false_alarms(0, [], frozenset())) == "false alarms: nothing was tried yet"


@given(st.integers(1, 10**7), st.integers(0, 5))
def test_the_bound_that_is_shown_is_never_below_the_bound(trials: int, events: int) -> None:
    counted = false_alarms(trials, [(CONTROL, "", False)] * min(events, trials), frozenset())
    shown = float(phrase(counted).partition("under ")[2].partition(" %")[0])
    assert counted.bound is not None
    assert counted.bound * 100 <= shown <= counted.bound * 100 * 1.11 + 1e-9


# -- bars ------------------------------------------------------------------------------------------


def test_only_a_whole_rate_is_a_whole_bar() -> None:
    assert sparkline([1.0, 0.99, 0.5, 0.0, None], low=0, high=1) == "█▇▄▁·"
    assert sparkline([1.0, 0.99, 0.0, None], low=0, high=1, plain=True) == "#*_ "


def test_costs_that_hardly_differ_are_flat() -> None:
    assert len(set(of_costs([1.0, 1.1, 1.05]))) == 1
    assert of_costs([1.0, 2.0, None]) == "▁█·"
    assert of_costs([None]) == "·"
    assert of_costs([0.0, 0.0]) == "▄▄"
