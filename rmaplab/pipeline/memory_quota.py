# SPDX-License-Identifier: GPL-2.0
"""Count how many memories of guests a run keeps, and of which cells (docs/postmortem.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rmaplab.guest.postmortem import MemoryDumpPermit
from rmaplab.model import Cell, MemoryDumpPolicy

_Of = tuple[str, str]  # kernel, testcase


class MemoryQuota:
    """The memories that a run may keep: the cells that finish first keep theirs.

    A cell gets its permit when it is handed out, while the quota has room. The quota is charged
    when a cell has finished and left a memory: charged with the permit, it would be used up by
    cells that dump nothing. Several cells are handed out at once, so that more may be dumped than
    there is room for; those memories are deleted.

    ``readable`` are the kernels with debug info, ``kept`` the cells of a resumed run that have a
    memory already.
    """

    def __init__(
        self, policy: MemoryDumpPolicy, readable: frozenset[str], kept: Iterable[Cell] = ()
    ) -> None:
        self._policy = policy
        self._readable = readable
        self._kept = Counter(map(_of, kept))

    def permit(self, cell: Cell) -> MemoryDumpPermit | None:
        """Return the permit for a cell that is handed out; None if its memory would not be kept."""
        policy = self._policy
        is_readable = policy.asked or cell.kernel in self._readable
        if not is_readable or not self._has_room(cell):
            return None
        return MemoryDumpPermit(policy.max_mb << 20)

    def charge(self, cell: Cell, *, as_expected: bool) -> bool:
        """Return whether the memory that a finished cell left is kept, and count it then.

        A known failure takes no room from a failure that nobody knows, unless memories are asked
        for.
        """
        if (as_expected and not self._policy.asked) or not self._has_room(cell):
            return False
        self._kept[_of(cell)] += 1
        return True

    def _has_room(self, cell: Cell) -> bool:
        policy = self._policy
        return self._kept.total() < policy.run and self._kept[_of(cell)] < policy.testcase


def _of(cell: Cell) -> _Of:
    return cell.kernel, cell.testcase.name
