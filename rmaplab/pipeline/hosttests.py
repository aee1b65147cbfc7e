# SPDX-License-Identifier: GPL-2.0
"""The host tests of a run: built for the kernels that have some, and carried out in their turn."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rmaplab.build import hosttests
from rmaplab.build.buildlog import BoundedLog
from rmaplab.build.hosttests import HostTests
from rmaplab.build.sandbox import Ended
from rmaplab.evidence.ends import EndCause
from rmaplab.evidence.names import CONSOLE_LOG, TRANSCRIPT
from rmaplab.guest.notrun import NotBuilt, Skip
from rmaplab.guest.transcript import Transcript
from rmaplab.model import Cell, ExpectedSubtests, HostTest, Testcase, version_range
from rmaplab.pipeline.kernels import KernelBuilder, Kernels

OUTPUT_BYTES = 32 << 20
"""A program of maple trees prints 0.2 MB."""

Wanted = tuple[str, str, tuple[str, ...]]
"""A kernel's name, a suite, the words for its Makefile."""


@dataclass(frozen=True, slots=True)
class HostTask:
    """A host test that is to run: its program, and the tests that it would name if they failed."""

    cell: Cell
    program: Path
    tests: ExpectedSubtests


@dataclass(frozen=True, slots=True)
class HostBuilds:
    """The host tests of a run's kernels; ``versions`` are those of the kernels, by name."""

    built: Mapping[Wanted, HostTests] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def of(self, cell: Cell, test: HostTest) -> HostTask | Skip | NotBuilt:
        """Return the task of a cell, or why its program does not run."""
        version, tree = self.versions[cell.kernel], cell.testcase.requires.tree
        if version not in version_range(tree):
            return Skip(cell, f"needs a kernel {tree}, and this one is {version}")
        suite = self.built[cell.kernel, test.suite, test.make]
        if reason := cell.skip or suite.missing(test.program):
            return Skip(cell, reason)
        if error := suite.error(test.program):
            return NotBuilt(cell, error)
        place = f"{hosttests.PLACE}/{test.suite}"
        names = ExpectedSubtests(version, place, suite.tests[test.program])
        return HostTask(cell, suite.programs[test.program], names)


def build(
    kernels: Kernels,
    cells: Iterable[Cell],
    testcases: Iterable[Testcase],
    builder: KernelBuilder,
) -> HostBuilds:
    """Build the suites of the cells' host tests. Raises as ``build.hosttests.build`` does.

    A suite is built with the programs of all ``testcases``, or each filter would build it anew.
    """
    wanted: dict[Wanted, None] = {}
    for cell in cells:
        if (test := cell.testcase.host) is not None:
            wanted[cell.kernel, test.suite, test.make] = None
    every = [one.host for one in testcases if one.host is not None]
    return HostBuilds(
        {
            key: hosttests.build(
                kernels[key[0]],
                key[1],
                key[2],
                sorted({test.program for test in every if (test.suite, test.make) == key[1:]}),
                builder.cache,
                jobs=builder.jobs,
                limit_s=builder.limit_of(kernels[key[0]]),
            )
            for key in wanted
        },
        {name: kernel.tree.version for name, kernel in kernels.items()},
    )


async def carry_out(
    task: HostTask, folder: Path, turn: contextlib.AbstractAsyncContextManager[None]
) -> None:
    """Run a host test in its turn and leave its evidence, which is whole on return."""
    async with turn:
        stop = threading.Event()
        work = asyncio.create_task(asyncio.to_thread(_run, task, folder, stop))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            await work
            raise


def _run(task: HostTask, folder: Path, stop: threading.Event) -> None:
    """Run a host test; what is interrupted has no end in its transcript."""
    test = task.cell.testcase.host
    assert test is not None
    limit_s = task.cell.testcase.limit_s
    words = hosttests.argv(test.program, task.cell.testcase.args)
    console = folder / CONSOLE_LOG
    with Transcript(folder / TRANSCRIPT) as transcript:
        transcript.say("lab", "cell", cell=task.cell.id)
        transcript.say(
            "lab", "expected", version=task.tests.version, section=task.tests.section,
            names=task.tests.names,
        )  # fmt: skip
        transcript.say("lab", "program", argv=words, says=test.says, limit_s=limit_s)
        began = time.monotonic()
        with console.open("wb") as file:
            with BoundedLog(file, OUTPUT_BYTES) as output:
                ended = hosttests.run(
                    task.program, task.cell.testcase.args, output.write,
                    limit_s=limit_s, stop=lambda: _INTERRUPTED if stop.is_set() else "",
                )  # fmt: skip
            dropped = output.left_out
        if ended.stopped == _INTERRUPTED:
            transcript.say("lab", "interrupted")
            return
        _say_end(transcript, ended, console, dropped, time.monotonic() - began >= limit_s)


_INTERRUPTED = "interrupted"


def _say_end(
    transcript: Transcript, ended: Ended, console: Path, dropped: int, is_late: bool
) -> None:
    timeout = bool(ended.stopped) and is_late
    transcript.say(
        "lab", "program-end", status=ended.status, stopped=ended.stopped, timeout=timeout,
        short=ended.short,
    )  # fmt: skip
    how = ended.stopped or f"status {ended.status}"
    transcript.say("lab", "end", how=str(EndCause.PROGRAM_ENDED), detail=how)
    transcript.say("lab", "console", bytes=console.stat().st_size)
    if dropped:
        transcript.say("lab", "console-cut", dropped=dropped)


def by_hand(testcase: Testcase) -> str:
    """Return the command that builds and runs a host test in a kernel's tree, without the lab."""
    test = testcase.host
    assert test is not None
    place = f"{hosttests.PLACE}/{test.suite}"
    make = shlex.join(["make", "-C", place, *test.make])
    return f"{make} && {shlex.join([f'{place}/{test.program}', *testcase.args])}"
