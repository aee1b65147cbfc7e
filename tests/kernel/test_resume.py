# SPDX-License-Identifier: GPL-2.0
"""A lab that is killed: nothing of it lives on, nothing measured is lost, and it can go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CELLS = "guest=q35,settings=thp-madvise,testcase=control/*|exclusive/*"
GONE_WITHIN_S = 5.0


def finished_cells(output: Path) -> list[str]:
    """The cells that the journal of the only run below ``output`` says were finished."""
    found = []
    for journal in output.glob("*/events.jsonl"):
        for line in journal.read_text("utf-8").splitlines():
            event = json.loads(line)
            if event["event"] == "cell":
                found.append(event["cell"])
    return found


def children(pid: int) -> set[int]:
    """The processes that a process has started, and those that they have."""
    found: set[int] = set()
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, tasks.read_text("ascii").split()):
            found |= {child} | children(child)
    return found


def alive(pids: set[int]) -> set[int]:
    """Those that still run; a zombie that nobody has reaped yet does not."""
    running = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            running.add(pid)
    return running


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The output folder of a lab that was killed after its third cell, amid the others."""
    argv = [sys.executable, "-m", "rmaplab", "run", "configs/rmap.yaml", "--filter", CELLS,
            "--output", str(tmp_path)]  # fmt: skip
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        started: set[int] = set()
        while len(finished_cells(tmp_path)) < 3:
            assert run.poll() is None, "the lab ended before it could be killed"
            started |= children(run.pid)
            time.sleep(0.01)
        started |= children(run.pid)
        os.kill(run.pid, signal.SIGKILL)
    ends = time.monotonic() + GONE_WITHIN_S
    while alive(started) and time.monotonic() < ends:
        time.sleep(0.05)
    assert started
    assert not alive(started)
    return tmp_path


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    argv = [sys.executable, "-m", "rmaplab", *words]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_killed_lab_goes_on_where_it_was(killed: Path) -> None:
    before = Counter(finished_cells(killed))
    (folder,) = killed.iterdir()
    assert command("report", str(folder)).returncode == 130
    resumed = command("resume", str(folder))
    assert resumed.returncode == 0, resumed.stderr
    after = Counter(finished_cells(killed))
    assert set(after.values()) == {1}, "a finished cell was run again"
    assert before.keys() < after.keys()
    results = json.loads((folder / "results.json").read_text("utf-8"))
    assert {cell["id"] for cell in results["cells"]} == set(after)
    assert {cell["as_expected"] for cell in results["cells"]} == {True}
    again = command("resume", str(folder))
    assert again.returncode == 2
    assert "nothing to go on with" in again.stderr
