# SPDX-License-Identifier: GPL-2.0
"""Show how far make is: objects of how many, by the last build of that kind.

A line on a terminal, which is gone when the build has ended; in a log the sign of life says it. The
count is the Makefiles' word, which nothing but this view believes.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from rich import markup
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from rmaplab.log import log

# kbuild's short lines: two blanks, a word for the tool, the target.
_OBJECT = re.compile(rb"^  [A-Z][A-Z0-9_]* +(?:\[M\] +)?\S+\.o$", re.M)
_LONGEST_LINE = 4096


class BuildProgress:
    """The objects that make has said to make; ``expected`` is how many it may be, 0 if unknown."""

    def __init__(self, expected: int = 0) -> None:
        self.expected = expected
        self.done = 0
        self._line = b""

    def write(self, chunk: bytes) -> None:
        """Count the objects in what make prints."""
        whole, newline, rest = (self._line + chunk).rpartition(b"\n")
        self.done += len(_OBJECT.findall(whole)) if newline else 0
        self._line = rest[-_LONGEST_LINE:]

    @property
    def text(self) -> str:
        """How far it is: ``812 of about 2900 objects``; empty before the first one."""
        if not self.done:
            return ""
        if self.done < self.expected:
            return f"{self.done} of about {self.expected} objects"
        return f"{self.done} object{'s' if self.done > 1 else ''}"

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show the progress while the block runs."""
        log.progress = lambda: self.text
        try:
            if log.stderr.is_terminal:
                with Live(get_renderable=self._line_of_terminal, console=log.stderr,
                          transient=True, refresh_per_second=2):  # fmt: skip
                    yield
            else:
                yield
        finally:
            log.progress = str

    def _line_of_terminal(self) -> Table:
        line = Table.grid(padding=(0, 1))
        total = max(self.expected, self.done) if self.expected else None
        bar = ProgressBar(total, self.done, width=40, pulse=not self.done)
        line.add_row(" ", bar, markup.escape(self.text))
        return line


def expected(builds: Path, kind: str) -> int:
    """Return how many objects the last build of a kind had; 0 if no build of it is kept.

    ``builds`` is the folder that the cache has them in.
    """
    newest, found = 0.0, 0
    for path in builds.glob("[!.]*/build.json"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
            facts = json.loads(path.read_text(encoding="utf-8"))
            made = path.stat().st_mtime
            if facts["kind"] == kind and made > newest:
                newest, found = made, int(facts["objects"])
    return found
