# SPDX-License-Identifier: GPL-2.0
"""Limit the memory and the processes of a whole sandbox by a control group of its own (cgroups(7)).

This needs version 2 of cgroups and a place where the lab may make groups: as root, or where systemd
gave one away (``systemd-run --user --scope``). Elsewhere there are the limits of each process and
the budget (build/budget.py).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rmaplab.build.bubblewrap import PROCESSES, memory_bytes

OWN = Path("/proc/self/cgroup")
MOUNTS = Path("/proc/self/mountinfo")
MEMORY_SHARE = 0.75
"""The share of the host's memory that a sandbox may have."""
_LEAST_BYTES = 1 << 30
_GONE_S = 10.0
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Group:
    """A control group with limits; ``memory`` is its limit in bytes."""

    path: Path
    memory: int

    def command(self, words: Sequence[str]) -> list[str]:
        """Return a command line that runs another one in the group."""
        script = 'echo 0 >"$1" && shift && exec "$@"'
        return ["sh", "-c", script, "sh", str(self.path / "cgroup.procs"), *words]

    def complaint(self) -> str:
        """Return what the group was short of, if a process was killed for it; else nothing."""
        with contextlib.suppress(OSError, ValueError):
            text = (self.path / "memory.events").read_text(encoding="ascii")
            events = dict(line.split() for line in text.splitlines())
            if int(events.get("oom_kill", "0")):
                return f"it needs more than {self.memory >> 20} MB of memory"
        return ""


@contextlib.contextmanager
def limited() -> Iterator[Group | None]:
    """Make a group with limits, and remove it; None where the lab may make none."""
    group = next(filter(None, map(_made, _places())), None)
    try:
        yield group
    finally:
        if group is not None:
            _remove(group.path)


def _places() -> Iterator[Path]:
    """Yield the groups in which the lab's own could be made: the lab's, and the one above it."""
    try:
        own = OWN.read_text(encoding="utf-8").splitlines()
        mounts = [line.split() for line in MOUNTS.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return
    inner = next((line[3:] for line in own if line.startswith("0::/")), None)
    # proc_pid_mountinfo(5): the root in the file system is the fourth word, the place the fifth.
    mounted = next((w for w in mounts if "cgroup2" in w[w.index("-") :]), None)
    if inner is None or mounted is None or ".." in inner.split("/"):
        return  # a group outside of the lab's namespace of cgroups begins with /..
    top = Path(mounted[4])
    path = top / os.path.relpath(inner, mounted[3])
    for place in (path, path.parent):
        if place.is_relative_to(top) and ".." not in place.parts:
            yield place


def _made(place: Path) -> Group | None:
    """Make a group in another one; None if the lab may not, or without limits for memory."""
    path = place / f"rmaplab-{os.getpid()}-{next(_numbers)}"
    memory = max(int(memory_bytes() * MEMORY_SHARE), _LEAST_BYTES)
    try:
        path.mkdir()
    except OSError:
        return None
    try:
        _set(path / "memory.max", memory)
        _set(path / "pids.max", PROCESSES)
        for name in ("memory.swap.max", "cpu.weight"):
            with contextlib.suppress(OSError):
                _set(path / name, 0 if name == "memory.swap.max" else 50)
        # Without the right to move a process here the group is of no use.
        if not os.access(place / "cgroup.procs", os.W_OK):
            raise PermissionError(place)
    except OSError:
        _remove(path)
        return None
    return Group(path, memory)


def _set(path: Path, value: int) -> None:
    """Write a limit to a file that is there: the kernel makes it if there is the controller."""
    with path.open("r+", encoding="ascii") as file:
        file.write(f"{value}\n")


def _remove(path: Path) -> None:
    """Remove a group; its last processes may be dying."""
    until = time.monotonic() + _GONE_S
    while True:
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > until:
                return
            time.sleep(0.01)
        else:
            return
