# SPDX-License-Identifier: GPL-2.0
"""A run as tables for a person at a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape

from rmaplab.log import log
from rmaplab.model import (
    Answer,
    CellResult,
    Change,
    Comparison,
    ComparisonRow,
    Item,
    Summary,
    Unstable,
    Verdict,
)
from rmaplab.model.coverage import SeriesCoverage
from rmaplab.model.prefixes import LEGEND, PatchTable
from rmaplab.report import columns, coverage, numbers
from rmaplab.report.reported import Revisions
from rmaplab.stability import unstable
from rmaplab.store import memoryfile
from rmaplab.store.runfolder import RANGE_DIFF, RunRecord
from rmaplab.summarize import comparison_tally, tally
from rmaplab.text import printable

_CHANGE_STYLE = {
    Change.FIXED: "good",
    Change.GONE_SPLAT: "good",
    Change.SAME_PASS: "",
    Change.SAME_FAIL: "odd",
}


EXCERPT_LINES = 24
"""Lines of a new splat that go to the terminal."""


def show_cells(results: Sequence[CellResult]) -> None:
    """Show the cells that are no plain pass, those that ended alike in one line; then the tally."""
    groups: dict[tuple[str, str, Verdict, str], list[CellResult]] = {}
    for result in results:
        judgement = result.judgement
        if judgement.verdict is not Verdict.PASS or not _fine(result):
            note = " (known)" if _known(result) else ""
            key = (result.cell.testcase.name, result.cell.kernel, judgement.verdict, note)
            groups.setdefault(key, []).append(result)
    if groups:
        rows = []
        for (testcase, kernel, verdict, note), members in groups.items():
            style = "dim" if note or verdict is Verdict.SKIP else "bad"
            why = _why([result.judgement.reason for result in members])
            rows.append((testcase, kernel, (f"{verdict}{note}", style), str(len(members)), why))
        columns.show(("testcase", "kernel", "verdict", "cells", "why"), rows)
    show_unstable(results)
    log.stdout.print(tally(results))


SUBJECTS = 3
"""Titles of patches that the terminal shows of a kernel."""


def show_kernels(record: RunRecord) -> None:
    """Print what the kernels of an A/B are: tree, number of patches, their titles."""
    for name in record.comparison or ():
        facts = record.kernels[name]
        count = len(facts.patches)
        series = f" + {count} patch{'es' if count > 1 else ''} of {facts.series}" if count else ""
        log.stdout.print(printable(f"{name}: {facts.origin}{series}"), markup=False)
        for subject in facts.patches[:SUBJECTS]:
            log.stdout.print(f"  {printable(subject)}", markup=False)
        if count > SUBJECTS:
            log.stdout.print(f"  ({count - SUBJECTS} more in summary.md)", markup=False)


def show_revisions(found: Revisions, newer: Comparison, folder: Path) -> None:
    """Show in which rows two revisions of a series differ, against one base."""
    differ = found.differences(newer)
    rows = [
        (new.testcase, f"{new.place} {new.settings}", str(old.change), str(new.change),
         new.detail or old.detail)
        for old, new in differ
    ]  # fmt: skip
    columns.show(("testcase", "where", found.older.b, newer.b, "why"), rows)
    log.stdout.print(
        f"{found.older.b}: {comparison_tally(found.older)}\n"
        f"{newer.b}: {comparison_tally(newer)}\n"
        f"{len(differ)} rows differ between the revisions; range-diff: {folder / RANGE_DIFF}",
        markup=False,
    )


def show_patches(found: PatchTable) -> None:
    """Show a series patch by patch: a line for each patch, then the testcases' lines."""
    rows: list[tuple[columns.Cell, ...]] = []
    for patch in found.patches:
        kernel: columns.Cell = "built" if patch.has_own_image else f"as {patch.kernel}"
        if patch.error:
            kernel = ("not built", "bad")
        said = [
            f"{one.testcase} {one.phrase}" for one in found.episodes if one.since == patch.number
        ]
        said += [f"new warning: {one}" for one in patch.warnings]
        said += [f"{len(patch.remarks)} remarks of checkpatch"] if patch.remarks else []
        said[:0] = patch.error.splitlines()[:1]
        rows.append((str(patch.number), patch.subject, kernel, "; ".join(said)))
    columns.show(("patch", "subject", "kernel", "what it changes"), rows)
    width = max((len(name) for name in found.testcases), default=0)
    tens = "".join(str(patch.number % 10) for patch in found.patches)
    log.stdout.print(f"{'':{width}}  {tens}", markup=False)
    for name in found.testcases:
        log.stdout.print(printable(f"{name:{width}}  {found.marks(name)}"), markup=False)
    log.stdout.print(LEGEND, markup=False)


def show_answer(summary: Summary) -> None:
    """Print the answer in one line, the last one of a run."""
    style = {Answer.GOOD: "good", Answer.BAD: "bad"}.get(summary.answer, "odd")
    log.stdout.print(f"[{style}]{escape(printable(summary.headline))}[/]")


def show_quarantined(summary: Summary) -> None:
    """Show what is in quarantine, also what passed there, a line for each way."""
    groups: dict[tuple[str, str, str], list[Item]] = {}
    for item in summary.quarantined:
        why = item.why if item.quarantine in item.why else item.quarantine
        groups.setdefault((item.name, item.what, why), []).append(item)
    rows = [
        (name, (what, "odd"), str(len(members)), why)
        for (name, what, why), members in groups.items()
    ]
    columns.show(("in quarantine", "what", "places", "why"), rows)


FAILURES = 12
"""Fingerprints of failures that the terminal shows."""


def show_failures(summary: Summary) -> None:
    """Print the fingerprints of what is red, each once, for ``history invalid``."""
    found: dict[str, Item] = {}
    for item in summary.red:
        for name in item.failures:
            found.setdefault(name, item)
    for name, item in [*found.items()][:FAILURES]:
        what = f": {item.marked}" if item.marked else ""
        log.stdout.print(f"failure {name}: {printable(item.name + what)}", markup=False)
    if len(found) > FAILURES:
        log.stdout.print(f"({len(found) - FAILURES} more failures in results.json)", markup=False)


def show_unstable(results: Sequence[CellResult]) -> None:
    """Show the testcases whose repeats differ, with counts, a line for each way."""
    groups: dict[tuple[str, str, str], list[Unstable]] = {}
    for one in unstable(results):
        groups.setdefault((one.testcase, one.kernel, one.detail), []).append(one)
    if not groups:
        return
    rows = []
    for (testcase, kernel, detail), members in groups.items():
        where = ", ".join(f"{one.place} {one.settings}" for one in members)
        rows.append((testcase, kernel, (detail, "bad"), where))
    columns.show(("unstable", "kernel", "repeats", "where"), rows)


def _why(reasons: Sequence[str]) -> str:
    """Return the first of several reasons, and how many others there are."""
    different = list(dict.fromkeys(filter(None, reasons)))
    others = len(different) - 1
    more = f"; {others} more reason{'s' if others > 1 else ''}" if others > 0 else ""
    return (different[0] if different else "") + more


def _fine(result: CellResult) -> bool:
    return result.judgement.as_expected


def _known(result: CellResult) -> bool:
    return result.judgement.verdict is Verdict.FAIL and result.judgement.as_expected


def show_comparison(comparison: Comparison) -> None:
    """Show the A/B table, a line for each testcase and way of change; then the tally.

    report.html and results.json have every row by itself.
    """
    groups: dict[tuple[str, str, str, Change], list[ComparisonRow]] = {}
    for row in comparison.rows:
        groups.setdefault((row.testcase, row.base, row.patched, row.change), []).append(row)
    table = []
    for (testcase, base, patched, change), rows in sorted(groups.items(), key=_by_change):
        style = "bad" if change.is_bad else _CHANGE_STYLE.get(change, "")
        why = _why([row.detail for row in rows]) + _where(rows, comparison.rows)
        table.append((testcase, base, patched, (str(change), style), str(len(rows)), why))
    columns.show(("testcase", comparison.a, comparison.b, "change", "rows", "why"), table)
    log.stdout.print(comparison_tally(comparison))
    _show_splats(comparison)
    _show_numbers(comparison)


def _show_splats(comparison: Comparison) -> None:
    """Show the new splats with the beginning of their text, the others in a line each."""
    for splat in comparison.new_splats:
        where = ", ".join(sorted({row[0] for row in splat.rows}))
        title = f"{printable(splat.title)} [{where}]"
        log.stdout.print(f"[bad]new splat:[/] {escape(title)}")
        lines = splat.excerpt.splitlines()
        for line in lines[:EXCERPT_LINES]:
            log.stdout.print("    " + printable(line), markup=False)
        if len(lines) > EXCERPT_LINES:
            log.stdout.print(f"    ({len(lines) - EXCERPT_LINES} more lines in report.html)")
    for splat in comparison.splats:
        if not splat.is_regression:
            note = f" (allowed: {splat.allowed})" if splat.allowed else ""
            text = f"{splat.change} splat: {printable(splat.title)}{printable(note)}"
            log.stdout.print(text, markup=False)


def _show_numbers(comparison: Comparison) -> None:
    """Print the numbers that differ, the worst first, and how many there are."""
    found = numbers.lines(comparison)
    if not found:
        return
    log.stdout.print(f"{numbers.title(found)}:", markup=False)
    for line in found[: numbers.SHOWN]:
        style = "[odd]" if line.is_worse else "[dim]"
        log.stdout.print(f"  {style}{escape(printable(line.phrase))}[/]")
    if len(found) > numbers.SHOWN:
        log.stdout.print(f"  ({len(found) - numbers.SHOWN} more in report.html)", markup=False)


def show_allowed(results: Sequence[CellResult]) -> None:
    """Show the splats that failed no cell, each once."""
    counts = Counter((s.title, why) for result in results for s, why in result.splats if why)
    for (title, why), cells in counts.items():
        text = f"allowed splat in {cells} cell{'s' if cells > 1 else ''}: {title}: {why}"
        log.stdout.print(printable(text), markup=False)


def show_memories(results: Sequence[CellResult], folder: Path) -> None:
    """Show which guests' memory was saved or could not be, and how to look into it."""
    readable = ""
    for result in results:
        memory = result.observation.memory
        if memory is None:
            continue
        text = f"{result.cell.id}: {memory.phrase}"
        if memory.was_read:
            text += f"; report: {folder / 'cells' / result.cell.id / memoryfile.REPORT}"
            readable = readable or result.cell.id
        elif memory.report:
            text += f"; {memory.report.strip()}"
        log.stdout.print(printable(text), markup=False)
    if readable:
        log.stdout.print(f"look into one: ./lab.py inspect {readable} --run {folder}", markup=False)


def show_coverage(found: Sequence[SeriesCoverage]) -> None:
    """Show what of each series was run, and what was not."""
    for one in found:
        first, *more = coverage.lines(one)
        named = f"{one.kernel}: " if len(found) > 1 else ""
        log.stdout.print(printable(f"{named}{first}"), markup=False)
        for line in more:
            log.stdout.print(printable(f"  {line}"), markup=False)


def _by_change(
    group: tuple[tuple[str, str, str, Change], list[ComparisonRow]],
) -> tuple[bool, int, str]:
    testcase, _, _, change = group[0]
    return not change.is_bad, list(Change).index(change), testcase


def _where(rows: Sequence[ComparisonRow], everything: Sequence[ComparisonRow]) -> str:
    """Return where a change is seen, unless its testcase shows it everywhere that it ran."""
    whole = sum(row.testcase == rows[0].testcase for row in everything)
    if len(rows) == whole:
        return ""
    return " [" + ", ".join(f"{row.place} {row.settings}" for row in rows) + "]"
