# SPDX-License-Identifier: GPL-2.0
"""The derived files of a cell's folder, counters.json and splats.json (docs/run-folder.md).

A run of many thousands of cells cannot hold hundreds of counters for each, so they stay on disk and
are read where a report needs them.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
from collections.abc import Callable, ItemsView, Iterator, Mapping
from typing import TypeVar, cast

from rmaplab.model import CounterChange, Observation
from rmaplab.store.runfolder import CELLS, RunFolder

T = TypeVar("T")

CounterFacts = dict[str, dict[str, int | None]]

COUNTERS = "counters.json"
SPLATS = "splats.json"


# Every cell of a kernel has the same counters.
_quoted = functools.cache(cast(Callable[[str], str], json.dumps))


def _json(value: int | None) -> str:
    return "null" if value is None else str(value)


class SavedCounters(Mapping[str, CounterChange]):
    """The counters of a cell, in its counters.json; read anew at each use, so ask for all at once.

    Raises OSError or ValueError if the file was damaged since it was written.
    """

    __slots__ = ("_cell", "_folder")

    # Not the path: a run of many thousands of cells has as many of these.
    def __init__(self, folder: RunFolder, cell: str) -> None:
        self._folder = folder
        self._cell = cell

    def facts(self) -> CounterFacts:
        """All of them, as they are on disk."""
        found: CounterFacts = json.loads((self._folder.place(self._cell) / COUNTERS).read_bytes())
        return found

    def _read(self) -> dict[str, CounterChange]:
        return {name: CounterChange(c["before"], c["after"]) for name, c in self.facts().items()}

    def __getitem__(self, name: str) -> CounterChange:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def items(self) -> ItemsView[str, CounterChange]:
        """All of them, from one reading."""
        return self._read().items()


def facts(counters: Mapping[str, CounterChange]) -> CounterFacts:
    """What counters.json says: ``before``, ``after`` and ``delta`` by name."""
    if isinstance(counters, SavedCounters):
        return counters.facts()
    return {
        name: {"before": change.before, "after": change.after, "delta": change.delta}
        for name, change in counters.items()
    }


def save(folder: RunFolder, cell: str, seen: Observation) -> Observation:
    """Write a cell's derived files; the observation with its counters left on disk."""
    place = f"{CELLS}/{cell}"
    # By hand, since this is most of what the lab writes for a cell.
    lines = ",\n".join(
        f' {_quoted(name)}: {{"before": {_json(change.before)}, "after": {_json(change.after)}, '
        f'"delta": {_json(change.delta)}}}'
        for name, change in seen.counters.items()
    )
    folder.write(f"{place}/{COUNTERS}", f"{{\n{lines}\n}}\n")
    splats = [dataclasses.asdict(splat) for splat in seen.splats]
    folder.write(f"{place}/{SPLATS}", json.dumps(splats, indent=1) + "\n")
    return dataclasses.replace(
        seen,
        counters=SavedCounters(folder, cell),
        subtests=_shared(seen.subtests),
        settings_read=_shared_mapping(tuple(seen.settings_read.items())),
    )


@functools.lru_cache(4096)
def _shared(value: T) -> T:
    """The first of equal values: repeats of a cell mostly show the same."""
    return value


@functools.lru_cache(4096)
def _shared_mapping(items: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return types.MappingProxyType(dict(items))
