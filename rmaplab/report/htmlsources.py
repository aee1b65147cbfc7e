# SPDX-License-Identifier: GPL-2.0
"""The parts of a run's folder that report.html shows besides the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rmaplab.model import RunHistory
from rmaplab.store.cellfiles import CounterFacts


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that a patch changes; ``added`` and ``removed`` are lines, None for a binary file."""

    path: str
    added: int | None
    removed: int | None


@dataclass(frozen=True, slots=True)
class ShownPatch:
    """A patch of a kernel: ``file`` is its path in the run's folder, ``message`` its mail's text.

    ``error`` says why there is no ``diff``, empty if there is one.
    """

    kernel: str
    subject: str
    file: str
    message: str = ""
    diff: str = ""
    changes: tuple[FileChange, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run's time, in seconds since the run began."""

    name: str
    begin_s: float
    end_s: float


_NO_HISTORY = RunHistory()


def _no_names(_cell: str) -> tuple[str, ...]:
    return ()


def _no_command(_cell: str) -> str:
    return ""


def _no_counters(_cell: str) -> CounterFacts:
    return {}


@dataclass(frozen=True, slots=True)
class PageSources:
    """Patches, stages and evidence of a run, for its page.

    ``evidence`` names the files that are in a cell's folder, ``again`` gives the command that runs
    the cell again, ``counters`` its counters. ``covers`` are the cover letters by kernel, ``links``
    the files by kernel, relative to the run's folder. ``history`` are earlier runs of its rows.
    """

    patches: tuple[ShownPatch, ...] = ()
    covers: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    evidence: Callable[[str], tuple[str, ...]] = _no_names
    again: Callable[[str], str] = _no_command
    counters: Callable[[str], CounterFacts] = _no_counters
    history: RunHistory = _NO_HISTORY
