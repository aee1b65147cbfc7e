# SPDX-License-Identifier: GPL-2.0
"""The history as a table for a terminal, and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from rmaplab.log import log
from rmaplab.model import FalseAlarms, HistoryPoint, Mark
from rmaplab.report import columns
from rmaplab.report.sparkline import of_costs, sparkline
from rmaplab.text import printable
from rmaplab.trend import EXACT, Past, PastRow

SHOWN_RUNS = 24
"""Runs that a line of bars shows, the last ones."""
TRIALS = (
    "a trial is a cell that ended in pass or fail; a false alarm is a failure against a kernel "
    "that was marked invalid, that is a control's, or that also passed on the same kernel, "
    "workload, guest and settings"
)


def show(past: Past, *, places: bool) -> None:
    """Print the history, a line for each testcase and kernel, or for each of their ``places``."""
    plain = not log.stdout.encoding.lower().startswith("utf")
    table: list[tuple[columns.Cell, ...]] = []
    for row in past.rows:
        one = row.trend
        where = [f"{row.guest} {row.settings} {row.devices}"] if places else [str(row.places)]
        rate = "-" if one.rate is None else f"{one.passed}/{one.trials}"
        style = "good" if one.rate == 1 else "bad" if one.failed else "dim"
        bars = _rates(one.points, plain=plain)
        costs = of_costs([p.cost for p in one.points[-SHOWN_RUNS:]], plain=plain)
        table.append(
            (
                row.testcase, _kernel(row), *where, (rate, style), (str(one.flips), _flaky(row)),
                bars, _cost(row), costs, _note(row, past),
            )
        )  # fmt: skip
    where_title = "guest, settings, devices" if places else "places"
    columns.show(
        ("testcase", "kernel", where_title, "passed", "flips", "runs", "cost", "costs", "note"),
        table,
    )
    if past.other_kernels:
        log.say(f"{past.other_kernels} more kernels: --kernel '*' shows all")
    log.say(false_alarms(past.alarms))
    log.stdout.print(f"({TRIALS})", style="dim", markup=False)


def _kernel(row: PastRow) -> str:
    more = f" (and {row.kernels - 1} before)" if row.kernels > 1 else ""
    return f"{row.kernel.phrase}{more}"


def _rates(points: Sequence[HistoryPoint], *, plain: bool) -> str:
    rates = [point.rate for point in points[-SHOWN_RUNS:]]
    return sparkline(rates, low=0.0, high=1.0, plain=plain)


def _flaky(row: PastRow) -> str:
    return "odd" if row.trend.flips else "dim"


def _cost(row: PastRow) -> str:
    one = row.trend
    if one.cost is None:
        return "-"
    cost = f"{one.cost / 1e6:.2f} M" if row.mode == EXACT else f"{one.cost:.1f} s"
    return cost if one.growth is None else f"{cost} {one.growth:+.0f} %"


def _note(row: PastRow, past: Past) -> str:
    """Say since when a row fails, and what is no result."""
    one = row.trend
    notes = []
    if one.failing_since is not None:
        run = past.runs[one.failing_since]
        notes.append(f"fails since {run.began[:16].replace('T', ' ')} ({run.lab})")
    if one.alarms:
        notes.append(f"{one.alarms} alarm{'s' if one.alarms > 1 else ''}")
    if one.skipped or one.errors:
        notes.append(f"{one.skipped} skipped, {one.errors} errors")
    return "; ".join(notes)


def false_alarms(counted: FalseAlarms) -> str:
    """Return the line on false alarms: ``0 of 5,680, so under 0.053 % at 95 %``."""
    if counted.bound is None:
        return "false alarms: nothing was tried yet"
    rest = counted.alarms - counted.false
    standing = f"; {rest} other alarm{'s stand' if rest > 1 else ' stands'}" if rest else ""
    return (
        f"false alarms: {counted.false:,} of {counted.trials:,} trials, so under "
        f"{_percent(counted.bound)} % at {counted.confidence:.0%}{standing}"
    ).replace("95%", "95 %")


def _percent(bound: float) -> str:
    """Return a bound in percent with two digits, rounded up: it has to stay one."""
    percent = bound * 100
    for digits in range(8):
        whole = percent * 10**digits
        if whole >= 10:
            return f"{(int(whole) + 1) / 10**digits:.{digits}f}"
    return f"{percent:.8f}"


def show_marks(marks: Sequence[Mark]) -> None:
    """Print the failures that are marked invalid."""
    rows = [(one.fingerprint, one.at, one.owner or "-", one.reason) for one in marks]
    if not rows:
        log.say("no failure is marked invalid")
    columns.show(("failure", "marked", "by", "reason"), rows)


def facts(past: Past) -> dict[str, Any]:
    """Return the history as JSON has it."""
    return {
        "rows": [_row(row, past) for row in past.rows],
        "false_alarms": {**dataclasses.asdict(past.alarms), "trial": TRIALS},
        "marks": [dataclasses.asdict(mark) for mark in past.marks],
        "other_kernels": past.other_kernels,
    }


def _row(row: PastRow, past: Past) -> dict[str, Any]:
    one = row.trend
    return {
        "testcase": row.testcase,
        "kernel": dataclasses.asdict(row.kernel),
        "kernels": row.kernels,
        "guest": row.guest,
        "devices": row.devices,
        "settings": row.settings,
        "mode": row.mode,
        "places": row.places,
        "pass": one.passed,
        "fail": one.failed,
        "skip": one.skipped,
        "error": one.errors,
        "rate": one.rate,
        "flips": one.flips,
        "alarms": one.alarms,
        "failing_since": None if one.failing_since is None else _run(one.failing_since, past),
        "cost": {
            "unit": "instructions" if row.mode == EXACT else "seconds of the host",
            "last": one.cost,
            "usual": one.usual_cost,
            "growth_percent": one.growth,
        },
        "points": [
            {
                **_run(point.run, past),
                "pass": point.passed,
                "fail": point.failed,
                "skip": point.skipped,
                "error": point.errors,
                "alarms": point.alarms,
                "workload": point.program,
                "cost": point.cost,
            }
            for point in one.points
        ],
    }


def _run(number: int, past: Past) -> dict[str, str]:
    run = past.runs[number]
    return {"began": run.began, "lab": printable(run.lab), "folder": printable(run.folder)}
