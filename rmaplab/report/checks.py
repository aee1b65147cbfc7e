# SPDX-License-Identifier: GPL-2.0
"""The checks of Patchwork and GitHub: the bodies of their requests, as JSON.

Posting them is one request (docs/ci.md); the lab posts nothing by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from rmaplab.errors import ExitCode
from rmaplab.model import Answer, Item, Splat, Standing, Summary
from rmaplab.report import summary as summary_page
from rmaplab.report.markdown import shortened
from rmaplab.report.reported import ReportedRun
from rmaplab.text import printable, printable_lines

MAX_ANNOTATIONS = 50
"""Annotations that GitHub takes in a request."""
_PLACE = re.compile(r" at (?P<file>[\w./-]+):(?P<line>[0-9]{1,7})$")


def patchwork(run: ReportedRun, url: str = "") -> str:
    """Return the body of ``POST /api/patches/<id>/checks/``."""
    summary = run.summary
    body = {
        "state": _patchwork_state(summary),
        "context": re.sub(r"[^A-Za-z0-9_-]+", "-", f"rmaplab-{run.record.lab.name}"),
        "description": shortened(printable(summary.headline), 250),
    }
    return _json({**body, "target_url": url} if url else body)


def _patchwork_state(summary: Summary) -> str:
    if summary.answer is Answer.GOOD:
        return "warning" if Standing.QUARANTINED in summary.counts.standings else "success"
    return "fail" if summary.exit_code in {ExitCode.REGRESSION, ExitCode.BUILD} else "warning"


def github(run: ReportedRun, url: str = "") -> str:
    """Return the body of ``POST /repos/<owner>/<repo>/check-runs``, without its ``head_sha``."""
    summary = run.summary
    body: dict[str, Any] = {
        "name": f"rmaplab {printable(run.record.lab.name)}",
        "status": "completed",
        "conclusion": _conclusion(summary),
        "output": {
            "title": shortened(printable(summary.headline), 250),
            "summary": summary_page.render(run),
            "annotations": list(_annotations(run))[:MAX_ANNOTATIONS],
        },
    }
    return _json({**body, "details_url": url} if url else body)


def _conclusion(summary: Summary) -> str:
    if summary.answer is Answer.GOOD:
        return "neutral" if Standing.QUARANTINED in summary.counts.standings else "success"
    return "cancelled" if summary.exit_code is ExitCode.INTERRUPTED else "failure"


def _annotations(run: ReportedRun) -> Iterator[dict[str, Any]]:
    """Yield an annotation for each place of the tree that a red item's splat names."""
    results = {result.cell.id: result for result in run.results}
    known: set[tuple[str, str, int]] = set()
    for item in run.summary.red:
        for cell in item.cells:
            for splat, allowed in results[cell].splats if cell in results else ():
                place = None if allowed else place_of(splat)
                if place is not None and (splat.fingerprint, *place) not in known:
                    known.add((splat.fingerprint, *place))
                    yield _annotation(item, splat, *place)


def _annotation(item: Item, splat: Splat, file: str, line: int) -> dict[str, Any]:
    return {
        "path": file,
        "start_line": line,
        "end_line": line,
        "annotation_level": "failure",
        "title": shortened(printable(splat.title), 250),
        "message": shortened(printable(item.phrase), 1000),
        "raw_details": printable_lines(splat.excerpt)[:60_000],
    }


def place_of(splat: Splat) -> tuple[str, int] | None:
    """Return the file and line of the tree where a splat came from; None without debug info."""
    for source in splat.sources:
        for line in source.lines:
            if found := _PLACE.search(line):
                return found["file"].removeprefix("./"), int(found["line"])
    return None


def _json(body: Any) -> str:
    return json.dumps(body, indent=1) + "\n"
