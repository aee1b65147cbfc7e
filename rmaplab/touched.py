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
    """A testcase, whether it is taken, and why or why not.

    Those of the greatest ``weight`` keep the most rows.
    """

    testcase: str
    taken: bool
    why: str
    weight: float = 0.0


def choose(
    places: Sequence[TouchedPlace],
    rows: Mapping[str, int],
    *,
    core: Collection[str] = (),
    unrecorded: Collection[str] = (),
) -> tuple[ChosenTestcase, ...]:
    """Return of each testcase whether it is taken; ``rows`` are the rows of each, by its name.

    Taken are the ``core``, the ``unrecorded``, and whatever reaches a place. The weight of one that
    is there to drive a place is above that of all others.
    """
    return tuple(_chosen(name, places, core, unrecorded) for name in rows)


def _chosen(
    name: str,
    places: Sequence[TouchedPlace],
    core: Collection[str],
    unrecorded: Collection[str],
) -> ChosenTestcase:
    found = sorted((one for one in places if name in one.by), key=lambda one: len(one.by))
    weight = sum(1 / len(place.by) for place in found)
    if driven := [place for place in found if name in place.named]:
        return ChosenTestcase(name, True, f"is there to drive {driven[0].name}", 1 + weight)
    if found:
        return ChosenTestcase(name, True, f"reaches {found[0].name}, {_others(found[0])}", weight)
    if name in core:
        return ChosenTestcase(name, True, "in the core, which is always run")
    if name in unrecorded:
        why = "nothing is recorded of it: run it with --coverage on the base"
        return ChosenTestcase(name, True, why)
    return ChosenTestcase(name, False, "reaches nothing that the series touches")


def thinned(
    choices: Sequence[ChosenTestcase], rows: Mapping[str, int], share: float = SHARE
) -> Mapping[str, int]:
    """Return how many rows each taken testcase keeps, so that all of them fit into the share.

    Each keeps one at least. The others go to the testcases of the greatest weight.
    """
    taken = sorted((one for one in choices if one.taken), key=lambda one: -one.weight)
    kept = {one.testcase: 1 for one in taken}
    room = int(share * sum(rows.values())) - len(kept)
    for one in taken:
        more = max(0, min(room, rows[one.testcase] - 1))
        kept[one.testcase] += more
        room -= more
    return kept


def spread(count: int, kept: int) -> list[int]:
    """Return ``kept`` of ``count`` numbers from 0, as far from each other as can be."""
    return [number * count // kept for number in range(kept)]


def _others(place: TouchedPlace) -> str:
    count = len(place.by) - 1
    return {0: "as no other does", 1: "as 1 other does"}.get(count, f"as {count} others do")
