# SPDX-License-Identifier: GPL-2.0
"""Say what of a lab's kernel was tested, and with what result, from the history of runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rmaplab.model import HistoryPoint, Kernel, PastKernel, version_numbers
from rmaplab.store.cache import Cache
from rmaplab.store.verdicts import VerdictStore


@dataclass(frozen=True, slots=True)
class KernelHistory:
    """Hold how the places of a kernel version went, each as the last run on it had it.

    ``passed``, ``failed``, ``skipped`` and ``errors`` count places; one is counted by the worst of
    its repeats. ``alarms`` are the failures that nobody expected. ``last`` is when the last of its
    runs began, ``tree`` is how it was named.
    """

    tree: str
    version: str
    config: str
    passed: int
    failed: int
    skipped: int
    errors: int
    alarms: int
    last: str

    @property
    def summary(self) -> str:
        """Give it in a line: ``6.12.117: 124 pass, 12 fail (1 not expected), on 2026-11-30``."""
        words = [f"{self.passed} pass"]
        if self.failed:
            unknown = f" ({self.alarms} not expected)" if self.alarms else " as expected"
            words.append(f"{self.failed} fail{unknown}")
        words += [f"{self.skipped} skip"] if self.skipped else []
        words += [f"{self.errors} error"] if self.errors else []
        return f"{self.version}: {', '.join(words)}, last on {self.last[: len('YYYY-MM-DD')]}"


def everything(cache: Cache) -> tuple[KernelHistory, ...]:
    """Return the kernels without patches that runs were made of, the oldest version first."""
    store = VerdictStore(cache)
    kernels = {name: one for name, one in store.kernels().items() if not one.patches}
    places: dict[str, list[int]] = {}
    for number, place in store.places().items():
        if place.kernel in kernels:
            places.setdefault(place.kernel, []).append(number)
    runs = store.runs()
    points = store.points(number for numbers in places.values() for number in numbers)
    began = {number: run.began for number, run in runs.items()}
    found = [
        _tested(kernels[name], [points[one] for one in numbers if points.get(one)], began)
        for name, numbers in places.items()
    ]
    return tuple(sorted(found, key=lambda one: (version_numbers(one.version), one.last)))


def of_kernel(kernel: Kernel, known: Iterable[KernelHistory]) -> tuple[KernelHistory, ...]:
    """Return what is known of a kernel's tree in its configuration; of each version the last."""
    config = " ".join(kernel.fragments)
    last = {one.version: one for one in known if (one.tree, one.config) == (kernel.tree, config)}
    return tuple(last.values())


def of_no_lab(
    kernels: Iterable[Kernel], known: Iterable[KernelHistory]
) -> tuple[KernelHistory, ...]:
    """Return what is known of trees and configurations that are none of these kernels'."""
    named = {(kernel.tree, " ".join(kernel.fragments)) for kernel in kernels}
    last = {
        (one.tree, one.version, one.config): one
        for one in known
        if (one.tree, one.config) not in named
    }
    return tuple(last.values())


def _tested(
    kernel: PastKernel, places: Iterable[list[HistoryPoint]], began: Mapping[int, str]
) -> KernelHistory:
    passed = failed = skipped = errors = alarms = 0
    last = ""
    for points in places:
        point = points[-1]
        last = max(last, began.get(point.run, ""))
        alarms += bool(point.alarms)
        if point.errors:
            errors += 1
        elif point.failed:
            failed += 1
        elif point.passed:
            passed += 1
        else:
            skipped += 1
    return KernelHistory(
        kernel.tree, kernel.version, kernel.config, passed, failed, skipped, errors, alarms, last
    )


def facts(known: Iterable[KernelHistory]) -> list[dict[str, object]]:
    """Return what is known for programs."""
    return [dataclasses.asdict(one) for one in known]
