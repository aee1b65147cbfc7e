# SPDX-License-Identifier: GPL-2.0
"""The pages that a workload registered: their folios, and who really maps them."""

from __future__ import annotations

import importlib
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from drgn import FaultError, Object, Program, cast
from drgn.helpers.linux.mm import (
    compound_head,
    compound_order,
    for_each_vma,
    page_to_pfn,
    pfn_to_page,
)
from drgn.helpers.linux.pid import find_task, for_each_task

from rmaplab.model import ARCHITECTURES
from rmaplab.postmortem.entries import Entry, Kind, PageTables, SwapTypes

_ANON = 1
SHOWN_MAPPERS = 8
SHOWN_RUNS = 12


@dataclass(frozen=True, slots=True)
class Range:
    """Pages that a workload registered, by process and address."""

    pid: int
    address: int
    count: int
    name: str


@dataclass(frozen=True, slots=True)
class Mapping:
    """One entry of a process for one page; a huge entry gives one for each of its pages."""

    pid: int
    address: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Folio:
    """The kernel's record of a page and its folio, from ``struct page`` and ``struct folio``."""

    head: int
    order: int
    flags: str
    refcount: int
    mapcount: int
    large_mapcount: int | None
    mapping: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a range, by its number there: its entry, its folio, the entries that name it."""

    number: int
    entry: Entry
    folio: Folio | None
    mappers: tuple[Mapping, ...]

    @property
    def looks(self) -> object:
        """A value that is equal for pages which the report describes together."""
        folio = self.folio
        if folio is not None and not folio.order:
            folio = replace(folio, head=0)
        return replace(self.entry, pfn=0), folio, tuple((m.pid, m.entry.kind) for m in self.mappers)


class Census:
    """The page table entries of all processes."""

    def __init__(self, prog: Program) -> None:
        self._prog = prog
        self.types = SwapTypes(prog["swap_info"].type_.length or 0)
        self.tables = page_tables(prog)
        self._table = struct.Struct(f"<{1 << self.tables.bits}Q")
        self._levels = self.tables.levels + _is_true(prog, self.tables.more_levels)
        self._by_pfn: dict[int, list[Mapping]] = defaultdict(list)
        self._by_place: dict[tuple[int, int], Entry] = {}
        self.unread = 0
        """Page tables that could not be read: there may be more entries."""
        seen: set[int] = set()
        for task in for_each_task(prog):
            mm = task.mm
            if not mm or mm.value_() in seen:
                continue
            seen.add(mm.value_())
            self._take(task.tgid.value_(), mm)

    def mappings(self, pfn: int) -> Sequence[Mapping]:
        """Return the entries that name a page."""
        return self._by_pfn.get(pfn, ())

    def entry(self, pid: int, address: int) -> Entry:
        """Return the entry of a process for an address."""
        return self._by_place.get((pid, address), Entry(Kind.NONE))

    def _take(self, pid: int, mm: Object) -> None:
        tables = self.tables
        top = self._read(mm.pgd.value_(), physical=False)[: tables.user_entries]
        for address, value, level in self._walk(top, self._levels - 1, 0):
            entry = tables.decode(value, self.types)
            for number in range(1 << (tables.bits * level)):
                place = address + number * tables.page_bytes
                one = replace(entry, pfn=entry.pfn + number) if number else entry
                self._by_place[pid, place] = one
                if entry.kind.has_page:
                    self._by_pfn[one.pfn].append(Mapping(pid, place, one))

    def _walk(
        self, table: Sequence[int], level: int, address: int
    ) -> Iterator[tuple[int, int, int]]:
        """Yield the address, value and level of each entry that is not empty, below a table."""
        tables = self.tables
        for number, value in enumerate(table):
            if not value:
                continue
            at = address + number * (tables.page_bytes << (tables.bits * level))
            if tables.is_leaf(value, level):
                yield at, value, level
            elif tables.is_table(value):
                below = self._read(tables.frame(value), physical=True)
                yield from self._walk(below, level - 1, at)

    def _read(self, address: int, *, physical: bool) -> Sequence[int]:
        try:
            return self._table.unpack(self._prog.read(address, self._table.size, physical))
        except FaultError:
            self.unread += 1
            return ()


def page_tables(prog: Program) -> PageTables:
    """Return how the page tables of a memory are read.

    Raises ValueError if no architecture of the lab has them.
    """
    name = prog.platform.arch.name if prog.platform is not None else "an unknown platform"
    for row in ARCHITECTURES.values():
        if row.drgn == name:
            tables: PageTables = importlib.import_module(row.page_tables).PAGE_TABLES
            return tables
    raise ValueError(f"the lab does not know the page tables of {name}")


def _is_true(prog: Program, variable: str) -> bool:
    try:
        return bool(prog[variable].value_())
    except (KeyError, FaultError):
        return False


def folio_of(prog: Program, pfn: int) -> Folio | None:
    """Return the kernel's record of a page; None if the memory has none for that PFN."""
    try:
        page = pfn_to_page(prog, pfn)
        head = compound_head(page)
        folio = cast("struct folio *", head)
        order = compound_order(head).value_()
        mapping = folio.mapping.value_()
        return Folio(
            head=page_to_pfn(head).value_(),
            order=order,
            flags=_flags(prog, head, page, anon=mapping & 3 == _ANON),
            refcount=head._refcount.counter.value_(),
            mapcount=page._mapcount.counter.value_() + 1,
            large_mapcount=_large_mapcount(folio) if order else None,
            mapping=_mapping(mapping),
        )
    except FaultError:
        return None


def _flags(prog: Program, head: Object, page: Object, *, anon: bool) -> str:
    """Return the names of a folio's flags and the page's own; the first of names of one bit."""
    names: dict[int, str] = {}
    exclusive = -1
    for name, bit in prog.type("enum pageflags").enumerators or ():
        names.setdefault(bit, name.removeprefix("PG_"))
        if name == "PG_anon_exclusive":
            exclusive = bit
    last = names.pop(max(names))  # __NR_PAGEFLAGS
    assert last.startswith("__"), last
    value, own = head.flags.value_(), page.flags.value_()
    if anon and exclusive >= 0:  # of the page, not of the folio
        names[exclusive] = "anon_exclusive"
        value = value & ~(1 << exclusive) | own & (1 << exclusive)
    return ", ".join(name for bit, name in sorted(names.items()) if value >> bit & 1) or "none"


def _large_mapcount(folio: Object) -> int | None:
    """Return the count of all mappings of a folio, which has a field of its own since 6.10."""
    try:
        return int(folio._large_mapcount.counter.value_()) + 1
    except AttributeError:
        return None


def _mapping(value: int) -> str:
    """Describe page->mapping by its low bits (include/linux/page-flags.h)."""
    name = {_ANON: "anon_vma", 2: "movable", 3: "KSM node"}.get(value & 3, "address_space")
    return f"{name} {value & ~3:#x}" if value else "none"


def look_at(prog: Program, census: Census, wanted: Range) -> Iterator[list[Page]]:
    """Yield the pages of a range, those that look alike together."""
    alike: dict[object, list[Page]] = {}
    for number in range(wanted.count):
        entry = census.entry(wanted.pid, wanted.address + number * census.tables.page_bytes)
        has_page = entry.kind.has_page
        folio = folio_of(prog, entry.pfn) if has_page else None
        mappers = tuple(census.mappings(entry.pfn)) if has_page else ()
        page = Page(number, entry, folio, mappers)
        alike.setdefault(page.looks, []).append(page)
    yield from alike.values()


def describe(prog: Program, census: Census, wanted: Range) -> Iterator[str]:
    """Yield a range as lines of text; none if its process is gone."""
    task = find_task(prog, wanted.pid)
    if not task or not task.mm:
        return
    end = wanted.address + wanted.count * census.tables.page_bytes
    yield (
        f"{wanted.name}: process {wanted.pid}, {wanted.address:#x}-{end:#x}, {wanted.count} pages"
    )
    for vma in for_each_vma(task.mm):
        start, stop = vma.vm_start.value_(), vma.vm_end.value_()
        if start < end and stop > wanted.address:
            yield f"  in VMA {start:#x}-{stop:#x} {_vma_flags(vma)}"
    for pages in look_at(prog, census, wanted):
        yield from _describe(pages)


def _vma_flags(vma: Object) -> str:
    value = vma.vm_flags.value_()
    word = "".join(c if value & bit else "-" for c, bit in zip("rwxs", (1, 2, 4, 8), strict=True))
    return f"{word} {'file' if vma.vm_file else 'anonymous'}"


def numbers(found: Sequence[int]) -> str:
    """Return page numbers as ``1, 3 to 5``; a long list is cut and ends with its length."""
    runs: list[tuple[int, int]] = []
    for number in found:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    shown = [str(a) if a == b else f"{a} to {b}" for a, b in runs[:SHOWN_RUNS]]
    more = f" ... {len(found)} in all" if len(runs) > SHOWN_RUNS else ""
    return f"page{'s' if len(found) > 1 else ''} {', '.join(shown)}{more}"


def _describe(pages: Sequence[Page]) -> Iterator[str]:
    first, entry = pages[0], pages[0].entry
    which = numbers([page.number for page in pages])
    if entry.kind is Kind.NONE:
        yield f"  {which}: no entry"
        return
    flags = f" ({entry.flags})" if entry.flags else ""
    pfn = ""
    if entry.kind.has_page:
        pfn = f", PFN {entry.pfn:#x}" + (f" to {pages[-1].entry.pfn:#x}" if pages[1:] else "")
    yield f"  {which}: {entry.kind} entry{flags}{pfn}"
    if first.folio is None:
        if entry.kind.has_page:
            yield "    the entry names memory that is not there"
        return
    folio = first.folio
    large = "" if folio.large_mapcount is None else f", folio mapcount {folio.large_mapcount}"
    where = f" of PFN {folio.head:#x}" if folio.order else ""
    yield f"    folio{where}: order {folio.order}, flags {folio.flags}"
    yield (
        f"    mapcount {folio.mapcount}{large}, refcount {folio.refcount}, mapping {folio.mapping}"
    )
    yield from _describe_mappers(first.mappers, folio.mapcount)


def _describe_mappers(mappers: Sequence[Mapping], mapcount: int) -> Iterator[str]:
    real = sum(mapper.entry.kind.maps for mapper in mappers)
    differ = "" if real == mapcount else f", but the mapcount is {mapcount}"
    yield f"    entries that really map it: {real}{differ}"
    for mapper in mappers[:SHOWN_MAPPERS]:
        yield f"      process {mapper.pid} at {mapper.address:#x}: {mapper.entry.kind}"
    if len(mappers) > SHOWN_MAPPERS:
        yield f"      and {len(mappers) - SHOWN_MAPPERS} more"


def parse_ranges(words: Iterable[str]) -> list[Range]:
    """Parse ranges from the program's arguments, each ``PID:ADDRESS:COUNT:NAME``.

    Raises ValueError.
    """
    found = []
    for word in words:
        pid, address, count, name = word.split(":", 3)
        found.append(Range(int(pid), int(address, 16), int(count), name))
    return found
