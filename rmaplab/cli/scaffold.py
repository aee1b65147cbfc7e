# SPDX-License-Identifier: GPL-2.0
"""The verb that makes what a contributor starts from."""

from __future__ import annotations

import click

from rmaplab.config import skeleton
from rmaplab.config.catalogue import Catalogue
from rmaplab.log import log


@click.group()
def new() -> None:
    """Make the files of something new."""


@new.command()
@click.argument("name")
def testcase(name: str) -> None:
    """A testcase's C and YAML file, which compile and run; NAME is folder/name."""
    for path in skeleton.create(name, Catalogue()):
        log.stdout.print(str(path), markup=False)
    log.stdout.print("what to change, and how to run it: docs/testcases.md", markup=False)


VERBS = (new,)
