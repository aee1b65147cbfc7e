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
        ends = heapq.heappop(workers)
        heapq.heappush(workers, ends + (0.0 if cell.skip else expected.get(cell.id, mean)))
    return max(workers)
