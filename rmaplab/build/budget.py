# SPDX-License-Identifier: GPL-2.0
"""Bound what a sandbox uses of the host while it runs: time, disk, memory.

The disk and the memory of the whole host are looked at about once a second, which costs nothing.
Only if one of them got short, what the sandbox itself has of it is counted: a host that others
filled is nobody's fault, and a folder that grew beyond its budget is the foreign code's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rmaplab.build.bubblewrap import memory_bytes
from rmaplab.store.cache import disk_usage

FULL_DISK_BYTES = 256 << 20
"""With less than this free a disk is full, and what runs is ended."""
BUILD_BYTES = 32 << 30
"""The bytes that a build folder may have: those of a kernel with all modules and debug info."""
FILES = 2_000_000
"""The files that a command may make: a kernel with all modules has a tenth."""
LOW_MEMORY_BYTES = 64 << 20
"""With less memory available the host is about to kill processes, and what runs is ended."""
_MEMORY_SHARE = 0.5
"""The share of the host's memory from which on a sandbox is short of it by its own fault."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a command has to end: ``why`` in words; ``host`` is True if the host is at fault."""

    why: str
    host: bool = False


class Budget:
    """The budget of one command: ``ending`` says why the command has to end, None if it need not.

    ``disks`` are the folders that the command may write to. ``init`` returns the number of the
    sandbox's first process, None as long as it is not known.
    """

    def __init__(
        self, disks: Sequence[Path], limit_s: float, init: Callable[[], int | None]
    ) -> None:
        self._disks = disks
        self._limit_s = limit_s
        self._init = init
        self._free = {disk: _free(disk) for disk in disks}

    def ending(self, seconds: float) -> Ending | None:
        """Return why the command has to end after some seconds; None if it may go on."""
        if seconds > self._limit_s:
            return Ending(f"no end within {self._limit_s:g} s")
        return self._by_disk() or self._by_memory()

    def _by_disk(self) -> Ending | None:
        for disk in self._disks:
            free, files = _free(disk)
            before, files_before = self._free[disk]
            is_full = free < FULL_DISK_BYTES
            if not is_full and before - free < BUILD_BYTES and files_before - files < FILES:
                continue
            used, made = _used(disk)
            used += sum(_held(process) for process in self._processes())
            if used >= BUILD_BYTES:
                return Ending(f"it has {used >> 20} MB of files, the limit is {BUILD_BYTES >> 20}")
            if made >= FILES:
                return Ending(f"it has {made} files, the limit is {FILES}")
            if is_full:
                return Ending("the disk is full", host=True)
            # Others wrote as much: it is looked at again when as much more is gone.
            self._free[disk] = free, files
        return None

    def _by_memory(self) -> Ending | None:
        if _available() >= LOW_MEMORY_BYTES:
            return None
        used = sum(_resident(process) for process in self._processes())
        if used >= memory_bytes() * _MEMORY_SHARE:
            return Ending(f"it uses {used >> 20} MB of memory, and the host has no more")
        return Ending("the host's memory is used up", host=True)

    def _processes(self) -> Iterator[Path]:
        """Yield the folders in /proc of the sandbox's processes."""
        init = self._init()
        if init is None:
            return
        children: dict[int, list[int]] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError, ValueError):
                # The name of a process may have any characters, blanks and parentheses, too.
                after = path.read_bytes().rpartition(b") ")[2].split()
                children.setdefault(int(after[1]), []).append(int(path.parent.name))
        waiting = [init]
        while waiting:
            number = waiting.pop()
            waiting += children.get(number, ())
            yield Path("/proc", str(number))


def _free(disk: Path) -> tuple[int, int]:
    """Return the bytes and the files that a file system has room for."""
    room = os.statvfs(disk)
    return shutil.disk_usage(disk).free, room.f_ffree if room.f_files else FILES


def _used(disk: Path) -> tuple[int, int]:
    """Return the bytes and the number of the files below a folder."""
    return disk_usage(disk), sum(len(names) for _, _, names in os.walk(disk))


def _held(process: Path) -> int:
    """Return the bytes of deleted files that a process has open."""
    total = 0
    with suppress(OSError):
        for one in process.joinpath("fd").iterdir():
            with suppress(OSError):
                status = one.stat()
                total += status.st_blocks * 512 if status.st_nlink == 0 else 0
    return total


def _resident(process: Path) -> int:
    """Return the bytes of memory that a process has to itself."""
    try:
        resident, shared = process.joinpath("statm").read_text("ascii").split()[1:3]
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def _available() -> int:
    """Return the bytes of memory that processes can get; a huge number if nobody says."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return 1 << 62
