# SPDX-License-Identifier: GPL-2.0
"""The formats of a run on standard output, besides text for a person."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rmaplab.report import checks, kcidb, ktap, mail, results
from rmaplab.report.reported import ReportedRun
from rmaplab.store.cellfiles import ReadCounters


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """Options of single formats: where the reports are published, who tested."""

    url: str = ""
    tester: str = ""


_Render = Callable[[ReportedRun, ReadCounters, FormatOptions], Iterable[str]]

FORMATS: dict[str, _Render] = {
    "json": lambda run, counters, _: results.render(run, counters),
    "mail": lambda run, _, options: (mail.render(run, options.tester),),
    "ktap": lambda run, *_: ktap.render(run),
    "kcidb": lambda run, *_: (kcidb.render(run),),
    "patchwork": lambda run, _, options: (checks.patchwork(run, options.url),),
    "github": lambda run, _, options: (checks.github(run, options.url),),
}
"""Each format by its name."""
