# SPDX-License-Identifier: GPL-2.0
"""A table of mutants: for a person at a terminal, for docs, as facts for other programs."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from rmaplab.errors import ExitCode
from rmaplab.log import log
from rmaplab.mutants import Detection, MutantReport, MutantResult, MutantVerdict
from rmaplab.report.markdown import escape as escape_markdown
from rmaplab.text import printable

SCHEMA_VERSION = 1
_STYLE = {MutantVerdict.CAUGHT: "good", MutantVerdict.EQUIVALENT: "dim"}
_TITLES = ("mutant", "base", "verdict", "by", "evidence", "rows", "build", "run")
SHOWN = 3
"""How many testcases of those that detect a mutant the tables name."""


def exit_code(results: Sequence[MutantResult]) -> ExitCode:
    """Return 0 if all are caught but the equivalent ones, 1 if one is missed or declared wrongly.

    3 if one does not apply or was not built, 69 if nothing is known of one.
    """
    verdicts = {result.verdict for result in results}
    if MutantVerdict.MISSED in verdicts or any(result.contradicts for result in results):
        return ExitCode.REGRESSION
    if verdicts & {MutantVerdict.DOES_NOT_APPLY, MutantVerdict.BUILD_BROKEN}:
        return ExitCode.BUILD
    return ExitCode.INFRA if MutantVerdict.ERROR in verdicts or not results else ExitCode.OK


def tally(results: Iterable[MutantResult]) -> str:
    """Count the verdicts: ``34 mutants: 33 caught, 1 equivalent``."""
    counts = Counter(result.verdict for result in results)
    parts = [f"{counts[verdict]} {verdict}" for verdict in MutantVerdict if counts[verdict]]
    return f"{counts.total()} mutants: {', '.join(parts) or 'none'}"


def show(results: Sequence[MutantResult]) -> None:
    """Print the table, the remarks below it and the tally."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in _TITLES:
        table.add_column(title, overflow="fold", justify="right" if title in _TIMES else "left")
    for result in results:
        style = _STYLE.get(result.verdict, "bad")
        cells = [escape(printable(cell)) for cell in _cells(result)]
        cells[2] = f"[{style}]{cells[2]}[/]"
        table.add_row(*cells)
    log.stdout.print(table)
    for result in results:
        for remark in remarks(result):
            log.stdout.print(f"{result.mutant.title}: {printable(remark)}", markup=False)
    log.stdout.print(tally(results))


_TIMES = {"rows", "build", "run"}


def _cells(result: MutantResult) -> tuple[str, ...]:
    seen = result.report
    by = seen.by[:SHOWN]
    more = f" (and {len(seen.by) - len(by)} more)" if len(seen.by) > len(by) else ""
    detected = f"{len(seen.detections)}/{seen.rows}" if seen.rows else ""
    return (
        result.mutant.name,
        str(result.mutant.base),
        str(result.verdict),
        ", ".join(by) + more,
        ", ".join(seen.evidence),
        detected,
        f"{result.build_s:.0f} s" if result.build_s else "-",
        f"{result.run_s:.0f} s" if result.run_s else "-",
    )


def remarks(result: MutantResult) -> list[str]:
    """List the remarks on a mutant that its row of the table does not hold."""
    found = []
    if result.contradicts:
        found.append("CAUGHT ALTHOUGH DECLARED EQUIVALENT: its header is wrong")
    elif result.detail:
        found.append(f"{result.verdict}: {result.detail}")
    if result.silent:
        found.append(
            f"its header names testcases that did not detect it: {', '.join(result.silent)}"
        )
    if result.without_debug is not None:
        found.append(f"without the debugging options: {quiet(result.without_debug)}")
    elif result.report.only_complaints:
        found.append("only the kernel's complaints detect it: try it with --without-debug")
    doubts = result.report.doubts if result.verdict is not MutantVerdict.ERROR else ()
    if result.report.problems and result.verdict is MutantVerdict.CAUGHT:
        doubts = (*result.report.problems, *doubts)
    if doubts:
        more = f" (and {len(doubts) - 1} more)" if len(doubts) > 1 else ""
        found.append(f"not compared: {doubts[0]}{more}")
    return found


def quiet(seen: MutantReport) -> str:
    """Describe the result on a kernel without the debugging options."""
    if seen.caught_by:
        return f"caught by {', '.join(seen.by[:SHOWN])} ({', '.join(seen.evidence)})"
    return f"not known: {seen.problems[0]}" if seen.problems else "missed"


def facts(results: Sequence[MutantResult]) -> dict[str, Any]:
    """Return the content of mutants.json, which ``--format json`` prints too (docs/mutants.md)."""
    return {
        "schema_version": SCHEMA_VERSION,
        "mutants": [_facts(result) for result in results],
    }


def _facts(result: MutantResult) -> dict[str, Any]:
    mutant, seen = result.mutant, result.report
    return {
        "name": mutant.name,
        "base": str(mutant.base),
        "tree": mutant.tree,
        "subject": mutant.patch.subject,
        "digest": mutant.patch.digest,
        "testcases": list(mutant.testcases),
        "equivalent": mutant.equivalent,
        "labs": list(result.labs),
        "verdict": str(result.verdict),
        "detail": result.detail,
        "by": list(seen.by),
        "evidence": [str(kind) for kind in seen.evidence],
        "rows": seen.rows,
        "catches": [_detection(one) for one in seen.detections],
        "silent": list(result.silent),
        "not_compared": [*seen.problems, *seen.doubts],
        "build_s": round(result.build_s, 1),
        "run_s": round(result.run_s, 1),
        "without_debug": None
        if result.without_debug is None
        else {
            "caught": bool(result.without_debug.caught_by),
            "by": list(result.without_debug.by),
            "evidence": [str(kind) for kind in result.without_debug.evidence],
            "not_compared": list(result.without_debug.problems),
        },
    }


def _detection(one: Detection) -> dict[str, Any]:
    again, of = one.again or (None, None)
    return {
        "testcase": one.testcase,
        "settings": one.settings,
        "guest": one.guest,
        "device": one.device,
        "evidence": [str(kind) for kind in one.evidence],
        "reason": one.reason,
        "told_again": again,
        "of": of,
    }


def markdown(results: Sequence[MutantResult], command: Sequence[str]) -> str:
    """Render the table for docs/mutants.md, with the command that made it."""
    titles = ("mutant", "base", "verdict", "by", "evidence", "rows", "build", "run")
    lines = [
        f"    {shlex.join(command)}",
        "",
        f"| {' | '.join(titles)} |",
        f"|{'---|' * len(titles)}",
        *(f"| {' | '.join(escape_markdown(c) for c in _cells(result))} |" for result in results),
        "",
        f"{tally(results)}.",
    ]
    notes = [
        f"- {escape_markdown(f'{result.mutant.title}: {remark}')}"
        for result in results
        for remark in remarks(result)
    ]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"
