# SPDX-License-Identifier: GPL-2.0
"""The comparison of trees: how each testcase went on each, and what coverage was lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich import markup
from rich.table import Table

from rmaplab.compare.trees import STANDINGS, Lost, TreesComparison
from rmaplab.log import log
from rmaplab.report.markdown import escape, shortened, table
from rmaplab.text import printable

NOT_RUN = "-"
_WHY_CHARS = 160


def facts(comparison: TreesComparison, drift: Sequence[str] = ()) -> dict[str, Any]:
    """Return a comparison for programs; ``drift`` is where Kconfig chose otherwise."""
    return {
        "trees": list(comparison.trees),
        "testcases": [
            {
                "testcase": row.testcase,
                "standings": {
                    tree: None if count is None else dict(count)
                    for tree, count in zip(comparison.trees, row.counts, strict=True)
                },
            }
            for row in comparison.rows
        ],
        "lost": [asdict(one) for one in comparison.lost],
        "kconfig": list(drift),
    }


def markdown(comparison: TreesComparison, drift: Sequence[str] = ()) -> str:
    """Return a comparison as two tables of a Markdown page, and a list of ``drift``."""
    lines = table(
        ("testcase", *comparison.trees),
        ((row.testcase, *map(_standing, row.counts)) for row in comparison.rows),
    )
    lines += [*table(_LOST_TITLES, map(_lost, comparison.lost)), totals(comparison)]
    if drift:
        lines += ["", _DRIFT, "", *(f"- {escape(line)}" for line in drift)]
    return "\n".join(lines) + "\n"


def show(comparison: TreesComparison, drift: Sequence[str] = (), *, everything: bool) -> None:
    """Print the testcases that went differently, or all of them, and what was lost."""
    rows = [row for row in comparison.rows if everything or row.differs]
    if rows:
        shown = Table(box=None, pad_edge=False)
        for title in ("testcase", *comparison.trees):
            shown.add_column(markup.escape(printable(title)), overflow="fold")
        for row in rows:
            shown.add_row(markup.escape(printable(row.testcase)), *map(_standing, row.counts))
        log.stdout.print(shown)
    for lost in comparison.lost:
        testcase, where, what, tree, elsewhere, why = _lost(lost)
        about = f" ({what})" if what else ""
        log.stdout.print(
            printable(f"lost on {tree}: {testcase} {where}{about}: {why}; passes on {elsewhere}"),
            markup=False,
        )
    for line in drift:
        log.stdout.print(printable(f"Kconfig: {line}"), markup=False)
    log.stdout.print(totals(comparison), markup=False)


def totals(comparison: TreesComparison) -> str:
    """Return a line with the sums: ``96 testcases; 7.3.4: 2 cells and 3 subtests lost``."""
    words = [f"{len(comparison.rows)} testcases"]
    for tree in comparison.trees:
        lost = [one for one in comparison.lost if one.tree == tree]
        cells = sum(not one.subtest for one in lost)
        words.append(f"{tree}: {cells} cells and {len(lost) - cells} subtests lost")
    return printable("; ".join(words))


_DRIFT = "Nobody requested it, and Kconfig chose otherwise:"
_LOST_TITLES = ("lost", "where", "subtest", "on", "passes on", "why")


def _lost(one: Lost) -> tuple[str, ...]:
    where = f"{one.place} {one.settings}"
    why = shortened(" ".join(one.why.split()), _WHY_CHARS)
    return one.testcase, where, one.subtest, one.tree, ", ".join(one.elsewhere), why


def _standing(counts: Mapping[str, int] | None) -> str:
    """Return how a testcase's cells went: ``pass``, or ``3 pass, 1 lost``."""
    if counts is None:
        return NOT_RUN
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{counts[word]} {word}" for word in STANDINGS if word in counts)
