# SPDX-License-Identifier: GPL-2.0
"""report.html: the run for a browser, one file, no script, everything a guest wrote escaped."""

from __future__ import annotations

import jinja2

from rmaplab.model import Change, ComparisonRow
from rmaplab.report import numbers
from rmaplab.report.reported import ReportedRun
from rmaplab.stability import unstable
from rmaplab.summarize import comparison_tally, tally
from rmaplab.text import printable_lines


def render(run: ReportedRun) -> str:
    """Return the page's text, which follows from the evidence alone."""
    record, results, comparison = run.record, run.results, run.comparison
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rmaplab.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
    )
    found = numbers.lines(comparison) if comparison else ()
    return environment.get_template("report.html.j2").render(
        record=record,
        results=results,
        comparison=comparison,
        rows=sorted(comparison.rows, key=_order) if comparison else (),
        summary=run.summary,
        tally=tally(results),
        unstable=unstable(results),
        comparison_tally=comparison_tally(comparison) if comparison else "",
        numbers=found,
        numbers_title=numbers.title(found),
    )


def _shown(value: object) -> object:
    return printable_lines(value) if isinstance(value, str) else value


def _order(row: ComparisonRow) -> tuple[bool, int, str]:
    """Return a row's sort key: bad rows first, then by change and testcase."""
    return not row.change.is_bad, list(Change).index(row.change), row.testcase
