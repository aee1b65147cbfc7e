# SPDX-License-Identifier: GPL-2.0
"""A memory that comes through a pipe: compressed, bounded, whole or not there."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import zstandard

from rmaplab.errors import InfraError
from rmaplab.store import memoryfile
from rmaplab.store.memoryfile import NotSaved, receive, unpack

MB = 1 << 20
LONG_S = 60.0


@contextmanager
def receiving(
    path: Path, *, max_bytes: int = 64 * MB, limit_s: float = LONG_S
) -> Iterator[tuple[int, Future[int], threading.Event]]:
    far, near = os.pipe()
    given_up = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(
            receive, far, path, max_bytes=max_bytes, limit_s=limit_s, given_up=given_up
        )
        try:
            yield near, done, given_up
        finally:
            given_up.set()


def send(near: int, content: bytes) -> None:
    with os.fdopen(near, "wb") as pipe:
        pipe.write(content)


def memory() -> bytes:
    """Some pages that say something among many that do not, and an odd end."""
    noise = random.Random(1).randbytes(70_000)
    return noise + bytes(5 * MB) + noise + bytes(3 * MB + 77)


def test_what_is_unpacked_is_what_came(tmp_path: Path) -> None:
    path = tmp_path / memoryfile.NAME
    with receiving(path) as (near, done, _):
        send(near, memory())
        assert done.result(LONG_S) == len(memory())
    assert path.stat().st_size < 200_000
    unpack(path, tmp_path / "elf")
    assert (tmp_path / "elf").read_bytes() == memory()
    assert {one.name for one in tmp_path.iterdir()} == {path.name, "elf"}


def test_empty_pages_take_no_room_when_unpacked(tmp_path: Path) -> None:
    path = tmp_path / memoryfile.NAME
    with receiving(path) as (near, done, _):
        send(near, memory())
        done.result(LONG_S)
    unpack(path, tmp_path / "elf")
    assert (tmp_path / "elf").stat().st_blocks * 512 < MB


@pytest.mark.parametrize("size", [2 * MB, 20 * MB])
def test_one_that_is_too_large_is_not_kept(tmp_path: Path, size: int) -> None:
    path = tmp_path / memoryfile.NAME
    with receiving(path, max_bytes=MB) as (near, done, _):
        with suppress(BrokenPipeError):  # nobody listens any more
            send(near, random.Random(2).randbytes(size))
        with pytest.raises(NotSaved, match="larger than 1 MB"):
            done.result(LONG_S)
    assert list(tmp_path.iterdir()) == []


def test_one_that_never_ends_is_left_at_the_limit(tmp_path: Path) -> None:
    with receiving(tmp_path / "x", limit_s=0.3) as (near, done, _):
        os.write(near, bytes(MB >> 4))
        with pytest.raises(NotSaved, match="too long"):
            done.result(LONG_S)
        os.close(near)
    assert list(tmp_path.iterdir()) == []


def test_who_waits_for_nothing_can_give_up(tmp_path: Path) -> None:
    with receiving(tmp_path / "x") as (near, done, given_up):
        given_up.set()
        with pytest.raises(NotSaved, match="given up"):
            done.result(LONG_S)
        os.close(near)


def test_nothing_is_no_memory(tmp_path: Path) -> None:
    with receiving(tmp_path / "x") as (near, done, _):
        os.close(near)
        with pytest.raises(NotSaved, match="wrote nothing"):
            done.result(LONG_S)


@pytest.mark.parametrize("size", [0, 3, 1000, 100_000, -1])
def test_a_file_that_is_cut_is_damaged(tmp_path: Path, size: int) -> None:
    path = tmp_path / memoryfile.NAME
    with receiving(path) as (near, done, _):
        send(near, memory())
        done.result(LONG_S)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InfraError, match="damaged"):
        unpack(path, tmp_path / "elf")


def test_a_damaged_file_is_told_from_a_missing_one(tmp_path: Path) -> None:
    path = tmp_path / memoryfile.NAME
    with receiving(path) as (near, done, _):
        send(near, memory())
        done.result(LONG_S)
    content = bytearray(path.read_bytes())
    content[30_000] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InfraError, match="damaged"):
        unpack(path, tmp_path / "elf")
    with pytest.raises(InfraError, match="cannot unpack"):
        unpack(tmp_path / "y", tmp_path / "elf")


def test_a_file_that_unpacks_without_end_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = tmp_path / memoryfile.NAME
    packed.write_bytes(zstandard.compress(bytes(8 << 20)))
    monkeypatch.setattr(memoryfile, "MAX_UNPACKED", 1 << 20)
    with pytest.raises(InfraError, match="no guest has so much"):
        unpack(packed, tmp_path / "elf")
