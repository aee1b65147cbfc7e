# SPDX-License-Identifier: GPL-2.0
"""Take what is in quarantine out of what fails a run, and say so. Pure.

An entry is about a place of the matrix, until a day. It covers what would speak against the kernel
there, if every cell that failed ended as the entry says, without a splat. It covers no error of the
lab's, nor a row of which one side was not run: nobody knows what that would have shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from rmaplab.model import (
    CellResult,
    Item,
    ItemKind,
    Quarantine,
    QuarantineEntry,
    Standing,
    Verdict,
    selects,
)

_OF_CELLS = frozenset({ItemKind.ROW, ItemKind.CELL, ItemKind.REPEATS})


def placed(
    items: Iterable[Item], results: Mapping[str, CellResult], quarantine: Quarantine
) -> Iterator[Item]:
    """Yield the items, those in quarantine with its entry; ``results`` are by the cells' ids."""
    for item in items:
        cells = [results[name] for name in item.cells if name in results]
        entry = _entry(cells, quarantine) if item.kind in _OF_CELLS and cells else None
        yield item if entry is None else _with(item, entry, cells, quarantine.day)


def ended(quarantine: Quarantine) -> tuple[QuarantineEntry, ...]:
    """Return the entries that hold no more: what they are about is due again."""
    return tuple(entry for entry in quarantine.entries if not entry.holds(quarantine.day))


def idle(quarantine: Quarantine, results: Sequence[CellResult]) -> tuple[QuarantineEntry, ...]:
    """Return the entries that speak of no cell that was run."""
    return tuple(
        entry
        for entry in quarantine.entries
        if not any(selects(entry.patterns, one.cell) for one in results)
    )


def _entry(cells: Sequence[CellResult], quarantine: Quarantine) -> QuarantineEntry | None:
    """Return the entry about these cells, one that holds first."""
    found = [
        entry
        for entry in quarantine.entries
        if all(selects(entry.patterns, one.cell) for one in cells)
    ]
    return max(found, key=lambda entry: entry.holds(quarantine.day), default=None)


def _with(item: Item, entry: QuarantineEntry, cells: Sequence[CellResult], day: str) -> Item:
    bad = item.standing is Standing.BAD
    if not entry.holds(day):
        why = f"{item.why} (its quarantine ended after {entry.until}, {entry.owner}: due again)"
        return replace(item, why=why.strip()) if bad else item
    text = f"in quarantine until {entry.until} ({entry.owner}): {entry.reason}"
    if not bad:
        return replace(item, quarantine=text)
    if not _covers(entry, item, cells):
        why = f"{item.why} (in quarantine, but not for that)"
        return replace(item, why=why.strip(), quarantine=text)
    said = f"{item.change or 'not as expected'}, {text}; {item.why}".rstrip("; ")
    return replace(item, standing=Standing.QUARANTINED, why=said, quarantine=text)


def _covers(entry: QuarantineEntry, item: Item, cells: Sequence[CellResult]) -> bool:
    if item.kind is ItemKind.ROW and len({one.cell.kernel for one in cells}) < 2:
        return False
    return all(
        one.judgement.verdict is not Verdict.ERROR
        and (
            one.judgement.verdict is not Verdict.FAIL
            or (one.outcome in entry.outcomes and not any(not allowed for _, allowed in one.splats))
        )
        for one in cells
    )
