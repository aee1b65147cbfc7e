# SPDX-License-Identifier: GPL-2.0
"""A run: build, boot, run every cell, judge, report; whatever happens, keep what was measured."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rmaplab import proc
from rmaplab.build import fragments, initramfs
from rmaplab.errors import InfraError, Interrupted, KernelError, RmaplabError, UserError
from rmaplab.guest import accel, command
from rmaplab.guest.command import Launch
from rmaplab.log import log
from rmaplab.model import Build, Cell, Lab, Observation
from rmaplab.pipeline import calibration, host, postrun, upstream
from rmaplab.pipeline.evaluate import (
    Evaluation,
    Observations,
    evaluate,
    observe_cell,
    write_reports,
)
from rmaplab.pipeline.hostmemory import available_mb
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.pipeline.runner import Runner
from rmaplab.pipeline.templates import Templates
from rmaplab.plan import plan
from rmaplab.schedule import Remaining, order
from rmaplab.selection import choose, narrowing
from rmaplab.store import inuse
from rmaplab.store.cache import Cache
from rmaplab.store.history import History
from rmaplab.store.reservation import DiskReservation
from rmaplab.store.runfolder import KernelFacts, RunFolder, RunRecord, now, planned

"""What cells showed, by their ids, for as long as the process that ran them lives."""


# What saved guests may take of the cache, which is some 300 of them.
TEMPLATES_BYTES = 20 << 30
# What a trivial cell leaves in a run's folder: 100 of selftest/nothing take 11 MB.
CELL_BYTES = 112 << 10


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asked of a run; ``jobs`` 0 means as many guests as the host bears."""

    lab: Lab
    command: tuple[str, ...]
    output: Path
    filter: str = ""
    sample: str = ""
    accelerator: str = "auto"
    jobs: int = 0
    comparison: tuple[str, str] | None = None


def run(asked: RunRequest, builder: KernelBuilder) -> Evaluation:
    """Run a lab and report.

    Raises UserError before anything is built if nothing would run, InfraError if the lab cannot
    work here. A KernelError of a build is reported in the run's folder and raised again, and so is
    an interruption; in both cases the reports hold what was measured.
    """
    chosen = choose(
        asked.lab,
        filter=asked.filter,
        sample=asked.sample,
        alike=asked.comparison is not None,
    )
    for emulator in command.emulators(cell.guest for cell in chosen.cells):
        proc.require(emulator)  # before the minutes that a kernel takes
    folder = RunFolder.create(asked.output, asked.lab.name)
    record = RunRecord(
        lab=asked.lab,
        cells=tuple(cell.id for cell in chosen.cells),
        command=asked.command,
        began=now(),
        comparison=asked.comparison,
        accelerator=asked.accelerator,
        host=_host(),
        tools=_tools(command.emulators(cell.guest for cell in chosen.cells)),
        lab_cells=plan(asked.lab).size,
        narrowed=narrowing(asked.filter, asked.sample),
    )
    folder.write_record(record)
    log.info(f"run folder: {folder.path}")
    seen = Observations(chosen.cells)
    with (
        _retiring(builder.cache),
        inuse.shared(builder.cache),
        folder.lock(),
        _keeping(folder, record, seen),
    ):
        _carry_out(folder, record, chosen.cells, builder, jobs=asked.jobs, seen=seen)
    return _remember(finish(folder, record, seen), builder)


def resume(folder: RunFolder, builder: KernelBuilder, jobs: int) -> Evaluation:
    """Go on with a run that was interrupted or killed: only cells that had not finished are run.

    Raises UserError if there is nothing to go on with, or if a kernel would now be another one
    than the run began with (a working tree or a series that changed).
    """
    with _retiring(builder.cache), inuse.shared(builder.cache), folder.lock():
        record = folder.read_record()
        if record.is_whole:
            raise UserError(f"{folder.path} is finished: there is nothing to go on with")
        done = folder.finished()
        cells = planned(record, plan(record.lab).cells)
        waiting = tuple(cell for cell in cells if cell.id not in done)
        for kernel in record.lab.kernels:
            began_with = record.kernels.get(kernel.name)
            if began_with is not None and builder.request(kernel).key != began_with.key:
                raise UserError(
                    f"kernel {kernel.name} is not the one that {folder.path} began with",
                    hint="its tree, series, configuration or compiler changed: start a new run",
                )
        log.info(f"{len(cells) - len(waiting)} of {len(cells)} cells were finished before")
        record.interrupted, record.ended = False, ""
        folder.write_record(record)
        seen = Observations(cells)
        with _keeping(folder, record, seen):
            _carry_out(folder, record, waiting, builder, jobs=jobs, seen=seen)
        return _remember(finish(folder, record, seen), builder)


@contextlib.contextmanager
def _retiring(cache: Cache) -> Iterator[None]:
    """Whatever becomes of a run, what is in the way of later ones goes."""
    try:
        yield
    finally:
        inuse.keep_within(cache, "templates", TEMPLATES_BYTES)


def _carry_out(
    folder: RunFolder,
    record: RunRecord,
    cells: Sequence[Cell],
    builder: KernelBuilder,
    *,
    jobs: int,
    seen: Observations,
) -> None:
    """Build what the cells need and run them; ``seen`` takes what each showed."""

    def on_facts(name: str, facts: KernelFacts) -> None:
        record.kernels[name] = facts
        folder.write_record(record)
        folder.journal("kernel", kernel=name, key=facts.key, error=facts.error)

    if not cells:
        return
    builds = builder.build(record.lab, on_facts)
    selftest_builds = upstream.selftest_builds(record.lab, cells, builder)
    architecture = record.lab.kernels[0].architecture
    archive = initramfs.build(
        builder.catalogue.root,
        builder.catalogue.testcases.values(),
        builder.cache,
        architecture,
    )
    for build in builds.values():
        _keep_build(folder, build)
    accelerator = accel.choose(_able(record.accelerator, cells), architecture, builder.cache)
    record.accelerator = str(accelerator)
    folder.write_record(record)
    everything = plan(record.lab).cells  # or each filter would have guests of its own
    launches = {
        name: Launch(
            build.image, selftest_builds.archive(name, archive, everything, builder), accelerator
        )
        for name, build in builds.items()
    }
    jobs = jobs or default_jobs(max(cell.guest.memory_mb for cell in cells))
    templates = Templates(
        record.lab,
        builder.cache,
        folder.path / "boots",
        empty=builder.catalogue.testcases[calibration.EMPTY],
        averaged=frozenset(name for name, build in builds.items() if _averages(build)),
    )
    templates.prepare(cells, launches, jobs)
    folder.journal("templates", names=templates.names)
    reservation = DiskReservation(
        folder.path, hint="make room there, or choose another folder with --output"
    )
    boots = host.launches(cells, launches, builder)
    runner = Runner(
        folder, record, builds, boots, templates, selftest_builds=selftest_builds, seen=seen
    )
    expected = History(builder.cache).expected(cells, record.accelerator)
    cells = order(cells, expected)
    try:
        with reservation.reserved(len(cells) * CELL_BYTES, f"the evidence of {len(cells)} cells"):
            asyncio.run(runner.run_all(cells, jobs, Remaining(cells, expected, jobs)))
    except BaseExceptionGroup as group:
        # Several guests at once may fail for one reason, such as a full disk; one tells it.
        raise _first(group) from group
    postrun.look(folder, record, builds, builder, list(_with_traces(folder, seen)))


def _with_traces(folder: RunFolder, seen: Observations) -> Iterator[tuple[Cell, Observation]]:
    """The finished cells that left a splat or a memory, also those of before a resumption."""
    done = folder.finished()
    for cell in seen.cells:
        if cell.id in done:
            showed = seen.observations.get(cell.id) or observe_cell(folder, cell)
            if showed.splats or showed.memory:
                yield cell, showed


def _able(asked: str, cells: Sequence[Cell]) -> str:
    """The accelerators that the guests allow; UserError if that is not what was asked for."""
    if not any(cell.guest.icount for cell in cells):
        return asked
    if asked == "kvm":
        raise UserError("KVM cannot count instructions", hint="leave --accel or --exact out")
    return "tcg"


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


@contextlib.contextmanager
def _keeping(folder: RunFolder, record: RunRecord, seen: Observations) -> Iterator[None]:
    """Whatever ends the block early: report what was measured, then raise it as the lab's error."""
    try:
        yield
    except KernelError as error:
        _keep_failed_log(folder, record, error)
        finish(folder, record, seen)
        raise
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        record.interrupted = True
        finish(folder, record, seen)
        raise Interrupted(
            f"interrupted; what was measured is in {folder.path}",
            hint=f"go on with: lab.py resume {folder.path}",
        ) from error
    except (RmaplabError, OSError) as error:
        record.interrupted = True
        with contextlib.suppress(RmaplabError, OSError):
            finish(folder, record, seen)  # on a full disk, the evidence so far is what there is
        if isinstance(error, OSError):
            raise InfraError(f"{error.filename or folder.path}: {error.strerror}") from error
        raise


def _keep_failed_log(folder: RunFolder, record: RunRecord, error: KernelError) -> None:
    """A kernel that did not build leaves no cache entry: its log goes into the run's folder."""
    for facts in record.kernels.values():
        if facts.error and error.evidence is not None and error.evidence.is_file():
            text = error.evidence.read_text(encoding="utf-8", errors="replace")
            error.evidence = folder.write(f"builds/{facts.key}/build.log", text)


def finish(folder: RunFolder, record: RunRecord, seen: Observations) -> Evaluation:
    """Note the end of a run, judge it and write its reports."""
    record.ended = now()
    folder.write_record(record)
    evaluation = evaluate(folder, seen)
    write_reports(evaluation)
    return evaluation


def _remember(evaluation: Evaluation, builder: KernelBuilder) -> Evaluation:
    """Note how long the cells took, for the order and the estimate of later runs."""
    History(builder.cache).learn(evaluation.results, evaluation.record.accelerator)
    return evaluation


def default_jobs(guest_mb: int) -> int:
    """How many guests at once: a core each, within three quarters of the free memory."""
    by_memory = available_mb() * 3 // 4 // max(1, guest_mb)
    return max(1, min(len(os.sched_getaffinity(0)), by_memory))


def _averages(build: Build) -> bool:
    """Whether a kernel's kpagecount shows an average for the pages of a large folio."""
    config = fragments.parse_config(build.config.read_text(encoding="utf-8"))
    return config.get("NO_PAGE_MAPCOUNT", "n") != "n"


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
        "system": platform.platform(),
        "cores": str(len(os.sched_getaffinity(0))),
    }


def _tools(emulators: Iterable[str]) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in (*emulators, "gcc", "bwrap", "git"):
        if proc.which(name):
            found[name] = (proc.run([name, "--version"]).text.splitlines() or [""])[0]
    return found
