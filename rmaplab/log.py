# SPDX-License-Identifier: GPL-2.0
"""Write to the terminal: progress to standard error, results to standard output.

``--format json`` stays clean that way. On a terminal rich draws; elsewhere the lines are plain, as
a CI log wants them. This is the one module that writes to either stream, so that no control
character of a guest's or a patch's reaches the terminal.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import IO, Any, TextIO, cast

from rich.console import Console
from rich.text import Text
from rich.theme import Theme

from rmaplab.folds import Folds
from rmaplab.text import printable, printable_lines

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

    wrote = 0.0
    """When something was written last, by the monotonic clock."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does, and note when."""
        super().print(*objects, **options)
        self.wrote = time.monotonic()

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


class JobStream(io.TextIOBase):
    """A job's log: whole lines, in which the runner finds no command but the lab's own."""

    def __init__(self, stream: TextIO, folds: Folds) -> None:
        self._stream = stream
        self._folds = folds
        self._line = ""
        self._lock = threading.Lock()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the log."""
        return self._stream.encoding

    def fileno(self) -> int:
        """Return the descriptor of the log."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write the lines that are whole, and hold the last one until it is."""
        with self._lock:
            whole, newline, self._line = (self._line + text).rpartition("\n")
            self._stream.write(self._folds.harmless(whole + newline))
        return len(text)

    def flush(self) -> None:
        """Bring the whole lines to the log."""
        self._stream.flush()

    def command(self, text: str) -> None:
        """Write a command to the runner, which begins a line."""
        if self._line:
            self.write("\n")
        with self._lock:
            self._stream.write(text)
            self._stream.flush()

    def finish(self) -> None:
        """Write the line that was held."""
        if self._line:
            self.write("\n")
        self.flush()


def _console(color: str, *, stderr: bool, file: IO[str] | None = None) -> SafeConsole:
    # NO_COLOR speaks of what nobody asked for by an option (https://no-color.org).
    plain = color == "never" or (color == "auto" and bool(os.environ.get("NO_COLOR")))
    console = SafeConsole(
        stderr=stderr,
        file=file,
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
        self._job: JobStream | None = None
        self._folds = Folds.NONE
        self._folded = 0
        self._is_folding = False
        self._is_beating = False
        self._steps: list[tuple[str, float]] = []
        self.progress: Callable[[], str] = str
        """Says how far the step is that runs; an empty string if nothing is known."""

    def configure(self, *, color: str, verbose: int) -> None:
        """Set colour (``auto``, ``always``, ``never``) and verbosity (0 quiet, 1, 2)."""
        self.verbose = verbose
        self._job, self._folds = None, Folds.NONE
        self.stderr = _console(color, stderr=True)
        self.stdout = _console(color, stderr=False)

    def begin_job(self, folds: Folds) -> None:
        """Write all to standard output from now on, as the log of a CI job."""
        self._job, self._folds, self._folded = JobStream(sys.stdout, folds), folds, 0
        console = _console("never", stderr=False, file=cast("IO[str]", self._job))
        self.stdout = self.stderr = console

    def finish(self) -> None:
        """Write what is held of a job's log, at the end of the command."""
        if self._job is not None:
            self._job.finish()

    def command(self, text: str) -> None:
        """Write a command to the runner of a CI job; to anybody else nothing."""
        if self._job is not None:
            self._job.command(text)

    @contextlib.contextmanager
    def fold(self, title: str) -> Iterator[None]:
        """Put what is written in the block into a section that folds, where a log has such."""
        if self._is_folding:
            yield
            return
        self._folded += 1
        number = self._folded
        self._is_folding = True
        self.command(self._folds.begin(printable(title), number, int(time.time())))
        try:
            yield
        finally:
            self.command(self._folds.end(number, int(time.time())))
            self._is_folding = False

    @contextlib.contextmanager
    def heartbeat(self, seconds: float) -> Iterator[None]:
        """Write a line whenever nothing was written for so long in the block; none on a terminal.

        Whoever reads the log of a job sees that it lives, and what it does.
        """
        if self.stderr.is_terminal or self._is_beating:
            yield
            return
        over = threading.Event()
        beat = threading.Thread(target=self._beat, args=(over, seconds), daemon=True)
        self._is_beating = True
        beat.start()
        try:
            yield
        finally:
            over.set()
            beat.join()
            self._is_beating = False

    def _beat(self, over: threading.Event, seconds: float) -> None:
        began = time.monotonic()
        left = seconds
        while not over.wait(left):
            quiet = time.monotonic() - max(self.stderr.wrote, self.stdout.wrote, began)
            left = seconds - quiet
            if left <= 0:
                self.info(self._life_sign(began))
                left = seconds

    def _life_sign(self, began: float) -> str:
        """Return what the lab is doing, how far it is, and since when."""
        title, since = self._steps[-1] if self._steps else ("at work", began)
        parts = [f"still {title}", self.progress(), f"{time.monotonic() - since:.0f} s"]
        return ", ".join(filter(None, parts))

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
        entry = (title, began)
        self._steps.append(entry)
        try:
            yield
        finally:
            _depth.set(outer)
            self._steps.remove(entry)
        self.info(f"{title}: {time.monotonic() - began:.1f} s")


log = _Log()
