# SPDX-License-Identifier: GPL-2.0
"""How many memories a run keeps, and of which cells (docs/postmortem.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rmaplab.guest.postmortem import MemoryDumpPermit
from rmaplab.model import Cell, MemoryDumpPolicy

_Of = tuple[str, str]  # kernel, testcase


class MemoryQuota:
    """The places that a run has for memories: who comes first gets one.

    ``readable`` are the kernels with debug info, ``taken`` the cells that have one already, in a
    run that is resumed.
    """

    def __init__(
        self, policy: MemoryDumpPolicy, readable: frozenset[str], taken: Iterable[Cell] = ()
    ) -> None:
        self._policy = policy
        self._readable = readable
        self._taken = Counter(map(_of, taken))

    def keep(self, cell: Cell) -> MemoryDumpPermit | None:
        """What a cell's guest is watched with; None if its memory would never be kept."""
        policy, of = self._policy, _of(cell)
        if not policy.run or not (policy.asked or cell.kernel in self._readable):
            return None
        return MemoryDumpPermit(
            policy.max_mb << 20, lambda: self._claim(of), lambda: self._give_back(of)
        )

    def _claim(self, of: _Of) -> bool:
        if self._taken.total() >= self._policy.run or self._taken[of] >= self._policy.testcase:
            return False
        self._taken[of] += 1
        return True

    def _give_back(self, of: _Of) -> None:
        self._taken[of] -= 1


def _of(cell: Cell) -> _Of:
    return cell.kernel, cell.testcase.name
