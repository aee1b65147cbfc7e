# SPDX-License-Identifier: GPL-2.0
"""Save a guest's memory: at its first complaint, before its time is up, or when it died.

The guest stands still meanwhile, its own clock and the lab's limits with it, so that a dump changes
no verdict; a dump that fails is said in the transcript. A cell has one dump: the first moment is
the one nearest to the cause.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from rmaplab.errors import InfraError
from rmaplab.evidence.ends import EndCause
from rmaplab.guest.transcript import Transcript
from rmaplab.guest.vm import GuestEnd, Vm
from rmaplab.store import memoryfile
from rmaplab.store.memoryfile import GivenUp, NothingCame, NotSaved

LIMIT_S = 60.0
"""The limit of one dump, in seconds: 1 GB takes about 2 s on an idle host."""
# How long the guest runs on after a complaint, so that it is printed whole or becomes a panic: at
# most REPORT_S, and until the console is silent for QUIET_S.
REPORT_S = 5.0
QUIET_S = 0.3
# The share of a workload's time limit after which its memory is dumped, while it still runs.
NEARLY = 0.95

COMPLAINT, TIME = "complaint", "time"
"""Why a memory was saved, besides how a guest died (``EndCause``)."""

# The ends that the kernel is to blame for; after those of the lab's own there is nothing to find.
_DEATHS = frozenset(
    {EndCause.PANIC, EndCause.RESET, EndCause.POWEROFF, EndCause.SILENCE, EndCause.BOOT_LIMIT,
     EndCause.READY_LIMIT, EndCause.TEST_LIMIT, EndCause.CLOSED}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MemoryDumpPermit:
    """Permit one dump of a guest's memory, compressed at most ``max_bytes`` large."""

    max_bytes: int


class Postmortem:
    """Save the memory of one cell's guest, at most once, if there is a permit.

    With ``living`` the memory of a guest that still runs is dumped, too; without it only that of a
    guest that died.
    """

    def __init__(
        self, vm: Vm, transcript: Transcript, permit: MemoryDumpPermit | None, *, living: bool
    ) -> None:
        self._vm = vm
        self._transcript = transcript
        self._path = transcript.folder / memoryfile.NAME
        self._permit = permit
        self._living = living
        self._busy = asyncio.Lock()
        self._why = ""
        self._saved = False
        self._in_time = False
        self._begun = asyncio.Event()
        self._nearly = 0.0

    def time_runs(self, limit_s: float) -> None:
        """Note that the workload has begun; it is killed after ``limit_s``."""
        self._nearly = self._vm.clock() + limit_s * NEARLY
        self._begun.set()

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch for a complaint and for the time limit, for the block."""
        if self._permit is None or not self._living:
            yield
            return
        self._vm.console.forget_complaint()
        watch = asyncio.ensure_future(self._watch())
        try:
            yield
        finally:
            async with self._busy:  # until a dump that has begun is done
                watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch

    async def after(self, death: GuestEnd) -> None:
        """Save the memory of a guest that died, if it was not saved before."""
        why = str(death.how)
        if death.how not in _DEATHS or not self._may_dump(why):
            return
        try:
            async with self._vm.held():
                await self._save()
        except InfraError as error:
            self._failed(error)

    def in_time(self) -> None:
        """Note that the workload ended in time; delete the memory that was saved for its limit."""
        self._in_time = True
        if self._why == TIME and self._saved:
            self._drop()

    def _drop(self) -> None:
        if self._saved:
            self._saved = False
            self._path.unlink()
            self._transcript.say("lab", "memory-dropped", why="the workload ended in time")

    async def _watch(self) -> None:
        complained = asyncio.ensure_future(self._vm.console.complained.wait())
        nearly = asyncio.ensure_future(self._until_nearly())
        waits: set[asyncio.Future[Any]] = {complained, nearly}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            async with self._busy:
                await self._dump_living(COMPLAINT if complained.done() else TIME)
        finally:
            for wait in waits:
                wait.cancel()

    async def _until_nearly(self) -> None:
        await self._begun.wait()
        while (left := self._nearly - self._vm.clock()) > 0:
            await asyncio.sleep(left)

    async def _dump_living(self, why: str) -> None:
        vm = self._vm
        if why == COMPLAINT:
            await self._complaint_ends()
        # The memory of a guest that is dead by now is dumped after its last words (``after``).
        if vm.death.done() or (why == TIME and self._in_time) or not self._may_dump(why):
            return
        try:
            async with vm.held():
                await self._save()
            if why == TIME and self._in_time:
                self._drop()
        except InfraError as error:
            # A guest that stays stopped would look as if it hung.
            vm.died(
                EndCause.UNUSABLE, f"the guest does not go on after its memory was saved: {error}"
            )

    async def _complaint_ends(self) -> None:
        console = self._vm.console
        reported = asyncio.ensure_future(console.reported.wait())
        either: set[asyncio.Future[Any]] = {reported, self._vm.death}
        ends = time.monotonic() + REPORT_S
        while (now := time.monotonic()) < ends and now < console.spoke_at + QUIET_S:
            await asyncio.wait(either, timeout=QUIET_S / 3, return_when=asyncio.FIRST_COMPLETED)
            if reported.done() or self._vm.death.done():
                break
        reported.cancel()

    def _may_dump(self, why: str) -> bool:
        """Return whether a dump is permitted and the first of the cell; note its reason then."""
        if self._why or self._permit is None:
            return False
        self._why = why
        return True

    async def _save(self) -> None:
        assert self._permit is not None
        began = time.monotonic()
        try:
            size = await self._dump(self._permit.max_bytes)
        except (InfraError, NotSaved) as error:
            self._failed(error)
            return
        self._saved = True
        self._transcript.say(
            "lab", "memory", why=self._why, complaint=self._vm.console.complaint,
            file=self._path.name, bytes=self._path.stat().st_size, memory_bytes=size,
            seconds=round(time.monotonic() - began, 2),
        )  # fmt: skip

    def _failed(self, error: Exception) -> None:
        self._transcript.say("lab", "memory-not-saved", why=self._why, detail=str(error))

    async def _dump(self, max_bytes: int) -> int:
        """Save the memory of a guest that is held; return how many bytes it has."""
        far, near = os.pipe()
        given_up = threading.Event()
        receiving = asyncio.ensure_future(
            asyncio.to_thread(
                memoryfile.receive, far, self._path,
                max_bytes=max_bytes, limit_s=LIMIT_S, given_up=given_up,
            )
        )  # fmt: skip
        try:
            await self._vm.dump(near, LIMIT_S)
        except InfraError as error:
            # Where the file became too large, QEMU's error is only that the pipe has no reader any
            # more, whichever of the two is seen first. That the pipe ended is no reason of its own.
            given_up.set()
            try:
                await receiving
            except (NothingCame, GivenUp):
                raise error from None
            except NotSaved as cause:
                raise cause from None
            self._path.unlink()  # what came before QEMU failed
            raise
        except BaseException:
            given_up.set()
            raise
        return await receiving
