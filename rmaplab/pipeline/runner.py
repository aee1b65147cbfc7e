# SPDX-License-Identifier: GPL-2.0
"""Bring a run's cells through: schedule, setup, execution, judgement and journal meet here."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Sequence

from rmaplab.errors import is_fatal
from rmaplab.guest.cellsetup import CellTask
from rmaplab.guest.command import Launch
from rmaplab.guest.notrun import NotBooted, NotRun
from rmaplab.judge import judge
from rmaplab.log import log
from rmaplab.model import Cell, CellResult, Judgement, Observation, Outcome
from rmaplab.pipeline import hosttests, reproduce
from rmaplab.pipeline.evaluate import Observations, observe_cell
from rmaplab.pipeline.executor import Executor, contained
from rmaplab.pipeline.hosttests import HostTask
from rmaplab.pipeline.memory_quota import MemoryQuota
from rmaplab.pipeline.progress import CellProgress, cell_progress
from rmaplab.pipeline.setups import CellSetups
from rmaplab.pipeline.turns import Turn, Turns
from rmaplab.schedule import Remaining
from rmaplab.store import memoryfile
from rmaplab.store.runfolder import CELLS, RunFolder, RunRecord


def to_the_end(work: Coroutine[None, None, None]) -> None:
    """Run a coroutine in a loop of its own; afterwards SIGTERM is handled as it was before.

    A loop that closes leaves the system's handler, which would end the lab without its reports.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        asyncio.run(work)
    finally:
        signal.signal(signal.SIGTERM, before)


class Runner:
    """Run the cells of a run; each is in the journal before the next but one has its turn."""

    def __init__(
        self,
        folder: RunFolder,
        record: RunRecord,
        setups: CellSetups,
        executor: Executor,
        *,
        quota: MemoryQuota,
        seen: Observations,
    ) -> None:
        self._folder = folder
        self._record = record
        self._setups = setups
        self._executor = executor
        self._quota = quota
        self._seen = seen

    async def run_all(self, cells: Sequence[Cell], jobs: int, remaining: Remaining) -> None:
        """Run every cell, in their order; an interruption ends those that run, starts no other.

        Raises what ends a run: an error of the lab's own, or of the disk (``errors.is_fatal``).
        """
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        log.info(f"{len(cells)} cells, {jobs} at a time, accelerator {self._record.accelerator}")
        turns = Turns(jobs, self._executor.ahead)
        with cell_progress(len(cells), remaining) as progress:
            try:
                async with asyncio.TaskGroup() as group:
                    for cell in cells:
                        turn = await turns.hand_out(cell)
                        group.create_task(self._run(cell, turn, progress))
            finally:
                await self._executor.close()

    async def _run(self, cell: Cell, turn: Turn, progress: CellProgress) -> None:
        """Bring one cell through."""
        folder = self._folder.cell(cell)
        with contextlib.closing(turn):
            with contained(cell, folder):
                setup = self._setups.of(cell)
                launch = _launch(setup)
                if launch is not None or isinstance(setup, HostTask):
                    self._write_reproduce(cell, launch)
                if isinstance(setup, CellTask):
                    await self._executor.execute(setup, folder, turn)
                elif isinstance(setup, HostTask):
                    await hosttests.carry_out(setup, folder, turn)
                else:
                    setup.leave(folder)
            self._finish(cell, progress)

    def _finish(self, cell: Cell, progress: CellProgress) -> None:
        """Judge a cell by its evidence and journal it, once the evidence is on the disk."""
        try:
            result = self._judged(cell)
            self._seen.observations[cell.id] = result.observation
        except Exception as error:
            if is_fatal(error):
                raise
            # It is judged again when the run is over, from its evidence.
            result = self._not_judged(cell, error)
        judgement = result.judgement
        self._folder.journal(
            "cell",
            cell=cell.id,
            outcome=judgement.outcome,
            verdict=judgement.verdict,
            evidence=self._folder.seal(cell.id),
        )
        progress.finished(result)

    def _judged(self, cell: Cell) -> CellResult:
        seen = observe_cell(self._folder, cell)
        judgement = self._judgement(cell, seen)
        memory = memoryfile.of(self._folder, cell.id)
        if memory.exists() and not self._quota.charge(cell, as_expected=judgement.as_expected):
            memory.unlink()
            seen = observe_cell(self._folder, cell)
        return CellResult(cell, seen, judgement)

    def _not_judged(self, cell: Cell, error: Exception) -> CellResult:
        said = f"it could not be judged: {type(error).__name__}: {error}"
        log.warn(f"{cell.id}: {said}")
        seen = Observation(ended=Outcome.INFRA, detail=said)
        return CellResult(cell, seen, self._judgement(cell, seen))

    def _judgement(self, cell: Cell, seen: Observation) -> Judgement:
        return judge(cell, seen, self._record.expectations, self._record.allowlist)

    def _write_reproduce(self, cell: Cell, launch: Launch | None) -> None:
        text = reproduce.script(self._record, cell, launch)
        self._folder.write(f"{CELLS}/{cell.id}/reproduce.sh", text).chmod(0o755)


def _launch(setup: CellTask | HostTask | NotRun) -> Launch | None:
    """Return how a cell's guest is started, None for a cell that starts none."""
    if isinstance(setup, CellTask):
        return setup.setup.launch
    return setup.launch if isinstance(setup, NotBooted) else None
