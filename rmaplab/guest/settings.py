# SPDX-License-Identifier: GPL-2.0
"""Give a ready guest its hugepage settings, read them back, and take the first sample.

Serves a guest that was booted for one cell and a template that is saved once more with its
settings, so that a cell's clone has nothing left to do but to run its workload.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import PlainSerializer

from rmaplab.evidence import events
from rmaplab.evidence.ends import SampleLabel
from rmaplab.guest import sampling
from rmaplab.guest.agent import Agent, AgentGarbled
from rmaplab.guest.command import REQUEST_PATH
from rmaplab.guest.prepare import Unusable
from rmaplab.guest.transcript import Transcript
from rmaplab.guest.vm import Vm
from rmaplab.model import HugepageSettings, Write


@dataclass(frozen=True, slots=True)
class GuestSetup:
    """Say what a guest is set up for: its settings, and files that a workload may require.

    ``audit`` is what the agent is to audit, as the words of its request; None for no audit.
    ``awaits`` has the agent take its next request from the file of Launch.request.
    """

    settings: HugepageSettings
    required: tuple[str, ...]
    audit: tuple[str, ...] | None = None
    awaits: bool = False


@dataclass(frozen=True, slots=True)
class SetupResult:
    """Hold what the set-up showed: ``skip`` is why no workload can run under these settings.

    ``missing`` are the required files that the kernel does not have, ``last_request`` the number
    of the last request that the agent was sent.
    """

    skip: str
    # In order, so that one task has one JSON text.
    missing: Annotated[frozenset[str], PlainSerializer(sorted, list[str], when_used="json")]
    last_request: int

    def lacks(self, required: Iterable[str]) -> str:
        """Return why a workload that requires some files cannot run, or an empty string."""
        if self.skip:
            return self.skip
        absent = [path for path in required if path in self.missing]
        return f"this kernel has no {absent[0]}" if absent else ""

    def save(self, path: Path) -> None:
        """Write the result to a file beside the template."""
        facts = {
            "skip": self.skip,
            "missing": sorted(self.missing),
            "last_request": self.last_request,
        }
        path.write_text(json.dumps(facts), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> SetupResult:
        """Return the result that ``save`` wrote.

        Raises OSError, ValueError or KeyError if the file is damaged.
        """
        facts = json.loads(path.read_text(encoding="utf-8"))
        return cls(facts["skip"], frozenset(facts["missing"]), int(facts["last_request"]))


async def apply_settings(vm: Vm, wanted: GuestSetup, transcript: Transcript) -> SetupResult:
    """Apply the settings, read them back, and take the first sample.

    Raises Unusable if a setting did not take.
    """
    agent, settings = vm.agent, wanted.settings
    paths = [write.path for write in settings.writes]
    absent = await _absent(agent, [*wanted.required, *paths])
    lost = [path for path in paths if path in absent]
    if lost:
        skip = f"settings {settings.name}: this kernel has no {lost[0]}"
        return SetupResult(skip, absent, agent.last_request)
    for write in settings.writes:
        await apply(agent, f"settings {settings.name}", write, transcript)
    if wanted.audit is not None:
        await agent.ask("audit", "on", *wanted.audit)
        transcript.say("lab", "audit")
    rested = await agent.ask_for(events.Khugepaged, "khugepaged")
    if rested.errno:
        raise Unusable(f"khugepaged does not come to rest: errno {rested.errno}")
    await sampling.sample(agent, SampleLabel.BEFORE, transcript, ("wait",))
    # After the sample: the process that is to become the workload is not there at the end.
    await agent.ask("stage")
    if wanted.awaits:
        awaiting = await agent.ask_for(events.Awaiting, "await", REQUEST_PATH)
        if awaiting.errno:
            raise Unusable(f"exact mode: {REQUEST_PATH}: errno {awaiting.errno}")
    return SetupResult("", absent, agent.last_request)


async def _absent(agent: Agent, paths: list[str]) -> frozenset[str]:
    if not paths:
        return frozenset()
    answer = await agent.ask_for(events.Stats, "stat", *paths)
    kinds = answer.stats
    if unknown := [path for path in paths if path not in kinds]:
        raise AgentGarbled(f"the agent did not say what {unknown[0]} is")
    if hidden := [path for path in paths if kinds[path] == "error"]:
        raise Unusable(f"{hidden[0]} cannot be looked at: errno {answer.errors.get(hidden[0], 0)}")
    return frozenset(path for path in paths if kinds[path] == "missing")


async def apply(agent: Agent, name: str, write: Write, transcript: Transcript) -> None:
    """Write a settings file and read it back; ``name`` is who wants that.

    Raises Unusable if the kernel did not take the value.
    """
    wrote = await agent.ask_for(events.Wrote, "write", write.path, write.value)
    if wrote.errno:
        raise Unusable(f"{name}: writing {write.value!r} to {write.path}: errno {wrote.errno}")
    read = (await agent.ask_for(events.Files, "read", write.path)).files.get(write.path, "")
    got = chosen(read)
    transcript.say("lab", "setting", path=write.path, wanted=write.expect, got=got)
    if got != write.expect:
        raise Unusable(f"{name} did not take: {write.path} is {got!r}, wanted {write.expect!r}")


def chosen(text: str) -> str:
    """Return the value in a settings file: the bracketed word of a choice, else all, stripped."""
    start, end = text.find("["), text.find("]")
    return text[start + 1 : end] if 0 <= start < end else text.strip()
