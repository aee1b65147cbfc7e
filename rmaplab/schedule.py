# SPDX-License-Identifier: GPL-2.0
"""In which order cells are run, and how long they will take. Pure.

``expected`` is seconds by cell id; a cell that is not in it was never run before.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

from rmaplab.model import Cell


def order(cells: Sequence[Cell], expected: Mapping[str, float]) -> list[Cell]:
    """Longest expected first, so that no long cell begins when the others are through.

    One of unknown length may be the longest of all: those come before, in their own order.
    """

    def key(cell: Cell) -> float:
        return -expected.get(cell.id, float("inf"))

    return sorted(cells, key=key)


def width(cell: Cell, jobs: int) -> int:
    """How many of ``jobs`` slots a cell takes: one for each CPU that its testcase needs.

    Threads that are to meet must run at the same time, and so need as many CPUs of the host.
    """
    return min(cell.testcase.requires.cpus, jobs)


class Remaining:
    """How long a run still takes, corrected by how long its cells took so far.

    A cell without a history weighs as much as the mean of the others; without any, all weigh the
    same, and the first finished ones tell how much.
    """

    def __init__(self, cells: Iterable[Cell], expected: Mapping[str, float], jobs: int) -> None:
        wanted = [cell for cell in cells if not cell.skip]
        known = [expected[cell.id] for cell in wanted if expected.get(cell.id)]
        mean = sum(known) / len(known) if known else 1.0
        self._jobs = max(1, jobs)
        self._weights = {
            cell.id: (expected.get(cell.id) or mean) * width(cell, self._jobs) for cell in wanted
        }
        self._left = sum(self._weights.values())
        self._guess = 1.0 if known else 0.0
        self._done = self._took = 0.0

    def finished(self, cell: Cell, took_s: float) -> None:
        """A cell is over after that many seconds."""
        weight = self._weights.pop(cell.id, 0.0)
        self._left = max(0.0, self._left - weight) if self._weights else 0.0
        if weight and took_s:  # one that its kernel made a skip says nothing of the pace
            self._done += weight
            self._took += took_s * width(cell, self._jobs)

    @property
    def seconds(self) -> float | None:
        """Seconds until the last cell is over; None before anything can be said."""
        pace = self._took / self._done if self._done else self._guess
        return self._left * pace / self._jobs if pace or not self._weights else None


def estimate(cells: Iterable[Cell], expected: Mapping[str, float], jobs: int) -> float | None:
    """Seconds that the cells take in that order, ``jobs`` at a time; None if none has a history.

    A cell without one counts as the mean of the others.
    """
    wanted = list(cells)
    known = [expected[cell.id] for cell in wanted if cell.id in expected and not cell.skip]
    if not known:
        return None if any(not cell.skip for cell in wanted) else 0.0
    mean = sum(known) / len(known)
    workers = [0.0] * max(1, jobs)
    for cell in order(wanted, expected):
        seconds = 0.0 if cell.skip else expected.get(cell.id, mean)
        taken = [heapq.heappop(workers) for _ in range(width(cell, len(workers)))]
        for _ in taken:
            heapq.heappush(workers, max(taken) + seconds)
    return max(workers)
