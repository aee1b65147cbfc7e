# SPDX-License-Identifier: GPL-2.0
"""The verb that compares runs of several kernel trees."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rmaplab.log import log
from rmaplab.pipeline import trees as pipeline
from rmaplab.report import trees as report
from rmaplab.store.cache import Cache


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text",
    show_default=True, help="Text for people, JSON for programs, Markdown for a page.",
)  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="Show testcases that went alike, too.")
def trees(runs: tuple[Path, ...], form: str, everything: bool) -> None:
    """Compare runs on several trees, and name the coverage that was lost.

    A skip of what passes on another tree is lost coverage. It also says where Kconfig chose
    otherwise for the trees, of what the lab does not request.
    """
    found = pipeline.of_runs(runs)
    drift = pipeline.drift_of(runs, Cache())
    if form == "json":
        log.json(json.dumps(report.facts(found, drift), indent=1) + "\n")
    elif form == "markdown":
        log.json(report.markdown(found, drift))
    else:
        report.show(found, drift, everything=everything)


VERBS = (trees,)
