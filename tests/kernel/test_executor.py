# SPDX-License-Identifier: GPL-2.0
"""Real cells carried out in other processes, from JSON: the run is the same as without."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
CELLS = "guest=q35|q35-numa,settings=thp-madvise,testcase=control/*"
ELSEWHERE = """\
import sys
sys.path.insert(0, "tests/unit")
from process_executor import ProcessExecutor
from rmaplab import cli
from rmaplab.pipeline import run

run.LocalExecutor = ProcessExecutor
cli.main()
"""
_SAME = ("id", "outcome", "verdict", "reason", "as_expected", "splats", "instructions")
"""The keys of a cell in results.json that are no matter of time or of page frame numbers."""


def test_cells_from_json_in_processes_of_their_own_end_as_those_of_this_one(
    run_lab: Callable[..., Any], tmp_path: Path
) -> None:
    words = ("run", "configs/rmap.yaml", "--filter", CELLS)
    here = run_lab(*words, output=tmp_path / "here")
    argv = [sys.executable, "-c", ELSEWHERE, *words, "--output", str(tmp_path / "there")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == here.status == 0, done.stderr
    (folder,) = (tmp_path / "there").iterdir()
    there = type(here)(done.returncode, done.stdout, done.stderr, folder)
    assert _facts(there) == _facts(here)
    assert any(cell["verdict"] == "pass" for cell in _facts(there))


def _facts(run: Any) -> list[dict[str, Any]]:
    """Return what has to be the same of each cell, in the order of their ids."""
    found = []
    for cell in sorted(run.results["cells"], key=lambda cell: str(cell["id"])):
        subtests = [(one["name"], one["verdict"]) for one in cell["subtests"]]
        counters = sorted(cell["counters"])
        found.append({name: cell[name] for name in _SAME} | {"of": (subtests, counters)})
    return found
