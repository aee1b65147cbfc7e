# SPDX-License-Identifier: GPL-2.0
"""Seeded bugs on a booted kernel: one that is caught, and one that is none and must be missed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rmaplab.store.cache import Cache

HERE = Path(__file__).resolve().parent
MUTANTS = HERE.parent.parent / "patches/mutants"


@pytest.fixture(scope="module")
def table(run_lab: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The verb, on a folder of two patches."""
    patches = tmp_path_factory.mktemp("patches")
    shutil.copy(MUTANTS / "unmap-soft-dirty.patch", patches)
    shutil.copy(HERE / "null.patch", patches)
    return run_lab(
        "mutants", "configs/catalogue.yaml", "--patches", str(patches), "--named",
        "--filter", "guest=q35,settings=thp-never", output=tmp_path_factory.mktemp("table"),
    )  # fmt: skip


def mutant(table: Any, name: str) -> dict[str, Any]:
    (found,) = [
        one
        for one in json.loads((table.folder / "mutants.json").read_text("utf-8"))["mutants"]
        if one["name"] == name
    ]
    return dict(found)


def test_a_seeded_bug_is_caught_by_the_testcase_that_should_tell(table: Any) -> None:
    found = mutant(table, "unmap-soft-dirty")
    assert (found["verdict"], found["by"], found["evidence"]) == (
        "caught", ["reclaim/pte-bits"], ["oracle"],
    )  # fmt: skip
    assert found["catches"][0]["told_again"] == 2


def test_a_patch_that_changes_nothing_is_missed(table: Any) -> None:
    found = mutant(table, "null")
    assert (found["verdict"], found["catches"]) == ("missed", [])
    assert found["rows"] == 1
    assert table.status == 1


def test_what_a_mutant_left_in_the_cache_is_gone(table: Any) -> None:
    made = [
        name
        for path in table.folder.glob("runs/*.mutant.*/events.jsonl")
        for line in path.read_text("utf-8").splitlines()
        if (event := json.loads(line))["event"] == "templates"
        for name in event["names"]
    ]
    assert made
    assert not [name for name in made if Cache().path("templates", name).exists()]
