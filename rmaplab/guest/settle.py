# SPDX-License-Identifier: GPL-2.0
"""From a ready guest to one that has a cell's hugepage settings and was sampled.

The same for a guest that was booted for one cell and for a template that is saved once more with
its settings, so that a cell's clone has nothing left to do but to run its workload.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rmaplab.guest.agent import Agent, Event, Request
from rmaplab.guest.command import REQUEST_PATH
from rmaplab.guest.prepare import Unusable
from rmaplab.guest.transcript import Transcript
from rmaplab.guest.vm import Vm
from rmaplab.model import FREE, HugepageSettings, Write

BEFORE = "before"
AFTER = "after"
# How often to drain until the agent finds the count of free pages at rest.
DRAINS = 3


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a guest is settled for: its settings, and files that a workload may require.

    ``audit`` is what the agent is to audit, as the words of its request; None for no audit.
    ``awaits`` has the agent take its next request from the file of Launch.request.
    """

    settings: HugepageSettings
    required: tuple[str, ...]
    audit: tuple[str, ...] | None = None
    awaits: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """What was learned: ``skip`` is why no workload can run under these settings, if so.

    ``missing`` are the required files that the kernel does not have, ``last_request`` the number
    of the last request that the agent was sent.
    """

    skip: str
    missing: frozenset[str]
    last_request: int

    def lacks(self, required: Iterable[str]) -> str:
        """Why a workload that requires some files cannot run, or an empty string."""
        if self.skip:
            return self.skip
        absent = [path for path in required if path in self.missing]
        return f"this kernel has no {absent[0]}" if absent else ""

    def save(self, path: Path) -> None:
        """Write it beside the template."""
        facts = {
            "skip": self.skip,
            "missing": sorted(self.missing),
            "last_request": self.last_request,
        }
        path.write_text(json.dumps(facts), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Settled:
        """Read what ``save`` wrote. Raises OSError, ValueError or KeyError if that is damaged."""
        facts = json.loads(path.read_text(encoding="utf-8"))
        return cls(facts["skip"], frozenset(facts["missing"]), int(facts["last_request"]))


async def settle(vm: Vm, wanted: Wanted, transcript: Transcript) -> Settled:
    """Apply the settings, read them back, and take the first sample.

    Raises Unusable if a setting did not take.
    """
    agent, settings = vm.agent, wanted.settings
    paths = [write.path for write in settings.writes]
    absent = await _absent(agent, [*wanted.required, *paths])
    lost = [path for path in paths if path in absent]
    if lost:
        skip = f"settings {settings.name}: this kernel has no {lost[0]}"
        return Settled(skip, absent, agent.last_request)
    for write in settings.writes:
        await apply(agent, f"settings {settings.name}", write, transcript)
    if wanted.audit is not None:
        await agent.ask("audit", "on", *wanted.audit)
        transcript.say("lab", "audit")
    answer = await agent.ask("khugepaged")
    if answer.get("errno"):
        raise Unusable(f"khugepaged does not come to rest: errno {answer['errno']}")
    await sample(agent, BEFORE, transcript, ("wait",))
    # After the sample: the process that is to become the workload is not there at the end.
    await agent.ask("stage")
    if wanted.awaits:
        answer = await agent.ask("await", REQUEST_PATH)
        if answer.get("errno"):
            raise Unusable(f"exact mode: {REQUEST_PATH}: errno {answer['errno']}")
    return Settled("", absent, agent.last_request)


async def _absent(agent: Agent, paths: list[str]) -> frozenset[str]:
    if not paths:
        return frozenset()
    stats = (await agent.ask("stat", *paths))["stats"]
    return frozenset(path for path in paths if stats.get(path) == "missing")


async def apply(agent: Agent, name: str, write: Write, transcript: Transcript) -> None:
    """Write a file and read it back; ``name`` is who wants that. Raises Unusable if not taken."""
    answer = await agent.ask("write", write.path, write.value)
    if answer.get("errno"):
        raise Unusable(f"{name}: writing {write.value!r} to {write.path}: errno {answer['errno']}")
    read = (await agent.ask("read", write.path))["files"].get(write.path, "")
    got = chosen(read)
    transcript.say("lab", "setting", path=write.path, wanted=write.expect, got=got)
    if got != write.expect:
        raise Unusable(f"{name} did not take: {write.path} is {got!r}, wanted {write.expect!r}")


def chosen(text: str) -> str:
    """What a settings file says: the bracketed word of a choice, else its content, stripped."""
    start, end = text.find("["), text.find("]")
    return text[start + 1 : end] if 0 <= start < end else text.strip()


@dataclass(frozen=True, slots=True)
class Asked:
    """The agent's requests for a sample: the one to drain what the kernel keeps, if so, and it."""

    drain: Request | None
    sample: Request


async def ask(agent: Agent, drain: tuple[str, ...] | None) -> Asked:
    """Ask for a sample; ``drain`` are the words of the request to drain before it, None for none.

    The agent lets them wait while a workload runs, so they may be sent before that.
    """
    draining = None if drain is None else await agent.send("drain", *drain)
    return Asked(draining, await agent.send("sample"))


async def sample(
    agent: Agent,
    label: str,
    transcript: Transcript,
    drain: tuple[str, ...] | None,
    asked: Asked | None = None,
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
