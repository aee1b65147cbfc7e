# SPDX-License-Identifier: GPL-2.0
"""Put a run into the history, and take the marks of failures out of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from rmaplab import failures
from rmaplab.model import (
    CellResult,
    ItemKind,
    PastCell,
    PastKernel,
    PastPlace,
    PastRun,
    Standing,
)
from rmaplab.model.digest import digest_of
from rmaplab.pipeline.evaluate import Evaluation
from rmaplab.store import marksfile
from rmaplab.store.cache import Cache
from rmaplab.store.runfolder import KernelFacts, RunFolder, RunRecord
from rmaplab.store.verdicts import WAIT_S, VerdictStore
from rmaplab.trend import EXACT


def remember(evaluation: Evaluation, cache: Cache, wait_s: float = WAIT_S) -> str:
    """Add a run to the history; return why it could not be done, empty if it was.

    Adding it again replaces it. Nothing is added of a run without a cell.
    """
    record = evaluation.record
    if not evaluation.results:
        return ""
    kernels = {name: kernel_of(record, facts) for name, facts in record.kernels.items()}
    cells = list(_cells(evaluation, kernels))
    return VerdictStore(cache, wait_s).add(_run(evaluation), kernels.values(), cells)


def note_marks(folder: RunFolder, cache: Cache, wait_s: float = WAIT_S) -> None:
    """Put the marks of the history into a run's folder.

    The folder of a run that the history does not have keeps those of its own beside them.
    """
    store = VerdictStore(cache, wait_s)
    found = {mark.fingerprint: mark for mark in store.marks()}
    if run_uid(folder.read_record()) not in {run.uid for run in store.runs().values()}:
        found = {mark.fingerprint: mark for mark in marksfile.read(folder)} | found
    marksfile.write(folder, list(found.values()))


def run_uid(record: RunRecord) -> str:
    """Return the name of a run in the history, the same in each copy of its folder."""
    keys = sorted(facts.key for facts in record.kernels.values())
    host = record.host.get("name", "")
    return digest_of("run", record.id, record.began, host, *record.command, *keys)


def kernel_of(record: RunRecord, facts: KernelFacts) -> PastKernel:
    """Return a kernel as the history knows it: by its tree, its patches and its configuration."""
    arch = next((kernel.arch for kernel in record.lab.kernels), "")
    patches = [patch.digest for patch in facts.saved_patches]
    unsaved = facts.patches if len(patches) != len(facts.patches) else []
    # A run of an earlier version of the lab says less; then what it says has to be the same.
    symbols = [f"{name}={value}" for name, value in sorted(facts.symbols.items())]
    known = symbols or [facts.key]
    identity = digest_of("kernel", arch, facts.digest, *known, "", *patches, "", *unsaved)
    config = " ".join(facts.config)
    return PastKernel(
        identity=identity,
        line=identity if facts.patches else digest_of("line", arch, facts.tree, config),
        tree=facts.tree,
        origin=facts.origin,
        version=facts.version,
        series=facts.series,
        patches=len(facts.patches),
        config=config,
    )


def place_of(result: CellResult, identity: str, record: RunRecord) -> PastPlace:
    """Return the place of a cell in the history."""
    cell = result.cell
    return PastPlace(
        testcase=cell.testcase.name,
        kind=str(cell.testcase.kind),
        kernel=identity,
        guest=cell.guest.name,
        devices=cell.devices,
        settings=cell.settings.name,
        mode=EXACT if cell.guest.icount else record.accelerator,
    )


def _run(evaluation: Evaluation) -> PastRun:
    record = evaluation.record
    return PastRun(
        uid=run_uid(record),
        began=record.began,
        lab=record.lab.name,
        folder=str(Path(evaluation.folder.path).absolute()),
        mode=record.accelerator,
        host=record.host.get("name", ""),
        answer=str(evaluation.summary.answer),
    )


def _cells(evaluation: Evaluation, kernels: Mapping[str, PastKernel]) -> Iterator[PastCell]:
    record, alarms = evaluation.record, alarms_of(evaluation)
    programs = record.programs.sources if record.programs is not None else {}
    for result in evaluation.results:
        cell, judged = result.cell, result.judgement
        yield PastCell(
            place=place_of(result, kernels[cell.kernel].identity, record),
            name=cell.kernel,
            repeat=cell.repeat,
            program=programs.get(cell.testcase.name, ""),
            verdict=judged.verdict,
            outcome=result.outcome,
            as_expected=judged.as_expected,
            alarm=cell.id in alarms,
            seconds=result.observation.duration_s,
            instructions=result.observation.instructions if cell.guest.icount else None,
            reason=judged.reason,
            failure=failures.fingerprint(result),
        )


_AGAINST = frozenset({Standing.BAD, Standing.QUARANTINED})
_OF_CELLS = frozenset({ItemKind.ROW, ItemKind.CELL, ItemKind.REPEATS})


def alarms_of(evaluation: Evaluation) -> frozenset[str]:
    """Return the ids of the cells whose failure speaks against a kernel."""
    results = {result.cell.id: result for result in evaluation.results}
    base = evaluation.comparison.a if evaluation.comparison is not None else ""
    return frozenset(
        failure.cell.id
        for item in evaluation.summary.items
        if item.kind in _OF_CELLS and item.standing in _AGAINST
        for failure in failures.against(item, (results[name] for name in item.cells), base)
    )
