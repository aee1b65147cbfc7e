# SPDX-License-Identifier: GPL-2.0
"""The default lab on an older kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def test_the_lab_runs_on_6_1_and_what_it_lacks_is_a_skip(run_lab: Any, tmp_path: Path) -> None:
    run = run_lab(
        "run", "configs/rmap.yaml", "--tree", "debian:linux-source-6.1",
        "--filter", "guest=q35|q35-tiered|q35-dimm,settings=thp-madvise|mthp-64k|thp-never",
        output=tmp_path,
    )  # fmt: skip
    assert run.status == 0, run.stdout + run.stderr
    cells = run.results["cells"]
    (reason,) = {cell["reason"] for cell in cells if cell["settings"] == "mthp-64k"}
    assert "hugepages-64kB" in reason
    # The audit is on, and what it finds is the bug of an unpatched tree.
    found = {
        subtest["name"]
        for cell in cells
        for subtest in cell["subtests"]
        if subtest["name"].startswith("lab: audit")
    }
    assert found
    assert all(name.endswith(": exclusive") for name in found)
    (demotion,) = run.cells("demote/slow-node")
    assert demotion["verdict"] == "skip"
    assert "memory tier" in demotion["reason"]
