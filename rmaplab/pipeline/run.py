# SPDX-License-Identifier: GPL-2.0
"""A run: build, boot, run every cell, judge, report; whatever happens, keep what was measured."""

from __future__ import annotations

import contextlib
import os
import platform
import uuid
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from rmaplab import proc
from rmaplab.build import initramfs, programs
from rmaplab.collect.observe import observe
from rmaplab.errors import (
    Interrupted,
    KernelError,
    UserError,
    is_fatal,
)
from rmaplab.guest import accel, command
from rmaplab.guest.command import Accelerator, Launch
from rmaplab.log import log
from rmaplab.model import (
    Architecture,
    Build,
    Cell,
    Fault,
    Guest,
    Lab,
    LabOptions,
    Observation,
    ResolvedKernel,
)
from rmaplab.model.prefixes import PatchFacts
from rmaplab.pipeline import (
    calibration,
    changes,
    confirm,
    holding,
    hosttests,
    postrun,
    recorder,
    selecting,
    setups,
    upstream,
    userspaces,
)
from rmaplab.pipeline.ending import finish, keeping
from rmaplab.pipeline.evaluate import (
    Evaluation,
    Observations,
    evaluate,
    observe_cell,
)
from rmaplab.pipeline.executor import LocalExecutor
from rmaplab.pipeline.hostmemory import available_mb
from rmaplab.pipeline.kernels import KernelBuilder, Kernels, facts_of, save_series
from rmaplab.pipeline.memory_quota import MemoryQuota
from rmaplab.pipeline.runner import Runner, to_the_end
from rmaplab.pipeline.selecting import Selection
from rmaplab.pipeline.setups import CellSetups, Recorder
from rmaplab.pipeline.templates import Templates
from rmaplab.pipeline.upstream import SelftestBuilds
from rmaplab.plan import Plan, plan
from rmaplab.schedule import Remaining, order
from rmaplab.selection import choose, narrowing
from rmaplab.source import rangediff
from rmaplab.store import inuse, limits, memoryfile
from rmaplab.store.cache import Cache, file_sha256
from rmaplab.store.history import History
from rmaplab.store.reservation import DiskReservation
from rmaplab.store.runfolder import RANGE_DIFF, Programs, RunFolder, RunRecord, now, planned

# Bytes that saved guests may take of the cache, which is some 300 of them.
TEMPLATES_BYTES = 20 << 30
# Bytes that a trivial cell leaves in a run's folder: 100 of selftest/nothing take 11 MB.
CELL_BYTES = 112 << 10
# A log that nobody writes to for so long gets a line that says what the lab does.
HEARTBEAT_S = 60.0
NO_ACCELERATOR = "none"
"""The accelerator of a run that starts no guest."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A run as the user asked for it; ``jobs`` 0 means as many guests as the host bears.

    ``options`` are those by which ``lab`` was made of its file, None if it was made otherwise.
    ``confirm`` is how often a row of an A/B that is worse is run again. The run's folder is made
    below ``output``, unless ``folder`` names one.
    ``remember`` adds the run to the history, ``notes`` are said in every report.
    ``touched`` runs the testcases alone that reach what the series touches.
    ``patches`` are those of a series that is checked patch by patch. ``previous`` is a kernel of an
    A/B with an older revision of the series.
    """

    lab: Lab
    command: tuple[str, ...]
    output: Path
    filter: str = ""
    sample: str = ""
    accelerator: str = "auto"
    jobs: int = 0
    comparison: tuple[str, str] | None = None
    options: LabOptions | None = None
    confirm: int = 0
    folder: RunFolder | None = None
    remember: bool = True
    notes: tuple[str, ...] = ()
    touched: bool = False
    patches: tuple[PatchFacts, ...] = ()
    previous: str = ""


@dataclass(frozen=True, slots=True)
class _Run:
    """A run under way: its folder and record, its plan, and what it is carried out with."""

    folder: RunFolder
    record: RunRecord
    whole: Plan
    kernels: Kernels
    builder: KernelBuilder
    seen: Observations
    jobs: int
    remember: bool = True

    @property
    def architecture(self) -> Architecture:
        """The architecture of the run's guests."""
        return self.record.lab.kernels[0].architecture

    def note(self) -> None:
        """Bring what is known of the run to the disk."""
        self.folder.write_record(self.record)


def run(asked: RunRequest, builder: KernelBuilder) -> Evaluation:
    """Run a lab and report.

    Raises UserError before anything is fetched or a folder made if nothing would run or if a tree
    or a series is mistyped, InfraError if the lab cannot work here. A KernelError of a build is
    reported in the run's folder and raised again, and so is an interruption; in both cases the
    reports hold what was measured.
    """
    whole = plan(asked.lab)
    chosen = choose(
        asked.lab,
        filter=asked.filter,
        sample=asked.sample,
        alike=asked.comparison is not None or bool(asked.patches),
        whole=whole,
    )
    for emulator in command.emulators(_guests(chosen.cells)):
        proc.require(emulator)  # before the minutes that a kernel takes
    with (
        log.heartbeat(HEARTBEAT_S),
        _retiring(builder.cache),
        inuse.shared(builder.cache),
    ):
        with log.fold("trees and series"):
            kernels = builder.resolve_all(asked.lab)
        selection = selecting.narrow(chosen, kernels, builder) if asked.touched else None
        chosen = selection.plan if selection is not None else chosen
        folder, record = _begin(asked, whole, chosen, kernels, selection)
        with folder.lock():
            seen = Observations(chosen.cells)
            going = _Run(folder, record, whole, kernels, builder, seen, asked.jobs, asked.remember)
            return _to_the_end(going, chosen.cells)


def resume(
    folder: RunFolder, builder: KernelBuilder, jobs: int, *, remember: bool = True
) -> Evaluation:
    """Go on with a run that was interrupted or killed: only cells that had not finished are run.

    A cell whose evidence is not as it was when it finished is run again, and so is one that ended
    in an error of the lab's own: it says nothing of the kernel. Raises UserError if there is
    nothing to go on with, or with all that differs from what the run began with: kernels, patches,
    configuration, toolchain, programs, lab.
    """
    with (
        log.heartbeat(HEARTBEAT_S),
        _retiring(builder.cache),
        inuse.shared(builder.cache),
        folder.lock(),
    ):
        record = folder.read_record()
        journal = folder.read_journal()
        whole = plan(record.lab)
        cells = planned(record, whole.cells)
        again = folder.spoilt(journal, record.cells)
        again |= _not_measured(folder, cells, journal.finished - again.keys())
        if record.is_whole and not again:
            raise UserError(f"{folder.path} is finished: there is nothing to go on with")
        kernels = _hold(folder, record, builder)
        for name, why in again.items():
            log.warn(f"{name}: {why}: running it again")
        done = journal.finished - again.keys()
        waiting = tuple(cell for cell in cells if cell.id not in done)
        log.info(f"{len(cells) - len(waiting)} of {len(cells)} cells were finished before")
        record.interrupted, record.ended, record.failure = False, "", ""
        going = _Run(folder, record, whole, kernels, builder, Observations(cells), jobs, remember)
        going.note()
        return _to_the_end(going, waiting)


def _begin(
    asked: RunRequest,
    whole: Plan,
    chosen: Plan,
    kernels: Kernels,
    selection: Selection | None,
) -> tuple[RunFolder, RunRecord]:
    """Make a run's folder, with what was asked and the kernels' patches."""
    folder = asked.folder or RunFolder.create(asked.output, asked.lab.name)
    record = RunRecord(
        lab=asked.lab,
        cells=tuple(cell.id for cell in chosen.cells),
        command=asked.command,
        began=now(),
        comparison=asked.comparison,
        kernels={name: facts_of(kernel) for name, kernel in kernels.items()},
        accelerator=asked.accelerator,
        host=_host(),
        tools=_tools(command.emulators(_guests(chosen.cells))),
        lab_cells=whole.size,
        narrowed=narrowing(asked.filter, asked.sample, selection.words if selection else ""),
        options=asked.options,
        confirm=asked.confirm,
        notes=asked.notes,
        patches=asked.patches,
        previous=asked.previous,
        id=uuid.uuid4().hex,
        directory=str(Path.cwd()),
    )
    for name, kernel in kernels.items():
        record.kernels[name].saved_patches = save_series(kernel, folder)
    if asked.previous and asked.comparison is not None:
        old, new = (kernels[name] for name in (asked.previous, asked.comparison[1]))
        folder.write(RANGE_DIFF, rangediff.range_diff(new.tree, old.series, new.series))
    if selection is not None:
        selection.save(folder)
    folder.write_record(record)
    log.info(f"run folder: {folder.path}")
    return folder, record


def _not_measured(folder: RunFolder, cells: Sequence[Cell], finished: Set[str]) -> dict[str, str]:
    """Return, by cell, the lab's own errors that ended finished cells."""
    seen = {
        cell.id: observe(folder.place(cell.id), cell.id) for cell in cells if cell.id in finished
    }
    return {name: one.detail for name, one in seen.items() if one.fault is Fault.LAB}


def _hold(folder: RunFolder, record: RunRecord, builder: KernelBuilder) -> Kernels:
    """Return a saved run's kernels, if all that it would go on with is what it began with.

    Raises UserError with everything that differs.
    """
    lab = {kernel.name: kernel for kernel in record.lab.kernels}
    unnoted = [name for name in lab if not getattr(record.kernels.get(name), "tree_entry", "")]
    if unnoted:
        raise UserError(
            f"{folder.path} was begun by an earlier version of the lab, which did not note what "
            f"its kernels were made of ({', '.join(unnoted)}): it cannot be gone on with",
            hint="start a new run; lab.py report shows what this one has",
        )
    differences = list(holding.of_folder(folder, record))
    kernels: dict[str, ResolvedKernel] = {}
    if not differences:
        for name, kernel in lab.items():
            try:
                kernels[name] = builder.restore(kernel, record.kernels[name], folder)
            except UserError as error:
                differences.append(f"kernel {name}: {error.message}")
    if not differences:
        differences += holding.of_kernels(record, kernels)
    differences += holding.of_programs(record, builder.catalogue)
    differences += holding.of_lab(record, builder.catalogue)
    if differences:
        lines = "".join(f"\n  {one}" for one in differences)
        raise UserError(
            f"{folder.path} began with something else than there is now:{lines}",
            hint="bring back what it began with, or start a new run",
        )
    return kernels


@contextlib.contextmanager
def _retiring(cache: Cache) -> Iterator[None]:
    """Remove what of the cache is in the way of later runs, however the block ends."""
    limit = limits.of_cache()  # it may be no number: now, and not after hours
    inuse.sweep(cache)
    has_time = True
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        has_time = False  # a job that is cancelled has seconds
        raise
    finally:
        if has_time:
            inuse.keep_within(cache, TEMPLATES_BYTES, ["templates"])
            if limit is not None:
                inuse.keep_within(cache, limit)


def _to_the_end(run: _Run, cells: Sequence[Cell]) -> Evaluation:
    """Run some cells, judge the run, write its reports, and learn how long its cells took."""
    history = run.builder.cache if run.remember else None
    with keeping(run.folder, run.record, run.seen, history):
        _carry_out(run, cells)
    evaluation = finish(run.folder, run.record, run.seen, history)
    History(run.builder.cache).learn(evaluation.results, evaluation.record.accelerator)
    selecting.learn(run.folder, evaluation.record, run.builder)
    return evaluation


def _carry_out(run: _Run, cells: Sequence[Cell]) -> None:
    """Build what the cells need, run them, and look at what they left.

    A run that is gone on with may have all of its cells: then there is still to look which rows
    are worse on patched, and what the cells left.
    """
    made = _make(run, cells or run.seen.cells)
    if cells:
        _run_cells(run, cells, made)
    if again := _to_confirm(run):
        _run_cells(run, again, made, in_order=True)
    if made.builds:
        changes.look(run.folder, run.kernels, made.builds, run.builder.cache, run.seen.cells)
    postrun.look(
        run.folder, run.kernels, made.builds, run.builder.cache,
        list(_with_traces(run.folder, run.seen)),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Made:
    """The products that cells run on, by kernel.

    A kernel that no cell of the run boots has no build. ``plugin`` records coverage, if anything
    does.
    """

    builds: dict[str, Build]
    selftests: SelftestBuilds
    host: hosttests.HostBuilds
    launches: dict[str, Launch]
    plugin: Path | None = None


def _make(run: _Run, cells: Sequence[Cell]) -> _Made:
    """Build what the cells need. A run of host tests alone builds no kernel and boots none."""
    testcases = run.builder.catalogue.testcases.values()
    if not any(cell.guest.boots for cell in run.seen.cells):
        with log.fold("programs"):
            host = hosttests.build(run.kernels, cells, testcases, run.builder)
        run.record.accelerator = NO_ACCELERATOR
        run.note()
        return _Made({}, SelftestBuilds(), host, {})
    accelerator = _choose_accelerator(run, cells)
    plugin = _choose_plugin(run, accelerator)
    with log.fold("kernels and programs"):
        builds = _build_kernels(run, keep=plugin is not None)
        host = hosttests.build(run.kernels, cells, testcases, run.builder)
        selftest_builds = _build_selftests(run, cells)
        archive = _build_programs(run)
    launches = {
        # With the programs of all cells, or each filter would have saved guests of its own.
        name: Launch(
            build.image,
            selftest_builds.archive(name, archive, run.whole.cells, run.builder),
            accelerator,
        )
        for name, build in builds.items()
    }
    return _Made(builds, selftest_builds, host, launches, plugin)


def _to_confirm(run: _Run) -> tuple[Cell, ...]:
    """Return more repeats of the rows that are worse on patched; a failure seen once may be luck.

    They are in the record before the first is run, so that a run that is resumed has them.
    """
    record = run.record
    if record.comparison is None or not record.confirm or record.again:
        return ()
    found = confirm.cells_again(evaluate(run.folder, run.seen).comparison, run.seen.cells, record)
    if found:
        record.again = tuple(cell.id for cell in found)
        run.note()
        run.seen.cells = (*run.seen.cells, *found)
        log.info(f"running again what is worse on patched: {len(found)} cells")
    return found


def _build_kernels(run: _Run, *, keep: bool) -> dict[str, Build]:
    """Build the kernels that cells of the run boot.

    What is known of each is on disk when its build has ended.
    With ``keep`` their build folders are kept: the objects say which line a block is of.
    """

    def note(name: str, end: Build | KernelError) -> None:
        facts = run.record.kernels[name]
        if isinstance(end, KernelError):
            facts.error = end.message
        else:
            facts.release, facts.error, facts.image = end.release, "", file_sha256(end.image)
        run.note()
        run.folder.journal("kernel", kernel=name, key=facts.key, error=facts.error)

    booted = {cell.kernel for cell in run.seen.cells if cell.guest.boots}
    kernels = {name: kernel for name, kernel in run.kernels.items() if name in booted}
    builds = run.builder.build(kernels, note, keep=keep)
    for build in builds.values():
        _keep_build(run.folder, build)
    return builds


def _build_selftests(run: _Run, cells: Sequence[Cell]) -> SelftestBuilds:
    """Build the selftests of the kernels whose cells need them.

    Raises UserError if they are other programs than those that the run began with.
    """
    built = upstream.selftest_builds(run.kernels, cells, run.builder)
    for name in built.built:
        facts, digest = run.record.kernels[name], built.digest(name)
        if facts.selftests and facts.selftests != digest:
            raise UserError(
                f"kernel {name}: the programs of its selftests are not those that the run began "
                f"with: their digest was {facts.selftests}, is {digest}",
                hint="start a new run",
            )
        facts.selftests = digest
    return built


def _build_programs(run: _Run) -> Path:
    """Build the initramfs of the run's guests, and note what it is.

    Raises UserError if it is another one than the run began with.
    """
    testcases = run.builder.catalogue.testcases.values()
    root = run.builder.catalogue.root
    sources = programs.sources(root, testcases)  # before they are compiled
    archive = initramfs.build(root, testcases, run.builder.cache, run.architecture)
    found = Programs(file_sha256(archive), sources)
    before = run.record.programs
    if before is not None and before != found:
        raise UserError(
            "the initramfs is not the one that the run began with: its SHA-256 was "
            f"{before.initramfs}, is {found.initramfs}",
            hint="did the compiler change? start a new run",
        )
    run.record.programs = found
    return archive


def _choose_accelerator(run: _Run, cells: Sequence[Cell]) -> Accelerator:
    """Choose the accelerator of the guests, and note it."""
    accelerator = accel.choose(
        _able(run.record.accelerator, cells), run.architecture, run.builder.cache
    )
    run.record.accelerator = str(accelerator)
    run.note()
    return accelerator


def _choose_plugin(run: _Run, accelerator: Accelerator) -> Path | None:
    """Return the plugin that records what cells run, None for none, and note why."""
    found, why = recorder.plugin_for(
        run.record.lab.coverage, accelerator, run.builder.catalogue.root, run.architecture,
        run.builder.cache,
    )  # fmt: skip
    run.record.not_recorded = why
    run.note()
    return found


def _run_cells(
    run: _Run,
    cells: Sequence[Cell],
    made: _Made,
    *,
    in_order: bool = False,
) -> None:
    """Boot and save the guests, then run the cells, the longest first unless ``in_order``."""
    folder, record, builder = run.folder, run.record, run.builder
    jobs = run.jobs or default_jobs(max(cell.guest.memory_mb for cell in cells))
    configs = setups.configs_of(made.builds)
    averaged = setups.averaged(configs)
    templates = Templates(
        record.lab,
        builder.cache,
        folder.path / "boots",
        workloads=calibration.Workloads.of(builder.catalogue.testcases),
        averaged=averaged,
    )
    sources = setups.sources(templates, record.lab, averaged)
    with log.fold("guests"):
        setups.prepare(sources, cells, made.launches, jobs)
    folder.journal("templates", names=templates.names)
    reservation = DiskReservation(
        folder.path, hint="make room there, or choose another folder with --output"
    )
    kept = [cell for cell in run.seen.cells if memoryfile.of(folder, cell.id).exists()]
    quota = MemoryQuota(record.lab.postmortem, setups.readable(configs), kept)
    cell_setups = CellSetups(
        configs,
        userspaces.launches(cells, made.launches, builder),
        sources,
        selftest_builds=made.selftests,
        host_builds=made.host,
        quota=quota,
        versions=record.versions,
        recorder=Recorder(made.plugin, record.lab.coverage),
    )
    runner = Runner(folder, record, cell_setups, LocalExecutor(jobs), quota=quota, seen=run.seen)
    expected = History(builder.cache).expected(cells, record.accelerator)
    ordered = list(cells) if in_order else order(cells, expected)
    size = len(cells) * CELL_BYTES
    try:
        with (
            log.fold(f"{len(cells)} cells"),
            reservation.reserved(size, f"the evidence of {len(cells)} cells"),
        ):
            to_the_end(runner.run_all(ordered, jobs, Remaining(ordered, expected, jobs)))
    except BaseExceptionGroup as group:
        # Several guests at once may fail for one reason, such as a full disk; one tells it.
        raise _first(group) from group


def _guests(cells: Iterable[Cell]) -> Iterator[Guest]:
    """Yield the guests of cells that start one."""
    yield from (cell.guest for cell in cells if cell.guest.boots)


def _with_traces(folder: RunFolder, seen: Observations) -> Iterator[tuple[Cell, Observation]]:
    """Yield the finished cells that left a splat or a memory, also those of before a resumption."""
    done = folder.finished()
    for cell in seen.cells:
        if cell.id in done:
            showed = seen.observations.get(cell.id) or observe_cell(folder, cell)
            if showed.splats or showed.memory:
                yield cell, showed


def _able(asked: str, cells: Sequence[Cell]) -> str:
    """Return the accelerators that the guests allow; UserError if not what was asked for."""
    if not any(cell.guest.icount for cell in cells):
        return asked
    if asked == "kvm":
        raise UserError("KVM cannot count instructions", hint="leave --accel or --exact out")
    return "tcg"


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error of a group that ended the run, else its first one."""
    found = list(_leaves(group))
    return next((error for error in found if is_fatal(error)), found[0])


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors of a group and of the groups in it."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def default_jobs(guest_mb: int) -> int:
    """Return how many guests run at once: one a core, within three quarters of free memory."""
    by_memory = available_mb() * 3 // 4 // max(1, guest_mb)
    return max(1, min(len(os.sched_getaffinity(0)), by_memory))


def _keep_build(folder: RunFolder, build: Build) -> None:
    name = f"builds/{build.key}"
    for source, target in (
        (build.log, "build.log"),
        (build.config, ".config"),
        (build.folder / "fragments.diff", "fragments.diff"),
    ):
        folder.write(f"{name}/{target}", source.read_text(encoding="utf-8", errors="replace"))


def _host() -> dict[str, str]:
    return {
        "name": platform.node(),
        "system": platform.platform(),
        "cores": str(len(os.sched_getaffinity(0))),
    }


def _tools(emulators: Iterable[str]) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in (*emulators, "gcc", "bwrap", "git"):
        if proc.which(name):
            found[name] = (proc.run([name, "--version"]).text.splitlines() or [""])[0]
    return found
