# SPDX-License-Identifier: GPL-2.0
"""Give cells their turns: in order, in as many slots as may work at once.

A cell goes through four stages: it is handed out and may start its guest, its turn comes and it
works in its slots, its guest ends beside the next cell, and it is over when it is journalled. The
number of cells in each stage is bounded, so a run's memory does not grow with its cells.
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType

from rmaplab.model import Cell
from rmaplab.schedule import width

# A cell in its slots, and one more whose guest ends, for each slot.
_UNFINISHED = 2


class Turn:
    """The turn of one cell; entered when it comes, left when the cell's slots are free again.

    ``close`` has to be called in any case, also for a cell that took no turn.
    """

    def __init__(self, turns: Turns, number: int, slots: int) -> None:
        self._turns = turns
        self._number = number
        self._slots = slots
        self._came = False

    async def __aenter__(self) -> None:
        if self._came:
            raise RuntimeError("a cell has one turn")
        await self._turns.wait_for(self._number, self._slots)
        self._came = True

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._turns.free(self._slots)
        await asyncio.sleep(0)  # the next cell's workload begins before this one's guest ends

    def close(self) -> None:
        """Let another cell be handed out, or have its turn, in this one's stead."""
        if self._came:
            self._turns.finish()
        else:
            self._turns.pass_over(self._number)


class Turns:
    """The turns of a run's cells: ``jobs`` slots, and ``ahead`` cells that wait for them.

    Nobody overtakes: a cell that needs two slots gets them before the cells behind it get one.
    """

    def __init__(self, jobs: int, ahead: int) -> None:
        self._jobs = jobs
        self._waiting = asyncio.Semaphore(ahead)
        self._unfinished = asyncio.Semaphore(_UNFINISHED * jobs)
        self._slots = asyncio.Semaphore(jobs)
        self._handed_out = 0
        self._next = 0
        self._passed: set[int] = set()
        self._due: dict[int, asyncio.Event] = {}

    async def hand_out(self, cell: Cell) -> Turn:
        """Return the next cell's turn, as soon as one more cell may wait for its own."""
        await self._waiting.acquire()
        turn = Turn(self, self._handed_out, width(cell, self._jobs))
        self._handed_out += 1
        return turn

    async def wait_for(self, number: int, slots: int) -> None:
        """Wait until the cells before are in their slots, and for as many slots."""
        if number != self._next:
            due = self._due[number] = asyncio.Event()
            await due.wait()
        # One cell at a time gets here: two that had a part each would wait for ever.
        async with contextlib.AsyncExitStack() as stack:
            for semaphore in (self._unfinished, *[self._slots] * slots):
                await semaphore.acquire()
                stack.callback(semaphore.release)
            stack.pop_all()
        self._advance()
        self._waiting.release()

    def free(self, slots: int) -> None:
        """Take a cell out of its slots."""
        for _ in range(slots):
            self._slots.release()

    def finish(self) -> None:
        """Note that a cell that had its turn is over."""
        self._unfinished.release()

    def pass_over(self, number: int) -> None:
        """Note that a cell is over that took no turn."""
        self._waiting.release()
        self._due.pop(number, None)
        if number == self._next:
            self._advance()
        else:
            self._passed.add(number)

    def _advance(self) -> None:
        self._next += 1
        while self._next in self._passed:
            self._passed.remove(self._next)
            self._next += 1
        if due := self._due.pop(self._next, None):
            due.set()
