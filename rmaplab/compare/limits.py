# SPDX-License-Identifier: GPL-2.0
"""Hold a row's numbers against the limits of the lab file (``limits``, docs/lab-files.md).

A limit is about the greatest number of each side's repeats, so one repeat of B that is over it is
enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rmaplab.compare.numbers import Numbers
from rmaplab.model import INSTRUCTIONS, ComparedCost, ComparedCounter, Limit


def exceeded(
    limits: Sequence[Limit], base: Numbers, patched: Numbers, costs: Sequence[ComparedCost]
) -> list[str]:
    """List the numbers of B that are over a limit, with both sides and the limit."""
    return [
        f"{number.phrase}, limit {limit.phrase}"
        for limit, number in _limited(limits, base, patched, costs)
        if not limit.allows(max(number.base), max(number.patched))
    ]


def checked(
    limits: Sequence[Limit], base: Numbers, patched: Numbers, costs: Sequence[ComparedCost]
) -> set[Limit]:
    """Return the limits of which both sides of a row show a number."""
    return {limit for limit, _ in _limited(limits, base, patched, costs)}


def unmeasured(
    limits: Sequence[Limit], base: Numbers, patched: Numbers, lost_costs: Sequence[str]
) -> list[str]:
    """List the counters and operations with a limit that A shows and B does not."""
    found = [
        name for name in base.keys() - patched.keys() if any(limit.covers(name) for limit in limits)
    ]
    if any(limit.name == INSTRUCTIONS for limit in limits):
        found += [f"instructions of {name}" for name in lost_costs]
    return sorted(found)


def _limited(
    limits: Sequence[Limit], base: Numbers, patched: Numbers, costs: Sequence[ComparedCost]
) -> Iterator[tuple[Limit, ComparedCost | ComparedCounter]]:
    for limit in limits:
        if limit.name == INSTRUCTIONS:
            yield from ((limit, cost) for cost in costs)
            continue
        for name, before in base.items():
            if limit.covers(name) and (after := patched.get(name)):
                yield limit, ComparedCounter(name, before, after)
