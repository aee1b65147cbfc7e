# SPDX-License-Identifier: GPL-2.0
"""The verb for a person: a shell on a lab's kernel."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from rmaplab.cli.options import accel_option, jobs_option, lab_argument, tree_option
from rmaplab.cli.runs import builder
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import UserError
from rmaplab.model import Kernel, Lab, LabOptions
from rmaplab.pipeline import labs
from rmaplab.pipeline import shell as shell_pipeline
from rmaplab.store import inuse
from rmaplab.text import near_miss


@click.command()
@lab_argument
@click.option(
    "--kernel", default="", metavar="NAME", help="A kernel of the lab. Default: its first."
)
@click.option("--guest", default="virtme", show_default=True, help="The profile for the machine.")
@click.option("--series", default="", help="Put this series on the kernel first.")
@accel_option
@tree_option
@jobs_option
def shell(
    *, lab: Path, kernel: str, guest: str, series: str, accel: str, tree: str, jobs: int
) -> int:
    """Open a shell on the host's userspace under a lab's kernel.

    Everything written to disk is lost when it ends: the guest sees the host's files read-only, with
    a layer of memory over /etc, /usr, /home and /tmp. Ends with `exit` or Ctrl-a x.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError(
            "shell needs a terminal for its input and output",
            hint="without one, write a testcase that requires the host's userspace, and run it",
        )
    catalogue = Catalogue()
    profile = catalogue.guests.get(guest)
    if profile is None:
        raise UserError(f"unknown guest {guest!r}{near_miss(guest, catalogue.guests)}")
    wanted = _kernel(labs.read(lab, catalogue, LabOptions(tree=tree)), kernel)
    if series:
        wanted = replace(wanted, series=series)
    shop = builder(catalogue, jobs)
    with inuse.shared(shop.cache):
        return shell_pipeline.run(wanted, profile, shop, accel, os.get_terminal_size())


def _kernel(lab: Lab, name: str) -> Kernel:
    kernels = {kernel.name: kernel for kernel in lab.kernels}
    if not name:
        return lab.kernels[0]
    if name not in kernels:
        raise UserError(f"unknown kernel {name!r}{near_miss(name, kernels)}")
    return kernels[name]


VERBS = (shell,)
