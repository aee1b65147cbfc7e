# SPDX-License-Identifier: GPL-2.0
"""The verb that looks into the memory of a guest that is gone."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from rmaplab.build import sandbox
from rmaplab.errors import UserError
from rmaplab.log import log
from rmaplab.pipeline import postrun
from rmaplab.pipeline.postrun import SavedDump
from rmaplab.store.cache import Cache


@click.command("inspect")
@click.argument("cell")
@click.option(
    "--run", "run", type=click.Path(path_type=Path), metavar="FOLDER",
    help="The run's folder. Default: the latest below reports/ that has the cell.",
)  # fmt: skip
@click.option("--report", is_flag=True, help="Print the report anew instead of opening drgn.")
@click.option(
    "--script", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
    help="Run a drgn script on the memory instead of opening drgn.",
)  # fmt: skip
@click.argument("words", nargs=-1)
def inspect_(
    *, cell: str, run: Path | None, report: bool, script: Path | None, words: tuple[str, ...]
) -> int:
    """Look with drgn into the memory that was kept of a cell's guest.

    CELL is the cell's id, or the path of its folder; WORDS are for the script. Needs a kernel that
    was built with the fragment debuginfo.
    """
    if report and script:
        raise UserError("--report and --script are two ways to look: leave one out")
    remains = postrun.find(cell, run, Cache())
    if not (report or script) and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError(
            "inspect needs a terminal for drgn",
            hint="without one: --report for the report, --script FILE for a script of yours",
        )
    if report:
        log.say(postrun.report(remains.memory, remains.build), end="")
        return 0
    return _drgn(remains, script, words)


def _drgn(remains: SavedDump, script: Path | None, words: tuple[str, ...]) -> int:
    vmlinux = postrun.vmlinux_for(remains.build)
    postrun.require_drgn()
    if script is None:
        log.info(f"{remains.memory}, kernel {vmlinux}; Ctrl-d ends drgn")
    more = [str(script.absolute()), *words] if script is not None else []
    with postrun.unpacked(remains.memory) as dump:
        argv = [sys.executable, "-m", "drgn", "-q", "-c", str(dump), "-s", str(vmlinux), *more]
        files = [dump, vmlinux, *([script] if script is not None else [])]
        with _interrupts_are_drgns():
            return sandbox.foreground(argv, files)


@contextlib.contextmanager
def _interrupts_are_drgns() -> Iterator[None]:
    """Leave Ctrl-C to drgn, which shares the terminal, while the lab waits for drgn's end."""

    def pass_over(_number: int, _frame: object) -> None:
        """Do nothing. An ignored signal would be inherited by drgn, a handled one is not."""

    before = signal.signal(signal.SIGINT, pass_over)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


VERBS = (inspect_,)
