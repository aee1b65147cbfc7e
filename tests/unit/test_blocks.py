# SPDX-License-Identifier: GPL-2.0
"""The record of what a cell ran: the plugin's table, the file, and questions about both."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmaplab.evidence import blocks
from rmaplab.evidence.blocks import RunBlocks, decode, encode, of_table, union
from rmaplab.evidence.names import BLOCKS
from rmaplab.guest.recording import recording

TEXT = 0xFFFF_FFFF_8100_0000
MAGIC = struct.pack("<Q", 0x314B4C4250414D52)

_STRETCHES = st.lists(st.tuples(st.integers(1, 1 << 20), st.integers(1, 1 << 12)), max_size=50)


def table(*ran: tuple[int, int], dropped: int = 0, odd: int = 0, magic: bytes = MAGIC) -> bytes:
    """Return a plugin's table with blocks by their address and size."""
    head = magic + struct.pack("<3Q", dropped, odd, 0)
    slots = [(address << 16 | size) & ((1 << 64) - 1) for address, size in ran]
    slots += [0] * (blocks.SLOTS - len(slots))
    return head + struct.pack(f"<{blocks.SLOTS}Q", *slots)


def of(stretches: list[tuple[int, int]]) -> RunBlocks:
    """Return a record of stretches, each given by the gap before it and its length."""
    begins, ends, at = [], [], TEXT
    for gap, length in stretches:
        begins.append(at + gap)
        at = at + gap + length
        ends.append(at)
    return RunBlocks(tuple(begins), tuple(ends))


def test_blocks_that_touch_or_overlap_are_one_stretch() -> None:
    found = of_table(table((TEXT + 0x30, 8), (TEXT, 0x10), (TEXT + 0x10, 4), (TEXT + 8, 2)))
    assert (found.begins, found.ends) == ((TEXT, TEXT + 0x30), (TEXT + 0x14, TEXT + 0x38))
    assert found.is_whole


def test_an_address_was_run_if_it_is_in_a_stretch() -> None:
    found = of_table(table((TEXT, 0x10), (TEXT + 0x30, 8)))
    ran = [at for at in range(TEXT - 2, TEXT + 0x40) if found.has(at, at + 1)]
    assert ran == [*range(TEXT, TEXT + 0x10), *range(TEXT + 0x30, TEXT + 0x38)]


@pytest.mark.parametrize(
    ("begin", "end", "ran"),
    [(-8, 0, False), (-8, 1, True), (0x0F, 0x20, True), (0x10, 0x30, False), (0x10, 0x31, True),
     (0x38, 0x99, False), (-9, 0x99, True)],
)  # fmt: skip
def test_a_range_was_run_if_any_byte_of_it_was(begin: int, end: int, ran: bool) -> None:
    found = of_table(table((TEXT, 0x10), (TEXT + 0x30, 8)))
    assert found.has(TEXT + begin, TEXT + end) is ran


def test_nothing_was_run_of_an_empty_record() -> None:
    assert not of_table(table()).has(TEXT, TEXT + 1)


def test_what_found_no_slot_is_counted() -> None:
    found = decode(encode(of_table(table((TEXT, 4), dropped=3, odd=1))))
    assert (found.dropped, found.odd, found.is_whole) == (3, 1, False)


@given(_STRETCHES)
def test_a_file_gives_back_what_was_written(stretches: list[tuple[int, int]]) -> None:
    record = of(stretches)
    assert decode(encode(record)) == record


@given(_STRETCHES, _STRETCHES)
def test_a_union_has_what_either_has(
    one: list[tuple[int, int]], two: list[tuple[int, int]]
) -> None:
    both = union([of(one), of(two)])
    for record in (of(one), of(two)):
        for begin, end in zip(record.begins, record.ends, strict=True):
            assert both.has(begin, begin + 1)
            assert both.has(end - 1, end)
    assert all(a < b for a, b in zip(both.ends, both.begins[1:], strict=False))


@pytest.mark.parametrize(
    "content",
    [b"", b"x" * 100, table((TEXT, 4))[:-1], table((TEXT, 4), magic=b"\0" * 8), b"\0" * 40],
)
def test_what_is_no_table_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match="table"):
        of_table(content)


@given(st.binary(max_size=300))
def test_no_content_of_a_file_raises_anything_but_a_value_error(content: bytes) -> None:
    for made in (content, encode(of([(1, 2), (3, 4)]))[:28] + content):
        try:
            decode(made)
        except ValueError:
            continue


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_an_error_or_another_record(at: int, flip: int) -> None:
    content = bytearray(encode(of([(1, 2), (3, 4), (500, 7)])))
    content[at % len(content)] ^= flip
    try:
        decode(bytes(content))
    except ValueError:
        return


def test_a_file_that_says_it_is_huge_is_not_unpacked() -> None:
    honest = encode(of([(1, 2)]))
    lying = honest[:24] + struct.pack("<I", blocks.SLOTS + 1) + honest[28:]
    with pytest.raises(ValueError, match="stretches"):
        decode(lying)


def test_the_layout_is_the_plugins() -> None:
    source = Path(__file__).resolve().parents[2] / "guests/plugin/blocks.c"
    text = source.read_text(encoding="utf-8")
    assert "#define MAGIC\t\t0x314b4c4250414d52ULL" in text
    assert f"#define SLOTS\t\t(1u << {blocks.SLOTS.bit_length() - 1})" in text
    assert "#define SIZE_BITS\t16" in text


def test_what_is_recorded_is_kept_when_the_writer_is_gone(tmp_path: Path) -> None:
    with recording(tmp_path) as record:
        os.pwrite(record.fd, table((TEXT, 4)), 0)
    assert decode((tmp_path / BLOCKS).read_bytes()).begins == (TEXT,)


def test_the_writer_cannot_change_the_size_of_the_memory(tmp_path: Path) -> None:
    with recording(tmp_path) as record:
        for size in (0, blocks.TABLE_BYTES + 1):
            with pytest.raises(PermissionError):
                os.ftruncate(record.fd, size)


def test_a_memory_that_nobody_wrote_is_no_evidence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with recording(tmp_path):
        pass
    assert not (tmp_path / BLOCKS).exists()
    assert "no record of what was run" in capsys.readouterr().err
