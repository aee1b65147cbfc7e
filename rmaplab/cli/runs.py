# SPDX-License-Identifier: GPL-2.0
"""The verbs that build kernels and run cells, and the one that shows a saved run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from rmaplab.cli.options import (
    RunOptions,
    ab_options,
    jobs_option,
    lab_argument,
    patchcheck_options,
    report_format_option,
    run_argument,
    run_options,
    tree_option,
)
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import UserError
from rmaplab.log import log
from rmaplab.model import LabOptions
from rmaplab.pipeline import holding, labs
from rmaplab.pipeline import patchcheck as patchcheck_pipeline
from rmaplab.pipeline import run as run_pipeline
from rmaplab.pipeline.evaluate import Evaluation, evaluate, write_reports
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.pipeline.remember import note_marks
from rmaplab.pipeline.run import RunRequest
from rmaplab.report import terminal
from rmaplab.report.formats import FORMATS, FormatOptions
from rmaplab.store import cellfiles, inuse
from rmaplab.store.cache import Cache
from rmaplab.store.runfolder import RunFolder

_NO_OPTIONS = FormatOptions()


def builder(catalogue: Catalogue, jobs: int) -> KernelBuilder:
    """Return what makes kernels, from the options and ``$RMAPLAB_BUILD_LIMIT``.

    Raises UserError if the variable is no number of seconds.
    """
    return KernelBuilder(catalogue, Cache(), jobs or len(os.sched_getaffinity(0)), _step_limit_s())


def _step_limit_s() -> float | None:
    """Return the seconds that a make may take; None if the environment does not say."""
    said = os.environ.get("RMAPLAB_BUILD_LIMIT", "")
    if not said:
        return None
    try:
        limit_s = float(said)
    except ValueError:
        limit_s = 0.0
    if not (0 < limit_s < float("inf")):
        raise UserError(f"RMAPLAB_BUILD_LIMIT={said}: it has to be a number of seconds above 0")
    return limit_s


@click.command()
@lab_argument
@tree_option
@jobs_option
def build(lab: Path, tree: str, jobs: int) -> None:
    """Build a lab's kernels, and nothing else."""
    catalogue = Catalogue()
    shop = builder(catalogue, jobs)
    wanted = labs.read(lab, catalogue, LabOptions(tree=tree))
    with inuse.shared(shop.cache):
        builds = shop.build(shop.resolve_all(wanted))
    for name, made in builds.items():
        how = "was built already" if made.reused else f"built in {made.duration_s:.1f} s"
        log.stdout.print(f"{name}: {made.release}, {how}: {made.image}", markup=False)


@click.command()
@run_options
def run(options: RunOptions) -> int:
    """Build, boot, run, judge, report."""
    return _run(options)


@click.command()
@ab_options
def ab(options: RunOptions) -> int:
    """Compare base and base plus a series on one lab."""
    if not options.options.series:
        raise UserError("--series names no series")
    return _run(options)


@click.command()
@patchcheck_options
def patchcheck(options: RunOptions) -> int:
    """Check a series patch by patch: each prefix builds, boots and is no worse than base.

    Exits with 3 if a prefix does not build, with 1 if one is worse than base, also if a later patch
    mends it: the series cannot be bisected there.
    """
    if not options.options.series:
        raise UserError("--series names no series")
    return _run(options, patchcheck_pipeline.check)


def _run(
    options: RunOptions,
    carry_out: Callable[[RunRequest, KernelBuilder], Evaluation] | None = None,
) -> int:
    catalogue = Catalogue()
    shop = builder(catalogue, 0)
    settled = options.settled(shop)
    command = _again(settled.options.tree if options.base else "")
    asked = settled.request(settled.read(catalogue), command)
    return show((carry_out or run_pipeline.run)(asked, shop), options.form)


@click.command()
@run_argument
@jobs_option
@report_format_option
def resume(run: Path, jobs: int, form: str) -> int:
    """Go on with an interrupted run; what had finished is not run again."""
    shop = builder(Catalogue(), 0)
    return show(run_pipeline.resume(RunFolder.open(run), shop, jobs), form)


@click.command()
@run_argument
@report_format_option
@click.option(
    "--url", default="", metavar="URL", help="Where the reports are published, for a check."
)
@click.option(
    "--tester", default="", metavar="'NAME <ADDRESS>'",
    help="Who tested: a mail gets a Tested-by line if all passed.",
)  # fmt: skip
def report(run: Path, form: str, url: str, tester: str) -> int:
    """Judge a saved run again and write its reports; starts no guest."""
    folder = RunFolder.open(run)
    note_marks(folder, Cache())
    evaluation = evaluate(folder)
    write_reports(evaluation)
    code = show(evaluation, form, FormatOptions(url, tester))
    for change in holding.of_lab(evaluation.record, Catalogue()):
        log.warn(f"since the run: {change} (judged by the lab of then)")
    return code


def _again(tree: str = "") -> tuple[str, ...]:
    """Return the command line without a filter, to be run again with another one.

    With ``tree`` it names the tree that was found, in the place of where to look for one.
    """
    words = sys.argv[1:]
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word == "--filter" or (tree and word == "--base"):
            skip = True
        elif tree and word.startswith("--base="):
            continue
        elif word.startswith("--series="):
            kept += ["--series", word.removeprefix("--series=")]
        elif word != "--touched" and not word.startswith("--filter="):
            kept.append(word)
    kept += ["--tree", tree] if tree else []
    # run.json is UTF-8; an argument need not be.
    kept = [os.fsencode(word).decode("utf-8", "replace") for word in kept]
    return (program(), *kept)


def program() -> str:
    """Return the command's name as it was called."""
    return "./lab.py" if Path(sys.argv[0]).name == "lab.py" else "rmaplab"


def show(evaluation: Evaluation, form: str, options: FormatOptions = _NO_OPTIONS) -> int:
    """Print a run in a format; returns its exit code."""
    if form in FORMATS:
        counters = cellfiles.reader(evaluation.folder)
        for piece in FORMATS[form](evaluation.run, counters, options):
            log.json(piece)
        return evaluation.exit_code
    if evaluation.run.patches is not None:
        terminal.show_patches(evaluation.run.patches)
        log.stdout.print(evaluation.summary.cells, markup=False)
    elif evaluation.comparison is not None:
        terminal.show_kernels(evaluation.record)
        terminal.show_comparison(evaluation.comparison)
        if evaluation.run.revisions is not None:
            folder = evaluation.folder.path
            terminal.show_revisions(evaluation.run.revisions, evaluation.comparison, folder)
        log.stdout.print(evaluation.summary.cells, markup=False)
    else:
        terminal.show_cells(evaluation.results)
        terminal.show_allowed(evaluation.results)
    terminal.show_coverage(evaluation.run.coverage)
    terminal.show_memories(evaluation.results, evaluation.folder.path)
    if evaluation.record.part:
        log.stdout.print(evaluation.record.part, markup=False)
    for name, error in evaluation.build_errors.items():
        log.stdout.print(f"kernel {name} was not built:\n{error}", markup=False)
    for known in evaluation.stale:
        where = f"{evaluation.record.lab.path}:{known.line}"
        log.warn(f"{where}: this expectation speaks of no cell: {known.testcase}")
    for remark in evaluation.remarks:
        log.warn(remark)
    terminal.show_quarantined(evaluation.summary)
    terminal.show_failures(evaluation.summary)
    log.stdout.print(f"report: {evaluation.folder.path / 'report.html'}", markup=False)
    terminal.show_answer(evaluation.summary)
    return evaluation.exit_code


VERBS = (build, run, ab, patchcheck, resume, report)
