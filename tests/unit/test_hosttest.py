# SPDX-License-Identifier: GPL-2.0
"""Host tests of the kernel tree: each form in which they speak, and what is no pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rmaplab.collect.observe import observe
from rmaplab.compare import compare
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import DiagnosticsError
from rmaplab.judge import judge
from rmaplab.model import (
    HOST,
    CellResult,
    Change,
    HostTest,
    HugepageSettings,
    Observation,
    Outcome,
    Requirements,
    Userspace,
    Verdict,
)
from rmaplab.plan import plan

from . import builders
from .builders import cell, from_lab, lab, save, testcase

NONE = HugepageSettings("none", "nothing", ())
TEST = replace(
    testcase("host/vma", settings=["none"], requires=Requirements(userspace=Userspace.SANDBOX)),
    host=HostTest("vma", "vma"),
)
CELL = cell(guest=HOST, settings=NONE, testcase=TEST)
VMA = "3 tests run, 3 passed, 0 failed."


def seen(
    folder: Path,
    *said: str,
    status: int = 0,
    stopped: str = "",
    timeout: bool = False,
    short: str = "",
    says: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
) -> Observation:
    lines = [
        from_lab("cell", cell="x"),
        from_lab("expected", version="6.12.1", section="tools/testing/vma", names=names),
        from_lab("program", argv=["vma"], says=says, limit_s=10.0),
        from_lab("program-end", status=status, stopped=stopped, timeout=timeout, short=short),
        from_lab("end", how="program-ended", detail=f"status {status}"),
    ]
    output = "".join(f"{line}\n" for line in said).encode()
    return observe(save(folder, lines, console=output))


def verdicts(found: Observation) -> dict[str, Verdict]:
    return {one.name: one.verdict for one in found.results}


def judged(found: Observation) -> tuple[Verdict, str]:
    judgement = judge(CELL, found, ())
    return judgement.verdict, judgement.reason


# -- result lines, as tools/testing/memblock prints them ------------------------------------------

MEMBLOCK = (
    "ok 1 : memblock_initialization_check: passed",
    "Running memblock_add tests...",
    "ok 2 : memblock_add: top-down: memblock_add_simple_check: passed",
)
ASSERT = "main: tests/basic_api.c:73: memblock_add_simple_check: Assertion `(1) == (2)' failed."


def test_result_lines_need_neither_version_nor_plan(tmp_path: Path) -> None:
    found = seen(tmp_path, *MEMBLOCK)
    assert verdicts(found) == {
        "memblock_initialization_check": Verdict.PASS,
        "memblock_add: top-down: memblock_add_simple_check": Verdict.PASS,
    }
    assert judged(found) == (Verdict.PASS, "")


def test_a_result_has_one_name_whether_it_passes_or_fails(tmp_path: Path) -> None:
    failed = MEMBLOCK[2].replace("ok", "not ok", 1).replace("passed", "failed")
    found = seen(tmp_path, *MEMBLOCK[:2], failed, ASSERT, status=134)
    assert verdicts(found) == {
        "memblock_initialization_check": Verdict.PASS,
        "memblock_add: top-down: memblock_add_simple_check": Verdict.FAIL,
        "lab: exit": Verdict.FAIL,
    }
    assert "Assertion `(1) == (2)' failed." in judged(found)[1]


def test_results_that_do_not_add_up_are_no_pass(tmp_path: Path) -> None:
    found = seen(tmp_path, MEMBLOCK[0], MEMBLOCK[0])
    assert judged(found)[0] is Verdict.ERROR


# -- a count, and the names of what fails, as tools/testing/vma prints them -----------------------


def test_what_passes_has_the_names_that_the_program_has(tmp_path: Path) -> None:
    found = seen(tmp_path, VMA, names=("merge", "split", "expand"))
    assert verdicts(found) == dict.fromkeys(("merge", "split", "expand"), Verdict.PASS)
    assert judged(found) == (Verdict.PASS, "")


def test_what_fails_is_named_with_its_assertion(tmp_path: Path) -> None:
    said = "Assert FAILED at vma.c:7:test_split(): 1 == 2 is FALSE."
    lines = (said, "Test split FAILED", "3 tests run, 2 passed, 1 failed.")
    found = seen(tmp_path, *lines, status=1, names=("merge", "split", "expand"))
    assert verdicts(found) == {
        "merge": Verdict.PASS, "split": Verdict.FAIL, "expand": Verdict.PASS,
    }  # fmt: skip
    assert judged(found) == (Verdict.FAIL, f"split: {said}")


@pytest.mark.parametrize("names", [(), ("merge",), ("merge", "split", "expand", "more")])
def test_without_their_names_tests_are_counted_so_that_none_can_go(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    found = seen(tmp_path, VMA, names=names)
    assert len(found.subtests) == 3
    assert judged(found) == (Verdict.PASS, "")


@pytest.mark.parametrize(
    "said",
    [
        ("3 tests run, 2 passed, 0 failed.",),
        ("3 tests run, 2 passed, 1 failed.",),
        ("Test split FAILED", VMA),
        ("0 tests run, 0 passed, 0 failed.",),
    ],
)
def test_a_count_that_does_not_add_up_fails(tmp_path: Path, said: tuple[str, ...]) -> None:
    assert judged(seen(tmp_path, *said, names=("merge", "split", "expand")))[0] is Verdict.FAIL


# -- counts of checks, as lib/test_*.c print them --------------------------------------------------


def test_all_checks_passed(tmp_path: Path) -> None:
    found = seen(tmp_path, "XArray: 5 of 5 tests passed", "IDA: 7 of 7 tests passed")
    assert verdicts(found) == {"XArray": Verdict.PASS, "IDA": Verdict.PASS}
    assert judged(found) == (Verdict.PASS, "")


def test_a_program_that_returns_0_over_a_failed_check_fails(tmp_path: Path) -> None:
    bug = "BUG at check_alloc_range:957 (1)"
    found = seen(tmp_path, bug, "Pass: 4 Run:5", bug, "maple_tree: 3 of 5 tests passed")
    assert verdicts(found) == {"maple_tree": Verdict.FAIL, "check_alloc_range": Verdict.FAIL}
    assert judged(found)[0] is Verdict.FAIL


def test_no_check_at_all_is_no_pass(tmp_path: Path) -> None:
    assert judged(seen(tmp_path, "XArray: 0 of 0 tests passed"))[0] is Verdict.FAIL


def test_a_warning_fails_but_where_it_is_brought_about(tmp_path: Path) -> None:
    count = "IDA: 7 of 7 tests passed"
    warning = "assertion failed at idr.c:271"
    meant = ("vvv Ignore these warnings", warning, "^^^ Warnings over")
    assert judged(seen(tmp_path / "a", *meant, count)) == (Verdict.PASS, "")
    found = seen(tmp_path / "b", *meant, warning, count)
    assert judged(found) == (Verdict.FAIL, "assertion in idr.c: line 271")


# -- what a testcase's file says that has to come --------------------------------------------------


def test_lines_that_have_to_come(tmp_path: Path) -> None:
    says = ("running tests", "tests completed")
    whole = seen(tmp_path / "a", "random seed 1", *says, says=says)
    assert judged(whole) == (Verdict.PASS, "")
    half = seen(tmp_path / "b", says[0], says=says)
    assert judged(half) == (
        Verdict.FAIL, "tests completed: missing: the program did not print it",
    )  # fmt: skip


def test_lines_have_to_come_in_their_order(tmp_path: Path) -> None:
    assert judged(seen(tmp_path, "b", "a", says=("a", "b")))[0] is Verdict.FAIL


# -- silence, crashes, sanitizers, limits ---------------------------------------------------------


def test_silence_is_a_failure(tmp_path: Path) -> None:
    found = seen(tmp_path, "hello")
    assert judged(found) == (
        Verdict.FAIL, "lab: result: the program printed nothing that is a result",
    )  # fmt: skip


@pytest.mark.parametrize("status", [1, 2, 127, 139])
def test_a_status_speaks_over_results_that_pass(tmp_path: Path, status: int) -> None:
    found = seen(tmp_path, VMA, names=("a", "b", "c"), status=status)
    assert judged(found)[0] is Verdict.FAIL


ASAN = (
    "=================================================================",
    "==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x60d000 at pc 0x55 bp 0x7f",
    "READ of size 8 at 0x60d000 thread T0",
    "    #0 0x5555 in vma_merge /kernel/source/tools/testing/vma/../../../mm/vma.c:332",
    "SUMMARY: AddressSanitizer: heap-use-after-free "
    "/kernel/source/tools/testing/vma/../../../mm/vma.c:332 in vma_merge",
)
UBSAN = (
    "/kernel/source/mm/vma.c:12:7: runtime error: shift exponent 64 is too large for 64-bit type"
)


def test_a_sanitizers_report_fails(tmp_path: Path) -> None:
    found = seen(tmp_path, *ASAN, status=1)
    name = "lab: sanitizer: AddressSanitizer: heap-use-after-free in vma_merge"
    assert verdicts(found) == {name: Verdict.FAIL}
    cut = seen(tmp_path / "cut", *ASAN[:3], status=1)
    assert judged(cut)[0] is Verdict.FAIL
    assert "heap-use-after-free" in judged(cut)[1]


def test_a_program_that_goes_on_after_a_report_fails(tmp_path: Path) -> None:
    found = seen(tmp_path, UBSAN, UBSAN, VMA, names=("a", "b", "c"))
    assert [one.name for one in found.findings] == [
        "lab: sanitizer: mm/vma.c: shift exponent N is too large for N-bit type"
    ]
    assert judged(found)[0] is Verdict.FAIL


def test_the_limit_is_a_timeout_of_the_tree(tmp_path: Path) -> None:
    found = seen(tmp_path, MEMBLOCK[0], status=137, stopped="no end within 10 s", timeout=True)
    assert found.ended is Outcome.TIMEOUT
    assert judged(found)[0] is Verdict.FAIL


def test_too_much_memory_is_the_programs_fault_and_a_full_host_is_not(tmp_path: Path) -> None:
    found = seen(tmp_path / "a", VMA, status=137, stopped="it uses 9 MB of memory, and ...")
    assert judged(found)[0] is Verdict.FAIL
    found = seen(tmp_path / "b", VMA, status=137, stopped="the disk is full", short="the disk")
    assert judged(found)[0] is Verdict.ERROR


def test_evidence_that_is_not_whole_is_no_pass(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    assert judged(seen(folder, VMA, names=("a", "b", "c")))[0] is Verdict.PASS
    (folder / "console.log").write_text("3 tests run, 3 passed, 0 failed", "utf-8")
    assert judge(CELL, observe(folder), ()).verdict is Verdict.ERROR
    transcript = folder / "agent.jsonl"
    lines = transcript.read_text("utf-8").splitlines(keepends=True)
    for cut in range(len(lines)):
        transcript.write_text("".join(lines[:cut]), "utf-8")
        assert judge(CELL, observe(folder), ()).verdict is Verdict.ERROR


# -- both sides ------------------------------------------------------------------------------------


def change(base: Observation, patched: Observation) -> tuple[Change, str]:
    results = [
        [CellResult(one, found, judge(one, found, ()))]
        for name, found in (("base", base), ("patched", patched))
        for one in [replace(CELL, kernel=name)]
    ]
    (row,) = compare("base", "patched", *results).rows
    return row.change, row.detail


def test_a_test_that_a_series_drops_is_missing(tmp_path: Path) -> None:
    base = seen(tmp_path / "a", VMA, names=("a", "b", "c"))
    patched = seen(tmp_path / "b", "2 tests run, 2 passed, 0 failed.", names=("a", "b"))
    assert change(base, patched) == (Change.MISSING, "ran on base, not on patched: c")
    unnamed = seen(tmp_path / "c", VMA), seen(tmp_path / "d", "2 tests run, 2 passed, 0 failed.")
    assert change(*unnamed)[0] is Change.MISSING


def test_a_suite_that_a_series_drops_is_missing(tmp_path: Path) -> None:
    base = seen(tmp_path / "a", VMA, names=("a", "b", "c"))
    lines = [
        from_lab("cell", cell="x"),
        from_lab("skip", reason="the tree has no tools/testing/vma"),
        from_lab("end", how="not-run", detail=""),
    ]
    patched = observe(save(tmp_path / "b", lines, console=b""))
    assert change(base, patched)[0] is Change.MISSING


def test_a_new_report_of_a_sanitizer_does_not_hide_behind_a_known_failure(tmp_path: Path) -> None:
    failed = ("Test a FAILED", "3 tests run, 2 passed, 1 failed.")
    base = seen(tmp_path / "a", *failed, names=("a", "b", "c"), status=1)
    patched = seen(tmp_path / "b", *failed, UBSAN, names=("a", "b", "c"), status=1)
    assert change(base, patched)[0] is Change.REGRESSED


# -- plan and files -------------------------------------------------------------------------------


def test_host_tests_run_on_the_host_and_nothing_else_does() -> None:
    other = testcase(settings=["none"])
    one = replace(
        lab(), guests=(HOST, builders.guest()), settings=(NONE,), testcases=(TEST, other),
        exclusions=(), inclusions=(), expectations=(),
    )  # fmt: skip
    found = plan(one)
    assert {(c.guest.name, c.testcase.name) for c in found.cells} == {
        ("host", "host/vma"), ("q35", "exclusive/mapcount"),
    }  # fmt: skip
    assert len(found.left_out) == 2


def test_a_host_test_requires_nothing_of_a_guest(tmp_path: Path) -> None:

    folder = tmp_path / "testcases/host"
    folder.mkdir(parents=True)
    (folder / "bad.yaml").write_text(
        "id: X1\nsummary: x\nkind: test\nwalkers: []\nsettings: [none]\nlimit_s: 1\n"
        "host: {suite: vma, program: vma}\nrequires: {swap: true}\nnotices: [oom]\n",
        "utf-8",
    )
    with pytest.raises(DiagnosticsError) as caught:
        _ = Catalogue(tmp_path).testcases
    assert "a host test has no guest, so requires no swap" in str(caught.value)
    assert "notices is of a kernel that runs" in str(caught.value)
