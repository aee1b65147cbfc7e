# SPDX-License-Identifier: GPL-2.0
"""From saved records to what was run of a series. Starts no guest, and can be repeated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rmaplab.evidence import blocks
from rmaplab.evidence.blocks import RunBlocks
from rmaplab.evidence.names import BLOCKS
from rmaplab.model import Cell
from rmaplab.model.coverage import (
    ChangedFile,
    ChangedFunction,
    ChangedLine,
    FileCoverage,
    FunctionCoverage,
    KernelChange,
    LineCoverage,
    LineKind,
    Ranges,
    Reach,
    SeriesCoverage,
)
from rmaplab.pipeline import changes
from rmaplab.store.runfolder import RunFolder, RunRecord

MAX_FILE = 16 << 20
"""Bytes of a cell's record that are read: one of a whole cell has 40 KB."""
_OTHERS = {
    LineKind.WITHOUT_CODE: Reach.WITHOUT_CODE,
    LineKind.NOT_BUILT: Reach.NOT_BUILT,
    LineKind.UNKNOWN: Reach.UNKNOWN,
}


def of_run(
    folder: RunFolder, record: RunRecord, cells: Sequence[Cell], spoilt: Mapping[str, str]
) -> tuple[SeriesCoverage, ...]:
    """Return what was run of each kernel's series, by the cells whose evidence is whole."""
    found = []
    for name, change in changes.read(folder, record):
        own = [cell for cell in cells if cell.kernel == name and cell.id not in spoilt]
        found.append(_of_kernel(name, change, folder, own))
    return tuple(found)


def remark(record: RunRecord) -> str:
    """Return why nothing was recorded, as a remark of the run; an empty string if it was."""
    why = record.not_recorded
    return f"what the cells run is not recorded: {why}" if why else ""


def _of_kernel(
    name: str, change: KernelChange, folder: RunFolder, cells: Iterable[Cell]
) -> SeriesCoverage:
    if change.error:
        return SeriesCoverage(name, error=change.error)
    wanted = dict.fromkeys(filter(None, _ranges(change)))
    by: dict[Ranges, dict[str, None]] = {ranges: {} for ranges in wanted}
    incomplete, count = [], 0
    for cell in cells:
        path = folder.place(cell.id) / BLOCKS
        if not path.is_file():
            continue
        count += 1
        try:
            with path.open("rb") as file:
                ran = blocks.decode(file.read(MAX_FILE))
        except (OSError, ValueError) as error:
            incomplete.append(f"{cell.id}: its record cannot be read: {error}")
            continue
        if not ran.is_whole:
            incomplete.append(f"{cell.id}: {ran.dropped + ran.odd} blocks are not in its record")
        for ranges in wanted:
            if _was_run(ran, ranges):
                by[ranges].setdefault(cell.testcase.name)
    files = tuple(_file(one, {r: tuple(sorted(names)) for r, names in by.items()})
                  for one in change.files)  # fmt: skip
    return SeriesCoverage(name, files, count, tuple(incomplete))


def _ranges(change: KernelChange) -> Iterator[Ranges]:
    for file in change.files:
        yield from (line.ranges for line in file.lines)
        yield from (one.ranges for one in file.functions)


def _was_run(ran: RunBlocks, ranges: Ranges) -> bool:
    return any(ran.has(begin, end) for begin, end in ranges)


def _file(file: ChangedFile, by: Mapping[Ranges, tuple[str, ...]]) -> FileCoverage:
    return FileCoverage(
        file.path,
        file.diff,
        tuple(_line(line, by) for line in file.lines),
        tuple(_function(one, by) for one in file.functions),
        file.note,
    )


def _line(line: ChangedLine, by: Mapping[Ranges, tuple[str, ...]]) -> LineCoverage:
    if line.kind is not LineKind.CODE or not line.ranges:
        return LineCoverage(line.number, _OTHERS.get(line.kind, Reach.WITHOUT_CODE))
    names = by[line.ranges]
    return LineCoverage(line.number, Reach.RUN if names else Reach.NOT_RUN, names)


def _function(one: ChangedFunction, by: Mapping[Ranges, tuple[str, ...]]) -> FunctionCoverage:
    if not one.ranges:
        return FunctionCoverage(one.name, one.line, Reach.WITHOUT_CODE, note=one.unused)
    names = by[one.ranges]
    reach = Reach.RUN if names else Reach.NOT_RUN
    return FunctionCoverage(one.name, one.line, reach, names, "" if names else one.unused)


def each_cell(folder: RunFolder, cells: Iterable[Cell]) -> Iterator[tuple[Cell, RunBlocks]]:
    """Yield the record of each cell that has one that can be read."""
    for cell in cells:
        try:
            with (folder.place(cell.id) / BLOCKS).open("rb") as file:
                yield cell, blocks.decode(file.read(MAX_FILE))
        except (OSError, ValueError):
            continue
