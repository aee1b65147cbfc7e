# SPDX-License-Identifier: GPL-2.0
"""From a run's saved evidence to its verdicts and reports. Starts no guest, and can be repeated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rmaplab import quarantine
from rmaplab.collect.observe import observe
from rmaplab.compare import compare, prefixes
from rmaplab.errors import ExitCode, UserError
from rmaplab.judge import is_expired, judge, unmatched, unused
from rmaplab.model import (
    INSTRUCTIONS,
    Cell,
    CellResult,
    Comparison,
    Expectation,
    FindingKind,
    Mark,
    Observation,
    Summary,
    Unstable,
)
from rmaplab.model.prefixes import PatchTable
from rmaplab.pipeline import coverage, holding, pagesources
from rmaplab.pipeline.postrun import PostRunEvidence
from rmaplab.plan import plan
from rmaplab.report import html, junit, results
from rmaplab.report import summary as summary_page
from rmaplab.report.reported import ReportedRun, Revisions
from rmaplab.source import rangediff
from rmaplab.stability import unstable
from rmaplab.store import cellfiles, marksfile
from rmaplab.store.runfolder import RANGE_DIFF, RunFolder, RunRecord, planned
from rmaplab.summarize import RunEnd, summarize

_RUN_AGAIN = "lab.py resume runs the cell again"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A run's folder with everything that follows from its evidence.

    ``stale`` are the expectations that speak of no cell.
    """

    folder: RunFolder
    run: ReportedRun
    stale: tuple[Expectation, ...]

    @property
    def record(self) -> RunRecord:
        """The request, and how it was carried out."""
        return self.run.record

    @property
    def results(self) -> tuple[CellResult, ...]:
        """The results of the cells that were run."""
        return self.run.results

    @property
    def comparison(self) -> Comparison | None:
        """The comparison of an A/B."""
        return self.run.comparison

    @property
    def summary(self) -> Summary:
        """The run's answer."""
        return self.run.summary

    @property
    def remarks(self) -> tuple[str, ...]:
        """Warnings besides the verdicts, a line each."""
        return self.run.remarks

    @property
    def unstable(self) -> tuple[Unstable, ...]:
        """The testcases whose repeats differ."""
        return unstable(self.results)

    @property
    def build_errors(self) -> dict[str, str]:
        """The kernels that were not built, and why."""
        return self.record.not_built

    @property
    def exit_code(self) -> ExitCode:
        """The command's exit code."""
        return self.summary.exit_code


@dataclass(slots=True)
class Observations:
    """The part of a run that is in the memory of the lab that carries it out.

    ``cells`` are those of the plan, ``observations`` the results of ``observe_cell`` by id, for
    the cells that have finished.
    """

    cells: Sequence[Cell]
    observations: dict[str, Observation] = field(default_factory=dict)


def observe_cell(folder: RunFolder, cell: Cell) -> Observation:
    """Return a cell's Observation, from its evidence, and write the files derived from it."""
    return cellfiles.save(folder, cell.id, observe(folder.place(cell.id), cell.id))


def evaluate(folder: RunFolder, before: Observations | None = None) -> Evaluation:
    """Judge a saved run. Raises UserError if run.json cannot be read.

    What is known ``before`` is not made again; without it every cell is observed now.
    """
    record = folder.read_record()
    postrun = PostRunEvidence(folder, record)
    lab = record.lab
    if before is None:
        everything = plan(lab)
        known, size = Observations(planned(record, everything.cells)), everything.size
    else:
        known, size = before, record.lab_cells
    cells = tuple(known.cells)
    journal = folder.read_journal()
    if not record.is_whole:
        cells = tuple(cell for cell in cells if cell.id in journal.finished)
    if record.not_built:
        cells = ()
    spoilt = folder.spoilt(journal, [c.id for c in cells if c.id not in known.observations])
    judged = []
    expectations = record.expectations
    for cell in cells:
        if why := spoilt.get(cell.id):
            seen = cellfiles.save(folder, cell.id, Observation(detail=f"{why}: {_RUN_AGAIN}"))
        else:
            seen = known.observations.get(cell.id) or observe_cell(folder, cell)
        seen = postrun.onto(cell, seen)
        judged.append(CellResult(cell, seen, judge(cell, seen, expectations, record.allowlist)))
    comparison = None
    if record.comparison is not None and judged:
        a, b = record.comparison
        comparison = compare(
            a,
            b,
            [result for result in judged if result.cell.kernel == a],
            [result for result in judged if result.cell.kernel == b],
            read=lambda result: _deltas(folder, result),
            limits=lab.limits,
            expectations=expectations,
        )
    whole = len(record.cells) == size and record.is_whole
    stale = unmatched(expectations, cells) if whole and cells else ()
    remarks = (
        *record.notes,
        *_allowlist_remarks(record, judged, whole),
        *_quarantine_remarks(record, judged, whole),
        *_boot_remarks(judged),
        *_list_remarks(judged),
        *postrun.remarks,
        *filter(None, [coverage.remark(record)]),
        *_limit_remarks(record, comparison),
        *journal.remarks,
        *holding.of_folder(folder, record),
    )
    reached = coverage.of_run(folder, record, cells, spoilt)
    patches = _patch_table(record, judged) if record.patches else None
    summary = summarize(_end(record, marksfile.read(folder)), judged, comparison, patches)
    revisions = _revisions(folder, record, judged, comparison) if record.previous else None
    reported = ReportedRun(
        record, tuple(judged), comparison, summary, remarks, reached, patches, revisions
    )
    return Evaluation(folder, reported, stale)


def _revisions(
    folder: RunFolder,
    record: RunRecord,
    judged: Sequence[CellResult],
    comparison: Comparison | None,
) -> Revisions | None:
    """Return the older revision of a series, compared with the same base."""
    if comparison is None:
        return None
    sides = [
        [result for result in judged if result.cell.kernel == name]
        for name in (comparison.a, record.previous)
    ]
    older = compare(comparison.a, record.previous, *sides, expectations=record.expectations)
    try:
        text = folder.inside(RANGE_DIFF).read_text(encoding="utf-8", errors="replace")
    except (OSError, UserError):
        text = ""
    return Revisions(older, text[: rangediff.MAX_BYTES])


def _patch_table(record: RunRecord, judged: Sequence[CellResult]) -> PatchTable:
    """Return what each patch of a series does, by its kernel's comparison with the first kernel."""
    base, *_ = (kernel.name for kernel in record.lab.kernels)
    by_kernel: dict[str, list[CellResult]] = {}
    for result in judged:
        by_kernel.setdefault(result.cell.kernel, []).append(result)
    return prefixes.table(
        record.patches,
        {
            name: compare(
                base, name, by_kernel.get(base, []), results, expectations=record.expectations
            )
            for name, results in by_kernel.items()
        },
    )


def _end(record: RunRecord, marks: tuple[Mark, ...]) -> RunEnd:
    """Return how a run ended, apart from its cells."""
    return RunEnd(
        name=record.lab.name,
        asked=len(record.cells) + len(record.again),
        is_whole=record.is_whole,
        not_built=record.not_built,
        failure=record.failure,
        failure_code=record.failure_code,
        notes=tuple(_notes(record)),
        quarantine=record.quarantine,
        marks=marks,
    )


def _notes(record: RunRecord) -> Iterator[str]:
    """Yield what was tested, where that is not what the reader of an A/B expects."""
    if record.comparison is None:
        return
    base, patched = (record.kernels[name] for name in record.comparison)
    if base.image and base.image == patched.image:
        yield (
            f"{record.comparison[1]}'s image is {record.comparison[0]}'s, byte for byte: "
            "the series changes nothing of this configuration"
        )


def _allowlist_remarks(
    record: RunRecord, judged: Sequence[CellResult], whole: bool
) -> Iterator[str]:
    """Return the entries that have expired, and after a whole run those that nothing matched."""
    idle = unused(record.allowlist, judged) if whole and judged else ()
    for entry in record.allowlist.entries:
        where = f"{record.lab.path}:{entry.line}: allow {entry.pattern!r}"
        if is_expired(entry, record.allowlist.day):
            yield f"{where}: expired after {entry.until}: it allows nothing any more"
        if entry in idle:
            yield f"{where}: matches no splat of this run"


def _quarantine_remarks(
    record: RunRecord, judged: Sequence[CellResult], whole: bool
) -> Iterator[str]:
    """Return the entries that hold no more, and after a whole run those that speak of no cell."""
    over = quarantine.ended(record.quarantine)
    unused_ones = quarantine.idle(record.quarantine, judged) if whole and judged else ()
    for entry in record.quarantine.entries:
        where = f"{record.lab.path}:{entry.line}: quarantine of {', '.join(entry.testcase)}"
        if entry in over:
            yield f"{where}: ended after {entry.until}: due again, {entry.owner}: {entry.reason}"
        if entry in unused_ones:
            yield f"{where}: speaks of no cell of this run"


def _deltas(folder: RunFolder, result: CellResult) -> dict[str, int | None]:
    """Return the changes of a cell's counters, read from its folder."""
    counters = cellfiles.read_counters(folder, result.cell.id)
    return {name: change["delta"] for name, change in counters.items()}


def _limit_remarks(record: RunRecord, comparison: Comparison | None) -> Iterator[str]:
    """Name the limits that were held against nothing: they have not been kept, nor broken."""
    for limit in comparison.unchecked if comparison is not None else ():
        why = "nothing was measured: it takes --exact" if limit.name == INSTRUCTIONS else ""
        yield (
            f"{record.lab.path}:{limit.line}: limit {limit.name!r}: "
            f"{why or 'both kernels show it in no row'}"
        )


def _boot_remarks(judged: Sequence[CellResult]) -> list[str]:
    """Return the kernels that complained at boot, once each: all their cells fail for that."""
    found = {
        f"kernel {result.cell.kernel} complains at boot on {result.cell.guest.name}: "
        f"{splat.title}: none of its cells there can pass"
        for result in judged
        for splat, allowed in result.splats
        if splat.at_boot and not allowed
    }
    return sorted(found)


def _list_remarks(judged: Sequence[CellResult]) -> list[str]:
    """Return the selftests of a kernel's tree that print subtests not in their lists, once each."""
    found = {
        f"{result.cell.testcase.name} on {result.cell.kernel}: "
        f"{len(one.names)} new subtests, which are not in the list: {', '.join(one.names[:3])}"
        for result in judged
        for one in result.observation.findings
        if one.kind is FindingKind.NEW_SUBTESTS
    }
    return sorted(found)


def write_reports(evaluation: Evaluation) -> None:
    """Write every report of a run."""
    folder, run = evaluation.folder, evaluation.run
    counters = cellfiles.reader(folder)
    for name, text in (
        ("results.json", results.render(run, counters)),
        ("junit.xml", junit.pieces(run)),
        ("summary.md", summary_page.render(run)),
        ("report.html", html.render(run, pagesources.read(folder, run.record))),
    ):
        folder.write(name, text, derived=True)
