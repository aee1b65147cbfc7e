# SPDX-License-Identifier: GPL-2.0
"""The console's pipe: read in gathered pieces, but at once when the guest ends."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import BinaryIO

import pytest

from rmaplab.guest import console
from rmaplab.guest.console import Console, open_pipe

LONG_S = 30.0


class Pieces(io.BytesIO):
    """A file that knows in which pieces it was written."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:  # type: ignore[override]
        self.pieces.append(bytes(piece))
        return super().write(piece)


def heard(speak: Callable[[BinaryIO, Console], Awaitable[None]]) -> tuple[list[bytes], list[str]]:
    """The pieces in which the lab read what was said until ``speak`` returned, and the panics."""

    async def play() -> tuple[list[bytes], list[str]]:
        near, far = open_pipe()
        file, panics = Pieces(), list[str]()
        listener = Console(near, file)
        watching = asyncio.ensure_future(listener.watch(panics.append))
        try:
            await speak(far, listener)
            far.close()
            await asyncio.wait_for(watching, LONG_S)
        finally:
            watching.cancel()
            listener.close()
            near.close()
        assert listener.closed.is_set()
        return file.pieces, panics

    return asyncio.run(play())


async def bytewise(far: BinaryIO, text: bytes) -> None:
    for byte in text:
        far.write(bytes([byte]))
        await asyncio.sleep(0)


def test_bytes_that_come_one_by_one_are_read_together() -> None:
    text = b"[    1.000000] a line\n" * 50

    async def speak(far: BinaryIO, _listener: Console) -> None:
        await bytewise(far, text)

    pieces, _ = heard(speak)
    assert b"".join(pieces) == text
    assert len(pieces) < len(text) / 10


def test_a_guest_that_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def speak(far: BinaryIO, listener: Console) -> None:
        listener.hurry()
        await bytewise(far, b"the last words")

    monkeypatch.setattr(console, "_GATHER_S", LONG_S * 2)  # more than heard() waits
    pieces, _ = heard(speak)
    assert b"".join(pieces) == b"the last words"


def test_a_hurry_ends_a_gathering_that_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    async def speak(far: BinaryIO, listener: Console) -> None:
        far.write(b"a line\n")
        await asyncio.sleep(0.05)
        listener.hurry()

    monkeypatch.setattr(console, "_GATHER_S", LONG_S * 2)
    pieces, _ = heard(speak)
    assert pieces == [b"a line\n"]


def test_a_panic_that_comes_in_pieces_is_told_with_its_line() -> None:
    async def speak(far: BinaryIO, _listener: Console) -> None:
        await bytewise(far, b"[    2.0] Kernel panic - not ")
        await asyncio.sleep(0.05)
        await bytewise(far, b"syncing: enough\n[    2.1] after it\n")

    assert heard(speak)[1] == ["Kernel panic - not syncing: enough"]
