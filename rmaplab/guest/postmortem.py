# SPDX-License-Identifier: GPL-2.0
"""Saving a guest's memory: at its first complaint, before its time is up, or when it died.

The guest stands still meanwhile, its own clock and the lab's limits with it, so that whatever
happens here changes no verdict; if it fails, the transcript says so. One memory a cell: the first
moment is the one nearest to the cause.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from rmaplab.errors import InfraError
from rmaplab.evidence.ends import EndCause
from rmaplab.guest.transcript import Transcript
from rmaplab.guest.vm import GuestEnd, Vm
from rmaplab.store import memoryfile
from rmaplab.store.memoryfile import NothingCame, NotSaved

LIMIT_S = 60.0
"""For one memory: 1 GB takes about 2 s on an idle host."""
# For a complaint to be printed whole, or to become a panic, before the guest is stopped: at most
# so long, and as long as it is silent for.
REPORT_S = 5.0
QUIET_S = 0.3
# The share of a workload's time after which it is looked at, while it is still there.
NEARLY = 0.95

COMPLAINT, TIME = "complaint", "time"
"""Why a memory was saved, besides how a guest died (``EndCause``)."""

# The kernel's deaths; after the lab's own there is nothing to look for.
_DEATHS = frozenset(
    {EndCause.PANIC, EndCause.RESET, EndCause.POWEROFF, EndCause.SILENCE, EndCause.BOOT_LIMIT,
     EndCause.READY_LIMIT, EndCause.TEST_LIMIT, EndCause.CLOSED}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MemoryDumpPermit:
    """Whether a cell's memory is to be kept.

    ``claim`` takes one of the places that the run has for memories, or says that there is none
    left; ``give_back`` returns it. ``max_bytes`` is how large the compressed file may be.
    """

    max_bytes: int
    claim: Callable[[], bool]
    give_back: Callable[[], None]


class Postmortem:
    """Saves the memory of one cell's guest, at most once.

    With ``living`` a guest that still runs is looked at, too; without it only one that died.
    """

    def __init__(
        self, vm: Vm, transcript: Transcript, keep: MemoryDumpPermit | None, *, living: bool
    ) -> None:
        self._vm = vm
        self._transcript = transcript
        self._path = transcript.folder / memoryfile.NAME
        self._keep = keep
        self._living = living
        self._busy = asyncio.Lock()
        self._why = ""
        self._saved = False
        self._in_time = False
        self._begun = asyncio.Event()
        self._nearly = 0.0

    def time_runs(self, limit_s: float) -> None:
        """The workload has begun; it is killed after that many seconds."""
        self._nearly = self._vm.clock() + limit_s * NEARLY
        self._begun.set()

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch over the guest for the block."""
        if self._keep is None or not self._living:
            yield
            return
        self._vm.console.forget_complaint()
        watch = asyncio.ensure_future(self._watch())
        try:
            yield
        finally:
            async with self._busy:  # a memory that is being saved is nearly there
                watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch

    async def after(self, death: GuestEnd) -> None:
        """Save the memory of a guest that died, if it was not saved before."""
        why = str(death.how)
        if death.how not in _DEATHS or not self._is_wanted(why):
            return
        try:
            async with self._vm.held():
                await self._save()
        except InfraError as error:
            self._failed(error)

    def in_time(self) -> None:
        """The workload ended in time after all: what was saved for that is not kept."""
        self._in_time = True
        if self._why == TIME and self._saved:
            self._drop()

    def _drop(self) -> None:
        if self._saved and self._keep is not None:
            self._saved = False
            self._path.unlink()
            self._keep.give_back()
            self._transcript.say("lab", "memory-dropped", why="the workload ended in time")

    async def _watch(self) -> None:
        complained = asyncio.ensure_future(self._vm.console.complained.wait())
        nearly = asyncio.ensure_future(self._until_nearly())
        waits: set[asyncio.Future[Any]] = {complained, nearly}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            async with self._busy:
                await self._look_at_living(COMPLAINT if complained.done() else TIME)
        finally:
            for wait in waits:
                wait.cancel()

    async def _until_nearly(self) -> None:
        await self._begun.wait()
        while (left := self._nearly - self._vm.clock()) > 0:
            await asyncio.sleep(left)

    async def _look_at_living(self, why: str) -> None:
        vm = self._vm
        if why == COMPLAINT:
            await self._complaint_ends()
        # One that is dead by now is looked at when it has said its last words.
        if vm.death.done() or (why == TIME and self._in_time) or not self._is_wanted(why):
            return
        try:
            async with vm.held():
                await self._save()
            if why == TIME and self._in_time:
                self._drop()
        except InfraError as error:
            # A guest that stands still would look as if it hung.
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

    def _is_wanted(self, why: str) -> bool:
        """Whether there is a place for this memory, which is taken then."""
        if self._why or self._keep is None or not self._keep.claim():
            return False
        self._why = why
        return True

    async def _save(self) -> None:
        assert self._keep is not None
        began = time.monotonic()
        try:
            size = await self._dump(self._keep.max_bytes)
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
        assert self._keep is not None
        self._keep.give_back()
        self._transcript.say("lab", "memory-not-saved", why=self._why, detail=str(error))

    async def _dump(self, max_bytes: int) -> int:
        """Save the memory of a guest that is held; how many bytes it has."""
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
            # Where the file became too large, QEMU only found that nobody listens any more; that
            # the pipe ended is no reason of its own.
            listens = not receiving.done()
            given_up.set()
            try:
                await receiving
            except NotSaved as cause:
                raise (error if listens or isinstance(cause, NothingCame) else cause) from None
            self._path.unlink()  # what came before QEMU failed
            raise
        except BaseException:
            given_up.set()
            raise
        return await receiving
