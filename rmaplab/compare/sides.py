# SPDX-License-Identifier: GPL-2.0
"""The facts that the repeats of a row show on one kernel, and how far its cells came.

A comparison asks of a failure on B whether A could have shown it. A cell that ended before a check
says nothing about that check.
"""

from __future__ import annotations

import enum
import functools
import operator
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rmaplab.model import (
    CellResult,
    Finding,
    FindingKind,
    Observation,
    Outcome,
    Splat,
    Verdict,
)

Name = tuple[str, int]
"""Name of a result, and its number among the results of that name in a cell, from 1."""

END_MARK = "end"
"""Mark of the audit that the agent makes when the workload's processes are gone."""


class Reach(enum.IntEnum):
    """Name how far a cell came.

    BOOT: no test ran. TEST: the guest died while one ran; only the results that were printed are
    known. LIMIT: the workload was killed at its limit. The audit took place after that, the taint
    flags were read, and neither the exit status nor the ledger counts. END: the workload exited,
    every check was made.
    """

    BOOT = 0
    TEST = 1
    LIMIT = 2
    END = 3


REACH = {
    Outcome.COMPLETED: Reach.END,
    Outcome.SPLAT: Reach.END,
    Outcome.TIMEOUT: Reach.LIMIT,
    Outcome.HANG: Reach.TEST,
    Outcome.PANIC: Reach.TEST,
    Outcome.LOST: Reach.TEST,
    Outcome.INFRA: Reach.BOOT,
    Outcome.BOOT_FAILED: Reach.BOOT,
}


@dataclass(frozen=True, slots=True)
class Shown:
    """One result of a cell: a subtest of the workload's, or a finding of the lab's."""

    name: Name
    verdict: Verdict
    text: str
    finding: Finding | None = None

    @property
    def title(self) -> str:
        """Give the name as a report shows it: ``page``, ``page #2``."""
        name, number = self.name
        return name if number == 1 else f"{name} #{number}"


@dataclass(frozen=True, slots=True)
class Side:
    """The repeats of a row on one kernel.

    ``everything`` are all of them, ``results`` those with a verdict, from which all but the splats
    is taken: a splat counts in a repeat that the lab lost, too.

    ``failing`` are the results that fail in any repeat, ``unchecked`` those that are an error in a
    cell that reached its end. ``ran`` are the workload's results that passed or failed in any
    repeat, ``always_ran`` those in every one; ``came`` are all that were printed or found in any,
    skips too. ``amounts`` are those of the failing findings, over the repeats. ``splats`` are all
    by fingerprint, allowed or not; ``causes`` are the titles of those that failed a cell and follow
    no other. ``taint`` has the taint flags of any repeat that no splat of its console explains.
    """

    everything: tuple[CellResult, ...]
    results: tuple[CellResult, ...]
    verdicts: frozenset[Verdict]
    ends: frozenset[Outcome]
    reach: Reach
    failing: Mapping[Name, Shown]
    unchecked: Mapping[Name, Shown]
    ran: frozenset[Name]
    always_ran: frozenset[Name]
    came: Mapping[Name, Shown]
    amounts: Mapping[Name, tuple[int, ...]]
    splats: Mapping[str, Splat]
    causes: Mapping[str, str]
    taint: int

    @classmethod
    def of(cls, results: Iterable[CellResult]) -> Side:
        """Collect the facts of a row's results on one kernel, whatever order they come in."""
        everything = sorted(results, key=lambda result: (result.cell.repeat, result.cell.id))
        kept = [one for one in everything if one.judgement.verdict is not Verdict.ERROR]
        shown = [tuple(shown_by(result.observation)) for result in kept]
        at_end = [
            one
            for result, cell in zip(kept, shown, strict=True)
            if REACH[result.outcome] is Reach.END
            for one in cell
        ]
        every = [one for cell in shown for one in cell]
        ran = [{one.name for one in cell if _ran(one)} for cell in shown]
        failing = [one for one in every if one.verdict is Verdict.FAIL]
        splats = [pair for result in everything for pair in result.splats]
        return cls(
            everything=tuple(everything),
            results=tuple(kept),
            verdicts=frozenset(result.judgement.verdict for result in kept),
            ends=frozenset(result.outcome for result in kept),
            reach=max((REACH[result.outcome] for result in kept), default=Reach.BOOT),
            failing=_first(failing),
            unchecked=_first(one for one in at_end if one.verdict is Verdict.ERROR),
            ran=frozenset().union(*ran),
            always_ran=frozenset(ran[0]).intersection(*ran) if ran else frozenset(),
            came=_first(one for one in every if one.verdict is not Verdict.ERROR),
            amounts=_amounts(failing),
            splats=dict(
                reversed({splat.fingerprint: splat for splat, _ in reversed(splats)}.items())
            ),
            causes={
                splat.fingerprint: splat.title
                for splat, allowed in splats
                if not allowed and not splat.following
            },
            taint=functools.reduce(
                operator.or_, (result.observation.tainted for result in kept), 0
            ),
        )

    @property
    def has_verdict(self) -> bool:
        """Say whether any repeat passed or failed."""
        return bool(self.verdicts - {Verdict.SKIP})

    @property
    def always_died(self) -> bool:
        """Say whether no repeat's guest lived to the end of its cell."""
        return all(outcome.died for outcome in self.ends)

    def could_show(self, one: Shown) -> bool:
        """Say whether some repeat got as far as a result that another kernel shows."""
        if self.reach is Reach.END or one.name in self.came:
            return True
        finding = one.finding
        if finding is None or finding.kind is not FindingKind.AUDIT:
            return False
        if finding.mark == END_MARK and self.reach is Reach.LIMIT:
            return True
        # A subtest's exit is a mark of its name, before its result is printed.
        return any(
            (own.finding is None and _last_part(own) == finding.mark)
            or (own.finding is not None and _check(own.finding) == _check(finding))
            for own in self.came.values()
        )

    def could_not_check(self, one: Shown) -> bool:
        """Say whether the check that found a result on another kernel is an error here."""
        return one.name in self.unchecked or any(
            own.finding is not None
            and one.finding is not None
            and _check(own.finding) == _check(one.finding)
            for own in self.unchecked.values()
        )


def shown_by(seen: Observation) -> Iterator[Shown]:
    """List a cell's results: the workload's subtests, then the lab's findings."""
    count: Counter[str] = Counter()
    for subtest in seen.subtests:
        count[subtest.name] += 1
        yield Shown((subtest.name, count[subtest.name]), subtest.verdict, subtest.detail)
    for finding in seen.findings:
        count[finding.name] += 1
        yield Shown((finding.name, count[finding.name]), finding.verdict, finding.text, finding)


def _check(finding: Finding) -> tuple[FindingKind, str]:
    return finding.kind, finding.mark


def _last_part(one: Shown) -> str:
    return one.name[0].rpartition("/")[2]


def _ran(one: Shown) -> bool:
    return one.finding is None and one.verdict in {Verdict.PASS, Verdict.FAIL}


def _first(shown: Iterable[Shown]) -> dict[Name, Shown]:
    found: dict[Name, Shown] = {}
    for one in shown:
        found.setdefault(one.name, one)
    return found


def _amounts(failing: Sequence[Shown]) -> dict[Name, tuple[int, ...]]:
    found: dict[Name, tuple[int, ...]] = {}
    for one in failing:
        if one.finding is not None and one.finding.amount is not None:
            found[one.name] = (*found.get(one.name, ()), one.finding.amount)
    return found
