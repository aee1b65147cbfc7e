# SPDX-License-Identifier: GPL-2.0
"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from rmaplab.log import log
from rmaplab.selection import SAMPLES

F = TypeVar("F", bound=Callable[..., Any])

lab_argument = click.argument("lab", type=click.Path(path_type=Path))
run_argument = click.argument("run", type=click.Path(path_type=Path))
format_option = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="Text for people, JSON for programs.",
)  # fmt: skip
tree_option = click.option(
    "--tree", default="", metavar="TREE",
    help="Use this kernel source for every kernel of the lab: debian:PACKAGE, git:REPO#REF, "
    "dir:PATH or tar:PLACE#sha256=HEX.",
)  # fmt: skip
filter_option = click.option(
    "--filter", "expression", default="", metavar="EXPR",
    help="Only these cells, e.g. 'testcase=migrate/*,guest=q35' (kernel, guest, settings, device, "
    "testcase; alternatives with |).",
)  # fmt: skip
sample_option = click.option(
    "--sample", type=click.Choice(SAMPLES), callback=lambda _context, _option, kind: kind or "",
    help="A quick look: few of the cells, in which each pair of guest, settings, device, testcase "
    "and kernel still occurs.",
)  # fmt: skip
repeat_option = click.option(
    "--repeat", type=click.IntRange(1, 10000), help="Repeats of each cell, whatever the lab says."
)
ledger_option = click.option(
    "--no-ledger", is_flag=True, help="Do not check that what was taken was given back."
)
exact_option = click.option(
    "--exact", is_flag=True,
    help="Count guest instructions (QEMU's -icount) instead of seconds. "
    "Needs guests with one vCPU; runs on TCG.",
)  # fmt: skip
jobs_option = click.option(
    "--jobs", type=click.IntRange(min=0), default=0, metavar="N",
    help="Guests, or compilers, at once. Default: by cores and memory.",
)  # fmt: skip


accel_option = click.option(
    "--accel", type=click.Choice(["auto", "kvm", "tcg"]), default="auto",
    show_default=True, help="auto takes KVM where a probe saw it run a guest.",
)  # fmt: skip


def _set_verbosity(_context: click.Context, _option: click.Parameter, count: int) -> None:
    log.verbose = max(log.verbose, count)


def _set_color(_context: click.Context, _option: click.Parameter, color: str | None) -> None:
    if color:
        log.configure(color=color, verbose=log.verbose)


def common_options() -> list[click.Option]:
    """Make ``-v`` and ``--color``, which work before and after the verb."""
    return [
        click.Option(
            ["-v", "--verbose"], count=True, expose_value=False, callback=_set_verbosity,
            help="Say more.",
        ),
        click.Option(
            ["--color"], type=click.Choice(["auto", "always", "never"]), expose_value=False,
            callback=_set_color, help="Colour and live view; auto by default.",
        ),
    ]  # fmt: skip


def run_options(function: F) -> F:
    """Add the options of a verb that runs cells."""
    for option in (
        accel_option,
        click.option(
            "--output", type=click.Path(path_type=Path, file_okay=False), default=Path("reports"),
            show_default=True, help="Where the run's folder goes.",
        ),
        click.option(
            "--no-audit", is_flag=True, help="Do not recount the reverse map from outside."
        ),
        ledger_option,
        click.option(
            "--postmortem", type=click.IntRange(0, 1000), metavar="N",
            help="Keep the memory of the first N guests that complain, hang or die, whatever the "
            "lab says; 0 for none.",
        ),
        repeat_option, exact_option, jobs_option, filter_option, sample_option, tree_option,
        format_option,
    ):  # fmt: skip
        function = option(function)
    return function
