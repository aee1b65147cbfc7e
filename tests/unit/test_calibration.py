# SPDX-License-Identifier: GPL-2.0
"""Calibrations: what is kept beside a template is read back, or measured again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from rmaplab.collect.ledger import CALIBRATION_CLONES, UNACCOUNTED
from rmaplab.guest import cell as guest_cell
from rmaplab.guest.cellsetup import CellSetup
from rmaplab.guest.command import Accelerator, Launch
from rmaplab.model import FREE, Cell
from rmaplab.pipeline import calibration

from . import builders
from .builders import KTAP_PASS, conversation, save

CLONE = CellSetup(Launch(Path("/nonexistent"), Path("/nonexistent"), Accelerator.TCG), ())
CALM = {"/proc/vmstat": "nr_anon_pages 7\n"}


@pytest.fixture
def clones(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Clones of which the last so many die, and the others lose 3 pages each."""

    def show(dying: int) -> None:
        async def run(wanted: Cell, _bench: CellSetup, folder: Path, _program: str) -> None:
            dies = wanted.repeat >= CALIBRATION_CLONES - dying
            lines = conversation(
                *KTAP_PASS,
                before={**CALM, FREE: "1000"},
                after={**CALM, FREE: "997"},
                end="panic" if dies else "bye",
            )
            save(folder, lines)

        monkeypatch.setattr(guest_cell, "run", run)

    return show


def measured(folder: Path) -> calibration.Calibration:
    workloads = calibration.Workloads(
        *map(builders.testcase, (calibration.EMPTY, calibration.SWAPPING, calibration.MAPPING))
    )
    return asyncio.run(calibration.measure(builders.guest(), CLONE, workloads, folder))


def test_a_calibration_is_kept_and_read_back(tmp_path: Path, clones: Any) -> None:
    clones(dying=0)
    found = measured(tmp_path)
    assert found.error == ""
    assert found.bounds[UNACCOUNTED] == (-27, 24)
    assert calibration.read(tmp_path) == found
    kept = json.loads((tmp_path / "ledger.json").read_text("utf-8"))
    assert kept["clones"] == CALIBRATION_CLONES


def test_half_of_the_clones_are_enough_and_fewer_are_an_error(tmp_path: Path, clones: Any) -> None:
    clones(dying=CALIBRATION_CLONES // 2)
    assert measured(tmp_path).error == ""
    clones(dying=CALIBRATION_CLONES // 2 + 1)
    found = measured(tmp_path)
    assert "only 9 of 20 clones" in found.error
    assert calibration.read(tmp_path) == found


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"recipe": 0, "bounds": {}, "error": ""}'])
def test_what_does_not_read_is_measured_again(tmp_path: Path, text: str) -> None:
    (tmp_path / "ledger.json").write_text(text, encoding="utf-8")
    assert calibration.read(tmp_path) is None


def test_a_template_without_one_has_none(tmp_path: Path) -> None:
    assert calibration.read(tmp_path) is None


def test_bounds_that_were_changed_are_not_believed_and_that_is_said(
    tmp_path: Path, clones: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    clones(dying=0)
    measured(tmp_path)
    path = tmp_path / "ledger.json"
    path.write_text(path.read_text("utf-8").replace("-27", "-99"), encoding="utf-8")
    assert calibration.read(tmp_path) is None
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("ledger.json in the cache is damaged") == 1
