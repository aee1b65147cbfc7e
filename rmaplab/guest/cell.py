# SPDX-License-Identifier: GPL-2.0
"""One cell on one guest: prepare it, sample, run the workload, sample again.

Everything that is learned goes into the transcript and the console log; this module judges
nothing. The transcript's last ``end`` line says how it ended; a transcript without one belongs to
a lab that was killed.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from rmaplab.errors import InfraError
from rmaplab.guest.agent import PROTOCOL, Event
from rmaplab.guest.command import Accelerator
from rmaplab.guest.transcript import Transcript
from rmaplab.guest.vm import Death, GuestDied, How, LimitReached, Vm, running
from rmaplab.model import Cell, Write

# Beyond the agent's own limit: for its kill to be carried out and said.
KILL_GRACE_S = 5.0
# A guest that runs at all has most of its memory; the kernel keeps some for itself.
MEMORY_SHARE = 0.75


class Unusable(Exception):
    """The guest is not what was asked for: the lab's fault, never a test result."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What a cell runs on."""

    image: Path
    initramfs: Path
    accelerator: Accelerator
    counter_files: tuple[str, ...]


async def run(cell: Cell, bench: Bench, folder: Path, program: str) -> None:
    """Run a cell and leave its evidence in ``folder``. Never raises for what a guest does."""
    with Transcript(folder / "agent.jsonl") as transcript:
        transcript.say("lab", "cell", cell=cell.id)
        try:
            async with running(
                cell.guest,
                image=bench.image,
                initramfs=bench.initramfs,
                accelerator=bench.accelerator,
                folder=folder,
                transcript=transcript,
            ) as vm:
                death = await _Session(cell, bench, vm, transcript, program).conduct()
                transcript.say("lab", "end", how=str(death.how), detail=death.detail)
                if death.how is not How.BYE:
                    await vm.settle()
        except InfraError as error:
            transcript.say("lab", "end", how=str(How.UNUSABLE), detail=error.message)
        except asyncio.CancelledError:
            transcript.say("lab", "interrupted")
            raise


def skip(cell: Cell, folder: Path, reason: str) -> None:
    """Leave the evidence of a cell that cannot run: no guest was started, and why."""
    with Transcript(folder / "agent.jsonl") as transcript:
        transcript.say("lab", "cell", cell=cell.id)
        transcript.say("lab", "skip", reason=reason)
        transcript.say("lab", "end", how=str(How.NOT_RUN), detail=reason)


class _Session:
    """The conversation of one cell; ``conduct`` turns whatever happens into a Death."""

    def __init__(
        self, cell: Cell, bench: Bench, vm: Vm, transcript: Transcript, program: str
    ) -> None:
        self.cell = cell
        self.bench = bench
        self.vm = vm
        self.transcript = transcript
        self.program = program
        self.stretch = bench.accelerator.slowdown

    async def conduct(self) -> Death:
        limits = self.cell.guest.limits
        how = How.BOOT_LIMIT
        limit = limits.boot_s * self.stretch
        try:
            self._phase("boot", limit)
            ready = await self.vm.within(limit, self._ready())
            how, limit = How.READY_LIMIT, limits.ready_s * self.stretch
            self._phase("ready", limit)
            skip = await self.vm.within(limit, self._prepare(ready))
            if skip:
                self.transcript.say("lab", "skip", reason=skip)
            else:
                how, limit = How.TEST_LIMIT, self.cell.testcase.limit_s * self.stretch
                self._phase("test", limit)
                await self._test(limit)
                how, limit = How.READY_LIMIT, limits.ready_s * self.stretch
                self._phase("after", limit)
                await self.vm.within(limit, self._sample("after"))
        except GuestDied as died:
            return died.death
        except LimitReached:
            return await self._limit(how, limit)
        except (Unusable, InfraError) as error:
            return Death(How.UNUSABLE, str(error))
        return Death(How.BYE, "")

    def _phase(self, name: str, limit: float) -> None:
        self.transcript.say("lab", "phase", phase=name, limit_s=round(limit, 1))

    async def _limit(self, how: How, limit: float) -> Death:
        detail = f"no answer within {limit:g} s"
        if how is not How.TEST_LIMIT:
            return Death(how, detail)
        try:
            await self.vm.within(
                self.cell.guest.limits.silence_s * self.stretch, self.vm.agent.ask("ping")
            )
        except LimitReached:
            return Death(How.SILENCE, f"{detail}, and the agent does not answer a ping")
        except GuestDied as died:
            return died.death
        return Death(how, f"{detail}; the agent lives, the workload is stuck in the kernel")

    async def _ready(self) -> Event:
        while True:
            event = await self.vm.agent.event()
            if event["ev"] == "ready":
                return event

    async def _prepare(self, ready: Event) -> str:
        """Check and set up the guest; the reason for a skip if the testcase cannot run."""
        await self._check_guest(ready)
        missing = await self._missing(self.cell.testcase.requires.files)
        if missing:
            return f"this kernel has no {missing[0]}"
        if self.cell.guest.swap_mb:
            answer = await self.vm.agent.ask("swap", str(self.cell.guest.swap_mb))
            if answer.get("errno"):
                raise Unusable(f"swap on zram: {answer.get('step')}: errno {answer['errno']}")
        paths = [write.path for write in self.cell.settings.writes]
        missing = await self._missing(paths)
        if missing:
            return f"settings {self.cell.settings.name}: this kernel has no {missing[0]}"
        for write in self.cell.settings.writes:
            await self._apply(write)
        await self._sample("before")
        return ""

    async def _check_guest(self, ready: Event) -> None:
        guest = self.cell.guest
        if ready.get("protocol") != PROTOCOL:
            raise Unusable(f"the agent speaks protocol {ready.get('protocol')}, not {PROTOCOL}")
        for noun, wanted, got in (
            ("vCPUs", guest.cpus, ready.get("cpus")),
            ("NUMA nodes", list(range(len(guest.nodes))), ready.get("nodes")),
        ):
            if wanted != got:
                raise Unusable(
                    f"the guest has {noun} {got}, the profile {guest.name} says {wanted}"
                )
        least = int(guest.memory_mb * 1024 * MEMORY_SHARE)
        if ready.get("memory_kb", 0) < least:
            raise Unusable(
                f"the guest has {ready.get('memory_kb')} KB of memory, less than {least}"
            )
        nodes = [node for device in guest.devices for node in device.nodes]
        if nodes:
            stats = (await self.vm.agent.ask("stat", *nodes))["stats"]
            absent = [node for node in nodes if stats.get(node) != "chr"]
            if absent:
                raise Unusable(f"the device node {absent[0]} is not there")

    async def _missing(self, paths: tuple[str, ...] | list[str]) -> list[str]:
        if not paths:
            return []
        stats = (await self.vm.agent.ask("stat", *paths))["stats"]
        return [path for path in paths if stats.get(path) == "missing"]

    async def _apply(self, write: Write) -> None:
        answer = await self.vm.agent.ask("write", write.path, write.value)
        if answer.get("errno"):
            raise Unusable(
                f"settings {self.cell.settings.name}: writing {write.value!r} to {write.path}: "
                f"errno {answer['errno']}"
            )
        read = (await self.vm.agent.ask("read", write.path))["files"].get(write.path, "")
        got = chosen(read)
        self.transcript.say("lab", "setting", path=write.path, wanted=write.expect, got=got)
        if got != write.expect:
            raise Unusable(
                f"settings {self.cell.settings.name} did not take: {write.path} "
                f"is {got!r}, wanted {write.expect!r}"
            )

    async def _sample(self, label: str) -> None:
        number = await self.vm.agent.send("read", *self.bench.counter_files)
        self.transcript.say("lab", "sample", label=label, id=number)
        while True:
            event = await self.vm.agent.event()
            if event.get("id") == number and event.get("last", event["ev"] != "files"):
                return

    async def _test(self, limit: float) -> None:
        testcase = self.cell.testcase
        number = await self.vm.agent.send(
            "run", str(int(limit * 1000)), "0", self.program, *testcase.args
        )
        ends = time.monotonic() + limit + KILL_GRACE_S * self.stretch
        silence = self.cell.guest.limits.silence_s * self.stretch
        while True:
            left = ends - time.monotonic()
            if left <= 0:
                raise LimitReached
            try:
                event = await self.vm.within(min(silence, left), self.vm.agent.event())
            except LimitReached:
                if left <= silence:
                    raise
                raise GuestDied(Death(How.SILENCE, f"no heartbeat for {silence:g} s")) from None
            if event.get("id") == number and event["ev"] in {"exit", "error"}:
                if event["ev"] == "error":
                    raise InfraError(f"the agent refused the workload: {event.get('message')}")
                return


def chosen(text: str) -> str:
    """What a settings file says: the bracketed word of a choice, else its content, stripped."""
    start, end = text.find("["), text.find("]")
    return text[start + 1 : end] if 0 <= start < end else text.strip()
