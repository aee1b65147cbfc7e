# SPDX-License-Identifier: GPL-2.0
"""Carry out cells on a clone each, on a boot each, or on a guest that they share."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Protocol, TypeAlias

from rmaplab.guest import cell
from rmaplab.guest.cellsetup import CellTask
from rmaplab.guest.shared import SharedGuest
from rmaplab.model import Isolation

Turn: TypeAlias = contextlib.AbstractAsyncContextManager[None]
"""The slots of a cell: entered when they are free, left when the cell's workload is over."""


class GuestIsolation(Protocol):
    """Carry out the cells of one isolation."""

    async def carry_out(self, task: CellTask, folder: Path, turn: Turn) -> None:
        """Carry out a cell in its turn and leave its evidence, which is whole on return."""

    async def close(self) -> None:
        """End the guests that are left."""


class ClonePerCell:
    """Restore a clone before the cell's turn, end it beside the next cell.

    Clones are restored one after the other, so that the cells that work lose little of the CPU to
    those that wait. With ``rehearse`` each rehearses a sample before it waits.
    """

    def __init__(self, *, rehearse: bool) -> None:
        self._rehearse = rehearse
        self._restoring = asyncio.Lock()

    async def carry_out(self, task: CellTask, folder: Path, turn: Turn) -> None:
        """Carry out a cell on a clone of its own."""
        async with self._restoring:
            clone = await cell.start(
                task.cell, task.setup, folder, task.program, rehearse=self._rehearse
            )
        async with contextlib.aclosing(clone), turn:
            await clone.carry_out()

    async def close(self) -> None:
        """Do nothing: each clone ends with its cell."""


class BootPerCell:
    """Boot a guest in the cell's turn, which takes a CPU; end it beside the next cell."""

    async def carry_out(self, task: CellTask, folder: Path, turn: Turn) -> None:
        """Carry out a cell on a guest that boots for it."""
        async with contextlib.AsyncExitStack() as stack, turn:
            started = await cell.start(task.cell, task.setup, folder, task.program)
            await stack.enter_async_context(contextlib.aclosing(started))
            await started.carry_out()

    async def close(self) -> None:
        """Do nothing: each guest ends with its cell."""


class SharedGuests:
    """Keep one guest for all cells of a kernel and a guest profile."""

    def __init__(self) -> None:
        self._guests: dict[tuple[str, str], SharedGuest] = {}

    async def carry_out(self, task: CellTask, folder: Path, turn: Turn) -> None:
        """Carry out a cell in the guest that the cells before it used."""
        key = (task.cell.kernel, task.cell.place)
        if key not in self._guests:
            self._guests[key] = SharedGuest()
        async with turn:
            await self._guests[key].run(task.cell, task.setup, folder, task.program)

    async def close(self) -> None:
        """End the guests."""
        for guest in self._guests.values():
            await guest.close()


def strategies(*, rehearse: bool) -> dict[Isolation, GuestIsolation]:
    """Return how the cells of each isolation are carried out; ``rehearse`` is for clones."""
    return {
        Isolation.CLONE: ClonePerCell(rehearse=rehearse),
        Isolation.BOOT: BootPerCell(),
        Isolation.SHARED: SharedGuests(),
    }
