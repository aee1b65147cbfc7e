# SPDX-License-Identifier: GPL-2.0
"""Run many cells in one guest, one after the other, as other runners do: to compare speeds.

Nothing is isolated: a cell finds what the cells before it left, and a taint or a leak of one cell
is seen in all that follow. After a guest that died the next cell boots another one.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import BinaryIO

from rmaplab.errors import InfraError
from rmaplab.evidence.ends import EndCause
from rmaplab.evidence.names import CONSOLE_LOG, TRANSCRIPT
from rmaplab.guest.cellsetup import CellSetup
from rmaplab.guest.session import Session
from rmaplab.guest.transcript import Transcript
from rmaplab.guest.vm import Vm, running
from rmaplab.model import Cell

_BEGIN, _END = b"rmaplab: begin ", b"rmaplab: end "
# For the console's end mark to come, which the agent prints before it reports the workload's end.
_MARK_LIMIT_S = 5.0


class SharedGuest:
    """One guest for many cells; ``close`` ends it."""

    def __init__(self) -> None:
        self._busy = asyncio.Lock()
        self._stack = contextlib.AsyncExitStack()
        self._vm: Vm | None = None
        self._transcript: Transcript | None = None
        self._boot = b""
        self._console: BinaryIO | None = None

    async def run(self, cell: Cell, setup: CellSetup, folder: Path, program: str) -> None:
        """Run a cell, its evidence in ``folder``. Never raises for what a guest does."""
        async with self._busy:
            lives = False
            try:
                lives = await self._run(cell, setup, folder, program)
            finally:
                if not lives:
                    await self.close()

    async def _run(self, cell: Cell, setup: CellSetup, folder: Path, program: str) -> bool:
        """Run a cell; return whether the guest can have another one."""
        booted = self._vm is not None
        transcript = self._next_transcript(folder)
        transcript.say("lab", "cell", cell=cell.id)
        try:
            vm = await self._next_guest(cell, setup, folder, transcript)
        except InfraError as error:
            transcript.say("lab", "end", how=str(EndCause.UNUSABLE), detail=error.message)
            return False
        session = Session(cell, setup, vm, transcript, program, booted=booted)
        ended = vm.console.expect(_END)
        death = await session.to_the_end()
        if death.how is not EndCause.BYE:
            return False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _MARK_LIMIT_S)
        transcript.say("lab", "console", bytes=vm.console.log.size)
        transcript.seal()
        if not self._boot:
            self._boot = _up_to_mark((folder / CONSOLE_LOG).read_bytes())
        return True

    def _next_transcript(self, folder: Path) -> Transcript:
        path = folder / TRANSCRIPT
        if self._transcript is None:
            self._transcript = self._stack.enter_context(Transcript(path))
        else:
            self._transcript.go_on(path)
        return self._transcript

    async def _next_guest(
        self, cell: Cell, setup: CellSetup, folder: Path, transcript: Transcript
    ) -> Vm:
        if self._vm is None:
            self._vm = await self._stack.enter_async_context(
                running(cell.guest, setup.launch, folder=folder, transcript=transcript)
            )
            return self._vm
        before = self._console
        self._console = (folder / CONSOLE_LOG).open("wb")
        self._console.write(self._boot)
        self._vm.console.log.go_on(self._console)
        if before is not None:
            before.close()
        return self._vm

    async def close(self) -> None:
        """End the guest; the next cell boots another."""
        try:
            await self._stack.aclose()
        finally:
            if self._console is not None:
                self._console.close()
            self._vm = self._transcript = self._console = None
            self._boot = b""


def _up_to_mark(console: bytes) -> bytes:
    """Return the boot's lines: those before the first workload's begin mark."""
    mark = console.find(_BEGIN)
    return console[: console.rfind(b"\n", 0, mark) + 1] if mark >= 0 else console
