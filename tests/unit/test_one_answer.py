# SPDX-License-Identifier: GPL-2.0
"""Every report of a run gives the same answer: exit code, JUnit, Markdown, HTML, JSON, terminal."""

from __future__ import annotations

import html.parser
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import junitparser
import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st

from rmaplab.compare import compare
from rmaplab.errors import ExitCode
from rmaplab.log import log
from rmaplab.model import (
    Answer,
    ItemKind,
    RunState,
    Standing,
    Verdict,
)
from rmaplab.report import html as html_report
from rmaplab.report import junit, ktap, mail, summary, terminal
from rmaplab.report import results as results_report
from rmaplab.report.markdown import escape
from rmaplab.report.reported import ReportedRun

from .builders import cell, counters, failed, observation, reported, result
from .generated_runs import SHOWN, TESTCASES, ended, runs

SCHEMA = xmlschema.XMLSchema(Path(__file__).parent.parent / "junit.xsd")


class Page(html.parser.HTMLParser):
    """The answer that a page gives."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.answer: dict[str, str | None] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if dict(attrs).get("id") == "answer":
            self.answer = dict(attrs)


def junit_of(run: ReportedRun) -> junitparser.JUnitXml:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "junit.xml")
        path.write_text(junit.render(run), encoding="utf-8")
        SCHEMA.validate(str(path))
        return junitparser.JUnitXml.fromfile(str(path))


def colours(suites: junitparser.JUnitXml) -> dict[str, int]:
    found = dict.fromkeys(("failure", "error", "skipped", "green"), 0)
    for suite in suites:
        for case in suite:
            found[type(case.result[0]).__name__.lower() if case.result else "green"] += 1
    return found


def json_of(run: ReportedRun) -> Any:
    text = "".join(results_report.render(run, counters(*run.results)))
    return json.loads(text)["summary"]


@settings(deadline=None, max_examples=60)
@given(runs())
def test_all_reports_agree(run: ReportedRun) -> None:
    one = run.summary
    standings = [item.standing for item in one.items]
    red = sum(standing.is_red for standing in standings)
    # The exit code.
    assert (one.exit_code is ExitCode.OK) == (one.answer is Answer.GOOD) == (red == 0)
    assert one.answer is not Answer.BAD or Standing.BAD in standings
    # JUnit.
    suites = junit_of(run)
    found = colours(suites)
    assert found["failure"] == standings.count(Standing.BAD) == suites.failures
    assert found["error"] == standings.count(Standing.ERROR) == suites.errors
    unred = (Standing.KNOWN, Standing.SKIPPED, Standing.QUARANTINED)
    assert found["skipped"] == sum(map(standings.count, unred))
    assert sum(found.values()) == suites.tests == len(standings)
    # Markdown: the answer is there, and each red item's name.
    page = summary.render(run)
    assert f"**{escape(one.headline)}**" in page
    assert all(escape(item.name) in page for item in one.red if item.kind is not ItemKind.SPLAT)
    # HTML.
    tag = Page(html_report.render(run)).answer
    assert (tag["data-answer"], tag["data-state"]) == (one.answer, one.state)
    # JSON.
    said = json_of(run)
    assert (said["exit_code"], said["answer"], said["state"], said["headline"]) == (
        one.exit_code, one.answer, one.state, one.headline
    )  # fmt: skip
    assert len(said["red"]) == red
    # A row in quarantine is said, and is no pass.
    held = standings.count(Standing.QUARANTINED)
    assert len(said["quarantined"]) >= held
    if held:
        texts = (one.headline, page, html_report.render(run), junit.render(run), mail.render(run))
        assert all("in quarantine" in text for text in (*texts, "".join(ktap.render(run))))
        assert f"{held} of them bad" in one.headline
        assert not mail.all_passed(run)
        assert (
            Standing.PASSED in standings
            or one.exit_code is not ExitCode.OK
            or ({Standing.FIXED, Standing.KNOWN} & {*standings})
        )
    assert sum(said["counts"]["standings"].values()) == len(standings)


@settings(deadline=None, max_examples=30)
@given(runs())
def test_the_last_line_of_a_run_is_its_answer(run: ReportedRun) -> None:
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log.stdout, "file", stream)
        terminal.show_answer(run.summary)
    assert stream.getvalue() == f"{run.summary.headline}\n"


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from([*SHOWN]), min_size=1, max_size=3))
def test_a_series_that_changes_nothing_is_green_everywhere(shown: Sequence[str]) -> None:
    """The row decides: what base shows, too, is no failure of patched's, known or not."""
    before = [ended(cell(testcase=TESTCASES[n]), how) for n, how in enumerate(shown)]
    after = [
        ended(cell(testcase=TESTCASES[n], kernel="patched"), how) for n, how in enumerate(shown)
    ]
    run = reported([*before, *after], compare("base", "patched", before, after))
    if "lost" in shown or set(shown) == {"skip"}:
        assert run.summary.exit_code is ExitCode.INFRA
        assert junit_of(run).errors > 0
    else:
        assert run.summary.exit_code is ExitCode.OK
        assert (junit_of(run).failures, junit_of(run).errors) == (0, 0)


@pytest.mark.parametrize("base", ["pass", "fail", "splat", "leak"])
def test_a_row_that_is_missing_is_red_everywhere(base: str) -> None:
    before = [ended(cell(), base), ended(cell(testcase=TESTCASES[1]), "pass")]
    after = [
        ended(cell(kernel="patched"), "skip"),
        ended(cell(kernel="patched", testcase=TESTCASES[1]), "pass"),
    ]
    run = reported([*before, *after], compare("base", "patched", before, after))
    assert run.summary.exit_code is ExitCode.REGRESSION
    assert junit_of(run).failures == 1
    assert "needs swap" in summary.render(run)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"interrupted": True}, ExitCode.INTERRUPTED),
        ({"ended": ""}, ExitCode.INTERRUPTED),
        ({"failure": "KVM: not there", "failure_code": ExitCode.USAGE}, ExitCode.USAGE),
    ],
)
@pytest.mark.parametrize("ran", [0, 1])
def test_a_run_that_did_not_come_to_its_end_is_no_pass(
    changes: dict[str, Any], code: ExitCode, ran: int
) -> None:
    run = reported([result()] * ran, asked=5, **changes)
    assert run.summary.state is (RunState.PARTIAL if ran else RunState.ABORTED)
    assert run.summary.answer is Answer.NONE
    assert run.summary.exit_code is code
    assert junit_of(run).errors == 1
    assert f"{ran} of 5 cells" in summary.render(run)


def test_a_fixed_row_is_green_and_says_what_base_did() -> None:
    before, after = [result(observation(failed()))], [result(cell=cell(kernel="patched"))]
    run = reported([*before, *after], compare("base", "patched", before, after))
    (item,) = run.summary.items
    assert item.standing is Standing.FIXED
    assert "fail -&gt; pass: fixed" in junit.render(run)
    assert colours(junit_of(run)) == {"failure": 0, "error": 0, "skipped": 0, "green": 1}


def test_the_gravest_item_is_the_first() -> None:
    before = [ended(cell(testcase=one), "pass") for one in TESTCASES]
    after = [
        ended(cell(testcase=one, kernel="patched"), how)
        for one, how in zip(TESTCASES, ("skip", "fail", "lost"), strict=True)
    ]
    run = reported([*before, *after], compare("base", "patched", before, after))
    assert [item.what for item in run.summary.red] == ["regressed", "missing", "missing"]
    assert run.summary.why == ("1 row regressed", "2 rows missing")
    assert run.summary.counts.rows == {"regressed": 1, "missing": 2}


def test_a_run_of_skips_tested_nothing() -> None:
    run = reported([result(observation(skip="no swap"))])
    assert run.summary.exit_code is ExitCode.INFRA
    assert "nothing was tested" in run.summary.headline


def test_counts_are_those_of_the_cells() -> None:
    results = [ended(cell(testcase=TESTCASES[1]), "fail"), result()]
    counts = reported(results).summary.counts
    assert counts.cells == {Verdict.PASS: 1, Verdict.FAIL: 1}
    assert (counts.asked, counts.ran, counts.known, counts.red) == (2, 2, 1, 0)
