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

_THEME = Theme({"good": "green", "bad": "bold red", "odd": "yellow", "dim": "dim"})


class _Log:
    """The process-wide log; one object, so that ``--color`` and ``-v`` take effect everywhere."""

    def __init__(self) -> None:
        self.verbose = 0
        self.stderr = Console(stderr=True, theme=_THEME, highlight=False, soft_wrap=True)
        self.stdout = Console(theme=_THEME, highlight=False, soft_wrap=True)
        self._depth = 0

    def configure(self, *, color: str, verbose: int) -> None:
        """Set colour (``auto``, ``always``, ``never``) and verbosity (0 quiet, 1, 2)."""
        force = {"always": True, "never": False}.get(color)
        plain = color == "never"
        self.verbose = verbose
        self.stderr = Console(
            stderr=True, theme=_THEME, highlight=False, soft_wrap=True,
            force_terminal=force, no_color=plain,
        )  # fmt: skip
        self.stdout = Console(
            theme=_THEME, highlight=False, soft_wrap=True, force_terminal=force, no_color=plain
        )

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
