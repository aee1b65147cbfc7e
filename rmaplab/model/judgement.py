# SPDX-License-Identifier: GPL-2.0
"""Verdicts of cells, of their repeats, and of a comparison."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from rmaplab.model.evidence import Observation, Splat
from rmaplab.model.matrix import Cell, place
from rmaplab.model.verdicts import Change, Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and its reason, and whether the lab file expected it.

    ``expected`` is the verdict that the lab file led us to expect, ``as_expected`` whether the
    cell ended that way, in outcome and splats too. ``allowed`` says of each splat of the
    observation why it fails no cell, or is empty for one that does.
    """

    verdict: Verdict
    reason: str
    expected: Verdict
    as_expected: bool
    known: str = ""
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CellResult:
    """A cell with what it showed and what we think of it."""

    cell: Cell
    observation: Observation
    judgement: Judgement

    @property
    def outcome(self) -> Outcome:
        """Say how the cell ended, allowed splats left out of account."""
        seen = self.observation
        quiet = seen.outcome is Outcome.SPLAT and seen.beneath is Outcome.COMPLETED
        allowed = quiet and bool(seen.splats) and all(self.judgement.allowed or ("",))
        return Outcome.COMPLETED if allowed else seen.outcome

    @property
    def splats(self) -> tuple[tuple[Splat, str], ...]:
        """Each splat with the reason why it is allowed, empty for one that is not."""
        allowed = self.judgement.allowed or ("",) * len(self.observation.splats)
        return tuple(zip(self.observation.splats, allowed, strict=True))


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


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One testcase x settings x guest x device on both kernels.

    ``base`` and ``patched`` are the verdicts, ``mixed`` where repeats differ, empty where there
    is none.
    """

    testcase: str
    settings: str
    guest: str
    base: str
    patched: str
    change: Change
    detail: str
    device: str = ""

    @property
    def place(self) -> str:
        """The guest as the names of cells and suites have it."""
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
        """Whether B complains as A does not, and nobody allowed it."""
        return self.change is SplatChange.NEW and not self.allowed


@dataclass(frozen=True, slots=True)
class Comparison:
    """A's and B's verdicts side by side."""

    a: str
    b: str
    rows: tuple[ComparisonRow, ...]
    splats: tuple[ComparedSplat, ...] = ()

    @property
    def new_splats(self) -> tuple[ComparedSplat, ...]:
        """The splats that are regressions."""
        return tuple(splat for splat in self.splats if splat.is_regression)

    def count(self, change: Change) -> int:
        """How many rows moved that way."""
        return sum(row.change is change for row in self.rows)
