# SPDX-License-Identifier: GPL-2.0
"""The verb that makes the files that a contributor starts from."""

from __future__ import annotations

from pathlib import Path

import click

from rmaplab.config import skeleton
from rmaplab.config import subtests as subtest_lists
from rmaplab.config.catalogue import Catalogue
from rmaplab.log import log
from rmaplab.pipeline import upstream
from rmaplab.store.runfolder import RunFolder


@click.group()
def new() -> None:
    """Make the files of something new."""


@new.command()
@click.argument("name")
def testcase(name: str) -> None:
    """Make a testcase's C and YAML file, which compile and run; NAME is folder/name."""
    for path in skeleton.create(name, Catalogue()):
        log.stdout.print(str(path), markup=False)
    log.stdout.print("what to change, and how to run it: docs/testcases.md", markup=False)


@new.command()
@click.argument("run", type=click.Path(path_type=Path))
def subtests(run: Path) -> None:
    """Write the lists of the subtests that the tree's selftests printed in RUN."""
    recorded = upstream.record(RunFolder.open(run), Catalogue().testcases)
    for path, lists in recorded.lists.items():
        subtest_lists.write(path, lists)
        counts = ", ".join(
            f"{version}: {'exit status' if names is None else len(names)}"
            for version, names in lists.items()
        )
        log.stdout.print(f"{path}  {counts}", markup=False)
    for name, why in recorded.refused.items():
        log.warn(f"no list from {name}: {why}")


VERBS = (new,)
