# SPDX-License-Identifier: GPL-2.0
"""One cell on one guest: settle it, run the workload, sample again.

Everything that is learned goes into the transcript and the console log; this module judges
nothing. The transcript's last ``end`` line says how it ended; a transcript without one belongs to
a lab that was killed.

A cell is started and carried out in two steps: a clone that is restored but does not run yet costs
only memory, so the next cell's can wait while the present one's works. Where a CPU of the host has
nothing else to do, it rehearses a sample before it waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from rmaplab.errors import InfraError
from rmaplab.guest import prepare, settle, template
from rmaplab.guest.agent import Request, encode
from rmaplab.guest.command import REQUEST_BYTES, Launch, slowdown
from rmaplab.guest.postmortem import Keep, Postmortem
from rmaplab.guest.prepare import Unusable
from rmaplab.guest.settle import Asked, Settled, Wanted
from rmaplab.guest.transcript import Transcript
from rmaplab.guest.vm import Death, GuestDied, How, LimitReached, Vm, running
from rmaplab.model import TRANSCRIPT, Cell, ExpectedSubtests, Upstream

T = TypeVar("T")

# How often to drain and sample, while the ledger does not balance.
SAMPLES = 4
# Beyond the agent's own limit: for its kill to be carried out and said.
KILL_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Prologue:
    """What is known of a settled template: its facts, and the transcript of its settling."""

    settled: Settled
    transcript: bytes


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a cell's ledger is drawn up with; it goes into the transcript, to be judged from there.

    ``bounds`` are the calibrated ones, ``error`` why there are none. ``balances`` says of a sample
    after a cell whether it need not be taken again; None if the sample before is not known.
    """

    bounds: Mapping[str, tuple[int, int]]
    error: str = ""
    balances: Callable[[Mapping[str, str], Cell], bool] | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """What a cell runs on: how its guest is started, the counters' files to sample.

    ``prologue`` is that of the settled template which ``launch`` restores; without one the guest
    boots and is settled in the cell. ``audit`` is as in ``Wanted``; without ``ledger`` none is
    drawn up; without ``keep`` no memory is saved; ``expected`` is None for a workload of the lab's
    own; ``warms_up`` has a clone rehearse a sample while it waits for its turn.
    """

    launch: Launch
    counter_files: tuple[str, ...]
    prologue: Prologue | None = None
    audit: tuple[str, ...] | None = None
    ledger: Ledger | None = None
    keep: Keep | None = None
    expected: ExpectedSubtests | None = None
    warms_up: bool = False


class Started:
    """A cell whose guest is there until ``aclose``.

    A cell whose guest could not be started, for the lab's fault, is over already.
    """

    def __init__(self, stack: contextlib.AsyncExitStack, session: Session | None) -> None:
        self._stack = stack
        self._session = session
        self._ready_at = time.monotonic()

    async def carry_out(self) -> None:
        """Run the workload. Never raises for what a guest does."""
        if self._session is None:
            return
        waited = round(time.monotonic() - self._ready_at, 3)
        self._session.transcript.say("lab", "turn", waited_s=waited)
        try:
            await self._session.to_the_end()
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """End the guest; the evidence is whole then."""
        await self._stack.aclose()


async def start(cell: Cell, bench: Bench, folder: Path, program: str) -> Started:
    """Start a cell's guest, its evidence in ``folder``; a restored one does not run yet."""
    async with contextlib.AsyncExitStack() as stack:
        transcript = stack.enter_context(Transcript(folder / TRANSCRIPT))
        transcript.say("lab", "cell", cell=cell.id)
        if bench.prologue is not None:
            transcript.carry_over(bench.prologue.transcript)
        session = None
        try:
            launch = _with_request(cell, bench, folder, program)
            vm = await stack.enter_async_context(
                running(cell.guest, launch, folder=folder, transcript=transcript)
            )
            if bench.prologue is not None:
                vm.agent.count_from(bench.prologue.settled.last_request)
                if bench.warms_up and not _has_request(cell, bench):
                    stretch = slowdown(cell.guest, launch.accelerator)
                    await vm.warm_up(cell.guest.limits.ready_s * stretch)
            session = Session(cell, bench, vm, transcript, program)
        except InfraError as error:
            transcript.say("lab", "end", how=str(How.UNUSABLE), detail=error.message)
        return Started(stack.pop_all(), session)


def _with_request(cell: Cell, bench: Bench, folder: Path, program: str) -> Launch:
    """How to start a cell's guest; a clone in exact mode has its request from the beginning.

    Raises InfraError if the request is too long for that.
    """
    if bench.prologue is None or not _has_request(cell, bench):
        return bench.launch
    number = str(bench.prologue.settled.last_request + 1)
    line = encode([number, *_run(cell, bench, program)])
    if len(line) > REQUEST_BYTES:
        raise InfraError(f"exact mode: a request of {len(line)} bytes, at most {REQUEST_BYTES} fit")
    path = folder / template.REQUEST
    path.write_bytes(line.ljust(REQUEST_BYTES, b"\0"))
    return replace(bench.launch, request=path)


def _has_request(cell: Cell, bench: Bench) -> bool:
    """Whether the guest has its request before it runs: a clone in exact mode."""
    return cell.guest.icount and bench.prologue is not None


def _limit_s(cell: Cell, bench: Bench) -> float:
    """The time of a cell's workload on its accelerator."""
    return cell.testcase.limit_s * slowdown(cell.guest, bench.launch.accelerator)


def _run(cell: Cell, bench: Bench, program: str) -> list[str]:
    """The request to run a cell's workload."""
    name = "run-exact" if cell.guest.icount else "run"
    uid = cell.testcase.upstream.uid if cell.testcase.upstream is not None else 0
    limit_ms = int(_limit_s(cell, bench) * 1000)
    return [name, str(limit_ms), str(uid), program, *cell.testcase.args]


async def run(cell: Cell, bench: Bench, folder: Path, program: str) -> None:
    """Start a cell, carry it out and end its guest."""
    async with contextlib.aclosing(await start(cell, bench, folder, program)) as started:
        await started.carry_out()


def not_booted(folder: Path, evidence: Path) -> None:
    """Leave the evidence of a cell whose guest does not boot: that of the attempt."""
    for path in evidence.iterdir():
        shutil.copy2(path, folder / path.name)


def skip(cell: Cell, folder: Path, reason: str) -> None:
    """Leave the evidence of a cell that cannot run: no guest was started, and why."""
    _not_run(cell, folder, reason, "skip", reason=reason)


def not_built(cell: Cell, folder: Path, error: str) -> None:
    """Leave the evidence of a cell whose program does not compile: no guest was started."""
    _not_run(cell, folder, error, "not-built", error=error)


def _not_run(cell: Cell, folder: Path, detail: str, event: str, **facts: str) -> None:
    with Transcript(folder / TRANSCRIPT) as transcript:
        transcript.say("lab", "cell", cell=cell.id)
        transcript.say("lab", event, **facts)
        transcript.say("lab", "end", how=str(How.NOT_RUN), detail=detail)


class Session:
    """The conversation of one cell; whatever happens turns into a Death.

    ``booted`` says that the guest has had a cell before.
    """

    def __init__(
        self,
        cell: Cell,
        bench: Bench,
        vm: Vm,
        transcript: Transcript,
        program: str,
        *,
        booted: bool = False,
    ) -> None:
        self.booted = booted
        self.postmortem = Postmortem(vm, transcript, bench.keep, living=not cell.guest.icount)
        self.cell = cell
        self.bench = bench
        self.vm = vm
        self.transcript = transcript
        self.program = program
        self.stretch = slowdown(cell.guest, bench.launch.accelerator)
        self._limits = cell.guest.limits

    async def to_the_end(self) -> Death:
        """Conduct the cell and note how it ended."""
        try:
            async with self.postmortem.watching():
                death = await self._conduct()
        except InfraError as error:
            death = Death(How.UNUSABLE, error.message)
        except asyncio.CancelledError:
            self.transcript.say("lab", "interrupted")
            raise
        self.transcript.say("lab", "end", how=str(death.how), detail=death.detail)
        if death.how is not How.BYE:
            await self.vm.settle()
            await self.postmortem.after(death)
        return death

    async def _conduct(self) -> Death:
        try:
            await self._settle()
            limit = _limit_s(self.cell, self.bench)
            if self.cell.testcase.upstream is not None:
                await self._briefly("prepare", self._prepare(self.cell.testcase.upstream))
            prepare.phase(self.transcript, "test", limit)
            asked = await self._test(limit)
            await self._briefly("after", self._sample(asked))
        except GuestDied as died:
            return died.death
        except LimitReached as reached:
            return await self._explain(reached)
        except _Skipped as skipped:
            self.transcript.say("lab", "skip", reason=str(skipped))
        except Unusable as error:
            return Death(How.UNUSABLE, str(error))
        return Death(How.BYE, "")

    async def _settle(self) -> None:
        """Have the guest as the cell wants it: at once for a clone, after boot for another."""
        required = self.cell.testcase.requires.files
        if self.bench.prologue is not None:
            settled = self.bench.prologue.settled
        else:
            if not self.booted:
                await prepare.boot(
                    self.vm,
                    self.bench.launch.accelerator,
                    self.transcript,
                    self.bench.counter_files,
                )
            wanted = Wanted(self.cell.settings, required, self.bench.audit)
            settled = await self._briefly(
                "settings", settle.settle(self.vm, wanted, self.transcript)
            )
        if reason := settled.lacks(required):
            raise _Skipped(reason)

    async def _prepare(self, upstream: Upstream) -> None:
        """What run_vmtests.sh does before it starts a program, and what that is to print."""
        if (due := self.bench.expected) is not None:
            names = None if due.names is None else list(due.names)
            self.transcript.say(
                "lab", "expected", version=due.version, section=due.section, names=names
            )
        await self.vm.go()
        for write in upstream.prepare:
            await settle.apply(self.vm.agent, self.cell.testcase.name, write, self.transcript)

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

    def _drain(self) -> tuple[str, ...] | None:
        """How the first sample after the workload is to drain."""
        if self.bench.ledger is None:
            return None
        return () if self.bench.ledger.balances else ("wait",)

    async def _sample(self, asked: Asked | None) -> None:
        """Sample until the ledger balances: what is on its way back may come a moment later.

        ``asked`` is the first sample, if it was asked for.
        """
        ledger, agent, drain = self.bench.ledger, self.vm.agent, self._drain()
        if ledger is None:
            await settle.sample(agent, settle.AFTER, self.transcript, drain, asked)
            return
        self.transcript.say(
            "lab", "ledger", bounds=dict(ledger.bounds), error=ledger.error,
            leaves=dict(self.cell.testcase.leaves), cpus=self.cell.guest.cpus,
        )  # fmt: skip
        for _ in range(SAMPLES):
            after = await settle.sample(agent, settle.AFTER, self.transcript, drain, asked)
            if ledger.balances is None or ledger.balances(after, self.cell):
                return
            drain, asked = ("wait",), None

    async def _ask_ahead(self) -> Asked | None:
        """Ask for the sample after the workload before it begins.

        That spares the guest an interrupt and the lab a turn. Not in exact mode: no byte may come
        while instructions are counted.
        """
        if self.cell.guest.icount:
            return None
        return await settle.ask(self.vm.agent, self._drain())

    async def _begin(self) -> tuple[Request, Asked | None]:
        """Ask for the workload and the sample after it; a restored guest runs on with that."""
        words = _run(self.cell, self.bench, self.program)
        if _has_request(self.cell, self.bench):
            request = self.vm.agent.given(*words)
        else:
            request = await self.vm.agent.send(*words)
        asked = await self._ask_ahead()
        await self.vm.go()
        return request, asked

    async def _test(self, limit: float) -> Asked | None:
        """Run the workload to its end; what the agent was asked for behind it."""
        exact = self.cell.guest.icount
        request, asked = await self.vm.within(
            self._limits.silence_s * self.stretch, How.SILENCE, self._begin()
        )
        self.postmortem.time_runs(limit)
        ends = self.vm.clock() + limit + KILL_GRACE_S * self.stretch
        # An agent that counts instructions sends no heartbeat.
        silence = limit if exact else self._limits.silence_s * self.stretch
        while True:
            left = ends - self.vm.clock()
            how = How.SILENCE if left > silence else How.TEST_LIMIT
            event = await self.vm.within(max(0.0, min(silence, left)), how, self.vm.agent.event())
            if event.get("id") != request.number:
                continue
            if event["ev"] == "error":
                raise InfraError(f"the agent refused the workload: {event.get('message')}")
            if event["ev"] == "exit":
                if not event.get("timeout"):
                    self.postmortem.in_time()
                return asked


class _Skipped(Exception):
    """The cell cannot run on this kernel."""
