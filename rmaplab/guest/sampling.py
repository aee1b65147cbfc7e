# SPDX-License-Identifier: GPL-2.0
"""Have the agent sample the counters' files, and drain the kernel's caches before the ledger's."""

from __future__ import annotations

from dataclasses import dataclass

from rmaplab.evidence.ends import SampleLabel
from rmaplab.guest.agent import Agent, Event, Request
from rmaplab.guest.transcript import Transcript
from rmaplab.model import FREE

BEFORE = SampleLabel.BEFORE
AFTER = SampleLabel.AFTER
# How often to drain until the agent finds the count of free pages at rest.
DRAINS = 3


@dataclass(frozen=True, slots=True)
class PendingSample:
    """The agent's requests for a sample: the one to drain what the kernel keeps, if so, and it."""

    drain: Request | None
    sample: Request


async def ask(agent: Agent, drain: tuple[str, ...] | None) -> PendingSample:
    """Ask for a sample; ``drain`` are the words of the request to drain before it, None for none.

    The agent lets them wait while a workload runs, so they may be sent before that.
    """
    draining = None if drain is None else await agent.send("drain", *drain)
    return PendingSample(draining, await agent.send("sample"))


async def sample(
    agent: Agent,
    label: str,
    transcript: Transcript,
    drain: tuple[str, ...] | None,
    asked: PendingSample | None = None,
) -> dict[str, str]:
    """Have the agent read the counters' files that it holds; the transcript keeps them.

    ``drain`` is as for ``ask``; then this is done again, at most DRAINS times, until the guest is
    at rest, and one that never is has no count of free pages (FREE). ``asked`` is what was asked
    for already. Returns the files' content by path.
    """
    for _ in range(DRAINS):
        asked = asked or await ask(agent, drain)
        free = None if asked.drain is None else _free(await agent.answer(asked.drain))
        number, files = asked.sample.number, (await agent.answer(asked.sample))["files"]
        if asked.drain is None or free is not None:
            break
        asked = None
    facts = {} if free is None else {"free": free}
    transcript.say("lab", "sample", label=label, id=number, **facts)
    return files if free is None else {**files, FREE: str(free)}


def _free(drained: Event) -> int | None:
    """The count of free pages, if it was at rest."""
    return drained["free"] + drained["pcp"] if drained["steady"] else None
