# SPDX-License-Identifier: GPL-2.0
"""A plan before it is run: its cells, omissions with their reasons, expected duration."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rmaplab.log import log
from rmaplab.model import Lab
from rmaplab.plan import Plan
from rmaplab.report import columns
from rmaplab.report.duration import duration
from rmaplab.schedule import estimate


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """A plan of a lab; ``expected`` is how many seconds its cells took before, by their ids."""

    lab: Lab
    plan: Plan
    expected: Mapping[str, float]
    jobs: int

    @property
    def dimensions(self) -> dict[str, int]:
        """The sizes of the lab's dimensions by noun; the devices only if the lab varies them."""
        lab = self.lab
        sizes = {
            "kernels": len(lab.kernels),
            "guests": len(lab.guests),
            "devices": len(lab.devices),
            "settings": len(lab.settings),
            "testcases": len(lab.testcases),
        }
        return {noun: size for noun, size in sizes.items() if size}

    @property
    def expected_s(self) -> float | None:
        """Seconds that the run will take, without builds and boots; None without a history."""
        return estimate(self.plan.cells, self.expected, self.jobs)

    @property
    def unknown(self) -> int:
        """The number of cells that have no history."""
        return sum(cell.id not in self.expected for cell in self.plan.cells)

    @property
    def skips(self) -> int:
        """The number of cells that would be skipped, since their guest lacks a requirement."""
        return sum(row.repeats for row in self.plan.rows if row.first.skip)


def facts(outlook: PlanSummary) -> dict[str, Any]:
    """Return the plan as facts for JSON."""
    cells = [
        {
            "id": cell.id,
            "kernel": cell.kernel,
            "guest": cell.guest.name,
            "settings": cell.settings.name,
            "device": cell.devices,
            "testcase": cell.testcase.name,
            "repeat": cell.repeat,
            "skip": cell.skip,
            "expected_s": outlook.expected.get(cell.id),
        }
        for cell in outlook.plan.cells
    ]
    return {
        "dimensions": outlook.dimensions,
        "size": len(cells),
        "cap": outlook.lab.cap or None,
        "jobs": outlook.jobs,
        "expected_s": outlook.expected_s,
        "cells": cells,
        "left_out": [dataclasses.asdict(one) for one in outlook.plan.left_out],
    }


def show(outlook: PlanSummary) -> None:
    """Print the plan for a person."""
    columns.show(("cell", "skip"), [(cell.id, cell.skip) for cell in outlook.plan.cells])
    for line in summary(outlook):
        log.stdout.print(line, markup=False)


def summary(outlook: PlanSummary) -> list[str]:
    """Return the lines below the table of cells."""
    part, product = outlook.plan, 1
    for size in outlook.dimensions.values():
        product *= size
    rows = len(part.rows)
    text = " x ".join(f"{size} {noun}" for noun, size in outlook.dimensions.items())
    lines = [f"{text} = {product} combinations"]
    reasons = Counter(one.reason for one in part.left_out)
    lines += [f"{-count:+6} {reason}" for reason, count in reasons.most_common()]
    if added := rows + len(part.left_out) - product:
        lines.append(f"{added:+6} included")
    if part.size != rows:
        lines.append(f"{rows} combinations, with their repeats {part.size} cells")
    if outlook.skips:
        lines.append(f"{outlook.skips} cells would be skipped")
    lines.append(_time(outlook))
    if outlook.lab.cap and part.size > outlook.lab.cap:
        lines.append(f"more than the lab file's cap of {outlook.lab.cap}: a run would be refused")
    return [*lines, f"{part.size} cells on {len({row.first.kernel for row in part.rows})} kernels"]


def _time(outlook: PlanSummary) -> str:
    seconds, unknown = outlook.expected_s, outlook.unknown
    if seconds is None:
        return "expected time: unknown, none of these cells ran here before"
    note = f"; {unknown} of the cells never ran here" if unknown else ""
    how = f"{outlook.jobs} at a time, without builds and boots"
    return f"expected time: {duration(seconds)} ({how}{note})"
