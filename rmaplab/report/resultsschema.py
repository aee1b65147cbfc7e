# SPDX-License-Identifier: GPL-2.0
"""The schema of results.json, made of the dataclasses whose facts it holds."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from rmaplab.model import (
    Answer,
    ComparedSplat,
    ComparisonRow,
    Counts,
    Finding,
    Item,
    Limit,
    Outcome,
    RunState,
    SavedMemory,
    Splat,
    Unstable,
    Verdict,
)
from rmaplab.model.coverage import FunctionCoverage, LineCoverage, Reach
from rmaplab.model.prefixes import Episode, PatchFacts, PatchRow


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _of(noun: type, called: str, /, **more: Any) -> Any:
    """Return a model of a dataclass, with the keys that results.json adds or has otherwise."""
    hints = get_type_hints(noun)
    fields = {field.name: (hints[field.name], ...) for field in dataclasses.fields(noun)}
    added = {key: (kind, ...) for key, kind in more.items()}
    every: dict[str, Any] = {**fields, **added}
    return create_model(called, __base__=_Facts, **every)


ItemFacts = _of(Item, "ItemFacts", phrase=str)
SplatFacts = _of(Splat, "SplatFacts", allowed=str)
FindingFacts = _of(Finding, "FindingFacts", name=str)
MemoryFacts = _of(SavedMemory, "MemoryFacts")


class PatchTableFacts(_Facts):
    """A series that was checked patch by patch."""

    patches: list[_of(PatchFacts, "PatchFacts")]  # type: ignore[valid-type]
    rows: list[_of(PatchRow, "PatchRow")]  # type: ignore[valid-type]
    episodes: list[_of(Episode, "Episode", phrase=str)]  # type: ignore[valid-type]


class PreviousFacts(_Facts):
    """An older revision of the series, compared with the same base."""

    kernel: str
    rows: list[_of(ComparisonRow, "PreviousRow")]  # type: ignore[valid-type]
    range_diff: str


class SummaryFacts(_Facts):
    """The answer of the run."""

    state: RunState
    answer: Answer
    exit_code: Literal[0, 1, 2, 3, 69, 130]
    headline: str
    why: list[str]
    notes: list[str]
    counts: _of(Counts, "CountFacts")  # type: ignore[valid-type]
    red: list[ItemFacts]  # type: ignore[valid-type]
    quarantined: list[ItemFacts]  # type: ignore[valid-type]


class KernelFacts(_Facts):
    """The parts of a kernel."""

    tree: str
    origin: str
    release: str
    series: str
    patches: list[str]
    build: str
    image: str


class SubtestFacts(_Facts):
    """One result of a workload, or a finding."""

    name: str
    verdict: Verdict
    known: bool
    detail: str


class CounterFacts(_Facts):
    """One counter; null where the kernel did not show it."""

    before: int | None
    after: int | None
    delta: int | None


class CellFacts(_Facts):
    """One cell with what it showed."""

    id: str
    kernel: str
    guest: str
    settings: str
    device: str
    testcase: str
    repeat: int
    outcome: Outcome
    verdict: Verdict
    reason: str
    expected: Verdict
    as_expected: bool
    subtests: list[SubtestFacts]
    findings: list[FindingFacts]  # type: ignore[valid-type]
    splats: list[SplatFacts]  # type: ignore[valid-type]
    counters: dict[str, CounterFacts]
    settings_read: dict[str, str]
    instructions: int | None
    memory: MemoryFacts | None  # type: ignore[valid-type]
    duration_s: float


class SplatRow(_Facts):
    """A row in which a splat moved."""

    testcase: str
    settings: str
    guest: str
    device: str


class ComparisonFacts(_Facts):
    """The two kernels of an A/B, row by row."""

    base: str
    patched: str
    rows: list[_of(ComparisonRow, "RowFacts")]  # type: ignore[valid-type]
    splats: list[_of(ComparedSplat, "ComparedSplatFacts", rows=list[SplatRow])]  # type: ignore[valid-type]
    unchecked: list[_of(Limit, "LimitFacts")]  # type: ignore[valid-type]


class FileCoverageFacts(_Facts):
    """A changed file: its changed lines and functions, and by which testcases they were run."""

    path: str
    note: str
    lines: list[_of(LineCoverage, "LineCoverageFacts")]  # type: ignore[valid-type]
    functions: list[_of(FunctionCoverage, "FunctionCoverageFacts")]  # type: ignore[valid-type]


class CoverageFacts(_Facts):
    """The part of a series that was run."""

    kernel: str
    error: str
    cells: int
    incomplete: list[str]
    lines: dict[Reach, int]
    files: list[FileCoverageFacts]


class Results(_Facts):
    """results.json of a run (docs/run-folder.md)."""

    schema_version: Literal[1]
    summary: SummaryFacts
    kernels: dict[str, KernelFacts]
    build_errors: dict[str, str]
    not_run: str
    unstable: list[_of(Unstable, "UnstableFacts")]  # type: ignore[valid-type]
    comparison: ComparisonFacts = None  # type: ignore[assignment]
    coverage: list[CoverageFacts] = None  # type: ignore[assignment]
    patches: PatchTableFacts = None  # type: ignore[assignment]
    previous: PreviousFacts = None  # type: ignore[assignment]
    cells: list[CellFacts]
