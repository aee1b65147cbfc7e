# SPDX-License-Identifier: GPL-2.0
"""Choose the testcases that reach what a series touches, by what recorded cells ran. Pure.

Some code is run by every testcase, so reaching it says little of a testcase. What few testcases
reach counts more: a testcase's weight is the sum, over what it reaches, of one over the number of
testcases that do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

SHARE = 1 / 3
"""The part of the rows that a choice may have."""
EACH = 3
"""Testcases that are taken for each thing that is touched, if so many reach it."""


@dataclass(frozen=True, slots=True)
class TouchedPlace:
    """A function or a line that a series touches, and the testcases ``by`` which it was run.

    ``named`` are those of them whose metadata says that they are there to drive it.
    """

    name: str
    by: frozenset[str]
    named: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ChosenTestcase:
    """A testcase, whether it is taken, and why or why not."""

    testcase: str
    taken: bool
    why: str


def choose(
    places: Sequence[TouchedPlace],
    rows: Mapping[str, int],
    *,
    core: Collection[str] = (),
    unrecorded: Collection[str] = (),
    share: float = SHARE,
) -> tuple[ChosenTestcase, ...]:
    """Return of each testcase whether it is taken; ``rows`` are the rows of each, by its name.

    The ``core``, the ``unrecorded`` and those that are there to drive a place are always taken,
    then for each place the testcases of the greatest weight, then more by their weight as long as
    they fit into the share.
    """
    why: dict[str, str] = {}
    for name in rows:
        if name in core:
            why[name] = "in the core, which is always run"
        elif name in unrecorded:
            why[name] = "nothing is recorded of it: run it with --coverage on the base"
    for place in places:
        for name in rows:
            if name in place.named & place.by:
                why.setdefault(name, f"is there to drive {place.name}")
    weight = {name: _weight(name, places) for name in rows}
    order = sorted((n for n in rows if weight[n] > 0), key=lambda n: (-weight[n], rows[n], n))
    for place in sorted(places, key=lambda one: len(one.by)):
        own = [name for name in order if name in place.by]
        fresh = [name for name in own if name not in why]
        for name in fresh[: max(0, EACH - (len(own) - len(fresh)))]:
            why[name] = f"reaches {place.name}, as {_others(len(own) - 1)}"
    room = int(share * sum(rows.values())) - sum(rows[name] for name in why)
    for name in order:
        if name not in why and rows[name] <= room:
            room -= rows[name]
            why[name] = f"reaches {_first(name, places)}"
    return tuple(
        ChosenTestcase(name, name in why, why.get(name) or _left_out(name, places)) for name in rows
    )


def thinned(
    choices: Sequence[ChosenTestcase], rows: Mapping[str, int], share: float = SHARE
) -> Mapping[str, int]:
    """Return how many rows each taken testcase keeps, so that all of them fit into the share.

    Each keeps at least one, and all are thinned alike: what is taken is there in some settings.
    """
    taken = {one.testcase: rows[one.testcase] for one in choices if one.taken}
    room = int(share * sum(rows.values()))
    if sum(taken.values()) <= room:
        return taken
    kept = {name: max(1, count * room // sum(taken.values())) for name, count in taken.items()}
    left = room - sum(kept.values())
    for name in sorted(taken, key=lambda name: kept[name] / taken[name]):
        if left > 0 and kept[name] < taken[name]:
            kept[name] += 1
            left -= 1
    return kept


def spread(count: int, kept: int) -> list[int]:
    """Return ``kept`` of ``count`` numbers from 0, as far from each other as can be."""
    return [number * count // kept for number in range(kept)]


def _weight(name: str, places: Sequence[TouchedPlace]) -> float:
    return sum(1 / len(place.by) for place in places if name in place.by)


def _first(name: str, places: Sequence[TouchedPlace]) -> str:
    found = [place for place in places if name in place.by]
    return min(found, key=lambda place: len(place.by)).name


def _left_out(name: str, places: Sequence[TouchedPlace]) -> str:
    if not any(name in place.by for place in places):
        return "reaches nothing that the series touches"
    return f"reaches only what others reach, too: {_first(name, places)}"


def _others(count: int) -> str:
    return {0: "no other does", 1: "1 other does"}.get(count, f"{count} others do")
