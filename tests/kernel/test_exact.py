# SPDX-License-Identifier: GPL-2.0
"""Exact mode is exact: a workload's clones count the same instructions, whatever the host does."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

REPEATS = 10
LAB = """\
name: exact
kernels:
  - name: base
    tree: debian:linux-source-6.12
    config: [guest, mm, device]
guests: [q35]
settings: [thp-madvise]
testcases: [control/empty, exclusive/lifecycle]
"""


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that do nothing but compute."""
    endless = [sys.executable, "-c", "while True: pass"]
    burners = [subprocess.Popen(endless) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


@pytest.mark.parametrize("burners", [0, len(os.sched_getaffinity(0))], ids=["idle", "busy"])
def test_ten_clones_of_one_workload_give_one_figure(
    tmp_path: Path, burners: int, run_lab: Callable[..., Any]
) -> None:
    path = tmp_path / "exact.yaml"
    path.write_text(LAB, "utf-8")
    with busy(burners):
        words = ("run", str(path), "--exact", "--repeat", str(REPEATS))
        cells = run_lab(*words, output=tmp_path / "runs").results["cells"]
    assert len(cells) == 2 * REPEATS
    for testcase in ("control/empty", "exclusive/lifecycle"):
        figures = {cell["instructions"] for cell in cells if cell["testcase"] == testcase}
        assert len(figures) == 1, f"{testcase}: {sorted(figures, key=str)}"
        assert None not in figures
