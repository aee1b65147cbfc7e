# SPDX-License-Identifier: GPL-2.0
"""Questions to the history: which places, what the runs say of them, how often it was wrong."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rmaplab.errors import UserError
from rmaplab.model import (
    FalseAlarms,
    HistoryPoint,
    Mark,
    PastKernel,
    PastPlace,
    PastRun,
    RowHistory,
    RunHistory,
    TestcaseKind,
)
from rmaplab.pipeline.evaluate import Evaluation
from rmaplab.pipeline.remember import kernel_of, place_of
from rmaplab.report.history import false_alarms as alarms_line
from rmaplab.store.cache import Cache
from rmaplab.store.historyfile import MAX_POINTS, MAX_RUNS
from rmaplab.store.verdicts import WAIT_S, VerdictStore
from rmaplab.text import near_miss
from rmaplab.trend import Past, PastRow, Trend, false_alarms, together, trend


@dataclass(frozen=True, slots=True)
class Question:
    """A question to the history: shell patterns, an empty one for anything.

    ``kernel`` is compared with identity, version, tree and series of the kernels; empty, it stands
    for the kernels of the last run, and with ``across`` for all without patches. ``across`` follows
    a kernel without patches over its versions. ``every_place`` keeps guests and settings apart.
    """

    testcase: str = ""
    kernel: str = ""
    guest: str = ""
    settings: str = ""
    across: bool = False
    every_place: bool = False


def ask(question: Question, cache: Cache) -> Past:
    """Return what the history says. Raises UserError if nothing there is asked for."""
    store = VerdictStore(cache)
    runs, kernels, places = store.runs(), store.kernels(), store.places()
    if not runs:
        raise UserError(
            f"there is no history: no run is in {store.path}",
            hint="runs are added when they end; lab.py history add RUN adds an older one",
        )
    wanted = {
        number: place
        for number, place in places.items()
        if place.kernel in kernels and _is_asked_for(place, question)
    }
    if not wanted:
        raise UserError(_nothing(question, places.values()))
    chosen = _kernels(question, kernels, wanted, store, runs)
    if not chosen:
        known = sorted({name for one in kernels.values() for name in _names(one) if name})
        raise UserError(
            f"the history has no kernel {question.kernel!r}{near_miss(question.kernel, known)}"
        )
    found = {number: place for number, place in wanted.items() if place.kernel in chosen}
    points = store.points(found)
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, place in found.items():
        if number in points:
            groups.setdefault(_group(question, place, kernels[place.kernel]), []).append(number)
    order = {number: n for n, number in enumerate(runs)}
    rows = []
    for members in groups.values():
        alike: dict[tuple[str, ...], list[HistoryPoint]] = {}
        for number in members:
            one = found[number]
            where = (one.guest, one.devices, one.settings)
            alike.setdefault(where, []).extend(points[number])
        summed = [
            trend(sorted(some, key=lambda point: order[point.run])) for some in alike.values()
        ]
        rows.append(_row(question, [found[n] for n in members], kernels, together(summed, order)))
    rows.sort(key=lambda row: (row.testcase, row.kernel.phrase, row.guest, row.settings, row.mode))
    marks = store.marks()
    counted = _counted(store, found, points, marks)
    others = len({place.kernel for place in wanted.values()} - chosen)
    return Past(tuple(rows), runs, counted, marks, others)


def of_run(evaluation: Evaluation, cache: Cache, wait_s: float = WAIT_S) -> RunHistory:
    """Return the earlier runs of a run's rows, as many as its page shows."""
    record, store = evaluation.record, VerdictStore(cache, wait_s)
    identities = {name: kernel_of(record, facts).identity for name, facts in record.kernels.items()}
    own: dict[PastPlace, str] = {}
    for result in evaluation.results:
        kernel = result.cell.kernel
        own.setdefault(place_of(result, identities[kernel], record), kernel)
    every = store.places()
    numbers = {number: place for number, place in every.items() if place in own}
    points, runs = store.points(numbers), store.runs()
    seen = {point.run for some in points.values() for point in some}
    shown = max(1, min(MAX_RUNS, MAX_POINTS // max(1, len(numbers))))
    order = {n: i for i, n in enumerate([number for number in runs if number in seen][-shown:])}
    rows = (
        RowHistory(
            place.testcase, own[place], place.guest, place.devices, place.settings,
            tuple(
                (order[p.run], p.passed, p.failed, p.skipped + p.errors, _rounded(p.cost))
                for p in points.get(number, ())
                if p.run in order
            ),
        )
        for number, place in numbers.items()
    )  # fmt: skip
    counted = _counted(store, numbers, points, store.marks())
    began = tuple(runs[number].began for number in order)
    return RunHistory(began, tuple(rows), alarms_line(counted))


def _rounded(cost: float | None) -> float | None:
    return None if cost is None else round(cost, 3)


def _counted(
    store: VerdictStore,
    places: Mapping[int, PastPlace],
    points: Mapping[int, Sequence[HistoryPoint]],
    marks: Iterable[Mark],
) -> FalseAlarms:
    """Count the false alarms of some places, those of the lab's own selftests left out."""
    every = {n: p for n, p in places.items() if p.kind != TestcaseKind.SELFTEST}
    trials = sum(point.trials for n in every for point in points.get(n, ()))
    alarms = [(places[n], failure, passed) for n, failure, passed in store.alarms(every)]
    return false_alarms(trials, alarms, frozenset(mark.fingerprint for mark in marks))


def _is_asked_for(place: PastPlace, question: Question) -> bool:
    pairs = (
        (place.testcase, question.testcase),
        (place.guest, question.guest),
        (place.settings, question.settings),
    )
    return all(not pattern or fnmatch.fnmatchcase(name, pattern) for name, pattern in pairs)


def _nothing(question: Question, places: Iterable[PastPlace]) -> str:
    every = list(places)
    for noun, pattern, names in (
        ("testcase", question.testcase, {place.testcase for place in every}),
        ("guest", question.guest, {place.guest for place in every}),
        ("settings", question.settings, {place.settings for place in every}),
    ):
        if pattern and not fnmatch.filter(names, pattern):
            return f"the history has no {noun} {pattern!r}{near_miss(pattern, names)}"
    return "the history has no such combination of testcase, guest and settings"


def _names(kernel: PastKernel) -> tuple[str, ...]:
    return kernel.version, kernel.identity, kernel.identity[:8], kernel.tree, kernel.series


def _kernels(
    question: Question,
    kernels: Mapping[str, PastKernel],
    places: Mapping[int, PastPlace],
    store: VerdictStore,
    runs: Mapping[int, PastRun],
) -> frozenset[str]:
    """Return the identities of the kernels that are asked for."""
    there = {place.kernel for place in places.values()}
    if question.kernel:
        return frozenset(
            identity
            for identity in there
            if any(fnmatch.fnmatchcase(n, question.kernel) for n in _names(kernels[identity]))
        )
    if question.across:
        return frozenset(identity for identity in there if not kernels[identity].patches)
    last = store.last_kernels(places, reversed(tuple(runs)))
    return frozenset(last & there)


def _group(question: Question, place: PastPlace, kernel: PastKernel) -> tuple[str, ...]:
    """Return what the places of one line of the answer have in common."""
    own = (place.guest, place.devices, place.settings) if question.every_place else ()
    return place.testcase, kernel.line if question.across else kernel.identity, place.mode, *own


def _row(
    question: Question,
    places: Sequence[PastPlace],
    kernels: Mapping[str, PastKernel],
    summed: Trend,
) -> PastRow:
    some = [kernels[one] for one in kernels if one in {place.kernel for place in places}]
    first = places[0]
    own = question.every_place
    return PastRow(
        testcase=first.testcase,
        kernel=some[0],
        kernels=len(some),
        guest=first.guest if own else "",
        devices=first.devices if own else "",
        settings=first.settings if own else "",
        mode=first.mode,
        places=len({(one.guest, one.devices, one.settings) for one in places}),
        trend=summed,
    )
