# SPDX-License-Identifier: GPL-2.0
"""The verb of a CI job: the A/B of a merge request, with reports whatever happens."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import click

from rmaplab.cli.options import RunOptions, ci_options
from rmaplab.cli.runs import builder, program, show
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import UserError
from rmaplab.log import log
from rmaplab.pipeline import ci as job_pipeline
from rmaplab.pipeline import mergerequest, platforms
from rmaplab.pipeline import run as run_pipeline
from rmaplab.pipeline.ci import Job
from rmaplab.pipeline.platforms import Refs


@click.command()
@click.option(
    "--base", default="", metavar="COMMIT",
    help="A commit of the branch that the change is for. Default: what the platform says.",
)  # fmt: skip
@click.option(
    "--head", default="", metavar="COMMIT",
    help="The last commit of the change. Default: what the platform says, else HEAD.",
)  # fmt: skip
@click.option(
    "--repo", type=click.Path(path_type=Path), metavar="DIR",
    help="The kernel's repository. Default: where the platform checked out, else this folder.",
)  # fmt: skip
@click.option(
    "--heartbeat", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True,
    metavar="MINUTES", help="Print a line when nothing was printed for so long.",
)  # fmt: skip
@ci_options("base", "head", "repo", "heartbeat")
def ci(options: RunOptions, *, base: str, head: str, repo: Path | None, heartbeat: float) -> int:
    """Compare base and head of a merge request, as a CI job.

    What is compared is the platform's word (GitHub Actions, GitLab CI, Jenkins), or --base and
    --head; a series from elsewhere is --series, and --tree what it is on. The reports are in one
    folder, --output, from the first moment; what an earlier job left there is removed.
    """
    platform = platforms.detect(os.environ)
    log.begin_job(platform.folds)
    with log.heartbeat(heartbeat * 60):
        job = job_pipeline.claim(options.output, options.lab.stem, platform)
        with job.reporting():
            if not options.options.series:
                options = _with_change(options, job, Refs((base,) if base else (), head), repo)
            elif base or head or repo:
                raise UserError("--series names what is compared: leave out --base, --head, --repo")
            catalogue = Catalogue()
            asked = options.request(options.read(catalogue), _command(options))
            asked = dataclasses.replace(asked, folder=job.folder)
            evaluation = run_pipeline.run(asked, builder(catalogue, 0))
            code = show(evaluation, "text")
            job.publish(evaluation)
    return code


def _with_change(options: RunOptions, job: Job, refs: Refs, repo: Path | None) -> RunOptions:
    """Return the options with the merge request as tree and series. Raises UserError."""
    if options.options.tree:
        raise UserError("--tree goes with --series; a change is on its own repository's tree")
    platform = job.platform
    found = Refs(
        refs.bases or platform.refs.bases,
        refs.head or platform.refs.head or "HEAD",
        0 if refs.bases or refs.head else platform.refs.length,
    )
    if not found.bases:
        named = f"{platform.name} names none" if platform.name else "no CI platform is known here"
        raise UserError(
            f"there is no commit to compare with: {named}",
            hint="name one with --base, or a series with --series",
        )
    change = mergerequest.find(_short(repo or Path(platform.workspace)), found, platform, job.path)
    log.info(f"{platform.name or 'a change'}: {change.said}")
    of_lab = dataclasses.replace(options.options, series=change.series, tree=change.tree)
    return dataclasses.replace(options, options=of_lab)


def _short(place: Path) -> Path:
    """Return a folder relative to this one if it is below: reproduce.sh then works elsewhere."""
    whole = place.expanduser().resolve()
    here = Path.cwd()
    return whole.relative_to(here) if whole.is_relative_to(here) else whole


def _command(options: RunOptions) -> tuple[str, ...]:
    """Return the command that compares the same by hand, without the platform."""
    of_lab = options.options
    words = [program(), "ab", str(options.lab)]
    words += ["--tree", of_lab.tree] if of_lab.tree else []
    words += [word for one in (of_lab.series, *of_lab.stacked) for word in ("--series", one)]
    words += [word for one in of_lab.accept for word in ("--accept", one)]
    words += [word for one in of_lab.config for word in ("--config", one)]
    words += ["--exact"] if of_lab.exact else []
    words += ["--no-audit"] if of_lab.no_audit else []
    words += ["--no-ledger"] if of_lab.no_ledger else []
    words += ["--repeat", str(of_lab.repeat)] if of_lab.repeat else []
    words += ["--postmortem", str(of_lab.memories)] if of_lab.memories is not None else []
    words += ["--accel", options.accel] if options.accel != "auto" else []
    return tuple(words)


VERBS = (ci,)
