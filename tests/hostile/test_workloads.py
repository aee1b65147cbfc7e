# SPDX-License-Identifier: GPL-2.0
"""Carry out each hostile workload beside an honest one: its verdict is right, the other passes.

The run's reports and all that the lab prints are looked through for bytes that reach a terminal.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import resource
from pathlib import Path

import pytest

from rmaplab.guest import cell as guest_cell
from rmaplab.guest import session, vm
from rmaplab.guest.cellsetup import CellSetup
from rmaplab.guest.command import Accelerator, Launch
from rmaplab.model import Cell, Limits, Verdict
from rmaplab.pipeline.evaluate import evaluate, write_reports
from rmaplab.plan import plan
from rmaplab.store.runfolder import RunFolder
from tests.unit import builders
from tests.unit.scripted_agent import Script, machine

from .workloads import DISHONEST, FAMILIES, HONEST, NASTY, HostileWorkload

LIMITS = Limits(boot_s=20, ready_s=1.0, silence_s=1.0)
GUEST = builders.guest(limits=LIMITS, devices=())
LAB = builders.lab(
    guests=[GUEST],
    testcases=[
        builders.testcase("exclusive/mapcount", limit_s=20),
        builders.testcase("exclusive/lifecycle", id="T2", limit_s=20),
    ],
)
SETUP = CellSetup(Launch(Path("/nonexistent"), Path("/nonexistent"), Accelerator.KVM), (), audit=())
CELLS = plan(LAB).cells
EVIDENCE_BYTES = 66 << 20
MEMORY_KB = 1 << 20
ATTEMPTS = [
    pytest.param(one, id=one.name, marks=pytest.mark.family(f"workloads: {family}"))
    for family, ones in FAMILIES.items()
    for one in ones
]
# C0 and C1 controls but for line ends and tabs, bidi controls, lone surrogates.
UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def carried_out(one: HostileWorkload, cell: Cell, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Run a cell whose guest behaves so."""
    script = machine(patch, Script(said=tuple(one.said), exit=dict(one.exit), console=one.console,
                                   answers=dict(one.answers), ready=dict(one.ready)))  # fmt: skip
    folder.mkdir(parents=True)
    program = f"/bin/{cell.testcase.name}"
    asyncio.run(asyncio.wait_for(guest_cell.run(cell, SETUP, folder, program), 60))
    assert script.guests == 1, "no guest was started"


def reported(tmp_path: Path) -> list[Verdict]:
    """Judge and report the run; the verdicts of its cells in their order."""
    folder = RunFolder(tmp_path)
    folder.write_record(builders.record(LAB, [cell.id for cell in CELLS]))
    for cell in CELLS:
        folder.journal("cell", cell=cell.id)
    evaluation = evaluate(folder)
    write_reports(evaluation)
    return [one.judgement.verdict for one in evaluation.results]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no better witness, and for no last words: none comes here."""
    for module in (session, vm):
        monkeypatch.setattr(module, "SETTLE_S", 0.01)


@pytest.mark.parametrize("one", ATTEMPTS)
def test_workload(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    one: HostileWorkload,
) -> None:
    hostile, honest = CELLS
    cells = tmp_path / "cells"
    carried_out(one, hostile, cells / hostile.id, monkeypatch)
    carried_out(HONEST, honest, cells / honest.id, monkeypatch)
    found = reported(tmp_path)
    said = capfd.readouterr()
    assert found[0] in one.verdicts, found
    assert found[1] is Verdict.PASS
    assert not UNSAFE.search(said.out + said.err)
    for path in (tmp_path / "cells" / hostile.id).iterdir():
        assert path.stat().st_size < EVIDENCE_BYTES
    for name in ("results.json", "junit.xml", "summary.md", "report.html"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert not UNSAFE.search(text), name
        assert name == "results.json" or "<script>alert" not in text, name
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < MEMORY_KB


@pytest.mark.control
@pytest.mark.family("workloads: output")
@pytest.mark.parametrize("one", [HONEST, DISHONEST], ids=lambda one: one.name)
def test_the_script_without_an_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one: HostileWorkload
) -> None:
    for cell in CELLS:
        carried_out(one, cell, tmp_path / "cells" / cell.id, monkeypatch)
    assert {*reported(tmp_path)} == one.verdicts


@pytest.mark.control
@pytest.mark.family("workloads: output")
def test_bytes_for_a_terminal_are_known_as_such() -> None:
    assert UNSAFE.search(NASTY)
    assert not UNSAFE.search("a\tb\n\u00e9")
    assert dataclasses.replace(HONEST, console=b"x") != HONEST
