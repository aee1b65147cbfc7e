# SPDX-License-Identifier: GPL-2.0
"""results.json, summary.md, report.html and the terminal: facts, and nothing a guest can forge."""

from __future__ import annotations

import html.parser
import json
from dataclasses import replace
from typing import Any

import pytest

from rmaplab.compare import compare
from rmaplab.log import log
from rmaplab.model import (
    CellResult,
    Change,
    CheckedValue,
    Comparison,
    CounterChange,
    FindingKind,
    Outcome,
    Subtest,
    Verdict,
)
from rmaplab.report import html as html_report
from rmaplab.report import numbers, summary, terminal
from rmaplab.report import results as results_report
from rmaplab.summarize import comparison_tally, tally

from .builders import (
    cell,
    counters,
    failed,
    finding,
    judgement,
    observation,
    passed,
    reported,
    result,
    settings,
    splat,
)
from .builders import (
    facts as facts_of_kernel,
)

EVIL = "<script>alert(1)</script>|[x](http://e)\x1b[2J\x00\ud800&lt;{{ 7*7 }}\n# Forged"


def evil_results() -> list[CellResult]:
    seen = observation(
        Subtest(EVIL, Verdict.FAIL, EVIL),
        outcome=Outcome.SPLAT,
        detail=EVIL,
        splats=[splat(EVIL, excerpt=EVIL)],
        counters={"vmstat.x": CounterChange(1, 3)},
    )
    return [
        result(seen, judged=judgement(Verdict.FAIL, EVIL), cell=cell(kernel=name))
        for name in ("base", "patched")
    ]


ALWAYS = settings("thp-always")


def facts(results: list[CellResult]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        "".join(results_report.render(reported(results), counters(*results)))
    )
    return found


# -- results.json ------------------------------------------------------------------------------


def test_a_cell_has_every_fact_that_other_programs_read() -> None:
    seen = observation(
        failed(), outcome=Outcome.SPLAT, splats=[splat()],
        counters={"vmstat.x": CounterChange(1, 3), "vmstat.gone": CounterChange(1, None)},
    )  # fmt: skip
    found = facts([result(seen)])
    assert found["schema_version"] == results_report.SCHEMA_VERSION
    (one,) = found["cells"]
    assert one.keys() >= {
        "id", "kernel", "guest", "settings", "device", "testcase", "repeat", "outcome", "verdict",
        "reason", "expected", "subtests", "splats", "counters", "instructions", "duration_s",
    }  # fmt: skip
    assert (one["outcome"], one["verdict"], one["device"]) == ("splat", "fail", "dmirror")
    assert one["subtests"][0].keys() == {"name", "verdict", "detail", "known"}
    assert one["splats"][0].keys() >= {"title", "kind", "fingerprint"}
    assert one["counters"] == {
        "vmstat.x": {"before": 1, "after": 3, "delta": 2},
        "vmstat.gone": {"before": 1, "after": None, "delta": None},
    }


def test_a_finding_is_among_the_subtests_and_a_fact_of_its_own() -> None:
    leak = finding(
        FindingKind.LEDGER, "vmstat.nr_mlock changed by +2", about="vmstat.nr_mlock", amount=2
    )
    (one,) = facts([result(observation(passed(), findings=[leak]))])["cells"]
    assert one["subtests"][1] == {
        "name": "lab: ledger: vmstat.nr_mlock", "verdict": "fail", "known": False,
        "detail": "FAILED: vmstat.nr_mlock changed by +2",
    }  # fmt: skip
    (found,) = one["findings"]
    assert (found["kind"], found["about"], found["amount"]) == ("ledger", "vmstat.nr_mlock", 2)
    assert found["name"] == "lab: ledger: vmstat.nr_mlock"


def test_a_comparison_has_its_rows() -> None:
    before = [result(observation(failed()))]
    after = [result(cell=cell(kernel="patched"))]
    comparison = compare("base", "patched", before, after)
    both = [*before, *after]
    found = json.loads("".join(results_report.render(reported(both, comparison), counters(*both))))
    (row,) = found["comparison"]["rows"]
    assert row.keys() >= {
        "testcase", "settings", "guest", "base", "patched", "change", "detail"
    }  # fmt: skip
    assert (row["base"], row["patched"], row["change"]) == ("fail", "pass", "fixed")


def test_a_kernel_that_was_not_built_says_why() -> None:
    run = reported([], kernels={"patched": facts_of_kernel(error="mm/rmap.c:3: error")})
    text = "".join(results_report.render(run, counters()))
    assert json.loads(text)["build_errors"] == {"patched": "mm/rmap.c:3: error"}


def test_hostile_text_stays_json_of_plain_characters() -> None:
    found = evil_results()
    text = "".join(results_report.render(reported(found), counters(*found)))
    assert text.isascii()
    assert json.loads(text)["cells"][0]["reason"] == EVIL


# -- report.html and summary.md ----------------------------------------------------------------


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)


def page(results: list[CellResult]) -> str:
    comparison = compare("base", "patched", results[:1], results[1:])
    return html_report.render(reported(results, comparison))


def test_the_page_escapes_everything_and_loads_nothing() -> None:
    """The page's own scripts and style are all; tests/unit/test_html.py has their policy."""
    text = page(evil_results())
    tags = _Tags()
    tags.feed(text)
    assert tags.seen.count("script") == 3
    assert not {"img", "iframe", "object", "link", "base"} & set(tags.seen)
    assert "alert(1)" in text
    assert "{{ 7*7 }}" in text
    assert "default-src 'none'" in text


def test_every_report_of_hostile_text_can_be_written() -> None:
    results = evil_results()
    for text in (page(results), summary.render(reported(results))):
        assert text.encode("utf-8")
        assert "\x1b" not in text
        assert "\x00" not in text


def test_a_summarys_table_cannot_be_broken() -> None:
    results = evil_results()
    comparison = compare("base", "patched", results[:1], results[1:])
    lines = summary.render(reported(results, comparison)).splitlines()
    assert "# Forged" not in lines
    rows = [line for line in lines if "alert" in line]
    assert rows
    for row in rows:
        assert row.startswith("| ")
        assert "\\<script\\>" in row
        assert "\\[x\\]" in row


def test_a_summary_says_when_it_is_not_the_whole_run() -> None:
    run = reported([result()], asked=2, interrupted=True)
    for text in (summary.render(run), html_report.render(run)):
        assert "partial run: interrupted after 1 of 2 cells" in text


def test_a_page_has_the_splats_of_a_comparison_without_an_unstable_testcase() -> None:
    noisy = observation(failed(), outcome=Outcome.SPLAT, splats=[splat("WARNING in demo_zap")])
    results = [result(observation(failed())), result(noisy, cell=cell(kernel="patched"))]
    text = page(results)
    assert "Unstable" not in text
    assert "<h2>Splats</h2>" in text
    assert "</b> WARNING in demo_zap <span" in text.partition("<h2>Splats")[2]


def moved(count: int) -> tuple[list[CellResult], Comparison]:
    """Give two kernels' results of which ``count`` counters differ, and one value is worse."""
    value = CheckedValue("a", EVIL, 1, 4, 8)
    before = result(replace(observation(failed("a")), values=(value,)))
    after = result(
        replace(observation(failed("a")), values=(replace(value, got=0),)),
        cell=cell(kernel="patched"),
    )
    deltas = {
        kernel: {f"vmstat.thp_{n}": shown for n in range(count)}
        for kernel, shown in (("base", 0), ("patched", 3))
    }
    comparison = compare(
        "base", "patched", [before], [after], read=lambda one: deltas[one.cell.kernel]
    )
    return [before, after], comparison


def test_results_have_the_numbers_of_each_row() -> None:
    results, comparison = moved(1)
    found = json.loads(
        "".join(results_report.render(reported(results, comparison), counters(*results)))
    )
    (row,) = found["comparison"]["rows"]
    assert row["counters"] == [{"name": "vmstat.thp_0", "base": [0], "patched": [3]}]
    assert row["values"][0]["direction"] == "worse"
    assert (row["values"][0]["base"], row["values"][0]["patched"]) == ([4], [0])
    assert row["costs"] == []


def test_every_report_shows_the_worst_numbers_and_how_many_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results, comparison = moved(30)
    terminal.show_comparison(comparison)
    out = capsys.readouterr().out
    assert "31 numbers differ, 1 for the worse:" in out
    assert "4 -> 0 of 8 (worse)" in "".join(out.split("\n"))
    assert f"({31 - numbers.SHOWN} more in report.html)" in out
    assert "\x1b[2J" not in out
    text = summary.render(reported(results, comparison))
    assert text.count("vmstat.thp") + text.count("vmstat.thp\\_") >= numbers.SHOWN - 1
    assert f"{31 - numbers.SHOWN} more in report.html" in text
    whole = html_report.render(reported(results, comparison))
    assert whole.partition("<script type=")[0].count("vmstat.thp_") == 30


def test_a_page_shows_what_a_failed_cell_showed() -> None:
    seen = observation(failed("a", "detail of a"), outcome=Outcome.SPLAT, splats=[splat("BUG x")])
    text = page([result(seen), result(cell=cell(kernel="patched"))])
    assert "detail of a" in text
    assert "BUG x" in text


# -- the terminal ------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def plain() -> None:
    log.configure(color="never", verbose=0)


def test_a_tally_counts_verdicts_and_known_failures() -> None:
    known = judgement(Verdict.FAIL, "x", as_expected=True)
    results = [
        result(),
        result(observation(failed())),
        result(observation(failed()), judged=known),
        result(observation(skip="x")),
    ]
    assert tally(results) == "4 cells: 1 pass, 2 fail (1 known), 1 skip; 1 unstable"
    assert tally([]) == "0 cells: none"


def test_a_guest_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    results = evil_results()
    terminal.show_cells(results)
    terminal.show_comparison(compare("base", "patched", results[:1], results[1:]))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\x00" not in shown
    assert "\\x1b" in shown


def test_markup_of_a_guest_is_shown_and_not_followed(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show_cells([result(judged=judgement(Verdict.FAIL, "[bold]loud[/bold] [/]"))])
    assert "[bold]loud[/bold] [/]" in capsys.readouterr().out


def test_a_comparison_shows_what_is_no_plain_pass(capsys: pytest.CaptureFixture[str]) -> None:
    before = [result(observation(failed())), result(cell=cell(settings=ALWAYS))]
    after = [
        result(cell=cell(kernel="patched")),
        result(cell=cell(kernel="patched", settings=ALWAYS)),
    ]
    comparison = compare("base", "patched", before, after)
    assert comparison.count(Change.SAME_PASS) == 1
    terminal.show_comparison(comparison)
    shown = capsys.readouterr().out
    assert "fixed" in shown
    assert comparison_tally(comparison) == "2 rows: 1 fixed, 1 same-pass"


def test_passes_alone_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show_cells([result(observation(passed()))])
    assert capsys.readouterr().out == "1 cells: 1 pass\n"


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        ([], ""),
        (["", ""], ""),
        (["a", "a"], "a"),
        (["a", "b"], "a; 1 more reason"),
        (["a", "b", "c"], "a; 2 more reasons"),
    ],
)
def test_a_line_for_several_rows_gives_the_first_reason_and_counts_the_others(
    reasons: list[str], said: str
) -> None:
    assert terminal._why(reasons) == said
