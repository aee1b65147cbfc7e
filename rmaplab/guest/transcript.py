# SPDX-License-Identifier: GPL-2.0
"""Write agent.jsonl: everything that was said in a cell, by agent, lab and QEMU, as it came.

One JSON object a line (``evidence.events``). ``at`` is seconds of host time since the cell began,
``from`` the speaker, ``n`` the line's number; what was said when the cell's template was made has
``"template": true`` and that time's ``at``. The last line is ``sealed``. Judging reads this file
and the console log alone, so what is not in here did not happen.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from rmaplab.evidence import events

KEPT_BYTES = 64 << 20
"""An agent that floods its channel fills no disk: what is dropped is counted and said."""


class Transcript:
    """Writes agent.jsonl, a line at a time, unbuffered, so that a killed lab leaves what it saw."""

    def __init__(self, path: Path) -> None:
        self._open(path)

    def _open(self, path: Path) -> None:
        self.folder = path.parent
        """The folder of the cell's evidence."""
        self._file = path.open("wb", buffering=0)
        self._began = time.monotonic()
        self._lines = 0
        self._kept = 0
        self._dropped = 0
        self._sealed = False

    def __enter__(self) -> Transcript:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.seal()
        finally:
            self._file.close()

    def seal(self) -> None:
        """Write the last line; what is said after it is not kept. A second call does nothing."""
        if self._sealed:
            return
        if self._dropped:
            self.say("lab", "transcript-cut", dropped=self._dropped)
        self.say("lab", "sealed")
        self._sealed = True

    def go_on(self, path: Path) -> None:
        """Seal the file and write to another one: the next cell's, where cells share a guest."""
        self.seal()
        self._file.close()
        self._open(path)

    def carry_over(self, lines: bytes) -> None:
        """Take over the lines of a template's prologue, which are numbered from 1 and marked."""
        self._lines += lines.count(b"\n")
        self._write(lines)

    def say(self, speaker: str, event: str, **facts: Any) -> None:
        """Write an event of the lab's (``lab``) or QEMU's (``qemu``).

        Raises KeyError or TypeError for an event of the lab's that ``evidence.events`` does not
        have, or has with other keys.
        """
        if speaker == "lab":
            events.lab_event(event, facts)
        line = json.dumps({"ev": event, **facts})
        if "\\ud" in line:  # maybe a file name that is no UTF-8
            line = json.dumps(_without_surrogates({"ev": event, **facts}))
        self._note(speaker, line.encode("ascii"))

    def hear(self, raw: bytes) -> None:
        """Write a line of the agent's, which ``evidence.events.decode_agent`` has taken."""
        self._note("agent", raw.strip())

    def _note(self, speaker: str, message: bytes) -> None:
        """Write a JSON object behind what the lab says of it."""
        if self._sealed:
            return
        at = round(time.monotonic() - self._began, 3)
        head = b'{"at": %r, "from": "%s", "n": %d, ' % (at, speaker.encode(), self._lines)
        size = len(head) + len(message)
        if speaker != "lab" and self._kept + size > KEPT_BYTES:
            self._dropped += size
            return
        self._lines += 1
        self._write(head + message[1:] + b"\n")

    def _write(self, lines: bytes) -> None:
        self._kept += len(lines)
        # A write of a raw file may be a short one.
        while lines:
            lines = lines[self._file.write(lines) :]


def _without_surrogates(value: Any) -> Any:
    """Return a JSON value in which each lone surrogate is replaced: no decoder takes one."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_without_surrogates(k): _without_surrogates(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(one) for one in value]
    return value
