# SPDX-License-Identifier: GPL-2.0
"""The slots that cells run in: one that needs two CPUs runs beside no other on two of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rmaplab.guest.cellsetup import CellSetup
from rmaplab.guest.command import Accelerator, Launch
from rmaplab.model import Requirements
from rmaplab.pipeline.runner import _QueuedCell, _Slots
from rmaplab.schedule import Remaining, estimate, width

from .builders import cell, testcase

BENCH = CellSetup(Launch(Path(), Path(), Accelerator.TCG), ())
NARROW = cell()
WIDE = cell(testcase=testcase("stress/wide", requires=Requirements(cpus=2)))


def running_together(jobs: int, *waiting: _QueuedCell) -> list[set[int]]:
    """Which of the cells run at each beginning of one, in its order; each takes some turns."""

    async def run() -> list[set[int]]:
        slots, now, seen = _Slots(jobs), set(), []

        async def one(number: int, taken: _QueuedCell) -> None:
            async with slots.held_by(taken):
                now.add(number)
                seen.append(set(now))
                for _ in range(5):
                    await asyncio.sleep(0)
                now.remove(number)

        await asyncio.gather(*(one(*numbered) for numbered in enumerate(waiting)))
        return seen

    return asyncio.run(asyncio.wait_for(run(), 10))


def test_a_wide_cell_runs_alone_and_nobody_overtakes_it() -> None:
    narrow, wide = _QueuedCell(NARROW, BENCH), _QueuedCell(WIDE, BENCH)
    assert running_together(2, narrow, wide, narrow, narrow) == [{0}, {1}, {2}, {2, 3}]


def test_two_wide_cells_do_not_wait_for_each_other() -> None:
    wide = _QueuedCell(WIDE, BENCH)
    assert running_together(2, wide, wide, wide) == [{0}, {1}, {2}]


def test_with_one_slot_a_wide_cell_has_that_and_with_three_another_runs_beside_it() -> None:
    narrow, wide = _QueuedCell(NARROW, BENCH), _QueuedCell(WIDE, BENCH)
    assert running_together(1, wide, narrow) == [{0}, {1}]
    assert running_together(3, wide, narrow) == [{0}, {0, 1}]


def test_a_cell_that_has_nothing_to_run_waits_for_nobody() -> None:
    assert running_together(2, _QueuedCell(NARROW, BENCH), _QueuedCell(WIDE)) == [{0}, {0, 1}]


def test_slots_are_free_again_after_an_error() -> None:
    async def run() -> None:
        slots = _Slots(2)
        for _ in range(3):
            try:
                async with slots.held_by(_QueuedCell(WIDE, BENCH)):
                    raise ValueError
            except ValueError:
                pass

    asyncio.run(asyncio.wait_for(run(), 10))


def test_an_estimate_knows_of_wide_cells() -> None:
    known = {NARROW.id: 3.0, WIDE.id: 5.0}
    assert (width(WIDE, 2), width(WIDE, 1), width(NARROW, 2)) == (2, 1, 1)
    assert estimate([NARROW, WIDE], known, 2) == 8.0
    assert estimate([NARROW, WIDE], known, 3) == 5.0
    remaining = Remaining([NARROW, WIDE], known, 2)
    assert remaining.seconds == 6.5
    remaining.finished(WIDE, 5.0)
    assert remaining.seconds == 1.5
