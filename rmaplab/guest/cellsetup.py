# SPDX-License-Identifier: GPL-2.0
"""Describe what a cell runs on, as plain data: before a guest is started, on any machine.

A CellTask has names, numbers and bytes alone, so that it can be pickled or written as JSON and
carried out by another process. Its paths name files of the cache, whose folders are named by their
content.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import pydantic

from rmaplab.guest.command import Launch, slowdown
from rmaplab.guest.postmortem import MemoryDumpPermit
from rmaplab.guest.settings import SetupResult
from rmaplab.model import Cell, ExpectedSubtests


@dataclass(frozen=True, slots=True)
class TemplateState:
    """Hold what a saved template's set-up showed: its facts, and the transcript of the set-up."""

    __pydantic_config__ = pydantic.ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    result: SetupResult
    transcript: bytes


@dataclass(frozen=True, slots=True)
class LedgerSetup:
    """Hold the terms of a cell's ledger; they go into the transcript, to be judged from there.

    ``bounds`` are the calibrated ones by account, ``error`` says why there are none. ``before`` are
    the counters of the sample before the workload, None if that sample is taken in the cell: with
    them a sample after the workload that balances need not be taken again
    (``sampling.is_balanced``). ``probes`` are what the agent of a clone's template said in its
    ``ready``; the agent of a guest that boots says them in the cell.
    """

    bounds: Mapping[str, tuple[int, int]]
    error: str = ""
    before: Mapping[str, int] | None = None
    probes: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CellSetup:
    """Say what a cell runs on: how its guest is started, and which counters' files are sampled.

    ``template`` describes the saved template that ``launch`` restores; without one the guest
    boots and gets its settings in the cell. ``audit`` is as in ``GuestSetup``; without ``ledger``
    none is drawn up; without ``memory_dump`` no memory is saved; ``expected`` is None for a
    workload of the lab's own.
    """

    launch: Launch
    counter_files: tuple[str, ...]
    template: TemplateState | None = None
    audit: tuple[str, ...] | None = None
    ledger: LedgerSetup | None = None
    memory_dump: MemoryDumpPermit | None = None
    expected: ExpectedSubtests | None = None


@dataclass(frozen=True, slots=True)
class CellTask:
    """Hold what an executor needs for a cell; ``program`` is the workload's path in the guest."""

    cell: Cell
    setup: CellSetup
    program: str

    def to_json(self) -> bytes:
        """Return the task as JSON."""
        return _adapter().dump_json(self)

    @classmethod
    def from_json(cls, text: bytes) -> CellTask:
        """Return the task that ``to_json`` wrote. Raises ValueError if the text is no task."""
        return _adapter().validate_json(text)


@functools.cache
def _adapter() -> pydantic.TypeAdapter[CellTask]:
    return pydantic.TypeAdapter(CellTask)


def has_request(cell: Cell, setup: CellSetup) -> bool:
    """Return whether the guest has its request before it runs: a clone in exact mode."""
    return cell.guest.icount and setup.template is not None


def limit_s(cell: Cell, setup: CellSetup) -> float:
    """Return the time limit of a cell's workload on its accelerator, in seconds."""
    return cell.testcase.limit_s * slowdown(cell.guest, setup.launch.accelerator)


def run_words(cell: Cell, setup: CellSetup, program: str) -> list[str]:
    """Return the words of the request that runs a cell's workload (docs/protocol.md)."""
    name = "run-exact" if cell.guest.icount else "run"
    uid = cell.testcase.upstream.uid if cell.testcase.upstream is not None else 0
    limit_ms = int(limit_s(cell, setup) * 1000)
    return [name, str(limit_ms), str(uid), program, *cell.testcase.args]
