# SPDX-License-Identifier: GPL-2.0
"""A/B rows: what counts as fixed, as regressed, and what must not hide what."""

from __future__ import annotations

import pytest

from rmaplab.compare import compare
from rmaplab.model import (
    CellResult,
    Change,
    ComparisonRow,
    Fault,
    Observation,
    Outcome,
    Splat,
    Subtest,
    Verdict,
)

from .builders import cell, failed, observation, passed, result, splat, testcase

PASS = observation(passed())
FAIL = observation(failed())
LOST = observation(outcome=Outcome.LOST, fault=Fault.LAB, detail="the lab ended")
SKIP = observation(skip="needs swap")
PANIC = observation(outcome=Outcome.PANIC, splats=[splat("kernel BUG in demo_dup")])


def results(kernel: str, *seen: Observation) -> list[CellResult]:
    return [
        result(one, cell=cell(kernel=kernel, repeat=number))
        for number, one in enumerate(seen, start=1)
    ]


def row(before: list[Observation], after: list[Observation]) -> ComparisonRow:
    comparison = compare("base", "patched", results("base", *before), results("patched", *after))
    (only,) = comparison.rows
    return only


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ([PASS], [PASS], Change.SAME_PASS),
        ([FAIL], [PASS], Change.FIXED),
        ([PANIC], [PASS], Change.FIXED),
        ([PASS], [FAIL], Change.REGRESSED),
        ([PASS], [PANIC], Change.REGRESSED),
        ([FAIL], [FAIL], Change.SAME_FAIL),
        ([PANIC], [PANIC], Change.SAME_FAIL),
        ([PANIC], [FAIL], Change.GONE_SPLAT),
        ([FAIL], [PANIC], Change.NEW_SPLAT),
        ([PASS, FAIL], [PASS, PASS], Change.UNSTABLE),
        ([PASS, PASS], [PASS, FAIL], Change.UNSTABLE),
        ([PASS], [LOST], Change.MISSING),
        ([LOST], [PASS], Change.MISSING),
        ([SKIP], [PASS], Change.MISSING),
        ([PASS], [SKIP], Change.MISSING),
        ([PASS], [], Change.MISSING),
        ([], [FAIL], Change.MISSING),
    ],
)
def test_a_row_changes_as_its_verdicts_say(
    before: list[Observation], after: list[Observation], change: Change
) -> None:
    assert row(before, after).change is change


def test_good_and_bad_changes_are_told_apart() -> None:
    bad = {change for change in Change if change.is_bad}
    assert bad == {Change.REGRESSED, Change.NEW_SPLAT, Change.UNSTABLE, Change.MISSING}


def test_what_both_sides_skip_is_no_row() -> None:
    assert compare("a", "b", results("base", SKIP), results("patched", SKIP)).rows == ()


def test_repeats_that_differ_are_counted_on_the_side_where_they_do() -> None:
    only = row([PASS, PASS], [PASS, FAIL, FAIL])
    assert (only.base, only.patched) == ("pass", "mixed")
    assert only.detail == "patched: 1 pass, 2 fail"


def test_a_side_without_a_verdict_says_why() -> None:
    assert row([PASS], []).detail == "no verdict on patched: was not run"
    assert row([LOST], [PASS]).detail == "no verdict on base: the lab ended"


@pytest.mark.parametrize(
    ("before", "after", "change", "shown"),
    [
        ([PASS, LOST], [PASS, PASS], Change.MISSING, ("error", "pass")),
        ([PASS, PASS], [LOST, PASS], Change.MISSING, ("pass", "error")),
        ([FAIL, FAIL], [PASS, LOST], Change.MISSING, ("fail", "error")),
        ([PASS, PASS], [FAIL, LOST], Change.REGRESSED, ("pass", "fail")),
        ([FAIL, LOST], [PANIC, PANIC], Change.NEW_SPLAT, ("fail", "fail")),
        ([PASS, LOST], [PASS, FAIL], Change.UNSTABLE, ("pass", "mixed")),
        ([LOST, LOST], [PASS, FAIL], Change.MISSING, ("error", "mixed")),
    ],
)
def test_a_repeat_that_the_lab_lost_hides_nothing_and_blames_no_kernel(
    before: list[Observation],
    after: list[Observation],
    change: Change,
    shown: tuple[str, str],
) -> None:
    only = row(before, after)
    assert (only.change, (only.base, only.patched)) == (change, shown)


def test_how_many_repeats_were_lost_is_said() -> None:
    told = row([PASS, PASS, PASS], [PASS, LOST, PASS]).detail
    assert told == "no verdict on patched in 1 of 3 repeats: the lab ended"


def test_a_subtest_that_no_longer_passes_is_a_regression_inside_a_failure() -> None:
    before = observation(failed("a"), passed("b"))
    after = observation(failed("a"), failed("b"))
    only = row([before], [after])
    assert only.change is Change.REGRESSED
    assert only.detail == "fails on patched only: b"


def test_a_subtest_that_vanished_is_missing_although_the_rest_passes() -> None:
    only = row([observation(passed("a"), passed("b"))], [observation(passed("a"))])
    assert only.change is Change.MISSING
    assert only.detail == "subtest no longer passes on patched: b"


def test_a_hang_where_base_only_failed_is_a_regression() -> None:
    hang = observation(failed(), outcome=Outcome.HANG, detail="no heartbeat")
    only = row([FAIL], [hang])
    assert only.change is Change.REGRESSED
    assert only.detail.startswith("completed -> hang")


def test_another_panic_is_a_new_splat_and_not_the_same_failure() -> None:
    other = observation(outcome=Outcome.PANIC, splats=[splat("KASAN in demo_get")])
    only = row([PANIC], [other])
    assert (only.change, only.detail) == (Change.NEW_SPLAT, "KASAN in demo_get")


def test_a_splat_that_follows_another_is_no_news() -> None:
    def panicked(*more: Splat) -> Observation:
        return observation(outcome=Outcome.PANIC, splats=[splat("first"), *more])

    assert row([panicked()], [panicked(splat("x", following=True))]).change is Change.SAME_FAIL


def test_rows_are_told_apart_by_testcase_settings_and_guest() -> None:
    def both(kernel: str, *seen: Observation) -> list[CellResult]:
        return [
            result(one, cell=cell(kernel=kernel, testcase=testcase(f"exclusive/t{number}")))
            for number, one in enumerate(seen)
        ]

    comparison = compare("base", "patched", both("base", PASS, FAIL), both("patched", PASS, PASS))
    assert [(one.testcase, one.change) for one in comparison.rows] == [
        ("exclusive/t0", Change.SAME_PASS),
        ("exclusive/t1", Change.FIXED),
    ]
    assert comparison.count(Change.FIXED) == 1


@pytest.mark.parametrize(
    ("after", "change"),
    [
        ([failed("a")], Change.MISSING),
        ([failed("a"), Subtest("b", Verdict.SKIP)], Change.MISSING),
        ([failed("a"), Subtest("b", Verdict.ERROR)], Change.MISSING),
        ([failed("a"), passed("b"), failed("lab: exit")], Change.REGRESSED),
        ([failed("a"), passed("b"), failed("c")], Change.REGRESSED),
        ([failed("a"), passed("b")], Change.SAME_FAIL),
    ],
)
def test_two_failures_are_the_same_only_if_they_fail_alike(
    after: list[Subtest], change: Change
) -> None:
    before = observation(failed("a"), passed("b"))
    assert row([before], [observation(*after)]).change is change


def test_a_subtest_lost_in_one_repeat_is_lost() -> None:
    before = observation(failed("a"), passed("b"))
    assert row([before, before], [before, observation(failed("a"))]).change is Change.MISSING


def test_what_base_died_before_is_no_news() -> None:
    died = observation(outcome=Outcome.PANIC, splats=[splat("kernel BUG in demo_walk")])
    assert row([died], [observation(failed("b"))]).change is Change.GONE_SPLAT
