# SPDX-License-Identifier: GPL-2.0
"""A run as every report gets it."""

from __future__ import annotations

from dataclasses import dataclass

from rmaplab.model import CellResult, Comparison, ComparisonRow, Summary
from rmaplab.model.coverage import SeriesCoverage
from rmaplab.model.prefixes import PatchTable
from rmaplab.store.runfolder import RunRecord


@dataclass(frozen=True, slots=True)
class Revisions:
    """An older revision of a series: its comparison with base, and git range-diff of the two."""

    older: Comparison
    range_diff: str

    def differences(self, newer: Comparison) -> tuple[tuple[ComparisonRow, ComparisonRow], ...]:
        """Return the rows, older and newer, in which the revisions do not do the same."""
        before = {_key(row): row for row in self.older.rows}
        pairs = [(before[_key(row)], row) for row in newer.rows if _key(row) in before]
        return tuple((old, new) for old, new in pairs if old.change is not new.change)


def _key(row: ComparisonRow) -> tuple[str, str, str, str]:
    return row.testcase, row.settings, row.guest, row.device


@dataclass(frozen=True, slots=True)
class ReportedRun:
    """A run with all that its reports say.

    ``summary`` is the answer, which no report works out by itself. ``remarks`` are warnings besides
    the verdicts, a line each: entries of ``allow`` that do nothing, and so on. ``coverage`` is what
    was run of each kernel's series, where that was recorded, ``patches`` a series patch by patch.
    ``revisions`` is the older one of a series, compared with the same base.
    """

    record: RunRecord
    results: tuple[CellResult, ...]
    comparison: Comparison | None
    summary: Summary
    remarks: tuple[str, ...] = ()
    coverage: tuple[SeriesCoverage, ...] = ()
    patches: PatchTable | None = None
    revisions: Revisions | None = None
