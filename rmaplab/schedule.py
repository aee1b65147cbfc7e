# SPDX-License-Identifier: GPL-2.0
"""Order the cells of a run, and estimate how long they take. Pure.

``expected`` is seconds by cell id, from earlier runs; a cell that never ran is not in it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

from rmaplab.model import Cell


def order(cells: Sequence[Cell], expected: Mapping[str, float]) -> list[Cell]:
    """Return the cells, longest first, so that no long cell begins when the others are through.

    A cell of unknown length may be the longest of all: such cells come first, in their own order.
    """

    def key(cell: Cell) -> float:
        return -expected.get(cell.id, float("inf"))

    return sorted(cells, key=key)


def width(cell: Cell, jobs: int) -> int:
    """Return how many of ``jobs`` slots a cell takes: one for each CPU that its testcase needs.

    Threads that are to meet must run at the same time, and so need as many CPUs of the host.
    """
    return min(cell.testcase.requires.cpus, jobs)


class Remaining:
    """Estimate how long a run still takes, corrected by how long its cells took so far.

    A cell without a history weighs as much as the mean of the others; without any history all cells
    weigh the same, and the first cells that finish give the weight.
    """

    def __init__(self, cells: Iterable[Cell], expected: Mapping[str, float], jobs: int) -> None:
        running = [cell for cell in cells if not cell.skip]
        known = [expected[cell.id] for cell in running if expected.get(cell.id)]
        mean = sum(known) / len(known) if known else 1.0
        self._jobs = max(1, jobs)
        self._weights = {
            cell.id: (expected.get(cell.id) or mean) * width(cell, self._jobs) for cell in running
        }
        self._left = sum(self._weights.values())
        self._guess = 1.0 if known else 0.0
        self._done = self._took = 0.0

    def finished(self, cell: Cell, took_s: float) -> None:
        """Note that a cell is over, after ``took_s`` seconds."""
        weight = self._weights.pop(cell.id, 0.0)
        self._left = max(0.0, self._left - weight) if self._weights else 0.0
        if weight and took_s:  # one that its kernel made a skip says nothing of the pace
            self._done += weight
            self._took += took_s * width(cell, self._jobs)

    @property
    def seconds(self) -> float | None:
        """Return the seconds until the last cell is over; None without any history."""
        pace = self._took / self._done if self._done else self._guess
        return self._left * pace / self._jobs if pace or not self._weights else None


def estimate(cells: Iterable[Cell], expected: Mapping[str, float], jobs: int) -> float | None:
    """Return the seconds that the cells take, ``jobs`` at a time; None if no cell has a history.

    The cells run in the order of ``order``; one without a history counts as the mean of the others.
    """
    cells = list(cells)
    known = [expected[cell.id] for cell in cells if cell.id in expected and not cell.skip]
    if not known:
        return None if any(not cell.skip for cell in cells) else 0.0
    mean = sum(known) / len(known)
    workers = [0.0] * max(1, jobs)
    for cell in order(cells, expected):
        seconds = 0.0 if cell.skip else expected.get(cell.id, mean)
        taken = [heapq.heappop(workers) for _ in range(width(cell, len(workers)))]
        for _ in taken:
            heapq.heappush(workers, max(taken) + seconds)
    return max(workers)
