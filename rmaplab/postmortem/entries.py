# SPDX-License-Identifier: GPL-2.0
"""Page table entries of x86-64, as the memory has them."""

from __future__ import annotations

import enum
from dataclasses import dataclass

PRESENT = 1 << 0
_WRITE = 1 << 1
_USER = 1 << 2
_ACCESSED = 1 << 5
_DIRTY = 1 << 6
HUGE = 1 << 7
_PROTNONE = 1 << 8
FRAME = 0x000F_FFFF_FFFF_F000
"""The bits of a present entry that hold a physical address."""
# What the low bits mean in a swap entry (arch/x86/include/asm/pgtable_types.h).
_SWP_SOFT_DIRTY = 1 << 1
_SWP_UFFD_WP = 1 << 2
_SWP_EXCLUSIVE = 1 << 3
# arch/x86/include/asm/pgtable_64.h: 5 bits of type, then the offset, inverted.
_TYPE_SHIFT = 59
_OFFSET_SHIFT = 14
_TYPES = 32
# include/linux/swapops.h: the PFN in a swap entry's offset; above it are flags.
_PFN_MASK = (1 << 34) - 1
_U64 = (1 << 64) - 1


class Kind(enum.StrEnum):
    """What an entry is."""

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
        """Whether it names a page."""
        return self not in {Kind.NONE, Kind.MARKER, Kind.SWAP}

    @property
    def maps(self) -> bool:
        """Whether it maps the page that it names, so that it counts in its mapcount.

        A migration entry does not (mm/rmap.c:try_to_migrate_one drops the mapcount); whether a
        device-exclusive one does depends on the kernel, and it should.
        """
        return self in {Kind.PRESENT, Kind.PROT_NONE, Kind.EXCLUSIVE, Kind.PRIVATE}


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry: the page that it names, if it names one, and what its other bits say."""

    kind: Kind
    pfn: int = 0
    flags: str = ""


@dataclass(frozen=True, slots=True)
class SwapTypes:
    """Which types of swap entries are what, by how many swap areas a kernel allows.

    ``areas`` is MAX_SWAPFILES of include/linux/swap.h: above them come hwpoison, three kinds of
    migration entries, the device's, and markers, so the number of the device's follows. Four of
    those are two for private memory and two for exclusive access, three are two and one (since
    6.15).
    """

    areas: int

    def kind(self, number: int) -> Kind:
        """What a swap entry of that type is."""
        if number < self.areas:
            return Kind.SWAP
        if number == self.areas:
            return Kind.HWPOISON
        if number <= self.areas + 3:
            return Kind.MIGRATION
        if number <= self.areas + 5:
            return Kind.PRIVATE
        return Kind.MARKER if number == _TYPES - 1 else Kind.EXCLUSIVE


def decode(value: int, types: SwapTypes) -> Entry:
    """What the value of an entry of any level means."""
    if not value:
        return Entry(Kind.NONE)
    if value & PRESENT:
        return Entry(Kind.PRESENT, (value & FRAME) >> 12, _present_flags(value))
    if value & _PROTNONE:
        # arch/x86/include/asm/pgtable-invert.h: the PFN of what is not present is inverted.
        return Entry(Kind.PROT_NONE, (~value & FRAME) >> 12, _present_flags(value))
    kind = types.kind(value >> _TYPE_SHIFT)
    offset = ((~value << 5) & _U64) >> _OFFSET_SHIFT
    return Entry(kind, offset & _PFN_MASK if kind.has_page else 0, _swap_flags(value))


def _present_flags(value: int) -> str:
    names = {_WRITE: "write", _ACCESSED: "young", _DIRTY: "dirty"}
    return _named(value, names)


def _swap_flags(value: int) -> str:
    names = {
        _SWP_SOFT_DIRTY: "soft-dirty",
        _SWP_UFFD_WP: "uffd-wp",
        _SWP_EXCLUSIVE: "exclusively mapped",
    }
    return _named(value, names)


def _named(value: int, names: dict[int, str]) -> str:
    return ", ".join(name for bit, name in names.items() if value & bit)
