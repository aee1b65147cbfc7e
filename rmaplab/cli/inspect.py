# SPDX-License-Identifier: GPL-2.0
"""The verbs that show what there is: list, plan, parse."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.markup import escape
from rich.table import Table

from rmaplab.cli.options import (
    accept_option,
    archive_option,
    filter_option,
    format_option,
    jobs_option,
    lab_argument,
    named_series,
    repeat_option,
    sample_option,
    testcase_option,
    tree_option,
)
from rmaplab.collect.console import parse_log
from rmaplab.collect.textform import readable
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import ExitCode, UserError
from rmaplab.log import log
from rmaplab.model import Guest, HugepageSettings, LabOptions, Splat, Testcase
from rmaplab.pipeline import labs, preflight, tested
from rmaplab.pipeline import proven as proven_walkers
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.pipeline.run import default_jobs
from rmaplab.pipeline.tested import KernelHistory
from rmaplab.report import plan as plan_report
from rmaplab.report import upstream as upstream_report
from rmaplab.source import series as series_source
from rmaplab.store.cache import Cache
from rmaplab.store.history import History
from rmaplab.text import near_miss, printable

KINDS = ("testcases", "guests", "settings", "series", "kernels")


@click.command("list")
@click.argument("kind", required=False, default="")
@click.option("--walkers", is_flag=True, help="Which testcases drive which kernel function.")
@click.option(
    "--proven", multiple=True, metavar="RUN", type=click.Path(path_type=Path),
    help="With --walkers: which of them the recorded cells of this run ran; may be repeated. "
    "Exits with 1 if a testcase names a function that none of its cells ran.",
)  # fmt: skip
@click.option("--upstream", is_flag=True, help="What runs the kernel tree's run_vmtests.sh.")
@format_option
def list_(
    *, kind: str, walkers: bool, proven: tuple[Path, ...], upstream: bool, form: str
) -> int | None:
    """List testcases, guests, settings, series or kernels, one line each."""
    if proven and (not walkers or upstream):
        raise UserError("--proven speaks of --walkers: name that, too")
    if upstream:
        if kind or walkers:
            raise UserError("--upstream is a list of its own: leave the rest out")
        _list_upstream(Catalogue(), form)
        return None
    if walkers:
        if kind:
            raise UserError("--walkers is a list of its own: leave out " + repr(kind))
        if proven:
            return _list_proven(proven, Catalogue(), form)
        _list_walkers(Catalogue(), form)
        return None
    if kind and kind not in KINDS:
        raise UserError(f"nothing to list under {kind!r}{near_miss(kind, KINDS)}")
    facts = {name: _facts(name, Catalogue()) for name in ([kind] if kind else KINDS)}
    if form == "json":
        log.json(json.dumps(facts[kind] if kind else facts, indent=1) + "\n")
        return None
    for name, entries in facts.items():
        log.stdout.print(f"[bold]{name}[/bold]")
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
        for entry in entries:
            note = f" ({entry['kind']})" if entry.get("kind", "test") != "test" else ""
            table.add_row(escape(entry["name"]), escape(entry["summary"] + note))
        log.stdout.print(table)
    return None


def _list_upstream(catalogue: Catalogue, form: str) -> None:
    table = upstream_report.rows(catalogue.vmtests, catalogue.testcases)
    if form == "json":
        log.json(json.dumps(table, indent=1) + "\n")
    else:
        log.say(upstream_report.markdown(table).rstrip())


def _list_walkers(catalogue: Catalogue, form: str) -> None:
    driven = catalogue.driven_by()
    if form == "json":
        facts = [
            {**dataclasses.asdict(walker), "testcases": [one.name for one in testcases]}
            for walker, testcases in driven.items()
        ]
        log.json(json.dumps(facts, indent=1) + "\n")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("function", "file", "called by rmap_walk() of", "testcases"):
        table.add_column(title, overflow="fold")
    part = ""
    for walker, testcases in driven.items():
        if part and walker.part != part:
            table.add_section()
        part = walker.part
        by = ", ".join(one.name for one in testcases) or f"none: {walker.unreachable or '?'}"
        through = ", ".join(walker.through)
        where = f"{walker.file} ({walker.tree})" if walker.tree else walker.file
        table.add_row(walker.name, escape(where), escape(through), escape(by))
    log.stdout.print(table)


def _list_proven(runs: tuple[Path, ...], catalogue: Catalogue, form: str) -> int:
    builder = KernelBuilder(catalogue, Cache(), 0)
    found = proven_walkers.of_runs(runs, catalogue, builder)
    broken = list(proven_walkers.claims(found))
    if form == "json":
        facts = [{**dataclasses.asdict(one), "walker": one.walker.name} for one in found]
        log.json(json.dumps(facts, indent=1) + "\n")
        return ExitCode.REGRESSION if broken else ExitCode.OK
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("function", "testcases that name it and ran it", "name it only", "ran it, too"):
        table.add_column(title, overflow="fold")
    for one in found:
        by = ", ".join(one.proven) or one.missing or one.walker.unreachable or "none"
        others, only = str(len(one.others) or ""), ", ".join(one.unproven)
        table.add_row(escape(one.walker.name), escape(by), escape(only), escape(others))
    log.stdout.print(table)
    unrecorded = sorted({name for one in found for name in one.unrecorded})
    if unrecorded:
        log.stdout.print(f"not recorded: {', '.join(unrecorded)}", markup=False)
    for claim in broken:
        log.error(claim)
    return ExitCode.REGRESSION if broken else ExitCode.OK


def _facts(kind: str, catalogue: Catalogue) -> list[dict[str, Any]]:
    match kind:
        case "testcases":
            return [_testcase(one) for one in catalogue.testcases.values()]
        case "guests":
            return [_guest(one) for one in catalogue.guests.values()]
        case "settings":
            return [_settings(one) for one in catalogue.settings.values()]
        case "series":
            return _series(catalogue.root)
    return _kernels(catalogue)


def _testcase(one: Testcase) -> dict[str, Any]:
    return {
        "name": one.name,
        "id": one.id,
        "summary": one.summary,
        "walkers": list(one.walkers),
        "requires": dataclasses.asdict(one.requires),
        "settings": list(one.settings),
        "kind": one.kind,
    }


def _guest(one: Guest) -> dict[str, Any]:
    return {
        "name": one.name,
        "summary": one.summary,
        "cpus": one.cpus,
        "nodes": len(one.nodes),
        "memory_mb": one.memory_mb,
        "devices": [device.name for device in one.devices],
        "userspace": one.userspace,
    }


def _settings(one: HugepageSettings) -> dict[str, Any]:
    return {
        "name": one.name,
        "summary": one.summary,
        "writes": {write.path: write.value for write in one.writes},
    }


def _series(root: Path) -> list[dict[str, Any]]:
    found = []
    for folder in sorted((root / "patches").iterdir()) if (root / "patches").is_dir() else []:
        # Seeded bugs are a patch each, not a series.
        if folder.is_dir() and folder.name != "mutants" and any(folder.glob("*.patch")):
            series = series_source.load(str(folder), root)
            subject = _cover_subject(series.cover) or series.patches[0].subject
            summary = f"{len(series.patches)} patches: {subject}"
            found.append({"name": f"patches/{folder.name}", "summary": summary,
                          "patches": [patch.subject for patch in series.patches]})  # fmt: skip
    return found


def _cover_subject(cover: str) -> str:
    for line in cover.splitlines():
        if line.startswith("Subject:"):
            return line.removeprefix("Subject:").rpartition("]")[2].strip()
    return ""


def _kernels(catalogue: Catalogue) -> list[dict[str, Any]]:
    """Return the kernels of the project's labs, and those of runs with ``--tree``."""
    found = []
    known = tested.everything(Cache())
    plain = []
    for path in sorted((catalogue.root / "configs").glob("*.yaml")):
        for kernel in labs.read(path, catalogue).kernels:
            results: tuple[KernelHistory, ...] = ()
            if not kernel.series:
                plain.append(kernel)
                results = tested.of_kernel(kernel, known)
            found.append({"name": f"{path.stem}: {kernel.name}", "tree": kernel.tree,
                          "summary": _kernel_line(kernel.tree, kernel.fragments, results),
                          "config": list(kernel.fragments),
                          "series": kernel.series, "tested": tested.facts(results)})  # fmt: skip
    for one in tested.of_no_lab(plain, known):
        config = one.config.split()
        found.append({"name": "--tree", "tree": one.tree,
                      "summary": _kernel_line(one.tree, config, [one]),
                      "config": config, "series": "", "tested": tested.facts([one])})  # fmt: skip
    return found


def _kernel_line(tree: str, fragments: Sequence[str], results: Sequence[KernelHistory]) -> str:
    said = "; ".join(one.summary for one in results) or "not tested on this host"
    return f"{tree}, {'+'.join(fragments)}: {said}"


@click.command()
@lab_argument
@click.option(
    "--series", multiple=True, metavar="SERIES", help="Plan the A/B of this series instead."
)
@archive_option
@accept_option
@tree_option
@filter_option
@sample_option
@testcase_option
@repeat_option
@jobs_option
@format_option
def plan(
    *, lab: Path, series: tuple[str, ...], archive: str, accept: tuple[str, ...], tree: str,
    expression: str, sample: str, testcases: tuple[str, ...], repeat: int | None, jobs: int,
    form: str,
) -> int:  # fmt: skip
    """Show the cells that a run would run, how long they take and what is left out; run none.

    Exits with 2 if a run would, and says all that is wrong: with tree, series, expectations that
    speak of no cell, allowances that have expired, more cells than the cap.
    """
    catalogue, cache = Catalogue(), Cache()
    if accept and not series:
        raise UserError("--accept speaks of --series: name that, too")
    first, stacked = named_series(series, archive)
    options = LabOptions(
        compared=bool(first), series=first, stacked=stacked, accept=accept, tree=tree,
        repeat=repeat or 0, testcases=testcases,
    )  # fmt: skip
    builder = KernelBuilder(catalogue, cache, jobs)
    wanted = preflight.read(lab, builder, options)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    found = preflight.examine(wanted, builder, today, filter=expression, sample=sample)
    part = found.plan
    biggest = max(row.first.guest.memory_mb for row in part.rows)
    expected = History(cache).expected(part.cells)
    outlook = plan_report.PlanSummary(wanted, part, expected, jobs or default_jobs(biggest))
    if form == "json":
        facts = {**plan_report.facts(outlook), "mistakes": list(found.mistakes)}
        log.json(json.dumps(facts, indent=1) + "\n")
    else:
        plan_report.show(outlook)
    for mistake in found.mistakes:
        log.error(mistake)
    return ExitCode.USAGE if found.mistakes else ExitCode.OK


@click.command()
@click.argument("console", metavar="LOG|-", type=click.Path(path_type=Path, allow_dash=True))
@format_option
def parse(console: Path, form: str) -> None:
    """Print the splats and KTAP results of any saved log; exit with 2 if it is no text.

    LOG may be compressed (gzip, xz, zstd, bzip2), UTF-16, or a mail; - is standard input.
    """
    name = "standard input" if str(console) == "-" else str(console)
    found = parse_log(readable(_chunks(console), name))
    tests, problems = (found.ktap.subtests, found.ktap.problems) if found.ktap else ((), ())
    left_out = [f"{n} more of {kind} than are kept" for kind, n in found.left_out.items()]
    if form == "json":
        facts = {
            "splats": [dataclasses.asdict(splat) for splat in found.splats],
            "tests": [dataclasses.asdict(test) for test in tests],
            "problems": [*left_out, *problems],
        }
        log.json(json.dumps(facts, indent=1) + "\n")
        return
    boots = max((splat.boot for splat in found.splats), default=1)
    for splat in found.splats:
        _print_splat(splat, boots)
    for problem in left_out:
        log.stdout.print(problem, markup=False)
    for test in tests:
        log.stdout.print(f"{test.verdict}: {printable(test.name)}", markup=False)
    for problem in problems:
        log.stdout.print(f"KTAP: {printable(problem)}", markup=False)
    if not found.splats and found.ktap is None:
        log.stdout.print("no splat, no test result")


def _print_splat(splat: Splat, boots: int) -> None:
    """Print one splat: where it is, what it is, its trace."""
    marks = [word for word in ("corrupted", "tainted", "following") if getattr(splat, word)]
    marks += [f"{splat.count} times"] if splat.count > 1 else []
    marks += [f"boot {splat.boot}"] if boots > 1 else []
    note = f" ({', '.join(marks)})" if marks else ""
    note += f" [{printable(splat.owner)}]" if splat.owner else ""
    where = f"line {splat.line}: {splat.severity}: {splat.kind}: "
    log.stdout.print(where + printable(splat.title) + note, markup=False)
    for frame in splat.frames:
        log.stdout.print(f"    {printable(frame)}", markup=False)


CHUNK = 1 << 20


def _chunks(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file, or of standard input, as they come. Raises UserError."""
    try:
        with contextlib.ExitStack() as stack:
            file = sys.stdin.buffer if str(path) == "-" else stack.enter_context(path.open("rb"))
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        name = "standard input" if str(path) == "-" else path
        raise UserError(f"{name}: {error.strerror}") from error


VERBS = (list_, plan, parse)
