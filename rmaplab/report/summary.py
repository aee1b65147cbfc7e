# SPDX-License-Identifier: GPL-2.0
"""summary.md: a run on one page, to paste into a mail or a merge request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rmaplab.model import CellResult, Change, Comparison, Verdict
from rmaplab.report import numbers
from rmaplab.report.terminal import comparison_tally, tally
from rmaplab.stability import ends, unstable
from rmaplab.store.runfolder import RunRecord
from rmaplab.text import printable


def render(
    record: RunRecord,
    results: Sequence[CellResult],
    comparison: Comparison | None,
    remarks: Sequence[str] = (),
) -> str:
    """Return the page as Markdown, which follows from the evidence alone."""
    lines = [f"# rmaplab: {escape(record.lab.name)}", "", *_kernels(record), ""]
    if not record.is_whole:
        lines += ["**Interrupted**: not every cell was run.", ""]
    if record.part:
        lines += [f"**Part of the lab**: {escape(record.part)}.", ""]
    if comparison is not None:
        lines += [f"{comparison.a} -> {comparison.b}: {comparison_tally(comparison)}", ""]
        lines += _comparison(comparison)
        lines += _splats(comparison)
        lines += _numbers(comparison)
    lines += [tally(results), ""]
    lines += _unstable(results)
    lines += _repeats(record, results)
    lines += _failures(results)
    lines += _allowed(results)
    lines += ["", *(f"- {escape(remark)}" for remark in remarks)] if remarks else []
    return "\n".join(lines) + "\n"


def _kernels(record: RunRecord) -> list[str]:
    lines = ["| kernel | tree | series | config | build |", "|---|---|---|---|---|"]
    for name, facts in record.kernels.items():
        cells = (name, facts.origin, facts.series or "-", " ".join(facts.config), facts.key)
        lines.append("| " + " | ".join(escape(cell) for cell in cells) + " |")
    lines += ["", f"Accelerator: {escape(record.accelerator or 'none ran')}."]
    return lines


def _comparison(comparison: Comparison) -> list[str]:
    lines = [
        f"| testcase | settings | guest | {comparison.a} | {comparison.b} | change | detail |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in comparison.rows:
        if row.change is not Change.SAME_PASS:
            cells = (row.testcase, row.settings, row.place, row.base, row.patched, row.change,
                     row.detail)  # fmt: skip
            lines.append("| " + " | ".join(escape(str(cell)) for cell in cells) + " |")
    return [*lines, ""]


def _unstable(results: Sequence[CellResult]) -> list[str]:
    found = unstable(results)
    if not found:
        return []
    lines = ["| unstable testcase | kernel | guest | settings | repeats |", "|---|---|---|---|---|"]
    for one in found:
        cells = (one.testcase, one.kernel, one.place, one.settings, one.detail)
        lines.append("| " + " | ".join(escape(cell) for cell in cells) + " |")
    return [*lines, ""]


def _repeats(record: RunRecord, results: Sequence[CellResult]) -> list[str]:
    """Return the table of how each testcase's repeats ended; empty if nothing was repeated."""
    found = ends(results)
    if not found:
        return []
    kernels = [kernel.name for kernel in record.lab.kernels]
    lines = [f"| repeats of | {' | '.join(kernels)} |", "|---" * (len(kernels) + 1) + "|"]
    for testcase in sorted(found):
        cells = (testcase, *(", ".join(found[testcase].get(kernel, ["-"])) for kernel in kernels))
        lines.append("| " + " | ".join(escape(cell) for cell in cells) + " |")
    return [*lines, ""]


def _splats(comparison: Comparison) -> list[str]:
    if not comparison.splats:
        return []
    lines = ["| splat | kind | change | rows | allowed |", "|---|---|---|---|---|"]
    lines += [
        f"| {escape(splat.title)} | {splat.kind} | {splat.change} | {len(splat.rows)} | "
        f"{escape(splat.allowed)} |"
        for splat in comparison.splats
    ]
    return [*lines, ""]


def _numbers(comparison: Comparison) -> list[str]:
    """Return the numbers that differ, the worst first."""
    found = numbers.lines(comparison)
    if not found:
        return []
    lines = [f"{numbers.title(found)}:", ""]
    lines += [f"- {escape(line.phrase)}" for line in found[: numbers.SHOWN]]
    if len(found) > numbers.SHOWN:
        lines.append(f"- {len(found) - numbers.SHOWN} more in report.html")
    return [*lines, ""]


def _allowed(results: Sequence[CellResult]) -> list[str]:
    """Return the table of the splats that failed no cell."""
    counts = Counter((s.title, why) for result in results for s, why in result.splats if why)
    if not counts:
        return []
    lines = ["", "| allowed splat | cells | reason |", "|---|---|---|"]
    return lines + [f"| {escape(t)} | {n} | {escape(why)} |" for (t, why), n in counts.items()]


def _failures(results: Sequence[CellResult]) -> list[str]:
    bad = [result for result in results if not result.judgement.as_expected]
    if not bad:
        return [] if unstable(results) else ["Every cell ended as expected."]
    lines = ["| cell | verdict | why |", "|---|---|---|"]
    lines += [
        f"| {result.cell.id} | {result.judgement.verdict} | {escape(result.judgement.reason)} |"
        for result in bad
        if result.judgement.verdict is not Verdict.PASS or not result.judgement.as_expected
    ]
    return lines


def escape(text: str) -> str:
    """Escape text of unknown origin for a Markdown table cell."""
    safe = printable(" ".join(text.split()))
    for char in "\\`*_{}[]<>|":
        safe = safe.replace(char, "\\" + char)
    return safe
