# SPDX-License-Identifier: GPL-2.0
"""Page table entries as they lie in memory: x86-64's, on kernels with other swap types."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from drgn import FaultError

from rmaplab.postmortem import pages
from rmaplab.postmortem.entries import Entry, Kind, SwapTypes
from rmaplab.postmortem.pages import page_tables
from rmaplab.postmortem.x86_64 import PAGE_TABLES, decode

U64 = (1 << 64) - 1
# 6.12 takes two types for exclusive entries, from 6.15 on it is one.
BEFORE, SINCE = SwapTypes(23), SwapTypes(24)


def swap_entry(number: int, offset: int, flags: int = 0) -> int:
    """arch/x86/include/asm/pgtable_64.h:__swp_entry: the offset is stored inverted."""
    return (((~offset << 14) & U64) >> 5) | number << 59 | flags


@pytest.mark.parametrize(
    ("types", "kinds"),
    [
        (BEFORE, {22: Kind.SWAP, 23: Kind.HWPOISON, 24: Kind.MIGRATION, 26: Kind.MIGRATION,
                  27: Kind.PRIVATE, 28: Kind.PRIVATE, 29: Kind.EXCLUSIVE, 30: Kind.EXCLUSIVE,
                  31: Kind.MARKER}),
        (SINCE, {23: Kind.SWAP, 24: Kind.HWPOISON, 25: Kind.MIGRATION, 27: Kind.MIGRATION,
                 28: Kind.PRIVATE, 29: Kind.PRIVATE, 30: Kind.EXCLUSIVE, 31: Kind.MARKER}),
    ],
)  # fmt: skip
def test_what_a_type_is_follows_from_the_number_of_swap_areas(
    types: SwapTypes, kinds: dict[int, Kind]
) -> None:
    assert {n: decode(swap_entry(n, 0x1234), types).kind for n in kinds} == kinds


def test_an_exclusive_entry_names_its_page() -> None:
    assert decode(swap_entry(29, 0x2147A, flags=0b0110), BEFORE) == Entry(
        Kind.EXCLUSIVE, 0x2147A, "soft-dirty, uffd-wp"
    )


def test_a_value_that_a_booted_kernel_had() -> None:
    # A 6.12's page_table_check warned about an entry that was in RBX (docs/postmortem.md).
    assert decode(0xEFFFFFFFFBD70A06, BEFORE) == Entry(
        Kind.EXCLUSIVE, 0x2147A, "soft-dirty, uffd-wp"
    )


def test_flags_above_a_migration_entrys_page_are_no_part_of_it() -> None:
    young_and_dirty = 0b11 << 34
    assert decode(swap_entry(24, 0x2600 | young_and_dirty), BEFORE).pfn == 0x2600


def test_a_swapped_page_and_a_marker_name_no_page() -> None:
    assert decode(swap_entry(0, 77), BEFORE) == Entry(Kind.SWAP)
    assert decode(swap_entry(31, 1), BEFORE) == Entry(Kind.MARKER)


def test_a_present_entry_names_its_page_whatever_its_flags() -> None:
    no_execute, flags = 1 << 63, 0x867
    entry = decode(no_execute | 0x5A3C << 12 | flags, BEFORE)
    assert entry == Entry(Kind.PRESENT, 0x5A3C, "write, young, dirty")


def test_an_entry_without_access_is_present_and_inverted() -> None:
    value = (~(0x5A3C << 12) & 0x000F_FFFF_FFFF_F000) | 1 << 8
    assert decode(value, BEFORE) == Entry(Kind.PROT_NONE, 0x5A3C)


def test_nothing_is_nothing() -> None:
    assert decode(0, BEFORE) == Entry(Kind.NONE)


def test_a_migration_entry_holds_no_mapcount() -> None:
    assert {kind for kind in Kind if kind.maps} == {
        Kind.PRESENT, Kind.PROT_NONE, Kind.EXCLUSIVE, Kind.PRIVATE,
    }  # fmt: skip


def test_a_value_is_a_leaf_or_names_a_table_as_its_level_has_it() -> None:
    present, huge = 1 << 0, 1 << 7
    swap = swap_entry(29, 0x1234)
    for level, value, is_leaf, is_table in (
        (0, present | huge, True, False),  # of a PTE the bit is PAT's
        (0, swap, True, False),
        (1, present, False, True),
        (1, present | huge, True, False),
        (1, swap, True, False),
        (2, present, False, True),
        (3, present, False, True),
        (2, swap, False, False),
    ):
        assert PAGE_TABLES.is_leaf(value, level) is is_leaf, (level, value)
        if not is_leaf:
            assert PAGE_TABLES.is_table(value) is is_table, (level, value)


def test_a_table_of_x86_64_is_a_page_of_512_entries() -> None:
    assert 8 << PAGE_TABLES.bits == PAGE_TABLES.page_bytes == 4096
    assert PAGE_TABLES.frame(1 << 63 | 0x5A3C << 12 | 0x867) == 0x5A3C << 12


class Memory:
    """As much of a drgn Program as a walk of one process's page tables asks for."""

    def __init__(self, arch: str = "X86_64", tables: Mapping[int, Mapping[int, int]] = {}) -> None:
        self.platform = SimpleNamespace(arch=SimpleNamespace(name=arch))
        self.tables = tables

    def __getitem__(self, name: str) -> Any:
        areas = SimpleNamespace(type_=SimpleNamespace(length=23))
        return {"swap_info": areas}[name]

    def read(self, address: int, size: int, physical: bool) -> bytes:
        assert physical is bool(address), "only the top table is read by its virtual address"
        if address not in self.tables:
            raise FaultError("not in this memory", address)
        entries = self.tables[address]
        return b"".join(entries.get(n, 0).to_bytes(8, "little") for n in range(size // 8))


def test_the_memory_says_which_page_tables_it_has() -> None:
    assert page_tables(cast(Any, Memory())) is PAGE_TABLES
    with pytest.raises(ValueError, match="does not know the page tables of AARCH64"):
        page_tables(cast(Any, Memory("AARCH64")))


def test_a_walk_finds_each_entry_of_user_space_at_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    present, huge = 1 << 0, 1 << 7
    tables = {
        0: {3: 0x1000 | present, 256: 0x1000 | present},  # the second half is the kernel's
        0x1000: {2: 0x2000 | present, 7: 0x9000 | present},
        0x2000: {1: 0x3000 | present, 5: 0x600 << 12 | present | huge, 6: swap_entry(24, 0x800)},
        0x3000: {511: 0x77 << 12 | present, 4: swap_entry(29, 0x88)},
    }
    task = SimpleNamespace(mm=Process(), tgid=SimpleNamespace(value_=lambda: 42))
    monkeypatch.setattr(pages, "for_each_task", lambda prog: [task, task])
    census = pages.Census(cast(Any, Memory(tables=tables)))
    base = 3 << 39 | 2 << 30
    at = base + (1 << 21) + 511 * 4096
    assert census.entry(42, at) == Entry(Kind.PRESENT, 0x77)
    assert census.entry(42, base + (1 << 21) + 4 * 4096) == Entry(Kind.EXCLUSIVE, 0x88)
    assert census.entry(42, base + (5 << 21) + 9 * 4096) == Entry(Kind.PRESENT, 0x609)
    assert census.entry(42, base + (6 << 21) + 511 * 4096) == Entry(Kind.MIGRATION, 0x9FF)
    assert census.entry(42, base) == Entry(Kind.NONE)
    assert census.entry(42, 256 << 39 | 2 << 30) == Entry(Kind.NONE)
    assert [one.address for one in census.mappings(0x77)] == [at]
    assert census.unread == 1


class Process:
    """A process's mm, whose page tables begin at the address 0."""

    pgd = SimpleNamespace(value_=lambda: 0)

    def value_(self) -> int:
        return 1
