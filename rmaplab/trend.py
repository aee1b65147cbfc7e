# SPDX-License-Identifier: GPL-2.0
"""Sum up earlier runs of a place: how often it passed, how steadily, since when it fails. Pure.

Only what a run said of the kernel counts: a skip and an error of the lab's are no result. Results
of another workload are not held against each other, since a changed testcase may well say
something else.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rmaplab.model import (
    FalseAlarms,
    HistoryPoint,
    Mark,
    PastKernel,
    PastPlace,
    PastRun,
    TestcaseKind,
)

CONFIDENCE = 0.95
EXACT = "exact"
"""The mode in which guest instructions are the cost, and not seconds of the host's."""


@dataclass(frozen=True, slots=True)
class Trend:
    """The runs of a place summed up, ``points`` in the order of the runs.

    ``flips`` counts the runs whose repeats differ, and those that differ from the run before on the
    same kernel and workload.
    ``failing_since`` is the first run of those that failed without a pass between them up to the
    last, None if the last passed. ``cost`` is the last run's and ``usual_cost`` the median of those
    before; None where nothing was measured.
    """

    points: tuple[HistoryPoint, ...]
    passed: int
    failed: int
    skipped: int
    errors: int
    alarms: int
    flips: int
    failing_since: int | None
    cost: float | None
    usual_cost: float | None

    @property
    def trials(self) -> int:
        """The number of results with a verdict on the kernel."""
        return self.passed + self.failed

    @property
    def rate(self) -> float | None:
        """The part of the results that passed; None without any."""
        return self.passed / self.trials if self.trials else None

    @property
    def growth(self) -> float | None:
        """By how many percent the last run's cost is above the usual one; None if unknown."""
        if self.cost is None or not self.usual_cost:
            return None
        return (self.cost / self.usual_cost - 1) * 100


@dataclass(frozen=True, slots=True)
class PastRow:
    """A line of the answer: ``places`` are those that it sums up, ``kernel`` is the last of them.

    ``guest``, ``devices`` and ``settings`` are empty where it sums up several.
    """

    testcase: str
    kernel: PastKernel
    kernels: int
    guest: str
    devices: str
    settings: str
    mode: str
    places: int
    trend: Trend


@dataclass(frozen=True, slots=True)
class Past:
    """The answer of the history.

    ``other_kernels`` is how many kernels with such testcases were not asked for.
    """

    rows: tuple[PastRow, ...]
    runs: Mapping[int, PastRun]
    alarms: FalseAlarms
    marks: tuple[Mark, ...]
    other_kernels: int


def trend(points: Iterable[HistoryPoint]) -> Trend:
    """Sum up the points of one place, which are in the order of the runs."""
    every = tuple(points)
    said = [point for point in every if point.trials]
    costs = [point.cost for point in said if point.cost is not None]
    return Trend(
        points=every,
        passed=sum(point.passed for point in every),
        failed=sum(point.failed for point in every),
        skipped=sum(point.skipped for point in every),
        errors=sum(point.errors for point in every),
        alarms=sum(point.alarms for point in every),
        flips=_flips(said),
        failing_since=_failing_since(said),
        cost=costs[-1] if costs else None,
        usual_cost=statistics.median(costs[:-1]) if len(costs) > 1 else None,
    )


def together(trends: Sequence[Trend], order: Mapping[int, int]) -> Trend:
    """Sum up the trends of several places; ``order`` is the place of each run among the runs.

    Flips are counted place by place: a testcase that always fails on one guest is steady. Costs are
    those of the places that have both.
    """
    runs: dict[int, list[HistoryPoint]] = {}
    for one in trends:
        for point in one.points:
            runs.setdefault(point.run, []).append(point)
    since = [one.failing_since for one in trends if one.failing_since is not None]
    both = [
        (one.cost, one.usual_cost)
        for one in trends
        if one.cost is not None and one.usual_cost is not None
    ]
    costs = [one.cost for one in trends if one.cost is not None]
    return Trend(
        points=tuple(_point(run, runs[run]) for run in sorted(runs, key=order.__getitem__)),
        passed=sum(one.passed for one in trends),
        failed=sum(one.failed for one in trends),
        skipped=sum(one.skipped for one in trends),
        errors=sum(one.errors for one in trends),
        alarms=sum(one.alarms for one in trends),
        flips=sum(one.flips for one in trends),
        failing_since=min(since, key=order.__getitem__) if since else None,
        cost=_mean([cost for cost, _ in both] or costs),
        usual_cost=_mean([usual for _, usual in both]),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _point(run: int, some: Sequence[HistoryPoint]) -> HistoryPoint:
    """Return what several places showed in one run."""
    return HistoryPoint(
        run,
        some[0].kernel,
        some[0].program,
        sum(point.passed for point in some),
        sum(point.failed for point in some),
        sum(point.skipped for point in some),
        sum(point.errors for point in some),
        sum(point.alarms for point in some),
        _mean([point.cost for point in some if point.cost is not None]),
    )


def _flips(said: Sequence[HistoryPoint]) -> int:
    count = 0
    before: dict[tuple[str, str], bool] = {}
    for point in said:
        same, failed = (point.kernel, point.program), point.failed > 0
        count += (failed and point.passed > 0) or before.get(same, failed) != failed
        before[same] = failed
    return count


def _failing_since(said: Sequence[HistoryPoint]) -> int | None:
    first: int | None = None
    for point in reversed(said):
        if not point.failed:
            break
        first = point.run
        if point.passed:
            break  # it passed here as well
    return first


def false_alarms(
    trials: int,
    alarms: Iterable[tuple[PastPlace, str, bool]],
    invalid: frozenset[str],
) -> FalseAlarms:
    """Count the alarms that were false, of so many trials, and bound their rate.

    An alarm is its place, its failure's fingerprint, and whether the place also passed. Where that
    is so, the failure may be a race of the kernel's: it is counted against the lab all the same, so
    that the bound is not too good.
    """
    every = list(alarms)
    marked = [failure in invalid for _, failure, _ in every]
    controls = [place.kind == TestcaseKind.CONTROL for place, _, _ in every]
    passed = [also for _, _, also in every]
    false = sum(map(any, zip(marked, controls, passed, strict=True)))
    return FalseAlarms(
        trials, len(every), sum(marked), sum(passed), sum(controls), false,
        _bound(false, trials), CONFIDENCE,
    )  # fmt: skip


def _bound(events: int, trials: int) -> float | None:
    """Return the upper limit of a rate by Clopper and Pearson, one-sided."""
    if not trials:
        return None
    if events >= trials:
        return 1.0
    from scipy.special import betaincinv  # noqa: PLC0415  it takes a third of a second

    return float(betaincinv(events + 1, trials - events, CONFIDENCE))
