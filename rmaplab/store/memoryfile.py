# SPDX-License-Identifier: GPL-2.0
"""The memory of a guest on disk: an ELF core, compressed while QEMU writes it.

QEMU writes all pages, and most of a guest's pages are zero: compressed they cost nothing, and
unpacked they become the holes of a sparse file.
"""

from __future__ import annotations

import os
import select
import threading
import time
from pathlib import Path
from typing import BinaryIO

import zstandard

from rmaplab.errors import InfraError
from rmaplab.store.files import sync
from rmaplab.store.runfolder import RunFolder

NAME = "memory.elf.zst"
"""The name of the file in a cell's folder."""
MAX_UNPACKED = 64 << 30
"""Bytes of a saved memory with its empty pages: sixteen times that of the largest guest."""
# The fastest level: a guest waits for it, and higher ones gain a tenth.
_LEVEL = 1
_CHUNK = 1 << 20
_PATIENCE_MS = 200
_BLOCK = 1 << 16
# Of the file, at once: four bytes may stand for 128 KB of zeros.
_PIECE = 1 << 10
_ZEROS = bytes(_BLOCK)


REPORT = "postmortem.txt"
"""The file with drgn's report, beside the memory."""


def of(folder: RunFolder, cell: str) -> Path:
    """Return the path of a cell's memory, which is there if it was kept."""
    return folder.place(cell) / NAME


class NotSaved(Exception):
    """The memory could not be saved; the message says why."""


class NothingCame(NotSaved):
    """The pipe ended before anything came through it."""


class GivenUp(NotSaved):
    """Nobody waits for the memory any more."""


def receive(
    pipe: int, path: Path, *, max_bytes: int, limit_s: float, given_up: threading.Event
) -> int:
    """Compress a pipe's bytes into a file and return their number.

    The pipe is closed in any case, and the file is there whole or not at all. Raises NotSaved if
    the file would be larger than ``max_bytes``, if the pipe does not end within ``limit_s``
    seconds, or if ``given_up`` is set before its end; NothingCame if the pipe ends at once.
    """
    half = path.with_name(f".{path.name}.half")
    try:
        size = _compress(pipe, half, max_bytes, time.monotonic() + limit_s, given_up)
        sync(half)
        half.replace(path)
    except OSError as error:
        raise NotSaved(f"{path.name}: {error.strerror}") from error
    finally:
        os.close(pipe)
        half.unlink(missing_ok=True)
    return size


def _compress(pipe: int, path: Path, max_bytes: int, ends: float, given_up: threading.Event) -> int:
    size = 0
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    with path.open("wb") as file, compressor.stream_writer(file, closefd=False) as writer:
        while True:
            while not poll.poll(_PATIENCE_MS):
                if given_up.is_set():
                    raise GivenUp("it was given up")
                _check_time(ends, size)
            _check_time(ends, size)
            chunk = os.read(pipe, _CHUNK)
            if not chunk:
                break
            size += len(chunk)
            writer.write(chunk)
            if file.tell() > max_bytes:
                raise NotSaved(f"it is larger than {max_bytes >> 20} MB even compressed")
        writer.flush(zstandard.FLUSH_BLOCK)
        if not size:
            raise NothingCame("QEMU wrote nothing")
        if file.tell() > max_bytes:
            raise NotSaved(f"it is larger than {max_bytes >> 20} MB even compressed")
    return size


def _check_time(ends: float, size: int) -> None:
    if time.monotonic() > ends:
        raise NotSaved(f"it took too long: {size >> 20} MB had come")


def unpack(path: Path, target: Path) -> None:
    """Unpack a saved memory into a sparse file. Raises InfraError if it is damaged.

    A file of more than MAX_UNPACKED is: a few bytes of a stranger's can stand for any number.
    """
    try:
        with path.open("rb") as packed, target.open("wb") as file:
            frame = zstandard.ZstdDecompressor().decompressobj()
            while not frame.eof:
                piece = packed.read(_PIECE)
                if not piece:
                    raise InfraError(f"{path} is damaged: it is cut")
                _write_sparse(file, frame.decompress(piece))
                if file.tell() > MAX_UNPACKED:
                    raise InfraError(
                        f"{path} is damaged: it has more than {MAX_UNPACKED >> 30} GB, and no "
                        "guest has so much"
                    )
            file.truncate(file.tell())
    except zstandard.ZstdError as error:
        raise InfraError(f"{path} is damaged: {error}") from error
    except OSError as error:
        raise InfraError(
            f"cannot unpack {path}: {error.strerror}",
            hint="it needs the guest's memory, less its empty pages, in $TMPDIR",
        ) from error


def _write_sparse(file: BinaryIO, content: bytes) -> None:
    view = memoryview(content)
    for start in range(0, len(content), _BLOCK):
        block = view[start : start + _BLOCK]
        if block == _ZEROS[: len(block)]:
            file.seek(len(block), os.SEEK_CUR)
        else:
            file.write(block)
