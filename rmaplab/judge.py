# SPDX-License-Identifier: GPL-2.0
"""From an Observation to a verdict. Pure, and fail closed: what is not understood is no pass."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from rmaplab.model import (
    Allowance,
    Allowlist,
    Cell,
    CellResult,
    Expectation,
    Fault,
    Judgement,
    Observation,
    Outcome,
    Severity,
    Splat,
    Subtest,
    Verdict,
    selects,
)

_NOBODY = Allowlist()


def judge(
    cell: Cell,
    observation: Observation,
    expectations: Sequence[Expectation],
    allowlist: Allowlist = _NOBODY,
) -> Judgement:
    """The verdict on a cell, its reason, and whether the lab file expected it."""
    allowed = tuple(_why_allowed(splat, cell, allowlist) for splat in observation.splats)
    seen = _without_allowed(observation, allowed)
    judgement = _judge(cell, seen, expectations)
    return replace(judgement, allowed=allowed)


def _judge(cell: Cell, observation: Observation, expectations: Sequence[Expectation]) -> Judgement:
    verdict, reason = _verdict(observation)
    matching = [known for known in expectations if applies(known, cell)]
    if not matching or verdict in {Verdict.ERROR, Verdict.SKIP}:
        # A skip and an error say nothing about a known failure, so neither confirms nor refutes.
        fine = verdict in {Verdict.PASS, Verdict.SKIP}
        return Judgement(verdict, reason, Verdict.PASS, fine)
    for known in matching:
        if _as_known(known, observation, verdict):
            return Judgement(verdict, reason, known.verdict, True, known.reason)
    known = matching[0]
    return Judgement(verdict, _surprise(known, reason), known.verdict, False)


def applies(known: Expectation, cell: Cell) -> bool:
    """Return whether an expectation speaks of this cell."""
    return selects(known.patterns, cell)


def unmatched(
    expectations: Iterable[Expectation], cells: Iterable[Cell]
) -> tuple[Expectation, ...]:
    """The expectations that speak of no cell at all: stale, or misspelt."""
    everything = tuple(cells)
    return tuple(
        known for known in expectations if not any(applies(known, cell) for cell in everything)
    )


# -- splats that fail no cell --------------------------------------------------------------------


def is_expired(entry: Allowance, day: str) -> bool:
    """Whether an entry no longer holds on a day; both are ISO 8601, which sorts by time."""
    return bool(entry.until) and not (day and day <= entry.until)


def speaks_of(entry: Allowance, splat: Splat) -> bool:
    """Whether an entry is about a splat, expired or not.

    What killed the kernel is never allowed, nor what was cut: nobody knows what that was.
    """
    if splat.fatal or splat.corrupted or (entry.kind and entry.kind != splat.kind):
        return False
    return re.search(entry.pattern, splat.title) is not None


def unused(allowlist: Allowlist, results: Iterable[CellResult]) -> tuple[Allowance, ...]:
    """The entries that speak of no splat that was seen."""
    splats = {splat for result in results for splat in result.observation.splats}
    return tuple(
        entry for entry in allowlist.entries if not any(speaks_of(entry, splat) for splat in splats)
    )


def _why_allowed(splat: Splat, cell: Cell, allowlist: Allowlist) -> str:
    for entry in allowlist.entries:
        if speaks_of(entry, splat) and not is_expired(entry, allowlist.day):
            return entry.reason
    name = cell.testcase.name
    owned = splat.owner == name or splat.owner.startswith(f"{name}/")
    if splat.severity is Severity.NOTICE and splat.kind in cell.testcase.notices and owned:
        return "the testcase brings it about"
    return ""


def _without_allowed(seen: Observation, allowed: Sequence[str]) -> Observation:
    """The observation without the splats that are allowed; the first one left is the cause."""
    left = [splat for splat, why in zip(seen.splats, allowed, strict=True) if not why]
    if len(left) == len(seen.splats):
        return seen
    if left and all(splat.following for splat in left):
        left[0] = replace(left[0], following=False)
    quiet = seen.outcome is Outcome.SPLAT and not left and seen.beneath is Outcome.COMPLETED
    outcome, fault = (Outcome.COMPLETED, Fault.NONE) if quiet else (seen.outcome, seen.fault)
    return replace(seen, outcome=outcome, fault=fault, splats=tuple(left))


# -- known failures ------------------------------------------------------------------------------


def _as_known(known: Expectation, observation: Observation, verdict: Verdict) -> bool:
    if (verdict, observation.outcome) != (known.verdict, known.outcome):
        return False
    if not _subtests_as_known(known, observation):
        return False
    causes = [splat.title for splat in observation.splats if not splat.following]
    if not known.splat:
        return not causes
    return bool(causes) and all(re.search(known.splat, title) for title in causes)


def _subtests_as_known(known: Expectation, observation: Observation) -> bool:
    """Whether nothing else is wrong: no result missing, none of the lab's own, none unnamed."""
    for subtest in observation.subtests:
        if subtest.verdict is Verdict.ERROR and not observation.outcome.died:
            return False  # a guest that died could not print the rest of its results
        if subtest.verdict is not Verdict.FAIL:
            continue
        named = any(fnmatch.fnmatchcase(subtest.name, pattern) for pattern in known.subtests)
        if not named and (known.subtests or subtest.is_labs):
            return False
    return True


def _surprise(known: Expectation, reason: str) -> str:
    line = f"(expect, line {known.line}: {known.reason})"
    if not reason:
        return (
            f"was expected to {known.verdict}, but passed: the expectation no longer holds {line}"
        )
    return f"{reason}; fails in another way than expected {line}"


def _verdict(seen: Observation) -> tuple[Verdict, str]:
    if seen.skip and seen.outcome is Outcome.COMPLETED:
        return Verdict.SKIP, seen.skip
    if seen.fault in {Fault.LAB, Fault.USER}:
        return Verdict.ERROR, seen.detail
    if seen.outcome is not Outcome.COMPLETED:
        return (
            Verdict.ERROR if seen.outcome is Outcome.INFRA else Verdict.FAIL,
            _with_cause(seen),
        )
    return _of_subtests(seen.subtests)


def _with_cause(seen: Observation) -> str:
    cause = next((splat for splat in seen.splats if not splat.following), None)
    if cause is None:
        return f"{seen.outcome}: {seen.detail}" if seen.detail else str(seen.outcome)
    return f"{seen.outcome}: {cause.title}" + (" (at boot)" if cause.at_boot else "")


def _of_subtests(subtests: Sequence[Subtest]) -> tuple[Verdict, str]:
    if not subtests:
        return Verdict.ERROR, "the workload reported no test result"
    failed = [subtest for subtest in subtests if subtest.verdict is Verdict.FAIL]
    broken = [subtest for subtest in subtests if subtest.verdict is Verdict.ERROR]
    if failed:
        return Verdict.FAIL, _name(failed)
    if broken:
        return Verdict.ERROR, _name(broken)
    if all(subtest.verdict is Verdict.SKIP for subtest in subtests):
        return Verdict.SKIP, _name(subtests)
    return Verdict.PASS, ""


def _name(subtests: Sequence[Subtest]) -> str:
    """The first subtest with the line that says why: the workloads' library marks it FAILED."""
    first = subtests[0]
    said = [line.strip() for line in first.detail.splitlines() if line.strip()]
    marked = [line.removeprefix("FAILED:").strip() for line in said if line.startswith("FAILED:")]
    why = marked[0] if marked else said[-1] if said else ""
    text = f"{first.name}: {why}" if why else first.name
    return text if len(subtests) == 1 else f"{text} (and {len(subtests) - 1} more)"
