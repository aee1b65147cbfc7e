# SPDX-License-Identifier: GPL-2.0
"""Runs of any evidence, for tests of the reports."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from rmaplab.compare import compare
from rmaplab.errors import ExitCode
from rmaplab.failures import fingerprint
from rmaplab.judge import judge
from rmaplab.model import Cell, CellResult, Fault, Mark, Observation, Outcome, Quarantine
from rmaplab.report.reported import ReportedRun

from .builders import (
    cell,
    expectation,
    facts,
    failed,
    finding,
    observation,
    passed,
    quarantined,
    reported,
    result,
    splat,
    testcase,
)

SHOWN: dict[str, Observation] = {
    "pass": observation(passed()),
    "fail": observation(failed()),
    "other": observation(passed(), failed("another")),
    "skip": observation(skip="needs swap"),
    "lost": observation(outcome=Outcome.LOST, fault=Fault.LAB, detail="QEMU ended"),
    "splat": observation(passed(), splats=[splat()]),
    "panic": observation(outcome=Outcome.PANIC, splats=[splat("kernel BUG in demo_dup")]),
    "leak": observation(passed(), findings=[finding()]),
}
TESTCASES = [testcase(), testcase("migrate/pages", id="T2"), testcase("split/thp", id="T3")]
PATTERNS = st.sampled_from(["*/mapcount", "migrate/*", "*"])
EXPECTED = [expectation("migrate/*", kernel="base")]


FAILURES = st.sampled_from(
    sorted(filter(None, (fingerprint(result(seen)) for seen in SHOWN.values())))
)


def ended(where: Cell, how: str) -> CellResult:
    return CellResult(where, SHOWN[how], judge(where, SHOWN[how], EXPECTED))


@st.composite
def runs(draw: Any) -> ReportedRun:
    """A run of up to three testcases, compared or not, whole or not, of any evidence."""
    compared = draw(st.booleans())
    kernels = ("base", "patched") if compared else ("base",)
    results = [
        ended(cell(kernel=kernel, testcase=one, repeat=repeat), how)
        for one in TESTCASES[: draw(st.integers(0, 3))]
        for kernel in kernels
        for repeat, how in enumerate(
            draw(st.lists(st.sampled_from([*SHOWN]), min_size=0, max_size=2)), 1
        )
    ]
    of = {name: [r for r in results if r.cell.kernel == name] for name in kernels}
    comparison = compare("base", "patched", of["base"], of["patched"]) if compared else None
    how = draw(st.sampled_from(["whole", "whole", "interrupted", "killed", "failed", "unbuilt"]))
    every: dict[str, dict[str, Any]] = {
        "whole": {},
        "interrupted": {"interrupted": True},
        "killed": {"ended": ""},
        "failed": {"interrupted": True, "failure": "no KVM", "failure_code": ExitCode.USAGE},
        "unbuilt": {"kernels": {"base": facts(), "patched": facts(error="mm/rmap.c:3: no")}},
    }
    changes = every[how]
    if how == "unbuilt":
        results, comparison = [], None
    asked = len(results) + (how != "whole")
    days = draw(st.sampled_from(["", "2026-12-31", "2027-01-01"]))
    held = Quarantine(tuple(quarantined(one) for one in draw(st.sets(PATTERNS))), days)
    marks = [Mark(one, "no bug", "me", "2026-11-30") for one in draw(st.sets(FAILURES))]
    return reported(results, comparison, asked=asked, quarantine=held, marks=marks, **changes)
