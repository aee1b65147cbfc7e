# SPDX-License-Identifier: GPL-2.0
"""A garbled cell is one lost cell: the other cells are judged, and every report is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rmaplab.model import Outcome, Verdict
from rmaplab.pipeline.evaluate import evaluate, write_reports
from rmaplab.plan import plan

from .builders import (
    KTAP_PASS,
    RUN,
    at,
    cell,
    conversation,
    from_agent,
    lab,
    run_folder,
    save,
    testcase,
)
from .scripted_agent import audit_event

Line = dict[str, Any]
LAB = lab(testcases=[testcase("exclusive/mapcount"), testcase("exclusive/lifecycle", id="T2")])
GARBLED, SOUND = (one.id for one in plan(LAB).cells)


def changed(event: str, **facts: Any) -> Callable[[list[Line]], list[Line]]:
    """Give the first line of that event other facts."""

    def change(lines: list[Line]) -> list[Line]:
        where = at(lines, event)
        return [*lines[:where], {**lines[where], **facts}, *lines[where + 1 :]]

    return change


def audited(**facts: Any) -> Callable[[list[Line]], list[Line]]:
    """Add an audit before the exit."""

    def change(lines: list[Line]) -> list[Line]:
        event = {key: value for key, value in audit_event(**facts).items() if key != "ev"}
        where = at(lines, "exit")
        return [*lines[:where], from_agent("audit", id=RUN, **event), *lines[where:]]

    return change


PAGE = {"kind": "count", "pfn": "0x1", "head": "0x1", "counted": 1, "claimed": 0,
        "flags": "0x800", "maps": [], "mappers": 1}  # fmt: skip


def page(**facts: Any) -> Callable[[list[Line]], list[Line]]:
    return audited(kinds={"count": 1}, listed=[{**PAGE, **facts}])


@pytest.mark.parametrize(
    "change",
    [
        changed("exit", end_t=10**400),
        changed("exit", end_t=float("inf")),
        changed("exit", status=[1]),
        changed("exit", timeout="no"),
        changed("start", pid=None),
        changed("files", files={"/proc/vmstat": 7}),
        changed("files", id=-1),
        page(pfn=None),
        page(mappers="5"),
        page(mappers=float("inf")),
        page(flags="0x" + "f" * 5000),
        page(maps=[{"pid": 1}]),
        audited(sums={"anon": 1, "agree": True}),
        audited(kinds=["count"]),
    ],
)
def test_reports_go_on_with_a_cell_that_is_garbled(
    tmp_path: Path, change: Callable[[list[Line]], list[Line]]
) -> None:
    whole = conversation(*KTAP_PASS)
    folder = run_folder(tmp_path, LAB, {GARBLED: change(whole), SOUND: whole})
    evaluation = evaluate(folder)
    write_reports(evaluation)
    found = {one.cell.id: (one.outcome, one.judgement.verdict) for one in evaluation.results}
    assert found == {
        GARBLED: (Outcome.LOST, Verdict.ERROR),
        SOUND: (Outcome.COMPLETED, Verdict.PASS),
    }
    cells = json.loads((tmp_path / "results.json").read_text("utf-8"))["cells"]
    assert [one["verdict"] for one in cells] == ["error", "pass"]


def test_a_counter_of_five_thousand_digits_is_no_counter(tmp_path: Path) -> None:
    files = {"/proc/vmstat": f"nr_anon_pages {'9' * 5000}\nnr_mlock 1\n"}
    whole = conversation(*KTAP_PASS, before=files, after=files)
    folder = run_folder(tmp_path, LAB, {GARBLED: whole, SOUND: conversation(*KTAP_PASS)})
    write_reports(evaluate(folder))
    found = json.loads((folder.place(GARBLED) / "counters.json").read_text("utf-8"))
    assert "vmstat.nr_mlock" in found
    assert "vmstat.nr_anon_pages" not in found


def test_a_folder_without_evidence_is_one_lost_cell(tmp_path: Path) -> None:
    whole = conversation(*KTAP_PASS)
    folder = run_folder(tmp_path, LAB, {GARBLED: whole, SOUND: whole})
    for name in ("agent.jsonl", "console.log"):
        (folder.place(GARBLED) / name).unlink()
    save(folder.place(SOUND), whole)
    results = evaluate(folder).results
    assert [one.judgement.verdict for one in results] == [Verdict.ERROR, Verdict.PASS]
    assert results[0].cell.kernel == cell().kernel
