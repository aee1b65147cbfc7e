# SPDX-License-Identifier: GPL-2.0
"""The numbers that differ in a comparison as lines of text, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rmaplab.model import Change, Comparison, ComparisonRow, Direction

SHOWN = 12
"""Lines that the terminal and summary.md show; report.html and results.json have all."""


@dataclass(frozen=True, slots=True)
class NumberLine:
    """One number that differs in the same way in ``rows`` rows of a testcase.

    ``where`` is the guest and the settings of the first of them. ``is_worse`` says that it speaks
    against B.
    """

    testcase: str
    where: str
    text: str
    rows: int
    is_worse: bool

    @property
    def phrase(self) -> str:
        """Give the line without markup: ``fork/cow [q35 thp-never]: read: 4 -> 0 of 8``."""
        more = f" and {self.rows - 1} more" if self.rows > 1 else ""
        return f"{self.testcase} [{self.where}{more}]: {self.text}"


def lines(comparison: Comparison) -> tuple[NumberLine, ...]:
    """List the numbers that differ, the worst first.

    First those that are worse in rows that fail on both kernels, instructions by how much they
    grew, then counters, and last what a row that is fixed or regressed shows anyway.
    """
    groups: dict[tuple[str, str], list[tuple[tuple[int, float], ComparisonRow, bool]]] = {}
    for row in comparison.rows:
        for order, text, is_worse in _of(row):
            groups.setdefault((row.testcase, text), []).append((order, row, is_worse))
    found = []
    for (testcase, text), members in groups.items():
        order, row, is_worse = min(members, key=lambda one: one[0])
        line = NumberLine(testcase, f"{row.place} {row.settings}", text, len(members), is_worse)
        found.append((order, line))
    return tuple(line for _, line in sorted(found, key=lambda one: (one[0], one[1].phrase)))


def title(found: Sequence[NumberLine]) -> str:
    """Return the heading above the lines: ``3 numbers differ, 1 for the worse``."""
    worse = sum(line.is_worse for line in found)
    end = "" if len(found) > 1 else "s"
    return f"{len(found)} number{'s' if len(found) > 1 else ''} differ{end}, {worse} for the worse"


_EXPLAINED = {Change.FIXED, Change.REGRESSED}
"""Changes of rows whose verdicts differ, as a rule: that their numbers differ is no surprise."""


def _of(row: ComparisonRow) -> Iterator[tuple[tuple[int, float], str, bool]]:
    """Yield each number of a row with its place in the order, its text, and if it is worse."""
    last = 5 if row.change in _EXPLAINED and row.base != row.patched else 0
    for value in row.values:
        is_worse = value.direction is Direction.WORSE
        yield (last + (0 if is_worse else 3), 0.0), f"{value.phrase} ({value.direction})", is_worse
    for cost in row.costs:
        if cost.differs:
            grew = cost.percent > 0
            yield (last + (1 if grew else 4), -cost.percent), cost.phrase, grew
    for counter in row.counters:
        yield (last + 2, 0.0), counter.phrase, False
