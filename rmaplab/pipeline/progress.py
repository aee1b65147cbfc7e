# SPDX-License-Identifier: GPL-2.0
"""Show how far a run is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from rmaplab.log import log
from rmaplab.model import CellResult, Verdict
from rmaplab.report.duration import duration
from rmaplab.schedule import Remaining
from rmaplab.text import printable


class CellProgress:
    """Count and show finished cells; ``finished`` is called once for each."""

    def __init__(self, total: int, remaining: Remaining, bar: Progress | None) -> None:
        self._total = total
        self._remaining = remaining
        self._done = 0
        self._unexpected = 0
        self._bar = bar
        self._task = bar.add_task("cells", total=total, bad="", left="") if bar else None
        if bar is not None and self._task is not None:
            bar.update(self._task, left=self._left())

    def finished(self, result: CellResult) -> None:
        """Move the bar; print a line for a cell that is not as expected, without a bar for each."""
        self._done += 1
        self._remaining.finished(result.cell, result.observation.duration_s)
        judgement = result.judgement
        if not judgement.as_expected:
            self._unexpected += 1
        count = f"[{self._done}/{self._total}]"
        cell = f"{result.cell.id} {result.observation.duration_s:.1f} s"
        reason = printable(judgement.reason)[:160]
        if self._bar is None:
            known = " (known)" if judgement.known else ""
            line = f"{count} {judgement.verdict}{known} {cell} {reason}".rstrip()
            log.stderr.print(line, markup=False)
            return
        if not judgement.as_expected or log.verbose:
            style = "bad" if not judgement.as_expected else "good"
            if judgement.verdict is Verdict.SKIP or (judgement.as_expected and judgement.known):
                style = "dim"
            self._bar.console.print(
                f"{escape(count)} [{style}]{judgement.verdict}[/] {escape(cell)} "
                f"[dim]{escape(reason)}[/]"
            )
        assert self._task is not None
        bad = f"[bad]{self._unexpected} unexpected[/]" if self._unexpected else ""
        self._bar.update(self._task, completed=self._done, bad=bad, left=self._left())

    def _left(self) -> str:
        seconds = self._remaining.seconds
        return "" if seconds is None else f"{duration(seconds)} left"


@contextlib.contextmanager
def cell_progress(total: int, remaining: Remaining) -> Iterator[CellProgress]:
    """Yield the view of a run of ``total`` cells, which lasts for the block."""
    if not log.stderr.is_terminal:
        yield CellProgress(total, remaining, None)
        return
    columns = (
        TextColumn("running"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[bad]}"),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=log.stderr, transient=True) as bar:
        yield CellProgress(total, remaining, bar)
