# SPDX-License-Identifier: GPL-2.0
"""Which part of a plan a run takes: a filter, a sample, and never more than the lab's cap. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import covertable

from rmaplab.errors import InfraError, UserError
from rmaplab.model import Cell, Lab
from rmaplab.plan import Plan, plan, select

SAMPLES = ("pairwise",)

Point = tuple[str, ...]
"""A row's value in each dimension."""
Pair = tuple[int, str, int, str]
"""Two dimensions with a value of each."""


def choose(
    lab: Lab,
    *,
    filter: str = "",
    sample: str = "",
    alike: bool = False,
    whole: Plan | None = None,
) -> Plan:
    """Return the part of a plan that a run of a lab takes.

    ``alike`` gives all kernels the same rows, to be compared; ``whole`` is the lab's plan, made
    here if it is not given. Raises UserError on a filter that keeps nothing, and if more is left
    than the lab's cap.
    """
    chosen = narrowed(lab, filter=filter, sample=sample, alike=alike, whole=whole)
    if lab.cap and chosen.size > lab.cap:
        raise UserError(
            f"{chosen.size} cells are more than the cap of {lab.cap} in {lab.path}",
            hint="run fewer with --filter or --sample pairwise, or raise the cap",
        )
    return chosen


def narrowed(
    lab: Lab,
    *,
    filter: str = "",
    sample: str = "",
    alike: bool = False,
    whole: Plan | None = None,
) -> Plan:
    """Return the part of a plan that a run would take if the lab had no cap."""
    chosen = select(whole or plan(lab), filter)
    return pairwise(chosen, alike=alike) if sample == "pairwise" else chosen


def pairwise(whole: Plan, *, alike: bool = False) -> Plan:
    """Return a covering array of a plan's rows: each pair of values that occurs, occurs there.

    The dimensions are kernel, guest, device, settings and testcase; with ``alike`` the kernel is
    none, and what is chosen is chosen for every kernel. Only rows that can run count, since a skip
    shows nothing of its pairs. The same plan gives the same rows.
    """
    able = [row for row in whole.rows if not row.first.skip]
    if not able:
        return whole
    points = {row.first.id: _point(row.first, alike=alike) for row in able}
    chosen = covering(points.values())
    kept = [row for row in able if points[row.first.id] in chosen]
    unable = [row.left_out(row.first.skip) for row in whole.rows if row.first.skip]
    part = Plan(tuple(able), (*whole.left_out, *unable))
    return part.keep(kept, "its pairs are in other cells (--sample pairwise)")


def _point(cell: Cell, *, alike: bool) -> Point:
    place = (cell.guest.name, cell.device, cell.settings.name, cell.testcase.name)
    return place if alike else (cell.kernel, *place)


def covering(points: Iterable[Point]) -> frozenset[Point]:
    """Return some of the points that have all pairs of values that all of them have.

    Raises InfraError if the library left a pair out: better no sample than a false one.
    """
    allowed = frozenset(points)
    dimensions = [sorted(set(values)) for values in zip(*allowed, strict=True)]
    several = [number for number, values in enumerate(dimensions) if len(values) > 1]
    if len(several) < 2:
        return allowed
    # One constraint is enough; those of the pairs let the library see early what leads nowhere.
    wanted = pairs(allowed)
    every = range(len(dimensions))
    constraints = [_pair_is_in(wanted, i, j) for i, j in itertools.combinations(every, 2)]
    constraints.append(
        {
            "operator": "fn",
            "requires": list(every),
            "evaluate": lambda row: tuple(row[n] for n in every) in allowed,
        }
    )
    rows = covertable.make(dimensions, constraints=constraints)
    chosen = frozenset(tuple(row) for row in rows)
    if not chosen <= allowed or pairs(chosen) != wanted:
        raise InfraError("covertable left a pair out of the sample: run without --sample")
    return chosen


def _pair_is_in(wanted: set[Pair], i: int, j: int) -> dict[str, Any]:
    return {
        "operator": "fn",
        "requires": [i, j],
        "evaluate": lambda row: (i, row[i], j, row[j]) in wanted,
    }


def pairs(points: Iterable[Point]) -> set[Pair]:
    """Return every pair of values of two dimensions that occurs."""
    return {
        (i, point[i], j, point[j])
        for point in points
        for i, j in itertools.combinations(range(len(point)), 2)
    }


def narrowing(filter: str, sample: str, touched: str = "") -> str:
    """Return how a run was narrowed, as its reports say it; empty if it was not."""
    words = [
        f"--filter {filter}" if filter else "",
        f"--sample {sample}" if sample else "",
        f"--touched ({touched})" if touched else "",
    ]
    return " ".join(word for word in words if word)
