# SPDX-License-Identifier: GPL-2.0
"""Where the code of a series is in the kernel that has it: lines and functions, file by file."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rmaplab.build import harvest, linetables, stale
from rmaplab.build.linetables import FileTable, Tables
from rmaplab.model import ResolvedKernel
from rmaplab.model.coverage import (
    ChangedFile,
    ChangedFunction,
    ChangedLine,
    KernelChange,
    LineKind,
)
from rmaplab.source import change, patched
from rmaplab.source.change import FileDiff
from rmaplab.store.cache import Cache

MAX_OBJECTS = 40
"""Objects that are compiled again: a header of memory management is in a thousand."""
_SOURCES = (".c", ".S", ".h")
# Comments, texts and characters.
_NOT_CODE = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)
# A comment, or part of one in the kernel's style; a brace.
_NO_CODE = re.compile(r"/\*(?:(?!\*/).)*(?:\*/)?|//.*|\*|\*/|\* .*|[{}]")
_UNUSED = "nothing in this kernel calls it"


@dataclass(frozen=True, slots=True)
class _Objects:
    """The objects of a kernel in which a file is: all, and those that are looked into."""

    all: tuple[str, ...]
    taken: tuple[str, ...]

    @property
    def note(self) -> str:
        """How many objects are looked into, empty for all."""
        left = len(self.all) - len(self.taken)
        return f"looked for in {len(self.taken)} of {len(self.all)} objects" if left else ""


def of_kernel(kernel: ResolvedKernel, build: Path, cache: Cache) -> KernelChange:
    """Return what a kernel's own series changes, and where that is in the kernel.

    ``build`` is the kept build folder. Raises BuildError for an odd one, InfraError if the sandbox
    does not work.
    """
    before, after = _sources(kernel, cache)
    return _of(before, after, kernel.own.files, build)


def touched(kernel: ResolvedKernel, base: Path, cache: Cache) -> KernelChange:
    """Return what a kernel's own series changes of its base, and where that is in the base.

    The changed lines are those that the series removes or changes; ``base`` is the base's kept
    build folder. Raises as ``of_kernel`` does.
    """
    before, after = _sources(kernel, cache)
    return _of(after, before, kernel.own.files, base)


def _sources(kernel: ResolvedKernel, cache: Cache) -> tuple[Path, Path]:
    """Return the sources without and with a kernel's own series."""
    before = patched.source_of(kernel.tree, kernel.onto, cache)
    return before, patched.source_of(kernel.tree, kernel.series, cache, kernel.onto)


def _of(before: Path, after: Path, names: Sequence[str], build: Path) -> KernelChange:
    """Return what differs between two sources; ``build`` was built from the second one."""
    diffs = list(change.between(before, after, tuple(names)))
    wanted = [one for one in diffs if one.path.endswith(_SOURCES) and _may_have_code(one, after)]
    objects = _objects(build, wanted)
    names = list(dict.fromkeys(name for some in objects.values() for name in some.taken))
    tables = linetables.read(build, after, names, [one.path for one in wanted])
    used = linetables.undefined(build) if names else frozenset[str]()
    files = [
        _changed(one, after, objects.get(one.path, _Objects((), ())), tables, used) for one in diffs
    ]
    return KernelChange(tuple(files))


def _may_have_code(one: FileDiff, after: Path) -> bool:
    """Return whether a changed line can have code: a header's declarations have none anywhere."""
    if not one.path.endswith(".h"):
        return True
    inside = _in_braces(harvest.text(after, one.path))
    return any(number in inside for number in (*one.added, *one.places))


def _in_braces(text: str) -> frozenset[int]:
    """Return the numbers of the lines of C code that are inside of braces, and before them."""
    bare = _NOT_CODE.sub(lambda match: "\n" * match[0].count("\n"), text)
    depth, found = 0, set()
    for number, line in enumerate(bare.split("\n"), start=1):
        if depth:
            found.add(number)
        elif "{" in line:
            found.update(range(max(1, number - 2), number + 1))  # with the function's name
        depth = max(0, depth + line.count("{") - line.count("}"))
    return frozenset(found)


def _objects(build: Path, diffs: Sequence[FileDiff]) -> Mapping[str, _Objects]:
    """Return the objects of each file: a source's own, and those that include it."""
    own = {one.path: stale.object_of(one.path) for one in diffs}
    of_sources = {
        path: name for path, name in own.items() if name is not None and _is_built(build, name)
    }
    folders = {str(Path(one.path).parent) for one in diffs}
    room = max(0, MAX_OBJECTS - len(of_sources))
    found: dict[str, _Objects] = {}
    for one in diffs:
        if (name := of_sources.get(one.path)) is not None:
            found[one.path] = _Objects((name,), (name,))
            continue
        some = [name for name in stale.made_of(build, [one.path]) if _is_built(build, name)]
        some.sort(key=lambda name: (name not in of_sources.values(), _rank(name, folders), name))
        taken = [name for name in some if name in of_sources.values()]
        taken += [name for name in some if name not in taken][:room]
        room -= sum(name not in of_sources.values() for name in taken)
        found[one.path] = _Objects(tuple(some), tuple(taken))
    return found


def _rank(name: str, folders: Iterable[str]) -> int:
    """Return 0 for an object beside a changed file, 1 for one of memory management, else 2."""
    if str(Path(name).parent) in folders:
        return 0
    return 1 if name.startswith("mm/") else 2


def _is_built(build: Path, name: str) -> bool:
    return name.endswith(".o") and harvest.is_file(build, name)


# -- one file ------------------------------------------------------------------------------------


def _changed(
    one: FileDiff, after: Path, objects: _Objects, tables: Tables, used: frozenset[str]
) -> ChangedFile:
    table = tables.files.get(one.path)
    if table is None:
        kinds = dict.fromkeys(one.added, LineKind.WITHOUT_CODE)
        return ChangedFile(
            one.path, one.text, tuple(_lines(kinds, FileTable())), loose=(*one.added, *one.places)
        )
    refused = {name: tables.refused[name] for name in objects.taken if name in tables.refused}
    # A line that one of several objects has not is in doubt while others were not looked into.
    unsure = bool(refused) or len(objects.taken) < len(objects.all)
    text = harvest.text(after, one.path).split("\n") if one.added else []
    kinds = {n: _kind(n, text, table, objects, unsure=unsure) for n in one.added}
    why = [f"{name}: {said}" for name, said in list(refused.items())[:3]]
    if not objects.all:
        why.append("no object of this kernel is made of it")
    return ChangedFile(
        one.path,
        one.text,
        tuple(_lines(kinds, table)),
        tuple(_functions(one, kinds, table, used)),
        "; ".join(filter(None, (objects.note, *why))),
        tuple(_loose(one, text, table)),
    )


def _lines(kinds: Mapping[int, LineKind], table: FileTable) -> Iterator[ChangedLine]:
    for number, kind in kinds.items():
        yield ChangedLine(number, kind, linetables.joined(table.lines.get(number, ())))


def _kind(
    number: int, text: Sequence[str], table: FileTable, objects: _Objects, *, unsure: bool
) -> LineKind:
    if table.lines.get(number):
        return LineKind.CODE
    content = text[number - 1].strip() if number <= len(text) else ""
    # Directives are gone when they are done, whatever they say.
    if not content or content.startswith("#") or _NO_CODE.fullmatch(content):
        return LineKind.WITHOUT_CODE
    if not objects.all:
        return LineKind.NOT_BUILT
    if unsure:
        return LineKind.UNKNOWN
    return LineKind.WITHOUT_CODE if number in table.built else LineKind.NOT_BUILT


def _functions(
    one: FileDiff, kinds: Mapping[int, LineKind], table: FileTable, used: frozenset[str]
) -> Iterator[ChangedFunction]:
    """Yield the functions that have changed lines with code, or from which lines were removed."""
    starts = sorted(table.functions)
    if not starts:
        return
    first = [line for line, _ in starts]
    ends = _ends(first, table)
    touched: dict[tuple[int, str], None] = {}
    for number in sorted({*kinds, *one.places}):
        if line := _function_of(number, first, ends):
            touched |= dict.fromkeys(_meant(key for key in starts if key[0] == line))
    for line, name in touched:
        ranges = linetables.joined(table.functions[line, name])
        is_called = name in used or name not in table.unreferenced
        yield ChangedFunction(name, line, ranges, "" if is_called else _UNUSED)


def _function_of(number: int, first: Sequence[int], ends: Mapping[int, int]) -> int:
    """Return the first line of the function that a line is in, 0 if in none."""
    at = bisect_right(first, number) - 1
    return first[at] if at >= 0 and number <= ends[first[at]] else 0


def _loose(one: FileDiff, text: Sequence[str], table: FileTable) -> Iterator[int]:
    """Yield the changed lines outside of functions that are no comments."""
    first = sorted({line for line, _ in table.functions})
    ends = _ends(first, table)
    for number in sorted({*one.added, *one.places}):
        content = text[number - 1].strip() if number <= len(text) else ""
        is_text = number in one.added and (not content or _NO_CODE.fullmatch(content))
        if not is_text and not _function_of(number, first, ends):
            yield number


def _meant(keys: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return the function that is meant of those that one macro makes (SYSCALL_DEFINE)."""
    some = list(keys)
    return [key for key in some if key[1].startswith("__do_sys_")][:1] or some[:1]


def _ends(first: Sequence[int], table: FileTable) -> Mapping[int, int]:
    """Return the last line with code of each function, by its first line."""
    found = {line: line for line in first}
    for number in table.lines:
        at = bisect_right(first, number) - 1
        if at >= 0:
            found[first[at]] = max(found[first[at]], number)
    return found
