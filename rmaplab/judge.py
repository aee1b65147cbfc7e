# SPDX-License-Identifier: GPL-2.0
"""Judge an Observation. Pure, and fail closed: what is not understood is no pass."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rmaplab.model import (
    Allowance,
    Allowlist,
    Cell,
    CellResult,
    Expectation,
    Fault,
    Finding,
    FindingKind,
    JudgedSplat,
    Judgement,
    Observation,
    Outcome,
    Severity,
    Splat,
    Subtest,
    Verdict,
    selects,
    version_range,
)

_NOBODY = Allowlist()


def judge(
    cell: Cell,
    observation: Observation,
    expectations: Sequence[Expectation],
    allowlist: Allowlist = _NOBODY,
) -> Judgement:
    """Return the verdict on a cell, its reason, and whether the lab file expected it."""
    splats = tuple(
        JudgedSplat(splat, _why_allowed(splat, cell, allowlist)) for splat in observation.splats
    )
    ended = _ended(observation, _causes(splats))
    judgement = _judge(cell, observation, ended, expectations)
    return replace(judgement, outcome=ended.outcome, splats=splats)


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a cell ended, allowed splats left out of account, and the splats that are left."""

    outcome: Outcome
    fault: Fault
    detail: str
    splats: tuple[Splat, ...]


def _ended(seen: Observation, splats: tuple[Splat, ...]) -> _Ended:
    """Derive the outcome: how the guest ended, then the splats, then a taint without a splat."""
    if seen.ended is not Outcome.COMPLETED:
        return _Ended(seen.ended, seen.fault, seen.detail, splats)
    if splats:
        return _Ended(Outcome.SPLAT, Fault.KERNEL, splats[0].title, splats)
    if seen.tainted:
        why = f"the kernel tainted itself ({seen.tainted}), and the console does not say why"
        return _Ended(Outcome.SPLAT, Fault.KERNEL, why, ())
    return _Ended(Outcome.COMPLETED, seen.fault, seen.detail, ())


def _causes(splats: Sequence[JudgedSplat]) -> tuple[Splat, ...]:
    """Return the splats that nobody allowed; the first one left is the cause of the others."""
    left = [splat for splat, allowed in splats if not allowed]
    if left and len(left) < len(splats) and all(splat.following for splat in left):
        left[0] = replace(left[0], following=False)
    return tuple(left)


def _judge(
    cell: Cell, seen: Observation, ended: _Ended, expectations: Sequence[Expectation]
) -> Judgement:
    verdict, reason = _verdict(seen, ended)
    matching = [known for known in expectations if applies(known, cell)]
    if not matching or verdict in {Verdict.ERROR, Verdict.SKIP}:
        # A skip and an error say nothing about a known failure, so neither confirms nor refutes.
        fine = verdict in {Verdict.PASS, Verdict.SKIP}
        return Judgement(verdict, reason, Verdict.PASS, fine)
    for known in matching:
        if _as_known(known, seen, ended, verdict):
            return Judgement(verdict, reason, known.verdict, True, known.reason)
    demanded = [known for known in matching if known.demands(cell.kernel)]
    if verdict is Verdict.PASS and not demanded:
        # Known of the kernel that this one is built on: its series may have mended it.
        return Judgement(verdict, reason, Verdict.PASS, True)
    known = (demanded or matching)[0]
    return Judgement(verdict, _surprise(known, reason), known.verdict, False)


def applies(known: Expectation, cell: Cell) -> bool:
    """Return whether an expectation speaks of this cell."""
    return cell.kernel not in known.outside and selects(known.patterns, cell)


def due(
    expectations: Iterable[Expectation], versions: Mapping[str, str]
) -> tuple[Expectation, ...]:
    """Return the expectations with the kernels that are outside their range.

    ``versions`` are those of the run's kernels, by name.
    """
    return tuple(
        replace(known, outside=_outside(known.tree, versions)) if known.tree else known
        for known in expectations
    )


def _outside(tree: str, versions: Mapping[str, str]) -> tuple[str, ...]:
    wanted = version_range(tree)
    return tuple(name for name, version in versions.items() if version not in wanted)


def unmatched(
    expectations: Iterable[Expectation], cells: Iterable[Cell]
) -> tuple[Expectation, ...]:
    """Return the expectations that speak of no cell at all: stale, or misspelt.

    One that is for other kernels than the run's is neither.
    """
    everything = tuple(cells)
    return tuple(
        known
        for known in expectations
        if not any(selects(known.patterns, cell) for cell in everything)
    )


# -- splats that fail no cell --------------------------------------------------------------------


def is_expired(entry: Allowance, day: str) -> bool:
    """Return whether an entry no longer holds on a day; both are ISO 8601, which sorts by time."""
    return bool(entry.until) and not (day and day <= entry.until)


def speaks_of(entry: Allowance, splat: Splat) -> bool:
    """Return whether an entry is about a splat, expired or not.

    What killed the kernel is never allowed, nor what was cut: nobody knows what that was.
    """
    if splat.fatal or splat.corrupted or (entry.kind and entry.kind != splat.kind):
        return False
    return re.search(entry.pattern, splat.title) is not None


def unused(allowlist: Allowlist, results: Iterable[CellResult]) -> tuple[Allowance, ...]:
    """Return the entries that speak of no splat that was seen."""
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


# -- known failures ------------------------------------------------------------------------------


def _as_known(known: Expectation, seen: Observation, ended: _Ended, verdict: Verdict) -> bool:
    if (verdict, ended.outcome) != (known.verdict, known.outcome):
        return False
    if not _results_as_known(known, seen, ended):
        return False
    causes = [splat.title for splat in ended.splats if not splat.following]
    if not known.splat:
        return not causes
    return bool(causes) and all(re.search(known.splat, title) for title in causes)


def _results_as_known(known: Expectation, seen: Observation, ended: _Ended) -> bool:
    """Return whether nothing else is wrong: no result missing, no finding, none unnamed."""
    results: tuple[Subtest | Finding, ...] = (*seen.subtests, *seen.findings)
    if any(one.verdict is Verdict.ERROR for one in results) and not ended.outcome.died:
        return False  # a guest that died could not print the rest of its results
    unnamed = [one for one in results if one.verdict is Verdict.FAIL and not _names(known, one)]
    return not any(known.subtests or isinstance(one, Finding) for one in unnamed)


def _names(known: Expectation, result: Subtest | Finding) -> bool:
    """Return whether an expectation names a result; a finding by its name or its title."""
    names = {result.name, result.title if isinstance(result, Finding) else result.name}
    return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in known.subtests)


def _surprise(known: Expectation, reason: str) -> str:
    line = f"(expect, line {known.line}: {known.reason})"
    if not reason:
        return (
            f"was expected to {known.verdict}, but passed: the expectation no longer holds {line}"
        )
    return f"{reason}; fails in another way than expected {line}"


def _verdict(seen: Observation, ended: _Ended) -> tuple[Verdict, str]:
    if seen.skip and ended.outcome is Outcome.COMPLETED:
        return Verdict.SKIP, seen.skip
    if ended.fault in {Fault.LAB, Fault.USER}:
        return Verdict.ERROR, ended.detail
    if ended.outcome is not Outcome.COMPLETED:
        return (
            Verdict.ERROR if ended.outcome is Outcome.INFRA else Verdict.FAIL,
            _with_cause(ended),
        )
    return _of_results(seen)


def _with_cause(ended: _Ended) -> str:
    cause = next((splat for splat in ended.splats if not splat.following), None)
    if cause is None:
        return f"{ended.outcome}: {ended.detail}" if ended.detail else str(ended.outcome)
    return f"{ended.outcome}: {cause.title}" + (" (at boot)" if cause.at_boot else "")


def _of_results(seen: Observation) -> tuple[Verdict, str]:
    results: tuple[Subtest | Finding, ...] = (*seen.subtests, *seen.findings)
    failed = [one for one in results if one.verdict is Verdict.FAIL]
    broken = [one for one in results if one.verdict is Verdict.ERROR]
    if failed:
        return Verdict.FAIL, _reason(failed)
    if broken:
        return Verdict.ERROR, _reason(broken)
    if not seen.subtests:
        return Verdict.ERROR, "the workload reported no test result"
    if all(one.verdict is Verdict.SKIP for one in seen.subtests):
        return Verdict.SKIP, _reason(seen.subtests)
    return Verdict.PASS, ""


def _reason(results: Sequence[Subtest | Finding]) -> str:
    """Name the first result and say why it ended so."""
    first = results[0]
    if isinstance(first, Finding):
        # An account of the ledger is in the text.
        name = first.title if first.kind is FindingKind.LEDGER else first.name
        why = first.text
    else:
        name, why = first.name, first.why
    text = f"{name}: {why}" if why else name
    return text if len(results) == 1 else f"{text} (and {len(results) - 1} more)"
