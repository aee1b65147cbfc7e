# SPDX-License-Identifier: GPL-2.0
"""A series patch by patch: which patch breaks what, which mends it, and what the answer is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rmaplab.build import warnings
from rmaplab.compare import prefixes
from rmaplab.errors import ExitCode
from rmaplab.model import CellResult, Change, Comparison, ComparisonRow, Standing, Verdict
from rmaplab.model.prefixes import PatchFacts, PatchTable, patch_name
from rmaplab.summarize import RunEnd, summarize

from .builders import cell, failed, observation, passed, result, testcase

MARKS = {
    ".": Change.SAME_PASS, "+": Change.FIXED, "f": Change.SAME_FAIL, "X": Change.REGRESSED,
    "S": Change.NEW_SPLAT, "?": Change.UNSTABLE, "m": Change.MISSING,
}  # fmt: skip


def row(change: Change, testcase: str = "exclusive/mapcount") -> ComparisonRow:
    return ComparisonRow(testcase, "thp-never", "q35", "pass", "pass", change, f"{change}!")


def table(marks: str, *more: str, kernels: Sequence[str] = ()) -> PatchTable:
    """The table of a testcase whose changes the marks say; a blank is a patch without a kernel."""
    names = kernels or ["" if one == " " else patch_name(n) for n, one in enumerate(marks, 1)]
    patches = [
        PatchFacts(n, f"mm: patch {n}", name, "" if name else "no")
        for n, name in enumerate(names, 1)
    ]
    compared = {}
    for n, name in enumerate(names):
        if name:
            rows = [row(MARKS[some[n]], f"t/{k}") for k, some in enumerate((marks, *more))]
            compared[name] = Comparison("base", name, tuple(rows), ())
    return prefixes.table(patches, compared)


@pytest.mark.parametrize(
    ("marks", "phrases"),
    [
        ("....", []),
        ("..X.", ["broken by patch 3, mended by patch 4"]),
        ("..XX", ["broken by patch 3, and not mended"]),
        ("X.X.", ["broken by patch 1, mended by patch 2", "broken by patch 3, mended by patch 4"]),
        (".S ..", ["broken by patch 2, mended by patch 4"]),
        (".. X.", ["broken by patch 4, mended by patch 5"]),
        ("ff++", ["fixed by patch 3"]),
        ("f+f+", ["fixed by patch 2, and lost by patch 3", "fixed by patch 4"]),
        ("+X+", ["fixed by patch 1, and lost by patch 2", "broken by patch 2, mended by patch 3",
                 "fixed by patch 3"]),
        (".??.", ["unstable from patch 2, mended by patch 4"]),
        ("m.", ["missing from patch 1, mended by patch 2"]),
        ("XSX.", ["broken by patch 1, mended by patch 4"]),
    ],
)  # fmt: skip
def test_an_episode_is_from_the_patch_that_begins_it_to_the_one_that_ends_it(
    marks: str, phrases: list[str]
) -> None:
    assert [one.phrase for one in table(marks).episodes] == phrases


def test_a_testcase_shows_its_worst_row() -> None:
    found = prefixes.table(
        [PatchFacts(1, "x", "patch-01")],
        {"patch-01": Comparison("base", "patch-01", (
            row(Change.FIXED), row(Change.REGRESSED),
        ), ())},
    )  # fmt: skip
    assert found.marks("exclusive/mapcount") == "X"


def test_a_patch_with_the_image_of_another_says_what_that_one_says() -> None:
    found = table("XX.", kernels=["patch-01", "patch-01", "patch-03"])
    assert found.marks("t/0") == "XX."
    assert "1 with the image of the kernel before" in list(found.notes)


def results(*verdicts: tuple[str, Verdict]) -> list[CellResult]:
    return [
        result(
            observation(passed() if v is Verdict.PASS else failed()),
            cell=cell(testcase=testcase("t/0"), kernel=name),
        )
        for name, v in verdicts
    ]


@pytest.mark.parametrize(
    ("marks", "code"),
    [
        ("..", ExitCode.OK),
        ("f+", ExitCode.OK),
        ("X.", ExitCode.REGRESSION),
        (".S", ExitCode.REGRESSION),
        ("?.", ExitCode.REGRESSION),
        ("m.", ExitCode.INFRA),
        (" .", ExitCode.BUILD),
    ],
)
def test_a_defect_on_the_way_decides_the_answer_though_a_later_patch_mends_it(
    marks: str, code: ExitCode
) -> None:
    found = table(marks)
    ran = results(("base", Verdict.PASS), *(
        (patch.kernel, Verdict.PASS) for patch in found.patches if patch.kernel
    ))  # fmt: skip
    summary = summarize(RunEnd("lab", len(ran)), ran, None, found)
    assert summary.exit_code is code


def test_what_base_fails_speaks_against_no_patch() -> None:
    found = table("f")
    ran = results(("base", Verdict.FAIL), ("patch-01", Verdict.FAIL))
    summary = summarize(RunEnd("lab", 2), ran, None, found)
    assert summary.exit_code is ExitCode.OK
    assert {item.standing for item in summary.items} == {Standing.KNOWN}


LOG = """\
  CC      mm/rmap.o
/kernel/source/mm/rmap.c: In function 'f':
/kernel/source/mm/rmap.c:9:6: warning: unused variable 'x' [-Wunused-variable]
../source/mm/ksm.c:1:2: warning: a [-Wb]
arch/x86/x.c:3: warning: c
"""


def test_the_warnings_of_a_log_are_those_of_the_compiler() -> None:
    assert [one.phrase for one in warnings.found(LOG)] == [
        "mm/rmap.c:9: unused variable 'x' [-Wunused-variable]",
        "mm/ksm.c:1: a [-Wb]",
        "arch/x86/x.c:3: c",
    ]


def test_a_warning_is_new_in_a_touched_file_and_only_once() -> None:
    known = [("mm/ksm.c", "a [-Wb]")]
    (new,) = warnings.new(LOG, known, ["mm/rmap.c", "mm/ksm.c"])
    assert new.file == "mm/rmap.c"
    carried = warnings.carried(LOG, {"mm/rmap.c": frozenset({"old"})}, ["mm/rmap.c"])
    assert carried["mm/rmap.c"] == {"unused variable 'x' [-Wunused-variable]"}
    gone = warnings.carried("", carried, ["mm/rmap.c"])
    assert gone["mm/rmap.c"] == frozenset()
    assert gone["mm/ksm.c"] == {"a [-Wb]"}
