# SPDX-License-Identifier: GPL-2.0
"""Find functions in a kept kernel: by System.map, those that are inlined by debug info."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pydantic

from rmaplab.build import harvest, linetables, stale
from rmaplab.build.kernel import OBJECTS
from rmaplab.model.coverage import Ranges
from rmaplab.store.files import write_whole

MAP = f"{OBJECTS}/System.map"
KNOWN = "functions-1.json"
"""The file beside a kernel that has what was found of it before."""
_ADAPTER = pydantic.TypeAdapter(dict[str, Ranges])


def locate(
    wanted: Mapping[str, str], build: Path, source: Callable[[], Path]
) -> Mapping[str, Ranges]:
    """Return where functions are, by name; one without code of its own or inlined is left out.

    ``wanted`` are their files by name, ``build`` is the kernel's folder in the cache, ``source``
    gives the tree that it was built from. Raises BuildError for an odd build, InfraError if the
    sandbox does not work.
    """
    known = _read(build / KNOWN)
    unknown = {name: file for name, file in wanted.items() if name not in known}
    if unknown:
        known |= dict.fromkeys(unknown, ())
        known |= _by_symbols(unknown, build / OBJECTS)
        inlined = {name: file for name, file in unknown.items() if not known[name]}
        if inlined:
            known |= _by_debug_info(inlined, build / OBJECTS, source())
        text = json.dumps({name: known[name] for name in sorted(known) if known[name]}, indent=1)
        write_whole(build / KNOWN, text + "\n")
    return {name: known[name] for name in wanted if known[name]}


def _read(path: Path) -> dict[str, Ranges]:
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except (OSError, ValueError):
        return {}


def _by_symbols(names: Iterable[str], objects: Path) -> dict[str, Ranges]:
    """Return where functions are that have symbols: whole, or parts of them (foo.constprop.0)."""
    wanted = set(names)
    found: dict[str, list[tuple[int, int]]] = {}
    for name, begin, end in symbols(objects):
        base = name.partition(".")[0]
        if base in wanted and begin < end:
            found.setdefault(base, []).append((begin, end))
    return {name: linetables.joined(ranges) for name, ranges in found.items()}


def symbols(objects: Path) -> Iterable[tuple[str, int, int]]:
    """Yield name, begin and end of each symbol of code; one ends where the next symbol begins."""
    rows = [line.split() for line in harvest.text(objects, "System.map").splitlines()]
    table = [(int(row[0], 16), row[1], row[2]) for row in rows if len(row) == 3]
    ends = {begin: end for (begin, *_), (end, *_) in itertools.pairwise(table) if begin < end}
    for begin, kind, name in table:
        if kind in "tTwW":
            yield name, begin, ends.get(begin, begin)


def _by_debug_info(wanted: Mapping[str, str], objects: Path, source: Path) -> dict[str, Ranges]:
    files = sorted(set(wanted.values()))
    names = [made for file in files if (made := stale.object_of(file)) is not None]
    tables = linetables.read(
        objects, source, [n for n in names if harvest.is_file(objects, n)], files
    )
    found: dict[str, set[tuple[int, int]]] = {}
    for table in tables.files.values():
        for (_, name), ranges in table.functions.items():
            if name in wanted:
                found.setdefault(name, set()).update(ranges)
    return {name: linetables.joined(ranges) for name, ranges in found.items()}
