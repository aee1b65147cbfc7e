# SPDX-License-Identifier: GPL-2.0
"""A run as KTAP: a test for each item of its summary, with what its cells showed as subtests."""

from __future__ import annotations

from collections.abc import Iterator

from rmaplab.model import CellResult, Item, Standing, Verdict
from rmaplab.report.reported import ReportedRun
from rmaplab.text import printable


def render(run: ReportedRun) -> Iterator[str]:
    """Yield the lines of the file, which any KTAP parser reads."""
    items = run.summary.items
    results = {result.cell.id: result for result in run.results}
    yield "KTAP version 1\n"
    yield f"# rmaplab {_said(run.record.lab.name)}: {_said(run.summary.headline)}\n"
    yield f"1..{len(items)}\n"
    for number, item in enumerate(items, 1):
        cells = [results[cell] for cell in item.cells if cell in results]
        if len(cells) == 1:
            yield from _subtests(cells[0], _EXCUSED.get(item.standing, ""))
        for line in item.why.splitlines() if item.standing in _SAID else ():
            yield f"# {_said(line)}\n"
        if item.quarantine and item.standing is not Standing.QUARANTINED:
            yield f"# {_said(item.quarantine)}\n"
        yield f"{_result(item, number)}\n"


_SAID = frozenset({Standing.BAD, Standing.ERROR, Standing.QUARANTINED})


def _result(item: Item, number: int) -> str:
    name = f"{item.name} [{item.where}]" if item.where else item.name
    name += f" repeat {item.repeat}" if item.repeat > 1 else ""
    ok = "not ok" if item.standing.is_red else "ok"
    directive = {
        Standing.SKIPPED: f" # SKIP {_said(item.why)}",
        Standing.KNOWN: f" # XFAIL {_said(item.known or 'base fails, too')}",
        # Not counted, as a skip is: harnesses of the kernel know no other word for that.
        Standing.QUARANTINED: f" # SKIP {_said(item.quarantine)}",
        Standing.ERROR: f" # ERROR {_said(item.why)}",
    }.get(item.standing, "")
    return f"{ok} {number} {_named(name)}{directive.rstrip()}"


_EXCUSED = {Standing.KNOWN: " # XFAIL", Standing.QUARANTINED: " # SKIP in quarantine"}
"""The directives of the failures below an item that is not red."""


def _subtests(result: CellResult, excuse: str) -> Iterator[str]:
    """Yield the results of one cell, which stand before the line of its item.

    With an ``excuse`` a failure has that directive, as its item has.
    """
    shown = result.observation.results
    if not shown:
        return
    yield "    KTAP version 1\n"
    yield f"    1..{len(shown)}\n"
    for number, one in enumerate(shown, 1):
        for line in one.detail.splitlines() if one.verdict is not Verdict.PASS else ():
            yield f"    # {_said(line)}\n"
        excused = excuse and one.verdict in {Verdict.FAIL, Verdict.ERROR}
        ok = "ok" if one.verdict in {Verdict.PASS, Verdict.SKIP} or excused else "not ok"
        directive = {Verdict.SKIP: " # SKIP", Verdict.ERROR: " # ERROR"}.get(one.verdict, "")
        directive = excuse if excused else " # XFAIL" if one.known else directive
        yield f"    {ok} {number} {_named(one.name)}{directive}\n"


def _named(text: str) -> str:
    """Return a test's name: a # would begin a directive."""
    return _said(text).replace("#", "-") or "-"


def _said(text: str) -> str:
    return printable(" ".join(text.split()))
