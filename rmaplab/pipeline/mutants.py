# SPDX-License-Identifier: GPL-2.0
"""Seeded bugs: each built on its base and run, compared, and run again where it told.

Every run of cells is a run folder of its own below the table's folder, so an interrupted table goes
on where it was: what a cell showed is read, not run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rmaplab import proc
from rmaplab.build import kernel as build_kernel
from rmaplab.errors import KernelError, PatchError
from rmaplab.guest import command
from rmaplab.log import log
from rmaplab.model import Build, CellResult, Inclusion, Kernel, Lab
from rmaplab.mutants import (
    NOTHING_COMPARED,
    Mutant,
    MutantBase,
    MutantReport,
    MutantResult,
    MutantVerdict,
    RowKey,
    Rows,
    candidates,
    detect,
    examine,
    grouped,
    verdict,
)
from rmaplab.pipeline import labs
from rmaplab.pipeline import run as run_pipeline
from rmaplab.pipeline.evaluate import Evaluation, evaluate
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.pipeline.run import RunRequest
from rmaplab.plan import Row, on_kernels, plan, select
from rmaplab.source import patched
from rmaplab.store import inuse
from rmaplab.store.cache import remove
from rmaplab.store.runfolder import RunFolder

SERIES = "patches/device-exclusive"
"""The series of ``Base: patched``, on top of the lab's first kernel."""
WITHOUT_DEBUG = "nodebug"
"""The Kconfig fragment that turns the checks off that complaints come from."""
AGAIN = 2
"""How often a row that told is run again."""


@dataclass(frozen=True, slots=True)
class MutantsRequest:
    """A table of mutants as the user asked for it.

    ``named`` runs only the testcases that a mutant's header names. ``keep`` leaves the mutants'
    templates and sources in the cache. ``versions`` are those of the labs' kernels, by lab.
    """

    labs: tuple[Lab, ...]
    mutants: tuple[Mutant, ...]
    versions: Mapping[str, str]
    named: bool = False
    filter: str = ""
    without_debug: bool = False
    keep: bool = False
    accelerator: str = "auto"
    jobs: int = 0


@dataclass(frozen=True, slots=True)
class Variant:
    """One kernel that the cells of a lab run on; ``name`` begins the names of its runs.

    ``config`` are the Kconfig fragments that the kernel has beside the lab's.
    """

    name: str
    lab: Lab
    config: tuple[str, ...] = ()

    @property
    def kernel(self) -> Kernel:
        """The kernel."""
        return self.lab.kernels[0]


def run(
    asked: MutantsRequest,
    folder: RunFolder,
    builder: KernelBuilder,
    done: Sequence[MutantResult],
    on_result: Callable[[MutantResult], None],
) -> None:
    """Run every mutant that is not among ``done``; ``on_result`` hears of each when it is over.

    Raises KernelError if a base cannot be built, InfraError if the lab cannot work here,
    Interrupted if the user ended it.
    """
    for emulator in command.emulators(kernel for lab in asked.labs for kernel in lab.kernels):
        proc.require(emulator)
    finished = {result.mutant.title for result in done}
    table = _Table(asked, folder, builder)
    waiting = [mutant for mutant in asked.mutants if mutant.title not in finished]
    for number, mutant in enumerate(waiting, start=1):
        with (
            inuse.shared(builder.cache),
            log.step(f"mutant {number} of {len(waiting)}: {mutant.title}"),
        ):
            result = table.one(mutant)
        on_result(result)


def versions_of(labs: Iterable[Lab], builder: KernelBuilder) -> dict[str, str]:
    """Return the version of each lab's first kernel, of which the mutants are; fetch its tree."""
    return {lab.name: builder.resolve(lab.kernels[0]).tree.version for lab in labs}


def labs_of(
    mutant: Mutant, labs: Iterable[Lab], versions: Mapping[str, str] | None = None
) -> tuple[Lab, ...]:
    """Return the labs that have any of the testcases that should tell, on a kernel it is for."""
    return tuple(
        lab
        for lab in labs
        if {t.name for t in lab.every_testcase} & set(mutant.testcases)
        and (versions is None or mutant.is_due_on(versions[lab.name]))
    )


class _Table:
    """Runs mutants; what the bases' rows showed is kept for the next mutant."""

    def __init__(self, asked: MutantsRequest, folder: RunFolder, builder: KernelBuilder) -> None:
        self._asked = asked
        self._folder = folder
        self._builder = builder
        self._runs = _Runs(folder.path / "runs", asked, builder)
        self._rows: dict[str, dict[RowKey, list[CellResult]]] = {}

    def one(self, mutant: Mutant) -> MutantResult:
        """Build, run, compare, run again; then free what nobody else needs."""
        labs = labs_of(mutant, self._asked.labs, self._asked.versions)
        names = tuple(lab.name for lab in labs)
        pairs = [sides(lab, mutant) for lab in labs]
        try:
            for base, _ in pairs:
                self._prepare(base)
        except PatchError as error:
            why = f"its base, {SERIES}: {error.message}"
            return MutantResult(mutant, MutantVerdict.DOES_NOT_APPLY, detail=why, labs=names)
        try:
            builds = [self._build(changed) for _, changed in pairs]
        except KernelError as error:
            stale = isinstance(error, PatchError)
            why = MutantVerdict.DOES_NOT_APPLY if stale else MutantVerdict.BUILD_BROKEN
            return MutantResult(mutant, why, detail=error.message, labs=names)
        build_s = sum({build.key: build.made_s for build in builds}.values())
        seen, run_s = self._looks(mutant, pairs, {})
        settled, detail = verdict(mutant, seen)
        result = MutantResult(mutant, settled, seen, detail, build_s, run_s, labs=names)
        if self._asked.without_debug and seen.only_complaints:
            quiet = self._without_debug(mutant, labs, {*seen.by, *mutant.testcases})
            result = replace(result, without_debug=quiet)
        return result

    def _looks(
        self, mutant: Mutant, pairs: Sequence[tuple[Variant, Variant]], only: Collection[str]
    ) -> tuple[MutantReport, float]:
        """Return the look at all labs, and the seconds that the mutant's cells took.

        ``only`` are the testcases to run; none means as asked.
        """
        looks: list[MutantReport] = []
        seconds = 0.0
        ran: set[str] = set()
        try:
            for base, changed in pairs:
                wanted = self._wanted(mutant, base, only)
                ran |= {_name(row) for row in wanted}
                before = self._base_rows(base, wanted)
                began = time.monotonic()
                looks.append(self._look(mutant, before, changed, wanted))
                seconds += time.monotonic() - began
        finally:
            if not self._asked.keep:
                self._drop([changed for _, changed in pairs])
        silent = [f"{name}: no cell runs it" for name in mutant.testcases if name not in ran]
        return _together([*looks, MutantReport((), 0, tuple(silent))]), seconds

    def _without_debug(
        self, mutant: Mutant, labs: Sequence[Lab], told: Collection[str]
    ) -> MutantReport:
        """Run the testcases that told on kernels without the debugging options."""
        pairs = [sides(lab, mutant, WITHOUT_DEBUG) for lab in labs]
        for base, changed in pairs:
            self._prepare(base)
            self._build(changed)
        return self._looks(mutant, pairs, told)[0]

    def _wanted(self, mutant: Mutant, side: Variant, only: Collection[str]) -> list[Row]:
        """Return the rows to run; those that the guest cannot run show nothing."""
        whole = select(plan(side.lab), self._asked.filter)
        names = only or (mutant.testcases if self._asked.named else ())
        rows = [row for row in whole.rows if not row.first.skip]
        return [row for row in rows if not names or _name(row) in names]

    def _prepare(self, base: Variant) -> None:
        """Build what the mutants of a base start from: that is none of their time."""
        wanted = self._builder.resolve(base.kernel)
        build_kernel.build(
            wanted,
            self._builder.cache,
            jobs=self._builder.jobs,
            keep=True,
            limit_s=self._builder.limit_of(wanted),
        )

    def _build(self, side: Variant) -> Build:
        (built,) = self._builder.build(self._builder.resolve_all(side.lab)).values()
        return built

    def _look(
        self, mutant: Mutant, before: Rows, changed: Variant, wanted: Sequence[Row]
    ) -> MutantReport:
        if not wanted:
            return NOTHING_COMPARED
        after = grouped(self._runs.of(changed, "all", wanted).results)
        seen = examine(mutant.testcases, before, after)
        return self._again(mutant, before, changed, seen, wanted)

    def _base_rows(self, base: Variant, wanted: Sequence[Row]) -> Rows:
        """Return the base's results of the rows, run once and then remembered."""
        known = self._rows.get(base.name)
        if known is None:
            known = self._rows[base.name] = grouped(self._runs.earlier(base))
        missing = [row for row in wanted if _key(row) not in known]
        if missing:
            number = self._runs.count(base) + 1
            known.update(grouped(self._runs.of(base, str(number), missing).results))
        return {_key(row): known.get(_key(row), []) for row in wanted}

    def _again(
        self,
        mutant: Mutant,
        before: Rows,
        changed: Variant,
        seen: MutantReport,
        wanted: Sequence[Row],
    ) -> MutantReport:
        """Run rows that told again, until one tells again."""
        rows = {_key(row): row for row in wanted}
        took = {
            key: max(result.observation.duration_s for result in results)
            for key, results in before.items()
            if results
        }
        found = {one.key: one for one in seen.detections}
        for number, catches in enumerate(candidates(seen, mutant.testcases, took), start=1):
            some = [rows[catch.key] for catch in catches]
            again = grouped(self._runs.of(changed, f"again-{number}", some, AGAIN).results)
            for key, results in again.items():
                times = sum(detect(key, before[key], [one]) is not None for one in results)
                found[key] = replace(found[key], again=(times, len(results)))
            if any(found[key].confirmed for key in again):
                break
        return replace(seen, detections=tuple(found.values()))

    def _drop(self, mutants: Iterable[Variant]) -> None:
        """Free templates and sources; a kernel stays, to be quick when its mutant is run again."""
        for changed in mutants:
            for name in self._runs.templates(changed):
                self._remove("templates", name)
            kernel = self._builder.resolve(changed.kernel)
            self._remove("sources", patched.key(kernel.tree, kernel.series))

    def _remove(self, section: str, name: str) -> None:
        with self._builder.cache.lock(section, name):
            remove(self._builder.cache.path(section, name))


class _Runs:
    """The run folders below a table's folder, found by the names of their labs."""

    def __init__(self, parent: Path, asked: MutantsRequest, builder: KernelBuilder) -> None:
        self._parent = parent
        self._asked = asked
        self._builder = builder

    def of(self, side: Variant, part: str, rows: Sequence[Row], repeat: int = 0) -> Evaluation:
        """Return the run of some rows on a kernel: as saved, gone on with, or made now."""
        lab = _only(side.lab, rows, repeat)
        lab = replace(lab, name=f"{side.name}.{part}")
        cells = tuple(cell.id for cell in plan(lab).cells)
        for folder in self._saved(lab.name):
            record = folder.read_record()
            wanted = (lab.name, cells)
            if (record.lab.name, record.cells) != wanted or not self._same_kernel(side, folder):
                continue
            if record.is_whole:
                return evaluate(folder)
            return run_pipeline.resume(folder, self._builder, self._asked.jobs, remember=False)
        asked = RunRequest(
            lab=lab,
            command=labs.command(side.lab, side.kernel, self._asked.accelerator, side.config),
            output=self._parent,
            accelerator=self._asked.accelerator,
            jobs=self._asked.jobs,
            remember=False,  # bugs were put in on purpose: that they show is no alarm
        )
        return run_pipeline.run(asked, self._builder)

    def earlier(self, side: Variant) -> Iterator[CellResult]:
        """Yield every result of a kernel that is saved already."""
        for folder in self._saved(f"{side.name}.*"):
            if self._same_kernel(side, folder):
                yield from evaluate(folder).results

    def count(self, side: Variant) -> int:
        """Return how many runs of a kernel there are."""
        return sum(1 for _ in self._saved(f"{side.name}.*"))

    def templates(self, side: Variant) -> set[str]:
        """Return the names of the templates that the runs of a kernel made or used."""
        return {
            str(name)
            for folder in self._saved(f"{side.name}.*")
            for event in folder.events()
            if event["event"] == "templates" and isinstance(event.get("names"), list)
            for name in event["names"]
        }

    def _saved(self, name: str) -> Iterator[RunFolder]:
        for path in sorted(self._parent.glob(f"*-{name}")):
            if (path / "run.json").is_file():
                yield RunFolder.open(path)

    def _same_kernel(self, side: Variant, folder: RunFolder) -> bool:
        record = folder.read_record()
        facts = record.kernels.get(side.kernel.name)
        return (
            record.lab.name.startswith(f"{side.name}.")
            and facts is not None
            and facts.key == self._builder.resolve(side.kernel).key
        )


def sides(lab: Lab, mutant: Mutant, config: str = "") -> tuple[Variant, Variant]:
    """Return the lab on a mutant's base and on the mutant, both with one more Kconfig fragment.

    The kernels are named as in an A/B, so that what the lab file says of ``base`` holds.
    """
    first = lab.kernels[0]
    more = (config,) if config else ()
    fragments = (*first.fragments, *more)
    patched = mutant.base is MutantBase.PATCHED
    base = replace(
        first,
        name=str(mutant.base),
        series=SERIES if patched else first.series,
        fragments=fragments,
    )
    changed = replace(base, name="mutant", series=str(mutant.path), onto=base.series)
    stem = ".".join(filter(None, (lab.name, str(mutant.base), config)))
    return (
        Variant(f"{stem}.base", on_kernels(lab, (base,)), more),
        Variant(f"{stem}.mutant.{mutant.name}", on_kernels(lab, (changed,)), more),
    )


def _only(lab: Lab, rows: Sequence[Row], repeat: int) -> Lab:
    """Return the lab with these of its rows alone.

    Its testcases stay those of the whole lab, since they determine its templates.
    """
    chosen = tuple(
        Inclusion(
            kernel=("*",),
            guests=(row.first.guest,),
            settings=(row.first.settings,),
            devices=(row.first.device,),
            testcases=(row.first.testcase,),
            line=0,
        )
        for row in rows
    )
    whole = replace(lab, guests=(), exclusions=(), inclusions=chosen, cap=0)
    whole = replace(whole, testcases=lab.every_testcase)
    return replace(whole, repeat=repeat, repeats={}) if repeat else whole


def _together(looks: Sequence[MutantReport]) -> MutantReport:
    """Return the looks at several labs as one."""
    return MutantReport(
        tuple(found for one in looks for found in one.detections),
        sum(one.rows for one in looks),
        tuple(problem for one in looks for problem in one.problems),
        tuple(doubt for one in looks for doubt in one.doubts),
    )


def _name(row: Row) -> str:
    return row.first.testcase.name


def _key(row: Row) -> RowKey:
    cell = row.first
    return cell.testcase.name, cell.settings.name, cell.guest.name, cell.device
