# SPDX-License-Identifier: GPL-2.0
"""A's and B's results side by side. Pure.

The change of a row is decided in this order: repeats that differ (unstable), a side without a
verdict (missing), then the verdicts; two failures are told apart by how they fail, since a wrong
mapcount on base must not hide a panic that the series brought. A repeat that ended in the lab's
error is no verdict: what the others show counts if it is bad, else the row is missing.

Splats are compared as sets of fingerprints over all repeats of a row, so that one that came once in
twenty is there. Where a side has no verdict its set is not known, and nothing is new against it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rmaplab.model import (
    CellResult,
    Change,
    ComparedSplat,
    Comparison,
    ComparisonRow,
    Outcome,
    Splat,
    SplatChange,
    Verdict,
)

RowKey = tuple[str, str, str, str]


def compare(
    a: str, b: str, a_results: Iterable[CellResult], b_results: Iterable[CellResult]
) -> Comparison:
    """Compare two kernels' results row by row: testcase x settings x guest x device.

    A row that both sides skipped is no row: there is nothing to compare.
    """
    base, patched = _grouped(a_results), _grouped(b_results)
    rows = []
    tally = _SplatTally()
    for key in dict.fromkeys([*base, *patched]):
        before, after = base.get(key, []), patched.get(key, [])
        tally.add(key, before, after)
        if _verdicts(before) | _verdicts(after) == {Verdict.SKIP}:
            continue
        rows.append(_row(key, before, after))
    return Comparison(a, b, tuple(rows), tally.compared())


def _grouped(results: Iterable[CellResult]) -> dict[RowKey, list[CellResult]]:
    grouped: dict[RowKey, list[CellResult]] = defaultdict(list)
    for result in results:
        cell = result.cell
        key = (cell.testcase.name, cell.settings.name, cell.guest.name, cell.device)
        grouped[key].append(result)
    return grouped


def _verdicts(results: Sequence[CellResult]) -> set[Verdict]:
    return {result.judgement.verdict for result in results}


def _shown(results: Sequence[CellResult]) -> str:
    verdicts = _verdicts(results)
    if not verdicts:
        return ""
    if len(verdicts - {Verdict.ERROR}) > 1:
        return "mixed"
    return str(Verdict.ERROR if Verdict.ERROR in verdicts else next(iter(verdicts)))


def _row(key: RowKey, before: Sequence[CellResult], after: Sequence[CellResult]) -> ComparisonRow:
    testcase, settings, guest, device = key
    kept = _without_errors(before), _without_errors(after)
    whole = (len(kept[0]), len(kept[1])) == (len(before), len(after))
    if whole or all(kept):
        change, detail = _change(*kept)
        if whole or change.is_bad:
            shown = _shown(kept[0]), _shown(kept[1])
            return ComparisonRow(testcase, settings, guest, *shown, change, detail, device)
    side, results = ("base", before) if len(kept[0]) < len(before) else ("patched", after)
    errors = [r.judgement for r in results if r.judgement.verdict is Verdict.ERROR]
    part = f" in {len(errors)} of {len(results)} repeats" if len(errors) < len(results) else ""
    detail = _with_news(f"no verdict on {side}{part}: {errors[0].reason}", before, after)
    shown = _shown(before), _shown(after)
    return ComparisonRow(testcase, settings, guest, *shown, Change.MISSING, detail, device)


def _without_errors(results: Sequence[CellResult]) -> list[CellResult]:
    return [result for result in results if result.judgement.verdict is not Verdict.ERROR]


def _change(before: Sequence[CellResult], after: Sequence[CellResult]) -> tuple[Change, str]:
    old, new = _verdicts(before), _verdicts(after)
    for side, verdicts, results in (("base", old, before), ("patched", new, after)):
        if len(verdicts) > 1:
            return Change.UNSTABLE, _with_news(f"{side}: {_tally(results)}", before, after)
    for side, verdicts, results in (("base", old, before), ("patched", new, after)):
        if not verdicts or verdicts == {Verdict.SKIP}:
            why = results[0].judgement.reason if results else "was not run"
            return Change.MISSING, _with_news(f"no verdict on {side}: {why}", before, after)
    if old != new:
        if new == {Verdict.FAIL}:
            return Change.REGRESSED, after[0].judgement.reason
        return Change.FIXED, before[0].judgement.reason
    if new == {Verdict.PASS}:
        return _both_passed(before, after)
    return _both_failed(before, after)


def _both_passed(before: Sequence[CellResult], after: Sequence[CellResult]) -> tuple[Change, str]:
    lost = _passing(before) - _passing(after)
    if lost:
        return Change.MISSING, f"subtest no longer passes on patched: {', '.join(sorted(lost))}"
    return Change.SAME_PASS, ""


def _both_failed(before: Sequence[CellResult], after: Sequence[CellResult]) -> tuple[Change, str]:
    reason = after[0].judgement.reason
    if news := _news(before, after):
        return Change.NEW_SPLAT, "; ".join(sorted(news.values()))
    ended_early = {o for o in _outcomes(after) if o.died or o is Outcome.TIMEOUT}
    worse = ended_early - _outcomes(before)
    if worse:
        return Change.REGRESSED, f"{_outcomes_text(before)} -> {_outcomes_text(after)}: {reason}"
    # Where base died early, it never came to the subtests behind that: they are no news.
    known = _failing(before) if _outcomes(before) == {Outcome.COMPLETED} else None
    broken = _failing(after) - known if known is not None else _failing(after) & _passing(before)
    if broken:
        return Change.REGRESSED, f"fails on patched only: {', '.join(sorted(broken))}"
    lost = _passing(before) - _passing(after)
    if lost:
        return Change.MISSING, f"subtest no longer passes on patched: {', '.join(sorted(lost))}"
    gone = _causes(before).keys() - _all(after).keys()
    if gone:
        titles = sorted(_causes(before)[fingerprint] for fingerprint in gone)
        return Change.GONE_SPLAT, "; ".join(titles)
    return Change.SAME_FAIL, reason


# -- splats ----------------------------------------------------------------------------------------


def _has_verdict(results: Sequence[CellResult]) -> bool:
    return bool(_verdicts(results) - {Verdict.SKIP, Verdict.ERROR})


def _all(results: Sequence[CellResult]) -> dict[str, Splat]:
    """Every splat of every repeat, allowed or not, by fingerprint."""
    found: dict[str, Splat] = {}
    for result in results:
        for splat in result.observation.splats:
            found.setdefault(splat.fingerprint, splat)
    return found


def _causes(results: Sequence[CellResult]) -> dict[str, str]:
    """The titles of the splats that failed a cell and follow no other."""
    return {
        splat.fingerprint: splat.title
        for result in results
        for splat, allowed in result.splats
        if not allowed and not splat.following
    }


def _is_new(before: Sequence[CellResult], after: Sequence[CellResult]) -> set[str]:
    """The fingerprints that ``after`` shows and ``before`` does not, although it could have.

    What follows another splat is news as well, unless ``before`` died of that one every time: then
    it never came to what follows.
    """
    if not _has_verdict(before):
        return set()
    fresh = _all(after).keys() - _all(before).keys()
    if all(result.observation.outcome.died for result in before):
        causes = {s.fingerprint for r in after for s in r.observation.splats if not s.following}
        fresh = fresh & causes
    return set(fresh)


def _news(before: Sequence[CellResult], after: Sequence[CellResult]) -> dict[str, str]:
    """The titles of the new splats that nobody allowed, by fingerprint."""
    fresh = _is_new(before, after)
    return {
        splat.fingerprint: splat.title
        for result in after
        for splat, allowed in result.splats
        if not allowed and splat.fingerprint in fresh
    }


def _with_news(detail: str, before: Sequence[CellResult], after: Sequence[CellResult]) -> str:
    titles = sorted(_news(before, after).values())
    return f"{detail}; new splat: {'; '.join(titles)}" if titles else detail


@dataclass(slots=True)
class _Moved:
    """One fingerprint that moved one way, over the rows."""

    splat: Splat
    allowed: str
    rows: list[RowKey] = field(default_factory=list)
    seen: int = 0


class _SplatTally:
    """Collects the splats of all rows."""

    def __init__(self) -> None:
        self._moved: dict[tuple[str, SplatChange], _Moved] = {}

    def add(self, key: RowKey, before: Sequence[CellResult], after: Sequence[CellResult]) -> None:
        """Take a row."""
        fresh = _is_new(before, after)
        old, new = _all(before), _all(after)
        for fingerprint in new:
            if fingerprint in fresh:
                self._note(key, fingerprint, SplatChange.NEW, after)
            elif fingerprint in old:
                self._note(key, fingerprint, SplatChange.SAME, after)
        for fingerprint in sorted(_is_new(after, before)):
            self._note(key, fingerprint, SplatChange.GONE, before)

    def _note(
        self, key: RowKey, fingerprint: str, change: SplatChange, results: Sequence[CellResult]
    ) -> None:
        for result in results:
            for splat, allowed in result.splats:
                if splat.fingerprint != fingerprint:
                    continue
                moved = self._moved.setdefault((fingerprint, change), _Moved(splat, allowed))
                moved.allowed = moved.allowed and allowed  # allowed only if it always is
                moved.rows += [key] if key not in moved.rows[-1:] else []
                moved.seen += 1
                break

    def compared(self) -> tuple[ComparedSplat, ...]:
        """New ones first, then gone ones, then those that both have."""
        order = list(SplatChange)
        best: Mapping[str, SplatChange] = {
            fingerprint: min(
                (change for other, change in self._moved if other == fingerprint), key=order.index
            )
            for fingerprint, _ in self._moved
        }
        found = [
            ComparedSplat(
                fingerprint=fingerprint,
                kind=moved.splat.kind,
                title=moved.splat.title,
                change=change,
                rows=tuple(moved.rows),
                seen=moved.seen,
                allowed=moved.allowed,
                excerpt=moved.splat.excerpt,
            )
            for (fingerprint, change), moved in self._moved.items()
            if best[fingerprint] is change
        ]
        return tuple(sorted(found, key=lambda one: (order.index(one.change), one.title)))


def _outcomes(results: Sequence[CellResult]) -> set[Outcome]:
    return {result.observation.outcome for result in results}


def _outcomes_text(results: Sequence[CellResult]) -> str:
    return "/".join(sorted(_outcomes(results)))


def _subtests(results: Sequence[CellResult], verdict: Verdict) -> set[str]:
    return {
        subtest.name
        for result in results
        for subtest in result.observation.subtests
        if subtest.verdict is verdict
    }


def _passing(results: Sequence[CellResult]) -> set[str]:
    """The subtests that pass in every repeat."""
    return set.intersection(*(_subtests([result], Verdict.PASS) for result in results))


def _failing(results: Sequence[CellResult]) -> set[str]:
    return _subtests(results, Verdict.FAIL)


def _tally(results: Sequence[CellResult]) -> str:
    counts = dict.fromkeys(Verdict, 0)
    for result in results:
        counts[result.judgement.verdict] += 1
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
