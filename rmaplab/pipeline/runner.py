# SPDX-License-Identifier: GPL-2.0
"""Runs cells, a few at a time, while the next ones' guests are started and wait."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shlex
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rmaplab.build import fragments
from rmaplab.guest import cell
from rmaplab.guest.cell import RunningCell
from rmaplab.guest.cellsetup import CellSetup
from rmaplab.guest.command import Launch
from rmaplab.guest.shared import SharedGuest
from rmaplab.guest.template import BootFailed
from rmaplab.judge import judge
from rmaplab.log import log
from rmaplab.model import Build, Cell, CellResult, Isolation, Judgement
from rmaplab.pipeline import host
from rmaplab.pipeline.evaluate import Observations, observe_cell
from rmaplab.pipeline.host import Launches
from rmaplab.pipeline.hostmemory import available_mb
from rmaplab.pipeline.memory_quota import MemoryQuota
from rmaplab.pipeline.progress import CellProgress, cell_progress
from rmaplab.pipeline.templates import Templates
from rmaplab.pipeline.upstream import SelftestBuilds
from rmaplab.schedule import Remaining, width
from rmaplab.store import memoryfile
from rmaplab.store.runfolder import CELLS, RunFolder, RunRecord

# A clone that waits: what QEMU itself needs, measured by tests/bench_cells.py.
WAITING_MB = 40


@dataclass(frozen=True, slots=True)
class _QueuedCell:
    """A cell whose turn comes next.

    Without ``setup`` there is nothing to run; without ``started`` the guest is not there yet.
    """

    cell: Cell
    setup: CellSetup | None = None
    started: RunningCell | None = None


class Runner:
    """Runs the cells of a run; each is in the journal before the next but one is carried out."""

    def __init__(
        self,
        folder: RunFolder,
        record: RunRecord,
        builds: dict[str, Build],
        launches: Launches,
        templates: Templates,
        *,
        selftest_builds: SelftestBuilds,
        seen: Observations,
    ) -> None:
        self.folder = folder
        self.record = record
        self.launches = launches
        self.templates = templates
        self.selftest_builds = selftest_builds
        self.seen = seen
        self.shared: dict[tuple[str, str], SharedGuest] = {}
        self.configs = {
            name: fragments.parse_config(build.config.read_text(encoding="utf-8"))
            for name, build in builds.items()
        }
        self.places = MemoryQuota(record.lab.postmortem, self._readable(), self._with_memory())

    def _with_memory(self) -> list[Cell]:
        """The cells of a run that is resumed whose memory was kept before."""
        return [one for one in self.seen.cells if memoryfile.of(self.folder, one.id).exists()]

    def _readable(self) -> frozenset[str]:
        """The kernels with debug info."""
        return frozenset(
            name for name, config in self.configs.items() if config.get("DEBUG_INFO", "n") != "n"
        )

    async def run_all(self, cells: Sequence[Cell], jobs: int, remaining: Remaining) -> None:
        """Run every cell; an interruption ends those that run and starts no other."""
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        log.info(f"{len(cells)} cells, {jobs} at a time, accelerator {self.record.accelerator}")
        line = _CellQueue(ahead(jobs))
        slots = _Slots(jobs)
        with cell_progress(len(cells), remaining) as progress:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._start_all(cells, line, jobs))
                    for _ in range(jobs):
                        group.create_task(self._work(line, slots, progress))
            finally:
                await line.clear()
                for guest in self.shared.values():
                    await guest.close()

    async def _start_all(self, cells: Sequence[Cell], line: _CellQueue, jobs: int) -> None:
        idle_cpu = jobs < len(os.sched_getaffinity(0))
        for wanted in cells:
            await line.reserve()
            line.add(await self._get_ready(wanted, warms_up=idle_cpu))
        for _ in range(jobs):
            line.close()

    async def _work(self, line: _CellQueue, slots: _Slots, progress: CellProgress) -> None:
        """Carry out one cell after the other; the last one's guest ends beside the next."""
        ending: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as endings:
            while (taken := await line.take()) is not None:
                async with slots.held_by(taken):
                    await self._carry_out(taken)
                if ending is not None:
                    await ending
                ending = endings.create_task(self._end(taken, progress))

    async def _end(self, taken: _QueuedCell, progress: CellProgress) -> None:
        if taken.started is not None:
            await taken.started.aclose()
        self._finish(taken.cell, progress)

    async def _carry_out(self, taken: _QueuedCell) -> None:
        if taken.started is not None:
            await taken.started.carry_out()
        elif taken.setup is not None and taken.cell.guest.isolation is Isolation.SHARED:
            key = (taken.cell.kernel, taken.cell.place)
            shared = self.shared.setdefault(key, SharedGuest())
            await shared.run(*self._what(taken.cell, taken.setup))
        elif taken.setup is not None:
            await cell.run(*self._what(taken.cell, taken.setup))

    async def _get_ready(self, wanted: Cell, *, warms_up: bool) -> _QueuedCell:
        """What a cell runs on, and its guest if that is a clone, which costs little."""
        folder = self.folder.cell(wanted)
        boot = self.launches.of(wanted)
        if skip := wanted.skip or self._lacks(wanted):
            cell.skip(wanted, folder, skip)
            return _QueuedCell(wanted)
        if error := self.selftest_builds.error(wanted):
            cell.not_built(wanted, folder, error)
            return _QueuedCell(wanted)
        self._write_reproduce(wanted, boot)
        setup = self.templates.setup(wanted, boot)
        if isinstance(setup, BootFailed):
            cell.not_booted(folder, setup.folder)
            return _QueuedCell(wanted)
        setup = dataclasses.replace(
            setup,
            keep=self.places.keep(wanted),
            expected=self.selftest_builds.expected(wanted),
            warms_up=warms_up,
        )
        if setup.template is None:
            return _QueuedCell(wanted, setup)
        if skip := setup.template.result.lacks(wanted.testcase.requires.files):
            cell.skip(wanted, folder, skip)
            return _QueuedCell(wanted)
        return _QueuedCell(wanted, setup, await cell.start(*self._what(wanted, setup)))

    def _what(self, wanted: Cell, setup: CellSetup) -> tuple[Cell, CellSetup, Path, str]:
        program = host.program_path(wanted.guest, wanted.testcase)
        return wanted, setup, self.folder.cell(wanted), program

    def _finish(self, wanted: Cell, progress: CellProgress) -> None:
        seen = self.seen.observations[wanted.id] = observe_cell(self.folder, wanted)
        judgement = judge(wanted, seen, self.record.lab.expectations, self.record.allowlist)
        self.folder.journal(
            "cell", cell=wanted.id, outcome=judgement.outcome, verdict=judgement.verdict
        )
        self._drop_expected(wanted, judgement)
        progress.finished(CellResult(wanted, seen, judgement))

    def _drop_expected(self, wanted: Cell, judgement: Judgement) -> None:
        """A known failure takes no place from a failure that nobody knows, unless asked to."""
        keep = self.places.keep(wanted)
        if keep is not None and judgement.as_expected and not self.record.lab.postmortem.asked:
            path = memoryfile.of(self.folder, wanted.id)
            if path.exists():
                path.unlink()
                keep.give_back()

    def _lacks(self, wanted: Cell) -> str:
        config = self.configs[wanted.kernel]
        for symbol in wanted.testcase.requires.config:
            if config.get(symbol, "n") == "n":
                return f"needs CONFIG_{symbol}, which this kernel does not have"
        return host.lacks(wanted.guest, config) or self.selftest_builds.missing(wanted)

    def _write_reproduce(self, wanted: Cell, boot: Launch) -> None:
        terms = (
            f"guest={wanted.guest.name},"
            f"settings={wanted.settings.name},testcase={wanted.testcase.name}"
        )
        if wanted.device:
            terms += f",device={wanted.device}"
        if self.record.comparison is None:  # an A/B of one side compares nothing
            terms = f"kernel={wanted.kernel},{terms}"
        again = [*self.record.command, "--filter", terms]
        bare = host.reproduce(wanted.guest, boot)
        text = (
            "#!/bin/sh\n# SPDX-License-Identifier: GPL-2.0\n"
            f"# The cell {wanted.id}, again:\n{shlex.join(again)}\n\n"
            "# Its guest alone, with the console here and the agent's channel on ./agent.sock\n"
            f"# (docs/protocol.md says how to talk to it):\n# {shlex.join(bare)}\n"
        )
        name = f"{CELLS}/{wanted.id}/reproduce.sh"
        self.folder.write(name, text).chmod(0o755)


def ahead(jobs: int) -> int:
    """How many guests may wait for their turn: one for each that runs, within the free memory."""
    return max(1, min(jobs, available_mb() // 4 // WAITING_MB))


class _Slots:
    """The ``jobs`` slots that cells run in; a wide cell waits until it has all of its own."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._free = asyncio.Semaphore(jobs)
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def held_by(self, taken: _QueuedCell) -> AsyncIterator[None]:
        """As long as the block: none for a cell that has nothing to run."""
        count = width(taken.cell, self._jobs) if taken.setup is not None else 0
        async with self._turn:  # two that have a part each would wait for ever
            for _ in range(count):
                await self._free.acquire()
        try:
            yield
        finally:
            for _ in range(count):
                self._free.release()


class _CellQueue:
    """The cells that wait with their guests started, at most ``ahead`` of them.

    A guest counts from when it begins to be started, so the budget holds while that goes on.
    """

    def __init__(self, ahead: int) -> None:
        self._places = asyncio.Semaphore(ahead)
        self._ready: asyncio.Queue[_QueuedCell | None] = asyncio.Queue()

    async def reserve(self) -> None:
        """Wait for a free place."""
        await self._places.acquire()

    def add(self, following: _QueuedCell) -> None:
        """Take the reserved place."""
        self._ready.put_nowait(following)

    def close(self) -> None:
        """Let one of those who take know that nothing more comes."""
        self._ready.put_nowait(None)

    async def take(self) -> _QueuedCell | None:
        """The next cell, or None behind the last."""
        following = await self._ready.get()
        if following is not None:
            self._places.release()
        return following

    async def clear(self) -> None:
        """End the guests that nobody took."""
        while not self._ready.empty():
            following = self._ready.get_nowait()
            if following is not None and following.started is not None:
                await following.started.aclose()
