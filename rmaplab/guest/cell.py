# SPDX-License-Identifier: GPL-2.0
"""One cell on one guest: prepare it, sample, run the workload, sample again.

Everything that is learned goes into the transcript and the console log; this module judges
nothing. The transcript's last ``end`` line says how it ended; a transcript without one belongs to
a lab that was killed.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rmaplab.errors import InfraError
from rmaplab.guest import prepare
from rmaplab.guest.command import Launch
from rmaplab.guest.prepare import Unusable
from rmaplab.guest.transcript import Transcript
from rmaplab.guest.vm import Death, GuestDied, How, LimitReached, Vm, running
from rmaplab.model import Cell, Write

T = TypeVar("T")

# Beyond the agent's own limit: for its kill to be carried out and said.
KILL_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Bench:
    """What a cell runs on: how its guest is started, and the counters' files to sample."""

    launch: Launch
    counter_files: tuple[str, ...]


async def run(cell: Cell, bench: Bench, folder: Path, program: str) -> None:
    """Run a cell and leave its evidence in ``folder``. Never raises for what a guest does."""
    with Transcript(folder / "agent.jsonl") as transcript:
        transcript.say("lab", "cell", cell=cell.id)
        try:
            async with running(
                cell.guest, bench.launch, folder=folder, transcript=transcript
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


def not_booted(folder: Path, evidence: Path) -> None:
    """Leave the evidence of a cell whose guest does not boot: that of the attempt."""
    for path in evidence.iterdir():
        shutil.copy2(path, folder / path.name)


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
        self.stretch = bench.launch.accelerator.slowdown
        self._limits = cell.guest.limits

    async def conduct(self) -> Death:
        try:
            if not self.bench.launch.is_clone:
                await prepare.boot(self.vm, self.bench.launch.accelerator, self.transcript)
            skip = await self._briefly("settings", self._prepare())
            if skip:
                self.transcript.say("lab", "skip", reason=skip)
                return Death(How.BYE, "")
            limit = self.cell.testcase.limit_s * self.stretch
            prepare.phase(self.transcript, "test", limit)
            await self._test(limit)
            await self._briefly("after", self._sample("after"))
        except GuestDied as died:
            return died.death
        except LimitReached as reached:
            return await self._explain(reached)
        except (Unusable, InfraError) as error:
            return Death(How.UNUSABLE, str(error))
        return Death(How.BYE, "")

    async def _briefly(self, phase: str, awaited: Coroutine[Any, Any, T]) -> T:
        """A phase in which only the agent works."""
        limit = self._limits.ready_s * self.stretch
        prepare.phase(self.transcript, phase, limit)
        return await self.vm.within(limit, How.READY_LIMIT, awaited)

    async def _explain(self, reached: LimitReached) -> Death:
        """At a test's limit, find out whether the guest or only its workload is stuck."""
        if reached.how is not How.TEST_LIMIT:
            return Death(reached.how, str(reached))
        silence = self._limits.silence_s * self.stretch
        try:
            await self.vm.within(silence, How.SILENCE, self.vm.agent.ask("ping"))
        except LimitReached:
            return Death(How.SILENCE, f"{reached}, and the agent does not answer a ping")
        except GuestDied as died:
            return died.death
        return Death(
            How.TEST_LIMIT, f"{reached}; the agent lives, the workload is stuck in the kernel"
        )

    async def _prepare(self) -> str:
        """Apply the settings and sample; the reason for a skip if the testcase cannot run."""
        missing = await self._missing(self.cell.testcase.requires.files)
        if missing:
            return f"this kernel has no {missing[0]}"
        paths = [write.path for write in self.cell.settings.writes]
        missing = await self._missing(paths)
        if missing:
            return f"settings {self.cell.settings.name}: this kernel has no {missing[0]}"
        for write in self.cell.settings.writes:
            await self._apply(write)
        await self._sample("before")
        return ""

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
        silence = self._limits.silence_s * self.stretch
        while True:
            left = ends - time.monotonic()
            how = How.SILENCE if left > silence else How.TEST_LIMIT
            event = await self.vm.within(max(0.0, min(silence, left)), how, self.vm.agent.event())
            if event.get("id") != number:
                continue
            if event["ev"] == "error":
                raise InfraError(f"the agent refused the workload: {event.get('message')}")
            if event["ev"] == "exit":
                return


def chosen(text: str) -> str:
    """What a settings file says: the bracketed word of a choice, else its content, stripped."""
    start, end = text.find("["), text.find("]")
    return text[start + 1 : end] if 0 <= start < end else text.strip()
