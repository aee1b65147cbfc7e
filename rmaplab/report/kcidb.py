# SPDX-License-Identifier: GPL-2.0
"""A run for KCIDB, KernelCI's database of results: checkouts, builds, tests, issues, incidents.

A test is a cell on its kernel's build, with its own status: what base is known to fail is a FAIL
there, with an incident of a known issue. The lab's answer is in ``misc`` of each checkout.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rmaplab.model import CellResult, Item, ItemKind, Standing, Verdict
from rmaplab.report.reported import ReportedRun
from rmaplab.report.results import summary_facts
from rmaplab.store.runfolder import KernelFacts
from rmaplab.text import printable_lines

VERSION = {"major": 5, "minor": 3}
ORIGIN = "rmaplab"
MAX_EXCERPT = 16384
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"git:(https://[^#]+)")
_OF_CODE = {"code": True}
_STATUS = {
    Verdict.PASS: "PASS",
    Verdict.FAIL: "FAIL",
    Verdict.SKIP: "SKIP",
    Verdict.ERROR: "ERROR",
}


def render(run: ReportedRun, origin: str = ORIGIN) -> str:
    """Return the file's text, valid by KCIDB's schema; ``origin`` is the CI system's name."""
    return json.dumps(facts(run, origin), indent=1) + "\n"


def facts(run: ReportedRun, origin: str = ORIGIN) -> dict[str, Any]:
    """Return the run as KCIDB's objects."""
    names = _Names(run, origin)
    known = list(_known(run, names))
    issues = {issue["id"]: issue for issue, _ in known}
    return {
        "version": VERSION,
        "checkouts": [_checkout(run, names, name) for name in run.record.kernels],
        "builds": [_build(run, names, name) for name in run.record.kernels],
        "tests": [_test(result, names) for result in run.results],
        "issues": list(issues.values()),
        "incidents": [incident for _, incident in known],
    }


class _Names:
    """The ids of a run's objects, the same whenever the run is judged."""

    def __init__(self, run: ReportedRun, origin: str) -> None:
        self.origin = origin
        record = run.record
        parts = (record.began, *record.command, *(f.key for f in record.kernels.values()))
        self._run = _digest("\0".join((*parts, record.host.get("name", ""))))
        self.began = record.began

    def of(self, *parts: str) -> str:
        """Return the id of something of this run."""
        return f"{self.origin}:{self._run}:{':'.join(parts)}"

    def issue(self, text: str) -> str:
        """Return the id of an issue, the same in each run that shows it."""
        return f"{self.origin}:issue:{_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _checkout(run: ReportedRun, names: _Names, name: str) -> dict[str, Any]:
    kernel = run.record.kernels[name]
    titles = "".join(f"\n{subject}" for subject in kernel.patches)
    found: dict[str, Any] = {
        "id": names.of("checkout", name),
        "origin": names.origin,
        "tree_name": _clean(kernel.tree),
        "comment": _clean(f"{kernel.origin}{titles}"),
        "start_time": names.began,
        "valid": True,
        "misc": {"rmaplab": {"kernel": name, "answer": summary_facts(run.summary)}},
    }
    if _COMMIT.fullmatch(kernel.origin):
        found["git_commit_hash"] = kernel.origin
    if repository := _REPOSITORY.match(kernel.tree):
        found["git_repository_url"] = repository[1]
    return found if kernel.patches else {**found, "patchset_hash": ""}


def _build(run: ReportedRun, names: _Names, name: str) -> dict[str, Any]:
    kernel: KernelFacts = run.record.kernels[name]
    kernels = {one.name: one for one in run.record.lab.kernels}
    ran = bool(kernel.release or kernel.error)
    found = {
        "id": names.of("build", name),
        "checkout_id": names.of("checkout", name),
        "origin": names.origin,
        "start_time": names.began,
        "architecture": kernels[name].arch if name in kernels else "",
        "compiler": _clean(kernel.toolchain),
        "config_name": _clean("+".join(kernel.config)),
        "status": "FAIL" if kernel.error else "PASS" if ran else "MISS",
        "misc": {"rmaplab": {"key": kernel.key, "release": kernel.release}},
    }
    return {**found, "log_excerpt": _clean(kernel.error)[-MAX_EXCERPT:]} if kernel.error else found


def _test(result: CellResult, names: _Names) -> dict[str, Any]:
    cell, judged = result.cell, result.judgement
    found: dict[str, Any] = {
        "id": names.of("test", cell.id),
        "build_id": names.of("build", cell.kernel),
        "origin": names.origin,
        "environment": {"comment": f"QEMU, guest {cell.place}, settings {cell.settings.name}"},
        "path": f"rmaplab.{_path(cell.testcase.name)}",
        "comment": _clean(cell.testcase.summary),
        "status": _STATUS[judged.verdict],
        "start_time": names.began,
        "duration": round(result.observation.duration_s, 3),
        "misc": {"rmaplab": {"cell": cell.id, "outcome": result.outcome,
                             "reason": _clean(judged.reason)}},
    }  # fmt: skip
    if judged.verdict is not Verdict.PASS:
        splats = "\n\n".join(splat.excerpt for splat, _ in result.splats)
        found["log_excerpt"] = _clean(f"{judged.reason}\n{splats}".strip())[:MAX_EXCERPT]
    return found


def _path(name: str) -> str:
    return ".".join(re.sub(r"[^A-Za-z0-9_-]", "-", part) for part in name.split("/"))


def _known(run: ReportedRun, names: _Names) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield each issue with an incident: known failures, and the splats that are new."""
    results = {result.cell.id: result for result in run.results}
    for result in run.results:
        if known := result.judgement.known:
            issue = _issue(names, known, known)
            yield issue, _incident(names, issue, result.cell.id)
    for item in run.summary.quarantined:
        for cell in item.cells if item.standing is Standing.QUARANTINED else ():
            if results[cell].judgement.verdict is not Verdict.PASS:
                issue = _issue(names, item.quarantine, item.quarantine, {"harness": True})
                yield issue, _incident(names, issue, cell)
    for item in run.summary.items:
        for cell in item.cells if item.marked else ():
            if results[cell].judgement.verdict is Verdict.FAIL:
                issue = _issue(names, item.marked, item.marked, _INVALID)
                yield issue, _incident(names, issue, cell)
        if item.kind is ItemKind.SPLAT:
            issue = _issue(names, item.fingerprint, item.name)
            for cell in _showing(item, list(results.values())):
                yield issue, _incident(names, issue, cell)


def _showing(item: Item, results: Sequence[CellResult]) -> Iterator[str]:
    """Yield the cells of patched that show a splat."""
    for result in results:
        shown = {splat.fingerprint for splat, _ in result.splats}
        if result.cell.kernel == item.patched and item.fingerprint in shown:
            yield result.cell.id


_INVALID = {"code": False, "tool": False, "harness": False}
"""The culprits of an issue that is none, by KCIDB's schema."""


def _issue(
    names: _Names, key: str, comment: str, culprit: Mapping[str, bool] = _OF_CODE
) -> dict[str, Any]:
    return {
        "id": names.issue(key),
        "version": 1,
        "origin": names.origin,
        "comment": _clean(comment),
        "culprit": dict(culprit),
    }


def _incident(names: _Names, issue: dict[str, Any], cell: str) -> dict[str, Any]:
    return {
        "id": names.of("incident", issue["id"].rpartition(":")[2], cell),
        "origin": names.origin,
        "issue_id": issue["id"],
        "issue_version": issue["version"],
        "test_id": names.of("test", cell),
        "present": True,
    }


def _clean(text: str) -> str:
    return printable_lines(text)
