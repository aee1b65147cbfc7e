# SPDX-License-Identifier: GPL-2.0
"""The one answer of a run, which every report renders."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from rmaplab.errors import ExitCode
from rmaplab.model.matrix import place
from rmaplab.model.verdicts import Change, Verdict


class RunState(enum.StrEnum):
    """Name how far a run came.

    COMPLETE: every cell that was asked for was run. PARTIAL: some were. ABORTED: none was, or a
    kernel was not built, so that nothing can be said.
    """

    COMPLETE = "complete"
    PARTIAL = "partial"
    ABORTED = "aborted"


class Answer(enum.StrEnum):
    """Name what a run says of the kernel: NONE if the lab cannot tell."""

    GOOD = "good"
    BAD = "bad"
    NONE = "none"


class Standing(enum.StrEnum):
    """Name what one item says. BAD speaks against the kernel, ERROR says that nobody knows.

    QUARANTINED would be BAD, but for an entry of the lab's quarantine: it fails no run, and no
    report calls it a pass.
    """

    BAD = "bad"
    ERROR = "error"
    QUARANTINED = "quarantined"
    FIXED = "fixed"
    KNOWN = "known"
    PASSED = "passed"
    SKIPPED = "skipped"

    @property
    def is_red(self) -> bool:
        """True if a run with such an item does not exit with 0."""
        return self in {Standing.BAD, Standing.ERROR}


class ItemKind(enum.StrEnum):
    """Name what an item is about."""

    RUN = "run"
    KERNEL = "kernel"
    ROW = "row"
    CELL = "cell"
    REPEATS = "repeats"
    SPLAT = "splat"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a run says: a row of an A/B, a cell of a plain run, a kernel, the run itself.

    ``name`` is a testcase, a splat's title, a kernel, or the lab. ``kernel`` is empty for a row.
    ``why`` is the reason, ``known`` the lab file's reason for a known failure. ``cells`` are the
    ids of the cells that it is about, ``base`` and ``patched`` a row's verdicts, or a splat's
    kernels, ``fingerprint`` a splat's. ``failures`` are the fingerprints of what speaks against the
    kernel, ``marked`` says who called them invalid, and why; ``quarantine`` says until when the
    place is in quarantine, whose it is, and why.
    """

    kind: ItemKind
    standing: Standing
    name: str
    why: str = ""
    kernel: str = ""
    guest: str = ""
    settings: str = ""
    device: str = ""
    repeat: int = 1
    change: Change | None = None
    base: str = ""
    patched: str = ""
    known: str = ""
    cells: tuple[str, ...] = ()
    fingerprint: str = ""
    failures: tuple[str, ...] = ()
    marked: str = ""
    quarantine: str = ""

    @property
    def place(self) -> str:
        """Give the guest as the names of cells have it."""
        return place(self.guest, self.device) if self.guest else ""

    @property
    def where(self) -> str:
        """Give kernel, guest and settings: ``base q35 thp-never``; empty for a kernel or a run."""
        return " ".join(filter(None, (self.kernel, self.place, self.settings)))

    @property
    def what(self) -> str:
        """Give the change of a row, else the standing; of one in quarantine its standing."""
        if self.standing is Standing.QUARANTINED:
            return str(self.standing)
        return str(self.change or self.standing)

    @property
    def phrase(self) -> str:
        """Give the item as a line: ``fork/cow [q35 thp-never]: regressed: read: 4``."""
        where = f" [{self.where}]" if self.where else ""
        why = f": {self.why}" if self.why else ""
        return f"{self.name}{where}: {self.what}{why}"


@dataclass(frozen=True, slots=True)
class Counts:
    """Count what a run has.

    ``asked`` are the cells that it was asked for, ``cells`` those that ended, by verdict, ``known``
    the known failures among them; ``rows`` are those of an A/B by change, ``new_splats`` the splats
    that are regressions; ``standings`` are the items.
    """

    asked: int
    cells: Mapping[Verdict, int]
    known: int
    unstable: int
    rows: Mapping[Change, int]
    new_splats: int
    standings: Mapping[Standing, int]

    @property
    def ran(self) -> int:
        """The number of cells that ended."""
        return sum(self.cells.values())

    @property
    def red(self) -> int:
        """The number of items for which the run does not exit with 0."""
        return sum(n for standing, n in self.standings.items() if standing.is_red)


@dataclass(frozen=True, slots=True)
class Summary:
    """The answer of a run, computed once (rmaplab/summarize.py).

    ``compared`` names the kernels of an A/B, else it is empty. ``items`` are in the order of the
    run; ``why`` has a line for each reason of the answer, the gravest first. ``headline`` is the
    answer in one line, ``cells`` and ``rows`` count both in one line each.
    ``notes`` are what a reader has to know of the kernels before the verdict is of use.
    """

    state: RunState
    answer: Answer
    exit_code: ExitCode
    headline: str
    why: tuple[str, ...]
    counts: Counts
    items: tuple[Item, ...]
    compared: tuple[str, ...] = ()
    cells: str = ""
    rows: str = ""
    notes: tuple[str, ...] = ()

    @property
    def red(self) -> tuple[Item, ...]:
        """The items that speak against the kernel or the run, the gravest first."""
        return tuple(sorted((i for i in self.items if i.standing.is_red), key=gravity))

    @property
    def quarantined(self) -> tuple[Item, ...]:
        """The items that are in quarantine, those that would be red first."""
        found = (item for item in self.items if item.quarantine)
        return tuple(sorted(found, key=lambda one: one.standing is not Standing.QUARANTINED))


_KINDS = tuple(ItemKind)


def gravity(item: Item) -> tuple[int, int, int, str, str]:
    """Return the place of an item in a report that has the worst first."""
    standing = 0 if item.standing.is_red else list(Standing).index(item.standing)
    change = -item.change.rank if item.change else 0
    return standing, _KINDS.index(item.kind), change, item.name, item.where
