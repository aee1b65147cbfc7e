# SPDX-License-Identifier: GPL-2.0
"""A second executor: each cell in a process of its own, from JSON, as a remote one would."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from rmaplab.guest.cellsetup import CellTask
from rmaplab.guest.isolation import Turn

ROOT = Path(__file__).resolve().parent.parent.parent
CARRY_OUT = """\
import asyncio, sys
from pathlib import Path
from rmaplab.guest import cell
from rmaplab.guest.cellsetup import CellTask

task = CellTask.from_json(sys.stdin.buffer.read())
asyncio.run(cell.run(task.cell, task.setup, Path(sys.argv[1]), task.program))
"""
"""The program of such a process: its argument is the folder, its standard input the task."""


class ProcessExecutor:
    """Run ``program`` for each cell; it shares nothing with this process but the cell's folder."""

    def __init__(self, jobs: int, program: str = CARRY_OUT) -> None:
        self._ahead = jobs
        self._program = program
        self.done: list[str] = []
        """The cells that were carried out, by id."""

    @property
    def ahead(self) -> int:
        return self._ahead

    async def execute(self, task: CellTask, folder: Path, turn: Turn) -> None:
        words = (sys.executable, "-c", self._program, str(folder))
        async with turn:
            child = await asyncio.create_subprocess_exec(
                *words, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
            try:
                _, said = await child.communicate(task.to_json())
            finally:
                if child.returncode is None:
                    child.kill()
                    await child.wait()
        if child.returncode:
            raise RuntimeError(said.decode("utf-8", "replace").splitlines()[-1])
        self.done.append(task.cell.id)

    async def close(self) -> None:
        pass
