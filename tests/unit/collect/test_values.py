# SPDX-License-Identifier: GPL-2.0
"""Numbers in diagnostics: what check_eq() and measure.c print, and what looks like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmaplab.collect.ktap import parse_ktap
from rmaplab.collect.values import MAX_NUMBERS, costs, values
from rmaplab.model import CheckedValue, MeasuredCost, Subtest, Verdict


def failing(*lines: str, name: str = "a") -> Subtest:
    return Subtest(name, Verdict.FAIL, "\n".join(lines))


def test_a_value_is_read_whether_its_check_passed_or_failed() -> None:
    found = values([failing("read: 8", "FAILED: read: 4, expected 8")])
    assert found == (CheckedValue("a", "read", 1, 8), CheckedValue("a", "read", 2, 4, 8))


def test_a_name_may_have_colons_and_a_value_a_sign() -> None:
    (only,) = values([failing("FAILED: EXCLUSIVE(head + 4K, 1): -16, expected 0")])
    assert (only.what, only.got, only.expected) == ("EXCLUSIVE(head + 4K, 1)", -16, 0)
    (only,) = values([failing("parent: pages: 3")])
    assert only.what == "parent: pages"


@pytest.mark.parametrize(
    "line",
    [
        "RssAnon: 2092 kB",
        "FAILED: soft offline of page 0: Resource busy",
        "FAILED: page 0: count=0",
        "page 0: pfn=0x3e4dd count=1",
        f"FAILED: x: {'9' * 5000}, expected 0",
        "FAILED: x: 4, expected many",
        "FAILED: x: 4",
        ": 4",
        "",
    ],
)
def test_other_lines_are_no_values(line: str) -> None:
    assert values([failing(line)]) == ()


def test_values_of_one_name_are_counted_in_each_subtest() -> None:
    found = values([failing("n: 1", "n: 2"), failing("n: 3", name="b")])
    assert [(one.subtest, one.number) for one in found] == [("a", 1), ("a", 2), ("b", 1)]


def test_a_workload_that_prints_without_end_keeps_the_first_values() -> None:
    found = values([failing(*(f"n{number}: 1" for number in range(MAX_NUMBERS + 5)))])
    assert len(found) == MAX_NUMBERS
    assert found[0].what == "n0"


def test_instructions_are_those_of_the_subtest_or_of_the_operation_that_is_named() -> None:
    lines = (
        "KTAP version 1",
        "1..2",
        "# rmaplab: instructions 120",
        "ok 1 touch",
        "# rmaplab: instructions 7 fork of 64 sharers",
        "# rmaplab: instructions 8 fork of 64 sharers",
        "ok 2 fork",
    )
    assert costs(parse_ktap(lines).subtests) == (
        MeasuredCost("touch", "touch", 1, 120),
        MeasuredCost("fork", "fork of 64 sharers", 1, 7),
        MeasuredCost("fork", "fork of 64 sharers", 2, 8),
    )


@given(st.text())
def test_any_diagnostics_can_be_read(text: str) -> None:
    subtests = [failing(text)]
    assert all(isinstance(one.got, int) for one in values(subtests))
    assert all(isinstance(one.instructions, int) for one in costs(subtests))
