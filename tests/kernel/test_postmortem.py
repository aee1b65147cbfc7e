# SPDX-License-Identifier: GPL-2.0
"""Memories of guests that end badly, on a kernel without debug info (tests/postmortem has one)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rmaplab.store import memoryfile

ROOT = Path(__file__).resolve().parents[2]
ENDS = {"selftest/panic": "panic", "selftest/reset": "reset", "selftest/hang": "time"}
# The ends of these cells without a memory: test_misbehaving_guests.py.
OUTCOMES = {"selftest/panic": "panic", "selftest/reset": "lost", "selftest/hang": "timeout"}
EVERY = "|".join([*ENDS, "control/empty"])


@pytest.fixture(scope="module")
def kept(run_lab: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The selftests that end badly, and one that does not, with a memory of each."""
    return run_lab(
        "run", "configs/selftest.yaml", "--postmortem", "8", "--filter", f"testcase={EVERY}",
        output=tmp_path_factory.mktemp("kept"),
    )  # fmt: skip


def memories(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"cells/*/{memoryfile.NAME}"))


@pytest.mark.parametrize("testcase", ENDS)
def test_a_clone_that_ends_badly_leaves_its_memory(
    kept: Any, testcase: str, tmp_path: Path
) -> None:
    (cell,) = kept.cells(testcase)
    assert (cell["memory"]["why"], cell["memory"]["error"]) == (ENDS[testcase], "")
    memoryfile.unpack(kept.folder / "cells" / cell["id"] / memoryfile.NAME, tmp_path / "elf")
    with (tmp_path / "elf").open("rb") as file:
        notes = file.read(1 << 16)
    assert notes.startswith(b"\x7fELF")
    # vmcoreinfo is handed over when the template boots, and the clone takes it over.
    assert b"VMCOREINFO" in notes
    assert b"OSRELEASE=6.12" in notes


@pytest.mark.parametrize("testcase", ENDS)
def test_it_ends_as_it_would_without(kept: Any, testcase: str) -> None:
    (cell,) = kept.cells(testcase)
    assert (cell["outcome"], cell["verdict"]) == (OUTCOMES[testcase], "fail"), cell["reason"]


def test_one_that_ends_well_leaves_none(kept: Any) -> None:
    (cell,) = kept.cells("control/empty")
    assert cell["verdict"] == "pass"
    assert cell["memory"] is None
    assert len(memories(kept.folder)) == len(ENDS)


def test_without_debug_info_the_report_says_that_there_is_none(kept: Any) -> None:
    for memory in memories(kept.folder):
        text = memory.with_name(memoryfile.REPORT).read_text(encoding="utf-8")
        assert "built without debug info" in text
    words = [sys.executable, "-m", "rmaplab", "inspect", memories(kept.folder)[0].parent.name,
             "--run", str(kept.folder), "--report"]  # fmt: skip
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 69
    assert "built without debug info" in done.stderr
    assert "debuginfo" in done.stderr


def test_a_run_keeps_no_more_than_it_was_asked_for(
    run_lab: Callable[..., Any], tmp_path: Path
) -> None:
    run = run_lab(
        "run", "configs/selftest.yaml", "--postmortem", "1", "--repeat", "2",
        "--filter", "testcase=selftest/panic", output=tmp_path,
    )  # fmt: skip
    assert len(memories(run.folder)) == 1
    assert [cell["outcome"] for cell in run.cells("selftest/panic")] == ["panic", "panic"]
    assert "memory kept" in run.stdout


def test_nothing_is_kept_of_a_kernel_without_debug_info_unless_asked_for(selftest_run: Any) -> None:
    assert memories(selftest_run.folder) == []
