# SPDX-License-Identifier: GPL-2.0
"""Measure the bounds of a template's ledger: what an empty workload moves, on many clones of it.

The bounds are saved beside the template, so they are measured once for each kernel, guest and
initramfs.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rmaplab.build import initramfs
from rmaplab.collect import counters, ledger, transcript
from rmaplab.evidence.names import TRANSCRIPT
from rmaplab.guest import cell
from rmaplab.guest.cellsetup import CellSetup, LedgerSetup, TemplateState
from rmaplab.log import log
from rmaplab.model import Cell, Guest, HugepageSettings, Testcase
from rmaplab.model.digest import digest_of
from rmaplab.store.files import write_whole

EMPTY = "control/empty"
"""The testcase that a calibration runs on many clones."""
SWAPPING = "reclaim/pte-bits"
"""The testcase that it runs on one clone, to see whether a CPU keeps swap slots."""
_FILE = "ledger.json"
# Raise it when the rule changes that makes bounds of what was seen.
_RECIPE = 7
AS_BOOTED = HugepageSettings("as-booted", "as the guest boots", ())
"""The settings that a calibration runs under."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Hold the bounds of a template's calibrated accounts; ``error`` says why there are none.

    ``probes`` are what the template's agent tried when it booted.
    """

    bounds: Mapping[str, tuple[int, int]]
    error: str = ""
    probes: Mapping[str, bool] = field(default_factory=dict)

    def ledger(self, state: TemplateState | None) -> LedgerSetup:
        """Return the terms of the ledger of a template's clones, or of a guest that boots."""
        if state is None:
            return LedgerSetup(self.bounds, self.error)
        before = counters.sample(transcript.first_sample(state.transcript))
        return LedgerSetup(self.bounds, self.error, before.values, self.probes)


# A guest that boots for one cell has no clones to calibrate with: its ledger has the exact
# accounts alone.
UNCALIBRATED = Calibration({})


def read(folder: Path) -> Calibration | None:
    """Return the calibration of the template in ``folder``; None without one that can be used.

    One that is not as it was saved is told.
    """
    path = folder / _FILE
    if not path.exists():
        return None
    found = _read(path)
    if found is None:
        log.info(f"templates/{folder.name}/{_FILE} in the cache is damaged or old: making it again")
    return found


def _read(path: Path) -> Calibration | None:
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        if saved["recipe"] != _RECIPE or saved.pop("seal") != _seal(saved):
            return None
        bounds = {str(name): (int(low), int(high)) for name, (low, high) in saved["bounds"].items()}
        probes = {str(name): bool(seen) for name, seen in saved["probes"].items()}
        return Calibration(bounds, str(saved["error"]), probes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


MAPPING = "uprobe/exclusive-text"
"""The testcase that it runs on one clone, to see whether the kernel counts its own page tables."""


@dataclass(frozen=True, slots=True)
class Workloads:
    """Name the workloads of a calibration: EMPTY, SWAPPING and MAPPING."""

    empty: Testcase
    swapping: Testcase
    mapping: Testcase

    @classmethod
    def of(cls, testcases: Mapping[str, Testcase]) -> Workloads:
        """Return those of a catalogue's testcases."""
        return cls(testcases[EMPTY], testcases[SWAPPING], testcases[MAPPING])


async def measure(
    guest: Guest, setup: CellSetup, workloads: Workloads, folder: Path
) -> Calibration:
    """Run the workloads on clones, and save what they show in ``folder``."""
    empty = workloads.empty
    with tempfile.TemporaryDirectory(prefix="rmaplab-calibration-") as scratch:
        changes = await _run_all(guest, setup, empty, Path(scratch))
        swapping = mapping = None
        if guest.swap_mb:
            swapping = await _seen(guest, setup, workloads.swapping, Path(scratch, "swapping"))
        if set(workloads.mapping.requires.devices) <= {device.name for device in guest.devices}:
            mapping = await _seen(guest, setup, workloads.mapping, Path(scratch, "mapping"))
    least = ledger.CALIBRATION_CLONES // 2
    error = ""
    if len(changes) < least:
        error = f"only {len(changes)} of {ledger.CALIBRATION_CLONES} clones ran {empty.name}"
    page_kb = guest.architecture.page_kb
    probes = transcript.read(folder / TRANSCRIPT).probes
    bounds = (
        {}
        if error
        else ledger.calibrate(ledger.Seen(changes, swapping, mapping), guest.cpus, page_kb)
    )
    found = Calibration(bounds, error, probes)
    _save(folder / _FILE, found, [ledger.measure(change, page_kb) for change in changes])
    return found


def _save(path: Path, found: Calibration, seen: list[dict[str, int]]) -> None:
    facts = {
        "recipe": _RECIPE,
        "bounds": dict(found.bounds),
        "error": found.error,
        "probes": dict(found.probes),
        "clones": len(seen),
        "seen": seen,
    }
    write_whole(path, json.dumps({**facts, "seal": _seal(facts)}, indent=1) + "\n")


def _seal(facts: Mapping[str, Any]) -> str:
    return digest_of(json.dumps(facts, sort_keys=True))


async def _run_all(
    guest: Guest, setup: CellSetup, empty: Testcase, scratch: Path
) -> list[ledger.Changes]:
    slots = asyncio.Semaphore(len(os.sched_getaffinity(0)))

    async def one(number: int) -> ledger.Changes | None:
        folder = scratch / str(number)
        folder.mkdir()
        async with slots:
            await _run_one(guest, setup, empty, folder, number)
        return _changes(folder)

    done = await asyncio.gather(*map(one, range(ledger.CALIBRATION_CLONES)))
    return [changes for changes in done if changes is not None]


async def _seen(
    guest: Guest, setup: CellSetup, workload: Testcase, folder: Path
) -> ledger.Changes | None:
    """Run another workload on a clone, and return what it changed; None if it did not end."""
    folder.mkdir()
    await _run_one(guest, setup, workload, folder)
    return _changes(folder)


async def _run_one(
    guest: Guest, setup: CellSetup, empty: Testcase, folder: Path, number: int = 1
) -> None:
    # Without bounds the agent waits for what is on its way back before it samples.
    setup = dataclasses.replace(setup, ledger=LedgerSetup({}))
    clone = Cell(f"calibration.{number}", "", guest, AS_BOOTED, empty, number)
    await cell.run(clone, setup, folder, initramfs.program_path(empty))


def _changes(folder: Path) -> ledger.Changes | None:
    """Return what a clone's cell changed; None if it did not come to its end."""
    saved = transcript.read(folder / TRANSCRIPT)
    if saved.how != "bye" or not {"before", "after"} <= saved.samples.keys():
        return None
    before, after = (counters.sample(saved.samples[label]) for label in ("before", "after"))
    return counters.changes(before, after)
