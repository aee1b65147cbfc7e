# SPDX-License-Identifier: GPL-2.0
"""A cell's guest ends, and the cell is judged, beside the next cell; after an error at once."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rmaplab.guest.cell import RunningCell
from rmaplab.guest.transcript import Transcript
from rmaplab.model import Cell
from rmaplab.pipeline.runner import Runner, _CellQueue, _QueuedCell, _Slots

from .builders import cell


class FakeStarted:
    """Notes when its cell begins and its guest ends, which takes until ``may_end`` is set."""

    def __init__(self, number: int, said: list[str], may_end: asyncio.Event) -> None:
        self.number = number
        self.said = said
        self.may_end = may_end

    async def carry_out(self) -> None:
        self.said.append(f"cell {self.number}")

    async def aclose(self) -> None:
        await self.may_end.wait()
        self.said.append(f"end {self.number}")


class Workers(Runner):
    """Of a Runner only what takes cells from the line."""

    def __init__(self, said: list[str]) -> None:
        self.said = said

    def _finish(self, wanted: Cell, progress: Any) -> None:
        self.said.append(f"judged {wanted.repeat - 1}")


def test_the_next_cell_does_not_wait_for_the_last_ones_guest_but_the_one_after_does() -> None:
    said: list[str] = []

    async def run() -> None:
        may_end = [asyncio.Event() for _ in range(3)]
        line = _CellQueue(4)
        for number, event in enumerate(may_end):
            started: Any = FakeStarted(number, said, event)
            line.add(_QueuedCell(cell(repeat=number + 1), None, started))
        line.close()
        workers: Any = Workers(said)
        work = asyncio.ensure_future(workers._work(line, _Slots(1), None))
        for number, event in enumerate(may_end):
            for _ in range(20):
                await asyncio.sleep(0)
            said.append(f"let {number}")
            event.set()
        await work

    asyncio.run(asyncio.wait_for(run(), 10))
    assert said == [
        "cell 0", "cell 1", "let 0", "end 0", "judged 0",
        "cell 2", "let 1", "end 1", "judged 1",
        "let 2", "end 2", "judged 2",
    ]  # fmt: skip


def test_a_cell_that_fails_in_the_lab_ends_its_guest_at_once(tmp_path: Path) -> None:
    ended: list[bool] = []

    async def to_the_end() -> None:
        raise OSError("no space left on device")

    async def run() -> None:
        stack = contextlib.AsyncExitStack()
        stack.callback(ended.append, True)
        transcript = stack.enter_context(Transcript(tmp_path / "agent.jsonl"))
        session: Any = SimpleNamespace(transcript=transcript, to_the_end=to_the_end)
        with pytest.raises(OSError, match="no space"):
            await RunningCell(stack, session).carry_out()

    asyncio.run(run())
    assert ended == [True]
