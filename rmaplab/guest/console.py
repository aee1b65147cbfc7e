# SPDX-License-Identifier: GPL-2.0
"""The serial console: read through pexpect, kept whole as evidence, watched for a death.

The console comes through a pipe, which holds a guest's output while the lab is busy. Bytes that
QEMU cannot write at once are lost: the kernel's driver of the port waits 10 ms for room and then
goes on (wait_for_lsr() in 8250_port.c). A socket is full after some 280 writes of one byte.

QEMU writes a byte at a time, so the lab gathers bytes before pexpect reads them.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pexpect
import pexpect.fdpexpect

from rmaplab.collect.splats import complaint_in

# A guest that floods its console fills no disk; dropped bytes are counted and told.
KEPT_BYTES = 64 << 20
_PIPE_BYTES = 1 << 20  # what a user may ask for by default (fs.pipe-max-size)
_LINES = re.compile(rb"\A.*\n", re.S)  # anchored: a search must not retry at every offset
_LONG = re.compile(rb"\A.{65536}", re.S)
# For how many seconds bytes are gathered, and how many reads follow before other tasks run.
_GATHER_S = 0.01
_READS = 64
_DEAD = re.compile(rb"Kernel panic - not syncing")
_DEAD_END = b"---[ end Kernel panic"
_REPORT_END = b"---[ end "


class ConsoleLog:
    """The file that pexpect logs to; keeps the first KEPT_BYTES and counts the rest."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.kept = 0
        self.dropped = 0

    def go_on(self, file: BinaryIO) -> None:
        """Keep what comes from now on in another file; the caller closes the one before."""
        self.flush()
        self._file = file
        self.kept = 0
        self.dropped = 0

    def write(self, chunk: bytes) -> None:
        """Write a chunk to the file, or count its bytes. Raises OSError that names the file."""
        room = max(0, KEPT_BYTES - self.kept)
        with self._naming_the_file():
            left = memoryview(chunk)[:room]
            while left:  # a write of a raw file may be a short one
                left = left[self._file.write(left) :]
        self.kept += min(room, len(chunk))
        self.dropped += max(0, len(chunk) - room)

    def flush(self) -> None:
        """Bring what was written to the file. Raises OSError that names the file."""
        with self._naming_the_file():
            self._file.flush()

    @contextlib.contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        """Add the file's name to an OSError; that of a write has none."""
        try:
            yield
        except OSError as error:
            name = getattr(self._file, "name", None)
            raise OSError(error.errno, error.strerror, name) from error

    @property
    def size(self) -> int:
        """The file's size in bytes, with what was in it before."""
        self._file.flush()
        return self._file.tell()


class Console:
    """A guest's console; ``watch`` reads it until it closes."""

    def __init__(self, end: BinaryIO, file: BinaryIO) -> None:
        self.log = ConsoleLog(file)
        # pexpect closes the descriptor itself, so it gets one of its own.
        own = os.dup(end.fileno())
        self._spawn = pexpect.fdpexpect.fdspawn(own, timeout=0, maxread=65536, use_poll=True)
        self._spawn.delayafterread = None
        self._spawn.logfile_read = self.log
        self._awaited_patterns = self._spawn.compile_pattern_list(
            [_LINES, _LONG, pexpect.EOF, pexpect.TIMEOUT]
        )
        self._hurried = False
        self._gathered = asyncio.Event()
        self.closed = asyncio.Event()
        """Set once QEMU's end is closed and everything before that was read."""
        self.ended = asyncio.Event()
        """Set once the last line of a panic has come, or the console is closed."""
        self.complained = asyncio.Event()
        """Set once the kernel has complained; ``complaint`` is the kind of the complaint."""
        self.complaint = ""
        self.spoke_at = 0.0
        """The time of the last read, by ``time.monotonic``."""
        self.reported = asyncio.Event()
        """Set once a complaint's last line has come, if complaints of its kind have one."""
        self._awaited = b""
        self._came = asyncio.Event()

    def expect(self, words: bytes) -> asyncio.Event:
        """Return an event that is set when a line with these words came."""
        self._awaited, self._came = words, asyncio.Event()
        return self._came

    def forget_complaint(self) -> None:
        """Look for a first complaint again from now on: the next cell of a shared guest begins."""
        self.complaint = ""
        self.complained.clear()
        self.reported.clear()

    async def watch(self, on_panic: Callable[[str], None]) -> None:
        """Read until the console closes; call ``on_panic`` with the line that says so."""
        while not self._read(on_panic):
            await self._speaks()
            await self._gather()
        self.closed.set()
        self.ended.set()

    def hurry(self) -> None:
        """Read at once from now on: the guest is about to end."""
        self._hurried = True
        self._gathered.set()

    async def _speaks(self) -> None:
        """Wait until there is something to read."""
        loop, came = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._spawn.child_fd, came.set)
        try:
            await came.wait()
        finally:
            loop.remove_reader(self._spawn.child_fd)

    async def _gather(self) -> None:
        if self._hurried:
            return
        self._gathered.clear()
        timer = asyncio.get_running_loop().call_later(_GATHER_S, self._gathered.set)
        try:
            await self._gathered.wait()
        finally:
            timer.cancel()

    def _read(self, on_panic: Callable[[str], None]) -> bool:
        """Take the bytes that have come; returns True once the console is closed."""
        for _ in range(_READS):
            which = self._spawn.expect_list(self._awaited_patterns)
            if which >= 2:
                return which == 2
            chunk = self._spawn.after
            assert isinstance(chunk, bytes)  # a pattern matched, so neither EOF nor TIMEOUT
            self._heard(chunk, on_panic)
        return False

    def _heard(self, chunk: bytes, on_panic: Callable[[str], None]) -> None:
        if match := _DEAD.search(chunk):
            end = chunk.find(b"\n", match.start())
            on_panic(chunk[match.start() : end].decode("ascii", "replace").strip())
        self.spoke_at = time.monotonic()
        self._look_for_complaint(chunk)
        if self._awaited and self._awaited in chunk:
            self._came.set()
        if _DEAD_END in chunk:
            self.ended.set()

    def _look_for_complaint(self, chunk: bytes) -> None:
        if not self.complaint and (kind := complaint_in(chunk)):
            self.complaint = kind
            self.complained.set()
        if self.complaint and _REPORT_END in chunk:
            self.reported.set()

    def close(self) -> None:
        """Close the lab's end."""
        self._spawn.close()


def open_pipe() -> tuple[BinaryIO, BinaryIO]:
    """Open the console's pipe; returns the lab's end, which does not block, and QEMU's end."""
    near, far = os.pipe()
    os.set_blocking(near, False)
    # With too many of them a user other than root gets no more than the default, 64 KB.
    with contextlib.suppress(PermissionError):
        fcntl.fcntl(far, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return os.fdopen(near, "rb", buffering=0), os.fdopen(far, "wb", buffering=0)


def open_log(path: Path, before: Path | None) -> BinaryIO:
    """Open a guest's console log for writing; a clone's begins with its template's, ``before``.

    Unbuffered, so that closing it writes nothing that a full disk has refused before. Raises
    OSError.
    """
    if before is not None:
        shutil.copyfile(before, path)
    return path.open("wb" if before is None else "ab", buffering=0)
