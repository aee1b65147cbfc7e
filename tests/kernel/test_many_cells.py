# SPDX-License-Identifier: GPL-2.0
"""Hundreds of cells with a few that kill, stall or flood their guests: only those fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

LAB = """\
name: many
kernels:
  - name: base
    tree: debian:linux-source-6.12
    config: [guest, mm, device]
guests: [q35]
settings: [thp-madvise]
testcases:
  - {name: selftest/nothing, repeat: 300}
  - {name: selftest/panic, repeat: 2}
  - {name: selftest/hang, repeat: 1}
  - {name: selftest/flood, repeat: 2}
audit: false
"""


def test_a_bad_cell_costs_no_other_cell_anything(
    run_lab: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "many.yaml"
    path.write_text(LAB, "utf-8")
    done = run_lab("run", str(path), output=tmp_path / "reports")
    assert done.status == 1
    ended = Counter(
        (cell["testcase"], cell["outcome"], cell["verdict"]) for cell in done.results["cells"]
    )
    assert ended == {
        ("selftest/nothing", "completed", "pass"): 300,
        ("selftest/panic", "panic", "fail"): 2,
        ("selftest/hang", "timeout", "fail"): 1,
        ("selftest/flood", "completed", "error"): 2,
    }


def test_cells_that_share_a_guest_keep_their_evidence_apart(
    run_lab: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "shared.yaml"
    path.write_text(
        LAB.replace("[q35]", "[q35-shared]")
        .replace("repeat: 300", "repeat: 5")
        .replace("repeat: 2", "repeat: 1"),
        "utf-8",
    )
    done = run_lab("run", str(path), "--filter", "selftest/nothing|selftest/panic",
                   output=tmp_path / "reports")  # fmt: skip
    ended = Counter((cell["testcase"], cell["verdict"]) for cell in done.results["cells"])
    assert ended == {("selftest/nothing", "pass"): 5, ("selftest/panic", "fail"): 1}
    for console in done.folder.glob("cells/*nothing*/console.log"):
        said = console.read_bytes()
        assert said.count(b"Linux version") == 1
        assert said.count(b"rmaplab: begin ") == 1
        assert b"Kernel panic" not in said
