# SPDX-License-Identifier: GPL-2.0
"""Judging needs the saved evidence alone, and says the same each time."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from rmaplab.errors import ExitCode
from rmaplab.model import Change, Limit
from rmaplab.pipeline.evaluate import Evaluation, evaluate, write_reports
from rmaplab.plan import plan
from rmaplab.store.runfolder import RunFolder

from .builders import (
    KTAP_FAIL,
    KTAP_PASS,
    conversation,
    expectation,
    facts,
    from_lab,
    kernel,
    lab,
    run_folder,
    testcase,
)

LAB = lab(
    kernels=[kernel("base"), kernel("patched", series="patches/x")],
    testcases=[testcase("exclusive/a"), testcase("exclusive/b", id="T2")],
    repeat=2,
)
REPORTS = ("junit.xml", "results.json", "summary.md", "report.html")
PASS = conversation(*KTAP_PASS, before={"/proc/vmstat": "nr_anon_pages 1\n"},
                    after={"/proc/vmstat": "nr_anon_pages 3\n"})  # fmt: skip
FAIL = conversation(*KTAP_FAIL, status=1)
LOST = PASS[:-1]


def ids(wanted: Any = LAB) -> list[str]:
    return [cell.id for cell in plan(wanted).cells]


def an_ab(path: Path) -> RunFolder:
    """Testcase a is fixed, b passes on both."""
    evidence = {one: FAIL if one.startswith("base.") and ".a." in one else PASS for one in ids()}
    return run_folder(path, LAB, evidence, comparison=("base", "patched"))


def written(folder: RunFolder) -> dict[str, bytes]:
    write_reports(evaluate(folder))
    return {str(path.relative_to(folder.path)): path.read_bytes()
            for path in sorted(folder.path.rglob("*")) if path.is_file()}  # fmt: skip


def test_judging_twice_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    folder = an_ab(tmp_path / "run")
    first = written(folder)
    for name in REPORTS:
        assert first[name]
        (folder.path / name).unlink()
    assert written(folder) == first


def test_judging_a_copy_elsewhere_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    first = written(an_ab(tmp_path / "run"))
    shutil.move(tmp_path / "run", tmp_path / "moved")
    assert written(RunFolder.open(tmp_path / "moved")) == first


def test_judging_looks_at_the_evidence_and_not_at_old_reports(tmp_path: Path) -> None:
    folder = an_ab(tmp_path / "run")
    first = written(folder)
    for name in REPORTS:
        (folder.path / name).write_text("stale", encoding="utf-8")
    assert written(folder) == first


def test_an_ab_that_fixes_is_good_news(tmp_path: Path) -> None:
    evaluation = evaluate(an_ab(tmp_path))
    assert evaluation.comparison is not None
    assert [row.change for row in evaluation.comparison.rows] == [Change.FIXED, Change.SAME_PASS]
    assert evaluation.exit_code is ExitCode.OK


def outcome(path: Path, **evidence: Any) -> ExitCode:
    """The exit code of an A/B of one testcase with the given evidence for each kernel."""
    wanted = lab(kernels=[kernel("base"), kernel("patched")])
    cells = {one: evidence[one.split(".")[0]] for one in ids(wanted)}
    return evaluate(run_folder(path, wanted, cells, comparison=("base", "patched"))).exit_code


@pytest.mark.parametrize(
    ("base", "patched", "code"),
    [
        (PASS, PASS, ExitCode.OK),
        (FAIL, PASS, ExitCode.OK),
        (FAIL, FAIL, ExitCode.OK),
        (PASS, FAIL, ExitCode.REGRESSION),
        (PASS, LOST, ExitCode.INFRA),
        (LOST, PASS, ExitCode.INFRA),
        (LOST, LOST, ExitCode.INFRA),
    ],
)
def test_an_abs_exit_code_is_the_worst_of_its_rows(
    tmp_path: Path, base: Any, patched: Any, code: ExitCode
) -> None:
    assert outcome(tmp_path, base=base, patched=patched) is code


def migrated(pages: int) -> Any:
    return conversation(*KTAP_PASS, before={"/proc/vmstat": "thp_split_page 1\n"},
                        after={"/proc/vmstat": f"thp_split_page {1 + pages}\n"})  # fmt: skip


def limited(path: Path, limit: Limit) -> Evaluation:
    """Judge an A/B in which patched splits three THPs more than base."""
    wanted = lab(kernels=[kernel("base"), kernel("patched")], limits=(limit,))
    base, patched = ids(wanted)
    evidence = {base: migrated(0), patched: migrated(3)}
    return evaluate(run_folder(path, wanted, evidence, comparison=("base", "patched")))


def test_a_counter_that_differs_is_shown_from_the_saved_evidence_and_fails_over_its_limit(
    tmp_path: Path,
) -> None:
    found = limited(tmp_path / "3", Limit("thp_split_page", 3, is_percent=False, line=9))
    assert found.comparison is not None
    (row,) = found.comparison.rows
    assert [one.phrase for one in row.counters] == ["vmstat.thp_split_page: 0 -> 3"]
    assert (row.change, found.exit_code) == (Change.SAME_PASS, ExitCode.OK)
    over = limited(tmp_path / "2", Limit("thp_split_page", 2, is_percent=False, line=9))
    assert over.exit_code is ExitCode.REGRESSION


def test_a_limit_that_no_row_can_be_held_against_is_a_remark(tmp_path: Path) -> None:
    (remark,) = limited(tmp_path / "1", Limit("instructions", 0, is_percent=True, line=9)).remarks
    assert "tiny.yaml:9: limit 'instructions': nothing was measured: it takes --exact" in remark
    (remark,) = limited(tmp_path / "2", Limit("thp_spilt", 0, is_percent=False, line=9)).remarks
    assert "tiny.yaml:9: limit 'thp_spilt': both kernels show it in no row" in remark


@pytest.mark.parametrize(
    ("evidence", "code"),
    [
        (PASS, ExitCode.OK),
        (FAIL, ExitCode.REGRESSION),
        (LOST, ExitCode.INFRA),
        ([], ExitCode.INFRA),
    ],
)
def test_a_runs_exit_code_is_that_of_its_cells(
    tmp_path: Path, evidence: Any, code: ExitCode
) -> None:
    (one,) = ids(lab())
    assert evaluate(run_folder(tmp_path, lab(), {one: evidence})).exit_code is code


@pytest.mark.parametrize(("image", "same"), [("1234", True), ("5678", False), ("", False)])
def test_an_image_that_is_bases_byte_for_byte_is_said_in_every_report(
    tmp_path: Path, image: str, same: bool
) -> None:
    base, patched = facts(), facts()
    base.image, patched.image = "1234" if image else "", image
    kernels = {"base": base, "patched": patched}
    evidence = dict.fromkeys(ids(), PASS)
    folder = run_folder(tmp_path, LAB, evidence, comparison=("base", "patched"), kernels=kernels)
    said = "image is base's, byte for byte"
    assert (said in evaluate(folder).summary.headline) is same
    files = written(folder)
    for name in ("results.json", "summary.md"):
        assert (said in files[name].decode()) is same


def test_a_run_without_a_cell_is_no_good_news(tmp_path: Path) -> None:
    assert evaluate(run_folder(tmp_path, lab(), {})).exit_code is ExitCode.INFRA


def test_a_known_failure_is_green_and_one_that_is_gone_is_not(tmp_path: Path) -> None:
    wanted = lab(expectations=[expectation()])
    (one,) = ids(wanted)
    known = evaluate(run_folder(tmp_path / "a", wanted, {one: FAIL}))
    gone = evaluate(run_folder(tmp_path / "b", wanted, {one: PASS}))
    assert known.exit_code is ExitCode.OK
    assert gone.exit_code is ExitCode.REGRESSION


def test_an_expectation_without_a_cell_is_reported_of_a_whole_run_only(tmp_path: Path) -> None:
    stale = expectation("exclusive/gone")
    wanted = lab(expectations=[stale], repeat=2)
    both = ids(wanted)
    whole = evaluate(run_folder(tmp_path / "a", wanted, dict.fromkeys(both, PASS)))
    part = evaluate(run_folder(tmp_path / "b", wanted, {both[0]: PASS}))
    assert whole.stale == (stale,)
    assert part.stale == ()


def test_an_interrupted_run_holds_what_was_finished(tmp_path: Path) -> None:
    wanted = lab(repeat=3)
    cells = ids(wanted)
    folder = run_folder(tmp_path, wanted, {cells[0]: PASS})
    record = folder.read_record()
    record.cells, record.interrupted = tuple(cells), True
    folder.write_record(record)
    (folder.path / "cells" / cells[1]).mkdir()
    evaluation = evaluate(folder)
    assert [result.cell.id for result in evaluation.results] == cells[:1]
    assert evaluation.exit_code is ExitCode.INTERRUPTED


def test_a_run_of_a_killed_lab_holds_what_was_finished(tmp_path: Path) -> None:
    wanted = lab(repeat=2)
    first, second = ids(wanted)
    folder = run_folder(tmp_path, wanted, {first: PASS})
    record = folder.read_record()
    record.cells, record.ended = (first, second), ""
    folder.write_record(record)
    evaluation = evaluate(folder)
    assert [result.cell.id for result in evaluation.results] == [first]


def test_a_run_whose_kernel_was_not_built_exits_3_and_says_why(tmp_path: Path) -> None:
    kernels = {"base": facts(), "patched": facts(error="mm/rmap.c:3: error: no")}
    folder = run_folder(tmp_path, LAB, {}, kernels=kernels, comparison=("base", "patched"))
    evaluation = evaluate(folder)
    assert evaluation.exit_code is ExitCode.BUILD
    assert evaluation.build_errors == {"patched": "mm/rmap.c:3: error: no"}
    assert b"mm/rmap.c:3: error: no" in written(folder)["junit.xml"]


def test_a_skipped_cell_needs_no_console(tmp_path: Path) -> None:
    (one,) = ids(lab())
    said = [from_lab("skip", reason="no"), from_lab("end", how="not-run", detail="no")]
    folder = run_folder(tmp_path, lab(), {one: said})
    (tmp_path / "cells" / one / "console.log").unlink()
    assert evaluate(folder).results[0].judgement.verdict == "skip"


def test_hostile_evidence_is_reported_all_the_same(tmp_path: Path) -> None:
    (one,) = ids(lab())
    name = "\ud800\x00\x1b[2J<b>]]>"
    said = conversation("KTAP version 1", "1..1", f"# {name}", f"not ok 1 {name}", status=1)
    files = written(run_folder(tmp_path, lab(), {one: said}))
    assert all(files[report] for report in REPORTS)
