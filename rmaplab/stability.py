# SPDX-License-Identifier: GPL-2.0
"""Repeats of a cell that do not agree. Pure.

An error is the lab's and no verdict on the kernel, so it makes no testcase unstable: it is not as
expected by itself. A skip counts: a testcase that could look only sometimes has not passed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rmaplab.model import CellResult, Unstable, Verdict

Key = tuple[str, str, str, str, str]


def unstable(results: Iterable[CellResult]) -> tuple[Unstable, ...]:
    """The testcases whose repeats differ, in the order of their first cells."""
    grouped: dict[Key, list[CellResult]] = {}
    for result in results:
        cell = result.cell
        key = (cell.kernel, cell.guest.name, cell.settings.name, cell.device, cell.testcase.name)
        grouped.setdefault(key, []).append(result)
    return tuple(
        Unstable(*key, counts, tuple(result.cell.id for result in members))
        for key, members in grouped.items()
        if len((counts := tally(members)).keys() - {Verdict.ERROR}) > 1
    )


def tally(results: Sequence[CellResult]) -> dict[Verdict, int]:
    """How many repeats ended with which verdict; those that none ended with are left out."""
    counts = Counter(result.judgement.verdict for result in results)
    return {verdict: counts[verdict] for verdict in Verdict if counts[verdict]}
