# SPDX-License-Identifier: GPL-2.0
"""Failures of base that patched shows because a test could not do what it does on base.

A workload that finds its precondition gone skips: "inconclusive: reclaim does not swap ordinary
pages out". The lab's own checks are made all the same, on memory in another state than on base. If
they then show what base is known to show in that state, the series is not to blame for it. It is to
blame for the precondition, maybe, and nobody saw what the test asks: the row is missing.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rmaplab.compare.news import News, NewsKind, news
from rmaplab.compare.sides import Name, Shown, Side
from rmaplab.model import CellResult, Expectation, Finding, FindingKind, Outcome, Verdict

_CHECKS = frozenset({FindingKind.AUDIT, FindingKind.LEDGER})


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """A failure of base: the testcase that shows it, or the lab file's reason for expecting it."""

    name: str
    testcase: str
    reason: str

    @property
    def phrase(self) -> str:
        """Give it in words, for the detail of a row."""
        why = f" ({self.reason})" if self.reason else ""
        if not self.testcase:
            return f"base is known for {self.name}{why}"
        return f"base shows {self.name} in {self.testcase}{why}"


class BaseFailures:
    """The findings that fail on base anywhere in a run, and those that the lab file expects."""

    def __init__(
        self, base: str, results: Iterable[CellResult], expectations: Sequence[Expectation] = ()
    ) -> None:
        self._expectations = [known for known in expectations if known.demands(base)]
        self._shown: dict[tuple[FindingKind, str], KnownFailure] = {}
        for result in results:
            for one in result.observation.findings:
                if one.verdict is Verdict.FAIL and one.kind in _CHECKS:
                    where = result.cell.testcase.name
                    known = KnownFailure(one.name, where, result.judgement.known)
                    self._shown.setdefault((one.kind, one.about), known)

    def like(self, finding: Finding) -> KnownFailure | None:
        """Return a failure of base of the same kind; None if base is not known for any."""
        shown = self._shown.get((finding.kind, finding.about))
        if shown is not None:
            return shown
        for known in self._expectations:
            if any(fnmatch.fnmatchcase(finding.name, pattern) for pattern in known.subtests):
                return KnownFailure(finding.name, "", known.reason)
        return None


def uncovered(base: Side, patched: Side, known: BaseFailures) -> str:
    """Say which precondition patched lost, and what of base's failures that uncovered.

    Empty if nothing was lost, or if anything fails on patched that this does not explain.
    """
    lost = _lost(base, patched)
    fresh = news(base, patched)
    if not lost or not fresh or patched.ends != {Outcome.COMPLETED}:
        return ""
    explained = [_explained(one, lost, patched, known) for one in fresh]
    found = [one for one in explained if one is not None]
    if len(found) < len(fresh):
        return ""
    why = ", ".join(f"{one.title}: {_why_skipped(one, patched)}" for one in lost)
    seen = ", ".join(one.about for one in fresh)
    of_base = "; ".join(dict.fromkeys(one.phrase for one in found))
    return f"precondition lost on patched: {why}; seen without it: {seen}; {of_base}"


def _lost(base: Side, patched: Side) -> list[Shown]:
    """List the subtests that ran in each repeat of base, and that each of patched's skips."""
    return [
        patched.came[name]
        for name in sorted(base.always_ran - patched.ran)
        if name in patched.came and patched.came[name].verdict is Verdict.SKIP
    ]


def _why_skipped(lost: Shown, patched: Side) -> str:
    """Return the reason that the workload gave for a skip."""
    said = (
        subtest.why or subtest.detail
        for result in patched.results
        for subtest in result.observation.subtests
        if subtest.name == lost.name[0] and subtest.verdict is Verdict.SKIP
    )
    return next(filter(None, said), "skipped")


def _explained(
    one: News, lost: Sequence[Shown], patched: Side, known: BaseFailures
) -> KnownFailure | None:
    """Return the failure of base that a fact about patched is, if the lost subtests explain it."""
    shown = one.shown
    if one.kind not in {NewsKind.RESULT, NewsKind.AMOUNT} or shown is None:
        return None
    finding = shown.finding
    if finding is None or finding.kind not in _CHECKS:
        return None
    skipped = {_mark(one.name) for one in lost}
    if finding.mark in {_mark(name) for name in patched.ran} - skipped:
        return None  # an audit of a subtest that did what it does on base
    return known.like(finding)


def _mark(name: Name) -> str:
    """Return the mark that the audit of a subtest has."""
    return name[0].rpartition("/")[2]
