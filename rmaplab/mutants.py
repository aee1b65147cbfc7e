# SPDX-License-Identifier: GPL-2.0
"""Judge seeded bugs: which rows detect a mutant, by which kind of evidence. Pure.

A row detects a mutant if base passes it, or fails it as is known, and the mutant is worse by the
comparison's rules (docs/comparison.md). One such row may be chance, so a mutant counts as caught
only if a row that detected it does so again when it is run again.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rmaplab.compare import News, NewsKind, Side, compare, grouped, news
from rmaplab.model import (
    CellResult,
    Change,
    FindingKind,
    Outcome,
    Patch,
    RowKey,
    Verdict,
    version_range,
)

__all__ = ["RowKey", "grouped"]

Rows = Mapping[RowKey, Sequence[CellResult]]


class MutantBase(enum.StrEnum):
    """The kernel that a mutant is a patch to: the lab's, or the lab's with the bundled series."""

    BASE = "base"
    PATCHED = "patched"


class MutantVerdict(enum.StrEnum):
    """Name the verdict on a mutant.

    DOES_NOT_APPLY: it is a patch to another tree. ERROR: it was built, and nobody knows if the lab
    catches it.
    """

    CAUGHT = "caught"
    MISSED = "missed"
    EQUIVALENT = "equivalent"
    DOES_NOT_APPLY = "does-not-apply"
    BUILD_BROKEN = "build-broken"
    ERROR = "error"


class Evidence(enum.StrEnum):
    """Name a kind of evidence that a cell has against a mutant."""

    ORACLE = "oracle"
    DATA = "data"
    LEDGER = "ledger"
    AUDIT = "audit"
    EXIT = "exit"
    SPLAT = "splat"
    CRASH = "crash"
    HANG = "hang"


COMPLAINTS = frozenset({Evidence.SPLAT, Evidence.CRASH})
"""Evidence that a kernel without its debugging options may not show."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A seeded bug: a patch with a note of what it breaks.

    ``testcases`` are those that should detect it. ``equivalent`` is why nothing can, or empty.
    ``tree`` is the range of kernels that the patch is to; other ones have a variant of their own.
    """

    name: str
    path: Path
    patch: Patch
    base: MutantBase
    testcases: tuple[str, ...]
    equivalent: str = ""
    tree: str = ""

    @property
    def title(self) -> str:
        """``name``, ``name (patched)`` or ``name (>=7.2)``: no two have the same one."""
        words = [] if self.base is MutantBase.BASE else [str(self.base)]
        words += [self.tree] if self.tree else []
        return f"{self.name} ({', '.join(words)})" if words else self.name

    def is_due_on(self, version: str) -> bool:
        """Say whether the patch is to a kernel of this version."""
        return version in version_range(self.tree)


@dataclass(frozen=True, slots=True)
class Detection:
    """One row that detected a mutant: by which evidence, and how often when it was run again.

    ``again`` is (how often it detected it, of how many repeats), or None if it was not run again.
    """

    testcase: str
    settings: str
    guest: str
    device: str
    evidence: tuple[Evidence, ...]
    reason: str
    again: tuple[int, int] | None = None

    @property
    def key(self) -> RowKey:
        """The row."""
        return self.testcase, self.settings, self.guest, self.device

    @property
    def confirmed(self) -> bool:
        """Say whether the row detected the mutant again."""
        return self.again is not None and self.again[0] > 0


@dataclass(frozen=True, slots=True)
class MutantReport:
    """The cells of a mutant beside those of its base.

    ``rows`` is how many could be compared. ``problems`` are rows of the named testcases that could
    not, with the reason: while there are any, a mutant is not missed. ``doubts`` are other such
    rows.
    """

    detections: tuple[Detection, ...]
    rows: int
    problems: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def caught_by(self) -> tuple[Detection, ...]:
        """Give the rows that detected the mutant again."""
        return tuple(one for one in self.detections if one.confirmed)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Give the kinds of evidence of the rows that detected the mutant again, each once."""
        found = {kind for one in self.caught_by for kind in one.evidence}
        return tuple(kind for kind in Evidence if kind in found)

    @property
    def by(self) -> tuple[str, ...]:
        """Give the testcases that detected the mutant, those that did so again first, each once."""
        ordered = sorted(self.detections, key=lambda one: not one.confirmed)
        return tuple(dict.fromkeys(one.testcase for one in ordered))

    @property
    def only_complaints(self) -> bool:
        """Say whether the kernel's own complaints are the only evidence, in every row."""
        return bool(self.caught_by) and all(
            set(one.evidence) <= COMPLAINTS for one in self.detections
        )


NOTHING_COMPARED = MutantReport((), 0)


@dataclass(frozen=True, slots=True)
class MutantResult:
    """A mutant with its verdict.

    ``detail`` says why, where the verdict alone does not. ``without_debug`` is the report of
    a kernel without the debugging options, for one that only complaints detected, or None.
    """

    mutant: Mutant
    verdict: MutantVerdict
    report: MutantReport = NOTHING_COMPARED
    detail: str = ""
    build_s: float = 0.0
    run_s: float = 0.0
    without_debug: MutantReport | None = None
    labs: tuple[str, ...] = field(default=())

    @property
    def contradicts(self) -> bool:
        """Say whether it was declared equivalent and is not."""
        return bool(self.mutant.equivalent) and self.verdict is MutantVerdict.CAUGHT

    @property
    def silent(self) -> tuple[str, ...]:
        """Give the testcases that should have detected the mutant, and did not."""
        if self.verdict is not MutantVerdict.CAUGHT:
            return ()
        return tuple(name for name in self.mutant.testcases if name not in self.report.by)


def unclean(results: Sequence[CellResult]) -> str:
    """Say why a row of base is nothing to compare with; empty if it is.

    It is clean if every repeat passed, or failed as the lab file knows.
    """
    for result in results:
        judged = result.judgement
        if judged.verdict is Verdict.SKIP:
            return f"base skips it: {judged.reason}"
        if not judged.as_expected:
            return f"base is not clean: {judged.verdict}: {judged.reason}"
    if not results:
        return "base has no result"
    verdicts = {result.judgement.verdict for result in results}
    return "" if len(verdicts) == 1 else "base is not clean: its repeats differ"


def examine(named: Sequence[str], before: Rows, after: Rows) -> MutantReport:
    """Compare a mutant's rows with those of its base, which has all of them."""
    detections: list[Detection] = []
    problems: list[str] = []
    doubts: list[str] = []
    rows = 0
    for key, seen in after.items():
        base = before.get(key, ())
        if why := unclean(base) or _no_verdict(seen):
            (problems if key[0] in named else doubts).append(f"{_where(key)}: {why}")
            continue
        rows += 1
        if (detection := detect(key, base, seen)) is not None:
            detections.append(detection)
    return MutantReport(tuple(detections), rows, tuple(problems), tuple(doubts))


def detect(key: RowKey, base: Sequence[CellResult], seen: Sequence[CellResult]) -> Detection | None:
    """Give the detection of a row of which base is clean; None if the mutant is no worse."""
    failed = [result for result in seen if result.judgement.verdict is Verdict.FAIL]
    if not failed:
        return None
    (row,) = compare("base", "mutant", base, failed).rows
    if row.change not in {Change.REGRESSED, Change.NEW_SPLAT}:
        return None
    return Detection(*key, evidence(news(Side.of(base), Side.of(failed))), row.detail)


def _no_verdict(seen: Sequence[CellResult]) -> str:
    verdicts = {result.judgement.verdict for result in seen}
    if verdicts & {Verdict.PASS, Verdict.FAIL}:
        return ""
    judged = seen[0].judgement
    return f"no verdict on the mutant: {judged.verdict}: {judged.reason}"


def _where(key: RowKey) -> str:
    testcase, settings, guest, device = key
    return " ".join(filter(None, (testcase, guest, device, settings)))


# -- kinds of evidence ---------------------------------------------------------------------------

_HUNG = {Outcome.HANG, Outcome.TIMEOUT}
# page_intact() of testcases/lib prints this of a page whose content is not what was written.
_DATA = re.compile(r"^page of seed -?\d+, word \d+: ", re.M)


def evidence(found: Sequence[News]) -> tuple[Evidence, ...]:
    """Give the kinds of evidence that the news of a row are, each once."""
    kinds = {_kind(one) for one in found}
    return tuple(kind for kind in Evidence if kind in kinds)


def _kind(one: News) -> Evidence:
    match one.kind:
        case NewsKind.SPLAT | NewsKind.TAINT:
            return Evidence.SPLAT
        case NewsKind.END:
            return Evidence.HANG if one.outcome in _HUNG else Evidence.CRASH
    shown = one.shown
    if shown is None or shown.finding is None:
        return Evidence.DATA if shown is not None and _DATA.search(shown.text) else Evidence.ORACLE
    kinds = {FindingKind.AUDIT: Evidence.AUDIT, FindingKind.LEDGER: Evidence.LEDGER}
    return kinds.get(shown.finding.kind, Evidence.EXIT)


# -- the verdict ---------------------------------------------------------------------------------


def candidates(
    seen: MutantReport, named: Sequence[str], seconds: Mapping[RowKey, float]
) -> list[list[Detection]]:
    """Order the rows that detected a mutant, to be run again until one detects it again.

    First the quickest one of each named testcase, together, then the others one by one.
    """
    quick = sorted(seen.detections, key=lambda one: seconds.get(one.key, 0.0))
    first = {one.testcase: one for one in reversed(quick) if one.testcase in named}
    others = [one for one in quick if one not in first.values()]
    others.sort(key=lambda one: one.testcase not in named)
    return [*([list(first.values())] if first else []), *([one] for one in others)]


def verdict(mutant: Mutant, seen: MutantReport) -> tuple[MutantVerdict, str]:
    """Give the verdict on a mutant whose detections were run again, and why."""
    if seen.caught_by:
        claim = mutant.equivalent
        return MutantVerdict.CAUGHT, f"is declared equivalent: {claim}" if claim else ""
    if mutant.equivalent:
        return MutantVerdict.EQUIVALENT, mutant.equivalent
    if seen.problems:
        more = f" (and {len(seen.problems) - 1} more)" if len(seen.problems) > 1 else ""
        return MutantVerdict.ERROR, seen.problems[0] + more
    if not seen.rows:
        return MutantVerdict.ERROR, "no row of it could be compared"
    once = ", ".join(dict.fromkeys(one.testcase for one in seen.detections))
    return MutantVerdict.MISSED, f"failed once and never again: {once}" if once else ""
