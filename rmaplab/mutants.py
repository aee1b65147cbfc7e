# SPDX-License-Identifier: GPL-2.0
"""Seeded bugs: what tells a mutant from its base, by which kind of evidence, and the verdict. Pure.

A row tells if base passes it, or fails it as is known, and the mutant fails it or fails it worse
(compare.py). One such row may be chance, so a mutant counts as caught only if a row that told does
so again when it is run again.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rmaplab.compare import compare
from rmaplab.model import (
    LAB_SUBTEST,
    CellResult,
    Change,
    Outcome,
    Patch,
    Verdict,
)

RowKey = tuple[str, str, str, str]
"""Testcase, settings, guest, device."""
Rows = Mapping[RowKey, Sequence[CellResult]]


class MutantBase(enum.StrEnum):
    """The kernel that a mutant is a patch to: the lab's, or the lab's with the bundled series."""

    BASE = "base"
    PATCHED = "patched"


class MutantVerdict(enum.StrEnum):
    """What became of a mutant. ERROR: it was built, and whether it is caught is not known."""

    CAUGHT = "caught"
    MISSED = "missed"
    EQUIVALENT = "equivalent"
    BUILD_BROKEN = "build-broken"
    ERROR = "error"


class Evidence(enum.StrEnum):
    """By what a cell tells."""

    ORACLE = "oracle"
    DATA = "data"
    LEDGER = "ledger"
    AUDIT = "audit"
    EXIT = "exit"
    SPLAT = "splat"
    CRASH = "crash"
    HANG = "hang"


COMPLAINTS = frozenset({Evidence.SPLAT, Evidence.CRASH})
"""What a kernel without its debugging options may not show."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A seeded bug: a patch with a note of what it breaks.

    ``testcases`` are those that should tell. ``equivalent`` is why nothing can, or empty.
    """

    name: str
    path: Path
    patch: Patch
    base: MutantBase
    testcases: tuple[str, ...]
    equivalent: str = ""

    @property
    def title(self) -> str:
        """``name`` or ``name (patched)``."""
        return self.name if self.base is MutantBase.BASE else f"{self.name} ({self.base})"


@dataclass(frozen=True, slots=True)
class Detection:
    """A row that told: by what, in what words, and how often when it was run again.

    ``again`` is (how often it told, of how many repeats), or None if it was not run again.
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
        """Whether it told again."""
        return self.again is not None and self.again[0] > 0


@dataclass(frozen=True, slots=True)
class MutantReport:
    """What the cells of a mutant showed beside those of its base.

    ``rows`` is how many could be compared. ``problems`` are rows of the named testcases that could
    not, with the reason: while there are any, a mutant is not missed. ``doubts`` are other such
    rows.
    """

    catches: tuple[Detection, ...]
    rows: int
    problems: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def caught_by(self) -> tuple[Detection, ...]:
        """The rows that told again."""
        return tuple(catch for catch in self.catches if catch.confirmed)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The kinds of evidence of the rows that told again, each once."""
        found = {kind for catch in self.caught_by for kind in catch.evidence}
        return tuple(kind for kind in Evidence if kind in found)

    @property
    def by(self) -> tuple[str, ...]:
        """The testcases that told, those that told again first, each once."""
        ordered = sorted(self.catches, key=lambda catch: not catch.confirmed)
        return tuple(dict.fromkeys(catch.testcase for catch in ordered))

    @property
    def only_complaints(self) -> bool:
        """Whether nothing but what the kernel said of itself told, in any row."""
        return bool(self.caught_by) and all(
            set(catch.evidence) <= COMPLAINTS for catch in self.catches
        )


NOTHING_SEEN = MutantReport((), 0)


@dataclass(frozen=True, slots=True)
class MutantResult:
    """A mutant with its verdict.

    ``detail`` says why, where the verdict alone does not. ``without_debug`` is the look at a kernel
    without the debugging options, for one that only complaints told, or None.
    """

    mutant: Mutant
    verdict: MutantVerdict
    look: MutantReport = NOTHING_SEEN
    detail: str = ""
    build_s: float = 0.0
    run_s: float = 0.0
    without_debug: MutantReport | None = None
    labs: tuple[str, ...] = field(default=())

    @property
    def contradicts(self) -> bool:
        """Whether it was declared equivalent and is not."""
        return bool(self.mutant.equivalent) and self.verdict is MutantVerdict.CAUGHT

    @property
    def silent(self) -> tuple[str, ...]:
        """The testcases that should have told, and did not."""
        if self.verdict is not MutantVerdict.CAUGHT:
            return ()
        return tuple(name for name in self.mutant.testcases if name not in self.look.by)


def grouped(results: Iterable[CellResult]) -> dict[RowKey, list[CellResult]]:
    """Results by row."""
    rows: dict[RowKey, list[CellResult]] = {}
    for result in results:
        cell = result.cell
        key = (cell.testcase.name, cell.settings.name, cell.guest.name, cell.device)
        rows.setdefault(key, []).append(result)
    return rows


def unclean(results: Sequence[CellResult]) -> str:
    """Why a row of base cannot be compared with, or an empty string.

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


def look(named: Sequence[str], before: Rows, after: Rows) -> MutantReport:
    """Compare a mutant's rows with those of its base, which has all of them."""
    catches: list[Detection] = []
    problems: list[str] = []
    doubts: list[str] = []
    rows = 0
    for key, seen in after.items():
        base = before.get(key, ())
        if why := unclean(base) or _no_verdict(seen):
            (problems if key[0] in named else doubts).append(f"{_where(key)}: {why}")
            continue
        rows += 1
        if (catch := tells(key, base, seen)) is not None:
            catches.append(catch)
    return MutantReport(tuple(catches), rows, tuple(problems), tuple(doubts))


def tells(key: RowKey, base: Sequence[CellResult], seen: Sequence[CellResult]) -> Detection | None:
    """The catch of a row that base has no doubt about, or None if the mutant does as base does."""
    failed = [result for result in seen if result.judgement.verdict is Verdict.FAIL]
    if not failed:
        return None
    comparison = compare("base", "mutant", base, failed)
    (row,) = comparison.rows
    if row.change not in {Change.REGRESSED, Change.NEW_SPLAT}:
        return None
    kinds = evidence(base, failed)
    return Detection(*key, kinds, row.detail)


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

_CRASHED = {Outcome.PANIC, Outcome.BOOT_FAILED, Outcome.LOST}
_HUNG = {Outcome.HANG, Outcome.TIMEOUT}
# What page_intact() of testcases/lib prints of a page whose content is not what was written.
_DATA = re.compile(r"^page of seed -?\d+, word \d+: ", re.M)


def evidence(base: Sequence[CellResult], failed: Sequence[CellResult]) -> tuple[Evidence, ...]:
    """By what the failed cells of a row tell, beyond what base shows too."""
    known = {s.name for r in base for s in r.observation.subtests if s.verdict is Verdict.FAIL}
    splats = {splat.fingerprint for r in base for splat in r.observation.splats}
    outcomes = {result.observation.outcome for result in base}
    found: set[Evidence] = set()
    for result in failed:
        seen = result.observation
        if seen.outcome not in outcomes:
            found |= {Evidence.CRASH} if seen.outcome in _CRASHED else set()
            found |= {Evidence.HANG} if seen.outcome in _HUNG else set()
            # The kernel may say it with a taint flag alone.
            found |= {Evidence.SPLAT} if seen.outcome is Outcome.SPLAT else set()
        if any(s.fingerprint not in splats and not allowed for s, allowed in result.splats):
            found.add(Evidence.SPLAT)
        found |= {
            _of_subtest(subtest.name, subtest.detail)
            for subtest in seen.subtests
            if subtest.verdict is Verdict.FAIL and subtest.name not in known
        }
    return tuple(kind for kind in Evidence if kind in found)


def _of_subtest(name: str, detail: str) -> Evidence:
    if name.startswith(f"{LAB_SUBTEST}audit"):
        return Evidence.AUDIT
    if name.startswith(f"{LAB_SUBTEST}ledger"):
        return Evidence.LEDGER
    if name.startswith(LAB_SUBTEST):
        return Evidence.EXIT
    return Evidence.DATA if _DATA.search(detail) else Evidence.ORACLE


# -- the verdict ---------------------------------------------------------------------------------


def candidates(
    seen: MutantReport, named: Sequence[str], seconds: Mapping[RowKey, float]
) -> list[list[Detection]]:
    """The rows that told, in the order in which they are to be run again until one tells again.

    First the quickest one of each named testcase, together, then the others one by one.
    """
    quick = sorted(seen.catches, key=lambda catch: seconds.get(catch.key, 0.0))
    first = {catch.testcase: catch for catch in reversed(quick) if catch.testcase in named}
    others = [catch for catch in quick if catch not in first.values()]
    others.sort(key=lambda catch: catch.testcase not in named)
    return [*([list(first.values())] if first else []), *([catch] for catch in others)]


def verdict(mutant: Mutant, seen: MutantReport) -> tuple[MutantVerdict, str]:
    """The verdict on a mutant whose rows that told were run again, and why."""
    if seen.caught_by:
        told = mutant.equivalent
        return MutantVerdict.CAUGHT, f"is declared equivalent: {told}" if told else ""
    if mutant.equivalent:
        return MutantVerdict.EQUIVALENT, mutant.equivalent
    if seen.problems:
        more = f" (and {len(seen.problems) - 1} more)" if len(seen.problems) > 1 else ""
        return MutantVerdict.ERROR, seen.problems[0] + more
    if not seen.rows:
        return MutantVerdict.ERROR, "no row of it could be compared"
    once = ", ".join(dict.fromkeys(catch.testcase for catch in seen.catches))
    return MutantVerdict.MISSED, f"failed once and never again: {once}" if once else ""
