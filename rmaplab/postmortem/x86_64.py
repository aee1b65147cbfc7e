# SPDX-License-Identifier: GPL-2.0
"""Page tables of x86-64 (arch/x86/include/asm/pgtable_types.h, pgtable_64.h)."""

from __future__ import annotations

from rmaplab.model import X86_64
from rmaplab.postmortem.entries import U64, Entry, Kind, PageTables, SwapTypes, named

_PRESENT = 1 << 0
_WRITE = 1 << 1
_ACCESSED = 1 << 5
_DIRTY = 1 << 6
_HUGE = 1 << 7
_PROTNONE = 1 << 8
# The bits of a present entry that hold a physical address.
_FRAME = 0x000F_FFFF_FFFF_F000
# Low bits of a swap entry.
_SWP_SOFT_DIRTY = 1 << 1
_SWP_UFFD_WP = 1 << 2
_SWP_EXCLUSIVE = 1 << 3
# Of a swap entry: 5 bits of type, then the offset, inverted.
_TYPE_SHIFT = 59
_OFFSET_SHIFT = 14
# include/linux/swapops.h: the PFN in a swap entry's offset; above it are flags.
_PFN_MASK = (1 << 34) - 1
_PMD = 1


def decode(value: int, types: SwapTypes) -> Entry:
    """Decode the value of an entry of any level."""
    if not value:
        return Entry(Kind.NONE)
    if value & _PRESENT:
        return Entry(Kind.PRESENT, (value & _FRAME) // X86_64.page_bytes, _present_flags(value))
    if value & _PROTNONE:
        # arch/x86/include/asm/pgtable-invert.h: the PFN of what is not present is inverted.
        return Entry(Kind.PROT_NONE, (~value & _FRAME) // X86_64.page_bytes, _present_flags(value))
    kind = types.kind(value >> _TYPE_SHIFT)
    offset = ((~value << 5) & U64) >> _OFFSET_SHIFT
    return Entry(kind, offset & _PFN_MASK if kind.has_page else 0, _swap_flags(value))


def _present_flags(value: int) -> str:
    return named(value, {_WRITE: "write", _ACCESSED: "young", _DIRTY: "dirty"})


def _swap_flags(value: int) -> str:
    names = {
        _SWP_SOFT_DIRTY: "soft-dirty",
        _SWP_UFFD_WP: "uffd-wp",
        _SWP_EXCLUSIVE: "exclusively mapped",
    }
    return named(value, names)


def _is_leaf(value: int, level: int) -> bool:
    return not level or (level <= _PMD and (bool(value & _HUGE) or not value & _PRESENT))


def _is_table(value: int) -> bool:
    return bool(value & _PRESENT) and not value & _HUGE


PAGE_TABLES = PageTables(
    page_bytes=X86_64.page_bytes,
    bits=X86_64.pmd_pages.bit_length() - 1,
    user_entries=256,  # the lower half of the address space
    levels=4,
    more_levels="__pgtable_l5_enabled",
    is_leaf=_is_leaf,
    is_table=_is_table,
    frame=lambda value: value & _FRAME,
    decode=decode,
)
