# SPDX-License-Identifier: GPL-2.0
"""Make the states that a disk may have after a power cut, from a lab's operations on its files.

A file's bytes are on the disk for certain once the file was synced after they were written, and a
name once its folder was. Of what was not synced a file system may have kept anything; ``KEPT`` are
the kinds of that, from nothing to all. So a state is legal for every file system that keeps to
POSIX, and most are worse than what ext4 would leave.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

KEPT = ("nothing", "names", "zeros", "all", "some")
"""Of what was not synced: nothing, names alone, names and sizes, all, or a part by chance."""

_ROOT = PurePosixPath()


@dataclass(frozen=True)
class Operation:
    """One operation of a record (shim.c)."""

    kind: str
    file: int
    offset: int
    data: bytes
    path: PurePosixPath


@dataclass
class _Inode:
    """A file or a folder; ``writes`` are (operation, offset, bytes), None bytes for a new size."""

    is_folder: bool
    writes: list[tuple[int, int, bytes | None]] = field(default_factory=list)
    synced: int = -1
    """The last operation that is on the disk for certain."""


@dataclass(frozen=True)
class _Name:
    """A change of a name: ``inode`` is now at ``path``, or, None, nothing is."""

    operation: int
    path: PurePosixPath
    inode: int | None


def read(log: Path) -> list[Operation]:
    """Return the operations of a record."""
    content, at = log.read_bytes(), 0
    found = []
    while at < len(content):
        end = content.index(b"\n", at)
        kind, file, offset, length, path = content[at:end].split(b" ", 4)
        at = end + 1 + int(length)
        data = content[end + 1 : at]
        found.append(Operation(kind.decode(), int(file), int(offset), data,
                               PurePosixPath(path.decode())))  # fmt: skip
    return found


class Disk:
    """The operations of a lab up to a moment, and what of them is on the disk for certain."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._inodes = [_Inode(is_folder=True)]
        self._names: list[_Name] = []
        self._now: dict[PurePosixPath, int] = {_ROOT: 0}
        self._open: dict[int, int] = {}
        self._count = len(operations)
        for number, one in enumerate(operations):
            self._take(number, one)

    def _take(self, number: int, one: Operation) -> None:
        match one.kind:
            case "create" | "open" | "empty":
                if one.path not in self._now:
                    self._make(number, one.path, is_folder=False)
                self._open[one.file] = self._now[one.path]
                if one.kind == "empty":
                    self._inodes[self._now[one.path]].writes.append((number, 0, None))
            case "mkdir":
                self._make(number, one.path, is_folder=True)
            case "write":
                self._inodes[self._open[one.file]].writes.append((number, one.offset, one.data))
            case "truncate":
                self._inodes[self._open[one.file]].writes.append((number, one.offset, None))
            case "fsync":
                self._inodes[self._open[one.file]].synced = number
            case "rename":
                inode = self._now.pop(one.path)
                target = PurePosixPath(one.data.decode())
                self._now[target] = inode
                self._names += [_Name(number, target, inode), _Name(number, one.path, None)]
            case "unlink" | "rmdir":
                self._now.pop(one.path)
                self._names.append(_Name(number, one.path, None))
            case _:
                raise AssertionError(one.kind)

    def _make(self, number: int, path: PurePosixPath, *, is_folder: bool) -> None:
        self._inodes.append(_Inode(is_folder))
        self._now[path] = len(self._inodes) - 1
        self._names.append(_Name(number, path, self._now[path]))

    def state(self, kept: str, seed: int = 0) -> dict[str, bytes | None]:
        """Return what the disk holds: content by path, None for a folder."""
        chance = random.Random(seed)
        moment = {"nothing": -1, "some": chance.randrange(self._count + 1)}.get(kept, self._count)
        here: dict[PurePosixPath, int] = {_ROOT: 0}
        for name in self._names:
            folder = here.get(name.path.parent)
            if folder is None or not self._inodes[folder].is_folder:
                continue
            if name.operation > max(moment, self._inodes[folder].synced):
                continue
            if name.inode is None:
                here.pop(name.path, None)
            else:
                here[name.path] = name.inode
        found: dict[str, bytes | None] = {}
        for path, inode in here.items():
            if path != _ROOT and all(parent in here for parent in path.parents):
                found[str(path)] = self._content(self._inodes[inode], kept, chance)
        return found

    def _content(self, inode: _Inode, kept: str, chance: random.Random) -> bytes | None:
        if inode.is_folder:
            return None
        content = bytearray()
        for number, offset, data in inode.writes:
            certain = number <= inode.synced
            if not certain and kept in {"nothing", "names"}:
                continue
            if not certain and kept == "some" and chance.random() < 0.5:
                continue
            if data is None:
                del content[offset:]
                continue
            new = bytes(len(data)) if not certain and kept == "zeros" else data
            if not certain and kept == "some":
                new = new[: chance.randrange(len(new) + 1)]
            content.extend(bytes(max(0, offset - len(content))))
            content[offset : offset + len(new)] = new
        return bytes(content)

    def certain(self, path: str) -> bytes:
        """Return the bytes of a file that are on the disk whatever happens."""
        inode = self._now.get(PurePosixPath(path))
        if inode is None:
            return b""
        return self._content(self._inodes[inode], "nothing", random.Random(0)) or b""


def states(
    operations: Sequence[Operation], moments: Sequence[int]
) -> Iterator[tuple[int, str, dict[str, bytes | None]]]:
    """Yield the different states after so many operations, with what was kept."""
    seen = set()
    for moment in moments:
        disk = Disk(operations[:moment])
        for kept in KEPT:
            found = disk.state(kept, moment)
            key = hash(tuple(sorted(found.items(), key=lambda item: item[0])))
            if key not in seen:
                seen.add(key)
                yield moment, kept, found


def write(state: dict[str, bytes | None], place: Path) -> None:
    """Write a state into an empty folder."""
    for path in sorted(state):
        content = state[path]
        if content is None:
            (place / path).mkdir()
        else:
            (place / path).write_bytes(content)
