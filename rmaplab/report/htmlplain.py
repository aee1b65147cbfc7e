# SPDX-License-Identifier: GPL-2.0
"""The cells of report.html that are plain HTML, for a browser without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rmaplab.model import CellResult, Verdict
from rmaplab.report.htmlpool import cut

SHORT = 4_000
"""Characters of a splat, and of a subtest's diagnostics."""
_ROOM = 1_000_000
"""Characters of all plain cells."""
_RESULTS = 20
"""Subtests and findings of a cell, and splats of it."""


@dataclass(frozen=True, slots=True)
class PlainCell:
    """A cell that failed; ``texts`` are pairs of a title and what goes with it."""

    result: CellResult
    texts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class PlainCells:
    """The cells for which there was room, and how many ``more`` failed."""

    cells: tuple[PlainCell, ...]
    more: int


def plain_cells(results: Sequence[CellResult]) -> PlainCells:
    """Return the cells that neither passed nor were skipped, those that nobody expected first."""
    bad = {Verdict.FAIL, Verdict.ERROR}
    failed = sorted(
        (r for r in results if r.judgement.verdict in bad or not r.judgement.as_expected),
        key=lambda one: one.judgement.as_expected,
    )
    found: list[PlainCell] = []
    room = _ROOM
    for result in failed:
        if room < 0:
            break
        texts = _texts(result)
        room -= 300 + sum(len(title) + len(text) for title, text in texts)
        found.append(PlainCell(result, texts))
    return PlainCells(tuple(found), len(failed) - len(found))


def _texts(result: CellResult) -> tuple[tuple[str, str], ...]:
    seen = result.observation
    notes = [
        (f"{one.word}: {one.name}", one.detail)
        for one in seen.results
        if one.verdict is not Verdict.PASS
    ]
    for splat, allowed in result.splats[:_RESULTS]:
        by = f" ({splat.owner})" if splat.owner else ""
        why = f" (allowed: {allowed})" if allowed else ""
        notes.append((f"{splat.title}{by}{why}", splat.excerpt))
    if more := len(notes[_RESULTS:]):
        notes = [*notes[:_RESULTS], (f"and {more} more: results.json has all", "")]
    if seen.memory is not None:
        notes.append((seen.memory.phrase, seen.memory.report))
    return tuple((cut(title, SHORT), cut(text, SHORT)) for title, text in notes)
