# SPDX-License-Identifier: GPL-2.0
"""Conduct the conversation of one cell: set-up, workload, sample.

Everything that is learned goes into the transcript and the console log; this module judges
nothing. The transcript's last ``end`` line says how the cell ended; a transcript without one
belongs to a lab that was killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from rmaplab.collect.ledger import Terms
from rmaplab.errors import InfraError, is_fatal
from rmaplab.evidence.ends import EndCause, SampleLabel
from rmaplab.evidence.events import Answer, Exit, Refusal
from rmaplab.guest import prepare, sampling, settings
from rmaplab.guest.agent import AgentGarbled, Request
from rmaplab.guest.cellsetup import CellSetup, LedgerSetup, has_request, limit_s, run_words
from rmaplab.guest.command import slowdown
from rmaplab.guest.postmortem import Postmortem
from rmaplab.guest.prepare import Unusable
from rmaplab.guest.sampling import PendingSample
from rmaplab.guest.settings import GuestSetup
from rmaplab.guest.transcript import Transcript
from rmaplab.guest.vm import SETTLE_S, STUCK_QEMU, GuestDied, GuestEnd, LimitReached, Vm
from rmaplab.log import log
from rmaplab.model import Cell, Upstream

T = TypeVar("T")

# How often to drain and sample, while the ledger does not balance.
SAMPLES = 4
# Beyond the agent's own limit: for its kill to be carried out and said.
KILL_GRACE_S = 5.0


class Session:
    """Conducts the conversation of one cell; all that happens in it turns into a GuestEnd.

    ``booted`` says that the guest has had a cell before.
    """

    def __init__(
        self,
        cell: Cell,
        setup: CellSetup,
        vm: Vm,
        transcript: Transcript,
        program: str,
        *,
        booted: bool = False,
    ) -> None:
        self.booted = booted
        self.postmortem = Postmortem(
            vm, transcript, setup.memory_dump, living=not cell.guest.icount
        )
        self.cell = cell
        self.setup = setup
        self.vm = vm
        self.transcript = transcript
        self.program = program
        self._probes: Mapping[str, bool] = {}
        self.stretch = slowdown(cell.guest, setup.launch.accelerator)
        self._limits = cell.guest.limits

    async def to_the_end(self) -> GuestEnd:
        """Conduct the cell and note how it ended.

        An exception ends this cell and no other one, unless every cell would meet it
        (``errors.is_fatal``): then it is raised.
        """
        try:
            death = await self._watched()
        except asyncio.CancelledError:
            self.transcript.say("lab", "interrupted")
            raise
        self.transcript.say("lab", "end", how=str(death.how), detail=death.detail)
        if death.how is not EndCause.BYE:
            await self.vm.last_words()
            await self.postmortem.after(death)
        return death

    async def _watched(self) -> GuestEnd:
        """Conduct the cell and turn an exception into its end."""
        try:
            async with self.postmortem.watching():
                return await self._conduct()
        except AgentGarbled as error:
            # A kernel that spoils the agent's memory may die of the same: then that is the end.
            await asyncio.wait({self.vm.death}, timeout=SETTLE_S)
            if self.vm.death.done():
                return self.vm.death.result()
            return GuestEnd(EndCause.GARBLED, error.message)
        except Exception as error:
            if is_fatal(error):
                raise
            if isinstance(error, InfraError):
                return GuestEnd(EndCause.UNUSABLE, error.message)
            log.warn(f"{self.cell.id}: {type(error).__name__}: {error}")
            return GuestEnd(EndCause.LAB_ERROR, f"{type(error).__name__}: {error}")

    async def _conduct(self) -> GuestEnd:
        try:
            await self._set_up()
            limit = limit_s(self.cell, self.setup)
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
            return GuestEnd(EndCause.UNUSABLE, str(error))
        return GuestEnd(EndCause.BYE, "")

    async def _set_up(self) -> None:
        """Give the guest the cell's settings: done already for a clone, after boot for another."""
        required = self.cell.testcase.requires.files
        if self.setup.template is not None:
            result = self.setup.template.result
        else:
            if not self.booted:
                ready = await prepare.boot(
                    self.vm,
                    self.setup.launch.accelerator,
                    self.transcript,
                    self.setup.counter_files,
                )
                self._probes = ready.probes
            wanted = GuestSetup(self.cell.settings, required, self.setup.audit)
            result = await self._briefly(
                "settings", settings.apply_settings(self.vm, wanted, self.transcript)
            )
        if reason := result.lacks(required):
            raise _Skipped(reason)

    async def _prepare(self, upstream: Upstream) -> None:
        """Do what run_vmtests.sh does before a program, and note what the program is to print."""
        if (due := self.setup.expected) is not None:
            names = None if due.names is None else list(due.names)
            self.transcript.say(
                "lab", "expected", version=due.version, section=due.section, names=names
            )
        await self.vm.go()
        for write in upstream.prepare:
            await settings.apply(self.vm.agent, self.cell.testcase.name, write, self.transcript)

    async def _briefly(self, phase: str, awaited: Coroutine[Any, Any, T]) -> T:
        """Wait for a phase in which only the agent works."""
        limit = self._limits.ready_s * self.stretch
        prepare.phase(self.transcript, phase, limit)
        return await self.vm.within(limit, EndCause.READY_LIMIT, awaited)

    async def _explain(self, reached: LimitReached) -> GuestEnd:
        """Find out at a limit what is stuck: QEMU, the guest, or only its workload.

        Raises InfraError if QEMU is.
        """
        if not await self.vm.qemu_answers():
            raise InfraError(f"{reached}, and QEMU does not answer either: {STUCK_QEMU}")
        if reached.how is not EndCause.TEST_LIMIT:
            return GuestEnd(reached.how, str(reached))
        silence = self._limits.silence_s * self.stretch
        try:
            await self.vm.within(silence, EndCause.SILENCE, self.vm.agent.ask("ping"))
        except LimitReached:
            return GuestEnd(EndCause.SILENCE, f"{reached}, and the agent does not answer a ping")
        except GuestDied as died:
            return died.death
        return GuestEnd(
            EndCause.TEST_LIMIT, f"{reached}; the agent lives, the workload is stuck in the kernel"
        )

    def _drain(self) -> tuple[str, ...] | None:
        """Return the words of the first sample's drain after the workload, None for no drain."""
        if self.setup.ledger is None:
            return None
        return ("wait",) if self.setup.ledger.before is None else ()

    async def _sample(self, asked: PendingSample | None) -> None:
        """Sample until the ledger balances: what is on its way back may come a moment later.

        ``asked`` is the first sample, if it was asked for.
        """
        ledger, agent, drain = self.setup.ledger, self.vm.agent, self._drain()
        if ledger is None:
            await sampling.sample(agent, SampleLabel.AFTER, self.transcript, drain, asked)
            return
        terms = self._terms(ledger)
        self.transcript.say(
            "lab", "ledger", bounds=dict(terms.bounds), error=ledger.error,
            leaves=dict(terms.leaves), cpus=terms.cpus, page_kb=terms.page_kb,
            probes=dict(ledger.probes or self._probes),
        )  # fmt: skip
        for _ in range(SAMPLES):
            after = await sampling.sample(agent, SampleLabel.AFTER, self.transcript, drain, asked)
            if ledger.before is None or sampling.is_balanced(ledger.before, after, terms):
                return
            drain, asked = ("wait",), None

    def _terms(self, setup: LedgerSetup) -> Terms:
        """Return the terms of the cell's ledger."""
        guest, leaves = self.cell.guest, self.cell.testcase.leaves
        return Terms(setup.bounds, leaves, guest.cpus, guest.architecture.page_kb)

    async def _ask_ahead(self) -> PendingSample | None:
        """Ask for the sample after the workload before it begins.

        That spares the guest an interrupt and the lab a turn. Not in exact mode: no byte may come
        while instructions are counted.
        """
        if self.cell.guest.icount:
            return None
        return await sampling.ask(self.vm.agent, self._drain())

    async def _begin(self) -> tuple[Request, PendingSample | None]:
        """Ask for the workload and the sample after it; a restored guest runs on with that."""
        words = run_words(self.cell, self.setup, self.program)
        if has_request(self.cell, self.setup):
            request = self.vm.agent.given(*words)
        else:
            request = await self.vm.agent.send(*words)
        asked = await self._ask_ahead()
        await self.vm.go()
        return request, asked

    async def _test(self, limit: float) -> PendingSample | None:
        """Run the workload to its end; return the requests for the sample after it."""
        exact = self.cell.guest.icount
        request, asked = await self.vm.within(
            self._limits.silence_s * self.stretch, EndCause.SILENCE, self._begin()
        )
        self.postmortem.time_runs(limit)
        ends = self.vm.clock() + limit + KILL_GRACE_S * self.stretch
        # An agent that counts instructions sends no heartbeat.
        silence = limit if exact else self._limits.silence_s * self.stretch
        while True:
            left = ends - self.vm.clock()
            how = EndCause.SILENCE if left > silence else EndCause.TEST_LIMIT
            event = await self.vm.within(max(0.0, min(silence, left)), how, self.vm.agent.event())
            if not isinstance(event, Answer | Refusal) or event.id != request.number:
                continue
            if isinstance(event, Refusal):
                raise InfraError(f"the agent refused the workload: {event.message}")
            if isinstance(event, Exit):
                if not event.timeout:
                    self.postmortem.in_time()
                return asked


class _Skipped(Exception):
    """The cell cannot run on this kernel."""
