# SPDX-License-Identifier: GPL-2.0
"""Sum up a run: its state, its answer, and each item that decides it. Pure.

Exit code, terminal, junit.xml, summary.md, report.html, results.json and the other formats render
this one Summary, so that none can contradict another. An item is red, or the run exits with 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rmaplab import failures
from rmaplab.errors import ExitCode
from rmaplab.model import (
    Answer,
    CellResult,
    Change,
    Comparison,
    ComparisonRow,
    Counts,
    Item,
    ItemKind,
    Mark,
    Quarantine,
    RowKey,
    RunState,
    Standing,
    Summary,
    Verdict,
)
from rmaplab.model.prefixes import PatchTable
from rmaplab.quarantine import placed
from rmaplab.stability import unstable

_NO_QUARANTINE = Quarantine()


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended, apart from its cells.

    ``asked`` is how many cells it was asked for, ``is_whole`` whether it came to its end.
    ``not_built`` are the kernels that were not built, and why. ``failure`` is the error that ended
    it before its end, with the exit code that the command had then. ``notes`` say what was tested.
    ``quarantine`` and ``marks`` are what people said of its failures before.
    """

    name: str
    asked: int
    is_whole: bool = True
    not_built: Mapping[str, str] = field(default_factory=dict)
    failure: str = ""
    failure_code: ExitCode = ExitCode.INFRA
    notes: tuple[str, ...] = ()
    quarantine: Quarantine = _NO_QUARANTINE
    marks: tuple[Mark, ...] = ()


def summarize(
    end: RunEnd,
    results: Sequence[CellResult],
    comparison: Comparison | None,
    patches: PatchTable | None = None,
) -> Summary:
    """Return the answer of a run, from its results and how it ended.

    With ``patches`` a series is checked patch by patch: cells are held against those of base.
    """
    items = list(_kernels(end))
    if patches is not None:
        items += _not_built(patches)
        end = replace(end, notes=(*end.notes, *patches.notes))
        measured = list(_cells_of_patches(results, patches))
    else:
        measured = list(_cells(results) if comparison is None else _rows(results, comparison))
    by_id = {result.cell.id: result for result in results}
    base = "" if comparison is None else comparison.a
    measured = list(placed(_named(measured, by_id, base, end.marks), by_id, end.quarantine))
    items += measured
    items += _run(end, results, measured)
    counts = _counts(end, results, comparison, items)
    state = _state(end, results)
    code = _exit_code(end, items)
    answer = {ExitCode.OK: Answer.GOOD, ExitCode.REGRESSION: Answer.BAD}.get(code, Answer.NONE)
    why = tuple(_why(items))
    compared = () if comparison is None else (comparison.a, comparison.b)
    rows = "" if comparison is None else comparison_tally(comparison)
    cells = tally(results)
    return Summary(
        state, answer, code, _headline(state, answer, why, items, [rows or cells, *end.notes]), why,
        counts, tuple(items), compared, cells, rows, end.notes,
    )  # fmt: skip


def tally(results: Sequence[CellResult]) -> str:
    """Return the cells' verdicts as ``40 cells: 30 pass, 8 fail (8 known), 2 skip``."""
    counts = Counter(result.judgement.verdict for result in results)
    known = sum(_is_known(result) for result in results)
    parts = []
    for verdict in Verdict:
        if counts[verdict]:
            note = f" ({known} known)" if verdict is Verdict.FAIL and known else ""
            parts.append(f"{counts[verdict]} {verdict}{note}")
    differ = len(unstable(results))
    note = f"; {differ} unstable" if differ else ""
    return f"{len(results)} cells: {', '.join(parts) or 'none'}{note}"


def comparison_tally(comparison: Comparison) -> str:
    """Return the rows' changes as ``12 rows: 8 fixed, 4 same-pass``."""
    parts = [f"{comparison.count(c)} {c}" for c in Change if comparison.count(c)]
    return f"{len(comparison.rows)} rows: {', '.join(parts) or 'none'}"


# -- items ---------------------------------------------------------------------------------------


def standing_of_cell(result: CellResult) -> Standing:
    """Return what a cell of a plain run says."""
    judged = result.judgement
    if judged.verdict is Verdict.ERROR:
        return Standing.ERROR
    if not judged.as_expected:
        return Standing.BAD
    return {Verdict.PASS: Standing.PASSED, Verdict.FAIL: Standing.KNOWN}.get(
        judged.verdict, Standing.SKIPPED
    )


def standing_of_row(row: ComparisonRow) -> Standing:
    """Return what a row of an A/B says, whatever its two sides say by themselves."""
    if "mixed" in {row.base, row.patched}:
        return Standing.BAD
    if row.change.is_bad:
        return Standing.ERROR if Verdict.ERROR in {row.base, row.patched} else Standing.BAD
    return _OF_CHANGE[row.change]


_OF_CHANGE = {
    Change.FIXED: Standing.FIXED,
    Change.SAME_PASS: Standing.PASSED,
    Change.SAME_FAIL: Standing.KNOWN,
    Change.GONE_SPLAT: Standing.KNOWN,
}


def _is_known(result: CellResult) -> bool:
    return result.judgement.verdict is Verdict.FAIL and result.judgement.as_expected


def _kernels(end: RunEnd) -> Iterator[Item]:
    for name, error in end.not_built.items():
        yield Item(ItemKind.KERNEL, Standing.ERROR, name, f"was not built: {error}", kernel=name)


def _cells(results: Sequence[CellResult]) -> Iterator[Item]:
    for result in results:
        cell, judged = result.cell, result.judgement
        yield Item(
            ItemKind.CELL, standing_of_cell(result), cell.testcase.name, judged.reason,
            kernel=cell.kernel, guest=cell.guest.name, settings=cell.settings.name,
            device=cell.device, repeat=cell.repeat, known=judged.known, cells=(cell.id,),
        )  # fmt: skip
    for one in unstable(results):
        yield Item(
            ItemKind.REPEATS, Standing.BAD, one.testcase, f"unstable: {one.detail}",
            kernel=one.kernel, guest=one.guest, settings=one.settings, device=one.device,
            cells=one.cells,
        )  # fmt: skip


def _not_built(patches: PatchTable) -> Iterator[Item]:
    for patch in patches.patches:
        if patch.error:
            yield Item(
                ItemKind.KERNEL, Standing.BAD, patch.name, f"was not built: {patch.error}",
                kernel=patch.name,
            )  # fmt: skip


def _cells_of_patches(results: Sequence[CellResult], table: PatchTable) -> Iterator[Item]:
    """Yield the cells of a series' prefixes, each as its row's change against base says.

    Those of base stand for what was there before: none of them speaks against the series.
    """
    numbers = {patch.kernel: n for n, patch in enumerate(table.patches) if patch.has_own_image}
    rows = {(row.testcase, row.settings, row.guest, row.device): row for row in table.rows}
    for result in results:
        cell, judged = result.cell, result.judgement
        row, number = rows.get(cell.row), numbers.get(cell.kernel)
        change = row.changes[number] if row is not None and number is not None else None
        why = row.details[number] if row is not None and number is not None else judged.reason
        yield Item(
            ItemKind.CELL, _standing_of_patch(judged.verdict, change), cell.testcase.name, why,
            kernel=cell.kernel, guest=cell.guest.name, settings=cell.settings.name,
            device=cell.device, repeat=cell.repeat, known=judged.known, cells=(cell.id,),
        )  # fmt: skip


def _standing_of_patch(verdict: Verdict, change: Change | None) -> Standing:
    if verdict is Verdict.ERROR:
        return Standing.ERROR
    if verdict is Verdict.SKIP:
        return Standing.SKIPPED
    if change is None:
        return Standing.PASSED if verdict is Verdict.PASS else Standing.KNOWN
    if change is Change.MISSING:  # base has no verdict to be held against
        return Standing.ERROR
    return Standing.BAD if change.is_bad else _OF_CHANGE[change]


def _rows(results: Sequence[CellResult], comparison: Comparison) -> Iterator[Item]:
    members: dict[RowKey, list[CellResult]] = {}
    for result in results:
        members.setdefault(result.cell.row, []).append(result)
    rows = {(row.testcase, row.settings, row.guest, row.device): row for row in comparison.rows}
    for key in dict.fromkeys((*members, *rows)):
        testcase, settings, guest, device = key
        some, row = members.get(key, []), rows.get(key)
        cells = tuple(result.cell.id for result in some)
        known = next((r.judgement.known for r in some if r.judgement.known), "")
        if row is None:  # both sides skip it
            why = next((r.judgement.reason for r in some), "")
            yield Item(
                ItemKind.ROW, Standing.SKIPPED, testcase, why, guest=guest, settings=settings,
                device=device, base="skip", patched="skip", cells=cells,
            )  # fmt: skip
        else:
            yield Item(
                ItemKind.ROW, standing_of_row(row), testcase, row.detail, guest=guest,
                settings=settings, device=device, change=row.change, base=row.base,
                patched=row.patched, known=known, cells=cells,
            )  # fmt: skip
    for splat in comparison.new_splats:
        where = "; ".join(" ".join(filter(None, row)) for row in splat.rows[:3])
        more = f" and {len(splat.rows) - 3} more" if len(splat.rows) > 3 else ""
        yield Item(
            ItemKind.SPLAT, Standing.BAD, splat.title, f"new splat in {where}{more}",
            base=comparison.a, patched=comparison.b, fingerprint=splat.fingerprint,
        )  # fmt: skip


def _named(
    items: Iterable[Item], results: Mapping[str, CellResult], base: str, marks: Sequence[Mark]
) -> Iterator[Item]:
    """Yield the items, those that are bad with their failures' fingerprints, and their marks."""
    known = {mark.fingerprint: mark for mark in marks}
    for item in items:
        if item.standing is not Standing.BAD:
            yield item
            continue
        cells = [results[name] for name in item.cells if name in results]
        found = map(failures.fingerprint, failures.against(item, cells, base))
        names = tuple(dict.fromkeys(filter(None, (item.fingerprint, *found))))
        said = "; ".join(known[name].phrase for name in names if name in known)
        why = f"{item.why} ({said})".strip() if said else item.why
        yield replace(item, failures=names, why=why, marked=said)


def _run(end: RunEnd, results: Sequence[CellResult], measured: Sequence[Item]) -> Iterator[Item]:
    """Yield what is red about the run itself: it did not come to its end, or tested nothing."""
    of = f"{len(results)} of {_number(end.asked, 'cell')}"
    if end.failure:
        yield Item(ItemKind.RUN, Standing.ERROR, end.name, f"{end.failure} (after {of})")
    elif end.not_built:
        return
    elif not end.is_whole:
        yield Item(ItemKind.RUN, Standing.ERROR, end.name, f"interrupted after {of}")
    elif all(item.standing in _UNTESTED for item in measured):
        why = "every cell was skipped" if results else "no cell was run"
        if any(item.standing is Standing.QUARANTINED for item in measured):
            why = "all that was not skipped is in quarantine"
        yield Item(ItemKind.RUN, Standing.ERROR, end.name, f"nothing was tested: {why}")


_UNTESTED = frozenset({Standing.SKIPPED, Standing.QUARANTINED})


# -- what follows from them ----------------------------------------------------------------------


def _state(end: RunEnd, results: Sequence[CellResult]) -> RunState:
    if end.not_built or not results:
        return RunState.ABORTED
    return RunState.COMPLETE if end.is_whole and not end.failure else RunState.PARTIAL


def _exit_code(end: RunEnd, items: Iterable[Item]) -> ExitCode:
    """Return the command's exit code; the gravest reason decides."""
    if end.not_built:
        return ExitCode.BUILD
    if end.failure:
        return end.failure_code
    if not end.is_whole:
        return ExitCode.INTERRUPTED
    if any(item.kind is ItemKind.KERNEL and item.standing is Standing.BAD for item in items):
        return ExitCode.BUILD
    standings = {item.standing for item in items}
    if Standing.BAD in standings:
        return ExitCode.REGRESSION
    return ExitCode.INFRA if Standing.ERROR in standings else ExitCode.OK


def _counts(
    end: RunEnd,
    results: Sequence[CellResult],
    comparison: Comparison | None,
    items: Iterable[Item],
) -> Counts:
    verdicts = Counter(result.judgement.verdict for result in results)
    changes = Counter(row.change for row in comparison.rows) if comparison is not None else {}
    standings = Counter(item.standing for item in items)
    return Counts(
        asked=end.asked,
        cells={verdict: verdicts[verdict] for verdict in Verdict if verdicts[verdict]},
        known=sum(_is_known(result) for result in results),
        unstable=len(unstable(results)),
        rows={change: changes[change] for change in Change if changes.get(change)},
        new_splats=len(comparison.new_splats) if comparison is not None else 0,
        standings={one: standings[one] for one in Standing if standings[one]},
    )


def _why(items: Sequence[Item]) -> Iterator[str]:
    """Yield the reasons of the answer: of the run, then counts of what is red."""
    for kind in (ItemKind.RUN, ItemKind.KERNEL):
        for item in items:
            if item.kind is kind:
                first = item.why.strip().splitlines()[0] if item.why.strip() else ""
                yield f"kernel {item.name} {first}" if kind is ItemKind.KERNEL else first
    red = [item for item in items if item.standing.is_red]
    rows = Counter(item.change for item in red if item.kind is ItemKind.ROW and item.change)
    for change in sorted(rows, key=lambda one: (-one.rank, one)):
        yield f"{_number(rows[change], 'row')} {change}"
    cells = Counter(item.standing for item in red if item.kind is ItemKind.CELL)
    if count := cells[Standing.BAD]:
        yield f"{_number(count, 'cell')} not as expected"
    if count := cells[Standing.ERROR]:
        yield f"{_number(count, 'cell')} without a verdict"
    for kind, noun in ((ItemKind.REPEATS, "unstable testcase"), (ItemKind.SPLAT, "new splat")):
        if count := sum(item.kind is kind for item in red):
            yield _number(count, noun)


def _headline(
    state: RunState, answer: Answer, why: Sequence[str], items: Iterable[Item], said: Sequence[str]
) -> str:
    """Return the answer in one line."""
    held = [item for item in items if item.quarantine]
    bad = sum(item.standing is Standing.QUARANTINED for item in held)
    quarantine = [f"in quarantine: {len(held)}, {bad} of them bad"] if held else []
    because, counted = ", ".join(why), "; ".join([*said[:1], *quarantine, *said[1:]])
    if state is not RunState.COMPLETE:
        return f"no answer, {state} run: {because}; {counted}"
    if answer is Answer.GOOD:
        return f"good{f', but for {bad} in quarantine' if bad else ''}: {counted}"
    return f"{'bad' if answer is Answer.BAD else 'no answer'}: {because}; {counted}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
