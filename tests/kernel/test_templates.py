# SPDX-License-Identifier: GPL-2.0
"""Templates: cells start from the same moment, and a damaged template is noticed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

MAKING = "making the template of base on q35"
CELLS = "guest=q35,settings=thp-madvise,testcase=control/empty"


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with templates of its own; everything else is the usual one's."""
    from rmaplab.store.cache import Cache  # noqa: PLC0415 - before the environment changes

    usual = Cache().root
    own = tmp_path / "cache"
    own.mkdir()
    for section in ("downloads", "trees", "sources", "builds", "initramfs"):
        (usual / section).mkdir(parents=True, exist_ok=True)
        (own / section).symlink_to(usual / section)
    monkeypatch.setenv("RMAPLAB_CACHE", str(own))
    return own


def run(run_lab: Any, output: Path, *more: str) -> Any:
    """Run the trivial cell, some times over."""
    done = run_lab("run", "configs/rmap.yaml", "--filter", CELLS, *more, output=output)
    assert done.status == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("which", ["booted", "settled"])
@pytest.mark.parametrize(("part", "harm"), [("state", "cut"), ("node0.ram", "changed")])
def test_a_damaged_template_is_made_again(
    own_cache: Path, run_lab: Any, tmp_path: Path, part: str, harm: str, which: str
) -> None:
    first = run(run_lab, tmp_path / "first")
    assert f"{MAKING} with thp-madvise" in first.stderr
    second = run(run_lab, tmp_path / "second")
    assert MAKING not in second.stderr
    folders = list((own_cache / "templates").glob("[0-9a-f]*"))
    (victim,) = (folder / part for folder in folders if _is(which, folder))
    if harm == "cut":
        os.truncate(victim, victim.stat().st_size // 2)
    else:
        with victim.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 64)
    third = run(run_lab, tmp_path / "third")
    assert f"{part} is not as it was saved" in third.stderr
    assert MAKING in third.stderr


def _is(which: str, folder: Path) -> bool:
    """Return whether a template is the one that booted, or the one with the cell's settings.

    A third one has the settings that the guest boots with: the ledger is calibrated on it.
    """
    if which == "booted":
        return not (folder / "settled.json").exists()
    state = folder / "prologue.jsonl"
    return state.exists() and '"ev": "setting"' in state.read_text("utf-8")


def test_clones_do_not_see_each_other(own_cache: Path, run_lab: Any, tmp_path: Path) -> None:
    done = run(run_lab, tmp_path / "repeats", "--repeat", "8")
    consoles = [path.read_bytes() for path in done.folder.glob("cells/*/console.log")]
    assert len(consoles) == 8
    for console in consoles:
        assert console.count(b"Linux version") == 1, "the template's boot comes first"
        assert console.count(b"rmaplab: begin ") == 1, "and no other cell's workload"
        assert console.count(b"rmaplab: end ") == 1, "and what the kernel said last is there"


@pytest.mark.parametrize("spare", [True, False])
def test_a_clone_rehearses_before_its_turn_where_a_cpu_is_idle(
    run_lab: Any, tmp_path: Path, spare: bool
) -> None:
    cpus = len(os.sched_getaffinity(0))
    jobs = max(1, cpus - 1) if spare else cpus
    done = run(run_lab, tmp_path, "--jobs", str(jobs), "--repeat", "2")
    for cell in done.cells("control/empty"):
        said = (done.folder / "cells" / cell["id"] / "agent.jsonl").read_text(encoding="utf-8")
        lines = [json.loads(line) for line in said.splitlines()]
        events = [line["ev"] for line in lines if not line.get("template")]
        before, after = events[: events.index("turn")], events[events.index("turn") :]
        assert (before[-3:] == ["request", "rehearsed", "STOP"]) is (jobs < cpus)
        assert "RESUME" in after
        assert "rehearsed" not in after
