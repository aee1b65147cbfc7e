# SPDX-License-Identifier: GPL-2.0
"""Verdicts of cells, of their repeats, and of a comparison."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rmaplab.model.evidence import Observation, Splat
from rmaplab.model.matrix import Cell, Limit, place
from rmaplab.model.verdicts import Change, Outcome, Verdict


class JudgedSplat(NamedTuple):
    """A splat, and the reason why it is allowed; empty for one that fails the cell."""

    splat: Splat
    allowed: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, its reason, and the verdict that the lab file expected.

    ``expected`` is the verdict that the lab file led us to expect, ``as_expected`` whether the
    cell ended that way, in outcome and splats too; ``known`` is the lab file's reason then.
    ``outcome`` is how the cell ended, allowed splats left out of account, and ``splats`` are the
    observation's.
    """

    verdict: Verdict
    reason: str
    expected: Verdict
    as_expected: bool
    known: str = ""
    outcome: Outcome = Outcome.LOST
    splats: tuple[JudgedSplat, ...] = ()


@dataclass(frozen=True, slots=True)
class CellResult:
    """A cell with what it showed and what we think of it."""

    cell: Cell
    observation: Observation
    judgement: Judgement

    @property
    def outcome(self) -> Outcome:
        """How the cell ended, allowed splats left out of account."""
        return self.judgement.outcome

    @property
    def splats(self) -> tuple[JudgedSplat, ...]:
        """Each splat with the reason why it is allowed, empty for one that is not."""
        return self.judgement.splats


@dataclass(frozen=True, slots=True)
class Unstable:
    """A testcase whose repeats, all else alike, ended with different verdicts.

    ``counts`` are repeats by verdict, in Verdict's order; ``cells`` the ids of all of them, those
    that ended in the lab's error too.
    """

    kernel: str
    guest: str
    settings: str
    device: str
    testcase: str
    counts: Mapping[Verdict, int]
    cells: tuple[str, ...]

    @property
    def place(self) -> str:
        """The guest as the names of cells and suites have it."""
        return place(self.guest, self.device)

    @property
    def detail(self) -> str:
        """``4 pass, 1 fail``."""
        return ", ".join(f"{count} {verdict}" for verdict, count in self.counts.items())


class Direction(enum.StrEnum):
    """Name how a compared number moved on B."""

    WORSE = "worse"
    BETTER = "better"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ComparedCounter:
    """A counter whose change over a cell differs between the kernels.

    ``base`` and ``patched`` are its changes in the counter's own unit, one a repeat, in their
    order.
    """

    name: str
    base: tuple[int, ...]
    patched: tuple[int, ...]

    @property
    def phrase(self) -> str:
        """Give both sides: ``vmstat.thp_split_page: 0 -> 3``."""
        return f"{self.name}: {span(self.base)} -> {span(self.patched)}"


@dataclass(frozen=True, slots=True)
class ComparedCost:
    """Guest instructions of one operation on both kernels, one a repeat, in their order.

    ``differs`` says that they differ beyond what repeats explain, ``percent`` by how much.
    """

    subtest: str
    name: str
    base: tuple[int, ...]
    patched: tuple[int, ...]
    differs: bool

    @property
    def percent(self) -> float:
        """Give the change of the mean, in percent of base's."""
        before, after = _mean(self.base), _mean(self.patched)
        return 100 * (after - before) / before if before else 0.0

    @property
    def phrase(self) -> str:
        """Give both sides: ``fork of 64 sharers: 1.204 M -> 1.391 M instructions, +15.5 %``."""
        before, after = _short(_mean(self.base)), _short(_mean(self.patched))
        return f"{self.name}: {before} -> {after} instructions, {self.percent:+.1f} %"


@dataclass(frozen=True, slots=True)
class ComparedValue:
    """A checked value, or the amount of a finding, that differs between the kernels.

    ``base`` and ``patched`` are those of the repeats, in their order. ``expected`` is the number
    that the workload expects, 0 for a finding, None where the repeats expect different ones.
    """

    subtest: str
    name: str
    base: tuple[int, ...]
    patched: tuple[int, ...]
    expected: int | None
    direction: Direction

    @property
    def phrase(self) -> str:
        """Give both sides: ``read: 4 -> 0 of 8``."""
        of = f" of {self.expected}" if self.expected else ""
        return f"{self.name}: {span(self.base)} -> {span(self.patched)}{of}"


def span(numbers: Sequence[int]) -> str:
    """Return a number, or the range of several: ``4``, ``4 to 8``."""
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _mean(numbers: Sequence[int]) -> float:
    return sum(numbers) / len(numbers)


def _short(number: float) -> str:
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= unit:
            return f"{number / unit:.3f}{name}"
    return f"{number:.0f}"


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One testcase x settings x guest x device on both kernels.

    ``base`` and ``patched`` are the verdicts, ``mixed`` where repeats differ, empty where there
    is none. ``counters``, ``costs`` and ``values`` are the numbers that differ, the worst first;
    ``costs`` has every operation that both kernels measured.
    """

    testcase: str
    settings: str
    guest: str
    base: str
    patched: str
    change: Change
    detail: str
    device: str = ""
    counters: tuple[ComparedCounter, ...] = ()
    costs: tuple[ComparedCost, ...] = ()
    values: tuple[ComparedValue, ...] = ()

    @property
    def place(self) -> str:
        """Give the guest as the names of cells and suites have it."""
        return place(self.guest, self.device)


class SplatChange(enum.StrEnum):
    """How a splat moved from A (base) to B (patched)."""

    NEW = "new"
    GONE = "gone"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class ComparedSplat:
    """One fingerprint over all rows of a comparison; NEW if it is new in any of them.

    ``rows`` are the rows (testcase, settings, guest, device) where it moved that way. ``seen``
    counts the cells of these rows that show it, on B, or on A for one that is gone. ``allowed`` is
    the lab file's reason, empty for one that fails cells. ``excerpt`` is the text of the first.
    """

    fingerprint: str
    kind: str
    title: str
    change: SplatChange
    rows: tuple[tuple[str, str, str, str], ...]
    seen: int
    allowed: str
    excerpt: str

    @property
    def is_regression(self) -> bool:
        """True if B complains as A does not, and nobody allowed it."""
        return self.change is SplatChange.NEW and not self.allowed


@dataclass(frozen=True, slots=True)
class Comparison:
    """A's and B's verdicts side by side.

    ``unchecked`` are the lab file's limits that were held against no number of any row.
    """

    a: str
    b: str
    rows: tuple[ComparisonRow, ...]
    splats: tuple[ComparedSplat, ...] = ()
    unchecked: tuple[Limit, ...] = ()

    @property
    def new_splats(self) -> tuple[ComparedSplat, ...]:
        """The splats that are regressions."""
        return tuple(splat for splat in self.splats if splat.is_regression)

    def count(self, change: Change) -> int:
        """Count the rows that moved that way."""
        return sum(row.change is change for row in self.rows)
