# SPDX-License-Identifier: GPL-2.0
"""Start a cell's guest, carry the cell out, end the guest.

A cell is started and carried out in two steps: a clone that is restored but does not run yet costs
only memory, so the next cell's clone can wait while the present cell works.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path

from rmaplab.errors import InfraError, is_fatal
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
    """A cell whose guest lives until ``aclose``.

    A cell whose guest could not be started, by the lab's fault, is over already.
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
        await self._session.to_the_end()

    async def aclose(self) -> None:
        """End the guest; the evidence is whole then."""
        await self._stack.aclose()


async def start(
    cell: Cell, setup: CellSetup, folder: Path, program: str, *, rehearse: bool = False
) -> RunningCell:
    """Start a cell's guest, its evidence in ``folder``; a restored guest does not run yet.

    With ``rehearse`` a restored guest rehearses a sample before that.
    """
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
                if rehearse and not has_request(cell, setup):
                    stretch = slowdown(cell.guest, launch.accelerator)
                    await vm.warm_up(cell.guest.limits.ready_s * stretch)
            session = Session(cell, setup, vm, transcript, program)
        except InfraError as error:
            if is_fatal(error):
                raise
            how = EndCause.GARBLED if isinstance(error, AgentGarbled) else EndCause.UNUSABLE
            transcript.say("lab", "end", how=str(how), detail=error.message)
        return RunningCell(stack.pop_all(), session)


def _with_request(cell: Cell, setup: CellSetup, folder: Path, program: str) -> Launch:
    """Return how to start a cell's guest; a clone in exact mode has its request from the start.

    Raises InfraError if the request is too long for the file that holds it.
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
    """Start a cell, carry it out and end its guest, its evidence in ``folder``."""
    async with contextlib.aclosing(await start(cell, setup, folder, program)) as started:
        await started.carry_out()
