# SPDX-License-Identifier: GPL-2.0
"""Numbers of a row: which differ, which are noise, and which a lab file limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rmaplab.compare import compare
from rmaplab.compare import numbers as compare_numbers
from rmaplab.compare.noise import Noise, are_apart, cost_differs, counter_differs, noise
from rmaplab.model import (
    INSTRUCTIONS,
    CellResult,
    Change,
    CheckedValue,
    Comparison,
    ComparisonRow,
    Direction,
    Limit,
    MeasuredCost,
    Observation,
    Outcome,
)
from rmaplab.report import numbers

from .builders import cell, failed, finding, observation, passed, result, splat

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "counters"
SPLITS = "vmstat.thp_split_page"
MIGRATED = "vmstat.pgmigrate_success"

Values = list[list[int]]


# -- the noise of one kernel that ran twice -----------------------------------------------------


def twice(name: str) -> Iterator[tuple[str, list[int], list[int]]]:
    """Yield what was measured, and its numbers on either side."""
    for line in (GOLDEN / name).read_text(encoding="utf-8").splitlines():
        if not line.startswith(("#", "row ")):
            measured, _, sides = line.rpartition(": ")
            base, patched = (list(map(int, side.split())) for side in sides.split(" | "))
            yield measured, base, patched


COUNTERS = list(twice("one-kernel-twice.txt"))
COSTS = list(twice("one-kernel-twice-exact.txt"))


def test_the_measured_runs_are_there() -> None:
    assert len(COUNTERS) > 1000
    assert {len(side) for _, *sides in COUNTERS for side in sides} == {4}
    assert len(COSTS) > 30


def test_one_kernel_that_runs_twice_differs_in_no_counter() -> None:
    alarms = [name for name, base, patched in COUNTERS if counter_differs(name, base, patched)]
    assert alarms == []


def test_one_cell_of_one_kernel_differs_from_another_in_no_counter() -> None:
    alarms = [
        name
        for name, base, patched in COUNTERS
        for one in base
        for other in patched
        if counter_differs(name, [one], [other])
    ]
    assert alarms == []


def test_one_kernel_that_runs_twice_differs_in_no_instructions() -> None:
    assert [name for name, base, patched in COSTS if cost_differs(base, patched)] == []


def test_the_noise_that_the_rule_leaves_out_is_there() -> None:
    apart = {name for name, base, patched in COUNTERS if are_apart(base, patched)}
    assert apart
    assert {noise(name) for name in apart} <= {Noise.BOOT, Noise.REPEATED}


@pytest.mark.parametrize(
    ("counter", "base", "patched", "differs"),
    [
        (SPLITS, [2], [3], True),
        (SPLITS, [2, 2, 2], [2, 2, 3], True),
        (SPLITS, [2, 3, 2], [3, 4, 3], False),
        (SPLITS, [2, 3, 2], [5, 4, 4], True),
        ("vmstat.nr_mapped", [0], [-64], True),
        (MIGRATED, [64], [512], False),
        (MIGRATED, [64, 64, 66], [512, 511, 512], True),
        (MIGRATED, [64, 64, 66], [67, 68, 68], False),
        ("vmstat.pgfault", [493, 493, 493], [491, 491, 491], False),
        ("vmstat.pgfault", [493, 493, 493], [502, 502, 502], True),
        ("buddyinfo.node0.order7", [1, 1, 1], [90, 90, 90], False),
        (MIGRATED, [60, 64, 64], [67, 67, 67], False),
        (MIGRATED, [60, 64, 64], [68, 68, 68], False),
        (MIGRATED, [60, 64, 64], [69, 69, 69], True),
        (MIGRATED, [64, 64, 64], [65, 65, 65], True),
    ],
)
def test_a_counter_differs_beyond_its_noise_alone(
    counter: str, base: list[int], patched: list[int], differs: bool
) -> None:
    assert counter_differs(counter, base, patched) is differs
    assert counter_differs(counter, patched, base) is differs


# -- rows ----------------------------------------------------------------------------------------


def results(kernel: str, *seen: Observation) -> list[CellResult]:
    return [
        result(one, cell=cell(kernel=kernel, repeat=number))
        for number, one in enumerate(seen, start=1)
    ]


def compared(
    before: Sequence[Observation],
    after: Sequence[Observation],
    counters: tuple[Mapping[str, int | None], Mapping[str, int | None]] = ({}, {}),
    limits: Sequence[Limit] = (),
) -> Comparison:
    """Compare one row; every repeat of a side shows the same counters."""
    return compare(
        "base", "patched", results("base", *before), results("patched", *after),
        read=lambda one: counters[one.cell.kernel == "patched"], limits=limits,
    )  # fmt: skip


def row(*args: object, **facts: object) -> ComparisonRow:
    (only,) = compared(*args, **facts).rows  # type: ignore[arg-type]
    return only


PASS = observation(passed("a"))


def checks(got: int, expected: int = 8, what: str = "read") -> Observation:
    value = CheckedValue("a", what, 1, got, None if got == expected else expected)
    shown = passed("a") if got == expected else failed("a")
    return replace(observation(shown), values=(value,))


def costs(*instructions: int, name: str = "fork of 64 sharers") -> Observation:
    found = [MeasuredCost("a", name, number, n) for number, n in enumerate(instructions, start=1)]
    return replace(PASS, costs=tuple(found))


def test_a_test_that_fails_on_both_sides_shows_that_it_fails_worse() -> None:
    only = row([checks(4)], [checks(0)])
    assert only.change is Change.SAME_FAIL
    (value,) = only.values
    assert (value.direction, value.phrase) == (Direction.WORSE, "read: 4 -> 0 of 8")


@pytest.mark.parametrize(
    ("before", "after", "directions"),
    [
        ([4], [6], [Direction.BETTER]),
        ([4], [12], [Direction.OTHER]),
        ([4], [8], [Direction.BETTER]),
        ([8], [4], [Direction.WORSE]),
        ([4], [4], []),
        ([4, 6, 5], [5, 4, 4], []),
        ([4, 4, 4], [4, 4, 3], [Direction.WORSE]),
        ([8, 8, 0], [4, 4, 4], [Direction.WORSE]),
        ([8], [8], []),
    ],
)
def test_values_are_compared_by_their_distance_from_what_is_expected(
    before: list[int], after: list[int], directions: list[Direction]
) -> None:
    only = row([checks(n) for n in before], [checks(n) for n in after])
    assert [value.direction for value in only.values] == directions


def test_a_value_that_no_check_refuses_is_no_fact() -> None:
    before = replace(observation(passed("a")), values=(CheckedValue("a", "pid", 1, 77),))
    after = replace(observation(passed("a")), values=(CheckedValue("a", "pid", 1, 78),))
    assert row([before], [after]).values == ()


def test_instructions_are_compared_by_operation() -> None:
    only = row([costs(1_204_000, 100)], [costs(1_391_000, 100)])
    assert only.change is Change.SAME_PASS
    assert [(cost.name, cost.differs) for cost in only.costs] == [
        ("fork of 64 sharers", True),
        ("fork of 64 sharers #2", False),
    ]
    text = "fork of 64 sharers: 1.204 M -> 1.391 M instructions, +15.5 %"
    assert only.costs[0].phrase == text


def test_counters_are_read_a_row_at_a_time_and_only_where_both_sides_have_a_verdict() -> None:
    asked: list[str] = []

    def read(one: CellResult) -> Mapping[str, int | None]:
        asked.append(one.cell.id)
        return {SPLITS: 1}

    skip = observation(skip="needs swap")
    compare("base", "patched", results("base", PASS), results("patched", skip), read=read)
    assert asked == []
    compare("base", "patched", results("base", PASS), results("patched", PASS), read=read)
    assert len(asked) == 2


def test_a_counter_that_one_kernel_does_not_show_is_not_compared() -> None:
    assert row([PASS], [PASS], ({SPLITS: None}, {SPLITS: 4})).counters == ()
    assert row([PASS], [PASS], ({}, {SPLITS: 4})).counters == ()


# -- limits --------------------------------------------------------------------------------------


def limit(name: str, more: float, *, is_percent: bool = False) -> Limit:
    return Limit(name, more, is_percent, 7)


@pytest.mark.parametrize("name", [SPLITS, "thp_split_page", "thp_split_*", "vmstat.thp_*"])
def test_a_counter_over_its_limit_makes_a_row_bad(name: str) -> None:
    only = row([PASS], [PASS], ({SPLITS: 0}, {SPLITS: 3}), [limit(name, 0)])
    assert only.change is Change.REGRESSED
    assert only.detail == "over the limit: vmstat.thp_split_page: 0 -> 3, limit +0"


@pytest.mark.parametrize(
    ("more", "is_percent", "patched", "change"),
    [
        (3, False, 103, Change.SAME_PASS),
        (3, False, 104, Change.REGRESSED),
        (2, True, 102, Change.SAME_PASS),
        (2, True, 103, Change.REGRESSED),
        (-5, True, 95, Change.SAME_PASS),
        (-5, True, 96, Change.REGRESSED),
        (0, False, 3, Change.SAME_PASS),
    ],
)
def test_a_limit_is_what_patched_may_show_beyond_base(
    more: float, is_percent: bool, patched: int, change: Change
) -> None:
    limits = [limit(SPLITS, more, is_percent=is_percent)]
    assert row([PASS], [PASS], ({SPLITS: 100}, {SPLITS: patched}), limits).change is change


def test_a_percentage_of_a_fall_is_one_of_its_size() -> None:
    limits = [limit(SPLITS, 2, is_percent=True)]
    for patched, change in ((-98, Change.SAME_PASS), (-97, Change.REGRESSED)):
        assert row([PASS], [PASS], ({SPLITS: -100}, {SPLITS: patched}), limits).change is change


def test_instructions_over_their_limit_make_a_row_bad() -> None:
    two_percent = [limit(INSTRUCTIONS, 2, is_percent=True)]
    assert row([costs(1000)], [costs(1020)], limits=two_percent).change is Change.SAME_PASS
    only = row([costs(1000)], [costs(1021)], limits=two_percent)
    assert only.change is Change.REGRESSED
    assert "1.021 k instructions, +2.1 %, limit +2 %" in only.detail


def test_one_repeat_over_a_limit_is_enough() -> None:
    seen = iter([0, 0, 0, 0, 0, 5])
    found = compare(
        "base", "patched", results("base", *[PASS] * 3), results("patched", *[PASS] * 3),
        read=lambda _: {SPLITS: next(seen)}, limits=[limit(SPLITS, 0)],
    )  # fmt: skip
    assert found.rows[0].change is Change.REGRESSED


def test_a_limit_is_held_against_the_greatest_number_of_bases_repeats() -> None:
    seen = iter([0, 5, 5, 4])
    found = compare(
        "base", "patched", results("base", PASS, PASS), results("patched", PASS, PASS),
        read=lambda _: {SPLITS: next(seen)}, limits=[limit(SPLITS, 0)],
    )  # fmt: skip
    assert found.rows[0].change is Change.SAME_PASS


def test_a_new_splat_over_a_limit_stays_a_new_splat() -> None:
    splatted = observation(failed("a"), outcome=Outcome.SPLAT, splats=[splat()])
    limits = [limit(SPLITS, 0)]
    only = row([observation(failed("a"))], [splatted], ({SPLITS: 0}, {SPLITS: 9}), limits)
    assert only.change is Change.NEW_SPLAT
    assert only.detail.startswith("over the limit: ")


def test_a_number_with_a_limit_that_patched_does_not_show_is_missing() -> None:
    only = row([PASS], [PASS], ({SPLITS: 0}, {}), [limit(SPLITS, 0)])
    assert (only.change, only.detail) == (
        Change.MISSING, "not shown on patched, and limited: vmstat.thp_split_page",
    )  # fmt: skip
    limits = [limit(INSTRUCTIONS, 0)]
    assert row([costs(100)], [PASS], limits=limits).change is Change.MISSING


def test_a_limit_does_not_make_a_bad_row_better() -> None:
    dies = observation(outcome=Outcome.PANIC, detail="x")
    only = row([PASS], [dies], ({SPLITS: 0}, {SPLITS: 9}), [limit(SPLITS, 0)])
    assert only.change is Change.REGRESSED
    assert only.detail.endswith("; panic: x")


def test_a_limit_that_was_held_against_nothing_is_named() -> None:
    limits = [limit(SPLITS, 0), limit(INSTRUCTIONS, 2, is_percent=True)]
    found = compared([PASS], [PASS], ({SPLITS: 0}, {SPLITS: 0}), limits)
    assert [one.name for one in found.unchecked] == [INSTRUCTIONS]


# -- lines ---------------------------------------------------------------------------------------


def test_the_worst_number_comes_first() -> None:
    def both(kernel: str, *seen: Observation) -> list[CellResult]:
        return [result(one, cell=cell(kernel=kernel, device=str(n))) for n, one in enumerate(seen)]

    found = compare(
        "base", "patched",
        both("base", checks(0), costs(100_000), costs(100_000, name="b"), checks(4)),
        both("patched", checks(8), costs(110_000), costs(190_000, name="b"), checks(0)),
        read=lambda one: {SPLITS: 7 if one.cell.kernel == "patched" else 0},
    )  # fmt: skip
    texts = [line.text.partition(":")[0] for line in numbers.lines(found)]
    assert texts[:4] == ["read", "b", "fork of 64 sharers", SPLITS]
    assert "(worse)" in numbers.lines(found)[0].text


def test_a_number_that_differs_alike_in_many_rows_is_one_line() -> None:
    found = compare(
        "base", "patched",
        [result(PASS, cell=cell(kernel="base", device=d)) for d in "abc"],
        [result(PASS, cell=cell(kernel="patched", device=d)) for d in "abc"],
        read=lambda one: {SPLITS: 7 if one.cell.kernel == "patched" else 0},
    )  # fmt: skip
    (only,) = numbers.lines(found)
    assert only.rows == 3
    assert only.phrase.endswith("[q35.a thp-never and 2 more]: vmstat.thp_split_page: 0 -> 7")


# -- the edges of the rules ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "patched", "differs"),
    [
        ([1000], [6000], False),
        ([1000], [6001], True),
        ([6001], [1000], True),
        ([1000, 9000], [15000], False),
        ([1000, 9000], [17001], True),
        ([15000], [1000, 9000], False),
        ([17000], [1000, 9000], False),
        ([17001], [1000, 9000], True),
    ],
)
def test_instructions_differ_beyond_a_tick_and_the_spread_of_either_side(
    base: list[int], patched: list[int], differs: bool
) -> None:
    assert cost_differs(base, patched) is differs


@pytest.mark.parametrize(
    ("base", "patched", "apart"),
    [
        ([], [1], False),
        ([1], [], False),
        ([1], [1], False),
        ([1], [2], True),
        ([1, 3], [2], False),
        ([1, 3], [3, 4], False),
        ([1, 3], [4, 5], True),
        ([2, 2], [2, 3], True),
        ([2, 3], [2, 2], True),
        ([2, 2], [2, 2], False),
        ([2, 2], [2], False),
    ],
)
def test_exact_numbers_are_apart_where_their_ranges_do_not_meet_or_one_side_repeats(
    base: list[int], patched: list[int], apart: bool
) -> None:
    assert are_apart(base, patched) is apart


def test_the_counter_that_moved_furthest_is_named_first() -> None:
    def side(kernel: str, *moved: Mapping[str, int]) -> list[CellResult]:
        return [
            result(observation(passed()), cell=cell(kernel=kernel, repeat=number))
            for number, _ in enumerate(moved, start=1)
        ]

    base = [{"a": 100, "b": 1, "c": 10}, {"a": 100, "b": 1, "c": 10}]
    patched = [{"a": 101, "b": 9, "c": 0}, {"a": 101, "b": 9, "c": 0}]
    numbers_of = {
        one.cell.id: moved
        for kernel, told in (("base", base), ("patched", patched))
        for one, moved in zip(side(kernel, *told), told, strict=True)
    }
    comparison = compare(
        "base",
        "patched",
        side("base", *base),
        side("patched", *patched),
        read=lambda one: numbers_of[one.cell.id],
    )
    (row,) = comparison.rows
    assert [one.name for one in row.counters] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("before", "after", "direction"),
    [
        ([1], [1], Direction.OTHER),
        ([1], [2], Direction.WORSE),
        ([2], [1], Direction.BETTER),
        ([4], [1, 1, 1], Direction.BETTER),
        ([1, 1, 1], [2], Direction.WORSE),
        ([1, 2], [1, 2, 3], Direction.WORSE),
        ([2, 2], [2], Direction.OTHER),
        ([1], [1, 1], Direction.OTHER),
    ],
)
def test_a_direction_is_that_of_the_means(
    before: list[int], after: list[int], direction: Direction
) -> None:
    assert compare_numbers._direction(before, after) is direction


def test_a_value_without_an_expectation_is_as_far_off_as_an_expected_one() -> None:
    def value(got: int, expected: int | None) -> CheckedValue:
        return CheckedValue("t", "pages", 1, got, expected)

    assert compare_numbers._errors([value(8, None), value(8, 8), value(3, 8), value(9, 8)]) == [
        0, 0, 5, 1,
    ]  # fmt: skip


# -- which numbers are compared, and in which order ----------------------------------------------


def measures(*costs_: MeasuredCost, **facts: object) -> Observation:
    return replace(PASS, costs=tuple(costs_), **facts)  # type: ignore[arg-type]


def test_an_operation_that_one_side_did_not_measure_hides_no_other() -> None:
    before = measures(MeasuredCost("a", "gone", 2, 5), MeasuredCost("b", "fork", 1, 100),
                      MeasuredCost("a", "fork", 2, 100))  # fmt: skip
    after = measures(MeasuredCost("b", "fork", 1, 101), MeasuredCost("a", "fork", 2, 101))
    only = row([before], [after], limits=[limit(INSTRUCTIONS, 50, is_percent=True)])
    assert [(one.subtest, one.name) for one in only.costs] == [("a", "fork #2"), ("b", "fork")]
    assert (only.change, only.detail) == (
        Change.MISSING, "not shown on patched, and limited: instructions of gone #2",
    )  # fmt: skip


def test_all_that_patched_hides_of_what_is_limited_is_named() -> None:
    before = measures(MeasuredCost("a", "fork", 1, 5))
    limits = [limit(INSTRUCTIONS, 0), limit("vmstat.thp_*", 0)]
    only = row([before], [PASS], ({SPLITS: 0, "vmstat.nr_mapped": 0}, {}), limits)
    assert only.detail == (
        "not shown on patched, and limited: instructions of fork, vmstat.thp_split_page"
    )


def test_the_numbers_over_their_limits_are_one_list() -> None:
    limits = [limit(SPLITS, 0), limit("vmstat.nr_mapped", 0)]
    only = row(
        [PASS], [PASS], ({SPLITS: 0, "vmstat.nr_mapped": 1}, {SPLITS: 3, "vmstat.nr_mapped": 2}),
        limits,
    )  # fmt: skip
    assert only.detail == (
        "over the limit: vmstat.thp_split_page: 0 -> 3, limit +0; "
        "vmstat.nr_mapped: 1 -> 2, limit +0"
    )


def test_each_value_is_compared_and_the_worse_come_first() -> None:
    def shows(**got: int) -> Observation:
        values = [CheckedValue("s", what, 1, number, 8) for what, number in got.items()]
        return replace(observation(failed("s")), values=tuple(values))

    only = row([shows(b=4, same=4, gone=3, d=4, a=4, c=4)], [shows(b=6, same=4, d=12, a=2, c=0)])
    assert [(one.subtest, one.name, one.direction) for one in only.values] == [
        ("s", "a", Direction.WORSE), ("s", "c", Direction.WORSE), ("s", "b", Direction.BETTER),
        ("s", "d", Direction.OTHER),
    ]  # fmt: skip
    assert [one.expected for one in only.values] == [8, 8, 8, 8]


def test_a_value_of_which_the_repeats_expect_different_ones_has_no_goal() -> None:
    def expects(*pairs: tuple[int, int]) -> list[Observation]:
        return [
            replace(observation(failed("s")), values=(CheckedValue("s", "n", 1, got, expected),))
            for got, expected in pairs
        ]

    (value,) = row(expects((4, 8), (4, 9)), expects((3, 8), (3, 9))).values
    assert (value.expected, value.direction) == (None, Direction.WORSE)


@pytest.mark.parametrize(
    ("before", "after", "direction"),
    [
        (64, 640, Direction.WORSE),
        (640, 64, Direction.BETTER),
        (64, -64, Direction.OTHER),
        (-64, -65, Direction.WORSE),
    ],
)
def test_the_amount_of_a_finding_is_compared_by_its_size(
    before: int, after: int, direction: Direction
) -> None:
    def leaks(pages: int) -> Observation:
        return observation(failed("a"), findings=[finding(about="x", amount=pages)])

    (value,) = row([leaks(before)], [leaks(after)]).values
    assert (value.subtest, value.name, value.base, value.patched) == (
        "", "lab: ledger: x", (before,), (after,),
    )  # fmt: skip
    assert (value.expected, value.direction) == (0, direction)
    assert row([leaks(before)], [leaks(before)]).values == ()


def test_a_finding_of_base_alone_is_no_number_of_both() -> None:
    def leaks(*accounts: str) -> Observation:
        found = [finding(about=one, amount=5 + len(accounts)) for one in accounts]
        return observation(failed("a"), findings=found)

    (value,) = row([leaks("gone", "x")], [leaks("x")]).values
    assert value.name == "lab: ledger: x"


def test_a_limit_of_instructions_hides_no_limit_behind_it() -> None:
    limits = [limit(INSTRUCTIONS, 50, is_percent=True), limit(SPLITS, 0)]
    only = row([costs(100)], [costs(100)], ({SPLITS: 0}, {SPLITS: 3}), limits)
    assert only.change is Change.REGRESSED
