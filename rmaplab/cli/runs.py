# SPDX-License-Identifier: GPL-2.0
"""The verbs that build kernels and run cells, and the one that shows a saved run."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from rmaplab.cli.options import (
    format_option,
    jobs_option,
    lab_argument,
    run_argument,
    run_options,
    tree_option,
)
from rmaplab.config import labfile
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import UserError
from rmaplab.log import log
from rmaplab.model import FindingKind, Lab
from rmaplab.pipeline import kernels
from rmaplab.pipeline import run as run_pipeline
from rmaplab.pipeline.evaluate import Evaluation, evaluate, write_reports
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.pipeline.run import RunRequest
from rmaplab.report import results, terminal
from rmaplab.store import cellfiles, inuse
from rmaplab.store.cache import Cache
from rmaplab.store.runfolder import RunFolder


def builder(catalogue: Catalogue, jobs: int) -> KernelBuilder:
    """What kernels are made with, from the options."""
    return KernelBuilder(catalogue, Cache(), jobs or len(os.sched_getaffinity(0)))


def read_lab(
    path: Path,
    catalogue: Catalogue,
    *,
    tree: str = "",
    repeat: int | None = None,
    exact: bool = False,
) -> Lab:
    """The lab file with what the options change about it.

    A path that is not there is tried among the project's own files, so that ``configs/rmap.yaml``
    works wherever the command is installed.
    """
    own = catalogue.root / path
    lab = labfile.read(path if path.exists() or not own.exists() else own, catalogue)
    if tree:
        lab = kernels.on_tree(lab, tree)
    if exact:
        lab = kernels.exact(lab)
    return replace(lab, repeat=repeat, repeats={}) if repeat else lab


def _keeping(lab: Lab, memories: int | None) -> Lab:
    """The lab with as many memories to keep as the option says, if it says so."""
    if memories is None:
        return lab
    keep = replace(lab.postmortem, run=memories, asked=True)
    return replace(lab, postmortem=keep)


def _checked(lab: Lab, no_audit: bool, no_ledger: bool) -> Lab:
    """The lab without the checks that the options turn off."""
    lab = replace(lab, audit=lab.audit and not no_audit, ledger=lab.ledger and not no_ledger)
    if lab.audit:
        return lab
    # What only the audit finds is not expected then.
    known = (e for e in lab.expectations if not e.subtests or not all(map(_is_audits, e.subtests)))
    return replace(lab, expectations=tuple(known))


def _is_audits(pattern: str) -> bool:
    return pattern.startswith(f"{FindingKind.AUDIT.prefix} ")


@click.command()
@lab_argument
@tree_option
@jobs_option
def build(lab: Path, tree: str, jobs: int) -> None:
    """Build a lab's kernels, and nothing else."""
    catalogue = Catalogue()
    shop = builder(catalogue, jobs)
    with inuse.shared(shop.cache):
        builds = shop.build(read_lab(lab, catalogue, tree=tree))
    for name, made in builds.items():
        how = "was built already" if made.reused else f"built in {made.duration_s:.1f} s"
        log.stdout.print(f"{name}: {made.release}, {how}: {made.image}", markup=False)


@click.command()
@lab_argument
@run_options
def run(
    *,
    lab: Path, accel: str, output: Path, repeat: int | None, jobs: int, expression: str,
    sample: str, tree: str, exact: bool, form: str,
    no_audit: bool, no_ledger: bool, postmortem: int | None,
) -> int:  # fmt: skip
    """Build, boot, run, judge, report."""
    catalogue = Catalogue()
    asked = RunRequest(
        lab=_keeping(
            _checked(
                read_lab(lab, catalogue, tree=tree, repeat=repeat, exact=exact),
                no_audit or exact,
                no_ledger or exact,
            ),
            postmortem,
        ),
        command=_again(),
        output=output,
        filter=expression,
        sample=sample,
        accelerator=accel,
        jobs=jobs,
    )
    return _show(run_pipeline.run(asked, builder(catalogue, 0)), form)


@click.command()
@lab_argument
@click.option("--series", required=True, help="A folder of patches, an mbox, or git:REPO#A..B.")
@run_options
def ab(
    *,
    lab: Path, series: str, accel: str, output: Path, repeat: int | None, jobs: int,
    expression: str, sample: str, tree: str, exact: bool, form: str,
    no_audit: bool, no_ledger: bool, postmortem: int | None,
) -> int:  # fmt: skip
    """The same lab on base and on base plus a series, compared."""
    catalogue = Catalogue()
    if not series:
        raise UserError("--series names no series")
    base = _checked(
        read_lab(lab, catalogue, tree=tree, repeat=repeat, exact=exact),
        no_audit or exact,
        no_ledger or exact,
    )
    asked = RunRequest(
        lab=kernels.ab_lab(_keeping(base, postmortem), series),
        command=_again(),
        output=output,
        filter=expression,
        sample=sample,
        accelerator=accel,
        jobs=jobs,
        comparison=("base", "patched"),
    )
    return _show(run_pipeline.run(asked, builder(catalogue, 0)), form)


@click.command()
@run_argument
@jobs_option
@format_option
def resume(run: Path, jobs: int, form: str) -> int:
    """Go on with an interrupted run; what had finished is not run again."""
    shop = builder(Catalogue(), 0)
    return _show(run_pipeline.resume(RunFolder.open(run), shop, jobs), form)


@click.command()
@run_argument
@format_option
def report(run: Path, form: str) -> int:
    """Judge a saved run again and write its reports; starts no guest."""
    evaluation = evaluate(RunFolder.open(run))
    write_reports(evaluation)
    return _show(evaluation, form)


def _again() -> tuple[str, ...]:
    """The command line without a filter, to be run again with another one."""
    words = sys.argv[1:]
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word == "--filter":
            skip = True
        elif not word.startswith("--filter="):
            kept.append(word)
    # run.json is UTF-8; an argument need not be.
    kept = [os.fsencode(word).decode("utf-8", "replace") for word in kept]
    command = Path(sys.argv[0]).name
    return ("./lab.py" if command == "lab.py" else "rmaplab", *kept)


def _show(evaluation: Evaluation, form: str) -> int:
    if form == "json":
        pieces = results.render(
            evaluation.results,
            evaluation.comparison,
            evaluation.build_errors,
            cellfiles.reader(evaluation.folder),
            evaluation.record.part,
        )
        for piece in pieces:
            log.json(piece)
        return evaluation.exit_code
    if evaluation.comparison is not None:
        terminal.show_comparison(evaluation.comparison)
        log.stdout.print(terminal.tally(evaluation.results))
    else:
        terminal.show_cells(evaluation.results)
        terminal.show_allowed(evaluation.results)
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
    log.stdout.print(f"report: {evaluation.folder.path / 'report.html'}", markup=False)
    return evaluation.exit_code


VERBS = (build, run, ab, resume, report)
