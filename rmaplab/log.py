# SPDX-License-Identifier: GPL-2.0
"""What the lab says while it works: timed steps on standard error.

Results go to standard output, progress here, so that ``--format json`` stays clean. On a terminal
rich draws; elsewhere the lines are plain, as a CI log wants them.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.theme import Theme

# Where there is no terminal to ask, such as in a CI job's log.
_PLAIN_WIDTH = 140

_THEME = Theme({"good": "green", "bad": "bold red", "odd": "yellow", "dim": "dim"})


def _console(color: str, *, stderr: bool) -> Console:
    console = Console(
        stderr=stderr,
        theme=_THEME,
        highlight=False,
        soft_wrap=True,
        force_terminal=True if color == "always" else None,
        no_color=color == "never",
    )
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    return console


class _Log:
    """The process-wide log; one object, so that ``--color`` and ``-v`` take effect everywhere."""

    def __init__(self) -> None:
        self.verbose = 0
        self.stderr = _console("auto", stderr=True)
        self.stdout = _console("auto", stderr=False)
        self._depth = 0

    def configure(self, *, color: str, verbose: int) -> None:
        """Set colour (``auto``, ``always``, ``never``) and verbosity (0 quiet, 1, 2)."""
        self.verbose = verbose
        self.stderr = _console(color, stderr=True)
        self.stdout = _console(color, stderr=False)

    def info(self, text: str) -> None:
        """Say one line of progress."""
        self.stderr.print(f"{'  ' * self._depth}{escape(text)}")

    def detail(self, text: str) -> None:
        """Say a line that only ``-v`` shows."""
        if self.verbose:
            self.stderr.print(f"{'  ' * self._depth}[dim]{escape(text)}[/dim]")

    def warn(self, text: str) -> None:
        """Say a line that needs attention but stops nothing."""
        self.stderr.print(f"{'  ' * self._depth}[odd]warning:[/odd] {escape(text)}")

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A timed step: its title when it begins, its duration when it ended well."""
        self.info(f"{title} ...")
        began = time.monotonic()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        self.info(f"{title}: {time.monotonic() - began:.1f} s")


log = _Log()
