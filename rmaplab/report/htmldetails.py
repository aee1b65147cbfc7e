# SPDX-License-Identifier: GPL-2.0
"""The details of cells on report.html: subtests, findings, splats, settings, costs, counters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from rmaplab.errors import InfraError
from rmaplab.model import CellResult, Finding, JudgedSplat, Subtest, Verdict
from rmaplab.report.htmlpool import Blocks, Pool
from rmaplab.report.htmlsources import PageSources
from rmaplab.report.reported import ReportedRun

T = TypeVar("T")

DETAILS = 7_000_000
"""Bytes of the page for the details of all cells."""
CELL_DETAILS = 200_000
"""Bytes of the texts of one cell."""
MOST = 400
"""Entries of one list: the subtests of a cell, its counters."""
MOST_SPLATS = 30

_ORDER = (Verdict.FAIL, Verdict.ERROR, Verdict.SKIP, Verdict.PASS)


def details_of(
    run: ReportedRun, sources: PageSources, pool: Pool, blocks: Blocks
) -> dict[str, tuple[int, int]]:
    """Return the blocks of details and counters by cell, for as many cells as there is room for.

    The gravest cells come first: those of red items, then those that failed.
    """
    red = {name for item in run.summary.red for name in item.cells}
    order = sorted(
        run.results,
        key=lambda one: (one.cell.id not in red, _ORDER.index(one.judgement.verdict)),
    )
    found: dict[str, tuple[int, int]] = {}
    begin = pool.spent
    for result in order:
        if pool.spent - begin + blocks.spent > DETAILS:
            break
        moved = _counters(result.cell.id, sources, pool)
        found[result.cell.id] = (
            blocks.add(_Details(result, pool).block()),
            blocks.add(moved),
        )
    return found


class _Details:
    """The details of one cell; ``cut`` says that not all of them are shown."""

    def __init__(self, result: CellResult, pool: Pool) -> None:
        self._result = result
        self._pool = pool
        self._begin = pool.spent
        self._cut = False

    def block(self) -> dict[str, Any]:
        """Return the details, without what is empty."""
        seen = self._result.observation
        found: dict[str, Any] = {
            "splats": [self._splat(one) for one in self._some(self._result.splats, MOST_SPLATS)],
            "findings": [self._finding(one) for one in self._some(_worst(seen.findings))],
            "subtests": [self._subtest(one) for one in self._some(_worst(seen.subtests))],
            "settings": [self._pool.lines(pair) for pair in seen.settings_read.items()],
            "costs": [
                [self._pool.line(c.subtest), self._pool.line(c.name), c.instructions]
                for c in self._some(seen.costs)
            ],
        }
        if seen.memory is not None:
            found["memory"] = self._pool.lines([seen.memory.phrase])
            found["memory"].append(self._text(seen.memory.report))
        if self._cut:
            found["cut"] = 1
        return {name: value for name, value in found.items() if value}

    def _some(self, entries: Sequence[T], most: int = MOST) -> Sequence[T]:
        self._cut |= len(entries) > most
        return entries[:most]

    def _text(self, text: str) -> int:
        """Return the number of a text, of an empty one if the cell has no room left."""
        if self._pool.spent - self._begin > CELL_DETAILS:
            self._cut |= bool(text)
            text = ""
        return self._pool.text(text)

    def _subtest(self, one: Subtest) -> list[Any]:
        verdict = "known" if one.known else str(one.verdict)
        return [self._pool.line(one.name), verdict, self._text(one.detail)]

    def _finding(self, one: Finding) -> list[Any]:
        text = self._text(one.detail)
        return [self._pool.line(one.name), str(one.verdict), text, str(one.kind)]

    def _splat(self, judged: JudgedSplat) -> dict[str, Any]:
        splat, allowed = judged
        notes = [
            f"by {splat.owner}" if splat.owner else "",
            f"{splat.count} times" if splat.count > 1 else "",
            "follows from an earlier one" if splat.following else "",
            "interleaved or cut" if splat.corrupted else "",
            f"allowed: {allowed}" if allowed else "",
        ]
        return {
            "title": self._pool.line(splat.title),
            "kind": self._pool.line(splat.kind),
            "severity": str(splat.severity),
            "line": splat.line,
            "notes": self._pool.lines([note for note in notes if note]),
            "sources": [
                [self._pool.line(one.at), self._pool.line(" < ".join(one.lines))]
                for one in self._some(splat.sources)
            ],
            "text": self._text(splat.excerpt),
        }


def _worst(entries: Sequence[T]) -> list[T]:
    """Return subtests or findings, those that failed first, else in their order."""
    return sorted(entries, key=lambda one: _ORDER.index(one.verdict))  # type: ignore[attr-defined]


def _counters(cell: str, sources: PageSources, pool: Pool) -> list[list[int | None]]:
    """Return the counters of a cell that moved: the name's number, before, after."""
    try:
        found = sources.counters(cell)
    except InfraError:
        return []
    moved = [(n, one) for n, one in found.items() if one["before"] != one["after"]]
    return [[pool.line(name), one["before"], one["after"]] for name, one in moved[:MOST]]
