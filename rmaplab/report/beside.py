# SPDX-License-Identifier: GPL-2.0
"""A run beside the lines of a change: annotations of GitHub's workflows, GitLab's report files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from rmaplab.folds import annotation
from rmaplab.model import Item, ItemKind, Splat, Standing
from rmaplab.report.checks import place_of
from rmaplab.report.markdown import shortened
from rmaplab.report.reported import ReportedRun
from rmaplab.text import printable

MAX_ANNOTATIONS = 10
"""Errors that GitHub shows of a step."""
CODE_QUALITY = "codequality.json"
LINKS = "annotations.json"


def github(run: ReportedRun) -> Iterator[str]:
    """Yield a command for each red item, the gravest first, as many as are shown."""
    red = run.summary.red
    for item in red[: MAX_ANNOTATIONS - (len(red) > MAX_ANNOTATIONS)]:
        place = next((place for _, place in _places(run, item)), None)
        where: dict[str, str | int] = {"file": place[0], "line": place[1]} if place else {}
        level = "error" if item.standing is Standing.BAD else "warning"
        yield annotation(level, _line(item.phrase), title=_title(item), **where)
    if len(red) > MAX_ANNOTATIONS:
        rest = len(red) - MAX_ANNOTATIONS + 1
        yield annotation("error", f"{rest} more in summary.md and report.html", title="rmaplab")
    held = [one for one in run.summary.quarantined if one.standing is Standing.QUARANTINED]
    for item in held[:MAX_ANNOTATIONS]:  # GitHub shows as many warnings as errors
        yield annotation("warning", _line(item.phrase), title=_title(item))


def code_quality(run: ReportedRun) -> str:
    """Return GitLab's report of what is red and has a place in the tree, as JSON."""
    found: dict[str, dict[str, Any]] = {}
    for item in run.summary.red:
        for splat, (path, line) in _places(run, item):
            key = hashlib.sha256(f"{splat.fingerprint} {path}:{line}".encode()).hexdigest()[:32]
            found.setdefault(key, {
                "description": shortened(f"{printable(splat.title)}: {_line(item.phrase)}", 500),
                "check_name": f"rmaplab {printable(splat.kind)}",
                "fingerprint": key,
                "severity": "critical",
                "location": {"path": path, "lines": {"begin": line}},
            })  # fmt: skip
    return json.dumps(list(found.values()), indent=1) + "\n"


def links(url: str, folder: str) -> str:
    """Return GitLab's list of a job's links: to the page of the run, among the artefacts."""
    link = {"label": "report.html", "url": f"{url}/artifacts/file/{folder}/report.html"}
    return json.dumps({"rmaplab": [{"external_link": link}]}, indent=1) + "\n"


def _title(item: Item) -> str:
    noun = "new splat" if item.kind is ItemKind.SPLAT else item.what
    return _line(f"{noun}: {item.name}")


def _line(text: str) -> str:
    return shortened(printable(" ".join(text.split())), 500)


def _places(run: ReportedRun, item: Item) -> Iterator[tuple[Splat, tuple[str, int]]]:
    """Yield the splats of an item that nothing allows, with their places in the tree."""
    wanted = set(item.cells)
    for result in run.results:
        for splat, allowed in result.splats:
            is_its = result.cell.id in wanted or splat.fingerprint == item.fingerprint
            if is_its and not allowed and (place := place_of(splat)) is not None:
                yield splat, place
