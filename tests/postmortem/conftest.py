# SPDX-License-Identifier: GPL-2.0
"""A kernel with debug info, which takes long to build: ``make postmortem``, not ``make test``."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAB = "configs/postmortem.yaml"
COLD_LIMIT_S = 60 * 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the fixture its time: a cold cache has to build the kernel."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.kernel)
            item.add_marker(pytest.mark.timeout(COLD_LIMIT_S))


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """The lab's command, as a user runs it."""
    argv = [sys.executable, "-m", "rmaplab", *words]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class Crashed:
    """A run of the lab: what it said, its folder, its cells by testcase."""

    stdout: str
    folder: Path
    cells: dict[str, dict[str, Any]]

    def report(self, testcase: str) -> str:
        """drgn's report on the memory of a testcase's guest."""
        cell: str = self.cells[testcase]["id"]
        return (self.folder / "cells" / cell / "postmortem.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Crashed:
    """The lab of kernels with debug info, run once."""
    output = tmp_path_factory.mktemp("crashed")
    done = command("run", LAB, "--output", str(output))
    (folder,) = output.iterdir()
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert done.returncode == 1, done.stderr
    return Crashed(done.stdout, folder, {cell["testcase"]: cell for cell in results["cells"]})
