# SPDX-License-Identifier: GPL-2.0
"""Hold the testcases' claims to drive kernel functions against what recorded cells ran."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rmaplab.build import functions
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import UserError
from rmaplab.model import Testcase, Walker
from rmaplab.model.coverage import Ranges
from rmaplab.pipeline import coverage
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.plan import plan
from rmaplab.source import patched
from rmaplab.store.runfolder import RunFolder, RunRecord, planned

_HOW = "record cells with: lab.py run LAB --coverage"


@dataclass(frozen=True, slots=True)
class ProvenWalker:
    """A kernel function with the testcases that drove it, and those that only claim to.

    ``proven`` claim it and ran it, ``unproven`` claim it and did not, in any of their recorded
    cells. ``unrecorded`` claim it and have no recorded cell. ``others`` ran it without a claim.
    ``missing`` says why it is not known what ran it.
    """

    walker: Walker
    proven: tuple[str, ...] = ()
    unproven: tuple[str, ...] = ()
    unrecorded: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    missing: str = ""


def of_runs(
    runs: Sequence[Path], catalogue: Catalogue, builder: KernelBuilder
) -> list[ProvenWalker]:
    """Return what recorded cells of some runs say of each walker, in walkers.yaml's order.

    Raises UserError if nothing was recorded, or if a kernel is not in the cache any more.
    """
    ran: dict[str, set[str]] = {}
    recorded: set[str] = set()
    located: set[str] = set()
    versions: set[str] = set()
    for path in runs:
        folder = RunFolder.open(path)
        record = folder.read_record()
        cells = planned(record, plan(record.lab).cells)
        places: dict[str, Mapping[str, Ranges]] = {}
        for cell, blocks in coverage.each_cell(folder, cells):
            recorded.add(cell.testcase.name)
            if cell.kernel not in places:
                places[cell.kernel] = _places(cell.kernel, folder, record, catalogue, builder)
                versions.add(record.versions[cell.kernel])
                located |= places[cell.kernel].keys()
            for name, ranges in places[cell.kernel].items():
                if any(blocks.has(begin, end) for begin, end in ranges):
                    ran.setdefault(name, set()).add(cell.testcase.name)
    if not recorded:
        raise UserError(f"{', '.join(map(str, runs))}: nothing was recorded", hint=_HOW)
    return [
        _proven(walker, claimed, ran.get(walker.name, set()), recorded, located)
        for walker, claimed in catalogue.driven_by().items()
        if any(walker.is_in(version) for version in versions)
    ]


def _proven(
    walker: Walker,
    claimed: Iterable[Testcase],
    ran: set[str],
    recorded: set[str],
    located: set[str],
) -> ProvenWalker:
    names = [one.name for one in claimed]
    missing = "" if walker.name in located else "this kernel has no code of it"
    return ProvenWalker(
        walker,
        proven=tuple(name for name in names if name in ran),
        unproven=tuple(n for n in names if n in recorded and n not in ran and not missing),
        unrecorded=tuple(name for name in names if name not in recorded),
        others=tuple(sorted(ran.difference(names))),
        missing=missing,
    )


def _places(
    name: str, folder: RunFolder, record: RunRecord, catalogue: Catalogue, builder: KernelBuilder
) -> Mapping[str, Ranges]:
    """Return where the walkers are in a kernel of a run."""
    facts = record.kernels[name]
    builds = [builder.cache.path("builds", key) for key in (f"{facts.key}-obj", facts.key)]
    found = next((one for one in builds if (one / functions.MAP).is_file()), None)
    if found is None:
        raise UserError(
            f"{folder.path}: kernel {name} is not in the cache any more, or without its objects",
            hint=f"{_HOW}, and see it there",
        )
    wanted = {w.name: w.file for w in catalogue.walkers if w.is_in(facts.version)}

    def source() -> Path:
        kernel = next(one for one in record.lab.kernels if one.name == name)
        resolved = builder.restore(kernel, facts, folder)
        return patched.source_of(resolved.tree, resolved.series, builder.cache, resolved.onto)

    return functions.locate(wanted, found, source)


def claims(found: Sequence[ProvenWalker]) -> Iterator[str]:
    """Yield each claim that no recorded cell keeps."""
    for one in found:
        for name in one.unproven:
            yield f"{name} says that it drives {one.walker.name}(), and no recorded cell of it did"
