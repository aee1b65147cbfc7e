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
    """List the testcases whose repeats differ, in the order of their first cells."""
    return tuple(
        Unstable(*key, counts, tuple(result.cell.id for result in members))
        for key, members in _repeats(results).items()
        if len((counts := tally(members)).keys() - {Verdict.ERROR}) > 1
    )


def ends(results: Iterable[CellResult]) -> dict[str, dict[str, list[str]]]:
    """Describe how the repeats of each testcase ended, by testcase and kernel.

    For each way, in the order of its first cell, how often under how many settings, guests and
    devices: ``6 x 20 pass``, or ``1 x 19 pass and 1 fail`` where they differ. Nothing if no cell
    was repeated.
    """
    ways: dict[str, dict[str, Counter[str]]] = {}
    repeated = False
    for (kernel, *_, testcase), members in _repeats(results).items():
        repeated = repeated or len(members) > 1
        way = " and ".join(f"{count} {verdict}" for verdict, count in tally(members).items())
        ways.setdefault(testcase, {}).setdefault(kernel, Counter())[way] += 1
    if not repeated:
        return {}
    return {
        testcase: {
            kernel: [f"{places} x {way}" for way, places in counts.items()]
            for kernel, counts in kernels.items()
        }
        for testcase, kernels in ways.items()
    }


def _repeats(results: Iterable[CellResult]) -> dict[Key, list[CellResult]]:
    grouped: dict[Key, list[CellResult]] = {}
    for result in results:
        cell = result.cell
        key = (cell.kernel, cell.guest.name, cell.settings.name, cell.device, cell.testcase.name)
        grouped.setdefault(key, []).append(result)
    return grouped


def tally(results: Sequence[CellResult]) -> dict[Verdict, int]:
    """Count the repeats by verdict; verdicts that none ended with are left out."""
    counts = Counter(result.judgement.verdict for result in results)
    return {verdict: counts[verdict] for verdict in Verdict if counts[verdict]}
