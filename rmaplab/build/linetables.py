# SPDX-License-Identifier: GPL-2.0
"""Compile some objects of a kernel once more, with debug info, and say where their lines are.

The kernel under test has no debug info and stays as it is. Debug info changes no code, so an object
that is compiled by the command that kbuild noted, and with ``-gdwarf-4``, has the kernel's code to
the byte; one that has not is not used. Its place in the kernel follows from System.map. The same
command, with ``-E -fdirectives-only``, says which lines the configuration leaves out.

A series' build wrote the commands and the objects: both are used in the sandbox alone.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pydantic

from rmaplab.build import harvest, sandbox
from rmaplab.build.bubblewrap import Box
from rmaplab.errors import BuildError, InfraError
from rmaplab.log import log
from rmaplab.model.coverage import Ranges

_PLACE = "/kernel/lines"
_COMMAND = re.compile(r"^(?:saved)?cmd_\S+ := (.+)$", re.M)
_SYMBOL = re.compile(r"^([0-9a-f]{16}) [tTwW] (\S+)$", re.M)
_MARKER = re.compile(r'^# (\d+) "([^"\n]*)"')
_TEXT_BYTES = 64 << 20
_LIMIT_S = 1800.0

_Place = tuple[str, int, int]
"""A section of an object, begin and end in it."""


class _Tables(pydantic.BaseModel):
    """One line of what rmaplab.dwarf says."""

    error: str = ""
    differs: list[str] = []
    symbols: list[tuple[str, str, int, int]] = []
    lines: list[tuple[str, int, str, int, int]] = []
    functions: list[tuple[str, str, int, str, int, int]] = []
    unreferenced: list[str] = []


@dataclass(slots=True)
class FileTable:
    """Where the lines and functions of a file are in the kernel, over all objects that have it.

    ``built`` are the lines that the configuration does not leave out. ``functions`` are by first
    line and name. ``unreferenced`` are functions for other objects that their own does not use.
    """

    lines: dict[int, set[tuple[int, int]]] = field(default_factory=dict)
    built: set[int] = field(default_factory=set)
    functions: dict[tuple[int, str], set[tuple[int, int]]] = field(default_factory=dict)
    unreferenced: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of some files by path, and why an object could not be used, by object."""

    files: Mapping[str, FileTable]
    refused: Mapping[str, str]


def read(build: Path, source: Path, names: Sequence[str], files: Sequence[str]) -> Tables:
    """Return where lines of some files are, by the objects ``names`` of a kept build.

    ``build`` is the build folder, ``source`` the tree that it was built from. Raises InfraError if
    the sandbox does not work.
    """
    found = {file: FileTable() for file in files}
    refused: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="rmaplab-lines-") as scratch:
        place = Path(scratch, "lines")
        place.mkdir()
        scripts = dict(_scripts(build, names, refused))
        for number, text in scripts.items():
            (place / f"{number}.sh").write_text(text, encoding="utf-8")
        if not scripts:
            return Tables(found, refused)
        with log.step(f"compiling {len(scripts)} objects again, with debug info"):
            _compile(build, source, place)
        symbols = _system_map(build)
        said = dict(zip(scripts, _tables(build, place, names, list(scripts), files), strict=True))
        for number, tables in said.items():
            _preprocessed(place, number, found)
            if why := _merge(tables, symbols, found):
                refused[names[number]] = why
    return Tables(found, refused)


def undefined(build: Path) -> frozenset[str]:
    """Return the names that any object of a kept build takes from another one."""
    said = bytearray()
    box = Box({sandbox.BUILD: build}, workdir=sandbox.BUILD)
    words = ["nm", "--undefined-only", "--no-sort", "--format=just-symbols", "vmlinux.a"]
    ended = sandbox.run_in(box, words, said.extend, limit_s=sandbox.TOOL_LIMIT_S)
    if not ended.ok:
        raise InfraError(f"nm of the build's objects failed: {bytes(said[-300:])!r}")
    return frozenset(bytes(said).decode("utf-8", "replace").split())


# -- compiling -----------------------------------------------------------------------------------


def _scripts(
    build: Path, names: Sequence[str], refused: dict[str, str]
) -> Iterator[tuple[int, str]]:
    """Yield the commands that compile each object again, by its number; add those that cannot."""
    for number, name in enumerate(names):
        folder, _, last = name.rpartition("/")
        note = f"{folder}/.{last}.cmd".removeprefix("/")
        try:
            found = _COMMAND.search(harvest.text(build, note))
        except BuildError as error:
            refused[name] = error.message
            continue
        text = found[1].replace("$(pound)", "#").replace("$$", "$") if found else ""
        if " -c -o " not in text:
            refused[name] = "it is not compiled by a command of a usual form"
            continue
        yield number, _script(text, name, number)


def _script(command: str, name: str, number: int) -> str:
    """Return a shell script that compiles an object with debug info, and preprocesses it."""
    folder, _, last = name.rpartition("/")
    note = f"{folder}/.{last}.d".removeprefix("/")
    target = f"{_PLACE}/{number}"
    moved = re.sub(rf"(?<![\w./-]){re.escape(note)}(?![\w.])", f"{target}.d", command)
    moved = re.sub(rf"(?<![\w./-]){re.escape(name)}(?![\w.])", f"{target}.o", moved)
    compiled = moved.replace(" -c -o ", " -gdwarf-4 -c -o ", 1)
    alone = moved.partition(" ; ")[0].replace(f" -c -o {target}.o", f" -E -o {target}.i", 1)
    return f"{compiled}\n{alone} -fdirectives-only\n"


def _compile(build: Path, source: Path, place: Path) -> None:
    jobs = len(os.sched_getaffinity(0))
    each = f"printf '%s\\0' {_PLACE}/*.sh | xargs -0 -P {jobs} -n 1 bash"
    said = bytearray()
    ended = sandbox.run(
        ["bash", "-c", each],
        lambda piece: said.extend(piece[: max(0, 100_000 - len(said))]),
        source=source,
        build=build,
        writable=False,
        over={_PLACE: place},
        limit_s=_LIMIT_S,
    )
    if ended.stopped:
        raise InfraError(f"compiling with debug info: {ended.stopped}")
    # An object that does not compile is not there, which is said of it.


def _tables(
    build: Path, place: Path, names: Sequence[str], numbers: Sequence[int], files: Sequence[str]
) -> Iterator[_Tables]:
    """Yield what each object has, in the order of their numbers."""
    parts = min(len(numbers), len(os.sched_getaffinity(0)))
    size = -(-len(numbers) // parts)
    some = [numbers[at : at + size] for at in range(0, len(numbers), size)]
    with ThreadPoolExecutor(parts) as pool:
        for found in pool.map(lambda part: _read_some(build, place, names, part, files), some):
            yield from found


def _read_some(
    build: Path, place: Path, names: Sequence[str], numbers: Sequence[int], files: Sequence[str]
) -> list[_Tables]:
    with tempfile.TemporaryDirectory(prefix="rmaplab-job-") as scratch:
        Path(scratch).chmod(0o755)
        job = Path(scratch, "job.json")
        pairs = [[str(build / names[n]), str(place / f"{n}.o")] for n in numbers]
        roots = [f"{sandbox.SOURCE}/", f"{sandbox.BUILD}/../source/", f"{sandbox.BUILD}/"]
        facts = {"files": list(files), "roots": roots, "objects": pairs}
        job.write_text(json.dumps(facts), encoding="utf-8")
        job.chmod(0o644)
        words = [sys.executable, "-m", "rmaplab.dwarf", str(job)]
        # Whole folders: a link that a build left leads nowhere but into them.
        said = sandbox.read(words, [Path(scratch), build, place], limit_s=_LIMIT_S)
    lines = said.text.splitlines()
    if not said.ended.ok or len(lines) != len(numbers):
        last = (said.complaint.strip().splitlines() or ["it said nothing"])[-1]
        raise InfraError(f"reading line tables failed: {said.ended.stopped or last}"[:400])
    return [_table(line) for line in lines]


def _table(line: str) -> _Tables:
    try:
        return _Tables.model_validate_json(line)
    except pydantic.ValidationError:
        return _Tables(error="its tables are of no known form")


# -- placing -------------------------------------------------------------------------------------


def _system_map(build: Path) -> Mapping[str, tuple[int, ...]]:
    """Return the addresses of the kernel's code by name; a name may be there several times."""
    found: dict[str, tuple[int, ...]] = {}
    for address, name in _SYMBOL.findall(harvest.text(build, "System.map")):
        found[name] = (*found.get(name, ()), int(address, 16))
    return found


def _bases(tables: _Tables, symbols: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Return where the sections of an object are in the kernel: where all of its symbols agree."""
    found: dict[str, set[int]] = {}
    for name, section, value, _ in tables.symbols:
        bases = {address - value for address in symbols.get(name, ())}
        if bases:
            found[section] = found.get(section, bases) & bases
    return {section: bases.pop() for section, bases in found.items() if len(bases) == 1}


def _merge(
    tables: _Tables, symbols: Mapping[str, tuple[int, ...]], found: Mapping[str, FileTable]
) -> str:
    """Add an object's tables to those of the files; return why it cannot be used."""
    if tables.error:
        return tables.error
    if tables.differs:
        return f"with debug info its code is another ({', '.join(tables.differs)})"
    bases = _bases(tables, symbols)
    if not bases:
        return "" if not tables.symbols else "it is not in the kernel's image"
    lost = {section for _, _, section, begin, end in tables.lines if begin < end} - bases.keys()
    if lost:
        return f"its code is at no place that all symbols agree on ({', '.join(sorted(lost))})"
    for file, line, *place in tables.lines:
        _put(found[file].lines.setdefault(line, set()), place, bases)
    for name, file, line, *place in tables.functions:
        _put(found[file].functions.setdefault((line, name), set()), place, bases)
        found[file].unreferenced.update({name} & set(tables.unreferenced))
    return ""


def _put(ranges: set[tuple[int, int]], place: Iterable[object], bases: Mapping[str, int]) -> None:
    section, begin, end = place
    base = bases.get(str(section))
    if base is not None and isinstance(begin, int) and isinstance(end, int) and begin < end:
        ranges.add((base + begin, base + end))


def _preprocessed(place: Path, number: int, found: Mapping[str, FileTable]) -> None:
    """Add the lines of the files that are left when the directives are done."""
    try:
        text = harvest.text(place, f"{number}.i", limit=_TEXT_BYTES)
    except BuildError:
        return
    table: FileTable | None = None
    line = 0
    for content in text.split("\n"):
        if match := _MARKER.match(content):
            line = int(match[1])
            table = found.get(sandbox.tree_path(match[2]).removeprefix("./"))
        else:
            if table is not None and content.strip():
                table.built.add(line)
            line += 1


def joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Return ranges sorted, those that touch or overlap as one."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted(ranges):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return tuple(found)
