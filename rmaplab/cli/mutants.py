# SPDX-License-Identifier: GPL-2.0
"""The verb that seeds bugs into a kernel and sees whether a lab finds them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import pydantic

from rmaplab.cli.options import (
    accel_option,
    filter_option,
    format_option,
    jobs_option,
    ledger_option,
    tree_option,
)
from rmaplab.cli.runs import builder
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import Interrupted, UserError
from rmaplab.evidence.names import MEMORY
from rmaplab.log import log
from rmaplab.model import Lab, LabOptions
from rmaplab.mutants import Mutant, MutantResult
from rmaplab.pipeline import labs as lab_files
from rmaplab.pipeline import mutants as pipeline
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.pipeline.mutants import MutantsRequest
from rmaplab.report import mutants as report
from rmaplab.source import mutant as source
from rmaplab.store import foreign
from rmaplab.store.runfolder import RunFolder, now


@dataclass(frozen=True, slots=True)
class _Words:
    """A request in the words of the command line: enough to go on with a table."""

    labs: tuple[str, ...]
    patches: str
    only: tuple[str, ...] = ()
    named: bool = False
    without_debug: bool = False
    keep: bool = False
    no_ledger: bool = False
    filter: str = ""
    tree: str = ""
    accel: str = "auto"
    began: str = ""


_RESULT = pydantic.TypeAdapter(MutantResult)
_WORDS = pydantic.TypeAdapter(_Words)


@click.command()
@click.argument("labs", metavar="LAB...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--only", multiple=True, metavar="PATTERN", help="Only these mutants; may be repeated."
)
@click.option(
    "--named", is_flag=True, help="A quick look: only the testcases that a mutant's header names."
)
@click.option(
    "--patches", default=source.FOLDER, show_default=True, metavar="DIR", help="Where mutants are."
)
@click.option(
    "--without-debug",
    is_flag=True,
    help="Try a mutant that only the kernel's complaints told on kernels without the debugging "
    "options, too: full builds.",
)
@ledger_option
@click.option("--keep", is_flag=True, help="Leave the mutants' guests and sources in the cache.")
@click.option(
    "--resume",
    "earlier",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Go on with an interrupted table, as it was asked for.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports"),
    show_default=True,
    help="Where the table's folder goes.",
)
@accel_option
@jobs_option
@filter_option
@tree_option
@format_option
def mutants(
    *, labs: tuple[Path, ...], only: tuple[str, ...], named: bool, patches: str,
    without_debug: bool, no_ledger: bool, keep: bool, earlier: Path | None, output: Path,
    accel: str, jobs: int, expression: str, tree: str, form: str,
) -> int:  # fmt: skip
    """Tell whether the lab finds bugs that are seeded into the kernel, one at a time.

    Each mutant (patches/mutants) is built on its base, run and compared with the base. Exit codes:
    0 all are caught but those declared equivalent; 1 one is missed; 3 one does not build; 69
    nothing is known of one.
    """
    if bool(labs) is (earlier is not None):
        raise UserError("name a lab, or --resume FOLDER", hint="./lab.py mutants configs/rmap.yaml")
    kernels = builder(Catalogue(), 0)
    if earlier is None:
        words = _Words(
            tuple(str(lab) for lab in labs), patches, only, named, without_debug, keep, no_ledger,
            _without_kernel(expression), tree, accel, now(),
        )  # fmt: skip
        asked = _asked(words, jobs, kernels)
        folder = RunFolder.create(output, "mutants")
        folder.journal("asked", **asdict(words))
        log.info(f"mutants' folder: {folder.path}")
    else:
        foreign.check(earlier, "a folder of mutants", frozenset({MEMORY}))
        folder = RunFolder(earlier)
        words = _words(folder)
        asked = _asked(words, jobs, kernels)
    with folder.lock():
        results = _run(asked, folder, words, kernels)
    if form == "json":
        log.json(json.dumps(report.facts(results), indent=1) + "\n")
    else:
        report.show(results)
        log.stdout.print(f"table: {folder.path / 'mutants.md'}", markup=False)
    return report.exit_code(results)


def _run(
    asked: MutantsRequest, folder: RunFolder, words: _Words, kernels: KernelBuilder
) -> list[MutantResult]:
    """Run what is not done yet; the table on disk is right after each mutant."""
    results = _done(folder, asked.mutants)
    places = {mutant.title: number for number, mutant in enumerate(asked.mutants)}

    def add(result: MutantResult) -> None:
        results.append(result)
        results.sort(key=lambda one: places[one.mutant.title])
        folder.journal("mutant", result=json.loads(_RESULT.dump_json(result)))
        _write(folder, results, words)

    _write(folder, results, words)
    try:
        pipeline.run(asked, folder, kernels, tuple(results), add)
    except (Interrupted, KeyboardInterrupt) as error:
        raise Interrupted(
            f"interrupted; what was measured is in {folder.path}",
            hint=f"go on with: lab.py mutants --resume {folder.path}",
        ) from error
    return results


def _write(folder: RunFolder, results: Sequence[MutantResult], words: _Words) -> None:
    facts = report.facts(results) | {"asked": asdict(words)}
    folder.write("mutants.json", json.dumps(facts, indent=1) + "\n")
    folder.write("mutants.md", report.markdown(results, _command(words)))


def _command(words: _Words) -> list[str]:
    """Return the command that makes the table."""
    said = ["./lab.py", "mutants", *words.labs]
    said += [word for name in words.only for word in ("--only", name)]
    said += ["--named"] if words.named else []
    said += ["--without-debug"] if words.without_debug else []
    said += ["--no-ledger"] if words.no_ledger else []
    said += ["--patches", words.patches] if words.patches != source.FOLDER else []
    said += ["--filter", words.filter] if words.filter else []
    return said + (["--tree", words.tree] if words.tree else [])


def _asked(words: _Words, jobs: int, kernels: KernelBuilder) -> MutantsRequest:
    """Resolve what the words name. Raises UserError before anything is built."""
    catalogue = Catalogue()
    labs = tuple(
        lab_files.read(Path(lab), catalogue, LabOptions(tree=words.tree)) for lab in words.labs
    )
    place = Path(words.patches).expanduser()
    known = source.read(
        place if place.is_dir() else catalogue.root / place, catalogue.testcases.keys()
    )
    if words.no_ledger:
        labs = tuple(replace(lab, ledger=False) for lab in labs)
    chosen = source.select(known, words.only)
    able = tuple(mutant for mutant in chosen if pipeline.labs_of(mutant, labs))
    others = [mutant.title for mutant in chosen if mutant not in able]
    if not able or (others and words.only):
        raise UserError(
            f"no testcase of {', '.join(others)} is in the given labs",
            hint="name the lab that has them, too: a mutant's header has its Testcases",
        )
    if others:
        log.warn(f"not run, since the labs have none of their testcases: {', '.join(others)}")
    versions = pipeline.versions_of(_distinct(labs), kernels)
    return MutantsRequest(
        labs=labs,
        mutants=_due(able, labs, versions),
        versions=versions,
        named=words.named,
        filter=words.filter,
        without_debug=words.without_debug,
        keep=words.keep,
        accelerator=words.accel,
        jobs=jobs,
    )


def _due(
    mutants: Sequence[Mutant], labs: Sequence[Lab], versions: Mapping[str, str]
) -> tuple[Mutant, ...]:
    """Return the mutants that are patches to the labs' kernels; name those that have no variant."""
    due = tuple(mutant for mutant in mutants if pipeline.labs_of(mutant, labs, versions))
    names = {mutant.name for mutant in due}
    absent = sorted({f"{m.name} ({m.tree})" for m in mutants if m.name not in names})
    there = ", ".join(sorted(set(versions.values())))
    if absent and not due:
        raise UserError(
            f"no mutant is a patch to {there}: {', '.join(absent)}",
            hint="another tree: --tree; how a mutant gets a variant for it: docs/mutants.md",
        )
    if absent:
        log.info(f"no bug of {there}, or without a variant for it: {', '.join(absent)}")
    return due


def _distinct(labs: tuple[Lab, ...]) -> tuple[Lab, ...]:
    names = [lab.name for lab in labs]
    if len(set(names)) < len(names):
        raise UserError(f"two of the labs have the same name: {', '.join(names)}")
    return labs


def _without_kernel(expression: str) -> str:
    """Return the filter without its terms for the kernel: base and mutant are run of each row."""
    terms = (term for term in expression.split(",") if not term.strip().startswith("kernel="))
    return ",".join(terms)


def _words(folder: RunFolder) -> _Words:
    for event in folder.events():
        if event.get("event") == "asked":
            said = {k: v for k, v in event.items() if k not in {"event", "time"}}
            with contextlib.suppress(pydantic.ValidationError):
                return _WORDS.validate_python(said)
    raise UserError(f"{folder.path} is no table of mutants")


def _done(folder: RunFolder, mutants: Sequence[Mutant]) -> list[MutantResult]:
    """Return the saved results of mutants whose patches and headers are still the same.

    A line of the journal that is no result costs no other: its mutant is run again.
    """
    wanted = {mutant.title: mutant for mutant in mutants}
    found: dict[str, MutantResult] = {}
    for event in folder.events():
        if event.get("event") == "mutant":
            try:
                result = _result(event.get("result"))
            except (pydantic.ValidationError, RecursionError):
                log.warn(f"{folder.path}: a damaged result is left out: its mutant is run again")
                continue
            if wanted.get(result.mutant.title) == result.mutant:
                found[result.mutant.title] = result
    return [found[title] for title in wanted if title in found]


def _result(saved: Any) -> MutantResult:
    return _RESULT.validate_json(json.dumps(saved))


VERBS = (mutants,)
