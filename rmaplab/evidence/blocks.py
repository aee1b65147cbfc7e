# SPDX-License-Identifier: GPL-2.0
"""The blocks of the kernel that a cell ran: the plugin's table in, a compact file out, and back.

The table is that of guests/plugin/blocks.c. The file has the addresses that the blocks cover, as
sorted stretches that do not touch: what a reader asks is whether an address was run. Whatever is in
either, reading it ends, and raises ValueError for what is no record.
"""

from __future__ import annotations

import array
import itertools
import struct
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import zstandard

SLOTS = 1 << 18
"""The blocks that a table has room for."""
TABLE_BYTES = 32 + 8 * SLOTS
_MAGIC = 0x314B4C4250414D52
_SIZE_BITS = 16
_SIZES = (1 << _SIZE_BITS) - 1
_UPPER = 0xFFFF << 48
"""The upper bits of a kernel's address, which a slot leaves out."""

_HEAD = struct.Struct("<8sQQI")
_FILE_MAGIC = b"rmapblk1"
_LEVEL = 9


@dataclass(frozen=True, slots=True)
class RunBlocks:
    """The kernel code that a cell ran, as stretches of addresses, sorted, which do not touch.

    ``dropped`` blocks found no room in the table and ``odd`` ones could not be held by it: whether
    they were run is not known.
    """

    begins: tuple[int, ...]
    ends: tuple[int, ...]
    dropped: int = 0
    odd: int = 0

    @property
    def is_whole(self) -> bool:
        """True if every block that was run is there."""
        return not self.dropped and not self.odd

    def has(self, begin: int, end: int) -> bool:
        """Return whether any byte of a range of addresses was run."""
        at = bisect_right(self.begins, begin)
        return (at > 0 and self.ends[at - 1] > begin) or (
            at < len(self.begins) and self.begins[at] < end
        )


def of_table(table: bytes) -> RunBlocks:
    """Return the blocks of a plugin's table. Raises ValueError if it is none."""
    if len(table) != TABLE_BYTES:
        raise ValueError(f"a table of {len(table)} bytes, not {TABLE_BYTES}")
    magic, dropped, odd, _ = struct.unpack_from("<4Q", table)
    if magic != _MAGIC:
        raise ValueError("the plugin wrote no table")
    slots = _integers("Q", table[32:])
    found = sorted(block for block in slots if block)
    stretches = ((_UPPER | block >> _SIZE_BITS, block & _SIZES) for block in found)
    begins, ends = _merged((begin, begin + size) for begin, size in stretches)
    return RunBlocks(begins, ends, dropped, odd)


def _merged(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return begins and ends of sorted ranges, those that touch or overlap as one."""
    begins: list[int] = []
    ends: list[int] = []
    last = -1
    for begin, end in ranges:
        if begin > last:
            begins.append(begin)
            ends.append(end)
            last = end
        elif end > last:
            ends[-1] = last = end
    return tuple(begins), tuple(ends)


def union(several: Iterable[RunBlocks]) -> RunBlocks:
    """Return what any of several cells ran."""
    some = list(several)
    ranges = sorted(itertools.chain.from_iterable(zip(o.begins, o.ends, strict=True) for o in some))
    return RunBlocks(*_merged(ranges), sum(o.dropped for o in some), sum(o.odd for o in some))


def encode(blocks: RunBlocks) -> bytes:
    """Return the content of a cell's file: gaps and lengths, compressed."""
    before = (0, *blocks.ends[:-1])
    gaps = array.array("Q", map(int.__sub__, blocks.begins, before))
    lengths = array.array("Q", map(int.__sub__, blocks.ends, blocks.begins))
    head = _HEAD.pack(_FILE_MAGIC, blocks.dropped, blocks.odd, len(gaps))
    body = _bytes(gaps) + _bytes(lengths)
    return head + zstandard.ZstdCompressor(level=_LEVEL, write_content_size=False).compress(body)


def decode(content: bytes) -> RunBlocks:
    """Return the blocks of a cell's file. Raises ValueError if it is none, or damaged."""
    if len(content) < _HEAD.size:
        raise ValueError("it is cut short")
    magic, dropped, odd, count = _HEAD.unpack_from(content)
    if magic != _FILE_MAGIC:
        raise ValueError("it is no record of blocks")
    if count > SLOTS:
        raise ValueError(f"it says that it has {count} stretches")
    body = _decompressed(content[_HEAD.size :], 16 * count)
    gaps, lengths = _integers("Q", body[: 8 * count]), _integers("Q", body[8 * count :])
    marks = itertools.accumulate(itertools.chain.from_iterable(zip(gaps, lengths, strict=True)))
    addresses = tuple(marks)
    if any(not length for length in lengths) or (addresses and addresses[-1] > 1 << 64):
        raise ValueError("its stretches are no addresses")
    return RunBlocks(addresses[::2], addresses[1::2], dropped, odd)


def _decompressed(data: bytes, size: int) -> bytes:
    """Return exactly ``size`` bytes of compressed data, without making more of them."""
    try:
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(data)
        body = b"".join(_pieces(reader, size + 1))
    except zstandard.ZstdError as error:
        raise ValueError(f"it cannot be decompressed: {error}") from error
    if len(body) != size:
        raise ValueError("it has another length than it says")
    return body


def _pieces(reader: zstandard.ZstdDecompressionReader, limit: int) -> Iterator[bytes]:
    while limit > 0 and (piece := reader.read(limit)):
        limit -= len(piece)
        yield piece


def _integers(kind: str, data: bytes) -> array.array[int]:
    found = array.array(kind, data)
    if sys.byteorder != "little":
        found.byteswap()
    return found


def _bytes(numbers: array.array[int]) -> bytes:
    if sys.byteorder != "little":
        numbers = array.array(numbers.typecode, numbers)
        numbers.byteswap()
    return numbers.tobytes()
