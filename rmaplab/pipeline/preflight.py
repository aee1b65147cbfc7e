# SPDX-License-Identifier: GPL-2.0
"""All that is wrong with a run that is asked for, told at once and before anything is fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rmaplab.errors import UserError
from rmaplab.judge import is_expired, unmatched
from rmaplab.model import Lab, LabOptions
from rmaplab.pipeline import labs
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.plan import Plan, plan
from rmaplab.selection import choose, narrowed
from rmaplab.source import series as series_source


@dataclass(frozen=True, slots=True)
class Preflight:
    """A run that is asked for: its lab and plan, and every mistake in either."""

    lab: Lab
    plan: Plan
    mistakes: tuple[str, ...]


def read(path: Path, builder: KernelBuilder, options: LabOptions) -> Lab:
    """Read a lab; raises UserError that also says what is wrong with the series beside it."""
    try:
        return labs.read(path, builder.catalogue, options)
    except UserError as error:
        more = _complaint(
            lambda: series_source.load(
                options.series, builder.catalogue.root, options.accept, builder.cache
            )
        )
        if not options.series or not more or more in error.message:
            raise
        raise UserError(f"{error.message}\n{more}", hint=error.hint) from error


def examine(
    lab: Lab, builder: KernelBuilder, day: str, *, filter: str = "", sample: str = ""
) -> Preflight:
    """Look for all that is wrong with a lab's run; ``day`` is today, for what expires.

    Raises UserError where so much is wrong that there is nothing to plan.
    """
    whole = plan(lab)
    alike = any(kernel.name == labs.PATCHED for kernel in lab.kernels)
    found = list(_of_kernels(lab, builder))
    try:
        part = narrowed(lab, filter=filter, sample=sample, alike=alike, whole=whole)
    except UserError as error:
        found += [error.message, *_of_entries(lab, whole, day)]
        raise UserError("\n".join(found), hint=error.hint) from error
    cap = _complaint(lambda: choose(lab, filter=filter, sample=sample, alike=alike, whole=whole))
    found += [*_of_entries(lab, whole, day), *([cap] if cap else [])]
    return Preflight(lab, part, tuple(found))


def _complaint(try_it: Callable[[], object]) -> str:
    try:
        try_it()
    except UserError as error:
        return error.message
    return ""


def _of_kernels(lab: Lab, builder: KernelBuilder) -> Iterator[str]:
    said = _complaint(lambda: builder.check_names(lab))
    yield from said.splitlines()


def _of_entries(lab: Lab, whole: Plan, day: str) -> Iterator[str]:
    """Yield the expectations that speak of no cell, and the allowances that have expired."""
    for known in unmatched(lab.expectations, whole.cells):
        yield f"{lab.path}:{known.line}: this expectation speaks of no cell: {known.testcase}"
    for entry in lab.allowances:
        if is_expired(entry, day):
            yield (
                f"{lab.path}:{entry.line}: allow {entry.pattern!r}: expired after {entry.until}: "
                "it allows nothing any more"
            )
    for held in lab.quarantine:
        if not held.holds(day):
            yield (
                f"{lab.path}:{held.line}: quarantine of {', '.join(held.testcase)}: ended after "
                f"{held.until}: due again, {held.owner}"
            )
