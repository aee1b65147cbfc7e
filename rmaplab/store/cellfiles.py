# SPDX-License-Identifier: GPL-2.0
"""Write and read the derived files of a cell's folder, counters.json and splats.json.

A run of many thousands of cells cannot hold hundreds of counters for each, so they stay on disk and
are read, cell by cell, where a report needs them (docs/run-folder.md).
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from rmaplab.errors import InfraError
from rmaplab.evidence.names import COUNTERS, SPLATS
from rmaplab.model import CounterChange, Observation
from rmaplab.store.runfolder import CELLS, RunFolder

T = TypeVar("T")

CounterFacts = dict[str, dict[str, int | None]]
"""``before``, ``after`` and ``delta`` by the counter's name."""
ReadCounters = Callable[[str], CounterFacts]
"""Gives the counters of the cell with an id."""


# Every cell of a kernel has the same counters.
_quoted = functools.cache(cast(Callable[[str], str], json.dumps))


def _json(value: int | None) -> str:
    return "null" if value is None else str(value)


def read_counters(folder: RunFolder, cell: str) -> CounterFacts:
    """Return the counters of a cell, by its id, as ``save`` wrote them.

    Raises InfraError if the file is not there, or was damaged since.
    """
    path = folder.place(cell) / COUNTERS
    try:
        found: CounterFacts = json.loads(path.read_bytes())
        if not all({"before", "after", "delta"} <= one.keys() for one in found.values()):
            raise ValueError("a counter lacks a figure")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise InfraError(
            f"{path} cannot be read: {error}", hint="make it again: lab.py report RUN"
        ) from error
    return found


def reader(folder: RunFolder) -> ReadCounters:
    """Return what reads the counters of a run's cells."""
    return functools.partial(read_counters, folder)


def facts(counters: Mapping[str, CounterChange]) -> CounterFacts:
    """Return what counters.json says of these counters."""
    return {
        name: {"before": change.before, "after": change.after, "delta": change.delta}
        for name, change in counters.items()
    }


def save(folder: RunFolder, cell: str, seen: Observation) -> Observation:
    """Write a cell's derived files; return the observation without its counters."""
    place = f"{CELLS}/{cell}"
    # By hand, since this is most of what the lab writes for a cell.
    lines = ",\n".join(
        f' {_quoted(name)}: {{"before": {_json(change.before)}, "after": {_json(change.after)}, '
        f'"delta": {_json(change.delta)}}}'
        for name, change in seen.counters.items()
    )
    folder.write(f"{place}/{COUNTERS}", f"{{\n{lines}\n}}\n", derived=True)
    splats = [dataclasses.asdict(splat) for splat in seen.splats]
    folder.write(f"{place}/{SPLATS}", json.dumps(splats, indent=1) + "\n", derived=True)
    return dataclasses.replace(
        seen,
        counters=_NONE,
        subtests=_shared(seen.subtests),
        findings=_shared(seen.findings),
        values=_shared(seen.values),
        costs=_shared(seen.costs),
        settings_read=_shared_mapping(tuple(seen.settings_read.items())),
    )


_NONE: Mapping[str, CounterChange] = types.MappingProxyType({})


@functools.lru_cache(4096)
def _shared(value: T) -> T:
    """Return the first of equal values: repeats of a cell mostly show the same."""
    return value


@functools.lru_cache(4096)
def _shared_mapping(items: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return types.MappingProxyType(dict(items))
