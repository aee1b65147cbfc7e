# SPDX-License-Identifier: GPL-2.0
"""Have the agent sample the counters' files, and drain the kernel's caches before the ledger's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rmaplab.collect import counters, ledger
from rmaplab.evidence.ends import SampleLabel
from rmaplab.evidence.events import Drained, Files
from rmaplab.guest.agent import Agent, Request
from rmaplab.guest.transcript import Transcript
from rmaplab.model import FREE, CounterSample

# How often to drain until the agent finds the count of free pages at rest.
DRAINS = 3


@dataclass(frozen=True, slots=True)
class PendingSample:
    """Hold the requests for a sample: to drain the kernel's caches first, if so, and to sample."""

    drain: Request | None
    sample: Request


async def ask(agent: Agent, drain: tuple[str, ...] | None) -> PendingSample:
    """Request a sample; ``drain`` are the words of the request to drain before it, None for none.

    The agent lets them wait while a workload runs, so they may be sent before that.
    """
    draining = None if drain is None else await agent.send("drain", *drain)
    return PendingSample(draining, await agent.send("sample"))


async def sample(
    agent: Agent,
    label: SampleLabel,
    transcript: Transcript,
    drain: tuple[str, ...] | None,
    asked: PendingSample | None = None,
) -> dict[str, str]:
    """Return the counters' files that the agent holds, by path; the transcript keeps them.

    ``drain`` is as for ``ask``; then this is done again, at most DRAINS times, until the guest is
    at rest, and one that never is has no count of free pages (FREE). ``asked`` are requests that
    were sent already.
    """
    for _ in range(DRAINS):
        asked = asked or await ask(agent, drain)
        free = None
        if asked.drain is not None:
            free = _free(await agent.answer_as(Drained, asked.drain))
        number = asked.sample.number
        files = (await agent.answer_as(Files, asked.sample)).files
        if asked.drain is None or free is not None:
            break
        asked = None
    facts = {} if free is None else {"free": free}
    transcript.say("lab", "sample", label=str(label), id=number, **facts)
    return files if free is None else {**files, FREE: str(free)}


def _free(drained: Drained) -> int | None:
    """Return the count of free pages, None if it was not at rest."""
    return drained.free + drained.pcp if drained.steady else None


def is_balanced(before: Mapping[str, int], after: Mapping[str, str], terms: ledger.Terms) -> bool:
    """Return whether a sample after a workload balances the ledger, so that no other is needed.

    ``before`` are counters by name, ``after`` a sample's files by path. A guest that
    was not at rest is never balanced.
    """
    if FREE not in after:
        return False
    changes = counters.changes(CounterSample(before), counters.sample(after))
    return not ledger.balance(changes, terms)
