# SPDX-License-Identifier: GPL-2.0
"""Run folders of strangers: read or refused, with nothing written elsewhere and nothing dropped."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rmaplab.errors import UserError
from rmaplab.store.runfolder import RunFolder

from .foreign_runs import Place, attempt, inspected, judged, recorded

CELL = "cells/base.q35-numa.thp-madvise.control.rss.1"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.made(tmp_path)


Record = dict[str, Any]


def changed(place: Place, change: Callable[[Record], object]) -> None:
    path = place.run / "run.json"
    record = json.loads(path.read_text("utf-8"))
    change(record)
    path.write_text(json.dumps(record), encoding="utf-8")


def test_the_example_is_judged(place: Place) -> None:
    assert judged(place) == "exit 0"


@pytest.mark.parametrize("name", ["run.json", "events.jsonl", f"{CELL}/console.log", "report.html"])
def test_a_file_of_holes_is_not_read(place: Place, name: str) -> None:
    with (place.run / name).open("ab") as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match=f"{Path(name).name} has 1048576 MB"):
        judged(place)


@pytest.mark.parametrize("name", ["events.jsonl", f"{CELL}/agent.jsonl", f"{CELL}/more", ".lock"])
def test_a_fifo_is_not_waited_for(place: Place, name: str) -> None:
    (place.run / name).unlink(missing_ok=True)
    os.mkfifo(place.run / name)
    with pytest.raises(UserError, match="is no file"):
        judged(place)


@pytest.mark.parametrize(
    "name", [".lock", ".report.html.half", "more", CELL, f"{CELL}/.x", "cells"]
)
def test_a_link_leads_nowhere(place: Place, name: str) -> None:
    path = place.run / name
    if path.exists():
        path.rename(place.run.parent / "moved")
    path.symlink_to(place.outside)
    before = place.fingerprint()
    with pytest.raises(UserError, match="is a link"):
        judged(place)
    assert place.fingerprint() == before


def test_folders_without_end_are_not_followed(place: Place) -> None:
    path = place.run / CELL
    for _ in range(400):
        path = path / ("d" * 8)
    path.mkdir(parents=True)
    with pytest.raises(UserError, match="no folders as deep"):
        RunFolder.open(place.run)


def test_a_pattern_that_takes_for_ever_is_refused(place: Place) -> None:
    changed(place, lambda r: r["lab"]["allowances"][0].update(pattern="(a+)+$"))
    with pytest.raises(UserError, match="is repeated"):
        judged(place)


@pytest.mark.parametrize("pattern", ["((", "["])
def test_a_pattern_that_is_none_is_refused(place: Place, pattern: str) -> None:
    changed(place, lambda r: r["lab"]["expectations"][0].update(splat=pattern))
    with pytest.raises(UserError, match="not a regular expression"):
        judged(place)


def test_a_lab_of_more_cells_than_can_be_run_is_refused(place: Place) -> None:
    changed(place, lambda r: r["lab"].update(repeat=900_000))
    with pytest.raises(UserError, match="cells: at most"):
        judged(place)


@pytest.mark.parametrize("change", [
    lambda r: r.update(kernels={}), lambda r: r["kernels"].pop("base"),
    lambda r: r.update(comparison=["base", "x"]),
])  # fmt: skip
def test_a_run_that_does_not_say_its_kernels_is_refused(
    place: Place, change: Callable[[Record], object]
) -> None:
    changed(place, change)
    (place.run / CELL / "memory.elf.zst").write_bytes(b"x")
    for verb in (judged, inspected, recorded):
        with pytest.raises(UserError, match="does not say which kernel"):
            verb(place)


def test_a_run_without_a_comparison_may_lack_its_kernels(place: Place) -> None:
    changed(place, lambda r: r.update(kernels={}, comparison=None))
    (place.run / CELL / "memory.elf.zst").write_bytes(b"x")
    with pytest.raises(UserError, match="does not say which kernel"):
        inspected(place)
    for testcase in (record := json.loads((place.run / "run.json").read_text("utf-8")))["lab"][
        "testcases"
    ]:
        testcase["upstream"] = {"program": "x"}
    changed(place, lambda r: r.update(record))
    assert recorded(place) == "recorded"


def test_spoilt_folders_are_borne(tmp_path: Path) -> None:
    """Spoil the same folders each time; tests/hostile has others for a minute.

    What failed there once has a test of its own above.
    """
    ends = {attempt(random.Random(seed), tmp_path) for seed in range(100, 140)}
    assert {"UserError", "exit 0"} <= ends
