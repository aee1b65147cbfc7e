# SPDX-License-Identifier: GPL-2.0
"""Describe what a cell runs on, before a guest is started for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rmaplab.guest.command import Launch, slowdown
from rmaplab.guest.postmortem import MemoryDumpPermit
from rmaplab.guest.settings import SetupResult
from rmaplab.model import Cell, ExpectedSubtests


@dataclass(frozen=True, slots=True)
class TemplateState:
    """Hold what a saved template's set-up showed: its facts, and the transcript of the set-up."""

    result: SetupResult
    transcript: bytes


@dataclass(frozen=True, slots=True)
class LedgerSetup:
    """Hold the terms of a cell's ledger; the transcript keeps them, to be judged from there.

    ``bounds`` are the calibrated ones, ``error`` why there are none. ``balances`` says of a sample
    after a cell whether it need not be taken again; None if the sample before is not known.
    """

    bounds: Mapping[str, tuple[int, int]]
    error: str = ""
    balances: Callable[[Mapping[str, str], Cell], bool] | None = None


@dataclass(frozen=True, slots=True)
class CellSetup:
    """Say what a cell runs on: how its guest is started, and which counters' files are sampled.

    ``template`` describes the saved template that ``launch`` restores; without one the guest
    boots and gets its settings in the cell. ``audit`` is as in ``GuestSetup``; without ``ledger``
    none is drawn up; without ``keep`` no memory is saved; ``expected`` is None for a workload of
    the lab's own; ``warms_up`` has a clone rehearse a sample while it waits for its turn.
    """

    launch: Launch
    counter_files: tuple[str, ...]
    template: TemplateState | None = None
    audit: tuple[str, ...] | None = None
    ledger: LedgerSetup | None = None
    keep: MemoryDumpPermit | None = None
    expected: ExpectedSubtests | None = None
    warms_up: bool = False


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
