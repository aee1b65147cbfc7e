# SPDX-License-Identifier: GPL-2.0
"""An A/B of any size that never was run, as report.html would get it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from rmaplab.compare import compare
from rmaplab.judge import judge
from rmaplab.model import (
    Cell,
    CellResult,
    CheckedValue,
    FindingKind,
    Outcome,
    Subtest,
    Verdict,
)
from rmaplab.report.htmlsources import PageSources, Stage
from rmaplab.report.reported import ReportedRun
from rmaplab.store.cellfiles import CounterFacts
from tests.unit import builders

GUESTS = ("q35", "q35-numa", "q35-dimm", "q35-tiered", "q35-private")
DEVICES = ("none", "dmirror")
SETTINGS = ("thp-never", "thp-always", "thp-madvise", "mthp-64k", "hugetlb-2m")
GROUPS = ("exclusive", "migrate", "reclaim", "split", "collapse", "device", "fork", "ksm")
_COUNTERS = 24
_EVIDENCE = ("console.log", "agent.jsonl", "counters.json", "splats.json", "reproduce.sh")


def large_run(cells: int = 10_000) -> tuple[ReportedRun, PageSources]:
    """Give an A/B of so many cells, a tenth of whose rows are fixed and a hundredth worse."""
    chance = random.Random(1)
    results: dict[str, list[CellResult]] = {"base": [], "patched": []}
    columns = [(g, d, s) for g in GUESTS for d in DEVICES for s in SETTINGS]
    for number in range(cells // 2):
        line, column = divmod(number, len(columns))
        guest, device, settings = columns[column]
        name = f"{GROUPS[line % len(GROUPS)]}/case-{line:03}"
        fate = chance.random()
        for kernel, some in results.items():
            fails = (kernel == "base" and fate < 0.1) or (kernel == "patched" and fate > 0.99)
            where = builders.cell(
                kernel=kernel,
                guest=builders.guest(guest),
                settings=builders.settings(settings),
                testcase=builders.testcase(name, id=name),
                device=device,
            )
            some.append(_result(chance, where, fails=fails))
    comparison = compare("base", "patched", results["base"], results["patched"], read=_deltas)
    run = builders.reported([*results["base"], *results["patched"]], comparison)
    return run, PageSources(
        stages=(Stage("kernel base", 0, 400), Stage("cells", 400, 9000)),
        evidence=lambda _: _EVIDENCE,
        again=lambda cell: f"./lab.py ab big.yaml --series x.mbox --filter cell={cell}",
        counters=_counters,
    )


def _result(chance: random.Random, where: Cell, *, fails: bool) -> CellResult:
    subtests = [
        Subtest(f"part-{n}", Verdict.PASS, f"pages: {chance.randrange(64)}\nRssAnon: {4 * n} kB")
        for n in range(6)
    ]
    splats, outcome = [], Outcome.COMPLETED
    if fails:
        subtests[2] = builders.failed(
            "part-2", f"sum of mapcounts: {chance.randrange(64)}, expected 64"
        )
        if chance.random() < 0.3:
            outcome = Outcome.SPLAT
            trace = "\n".join(
                f"[{chance.random() * 99:12.6f}][   T{n}]  try_to_migrate_one+0x{n:x}/0x940"
                for n in range(60)
            )
            splats = [builders.splat("WARNING in try_to_migrate_one", excerpt=trace)]
    seen = builders.observation(*subtests, splats=splats, outcome=outcome)
    if fails:
        found = builders.finding(FindingKind.AUDIT, "8 pages have another mapcount", amount=8)
        seen = replace(seen, findings=(found,))
    values = (
        CheckedValue("part-2", "sum of mapcounts", 1, 0 if fails else 64, 64 if fails else None),
    )
    seen = replace(seen, values=values, duration_s=round(chance.random() * 5, 3))
    return CellResult(where, seen, judge(where, seen, ()))


def _counters(cell: str) -> CounterFacts:
    chance = random.Random(cell)
    found: CounterFacts = {}
    for n in range(_COUNTERS):
        before, delta = chance.randrange(100_000), chance.randrange(1, 5000)
        found[f"vmstat.counter_{n}"] = {"before": before, "after": before + delta, "delta": delta}
    return found


def _deltas(result: CellResult) -> Mapping[str, int | None]:
    worse = result.judgement.verdict is Verdict.FAIL
    return {"vmstat.thp_split_page": 3 if worse else 0}
