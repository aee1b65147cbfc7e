# SPDX-License-Identifier: GPL-2.0
"""Forge the saved evidence of a cell that failed: none of it becomes a pass.

Each forgery is tried on a cell of each kind of failure. The controls are the cell that passes, and
each failure before it is forged.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rmaplab.model import Verdict
from rmaplab.pipeline.evaluate import evaluate
from rmaplab.plan import plan
from rmaplab.store.runfolder import RunFolder
from tests.unit import builders
from tests.unit.builders import END, KTAP_FAIL, KTAP_PASS, RUN, conversation, from_agent, save
from tests.unit.evidence_cases import cases, forged, observed, verdict

Lines = list[dict[str, Any]]
Forgery = Callable[[Lines, bytes], tuple[Lines, bytes]]

FAILURES = ("fail", "output cut", "taint", "leak", "splat", "splat at boot", "audit at the end",
            "killed", "left", "flood", "panic", "no end")  # fmt: skip
_PASS = tuple(dict(line) for line in cases()["pass"].lines)


def _console(change: Callable[[bytes], bytes]) -> Forgery:
    return lambda lines, console: (lines, change(console))


def _behind_exit(*more: Mapping[str, Any]) -> Forgery:
    def forge(lines: Lines, console: bytes) -> tuple[Lines, bytes]:
        where = max((n for n, line in enumerate(lines) if line["ev"] == "exit"), default=0)
        return [*lines[: where + 1], *map(dict, more), *lines[where + 1 :]], console

    return forge


def _before_exit(*more: Mapping[str, Any]) -> Forgery:
    def forge(lines: Lines, console: bytes) -> tuple[Lines, bytes]:
        where = next((n for n, line in enumerate(lines) if line["ev"] == "exit"), len(lines))
        return [*lines[:where], *map(dict, more), *lines[where:]], console

    return forge


def _without(event: str) -> Forgery:
    return lambda lines, console: ([one for one in lines if one["ev"] != event], console)


def _again(lines: Lines, console: bytes) -> tuple[Lines, bytes]:
    return [*lines, *map(dict, _PASS)], console


def _pass_first(lines: Lines, console: bytes) -> tuple[Lines, bytes]:
    return [*map(dict, _PASS), *lines], console


def _answered_twice(lines: Lines, console: bytes) -> tuple[Lines, bytes]:
    files = [one for one in lines if one["ev"] == "files"]
    return [*lines[:-1], *map(dict, files), *lines[-1:]], console


_OK = [from_agent("out", id=RUN, text=text) for text in KTAP_PASS]
FORGERIES: Mapping[str, Forgery] = {
    "a console that is empty": _console(lambda console: b""),
    "a console that is cut to 300 bytes": _console(lambda console: console[:300]),
    "a console that is cut before the test": _console(lambda c: c[: c.find(b"begin")]),
    "a console without its end": _console(lambda console: console.replace(END, b"")),
    "a console whose middle is cut": _console(lambda console: console[:60] + END),
    "a console of NULs": _console(lambda console: b"\0" * len(console)),
    "two ends on the console": _console(lambda console: console + END),
    "results behind the exit": _behind_exit(*_OK),
    "an exit behind the exit": _behind_exit(builders.exited()),
    "an early exit": _before_exit(builders.exited()),
    "a good end behind all": lambda lines, c: ([*lines, builders.from_lab("end", how="bye",
                                                                          detail="")], c),
    "no exit": _without("exit"),
    "no samples": _without("sample"),
    "no requests": _without("request"),
    "no phases and no end": lambda lines, c: _without("end")(_without("phase")(lines, c)[0], c),
    "a good transcript behind": _again,
    "a good transcript before": _pass_first,
    "each answer twice": _answered_twice,
    "an answer of each kind": _before_exit(*forged(RUN)),
    "an answer of each kind to another": _before_exit(*forged(7)),
    "another order": lambda lines, console: (list(reversed(lines)), console),
    "the answers of the agent alone": lambda lines, c: (
        [one for one in lines if one["from"] == "agent"], c),
}  # fmt: skip
# The line that was missing, put where it belongs, makes the evidence of a pass again.
MENDED = {("a good end behind all", "no end")}


@functools.cache
def lines_of(case: str) -> str:
    """Return the lines of a case, as JSON, so that nobody changes them."""
    return json.dumps(list(cases()[case].lines))


@pytest.mark.family("evidence: transcripts and consoles")
@pytest.mark.parametrize(
    ("name", "failure"),
    [(name, failure) for name in FORGERIES for failure in FAILURES
     if (name, failure) not in MENDED],
)  # fmt: skip
def test_no_forgery_is_a_pass(tmp_path: Path, name: str, failure: str) -> None:
    lines, console = FORGERIES[name](json.loads(lines_of(failure)), cases()[failure].console)
    save(tmp_path, lines, console)
    read = (tmp_path / "agent.jsonl").read_bytes()
    seen = observed(tmp_path / "again", read, console)
    assert verdict(seen) is not Verdict.PASS, seen


@pytest.mark.control
@pytest.mark.family("evidence: transcripts and consoles")
@pytest.mark.parametrize("case", ["pass", "pass audited", "pass balanced", *FAILURES])
def test_the_evidence_before_it_is_forged(tmp_path: Path, case: str) -> None:
    one = cases()[case]
    seen = observed(tmp_path / "x", *one.files(tmp_path))
    assert (verdict(seen) is Verdict.PASS) is case.startswith("pass")


# -- a run's folder ----------------------------------------------------------------------------

LAB = builders.lab(repeat=2)
FIRST, SECOND = (cell.id for cell in plan(LAB).cells)


def a_run(path: Path) -> None:
    """Leave a run whose first cell failed and whose second one passed, sealed."""
    folder = builders.run_folder(path, LAB, {
        FIRST: conversation(*KTAP_FAIL, status=1), SECOND: conversation(*KTAP_PASS)})  # fmt: skip
    for cell in (FIRST, SECOND):
        folder.journal("cell", cell=cell, evidence=folder.seal(cell))


def _swap(cells: Path) -> None:
    (cells / FIRST).rename(cells / "x")
    (cells / SECOND).rename(cells / FIRST)
    (cells / "x").rename(cells / SECOND)


def _replay(cells: Path) -> None:
    shutil.rmtree(cells / FIRST)
    shutil.copytree(cells / SECOND, cells / FIRST)


def _edit(cells: Path) -> None:
    path = cells / FIRST / "agent.jsonl"
    path.write_bytes(
        path.read_bytes().replace(b"not ok 1", b"ok 1").replace(b'"status": 1', b'"status": 0')
    )


def _of_one_length(cells: Path) -> None:
    path = cells / FIRST / "agent.jsonl"
    old = path.stat()
    path.write_bytes(path.read_bytes().replace(b"not ok 1", b"ok 1    "))
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))


TAMPERED: Mapping[str, Callable[[Path], None]] = {
    "the evidence of two cells changes places": _swap,
    "the evidence of a cell that passed is copied": _replay,
    "a result is edited": _edit,
    "a result is edited, and its time and length are not": _of_one_length,
}


@pytest.mark.family("evidence: run folders")
@pytest.mark.parametrize("name", TAMPERED)
def test_evidence_that_is_not_as_it_was_is_no_pass(tmp_path: Path, name: str) -> None:
    a_run(tmp_path)
    assert [one.judgement.verdict for one in evaluate(RunFolder(tmp_path)).results] == [
        Verdict.FAIL, Verdict.PASS,
    ]  # fmt: skip
    TAMPERED[name](tmp_path / "cells")
    found = evaluate(RunFolder(tmp_path)).results
    assert found[0].judgement.verdict is Verdict.ERROR
    assert "evidence" in found[0].judgement.reason or "agent.jsonl" in found[0].judgement.reason
