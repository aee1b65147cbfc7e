# SPDX-License-Identifier: GPL-2.0
"""results.json: every cell and the comparison as facts for other programs (docs/run-folder.md)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from rmaplab.model import CellResult, ComparedSplat, Item, SavedMemory, Summary
from rmaplab.model.coverage import Reach, SeriesCoverage
from rmaplab.model.prefixes import PatchTable
from rmaplab.report.reported import ReportedRun
from rmaplab.stability import unstable
from rmaplab.store import memoryfile
from rmaplab.store.cellfiles import ReadCounters
from rmaplab.store.runfolder import KernelFacts

SCHEMA_VERSION = 1


def render(run: ReportedRun, counters: ReadCounters) -> Iterator[str]:
    """Yield the file's text in pieces; it follows from the evidence byte for byte.

    ``counters`` reads a cell's counters by its id.
    """
    comparison, results = run.comparison, run.results
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "summary": summary_facts(run.summary),
        "kernels": {name: kernel_facts(facts) for name, facts in run.record.kernels.items()},
        "build_errors": run.record.not_built,
        "not_run": run.record.part,
    }
    content["unstable"] = [dataclasses.asdict(one) for one in unstable(results)]
    if comparison is not None:
        content["comparison"] = {
            "base": comparison.a,
            "patched": comparison.b,
            "rows": [dataclasses.asdict(row) for row in comparison.rows],
            "splats": [_compared(splat) for splat in comparison.splats],
            "unchecked": [dataclasses.asdict(limit) for limit in comparison.unchecked],
        }
    if run.coverage:
        content["coverage"] = [coverage_facts(one) for one in run.coverage]
    if run.revisions is not None:
        older = run.revisions.older
        content["previous"] = {
            "kernel": older.b,
            "rows": [dataclasses.asdict(row) for row in older.rows],
            "range_diff": run.revisions.range_diff,
        }
    if run.patches is not None:
        content["patches"] = patch_facts(run.patches)
    # A line a cell: hundreds of counters each would make an indented file endless.
    head = json.dumps(content, indent=1).rstrip().removesuffix("}").rstrip()
    yield f'{head},\n "cells": ['
    for number, result in enumerate(results):
        yield f"{',' if number else ''}\n  {json.dumps(cell_facts(result, counters))}"
    yield "\n ]\n}\n"


def summary_facts(summary: Summary) -> dict[str, Any]:
    """Return the run's answer; of its items those that speak against the kernel or the run."""
    return {
        "state": summary.state,
        "answer": summary.answer,
        "exit_code": int(summary.exit_code),
        "headline": summary.headline,
        "why": list(summary.why),
        "notes": list(summary.notes),
        "counts": dataclasses.asdict(summary.counts),
        "red": [_item(item) for item in summary.red],
        "quarantined": [_item(item) for item in summary.quarantined],
    }


def _item(item: Item) -> dict[str, Any]:
    return {**dataclasses.asdict(item), "phrase": item.phrase}


def kernel_facts(facts: KernelFacts) -> dict[str, Any]:
    """Return what a kernel is made of; run.json has more."""
    return {
        "tree": facts.tree,
        "origin": facts.origin,
        "release": facts.release,
        "series": facts.series,
        "patches": facts.patches,
        "build": facts.key,
        "image": facts.image,
    }


def coverage_facts(found: SeriesCoverage) -> dict[str, Any]:
    """Return what was run of a series; the diffs are in the series' own files."""
    return {
        "kernel": found.kernel,
        "error": found.error,
        "cells": found.cells,
        "incomplete": list(found.incomplete),
        "lines": {str(kind): found.counts[kind] for kind in Reach},
        "files": [
            {
                "path": file.path,
                "note": file.note,
                "lines": [dataclasses.asdict(line) for line in file.lines],
                "functions": [dataclasses.asdict(one) for one in file.functions],
            }
            for file in found.files
        ],
    }


def patch_facts(table: PatchTable) -> dict[str, Any]:
    """Return what a series does patch by patch; of a row, its change at each patch."""
    return {
        "patches": [dataclasses.asdict(patch) for patch in table.patches],
        "rows": [dataclasses.asdict(row) for row in table.rows],
        "episodes": [{**dataclasses.asdict(one), "phrase": one.phrase} for one in table.episodes],
    }


def cell_facts(result: CellResult, counters: ReadCounters) -> dict[str, Any]:
    """Return one entry of ``cells``."""
    cell, seen, judgement = result.cell, result.observation, result.judgement
    return {
        "id": cell.id,
        "kernel": cell.kernel,
        "guest": cell.guest.name,
        "settings": cell.settings.name,
        "device": cell.devices,
        "testcase": cell.testcase.name,
        "repeat": cell.repeat,
        "outcome": result.outcome,
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "expected": judgement.expected,
        "as_expected": judgement.as_expected,
        "subtests": [
            {
                "name": subtest.name,
                "verdict": subtest.verdict,
                "known": subtest.known,
                "detail": subtest.detail,
            }
            for subtest in seen.results
        ],
        "findings": [{"name": one.name, **dataclasses.asdict(one)} for one in seen.findings],
        "splats": splat_facts(result),
        "counters": counters(cell.id),
        "settings_read": dict(seen.settings_read),
        "instructions": seen.instructions,
        "memory": _memory(seen.memory),
        "duration_s": seen.duration_s,
    }


def splat_facts(result: CellResult) -> list[dict[str, Any]]:
    """Return a cell's splats, each with the reason why it is allowed; empty if it is not."""
    return [{**dataclasses.asdict(splat), "allowed": allowed} for splat, allowed in result.splats]


def _memory(memory: SavedMemory | None) -> dict[str, Any] | None:
    """Return the facts of a cell's saved memory; the text of drgn's report is in its own file."""
    if memory is None:
        return None
    facts = dataclasses.asdict(memory)
    return {**facts, "report": memoryfile.REPORT if memory.report else ""}


def _compared(splat: ComparedSplat) -> dict[str, Any]:
    named = [
        dict(zip(("testcase", "settings", "guest", "device"), row, strict=True))
        for row in splat.rows
    ]
    return {**dataclasses.asdict(splat), "rows": named}
