# SPDX-License-Identifier: GPL-2.0
"""Coverage of a series: from a run's folder to the reports, without a kernel."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import jsonschema
import pydantic
import pytest
import zstandard

from rmaplab.evidence import blocks
from rmaplab.evidence.blocks import RunBlocks
from rmaplab.evidence.names import BLOCKS
from rmaplab.model import CoveragePolicy, CoverageScope, Isolation
from rmaplab.model.coverage import (
    ChangedFile,
    ChangedFunction,
    ChangedLine,
    KernelChange,
    LineKind,
    Reach,
)
from rmaplab.pipeline import changes
from rmaplab.pipeline.evaluate import evaluate, write_reports
from rmaplab.plan import plan
from rmaplab.report import coverage, schemas
from rmaplab.store import cellseal
from rmaplab.store.runfolder import RunFolder

from .builders import KTAP_PASS, cell, conversation, facts, guest, kernel, lab, run_folder, testcase

LAB = lab(
    kernels=[kernel("base"), kernel("patched", series="patches/x")],
    testcases=[testcase("exclusive/a"), testcase("migrate/b", id="T2")],
    repeat=2,
)
PASS = conversation(*KTAP_PASS)
TEXT = 0xFFFF_FFFF_8100_0000
DIFF = """@@ -8,4 +10,8 @@ static int walk(void)
 \tint found;
\x20
+\t/* what follows is new */
+\tif (found)
+\t\tfound = one();
+\telse
+\t\tfound = other();
-\told();
 \treturn found;
"""


def at(begin: int, end: int) -> tuple[int, int]:
    return TEXT + begin, TEXT + end


CHANGE = KernelChange(
    (
        ChangedFile(
            "mm/rmap.c",
            DIFF,
            (
                ChangedLine(12, LineKind.WITHOUT_CODE),
                ChangedLine(13, LineKind.CODE, (at(0x10, 0x20),)),
                ChangedLine(14, LineKind.CODE, (at(0x20, 0x30),)),
                ChangedLine(15, LineKind.NOT_BUILT),
                ChangedLine(16, LineKind.CODE, (at(0x30, 0x38), at(0x100, 0x104))),
            ),
            (
                ChangedFunction("walk", 9, (at(0, 0x40),)),
                ChangedFunction("mkclean", 90, (at(0x200, 0x240),), "nothing calls it"),
            ),
        ),
    )
)


def ran(*stretches: tuple[int, int], dropped: int = 0) -> bytes:
    """Return a record of stretches, given from the kernel's begin."""
    begins, ends = zip(*(at(*one) for one in stretches), strict=True)
    return blocks.encode(RunBlocks(begins, ends, dropped))


A_AND_B = {
    "patched.q35.thp-never.exclusive.a.1": ran((0x0, 0x24)),
    "patched.q35.thp-never.migrate.b.1": ran((0x12, 0x14), (0x300, 0x400)),
}


def a_run(
    path: Path, records: dict[str, bytes], change: KernelChange = CHANGE, *, seal: bool = False
) -> RunFolder:
    cells = [one.id for one in plan(LAB).cells]
    found = run_folder(
        path, LAB, dict.fromkeys(cells, PASS), comparison=("base", "patched"),
        kernels={"base": facts("b" * 16), "patched": facts("a" * 16)},
    )  # fmt: skip
    for name, content in records.items():
        (found.place(name) / BLOCKS).write_bytes(content)
    place = found.path / "builds" / ("a" * 16)
    place.mkdir(parents=True, exist_ok=True)
    content = pydantic.TypeAdapter(KernelChange).dump_json(change)
    (place / changes.FILE).write_bytes(zstandard.compress(content))
    if seal:
        for name in cells:
            found.journal("cell", cell=name, evidence=cellseal.seal(found.place(name)))
    return found


def reach(found: RunFolder) -> list[tuple[int, str, Sequence[str]]]:
    (patched,) = (one for one in evaluate(found).run.coverage if one.kernel == "patched")
    return [(one.number, str(one.reach), one.by) for file in patched.files for one in file.lines]


def test_each_changed_line_was_run_by_these_testcases(tmp_path: Path) -> None:
    assert reach(a_run(tmp_path / "run", A_AND_B)) == [
        (12, "without code", ()),
        (13, "run", ("exclusive/a", "migrate/b")),
        (14, "run", ("exclusive/a",)),
        (15, "not built", ()),
        (16, "not run", ()),
    ]


def test_a_line_was_run_if_any_of_its_code_was(tmp_path: Path) -> None:
    name = "patched.q35.thp-never.exclusive.a.1"
    found = reach(a_run(tmp_path / "run", {name: ran((0x103, 0x200))}))
    assert [number for number, what, _ in found if what == "run"] == [16]


def test_functions_that_were_not_run_are_named_with_the_reason(tmp_path: Path) -> None:
    (one,) = (c for c in evaluate(a_run(tmp_path / "run", A_AND_B)).run.coverage)
    assert list(coverage.lines(one)) == [
        "2 of 3 changed lines were run (1 without code, 1 not built)",
        "not run: mm/rmap.c:16",
        "functions not run: mkclean() (nothing calls it)",
    ]


def test_a_saved_run_says_the_same_elsewhere_in_every_report(tmp_path: Path) -> None:
    found = a_run(tmp_path / "run", A_AND_B, seal=True)
    write_reports(evaluate(found))
    copied = RunFolder.open(shutil.copytree(found.path, tmp_path / "copy"))
    write_reports(evaluate(copied))
    for name in ("results.json", "summary.md", "report.html"):
        assert (found.path / name).read_bytes() == (copied.path / name).read_bytes()
    said = "2 of 3 changed lines were run"
    assert said in (copied.path / "summary.md").read_text("utf-8")
    page = (copied.path / "report.html").read_text("utf-8")
    assert said in page
    assert '<span class="not-run" title="not run">    16 ! +' in page
    assert 'title="2 testcases: exclusive/a, migrate/b">    13 + +' in page


def test_results_json_has_the_lines_and_fits_its_schema(tmp_path: Path) -> None:
    found = a_run(tmp_path / "run", A_AND_B)
    write_reports(evaluate(found))
    said = json.loads((found.path / "results.json").read_text("utf-8"))
    jsonschema.validate(said, json.loads(schemas.text("results")))
    (one,) = said["coverage"]
    assert one["lines"] == {
        "run": 2, "not run": 1, "without code": 1, "not built": 1, "unknown": 0,
    }  # fmt: skip
    assert one["files"][0]["lines"][2] == {"number": 14, "reach": "run", "by": ["exclusive/a"]}


def test_a_run_without_a_record_says_nothing_of_it(tmp_path: Path) -> None:
    cells = dict.fromkeys((one.id for one in plan(LAB).cells), PASS)
    found = run_folder(tmp_path / "run", LAB, cells, comparison=("base", "patched"))
    write_reports(evaluate(found))
    assert "coverage" not in json.loads((found.path / "results.json").read_text("utf-8"))
    assert 'id="coverage"' not in (found.path / "report.html").read_text("utf-8")


def test_blocks_that_found_no_room_are_said(tmp_path: Path) -> None:
    name = "patched.q35.thp-never.exclusive.a.1"
    (one,) = evaluate(a_run(tmp_path / "run", {name: ran((0, 9), dropped=7)})).run.coverage
    assert one.incomplete == (f"{name}: 7 blocks are not in its record",)
    assert f"records that are not whole: {one.incomplete[0]}" in list(coverage.lines(one))


@pytest.mark.parametrize("content", [b"", b"x" * 64, ran((0, 9))[:-2]])
def test_a_damaged_record_ran_nothing_and_is_said(tmp_path: Path, content: bytes) -> None:
    name = "patched.q35.thp-never.exclusive.a.1"
    (one,) = evaluate(a_run(tmp_path / "run", {**A_AND_B, name: content})).run.coverage
    assert [said.partition(": ")[0] for said in one.incomplete] == [name]
    assert [line.by for line in one.files[0].lines if line.number == 13] == [("migrate/b",)]


def test_a_record_that_is_not_as_it_was_sealed_does_not_count(tmp_path: Path) -> None:
    found = a_run(tmp_path / "run", A_AND_B, seal=True)
    name = "patched.q35.thp-never.exclusive.a.1"
    (found.place(name) / BLOCKS).write_bytes(ran((0, 0x400)))
    evaluation = evaluate(found)
    (one,) = evaluation.run.coverage
    assert [line.by for line in one.files[0].lines if line.number == 16] == [()]
    (spoilt,) = (r for r in evaluation.results if r.cell.id == name)
    assert "blocks.bin is not as it was" in spoilt.judgement.reason


@pytest.mark.parametrize("content", [b"", b"no zstd", zstandard.compress(b'{"files": 3}')])
def test_a_damaged_change_is_said_instead_of_a_number(tmp_path: Path, content: bytes) -> None:
    found = a_run(tmp_path / "run", A_AND_B)
    (path,) = found.path.glob(f"builds/*/{changes.FILE}")
    path.write_bytes(content)
    (one,) = evaluate(found).run.coverage
    assert coverage.headline(one).startswith("what was run of the series is not known: ")


def test_what_could_not_be_found_out_is_the_answer(tmp_path: Path) -> None:
    (one,) = evaluate(a_run(tmp_path / "run", {}, KernelChange(error="nm fails"))).run.coverage
    assert list(coverage.lines(one)) == ["what was run of the series is not known: nm fails"]


def test_hostile_text_of_a_diff_stays_text(tmp_path: Path) -> None:
    evil = KernelChange(
        (ChangedFile("mm/<b>.c", "@@ -0,0 +1,1 @@\n+</pre><script>x</script>\x1b[2J\n",
                     (ChangedLine(1, LineKind.WITHOUT_CODE),), note="\x1b]0;x\x07<i>"),)
    )  # fmt: skip
    found = a_run(tmp_path / "run", A_AND_B, evil)
    write_reports(evaluate(found))
    page = (found.path / "report.html").read_text("utf-8")
    assert "<script>x" not in page
    assert "<i>" not in page
    assert "\x1b" not in page + (found.path / "summary.md").read_text("utf-8")


def test_the_counts_are_those_of_the_lines(tmp_path: Path) -> None:
    (one,) = evaluate(a_run(tmp_path / "run", A_AND_B)).run.coverage
    assert sum(one.counts.values()) == len(CHANGE.files[0].lines)
    assert one.with_code == one.counts[Reach.RUN] + one.counts[Reach.NOT_RUN] == 3


@pytest.mark.parametrize(
    ("scope", "repeat", "isolation", "recorded"),
    [
        (CoverageScope.NONE, 1, Isolation.CLONE, False),
        (CoverageScope.FIRST, 1, Isolation.CLONE, True),
        (CoverageScope.FIRST, 2, Isolation.CLONE, False),
        (CoverageScope.ALL, 2, Isolation.CLONE, True),
        # A guest translates nothing again that it translated before the cell.
        (CoverageScope.ALL, 1, Isolation.BOOT, False),
        (CoverageScope.ALL, 1, Isolation.SHARED, False),
    ],
)
def test_a_policy_says_which_cells_are_recorded(
    scope: CoverageScope, repeat: int, isolation: Isolation, recorded: bool
) -> None:
    one = cell(guest=guest(isolation=isolation), repeat=repeat)
    assert CoveragePolicy(scope).covers(one) is recorded
