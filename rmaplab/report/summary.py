# SPDX-License-Identifier: GPL-2.0
"""summary.md: a run on one page, for a job summary or a note on a merge request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from rmaplab.model import CellResult, Comparison, Item, ItemKind, Standing
from rmaplab.model.coverage import Reach, SeriesCoverage
from rmaplab.model.prefixes import LEGEND, PatchTable
from rmaplab.report import coverage, numbers
from rmaplab.report.markdown import code, escape, folded, page, shortened, table
from rmaplab.report.reported import ReportedRun, Revisions
from rmaplab.stability import ends, unstable
from rmaplab.store.runfolder import RunRecord
from rmaplab.summarize import comparison_tally

EXCERPT_LINES = 60
"""Lines of a splat that the page folds in."""


def render(run: ReportedRun) -> str:
    """Return the page as Markdown, the worst first, which follows from the evidence alone."""
    return page(_blocks(run), "report.html and results.json of the run have the rest.")


def without_run(name: str, message: str) -> str:
    """Return the page of a job that has no run, and why."""
    lines = [f"# rmaplab: {escape(name)}", "", "**no answer, aborted run: nothing was measured**"]
    return page([[*lines, ""], code(message)], "the job's log has the rest")


def _blocks(run: ReportedRun) -> Iterator[list[str]]:
    record, summary = run.record, run.summary
    yield [f"# rmaplab: {escape(record.lab.name)}", "", f"**{escape(summary.headline)}**", ""]
    if record.part:
        yield [f"**Part of the lab**: {escape(record.part)}.", ""]
    if run.patches is not None:
        yield from _patches(run.patches)
    yield _red(run)
    if run.comparison is not None:
        yield from _splats(run.comparison)
    yield _quarantined(run)
    if run.revisions is not None and run.comparison is not None:
        yield from _revisions(run.revisions, run.comparison)
    yield _by_standing(run, Standing.FIXED, "fixed")
    yield _by_standing(run, Standing.KNOWN, "known to fail")
    if run.comparison is not None:
        yield _numbers(run.comparison)
    yield from map(_coverage, run.coverage)
    yield [f"{escape(summary.cells)}.", ""]
    yield _unstable(run.results)
    yield _repeats(record, run.results)
    yield _allowed(run.results)
    yield _kernels(record)
    yield [*(f"- {escape(remark)}" for remark in run.remarks), ""] if run.remarks else []


def _red(run: ReportedRun) -> list[str]:
    """Return the table of what speaks against the kernel or the run, those alike in a row."""
    red = [item for item in run.summary.red if item.kind is not ItemKind.SPLAT]
    if not red:
        return []
    sides = run.summary.compared or ("expected", "verdict")
    titles = ("what", "testcase", *sides, "where", "why")
    return table(titles, (_line(run, some) for some in _alike(red)))


def _alike(items: Iterable[Item]) -> list[list[Item]]:
    """Group items of one testcase that say the same, in the order of the first."""
    groups: dict[tuple[object, ...], list[Item]] = {}
    for item in items:
        key = (item.kind, item.name, item.kernel, item.what, item.base, item.patched)
        groups.setdefault(key, []).append(item)
    return list(groups.values())


def _line(run: ReportedRun, some: Sequence[Item]) -> tuple[str, ...]:
    first = some[0]
    if first.kind is ItemKind.CELL:
        judged = {r.cell.id: r.judgement for r in run.results}[first.cells[0]]
        sides = (str(judged.expected), str(judged.verdict))
    else:
        sides = (first.base, first.patched)
    whys = list(dict.fromkeys(item.why for item in some if item.why))
    more = f" (and {len(whys) - 1} more reasons)" if len(whys) > 1 else ""
    return first.what, first.name, *sides, _where(some), shortened(whys[0] if whys else "") + more


def _where(some: Sequence[Item]) -> str:
    places = list(dict.fromkeys(item.where for item in some if item.where))
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    return ", ".join(places[:3]) + more


def _splats(comparison: Comparison) -> Iterator[list[str]]:
    """Yield a table of the splats, then each new one with its text, folded."""
    yield table(
        ("splat", "kind", "change", "rows", "allowed"),
        ((s.title, s.kind, s.change, len(s.rows), s.allowed) for s in comparison.splats),
    )
    for splat in comparison.new_splats:
        lines = splat.excerpt.splitlines()
        cut = [f"({len(lines) - EXCERPT_LINES} more lines in report.html)"]
        text = "\n".join(lines[:EXCERPT_LINES] + (cut if len(lines) > EXCERPT_LINES else []))
        where = ", ".join(sorted({row[0] for row in splat.rows}))
        yield folded(f"new splat: {splat.title} [{where}]", code(text))


def _by_standing(run: ReportedRun, standing: Standing, word: str) -> list[str]:
    """Return the items of one standing, folded, those of a testcase in a row."""
    found = [item for item in run.summary.items if item.standing is standing]
    if not found:
        return []
    noun = {ItemKind.ROW: "rows", ItemKind.CELL: "cells"}[found[0].kind]
    rows = [
        (some[0].name, some[0].what, len(some), shortened(some[0].why), some[0].known)
        for some in _alike(found)
    ]
    lines = table(("testcase", "what", noun, "why", "known as"), rows)
    return folded(f"{len(found)} {noun} {word}", lines)


def _quarantined(run: ReportedRun) -> list[str]:
    """Return the table of what is in quarantine, also of what passed there; it is not folded."""
    rows = [
        (some[0].name, some[0].what, len(some), _where(some), shortened(_quarantine(some[0])))
        for some in _alike(run.summary.quarantined)
    ]
    return table(("in quarantine", "what", "items", "where", "why"), rows)


def _quarantine(item: Item) -> str:
    return item.why if item.quarantine in item.why else item.quarantine


def _numbers(comparison: Comparison) -> list[str]:
    """Return the numbers that differ, the worst first."""
    found = numbers.lines(comparison)
    if not found:
        return []
    lines = [f"- {escape(line.phrase)}" for line in found[: numbers.SHOWN]]
    if len(found) > numbers.SHOWN:
        lines.append(f"- {len(found) - numbers.SHOWN} more in report.html")
    return folded(numbers.title(found), [*lines, ""])


def _revisions(found: Revisions, newer: Comparison) -> Iterator[list[str]]:
    """Yield in which rows two revisions of a series differ, and what git says of the two."""
    differ = found.differences(newer)
    sides = (
        f"{found.older.b}: {comparison_tally(found.older)}; {newer.b}: {comparison_tally(newer)}"
    )
    yield [f"**Two revisions**: {len(differ)} rows differ. {escape(sides)}.", ""]
    yield table(
        ("testcase", "where", found.older.b, newer.b, "why"),
        (
            (new.testcase, f"{new.place} {new.settings}", old.change, new.change,
             shortened(new.detail or old.detail))
            for old, new in differ
        ),
    )  # fmt: skip
    if found.range_diff:
        yield folded("git range-diff of the two", code(found.range_diff[:RANGE_DIFF_CHARS]))


RANGE_DIFF_CHARS = 16_000
"""Characters of a range-diff that the page folds in; the run's folder has all of it."""


def _patches(found: PatchTable) -> Iterator[list[str]]:
    """Yield a series patch by patch: how each was built, and which testcases it changes."""
    names = {patch.name: patch.number for patch in found.patches}
    rows = []
    for patch in found.patches:
        built = "not built" if patch.error else "built"
        if not patch.error and not patch.has_own_image:
            before = names.get(patch.kernel)
            built = f"the image of patch {before}" if before else "the image of base"
        changes = [f"{e.testcase} {e.phrase}" for e in found.episodes if e.since == patch.number]
        said = [f"new warning: {one}" for one in patch.warnings] + list(patch.remarks)
        error = patch.error.splitlines()[:1]
        rows.append((patch.number, patch.subject, built, "; ".join([*error, *changes]),
                     "; ".join(said)))  # fmt: skip
    yield table(("patch", "subject", "kernel", "what it changes", "remarks"), rows)
    width = max((len(name) for name in found.testcases), default=0)
    lines = [f"{name:{width}}  {found.marks(name)}" for name in found.testcases]
    tens = "".join(str(patch.number % 10) for patch in found.patches)
    yield folded(
        "patches and testcases", code("\n".join([f"{'':{width}}  {tens}", *lines, LEGEND]))
    )


def _coverage(found: SeriesCoverage) -> list[str]:
    """Return what was run of a series: the number, and folded what was not."""
    first, *more = coverage.lines(found)
    rows = [
        (
            file.path,
            file.counts[Reach.RUN],
            *(file.counts[kind] for kind in Reach if kind is not Reach.RUN),
        )
        for file in found.files
    ]
    lines = [f"**{escape(found.kernel)}**: {escape(first)}.", ""]
    if more or rows:
        said = [f"- {escape(line)}" for line in more]
        lines += folded("what was run of the change", [*table(("file", *Reach), rows), *said, ""])
    return lines


def _unstable(results: Sequence[CellResult]) -> list[str]:
    rows = [(u.testcase, u.kernel, u.place, u.settings, u.detail) for u in unstable(results)]
    return table(("unstable testcase", "kernel", "guest", "settings", "repeats"), rows)


def _repeats(record: RunRecord, results: Sequence[CellResult]) -> list[str]:
    """Return the table of how each testcase's repeats ended; empty if nothing was repeated."""
    found = ends(results)
    kernels = [kernel.name for kernel in record.lab.kernels]
    rows = [
        (testcase, *(", ".join(found[testcase].get(kernel, ["-"])) for kernel in kernels))
        for testcase in sorted(found)
    ]
    return table(("repeats of", *kernels), rows)


def _allowed(results: Sequence[CellResult]) -> list[str]:
    """Return the table of the splats that failed no cell."""
    counts = Counter((s.title, why) for result in results for s, why in result.splats if why)
    rows = [(title, cells, why) for (title, why), cells in counts.items()]
    return table(("allowed splat", "cells", "reason"), rows)


def _kernels(record: RunRecord) -> list[str]:
    rows = [
        (name, facts.origin, facts.series or "-", " ".join(facts.config), facts.key)
        for name, facts in record.kernels.items()
    ]
    lines = table(("kernel", "tree", "series", "config", "build"), rows)
    for name, facts in record.kernels.items():
        if facts.patches:
            lines += [f"Patches of {escape(name)}:", ""]
            lines += [f"{n}. {escape(subject)}" for n, subject in enumerate(facts.patches, 1)]
            lines += [""]
    return [*lines, f"Accelerator: {escape(record.accelerator or 'none ran')}.", ""]
