# SPDX-License-Identifier: GPL-2.0
"""Start a cell's guest, carry the cell out, end the guest.

A cell is started and carried out in two steps: a clone that is restored but does not run yet costs
only memory, so the next cell's can wait while the present one's works. Where a CPU of the host has
nothing else to do, it rehearses a sample before it waits.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import replace
from pathlib import Path

from rmaplab.errors import InfraError
from rmaplab.evidence.ends import EndCause
from rmaplab.evidence.names import TRANSCRIPT
from rmaplab.evidence.protocol import REQUEST_BYTES
from rmaplab.guest import template
from rmaplab.guest.agent import AgentGarbled, encode
from rmaplab.guest.cellsetup import CellSetup, has_request, run_words
from rmaplab.guest.command import Launch, slowdown
from rmaplab.guest.session import Session
from rmaplab.guest.transcript import Transcript
from rmaplab.guest.vm import running
from rmaplab.model import Cell


class RunningCell:
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


async def start(cell: Cell, setup: CellSetup, folder: Path, program: str) -> RunningCell:
    """Start a cell's guest, its evidence in ``folder``; a restored one does not run yet."""
    async with contextlib.AsyncExitStack() as stack:
        transcript = stack.enter_context(Transcript(folder / TRANSCRIPT))
        transcript.say("lab", "cell", cell=cell.id)
        if setup.template is not None:
            transcript.carry_over(setup.template.transcript)
        session = None
        try:
            launch = _with_request(cell, setup, folder, program)
            vm = await stack.enter_async_context(
                running(cell.guest, launch, folder=folder, transcript=transcript)
            )
            if setup.template is not None:
                vm.agent.count_from(setup.template.result.last_request)
                if setup.warms_up and not has_request(cell, setup):
                    stretch = slowdown(cell.guest, launch.accelerator)
                    await vm.warm_up(cell.guest.limits.ready_s * stretch)
            session = Session(cell, setup, vm, transcript, program)
        except InfraError as error:
            how = EndCause.GARBLED if isinstance(error, AgentGarbled) else EndCause.UNUSABLE
            transcript.say("lab", "end", how=str(how), detail=error.message)
        return RunningCell(stack.pop_all(), session)


def _with_request(cell: Cell, setup: CellSetup, folder: Path, program: str) -> Launch:
    """How to start a cell's guest; a clone in exact mode has its request from the beginning.

    Raises InfraError if the request is too long for that.
    """
    if setup.template is None or not has_request(cell, setup):
        return setup.launch
    number = str(setup.template.result.last_request + 1)
    line = encode([number, *run_words(cell, setup, program)])
    if len(line) > REQUEST_BYTES:
        raise InfraError(f"exact mode: a request of {len(line)} bytes, at most {REQUEST_BYTES} fit")
    path = folder / template.REQUEST
    path.write_bytes(line.ljust(REQUEST_BYTES, b"\0"))
    return replace(setup.launch, request=path)


async def run(cell: Cell, setup: CellSetup, folder: Path, program: str) -> None:
    """Start a cell, carry it out and end its guest."""
    async with contextlib.aclosing(await start(cell, setup, folder, program)) as started:
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
        transcript.say("lab", "end", how=str(EndCause.NOT_RUN), detail=detail)
