# SPDX-License-Identifier: GPL-2.0
"""From an Observation to a verdict. Pure, and fail closed: what is not understood is no pass."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence

from rmaplab.model import (
    Cell,
    Expectation,
    Fault,
    Judgement,
    Observation,
    Outcome,
    Subtest,
    Verdict,
)


def judge(cell: Cell, observation: Observation, expectations: Sequence[Expectation]) -> Judgement:
    """The verdict on a cell, its reason, and whether the lab file expected it."""
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
    """Whether an expectation speaks of this cell."""
    return all(
        fnmatch.fnmatchcase(name, pattern)
        for name, pattern in (
            (cell.kernel, known.kernel),
            (cell.guest.name, known.guest),
            (cell.settings.name, known.settings),
            (cell.devices, known.device),
        )
    ) and (
        fnmatch.fnmatchcase(cell.testcase.name, known.testcase)
        or cell.testcase.id == known.testcase
    )


def unmatched(
    expectations: Iterable[Expectation], cells: Iterable[Cell]
) -> tuple[Expectation, ...]:
    """The expectations that speak of no cell at all: stale, or misspelt."""
    everything = tuple(cells)
    return tuple(
        known for known in expectations if not any(applies(known, cell) for cell in everything)
    )


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
    if seen.skip:
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
    return f"{seen.outcome}: {cause.title}"


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
