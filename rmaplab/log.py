# SPDX-License-Identifier: GPL-2.0
"""Write to the terminal: progress to standard error, results to standard output.

``--format json`` stays clean that way. On a terminal rich draws; elsewhere the lines are plain, as
a CI log wants them. This is the one module that writes to either stream, so that no control
character of a guest's or a patch's reaches the terminal.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from rich.console import Console
from rich.text import Text
from rich.theme import Theme

from rmaplab.text import printable_lines

# Where there is no terminal to ask, such as in a CI job's log.
_PLAIN_WIDTH = 140

_THEME = Theme({"good": "green", "bad": "bold red", "odd": "yellow", "dim": "dim"})

# Each thread and each asyncio task has its own: two steps at once do not indent each other.
_depth: ContextVar[int] = ContextVar("depth", default=0)


class SafeConsole(Console):
    """A console that shows control characters as escapes, in tables as well as in lines.

    rich turns every str into a Text here, and what it writes itself (colours, the cursor of a
    progress bar) does not come this way.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a str as rich's Text, its control characters as escapes."""
        return super().render_str(printable_lines(text), **options)

    def on_broken_pipe(self) -> None:
        """Write nothing more to a pipe that its reader has closed.

        rich would end the process with status 1, which is a regression's.
        """
        self.quiet = True
        stream = self.file
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _console(color: str, *, stderr: bool) -> SafeConsole:
    # NO_COLOR speaks of what nobody asked for by an option (https://no-color.org).
    plain = color == "never" or (color == "auto" and bool(os.environ.get("NO_COLOR")))
    console = SafeConsole(
        stderr=stderr,
        theme=_THEME,
        highlight=False,
        emoji=False,  # a kernel's ":warning:" is none
        soft_wrap=True,
        force_terminal=True if color == "always" else None,
        no_color=plain,
        color_system=None if plain else "auto",  # else bold and dim would stay
    )
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _width_beside()
    return console


def _width_beside() -> int:
    """Return the width of a pipe: of the terminal that its reader may have, else a log's."""
    for stream in (sys.__stderr__, sys.__stdin__):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            return os.get_terminal_size(stream.fileno()).columns  # type: ignore[union-attr]
    return _PLAIN_WIDTH


class _Log:
    """The process-wide log; one object, so that ``--color`` and ``-v`` take effect everywhere."""

    def __init__(self) -> None:
        self.verbose = 0
        self.stderr = _console("auto", stderr=True)
        self.stdout = _console("auto", stderr=False)

    def configure(self, *, color: str, verbose: int) -> None:
        """Set colour (``auto``, ``always``, ``never``) and verbosity (0 quiet, 1, 2)."""
        self.verbose = verbose
        self.stderr = _console(color, stderr=True)
        self.stdout = _console(color, stderr=False)

    def info(self, text: str) -> None:
        """Write one line of progress."""
        self._line(text)

    def detail(self, text: str) -> None:
        """Write a line that only ``-v`` shows."""
        if self.verbose:
            self._line(text, "dim")

    def warn(self, text: str) -> None:
        """Write a line that needs attention but stops nothing."""
        self._line(text, mark=("warning:", "odd"))

    def error(self, text: str) -> None:
        """Write why the command ends."""
        self._line(text, mark=("error:", "bad"), depth=0)

    def _line(
        self,
        text: str,
        style: str = "",
        *,
        mark: tuple[str, str] | None = None,
        depth: int | None = None,
    ) -> None:
        line = Text("  " * (_depth.get() if depth is None else depth))
        if mark is not None:
            line.append(*mark).append(" ")
        self.stderr.print(line.append(printable_lines(text), style))

    def say(self, text: str, *, end: str = "\n") -> None:
        """Write plain text to standard output."""
        self.stdout.print(text, markup=False, end=end)

    def json(self, text: str) -> None:
        """Write a text for a program to standard output, neither folded nor coloured."""
        try:
            self.stdout.file.write(printable_lines(text))
            self.stdout.file.flush()
        except BrokenPipeError:
            self.stdout.on_broken_pipe()

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Write the title of a step when it begins, its seconds when it has ended well."""
        self.info(f"{title} ...")
        began = time.monotonic()
        outer = _depth.get()
        _depth.set(outer + 1)
        try:
            yield
        finally:
            _depth.set(outer)
        self.info(f"{title}: {time.monotonic() - began:.1f} s")


log = _Log()
