# SPDX-License-Identifier: GPL-2.0
"""Leave the evidence of cells for which no guest is started."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from rmaplab.evidence.ends import EndCause
from rmaplab.evidence.names import TRANSCRIPT
from rmaplab.guest.command import Launch
from rmaplab.guest.transcript import Transcript
from rmaplab.model import Cell


@dataclass(frozen=True, slots=True)
class Skip:
    """Say why a cell cannot run on its kernel or guest."""

    cell: Cell
    reason: str

    def leave(self, folder: Path) -> None:
        """Write the transcript of a skipped cell."""
        _write(self.cell, folder, self.reason, "skip", reason=self.reason)


@dataclass(frozen=True, slots=True)
class NotBuilt:
    """Say what the compiler said of a cell's program, which is not there therefore."""

    cell: Cell
    error: str

    def leave(self, folder: Path) -> None:
        """Write the transcript of a cell without a program."""
        _write(self.cell, folder, self.error, "not-built", error=self.error)


@dataclass(frozen=True, slots=True)
class NotBooted:
    """Say that the guest of a cell's template does not boot.

    ``evidence`` is the folder of that boot, ``launch`` how the guest was started.
    """

    cell: Cell
    evidence: Path
    launch: Launch

    def leave(self, folder: Path) -> None:
        """Copy the boot's evidence: it is the cell's."""
        for path in self.evidence.iterdir():
            shutil.copy2(path, folder / path.name)


NotRun = Skip | NotBuilt | NotBooted


def _write(cell: Cell, folder: Path, detail: str, event: str, **facts: str) -> None:
    with Transcript(folder / TRANSCRIPT) as transcript:
        transcript.say("lab", "cell", cell=cell.id)
        transcript.say("lab", event, **facts)
        transcript.say("lab", "end", how=str(EndCause.NOT_RUN), detail=detail)
