# SPDX-License-Identifier: GPL-2.0
"""Coverage on the real kernel: what testcases claim to drive, and the founding series."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab.cli.runs import builder
from rmaplab.config.catalogue import Catalogue
from rmaplab.pipeline import proven
from rmaplab.pipeline.proven import ProvenWalker

from ..kernel.conftest import COLD_LIMIT_S, LabRun, lab

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(2 * COLD_LIMIT_S)]

LAB = "configs/rmap.yaml"
SERIES = "patches/device-exclusive"
# The base fails some testcases before they come to their walker: the series' kernel does not.
RUNS = (("ab", LAB, "--series", SERIES), ("run", "configs/catalogue.yaml"))


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The run folders of both labs, each cell recorded."""
    words = ("--accel", "tcg", "--coverage")
    return [lab(*run, *words, output=tmp_path_factory.mktemp("cover")).folder for run in RUNS]


@pytest.fixture(scope="session")
def walkers(recorded: list[Path]) -> list[ProvenWalker]:
    catalogue = Catalogue()
    return proven.of_runs(recorded, catalogue, builder(catalogue, 0))


def test_each_testcase_reaches_the_walkers_that_it_names(walkers: list[ProvenWalker]) -> None:
    assert list(proven.claims(walkers)) == []


def test_each_walker_is_run_by_one_that_names_it(walkers: list[ProvenWalker]) -> None:
    assert [
        one.walker.name
        for one in walkers
        if not (one.proven or one.walker.unreachable or one.unrecorded)
    ] == []


def test_nobody_reaches_what_is_said_to_be_unreachable(walkers: list[ProvenWalker]) -> None:
    assert [one.walker.name for one in walkers if one.walker.unreachable and one.others] == []


@pytest.fixture(scope="session")
def compared(tmp_path_factory: pytest.TempPathFactory) -> LabRun:
    only = "guest=q35,settings=thp-never"
    words = ("ab", LAB, "--series", SERIES, "--accel", "tcg", "--filter", only)
    return lab(*words, output=tmp_path_factory.mktemp("ab"))


def test_the_founding_series_is_run_by_its_own_testcases(compared: LabRun) -> None:
    (found,) = compared.results["coverage"]
    assert found["error"] == ""
    assert found["incomplete"] == []
    assert found["lines"]["run"] > found["lines"]["not run"]
    rmap = next(file for file in found["files"] if file["path"] == "mm/rmap.c")
    by = {one["name"]: one["by"] for one in rmap["functions"]}
    assert "exclusive/mapcount" in by["page_make_device_exclusive_one"]
    assert "control/empty" not in by["page_make_device_exclusive_one"]
