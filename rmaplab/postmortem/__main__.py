# SPDX-License-Identifier: GPL-2.0
"""``python -m rmaplab.postmortem DUMP VMLINUX [PID:ADDRESS:COUNT:NAME ...]``: the report as text.

A part that cannot be read says so, and the others follow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import drgn
from drgn import Program

from rmaplab.postmortem import pages, tasks
from rmaplab.text import printable


def main(words: list[str]) -> int:
    """Print the report. Returns 1 if the memory cannot be opened at all."""
    dump, vmlinux, *registered = words
    ranges = pages.parse_ranges(registered)
    prog = Program()
    try:
        prog.set_core_dump(dump)
        prog.load_debug_info([vmlinux])
    except (OSError, ValueError, LookupError, drgn.MissingDebugInfoError) as error:
        print(f"drgn cannot open it: {error}", file=sys.stderr)
        return 1
    for title, part in (
        ("kernel", lambda: _kernel(prog)),
        ("tasks", lambda: _tasks(prog)),
        ("pages that the workload registered", lambda: _pages(prog, ranges)),
    ):
        print(f"== {title}")
        _print(part)
    return 0


def _print(part: Callable[[], Iterator[str]]) -> None:
    try:
        for line in part():
            print(printable(line))
    except Exception as error:  # the guest wrote the memory: drgn may raise anything
        print(f"  cannot go on: {type(error).__name__}: {printable(str(error))}")
    print()


def _kernel(prog: Program) -> Iterator[str]:
    name = prog["init_uts_ns"].name
    release, version = (field.string_().decode() for field in (name.release, name.version))
    yield f"{release} {version}"


def _tasks(prog: Program) -> Iterator[str]:
    found = tasks.that_matter(prog)
    for task in found[: tasks.MAX_TASKS]:
        yield from tasks.describe(prog, task)
    if len(found) > tasks.MAX_TASKS:
        yield f"and {len(found) - tasks.MAX_TASKS} tasks more"


def _pages(prog: Program, ranges: list[pages.Range]) -> Iterator[str]:
    if not ranges:
        yield "none"
        return
    census = pages.Census(prog)
    gone = 0
    for wanted in ranges:
        lines = list(pages.describe(prog, census, wanted))
        gone += not lines
        yield from lines
    if gone:
        yield f"{gone} more, of processes that are gone"
    if census.unread:
        yield f"{census.unread} page tables could not be read: there may be more entries"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
