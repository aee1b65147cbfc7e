# SPDX-License-Identifier: GPL-2.0
"""Faults beside real guests: a QEMU that is stopped or killed, and a host with more to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .test_resume import ROOT, children

CELLS = "guest=q35,settings=thp-madvise,testcase=control/*"
BUSY = 8


def qemus(lab: int) -> set[int]:
    """The QEMUs of a lab."""
    found = set()
    for pid in children(lab):
        try:
            name = Path(f"/proc/{pid}/comm").read_text("ascii")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name.startswith("qemu-system"):
            found.add(pid)
    return found


def hurt(tmp_path: Path, number: int) -> tuple[int, list[dict[str, Any]]]:
    """Send a signal to the first QEMU of a cell; return the exit code and the cells."""
    argv = [sys.executable, "-m", "rmaplab", "run", "configs/rmap.yaml", "--filter", CELLS,
            "--jobs", "1", "--output", str(tmp_path)]  # fmt: skip
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        while not (found := list(tmp_path.glob("*/cells/*/qemu.log")) and qemus(run.pid)):
            assert run.poll() is None, "the lab ended before it had a guest"
            time.sleep(0.005)
        os.kill(min(found), number)
        run.communicate()
    (folder,) = tmp_path.iterdir()
    cells: list[dict[str, Any]] = json.loads((folder / "results.json").read_bytes())["cells"]
    return run.returncode, cells


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP", "SIGSEGV"])
def test_a_qemu_that_is_hurt_costs_its_own_cell_and_no_kernel_is_blamed(
    run_lab: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    warm = run_lab("run", "configs/rmap.yaml", "--filter", CELLS, output=tmp_path / "warm")
    assert warm.status == 0
    code, cells = hurt(tmp_path / "hurt", int(getattr(signal, name)))
    errors = [cell for cell in cells if cell["verdict"] == "error"]
    assert [cell["outcome"] for cell in errors] == ["infra"]
    verdicts = {cell["id"]: cell["verdict"] for cell in warm.results["cells"]}
    verdicts[errors[0]["id"]] = "error"
    assert {cell["id"]: cell["verdict"] for cell in cells} == verdicts
    assert code == 69


@contextmanager
def busy(times: int) -> Iterator[None]:
    """Let so many processes spin beside the block."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(times)]
    try:
        yield
    finally:
        for one in spinning:
            one.kill()
            one.wait()


def test_a_busy_host_makes_no_cell_fail(run_lab: Callable[..., Any], tmp_path: Path) -> None:
    with busy(BUSY):
        run = run_lab(
            "run", "configs/rmap.yaml", "--filter", CELLS, "--repeat", "10", output=tmp_path
        )
    assert run.status == 0, run.stdout
    assert {cell["as_expected"] for cell in run.results["cells"]} == {True}
