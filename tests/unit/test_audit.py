# SPDX-License-Identifier: GPL-2.0
"""Audits: what the agent found becomes a result, and an audit that is missing an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rmaplab.collect.observe import observe
from rmaplab.judge import judge
from rmaplab.model import Finding, FindingKind, Verdict

from .builders import KTAP_PASS, RUN, at, cell, conversation, from_agent, from_lab, save

ANON_MMAP = hex(1 << 12 | 1 << 11)
AGREE = {"anon": 500, "nr_anon_pages": 500, "file": 54, "nr_mapped": 54, "agree": True}


def page(kind: str, **facts: Any) -> dict[str, Any]:
    at = {"pid": 48, "addr": "0x7f0000000000", "entry": "0x408000000002fb3d"}
    whole = {"kind": kind, "pfn": "0x17d9", "head": "0x17c0", "counted": 1, "claimed": 0,
             "flags": ANON_MMAP, "maps": [at], "mappers": 1}  # fmt: skip
    return {**whole, **facts}


def audited(name: str = "end", **facts: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "name": name, "error": "", "kinds": {}, "mismatches": 0, "listed": [], "sums": AGREE,
        "left_out": {}, "pages": 554, "us": 9000,
    }  # fmt: skip
    return from_agent("audit", id=RUN, **{**whole, **facts})


def found(folder: Path, *audits: dict[str, Any], due: bool = True) -> list[Finding]:
    """The lab's own results of a cell whose workload passes, with these audits before its exit."""
    lines = conversation(*KTAP_PASS)
    where = at(lines, "exit")
    asked = [from_lab("audit")] if due else []
    lines = [*asked, *lines[:where], *audits, *lines[where:]]
    return list(observe(save(folder, lines)).findings)


def test_an_audit_that_agrees_adds_no_result(tmp_path: Path) -> None:
    assert found(tmp_path, audited("touch"), audited()) == []


def test_a_page_that_does_not_agree_fails_the_cell_and_is_named(tmp_path: Path) -> None:
    wrong = audited("touch", kinds={"exclusive": 64}, listed=[page("exclusive")])
    (result,) = found(tmp_path, wrong, audited())
    assert result.name == "lab: audit touch: exclusive"
    assert (result.kind, result.mark, result.about, result.amount) == (
        FindingKind.AUDIT, "touch", "exclusive", 64,
    )  # fmt: skip
    assert result.verdict is Verdict.FAIL
    assert result.text.startswith("64 pages")
    for fact in ("pfn 0x17d9", "folio 0x17c0", "1 entries", "kpagecount 0", "ANON", "pid 48"):
        assert fact in result.detail


def test_each_kind_of_mismatch_is_a_result_of_its_own(tmp_path: Path) -> None:
    wrong = audited(kinds={"count": 2, "not-found": 1}, listed=[page("count")])
    names = {result.name for result in found(tmp_path, wrong)}
    assert names == {"lab: audit end: count", "lab: audit end: not-found"}


def test_a_mark_that_fails_again_and_again_is_one_result(tmp_path: Path) -> None:
    wrong = audited("touch", kinds={"count": 1}, listed=[page("count")])
    assert len(found(tmp_path, wrong, wrong, wrong, audited())) == 1


def test_sums_that_differ_fail_the_cell(tmp_path: Path) -> None:
    sums = {**AGREE, "nr_anon_pages": 512, "agree": False}
    (result,) = found(tmp_path, audited(sums=sums))
    assert (result.name, result.verdict) == ("lab: audit end: sums", Verdict.FAIL)
    assert "500" in result.detail
    assert "512" in result.detail


def test_an_audit_that_could_not_be_made_is_an_error(tmp_path: Path) -> None:
    (result,) = found(tmp_path, audited("touch", error="/proc cannot be read"), audited())
    assert (result.name, result.verdict) == ("lab: audit touch", Verdict.ERROR)


def test_an_audit_that_was_due_and_did_not_come_is_an_error(tmp_path: Path) -> None:
    (result,) = found(tmp_path, audited("touch"))
    assert (result.name, result.verdict) == ("lab: audit end", Verdict.ERROR)


def test_without_an_audit_asked_for_none_is_missed(tmp_path: Path) -> None:
    assert found(tmp_path, due=False) == []


@pytest.mark.parametrize("missing", ["name", "error", "kinds", "listed", "sums", "left_out"])
def test_an_audit_that_makes_no_sense_is_no_pass(tmp_path: Path, missing: str) -> None:
    broken = audited()
    del broken[missing]
    lines = [from_lab("audit"), *conversation(*KTAP_PASS)]
    lines.insert(at(lines, "exit"), broken)
    assert judge(cell(), observe(save(tmp_path, lines)), ()).verdict is Verdict.ERROR
