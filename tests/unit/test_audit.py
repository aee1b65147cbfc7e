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


def test_a_kind_of_mismatch_that_nobody_knows_is_said_by_its_name(tmp_path: Path) -> None:
    (result,) = found(tmp_path, audited(kinds={"upside-down": 3}))
    assert (result.text, result.amount) == ("3 pages upside-down", 3)


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
    assert result.text == "/proc cannot be read"


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


def test_the_lines_about_pages_say_flags_and_who_maps_them(tmp_path: Path) -> None:
    mapping = {"pid": 48, "addr": "0x7000", "entry": "0x4"}
    other = {"pid": 49, "addr": "0x8000", "entry": "0x5"}
    pages = [
        page("count", maps=[mapping, other], mappers=2),
        page("count", pfn="0x1", maps=[mapping], mappers=4, flags="0x0"),
        page("count", pfn="0x2", maps=[mapping], mappers=2),
        page("count", pfn="0x3", maps=[], mappers=0),
        page("flags", pfn="0x4"),
    ]
    (result, _) = found(tmp_path, audited(kinds={"count": 4, "flags": 1}, listed=pages))
    assert result.detail.splitlines() == [
        "FAILED: 4 pages have another mapcount than entries that map them",
        "pfn 0x17d9 (folio 0x17c0): 1 entries, kpagecount 0, MMAP|ANON; "
        "mapped by pid 48 at 0x7000 (0x4), pid 49 at 0x8000 (0x5)",
        "pfn 0x1 (folio 0x17c0): 1 entries, kpagecount 0, no flags; "
        "mapped by pid 48 at 0x7000 (0x4) and 3 more",
        "pfn 0x2 (folio 0x17c0): 1 entries, kpagecount 0, MMAP|ANON; "
        "mapped by pid 48 at 0x7000 (0x4) and 1 more",
        "pfn 0x3 (folio 0x17c0): 1 entries, kpagecount 0, MMAP|ANON; mapped by nobody",
    ]


@pytest.mark.parametrize(
    ("sums", "amount", "said"),
    [
        ({"anon": 510}, 10, "510 anonymous, 54 others; vmstat: nr_anon_pages 500, nr_mapped 54"),
        ({"nr_mapped": 61}, 7, "500 anonymous, 54 others; vmstat: nr_anon_pages 500, nr_mapped 61"),
        ({"anon": 498, "file": 59}, 5,
         "498 anonymous, 59 others; vmstat: nr_anon_pages 500, nr_mapped 54"),
        ({"anon": 510, "zsmalloc": 3, "nr_zspages": 9}, 10,
         "510 anonymous, 54 others; vmstat: nr_anon_pages 500, nr_mapped 54, "
         "3 maybe zsmalloc's, of nr_zspages 9"),
    ],
    ids=["anonymous", "mapped", "both", "zsmalloc"],
)  # fmt: skip
def test_the_amount_of_sums_is_how_far_the_worse_one_is_off(
    tmp_path: Path, sums: dict[str, int], amount: int, said: str
) -> None:
    (result,) = found(tmp_path, audited(sums={**AGREE, **sums, "agree": False}))
    assert result.amount == amount
    assert result.text == f"pages that claim to be mapped: {said}"
