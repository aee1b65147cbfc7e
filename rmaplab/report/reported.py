# SPDX-License-Identifier: GPL-2.0
"""A run as every report gets it."""

from __future__ import annotations

from dataclasses import dataclass

from rmaplab.model import CellResult, Comparison, Summary
from rmaplab.model.coverage import SeriesCoverage
from rmaplab.model.prefixes import PatchTable
from rmaplab.store.runfolder import RunRecord


@dataclass(frozen=True, slots=True)
class ReportedRun:
    """A run with all that its reports say.

    ``summary`` is the answer, which no report works out by itself. ``remarks`` are warnings besides
    the verdicts, a line each: entries of ``allow`` that do nothing, and so on. ``coverage`` is what
    was run of each kernel's series, where that was recorded, ``patches`` a series patch by patch.
    """

    record: RunRecord
    results: tuple[CellResult, ...]
    comparison: Comparison | None
    summary: Summary
    remarks: tuple[str, ...] = ()
    coverage: tuple[SeriesCoverage, ...] = ()
    patches: PatchTable | None = None
