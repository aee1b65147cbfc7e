# SPDX-License-Identifier: GPL-2.0
"""Repeats that differ: found, counted, in every report, and never exit code 0."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from rmaplab.errors import ExitCode
from rmaplab.log import log
from rmaplab.model import CellResult, Expectation, Fault, Observation, Outcome, Verdict
from rmaplab.pipeline.evaluate import Evaluation, evaluate, write_reports
from rmaplab.plan import plan
from rmaplab.report import terminal
from rmaplab.stability import ends, unstable

from .builders import (
    KTAP_FAIL,
    KTAP_PASS,
    cell,
    conversation,
    expectation,
    failed,
    guest,
    lab,
    observation,
    passed,
    result,
    run_folder,
    settings,
    testcase,
)

PASS = observation(passed())
FAIL = observation(failed())
SKIP = observation(skip="inconclusive: nothing was reclaimed")
LOST = observation(outcome=Outcome.LOST, fault=Fault.LAB, detail="the lab ended")

SAID = {
    "pass": conversation(*KTAP_PASS),
    "fail": conversation(*KTAP_FAIL, status=1),
    "skip": conversation("1..0 # SKIP inconclusive: nothing was reclaimed"),
    "lost": conversation(*KTAP_PASS)[:-1],
}


def repeats(*seen: Observation, **where: Any) -> list[CellResult]:
    return [
        result(one, cell=cell(repeat=number, **where)) for number, one in enumerate(seen, start=1)
    ]


def test_how_repeats_ended_is_counted_by_testcase_and_kernel() -> None:
    always = settings("thp-always")
    results = [*repeats(PASS, PASS), *repeats(PASS, FAIL, settings=always)]
    assert ends(results) == {
        results[0].cell.testcase.name: {"base": ["1 x 2 pass", "1 x 1 pass and 1 fail"]}
    }


def test_without_repeats_there_is_nothing_to_count() -> None:
    assert ends(repeats(PASS)) == {}


def evaluated(folder: Path, said: Sequence[str], *known: Expectation) -> Evaluation:
    """A run of one testcase whose repeats ended like that."""
    wanted = lab(repeat=len(said), expectations=known)
    evidence: Mapping[str, Any] = {
        one.id: SAID[how] for one, how in zip(plan(wanted).cells, said, strict=True)
    }
    return evaluate(run_folder(folder, wanted, evidence))


@pytest.mark.parametrize(
    ("seen", "counts"),
    [
        ([PASS, FAIL, PASS], {"pass": 2, "fail": 1}),
        ([FAIL, PASS], {"pass": 1, "fail": 1}),
        ([SKIP, PASS], {"pass": 1, "skip": 1}),
        ([LOST, FAIL, PASS], {"pass": 1, "fail": 1, "error": 1}),
    ],
)
def test_repeats_that_differ_are_counted(seen: list[Observation], counts: dict[str, int]) -> None:
    (only,) = unstable(repeats(*seen))
    assert only.counts == counts
    assert len(only.cells) == len(seen)


@pytest.mark.parametrize(
    "seen", [[], [PASS], [PASS, PASS], [FAIL, FAIL], [LOST, PASS], [SKIP, LOST, SKIP]]
)
def test_repeats_that_agree_are_stable_and_the_labs_error_is_no_opinion(
    seen: list[Observation],
) -> None:
    assert unstable(repeats(*seen)) == ()


def test_only_repeats_of_the_same_cell_are_compared() -> None:
    elsewhere = [
        *repeats(FAIL, kernel="patched"),
        *repeats(FAIL, guest=guest("numa")),
        *repeats(FAIL, settings=settings("thp-always")),
        *repeats(FAIL, testcase=testcase("exclusive/other")),
        *repeats(FAIL, device="none"),
    ]
    assert unstable([*repeats(PASS), *elsewhere]) == ()


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (["pass", "pass"], ExitCode.OK),
        (["pass", "fail"], ExitCode.REGRESSION),
        (["pass", "skip"], ExitCode.REGRESSION),
        (["pass", "lost"], ExitCode.INFRA),
        (["pass", "skip", "lost"], ExitCode.REGRESSION),
    ],
)
def test_a_run_whose_repeats_differ_ends_with_1(
    tmp_path: Path, said: list[str], code: ExitCode
) -> None:
    assert evaluated(tmp_path, said).exit_code is code


def test_a_known_failure_that_passes_once_in_five_is_unstable(tmp_path: Path) -> None:
    said = ["fail", "fail", "pass", "fail", "fail"]
    evaluation = evaluated(tmp_path, said, expectation())
    assert [one.detail for one in evaluation.unstable] == ["1 pass, 4 fail"]
    assert evaluation.exit_code is ExitCode.REGRESSION


def test_every_report_says_that_repeats_differ_although_each_is_as_expected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = evaluated(tmp_path, ["pass", "skip", "pass"])
    assert all(one.judgement.as_expected for one in evaluation.results)
    write_reports(evaluation)
    found = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["unstable"]
    assert [(one["testcase"], one["counts"]) for one in found] == [
        ("exclusive/mapcount", {"pass": 2, "skip": 1})
    ]
    failures = list(ET.parse(tmp_path / "junit.xml").getroot().iter("failure"))
    assert [one.get("message") for one in failures] == ["unstable: 2 pass, 1 skip"]
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "2 pass, 1 skip" in summary
    assert "as expected" not in summary
    assert "2 pass, 1 skip" in (tmp_path / "report.html").read_text(encoding="utf-8")
    log.configure(color="never", verbose=0)
    capsys.readouterr()
    terminal.show_cells(evaluation.results)
    said = capsys.readouterr().out
    assert "2 pass, 1 skip" in said
    assert "1 unstable" in said


def test_counts_are_by_verdict_in_one_order() -> None:
    (only,) = unstable(repeats(SKIP, FAIL, PASS, FAIL))
    assert list(only.counts) == [Verdict.PASS, Verdict.FAIL, Verdict.SKIP]
    assert only.detail == "1 pass, 2 fail, 1 skip"


def test_ways_that_are_equal_are_counted_over_guests_and_settings() -> None:
    places = [settings(name) for name in ("thp-never", "thp-always", "hugetlb-2m")]
    results = [one for where in places for one in repeats(PASS, PASS, settings=where)]
    assert ends(results) == {"exclusive/mapcount": {"base": ["3 x 2 pass"]}}
    assert ends(repeats(PASS)) == {}
