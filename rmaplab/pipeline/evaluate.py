# SPDX-License-Identifier: GPL-2.0
"""From a run's saved evidence to its verdicts and reports. Starts no guest, and can be repeated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rmaplab.collect.observe import observe
from rmaplab.compare import compare
from rmaplab.errors import ExitCode
from rmaplab.judge import is_expired, judge, unmatched, unused
from rmaplab.model import (
    INSTRUCTIONS,
    Cell,
    CellResult,
    Comparison,
    Expectation,
    FindingKind,
    Observation,
    Unstable,
    Verdict,
)
from rmaplab.pipeline import holding
from rmaplab.pipeline.postrun import PostRunEvidence
from rmaplab.plan import plan
from rmaplab.report import html, junit, results, summary
from rmaplab.stability import unstable
from rmaplab.store import cellfiles
from rmaplab.store.runfolder import RunFolder, RunRecord, planned

_RUN_AGAIN = "lab.py resume runs the cell again"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A run with everything that follows from its evidence."""

    folder: RunFolder
    record: RunRecord
    results: tuple[CellResult, ...]
    comparison: Comparison | None
    stale: tuple[Expectation, ...]
    remarks: tuple[str, ...] = ()
    """Warnings besides the verdicts, a line each.

    Entries of ``allow`` that do nothing, kernels that complained before any test ran, and so on.
    """

    @property
    def unstable(self) -> tuple[Unstable, ...]:
        """The testcases whose repeats differ."""
        return unstable(self.results)

    @property
    def build_errors(self) -> dict[str, str]:
        """The kernels that were not built, and why."""
        return {name: f.error for name, f in self.record.kernels.items() if f.error}

    @property
    def exit_code(self) -> ExitCode:
        """The command's exit code; the gravest reason decides."""
        if self.build_errors:
            return ExitCode.BUILD
        if not self.record.is_whole:
            return ExitCode.INTERRUPTED
        return self._of_cells() if self.comparison is None else self._of_rows(self.comparison)

    def _of_cells(self) -> ExitCode:
        surprised = [r.judgement.verdict for r in self.results if not r.judgement.as_expected]
        if self.unstable or any(verdict is not Verdict.ERROR for verdict in surprised):
            return ExitCode.REGRESSION
        # Where all was skipped nothing was tested, and that is no good news.
        tested = any(r.judgement.verdict is not Verdict.SKIP for r in self.results)
        return ExitCode.INFRA if surprised or not tested else ExitCode.OK

    def _of_rows(self, comparison: Comparison) -> ExitCode:
        if comparison.new_splats:
            return ExitCode.REGRESSION
        bad = [row for row in comparison.rows if row.change.is_bad]
        if self.unstable or any(Verdict.ERROR not in {row.base, row.patched} for row in bad):
            return ExitCode.REGRESSION
        errors = any(r.judgement.verdict is Verdict.ERROR for r in self.results)
        return ExitCode.INFRA if bad or errors or not comparison.rows else ExitCode.OK


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
    return cellfiles.save(folder, cell.id, observe(folder.place(cell.id)))


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
    if any(facts.error for facts in record.kernels.values()):
        cells = ()
    spoilt = folder.spoilt(journal, [c.id for c in cells if c.id not in known.observations])
    judged = []
    for cell in cells:
        if why := spoilt.get(cell.id):
            seen = cellfiles.save(folder, cell.id, Observation(detail=f"{why}: {_RUN_AGAIN}"))
        else:
            seen = known.observations.get(cell.id) or observe_cell(folder, cell)
        seen = postrun.onto(cell, seen)
        judged.append(CellResult(cell, seen, judge(cell, seen, lab.expectations, record.allowlist)))
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
        )
    whole = len(record.cells) == size and record.is_whole
    stale = unmatched(lab.expectations, cells) if whole and cells else ()
    remarks = (
        *_allowlist_remarks(record, judged, whole),
        *_boot_remarks(judged),
        *_list_remarks(judged),
        *postrun.remarks,
        *_limit_remarks(record, comparison),
        *journal.remarks,
        *holding.of_folder(folder, record),
    )
    return Evaluation(folder, record, tuple(judged), comparison, stale, remarks)


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
    folder, record = evaluation.folder, evaluation.record
    judged, comparison = evaluation.results, evaluation.comparison
    counters = cellfiles.reader(folder)
    for name, text in (
        (
            "results.json",
            results.render(judged, comparison, evaluation.build_errors, counters, record.part),
        ),
        ("junit.xml", junit.pieces(judged, record.kernels, counters, comparison)),
        ("summary.md", summary.render(record, judged, comparison, evaluation.remarks)),
        ("report.html", html.render(record, judged, comparison)),
    ):
        folder.write(name, text, derived=True)
