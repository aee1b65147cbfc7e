# SPDX-License-Identifier: GPL-2.0
"""Decide the change of each row of a comparison: docs/comparison.md has the rules as a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rmaplab.compare.blame import BaseFailures, uncovered
from rmaplab.compare.confirmed import counted
from rmaplab.compare.limits import checked, exceeded, unmeasured
from rmaplab.compare.news import (
    News,
    NewsKind,
    news,
    not_checked,
    not_reached,
    unchecked_on,
)
from rmaplab.compare.numbers import (
    Numbers,
    ReadDeltas,
    compared_costs,
    compared_counters,
    compared_values,
    lost_costs,
    read_counters,
)
from rmaplab.compare.sides import Name, Side
from rmaplab.compare.splats import SplatTally
from rmaplab.model import (
    CellResult,
    Change,
    ComparedCost,
    ComparedValue,
    Comparison,
    ComparisonRow,
    Expectation,
    Limit,
    RowKey,
    Verdict,
)

SHOWN = 5
"""Names that the detail of a row lists before it counts the others."""

_CHANGE_OF_NEWS = {
    NewsKind.SPLAT: Change.NEW_SPLAT,
    NewsKind.END: Change.REGRESSED,
    NewsKind.TAINT: Change.REGRESSED,
    NewsKind.RESULT: Change.REGRESSED,
    NewsKind.AMOUNT: Change.REGRESSED,
}
_SIDES = ("base", "patched")

Decision = tuple[Change, str]
"""The change of a row, and its detail."""


def compare(
    a: str,
    b: str,
    a_results: Iterable[CellResult],
    b_results: Iterable[CellResult],
    *,
    read: ReadDeltas | None = None,
    limits: Sequence[Limit] = (),
    expectations: Sequence[Expectation] = (),
) -> Comparison:
    """Compare two kernels' results row by row: testcase x settings x guest x device.

    A row that both sides skipped is no row: there is nothing to compare. ``read`` gives the
    counters of a cell, of one row at a time; without it none are compared. ``limits`` and
    ``expectations`` are the lab file's. Raises what ``read`` raises.
    """
    base, patched = grouped(a_results), grouped(b_results)
    known = BaseFailures(a, (one for some in base.values() for one in some), expectations)
    rows = []
    tally = SplatTally()
    idle = set(limits)
    for key in dict.fromkeys([*base, *patched]):
        before, after = Side.of(base.get(key, ())), Side.of(patched.get(key, ()))
        tally.add(key, before, after)
        if _all_verdicts(before) | _all_verdicts(after) != {Verdict.SKIP}:
            row = _row(key, before, after, known)
            numbers = _Numbers.of(before, after, read)
            idle -= numbers.limited(limits)
            rows.append(_within(limits, numbers, _with_numbers(row, numbers)))
    unchecked = tuple(limit for limit in limits if limit in idle)
    return Comparison(a, b, tuple(rows), tally.compared(), unchecked)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """The numbers of both sides of a row."""

    base: Numbers
    patched: Numbers
    costs: tuple[ComparedCost, ...]
    lost_costs: tuple[str, ...]
    values: tuple[ComparedValue, ...]

    @classmethod
    def of(cls, base: Side, patched: Side, read: ReadDeltas | None) -> _Numbers:
        """Read and compare the numbers of a row; none if a side has no verdict."""
        if not (base.has_verdict and patched.has_verdict):
            return cls({}, {}, (), (), ())
        return cls(
            base=read_counters(base, read) if read else {},
            patched=read_counters(patched, read) if read else {},
            costs=compared_costs(base, patched),
            lost_costs=lost_costs(base, patched),
            values=compared_values(base, patched),
        )

    def limited(self, limits: Sequence[Limit]) -> set[Limit]:
        """Return the limits that the row's numbers are held against."""
        return checked(limits, self.base, self.patched, self.costs)


def _with_numbers(row: ComparisonRow, numbers: _Numbers) -> ComparisonRow:
    counters = compared_counters(numbers.base, numbers.patched)
    return replace(row, counters=counters, costs=numbers.costs, values=numbers.values)


def _within(limits: Sequence[Limit], numbers: _Numbers, row: ComparisonRow) -> ComparisonRow:
    """Judge a row by the limits: over one it has regressed, and one that B hides is missing."""
    over = exceeded(limits, numbers.base, numbers.patched, numbers.costs)
    if over:
        change = max(row.change, Change.REGRESSED, key=lambda one: one.rank)
        return _because(row, change, f"over the limit: {_listed(over, '; ')}")
    hidden = unmeasured(limits, numbers.base, numbers.patched, numbers.lost_costs)
    if hidden and not row.change.is_bad:
        text = f"not shown on patched, and limited: {_listed(hidden)}"
        return _because(row, Change.MISSING, text)
    return row


def _because(row: ComparisonRow, change: Change, text: str) -> ComparisonRow:
    """Give a row another change, and the reason for it first."""
    detail = f"{text}; {row.detail}" if row.detail else text
    return replace(row, change=change, detail=detail)


def grouped(results: Iterable[CellResult]) -> dict[RowKey, list[CellResult]]:
    """Sort results into rows, in the order of their first cells."""
    rows: dict[RowKey, list[CellResult]] = defaultdict(list)
    for result in results:
        rows[result.cell.row].append(result)
    return dict(rows)


def _all_verdicts(side: Side) -> set[Verdict]:
    return {result.judgement.verdict for result in side.everything}


def _verdicts(side: Side) -> set[Verdict]:
    return set(side.verdicts)


def _row(key: RowKey, base: Side, patched: Side, known: BaseFailures) -> ComparisonRow:
    """Judge a row: what speaks against B counts, however little evidence there is besides."""
    testcase, settings, guest, device = key
    change, detail = _decide(base, patched, known)
    gap = _gap(base, patched)
    lost = not (base.results and patched.results)
    if gap and not change.is_bad:
        change, detail, lost = Change.MISSING, _with_splats(gap, base, patched), True
    detail = counted(change, detail, base, patched)
    of = _all_verdicts if lost else _verdicts
    shown = _shown(of(base)), _shown(of(patched))
    return ComparisonRow(testcase, settings, guest, *shown, change, detail, device)


def _shown(verdicts: set[Verdict]) -> str:
    if not verdicts:
        return ""
    if len(verdicts - {Verdict.ERROR}) > 1:
        return "mixed"
    return str(Verdict.ERROR if Verdict.ERROR in verdicts else next(iter(verdicts)))


def _gap(base: Side, patched: Side) -> str:
    """Say which repeats have no verdict, or were not run on one side only; empty if none."""
    most = max(len(base.everything), len(patched.everything))
    for name, side in zip(_SIDES, (base, patched), strict=True):
        missing = most - len(side.results)
        if missing:
            part = f" in {missing} of {most} repeats" if side.results else ""
            return f"no verdict on {name}{part}: {_why_none(side)}"
    return ""


def _why_none(side: Side) -> str:
    errors = [r.judgement for r in side.everything if r.judgement.verdict is Verdict.ERROR]
    return errors[0].reason if errors else "was not run"


def _decide(base: Side, patched: Side, known: BaseFailures) -> Decision:
    """Take the first rule that speaks of the row, in the order of docs/comparison.md."""
    for name, side in zip(_SIDES, (base, patched), strict=True):
        if not side.results:
            detail = f"no verdict on {name}: {_why_none(side)}"
            return Change.MISSING, _with_splats(detail, base, patched)
    for name, side in zip(_SIDES, (base, patched), strict=True):
        if len(side.verdicts) > 1:
            return Change.UNSTABLE, _with_splats(f"{name}: {_tally(side)}", base, patched)
    for name, side in zip(_SIDES, (base, patched), strict=True):
        if side.verdicts == {Verdict.SKIP}:
            detail = f"no verdict on {name}: {_reason(side)}"
            return Change.MISSING, _with_splats(detail, base, patched)
    if patched.verdicts == {Verdict.PASS}:
        return _now_passes(base, patched)
    return _now_fails(base, patched, known)


def _now_fails(base: Side, patched: Side, known: BaseFailures) -> Decision:
    if excuse := uncovered(base, patched, known):
        return Change.MISSING, excuse
    if base.verdicts == {Verdict.PASS}:
        return Change.REGRESSED, _reason(patched)
    return _both_failed(base, patched)


def _now_passes(base: Side, patched: Side) -> Decision:
    if lost := _lost(base, patched):
        return Change.MISSING, f"ran on base, not on patched: {lost}"
    if base.verdicts == {Verdict.PASS}:
        return Change.SAME_PASS, ""
    return Change.FIXED, _reason(base)


def _both_failed(base: Side, patched: Side) -> Decision:
    unreached = not_reached(base, patched)
    note = f"; base did not get there: {_listed(unreached)}" if unreached else ""
    if found := news(base, patched):
        return _CHANGE_OF_NEWS[found[0].kind], _said(found, _reason(patched)) + note
    if doubts := not_checked(base, patched):
        return Change.MISSING, f"fails on patched, could not be checked on base: {_listed(doubts)}"
    if lost := _lost(base, patched):
        return Change.MISSING, f"ran on base, not on patched: {lost}{note}"
    if unchecked := unchecked_on(base, patched):
        return Change.MISSING, f"could not be checked on patched: {_listed(unchecked)}{note}"
    gone = base.causes.keys() - patched.splats.keys()
    if gone:
        titles = sorted({base.causes[fingerprint] for fingerprint in gone})
        return Change.GONE_SPLAT, _listed(titles, "; ") + note
    return Change.SAME_FAIL, _reason(patched) + note


def _said(found: Sequence[News], reason: str) -> str:
    """Give the detail of a row with news: those of each kind, in the order that decides."""
    parts = []
    for kind in NewsKind:
        about = [one.about for one in found if one.kind is kind]
        if not about:
            continue
        match kind:
            case NewsKind.SPLAT | NewsKind.TAINT:
                parts.append(_listed(about, "; "))
            case NewsKind.END:
                parts.append(f"{_listed(about)}: {reason}")
            case NewsKind.RESULT | NewsKind.AMOUNT:
                parts.append(f"{kind}: {_listed(about)}")
    return "; ".join(parts)


def _lost(base: Side, patched: Side) -> str:
    """List the subtests that ran on base, and on patched not, or not in every repeat any more."""
    names = (base.ran - patched.ran) | (base.always_ran - patched.always_ran)
    return _listed(_titles(base, names))


def _titles(side: Side, names: Iterable[Name]) -> list[str]:
    shown = {**side.came, **side.unchecked}
    return [shown[name].title for name in sorted(names)]


def _listed(texts: Sequence[str], separator: str = ", ") -> str:
    more = f" (and {len(texts) - SHOWN} more)" if len(texts) > SHOWN else ""
    return separator.join(texts[:SHOWN]) + more


def _with_splats(detail: str, base: Side, patched: Side) -> str:
    titles = [one.about for one in news(base, patched) if one.kind is NewsKind.SPLAT]
    return f"{detail}; new splat: {_listed(titles, '; ')}" if titles else detail


def _reason(side: Side) -> str:
    return side.results[0].judgement.reason


def _tally(side: Side) -> str:
    counts = dict.fromkeys(Verdict, 0)
    for result in side.results:
        counts[result.judgement.verdict] += 1
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
