# SPDX-License-Identifier: GPL-2.0
"""Carry out cells: the protocol of an executor, and the one that works on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

from rmaplab.errors import is_fatal
from rmaplab.evidence.ends import EndCause
from rmaplab.evidence.names import TRANSCRIPT
from rmaplab.guest import isolation
from rmaplab.guest.cellsetup import CellTask
from rmaplab.guest.isolation import GuestIsolation, Turn
from rmaplab.log import log
from rmaplab.model import Cell, Isolation
from rmaplab.pipeline.hostmemory import available_mb

# A clone that waits: what QEMU itself needs, measured by tests/bench_cells.py.
WAITING_MB = 40
_DETAIL_CHARACTERS = 2000


class Executor(Protocol):
    """Carry out a run's cells, several at a time.

    A cell comes as plain data (``CellTask``), so that it can be carried out anywhere, and its
    evidence goes into a folder. An executor neither orders cells nor judges them.
    """

    @property
    def ahead(self) -> int:
        """Return how many cells the executor takes before their turns, at least 1."""

    async def execute(self, task: CellTask, folder: Path, turn: Turn) -> None:
        """Carry out a cell; its evidence is whole in ``folder`` on return.

        The workload runs inside ``turn``; what it takes to start and to end the guest may be
        outside, beside other cells. Raises anything where the cell cannot be carried out.
        """

    async def close(self) -> None:
        """End what outlives a cell."""


class LocalExecutor:
    """Carry out cells on this machine, ``jobs`` at a time.

    While a cell works, the clones of the next ones are restored and wait. Where a CPU has nothing
    else to do, they rehearse a sample before they wait.
    """

    def __init__(
        self, jobs: int, strategies: Mapping[Isolation, GuestIsolation] | None = None
    ) -> None:
        self._strategies = strategies or isolation.strategies(
            rehearse=jobs < len(os.sched_getaffinity(0))
        )
        self._ahead = waiting_guests(jobs)

    @property
    def ahead(self) -> int:
        """Return how many guests may wait for their turn."""
        return self._ahead

    async def execute(self, task: CellTask, folder: Path, turn: Turn) -> None:
        """Carry out a cell as its guest's isolation says."""
        await self._strategies[task.cell.guest.isolation].carry_out(task, folder, turn)

    async def close(self) -> None:
        """End the guests that cells shared."""
        for strategy in self._strategies.values():
            await strategy.close()


def waiting_guests(jobs: int) -> int:
    """Return how many guests may wait: one for each that works, within a quarter of free memory."""
    return max(1, min(jobs, available_mb() // 4 // WAITING_MB))


@contextlib.contextmanager
def contained(cell: Cell, folder: Path) -> Iterator[None]:
    """Make an error of the block the end of its cell: the transcript's ``end`` line says it.

    Raises the error itself where every cell would meet it (``errors.is_fatal``).
    """
    began = time.monotonic()
    try:
        yield
    except Exception as error:
        if is_fatal(error):
            raise
        said = f"the lab failed: {type(error).__name__}: {error}"[:_DETAIL_CHARACTERS]
        # A file's name in it need not be UTF-8, and the transcript's reader takes nothing else.
        detail = said.encode("utf-8", "replace").decode("utf-8")
        log.warn(f"{cell.id}: {detail}")
        end = {"at": round(time.monotonic() - began, 3), "from": "lab", "ev": "end",
               "how": str(EndCause.UNUSABLE), "detail": detail}  # fmt: skip
        with (folder / TRANSCRIPT).open("a+b") as transcript:
            if not _ends_whole(transcript):
                transcript.write(b"\n")
            transcript.write(json.dumps(end).encode() + b"\n")


def _ends_whole(file: BinaryIO) -> bool:
    """Return whether a file's last line is whole; an empty file has none."""
    if file.seek(0, os.SEEK_END) == 0:
        return True
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
