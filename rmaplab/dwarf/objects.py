# SPDX-License-Identifier: GPL-2.0
"""Read one object that was compiled twice: as the kernel has it, and with debug info.

Debug info must not change the code: the code sections of the two are compared byte by byte. An
object is not linked yet, so each of its sections begins at 0. Before the debug info is read, each
code section gets addresses of its own, by its symbols, so that an address tells its section.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elftools.dwarf.compileunit import CompileUnit
from elftools.dwarf.die import DIE
from elftools.dwarf.dwarfinfo import DWARFInfo
from elftools.dwarf.ranges import BaseAddressEntry
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import Section, SymbolTableSection

_SECTION_SHIFT = 40
"""Addresses of a section's own: above this bit its number."""
_SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym
_MAX_LINE = 1 << 24


@dataclass(frozen=True, slots=True)
class Wanted:
    """The files whose lines are wanted; ``roots`` are what stands before them in debug info."""

    files: frozenset[str]
    roots: tuple[str, ...]

    def file_of(self, path: str) -> str:
        """Return the wanted file that a path of debug info is; an empty string if it is none."""
        for root in self.roots:
            if path.startswith(root):
                path = path[len(root) :]
                break
        return path if path in self.files else ""


def tables(built: Path, debug: Path, wanted: Wanted) -> dict[str, Any]:
    """Return what an object has: symbols of its code, lines and functions of the wanted files.

    ``differs`` are code sections of the kernel's object that are not the same with debug info.
    """
    plain = ELFFile(io.BytesIO(built.read_bytes()))
    data = bytearray(debug.read_bytes())
    code = _code(ELFFile(io.BytesIO(bytes(data))))
    before = {section.name: section.data() for _, section in _code(plain)}
    after = {section.name: section.data() for _, section in code}
    _spread(data, [number for number, _ in code])
    elf = ELFFile(io.BytesIO(bytes(data)))
    info = elf.get_dwarf_info(relocate_dwarf_sections=True)
    names = {number: section.name for number, section in code}
    found = _look(info, wanted)
    return {
        "differs": sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n)),
        "symbols": list(_symbols(plain)),
        "lines": [
            [file, line, *_place(begin, end, names)]
            for file, line, begin, end in (*_lines(info, wanted), *found.calls)
        ],
        "functions": [
            [name, file, line, *_place(begin, end, names)]
            for name, file, line, begin, end in found.functions
        ],
        "unreferenced": sorted(_global(plain) - _referenced(plain)),
    }


def _code(elf: ELFFile) -> list[tuple[int, Section]]:
    wanted = SH_FLAGS.SHF_ALLOC | SH_FLAGS.SHF_EXECINSTR
    return [
        (number, section)
        for number, section in enumerate(elf.iter_sections())
        if section["sh_flags"] & wanted == wanted and section["sh_size"]
    ]


def _spread(data: bytearray, numbers: list[int]) -> None:
    """Give the symbols of code sections addresses by which the sections can be told apart."""
    elf = ELFFile(io.BytesIO(bytes(data)))
    if elf.elfclass != 64 or not elf.little_endian:
        raise ValueError("no object of 64 bits, little-endian")
    known = set(numbers)
    for section in elf.iter_sections():
        if not isinstance(section, SymbolTableSection):
            continue
        begin, size = section["sh_offset"], section["sh_size"]
        for at in range(begin, begin + size - _SYMBOL.size + 1, _SYMBOL.size):
            name, kind, other, home, value, length = _SYMBOL.unpack_from(data, at)
            if home in known:
                value += home << _SECTION_SHIFT
                _SYMBOL.pack_into(data, at, name, kind, other, home, value, length)


def _place(begin: int, end: int, names: dict[int, str]) -> tuple[str, int, int]:
    """Return the section of an address range, and the range in it."""
    base = begin >> _SECTION_SHIFT
    low = base << _SECTION_SHIFT
    return names.get(base, ""), begin - low, end - low


def _symbols(elf: ELFFile) -> Iterator[list[Any]]:
    names = {number: section.name for number, section in _code(elf)}
    for section in elf.iter_sections():
        if not isinstance(section, SymbolTableSection):
            continue
        for symbol in section.iter_symbols():
            kind = symbol["st_info"]["type"]
            home = symbol["st_shndx"]
            # The kernel may have another function of the name of a weak one.
            is_weak = symbol["st_info"]["bind"] == "STB_WEAK"
            known = home in names and kind in {"STT_FUNC", "STT_NOTYPE"}
            if known and symbol.name and not is_weak:
                yield [symbol.name, names[home], symbol["st_value"], symbol["st_size"]]


def _global(elf: ELFFile) -> set[str]:
    """Return the functions that other objects can use; one of the object's own has a use in it."""
    return {
        symbol.name
        for section in elf.iter_sections()
        if isinstance(section, SymbolTableSection)
        for symbol in section.iter_symbols()
        if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_info"]["bind"] == "STB_GLOBAL"
    }


_NO_USE = (".discard", ".orc", "__mcount", "__patchable", "___ksymtab", "__ksymtab", ".debug")
"""Beginnings of sections whose relocations are no use of a function."""


def _referenced(elf: ELFFile) -> set[str]:
    """Return the names of functions that code or data of the object refer to."""
    found: set[str] = set()
    for section in elf.iter_sections():
        if not isinstance(section, RelocationSection):
            continue
        target = elf.get_section(section["sh_info"])
        if not target["sh_flags"] & SH_FLAGS.SHF_ALLOC or target.name.startswith(_NO_USE):
            continue
        symbols = elf.get_section(section["sh_link"])
        if not isinstance(symbols, SymbolTableSection):
            continue
        for relocation in section.iter_relocations():
            symbol = symbols.get_symbol(relocation["r_info_sym"])
            if symbol.name and symbol["st_info"]["type"] == "STT_FUNC":
                found.add(symbol.name)
    return found


# -- lines ---------------------------------------------------------------------------------------


def _lines(info: DWARFInfo, wanted: Wanted) -> Iterator[tuple[str, int, int, int]]:
    """Yield file, line, begin and end of each row of the line tables that has code."""
    for unit in info.iter_CUs():
        program = info.line_program_for_CU(unit)
        if program is None:
            continue
        files = _Files(unit, program.header, wanted)
        before = None
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            if before is not None and before.address < state.address:
                file = files.name(before.file)
                if file and 0 < before.line < _MAX_LINE:
                    yield file, before.line, before.address, state.address
            before = None if state.end_sequence else state


class _Files:
    """The files of a unit's line table that are wanted."""

    def __init__(self, unit: CompileUnit, header: Any, wanted: Wanted) -> None:
        self._header = header
        self._wanted = wanted
        self._first = 0 if header["version"] >= 5 else 1
        folder = unit.get_top_DIE().attributes.get("DW_AT_comp_dir")
        self._folder = _text(folder.value) if folder is not None else ""
        self._known: dict[int, str] = {}

    def name(self, number: int) -> str:
        """Return the wanted file that a number stands for; an empty string if it is none."""
        if number not in self._known:
            self._known[number] = self._wanted.file_of(self._path(number))
        return self._known[number]

    def _path(self, number: int) -> str:
        entries = self._header["file_entry"]
        at = number - self._first
        if not 0 <= at < len(entries):
            return ""
        entry = entries[at]
        name, where = _text(entry.name), entry.dir_index
        folders = self._header["include_directory"]
        if name.startswith("/"):
            return name
        if self._first:
            folder = _text(folders[where - 1]) if 0 < where <= len(folders) else ""
        else:
            folder = _text(folders[where]) if 0 <= where < len(folders) else ""
        path = f"{folder}/{name}" if folder else name
        return path if path.startswith("/") else f"{self._folder}/{path}"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


# -- functions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Unit:
    """A unit of debug info with the files of its line table."""

    info: DWARFInfo
    unit: CompileUnit
    files: _Files


def _units(info: DWARFInfo, wanted: Wanted) -> Iterator[_Unit]:
    for unit in info.iter_CUs():
        program = info.line_program_for_CU(unit)
        if program is not None:
            yield _Unit(info, unit, _Files(unit, program.header, wanted))


@dataclass(slots=True)
class _Found:
    """The functions of the wanted files, and the lines at which others were inlined.

    ``functions`` are name, file, line, begin and end of each stretch; one without any code has an
    empty stretch at 0, and a stretch may be in a function that it was inlined into. ``calls`` are
    file, line, begin and end: code of the line, too.
    """

    functions: list[tuple[str, str, int, int, int]] = field(default_factory=list)
    calls: list[tuple[str, int, int, int]] = field(default_factory=list)


def _look(info: DWARFInfo, wanted: Wanted) -> _Found:
    found = _Found()
    for unit in _units(info, wanted):
        # Most entries are types, which have no code: they are passed over as a whole.
        for die in unit.unit.get_top_DIE().iter_children():
            if die.tag == "DW_TAG_subprogram":
                found.functions += _function(die, unit)
                _inlined(die, unit, found)
    return found


def _inlined(die: DIE, unit: _Unit, found: _Found) -> None:
    """Add what is inlined below an entry, however deep."""
    waiting = [die]
    while waiting:
        for child in waiting.pop().iter_children():
            if child.tag == "DW_TAG_inlined_subroutine":
                found.functions += _function(child, unit)
                found.calls += _call(child, unit)
            if child.has_children:
                waiting.append(child)


def _call(die: DIE, unit: _Unit) -> Iterator[tuple[str, int, int, int]]:
    file, line = (die.attributes.get(f"DW_AT_call_{key}") for key in ("file", "line"))
    path = unit.files.name(file.value) if file is not None else ""
    if path and line is not None:
        for begin, end in _stretches(die, unit):
            yield path, line.value, begin, end


def _function(die: DIE, unit: _Unit) -> Iterator[tuple[str, str, int, int, int]]:
    about = _origin(die)
    said = {key: about.attributes.get(f"DW_AT_{key}") for key in ("name", "decl_file", "decl_line")}
    if any(one is None for one in said.values()) or "DW_AT_declaration" in about.attributes:
        return
    name, file, line = (one.value for one in said.values() if one is not None)
    if path := unit.files.name(file):
        for begin, end in [*_stretches(die, unit)] or [(0, 0)]:
            yield _text(name), path, line, begin, end


def _origin(die: DIE) -> DIE:
    """Return the entry that names a function: the code of an inlined one stands by itself."""
    for _ in range(4):
        if "DW_AT_name" in die.attributes:
            break
        for key in ("DW_AT_abstract_origin", "DW_AT_specification"):
            if key in die.attributes:
                die = die.get_DIE_from_attribute(key)
                break
        else:
            break
    return die


def _stretches(die: DIE, unit: _Unit) -> Iterator[tuple[int, int]]:
    """Yield where the code of an entry is."""
    low, high = (die.attributes.get(f"DW_AT_{key}_pc") for key in ("low", "high"))
    if low is not None and high is not None:
        size = high.value if high.form.startswith("DW_FORM_data") else high.value - low.value
        yield low.value, low.value + size
    ranges, lists = die.attributes.get("DW_AT_ranges"), unit.info.range_lists()
    if ranges is None or lists is None:
        return
    base = unit.unit.get_top_DIE().attributes.get("DW_AT_low_pc")
    start = base.value if base is not None else 0
    for entry in lists.get_range_list_at_offset(ranges.value, cu=unit.unit):
        if isinstance(entry, BaseAddressEntry):
            start = entry.base_address
        else:
            add = 0 if getattr(entry, "is_absolute", False) else start
            yield entry.begin_offset + add, entry.end_offset + add
