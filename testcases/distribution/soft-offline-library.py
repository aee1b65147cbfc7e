#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Soft offline of a shared library's page that several processes map.

The other testcases are static programs: what they share is anonymous memory or a file of their
own. Here a distribution's interpreter has loaded an extension module, and children that it forked
map the module's text too, so the rmap walk goes over the file's VMAs of several processes.

Oracle: a page of the text is mapped once by the parent and once by each child that has touched it
(kpagecount). After a soft offline of its frame every process reads the same bytes from one and the
same other frame, which is mapped as often as the first was; nothing maps the first one any more.
A walk that misses a VMA leaves a process on the old frame, or lets the migration fail.
"""

import _ctypes
import ctypes
import hashlib
import os
import re
import socket
import struct
import sys
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
CHILDREN = 4
TESTS = 4
PRESENT = 1 << 63
PFN = (1 << 55) - 1
REPORT = struct.Struct("<Q32s")
OFFLINE = "/sys/devices/system/memory/soft_offline_page"


def text_page():
    """The address of the first page of the module's text, from /proc/self/maps."""
    name = re.escape(_ctypes.__file__)
    for line in Path("/proc/self/maps").read_text(encoding="ascii").splitlines():
        if match := re.match(rf"([0-9a-f]+)-[0-9a-f]+ r-xp .* {name}$", line):
            return int(match[1], 16)
    raise RuntimeError(f"{name} has no text in /proc/self/maps")


def entry(path, number):
    """One 64-bit entry of pagemap or kpagecount."""
    with Path(path).open("rb", buffering=0) as file:
        file.seek(number * 8)
        return struct.unpack("<Q", file.read(8))[0]


def look(address):
    """Touch a page; its frame number and a digest of what it holds."""
    content = ctypes.string_at(address, PAGE)
    found = entry("/proc/self/pagemap", address // PAGE)
    frame = found & PFN if found & PRESENT else 0
    return frame, hashlib.sha256(content).digest()


def mapcount(frame):
    """How often a frame is mapped."""
    return entry("/proc/kpagecount", frame)


def child(end, address):
    """Look whenever the parent asks; ends when the parent's end closes."""
    while end.recv(1):
        end.sendall(REPORT.pack(*look(address)))
    os._exit(0)


def fork_children(address):
    """The parent's ends of the children's channels."""
    ends = []
    for _ in range(CHILDREN):
        mine, theirs = socket.socketpair()
        if os.fork() == 0:
            mine.close()
            for end in ends:
                end.close()
            child(theirs, address)
        theirs.close()
        ends.append(mine)
    return ends


def look_everywhere(ends, address):
    """What the parent and every child see."""
    seen = [look(address)]
    for end in ends:
        end.sendall(b"?")
        seen.append(REPORT.unpack(end.recv(REPORT.size, socket.MSG_WAITALL)))
    return seen


def soft_offline(frame):
    """Ask for another frame; the error number, or 0."""
    # A page that was just faulted in may sit on a per-CPU batch, which holds a reference.
    Path("/proc/sys/vm/compact_memory").write_text("1", encoding="ascii")
    try:
        Path(OFFLINE).write_text(hex(frame * PAGE), encoding="ascii")
    except OSError as error:
        return error.errno
    return 0


class Report:
    """KTAP on standard output."""

    def __init__(self):
        self.number = 0
        self.failed = False
        print("KTAP version 1", f"1..{TESTS}", sep="\n", flush=True)

    def check(self, name, got, wanted):
        self.number += 1
        good = got == wanted
        self.failed = self.failed or not good
        print(f"# {name}: {got}, expected {wanted}")
        print(f"{'ok' if good else 'not ok'} {self.number} {name}", flush=True)


def main():
    report = Report()
    address = text_page()
    alone = mapcount(look(address)[0])
    ends = fork_children(address)
    before = look_everywhere(ends, address)
    frame, content = before[0]
    print(f"# {_ctypes.__file__}: frame {frame:#x}, mapped {alone} times by the parent alone")
    report.check("mapcount", (set(before), mapcount(frame)), ({(frame, content)}, 1 + CHILDREN))

    report.check("soft-offline", soft_offline(frame), 0)
    after = look_everywhere(ends, address)
    moved = {seen[0] for seen in after}
    print(f"# frames after: {' '.join(map(hex, sorted(moved)))}")
    report.check("content", {seen[1] for seen in after}, {content})
    counts = [mapcount(new) for new in moved]
    report.check(
        "one-other-frame",
        (moved & {0, frame}, counts, mapcount(frame)),
        (set(), [1 + CHILDREN], 0),
    )
    for end in ends:
        end.close()
    for _ in ends:
        os.wait()
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
