# SPDX-License-Identifier: GPL-2.0
"""Run again what is worse on patched, before a series is called the cause of it."""

from __future__ import annotations

from collections.abc import Sequence

from rmaplab.model import Cell, Change, Comparison, ComparisonRow, RowKey
from rmaplab.plan import more_repeats
from rmaplab.store.runfolder import RunRecord

MAX_ROWS = 40
"""Rows that are run again: where more are worse, a kernel is broken and no luck is needed."""
_WORSE = frozenset({Change.REGRESSED, Change.NEW_SPLAT})


def cells_again(
    comparison: Comparison | None, cells: Sequence[Cell], record: RunRecord
) -> tuple[Cell, ...]:
    """Return more repeats of the worse rows, base and patched by turns.

    Of more than MAX_ROWS rows those are taken that show the most testcases.
    """
    if comparison is None:
        return ()
    members: dict[RowKey, list[Cell]] = {}
    for cell in cells:
        members.setdefault(cell.row, []).append(cell)
    found: list[Cell] = []
    for row in _chosen(comparison):
        some = members[row.testcase, row.settings, row.guest, row.device]
        last = [
            max((cell for cell in some if cell.kernel == name), key=lambda cell: cell.repeat)
            for name in (comparison.a, comparison.b)
        ]
        for pair in zip(*(more_repeats(cell, record.confirm) for cell in last), strict=True):
            found += pair
    return tuple(found)


def _chosen(comparison: Comparison) -> list[ComparisonRow]:
    """Return the worse rows, one of each testcase first."""
    worse = [row for row in comparison.rows if row.change in _WORSE]
    seen: dict[str, int] = {}
    turns = []
    for number, row in enumerate(worse):
        seen[row.testcase] = seen.get(row.testcase, 0) + 1
        turns.append((seen[row.testcase], number, row))
    return [row for _, _, row in sorted(turns, key=lambda one: one[:2])[:MAX_ROWS]]
