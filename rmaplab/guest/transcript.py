# SPDX-License-Identifier: GPL-2.0
"""agent.jsonl: everything that was said in a cell, by agent, lab and QEMU, as it came.

One JSON object a line. ``at`` is seconds of host time since the cell began, ``from`` the speaker;
what was said when the cell's template was made has ``"template": true`` and that time's ``at``.
Judging reads this file and the console log alone, so what is not in here did not happen.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any


class Transcript:
    """Writes agent.jsonl, a line at a time, unbuffered, so that a killed lab leaves what it saw."""

    def __init__(self, path: Path) -> None:
        self.folder = path.parent
        """Where the cell's evidence is."""
        self._file = path.open("wb", buffering=0)
        self._began = time.monotonic()

    def __enter__(self) -> Transcript:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def go_on(self, path: Path) -> None:
        """Write to another file from now on: the next cell's, where cells share a guest."""
        self._file.close()
        self.folder = path.parent
        self._file = path.open("wb", buffering=0)
        self._began = time.monotonic()

    def carry_over(self, lines: bytes) -> None:
        """Take over the lines of another transcript, whole and marked as such."""
        self._write(lines)

    def say(self, speaker: str, event: str, **facts: Any) -> None:
        """Note an event of the lab's (``lab``) or QEMU's (``qemu``)."""
        self.note(speaker, {"ev": event, **facts})

    def note(self, speaker: str, message: dict[str, Any]) -> None:
        """Note a message as it came; what it says of time and speaker is not believed."""
        ours = {"at": round(time.monotonic() - self._began, 3), "from": speaker}
        line = json.dumps({**ours, **message, **ours}, ensure_ascii=True)
        self._write(line.encode("ascii") + b"\n")

    def _write(self, lines: bytes) -> None:
        # A write of a raw file may be a short one.
        while lines:
            lines = lines[self._file.write(lines) :]
