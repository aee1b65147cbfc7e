# SPDX-License-Identifier: GPL-2.0
"""Compare the numbers of a row: counters, instructions, checked values, amounts of findings.

None of them decides a row, unless the lab file limits it (``limits``, docs/lab-files.md).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from rmaplab.compare.noise import are_apart, cost_differs, counter_differs
from rmaplab.compare.sides import Side
from rmaplab.model import (
    CellResult,
    CheckedValue,
    ComparedCost,
    ComparedCounter,
    ComparedValue,
    Direction,
    MeasuredCost,
    Verdict,
)

K = TypeVar("K", bound=Hashable)

Deltas = Mapping[str, int | None]
"""Change of each counter over a cell, by name; None where the kernel did not show it."""
ReadDeltas = Callable[[CellResult], Deltas]
"""Reads the counters of one cell from wherever they are kept."""
Numbers = Mapping[str, tuple[int, ...]]
"""Changes of each counter over the repeats of one side that show it."""


def read_counters(side: Side, read: ReadDeltas) -> Numbers:
    """Read the counters of a side's repeats, one cell after the other."""
    found: dict[str, list[int]] = {}
    for result in side.results:
        for name, delta in read(result).items():
            if delta is not None:
                found.setdefault(name, []).append(delta)
    return {name: tuple(numbers) for name, numbers in found.items()}


def compared_counters(base: Numbers, patched: Numbers) -> tuple[ComparedCounter, ...]:
    """Return the counters that differ beyond their noise, the one that moved furthest first."""
    found = [
        ComparedCounter(name, numbers, patched[name])
        for name, numbers in base.items()
        if name in patched and counter_differs(name, numbers, patched[name])
    ]
    return tuple(sorted(found, key=lambda one: (-_distance(one.base, one.patched), one.name)))


def compared_costs(base: Side, patched: Side) -> tuple[ComparedCost, ...]:
    """Return each operation that both sides measured, the one that grew most first."""
    before, after = _gathered(base, _cost_of), _gathered(patched, _cost_of)
    found = []
    for key, costs in before.items():
        if key not in after:
            continue
        subtest, name, number = key
        old, new = _instructions(costs), _instructions(after[key])
        found.append(
            ComparedCost(subtest, _numbered(name, number), old, new, cost_differs(old, new))
        )
    return tuple(sorted(found, key=lambda one: (-one.percent, one.subtest, one.name)))


def lost_costs(base: Side, patched: Side) -> tuple[str, ...]:
    """Return the operations that A measured and B did not, by name."""
    lost = _gathered(base, _cost_of).keys() - _gathered(patched, _cost_of).keys()
    return tuple(sorted(_numbered(name, number) for _, name, number in lost))


def compared_values(base: Side, patched: Side) -> tuple[ComparedValue, ...]:
    """Return the checked values and the findings' amounts that differ, the worse ones first.

    A value counts where its check fails in a repeat of either side.
    """
    found = [*_checked_values(base, patched), *_amounts(base, patched)]
    order = list(Direction)
    return tuple(sorted(found, key=lambda one: (order.index(one.direction), one.subtest, one.name)))


# -- instructions --------------------------------------------------------------------------------


def _cost_of(result: CellResult) -> Iterable[tuple[tuple[str, str, int], MeasuredCost]]:
    for cost in result.observation.costs:
        yield (cost.subtest, cost.name, cost.number), cost


def _instructions(costs: Sequence[MeasuredCost]) -> tuple[int, ...]:
    return tuple(cost.instructions for cost in costs)


# -- checked values ------------------------------------------------------------------------------


def _value_of(result: CellResult) -> Iterable[tuple[tuple[str, str, int], CheckedValue]]:
    for value in result.observation.values:
        yield (value.subtest, value.what, value.number), value


def _checked_values(base: Side, patched: Side) -> Iterator[ComparedValue]:
    before, after = _gathered(base, _value_of), _gathered(patched, _value_of)
    for key, values in before.items():
        others = after.get(key, [])
        expected = {one.expected for one in (*values, *others) if one.expected is not None}
        old, new = tuple(one.got for one in values), tuple(one.got for one in others)
        if not expected or not are_apart(old, new):
            continue
        subtest, what, number = key
        name = _numbered(what, number)
        direction = _direction(_errors(values), _errors(others))
        goal = next(iter(expected)) if len(expected) == 1 else None
        yield ComparedValue(subtest, name, old, new, goal, direction)


def _errors(values: Sequence[CheckedValue]) -> list[int]:
    """Return how far each value is from the one that is expected."""
    return [0 if one.expected is None else abs(one.got - one.expected) for one in values]


def _direction(before: Sequence[int], after: Sequence[int]) -> Direction:
    """Compare how far two sides are from what is expected, by the mean of their repeats."""
    old, new = sum(before) * len(after), sum(after) * len(before)
    if old == new:
        return Direction.OTHER
    return Direction.WORSE if new > old else Direction.BETTER


# -- findings ------------------------------------------------------------------------------------


def _amounts(base: Side, patched: Side) -> Iterator[ComparedValue]:
    for name, amounts in base.amounts.items():
        others = patched.amounts.get(name)
        if others is not None and are_apart(amounts, others):
            shown = base.failing[name]
            errors = [abs(one) for one in amounts], [abs(one) for one in others]
            yield ComparedValue("", shown.title, amounts, others, 0, _direction(*errors))


# -- over repeats --------------------------------------------------------------------------------

V = TypeVar("V")


def _gathered(side: Side, of: Callable[[CellResult], Iterable[tuple[K, V]]]) -> dict[K, list[V]]:
    """Collect the facts of a side's repeats by their names."""
    found: dict[K, list[V]] = {}
    for result in side.results:
        if result.judgement.verdict is not Verdict.SKIP:
            for key, one in of(result):
                found.setdefault(key, []).append(one)
    return found


def _distance(base: Sequence[int], patched: Sequence[int]) -> float:
    return abs(sum(patched) / len(patched) - sum(base) / len(base))


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name} #{number}"
