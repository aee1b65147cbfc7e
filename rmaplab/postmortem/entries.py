# SPDX-License-Identifier: GPL-2.0
"""Page table entries as the memory has them; an architecture's module decodes them."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

_TYPES = 32
"""The types of swap entries: 5 bits, MAX_SWAPFILES_SHIFT of include/linux/swap.h."""
U64 = (1 << 64) - 1


class Kind(enum.StrEnum):
    """The kind of a page table entry."""

    NONE = "none"
    PRESENT = "present"
    PROT_NONE = "present, PROT_NONE"
    EXCLUSIVE = "device-exclusive"
    PRIVATE = "device-private"
    MIGRATION = "migration"
    HWPOISON = "hwpoison"
    MARKER = "marker"
    SWAP = "swap"

    @property
    def has_page(self) -> bool:
        """Return whether an entry of this kind names a page."""
        return self not in {Kind.NONE, Kind.MARKER, Kind.SWAP}

    @property
    def maps(self) -> bool:
        """Return whether an entry of this kind maps its page, so that the mapcount counts it.

        A migration entry does not (mm/rmap.c:try_to_migrate_one drops the mapcount); whether a
        device-exclusive one does depends on the kernel, and it should.
        """
        return self in {Kind.PRESENT, Kind.PROT_NONE, Kind.EXCLUSIVE, Kind.PRIVATE}


@dataclass(frozen=True, slots=True)
class Entry:
    """A decoded entry: ``pfn`` is the page's that it names, ``flags`` names its other bits."""

    kind: Kind
    pfn: int = 0
    flags: str = ""


@dataclass(frozen=True, slots=True)
class SwapTypes:
    """The meaning of each type of swap entry, which follows from the number of swap areas.

    ``areas`` is MAX_SWAPFILES of include/linux/swap.h. Above the areas come hwpoison, three types
    of migration entries, the device's types, and markers. A device has four types, two for private
    memory and two for exclusive access, or since 6.15 three, two and one.
    """

    areas: int

    def kind(self, number: int) -> Kind:
        """Return the kind of a swap entry by the number of its type."""
        if number < self.areas:
            return Kind.SWAP
        if number == self.areas:
            return Kind.HWPOISON
        if number <= self.areas + 3:
            return Kind.MIGRATION
        if number <= self.areas + 5:
            return Kind.PRIVATE
        return Kind.MARKER if number == _TYPES - 1 else Kind.EXCLUSIVE


@dataclass(frozen=True, slots=True)
class PageTables:
    """The page tables of an architecture: the form of a table, and how an entry is read.

    A table has ``1 << bits`` entries of 8 bytes; ``user_entries`` of a top table are user space's.
    There are ``levels`` levels, and one more if the kernel's variable ``more_levels`` is true.
    ``is_leaf`` says whether the entry with a value at a level (0 is the PTEs') maps a page or is a
    swap entry, ``is_table`` whether it names a table, and ``frame`` gives its physical address.
    ``decode`` decodes the value of a leaf.
    """

    page_bytes: int
    bits: int
    user_entries: int
    levels: int
    more_levels: str
    is_leaf: Callable[[int, int], bool]
    is_table: Callable[[int], bool]
    frame: Callable[[int], int]
    decode: Callable[[int, SwapTypes], Entry]


def named(value: int, names: dict[int, str]) -> str:
    """Return the names of the bits that a value has set."""
    return ", ".join(name for bit, name in names.items() if value & bit)
