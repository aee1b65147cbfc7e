# SPDX-License-Identifier: GPL-2.0
"""A run as tables for a person at a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.markup import escape
from rich.table import Table

from rmaplab.log import log
from rmaplab.model import CellResult, Change, Comparison, Verdict

_CHANGE_STYLE = {
    Change.FIXED: "good",
    Change.GONE_SPLAT: "good",
    Change.SAME_PASS: "",
    Change.SAME_FAIL: "odd",
}


def printable(text: str) -> str:
    """Text that a guest wrote, safe for a terminal: control characters become visible."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def show_cells(results: Sequence[CellResult]) -> None:
    """Every cell that is no plain pass, then the tally."""
    notable = [r for r in results if r.judgement.verdict is not Verdict.PASS or not _fine(r)]
    if notable:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for title in ("cell", "verdict", "why"):
            table.add_column(title, overflow="fold")
        for result in notable:
            judgement = result.judgement
            known = " (known)" if _known(result) else ""
            style = "dim" if known or judgement.verdict is Verdict.SKIP else "bad"
            table.add_row(
                escape(result.cell.id),
                f"[{style}]{judgement.verdict}{known}[/]",
                escape(printable(judgement.reason)),
            )
        log.stdout.print(table)
    log.stdout.print(tally(results))


def _fine(result: CellResult) -> bool:
    return result.judgement.as_expected


def _known(result: CellResult) -> bool:
    return result.judgement.verdict is Verdict.FAIL and result.judgement.as_expected


def tally(results: Sequence[CellResult]) -> str:
    """``40 cells: 30 pass, 8 fail (8 known), 2 skip``."""
    counts = Counter(result.judgement.verdict for result in results)
    known = sum(_known(result) for result in results)
    parts = []
    for verdict in Verdict:
        if counts[verdict]:
            note = f" ({known} known)" if verdict is Verdict.FAIL and known else ""
            parts.append(f"{counts[verdict]} {verdict}{note}")
    return f"{len(results)} cells: {', '.join(parts) or 'none'}"


def show_comparison(comparison: Comparison) -> None:
    """The A/B table: every row that is no same-pass, then the tally of all."""
    rows = [row for row in comparison.rows if row.change is not Change.SAME_PASS]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("testcase", "settings", "guest", comparison.a, comparison.b, "change", "detail"):
        table.add_column(title, overflow="fold")
    for row in rows:
        style = "bad" if row.change.is_bad else _CHANGE_STYLE.get(row.change, "")
        change = f"[{style}]{row.change}[/]" if style else str(row.change)
        table.add_row(
            escape(row.testcase), row.settings, row.guest, row.base, row.patched, change,
            escape(printable(row.detail)),
        )  # fmt: skip
    if rows:
        log.stdout.print(table)
    log.stdout.print(comparison_tally(comparison))


def comparison_tally(comparison: Comparison) -> str:
    """``12 rows: 8 fixed, 4 same-pass``."""
    parts = [f"{comparison.count(c)} {c}" for c in Change if comparison.count(c)]
    return f"{len(comparison.rows)} rows: {', '.join(parts) or 'none'}"
