# SPDX-License-Identifier: GPL-2.0
"""Narrow a run to the testcases that reach what its series touches (``--touched``)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from rmaplab.build import programs
from rmaplab.build.kernel import OBJECTS
from rmaplab.errors import UserError
from rmaplab.evidence.blocks import RunBlocks
from rmaplab.log import log
from rmaplab.model import ResolvedKernel, RowKey
from rmaplab.pipeline import coverage, touched
from rmaplab.pipeline.kernels import KernelBuilder, Kernels
from rmaplab.plan import Plan, Row, plan
from rmaplab.store import reached
from rmaplab.store.runfolder import RunFolder, RunRecord, planned
from rmaplab.touched import ChosenTestcase, choose, spread, thinned

CORE = "control/"
"""The beginning of the names of the testcases that are always run."""
FILE = "touched.json"
"""The file of a run's folder that has each testcase, taken or not, and why."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of a plan that is run, what was chosen, and ``words`` on what was left out.

    ``unbound`` are the reasons for which nothing could be left out.
    """

    plan: Plan
    choices: tuple[ChosenTestcase, ...]
    unbound: tuple[str, ...]
    words: str

    def save(self, folder: RunFolder) -> None:
        """Write what was chosen and why into the run's folder."""
        facts = {"unbound": self.unbound, "testcases": [asdict(one) for one in self.choices]}
        folder.write(FILE, json.dumps(facts, indent=1) + "\n")


def narrow(chosen: Plan, kernels: Kernels, builder: KernelBuilder) -> Selection:
    """Return the rows of the testcases that reach what the series touches, and a fixed core.

    The base is built if it is not in the cache. Raises UserError without a series, KernelError if
    the base cannot be built.
    """
    kernel = _with_series(kernels)
    base = builder.build({"base": kernel.base}, keep=True)["base"]
    runnable = [row.first for row in chosen.rows if not row.first.skip]
    rows = Counter(one.testcase.name for one in runnable if one.kernel == kernel.kernel.name)
    sources = programs.sources(builder.catalogue.root, builder.catalogue.testcases.values())
    known = reached.known(builder.cache, kernel.base.key, rows, sources)
    named = touched.named_by(builder.catalogue)
    found = touched.of_series(kernel, base.folder / OBJECTS, known, named, builder.cache)
    core = {name for name in rows if name.startswith(CORE)}
    choices = choose(found.places, rows, core=core, unrecorded=rows.keys() - known.keys())
    if found.unbound:
        why = f"the series touches {'; '.join(found.unbound)}"
        log.info(f"--touched leaves nothing out: {why}"[:1000])
        every = tuple(ChosenTestcase(name, True, why) for name in rows)
        return Selection(chosen, every, found.unbound, "leaves nothing out")
    left = {one.testcase: one.why for one in choices if not one.taken}
    part = chosen
    for name, why in left.items():
        part = part.keep(
            [row for row in part.rows if row.first.testcase.name != name], f"{why} (--touched)"
        )
    kept = thinned(choices, rows)
    part = part.keep(_spread_rows(part, kept), "its testcase is in other rows (--touched)")
    words = _words(choices)
    if (fewer := sum(kept.values())) < sum(rows[name] for name in kept):
        words += f", in {fewer} of {sum(rows[name] for name in kept)} rows"
    log.info(f"--touched: {words}")
    return Selection(part, choices, (), words)


def _spread_rows(part: Plan, kept: Mapping[str, int]) -> list[Row]:
    """Return rows of each testcase, as many as it keeps, alike for all kernels."""
    places: dict[str, dict[RowKey, None]] = {}
    for row in part.rows:
        if not row.first.skip:
            places.setdefault(row.first.testcase.name, {}).setdefault(row.first.row)
    wanted: set[RowKey] = set()
    for name, some in places.items():
        keys = list(some)
        wanted |= {keys[at] for at in spread(len(keys), min(len(keys), kept[name]))}
    return [row for row in part.rows if row.first.skip or row.first.row in wanted]


def _with_series(kernels: Kernels) -> ResolvedKernel:
    for kernel in kernels.values():
        if kernel.own.patches:
            return kernel
    raise UserError("--touched asks what a series touches: name it with --series")


def _words(choices: tuple[ChosenTestcase, ...]) -> str:
    taken = [one for one in choices if one.taken]
    unrecorded = sum(one.why.startswith("nothing is recorded") for one in taken)
    words = [f"{len(taken)} of {len(choices)} testcases"]
    words += [f"{unrecorded} of them because nothing is recorded of them"] if unrecorded else []
    if nothing := len(choices) - len(taken):
        words += [f"{nothing} reach nothing that the series touches"]
    return ", ".join(words)


def learn(folder: RunFolder, record: RunRecord, builder: KernelBuilder) -> None:
    """Keep what the cells of a run ran of each kernel, for later choices."""
    if record.programs is None:
        return
    ran: dict[str, dict[str, list[RunBlocks]]] = {}
    done = folder.finished()
    cells = [cell for cell in planned(record, plan(record.lab).cells) if cell.id in done]
    for cell, found in coverage.each_cell(folder, cells):
        if found.is_whole:
            ran.setdefault(cell.kernel, {}).setdefault(cell.testcase.name, []).append(found)
    for name, some in ran.items():
        reached.learn(builder.cache, record.kernels[name].key, some, record.programs.sources)
