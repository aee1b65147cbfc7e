# SPDX-License-Identifier: GPL-2.0
"""junit.xml, read back by two other parsers, whatever a guest printed."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import junitparser
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rmaplab.model import (
    CellResult,
    ComparedSplat,
    Comparison,
    CounterChange,
    Fault,
    JudgedSplat,
    Outcome,
    SplatChange,
    Subtest,
    Verdict,
)
from rmaplab.report import junit

from .builders import (
    cell,
    facts,
    failed,
    guest,
    judgement,
    observation,
    passed,
    reported,
    result,
    splat,
    testcase,
)
from .builders import settings as hugepage_settings

HOSTILE = [
    "\x00",
    "\x1b[2J\x1b]0;owned\x07",
    "\ud800 \udfff",
    "\ufffe\uffff",
    "]]> ]]&gt; <![CDATA[",
    "</system-out></testcase><testcase name='forged'/>",
    "&lt; &amp; &#0; &nope; <!ENTITY x SYSTEM 'file:///etc/passwd'>",
    "\r\n\t\x0b\x0c\x85\u2028",
    "".join(map(chr, range(32))),
    "\U0010ffff\U0001f4a9",
    "",
]


def parsed(text: str, folder: Path) -> tuple[junitparser.JUnitXml, ET.Element]:
    path = folder / "junit.xml"
    path.write_text(text, encoding="utf-8")
    return junitparser.JUnitXml.fromfile(str(path)), ET.parse(path).getroot()


def render(results: Sequence[CellResult]) -> str:
    return junit.render(reported(results))


def one(found: CellResult, folder: Path) -> ET.Element:
    """The only testcase of the file, besides that of a run in which nothing was tested."""
    _, root = parsed(render([found]), folder)
    (case,) = (one for one in root.iter("testcase") if one.get("classname") != "rmaplab.run")
    return case


def children(case: ET.Element) -> list[str]:
    return [child.tag for child in case if child.tag != "system-out"]


def test_there_is_a_suite_for_each_kernel_and_testcase(tmp_path: Path) -> None:
    results = [
        result(cell=cell(kernel=kernel, guest=guest(name), settings=hugepage_settings(under)))
        for kernel in ("base", "patched")
        for name in ("q35", "numa")
        for under in ("thp-never", "thp-always")
    ]
    other = cell(testcase=testcase("migrate/numa"))
    suites, _ = parsed(render([*results, result(cell=other)]), tmp_path)
    assert [(suite.name, suite.tests) for suite in suites] == [
        ("base.exclusive/mapcount", 4),
        ("patched.exclusive/mapcount", 4),
        ("base.migrate/numa", 1),
    ]


def test_a_pass_is_a_case_without_anything_else(tmp_path: Path) -> None:
    case = one(result(), tmp_path)
    assert children(case) == []
    assert case.get("name") == "exclusive/mapcount [base q35 thp-never]"
    assert case.get("classname") == "exclusive.mapcount"
    assert float(case.get("time", "0")) == 1.5


def test_a_suite_says_when_where_and_in_which_file(tmp_path: Path) -> None:
    source = Path("/home/you/rmaplab/testcases/exclusive/mapcount.c")
    run = reported([result()], host={"name": "runner-7"})
    wanted = replace(run.record.lab, testcases=(replace(testcase(), source=source),))
    run.record.lab = wanted
    _, root = parsed(junit.render(run), tmp_path)
    (suite,) = root
    assert suite.get("timestamp") == "2025-01-01T00:00:00"
    assert suite.get("hostname") == "runner-7"
    assert suite.get("file") == "testcases/exclusive/mapcount.c"


def test_the_kernels_fault_is_a_failure_with_splat_and_frames(tmp_path: Path) -> None:
    seen = observation(outcome=Outcome.PANIC, splats=[splat("kernel BUG in demo_dup")])
    case = one(result(seen), tmp_path)
    assert children(case) == ["failure"]
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message") == "panic: kernel BUG in demo_dup"
    assert failure.get("type") == "panic"
    assert "demo_walk" in (failure.text or "")


def test_the_labs_fault_is_an_error(tmp_path: Path) -> None:
    seen = observation(outcome=Outcome.INFRA, fault=Fault.LAB, detail="QEMU ended\nwith 1")
    case = one(result(seen), tmp_path)
    assert children(case) == ["error"]
    error = case.find("error")
    assert error is not None
    assert error.get("message") == "QEMU ended"


def test_a_skip_is_skipped_with_its_reason(tmp_path: Path) -> None:
    case = one(result(observation(skip="needs swap")), tmp_path)
    assert children(case) == ["skipped"]
    skipped = case.find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "needs swap"


def test_a_known_failure_is_green_and_one_that_passes_is_not(tmp_path: Path) -> None:
    known = judgement(Verdict.FAIL, "wrong", as_expected=True)
    assert children(one(result(observation(failed()), judged=known), tmp_path)) == ["skipped"]
    mended = judgement(Verdict.PASS, "the expectation no longer holds", as_expected=False)
    assert children(one(result(judged=mended), tmp_path)) == ["failure"]


def test_repeats_are_told_apart_by_their_names(tmp_path: Path) -> None:
    results = [result(cell=cell(repeat=number)) for number in (1, 2)]
    _, root = parsed(render(results), tmp_path)
    assert [case.get("name") for case in root.iter("testcase")] == [
        "exclusive/mapcount [base q35 thp-never]",
        "exclusive/mapcount [base q35 thp-never] #2",
    ]


def test_the_properties_of_a_suite_are_the_identity_of_its_kernel_alone(tmp_path: Path) -> None:
    moved = {"vmstat.moved": CounterChange(1, 4)}
    suites, _ = parsed(render([result(observation(passed(), counters=moved))]), tmp_path)
    (suite,) = suites
    found = {one.name: one.value for one in suite.properties()}  # type: ignore[no-untyped-call]
    assert found["kernel"] == "base"
    assert found["build"] == "0123456789abcdef"
    assert not any("moved" in name for name in found)


def test_a_kernel_that_was_not_built_is_an_error_and_not_silence(tmp_path: Path) -> None:
    kernels = {"base": facts(), "patched": facts(error="mm/rmap.c:3: error: \x07")}
    suites, root = parsed(junit.render(reported([], kernels=kernels)), tmp_path)
    assert [suite.name for suite in suites] == ["rmaplab"]
    (error,) = root.iter("error")
    assert error.get("message") == "was not built: mm/rmap.c:3: error: \\x07"
    assert error.get("type") == "build"


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_hostile_text_anywhere_is_still_one_valid_file(tmp_path: Path, text: str) -> None:
    said = f"a{text}b"
    seen = observation(
        Subtest(said, Verdict.FAIL, f"{said}\n{said}"),
        outcome=Outcome.SPLAT,
        detail=said,
        splats=[splat(said, excerpt=said)],
        counters={said: CounterChange(1, 2)},
    )
    case = one(result(seen, judged=judgement(Verdict.FAIL, said)), tmp_path)
    assert children(case) == ["failure"]
    failure = case.find("failure")
    assert failure is not None
    assert (failure.text or "").count("a") >= 3


def as_text(text: str) -> str:
    """Return a text with its line ends as a parser has them (XML 1.0, 2.11)."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.text(st.characters(codec=None), max_size=20))
def test_any_text_comes_back_as_it_was_cleaned(tmp_path: Path, text: str) -> None:
    said = f"<{text}>"
    found = result(observation(failed(said, said)), judged=judgement(Verdict.FAIL, said))
    output = one(found, tmp_path).find("system-out")
    assert output is not None
    wanted = [line for line in as_text(junit.clean(said)).split("\n") if line]
    assert all(line in (output.text or "") for line in wanted)


@given(st.text(st.characters(codec=None)))
def test_cleaning_makes_visible_and_leaves_what_is_fine(text: str) -> None:
    cleaned = junit.clean(text)
    ET.fromstring(f"<a>{cleaned.replace('&', '&amp;').replace('<', '&lt;')}</a>")
    assert junit.clean(cleaned) == cleaned
    if text.isprintable():
        assert cleaned == text


def test_a_forged_end_of_a_case_stays_text(tmp_path: Path) -> None:
    forged = "</system-out></testcase><testcase name='forged'/>"
    suites, root = parsed(render([result(observation(failed(detail=forged)))]), tmp_path)
    assert len(list(root.iter("testcase"))) == 1
    (suite,) = suites
    assert (suite.tests, suite.failures) == (1, 1)


def test_a_new_splat_is_a_failure_of_its_own_with_its_text(tmp_path: Path) -> None:
    new = ComparedSplat(
        fingerprint="0123456789ab",
        kind="warning",
        title="WARNING in demo_unmap",
        change=SplatChange.NEW,
        rows=(("exclusive/mapcount", "thp-never", "q35", ""),),
        seen=2,
        allowed="",
        excerpt="WARNING: CPU: 1\x00 ]]>",
    )
    same = replace(new, change=SplatChange.SAME, fingerprint="1")
    allowed = replace(new, allowed="known", fingerprint="2")
    compared = Comparison("base", "patched", (), (new, same, allowed))
    xml, root = parsed(junit.render(reported([result()], compared)), tmp_path)
    assert xml.failures == 1
    (failure,) = root.iter("failure")
    assert failure.get("message") == "new splat in exclusive/mapcount thp-never q35"
    assert failure.get("type") == "warning"
    assert "exclusive/mapcount thp-never q35" in (failure.text or "")
    assert "WARNING: CPU: 1\\x00" in (failure.text or "")


def test_an_allowed_splat_is_told_in_a_case_that_is_green(tmp_path: Path) -> None:
    seen = observation(passed(), outcome=Outcome.SPLAT, splats=[splat()])
    judged = replace(judgement(), splats=(JudgedSplat(splat(), "known since 6.1"),))
    case = one(CellResult(cell(), seen, judged), tmp_path)
    assert children(case) == []
    assert "allowed splat: WARNING in demo_unmap: known since 6.1" in (
        case.findtext("system-out") or ""
    )
