# SPDX-License-Identifier: GPL-2.0
"""The kernel tests run the command as a user does, on the real kernel, once a session each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
# A cold cache has to fetch and build two kernels first.
COLD_LIMIT_S = 40 * 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder boots a kernel, and its fixtures may have to build one."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.kernel)
            item.add_marker(pytest.mark.timeout(COLD_LIMIT_S))


@dataclass(frozen=True)
class LabRun:
    """A finished command: its status, what it said, and the run's folder with its results."""

    status: int
    stdout: str
    stderr: str
    folder: Path

    @property
    def results(self) -> dict[str, Any]:
        """results.json."""
        loaded: dict[str, Any] = json.loads((self.folder / "results.json").read_text("utf-8"))
        return loaded

    def cells(self, testcase: str) -> list[dict[str, Any]]:
        """The cells of a testcase."""
        return [cell for cell in self.results["cells"] if cell["testcase"] == testcase]

    def rows(self, testcase: str) -> list[dict[str, Any]]:
        """The comparison's rows of a testcase."""
        return [row for row in self.results["comparison"]["rows"] if row["testcase"] == testcase]


def lab(*words: str, output: Path) -> LabRun:
    """Run the command; its run folder is the one that it makes below ``output``."""
    argv = [sys.executable, "-m", "rmaplab", *words, "--output", str(output)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    folders = sorted(output.iterdir()) if output.exists() else []
    assert folders, f"no run folder:\n{done.stdout}\n{done.stderr}"
    return LabRun(done.returncode, done.stdout, done.stderr, folders[-1])


@pytest.fixture(scope="session")
def run_lab() -> Callable[..., LabRun]:
    """The command, for tests that need a run of their own."""
    return lab


@pytest.fixture(scope="session")
def founding_ab(tmp_path_factory: pytest.TempPathFactory) -> LabRun:
    """The A/B of the bundled series over the default lab."""
    output = tmp_path_factory.mktemp("ab")
    return lab("ab", "configs/rmap.yaml", "--series", "patches/device-exclusive", output=output)


@pytest.fixture(scope="session")
def selftest_run(tmp_path_factory: pytest.TempPathFactory) -> LabRun:
    """The lab's selftests."""
    return lab("run", "configs/selftest.yaml", output=tmp_path_factory.mktemp("selftest"))
