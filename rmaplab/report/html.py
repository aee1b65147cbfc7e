# SPDX-License-Identifier: GPL-2.0
"""report.html: the run for a browser, one file that loads nothing.

The answer, the rows and the cells that failed are plain HTML, which a script then replaces by a
grid to search in. Whatever a guest, a series or a lab file wrote is escaped, the script makes
elements of text alone, and the page's policy lets no other script run.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from urllib.parse import quote, urlencode

import jinja2
from markupsafe import Markup

from rmaplab.model import Item
from rmaplab.report import htmlcoverage, numbers
from rmaplab.report.htmldata import page_data, rows_of
from rmaplab.report.htmlplain import SHORT, plain_cells
from rmaplab.report.htmlpool import LINE, TEXT, cut, script_safe
from rmaplab.report.htmlsources import PageSources
from rmaplab.report.reported import ReportedRun
from rmaplab.text import printable_lines

PLAIN = 1_000
"""Rows that are plain HTML; the script shows all."""
_SCRIPTS = ("dom", "data", "filters", "grid", "list", "cell", "drawer", "plots", "main")


def render(run: ReportedRun, sources: PageSources | None = None) -> str:
    """Return the page's text, which follows from the run's folder alone."""
    sources = sources or PageSources()
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rmaplab.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    comparison = run.comparison
    found = numbers.lines(comparison) if comparison else ()
    style, early = _asset("report.css"), _asset("early.js")
    script = "".join(_asset(f"{name}.js") for name in _SCRIPTS)
    rows, plain = rows_of(run), plain_cells(run.results)
    return environment.get_template("report.html.j2").render(
        run=run,
        record=run.record,
        summary=run.summary,
        sources=sources,
        rows=rows[:PLAIN],
        more_rows=len(rows[PLAIN:]),
        failed=plain.cells,
        more_failed=plain.more,
        splats=comparison.splats if comparison else (),
        coverage=htmlcoverage.views(run.coverage),
        by=htmlcoverage.by,
        numbers=found,
        numbers_title=numbers.title(found),
        short=lambda text: cut(text, SHORT),
        line=lambda text: cut(text, LINE),
        long=lambda text: cut(text, TEXT),
        link=_link,
        rowlink=_row_link,
        policy=Markup(_policy(style, early, script)),
        early=Markup(early),
        style=Markup(style),
        script=Markup(script),
        data=Markup(script_safe(page_data(run, sources))),
    )


def _asset(name: str) -> str:
    return resources.files("rmaplab.report").joinpath("templates", name).read_text("utf-8")


def _policy(style: str, *scripts: str) -> str:
    """Return the page's policy: this style and these scripts, and nothing else."""
    allowed = " ".join(map(_digest, scripts))
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_digest(style)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _link(path: str) -> str:
    """Return the relative address of a file of the run's folder."""
    return "./" + quote(printable_lines(path))


def _row_link(item: Item) -> str:
    """Return the address that opens an item's row on this page."""
    return "#" + urlencode({"row": printable_lines(f"{item.name}@{item.where}")})


def _shown(value: object) -> object:
    """Return what a template puts on the page: no text with characters that are not printable."""
    if isinstance(value, Markup):
        return Markup(printable_lines(str(value)))
    return printable_lines(value) if isinstance(value, str) else value
