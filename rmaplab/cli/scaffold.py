# SPDX-License-Identifier: GPL-2.0
"""The verb that makes the files that a contributor starts from."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from rmaplab.cli.options import common_options
from rmaplab.cli.runs import program
from rmaplab.config import paths, skeleton
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
    place = paths.place_of_new()
    for path in skeleton.create(name, Catalogue(), place):
        log.stdout.print(str(path), markup=False)
    page = paths.project() / "docs/testcases.md"
    log.stdout.print(f"what to change: {page}", markup=False, soft_wrap=True)
    log.stdout.print("how to run it:", markup=False)
    words = [program(), "run", "configs/rmap.yaml", "--testcase", name]
    if paths.is_only_named(place):
        words += ["--share", str(place)]
    log.stdout.print(f"  {shlex.join(words)}", markup=False, soft_wrap=True)


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


for verb in (testcase, subtests):
    verb.params += common_options()

VERBS = (new,)
