# SPDX-License-Identifier: GPL-2.0
"""Bound a log: its head, its tail, and a line between them that says how much is not there."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmaplab.build.buildlog import BoundedLog

LEFT_OUT = re.compile(rb"\n\[rmaplab: (\d+) bytes are left out here\]\n")


def written(pieces: list[bytes], limit: int) -> bytes:
    file = io.BytesIO()
    with BoundedLog(file, limit) as log:
        for piece in pieces:
            log.write(piece)
    return file.getvalue()


def test_a_log_within_its_limit_is_kept_as_it_is() -> None:
    pieces = [b"  CC mm/rmap.o\n"] * 10
    assert written(pieces, 1000) == b"".join(pieces)


def test_of_a_longer_log_head_and_tail_are_kept() -> None:
    said = written([b"%04d\n" % number for number in range(1000)], 100)
    head, left_out, tail = LEFT_OUT.split(said)
    assert head == b"".join(b"%04d\n" % number for number in range(10))
    assert tail == b"".join(b"%04d\n" % number for number in range(990, 1000))
    assert int(left_out) == 980 * 5


@pytest.mark.parametrize("limit", [1, 2, 7, 64])
@given(pieces=st.lists(st.binary(min_size=1, max_size=20), max_size=40))
def test_every_byte_is_kept_or_counted(limit: int, pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    said = written(pieces, limit)
    match = LEFT_OUT.search(said)
    if match is None:
        assert said == whole
        return
    head, tail = said[: match.start()], said[match.end() :]
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert len(head) + int(match[1]) + len(tail) == len(whole)
    assert len(head) + len(tail) <= limit + 20  # a piece is kept whole


def test_what_is_printed_first_is_on_disk_before_the_end() -> None:
    file = io.BytesIO()
    with BoundedLog(file, 100) as log:
        log.write(b"first\n")
        assert file.getvalue() == b"first\n"


def test_the_tail_is_written_when_the_build_raises() -> None:
    file = io.BytesIO()
    with pytest.raises(KeyboardInterrupt), BoundedLog(file, 10) as log:
        log.write(b"0123456789")
        raise KeyboardInterrupt
    assert file.getvalue() == b"0123456789"
