# SPDX-License-Identifier: GPL-2.0
"""The same lab on an older kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# What was seen to be right there; the audit and the later testcases were not.
TESTCASES = (
    "control/*|exclusive/mapcount|exclusive/lifecycle|exclusive/mprotect-writable|"
    "exclusive/soft-dirty-read|exclusive/thp-*|exclusive/unsupported-mappings|T5|T8"
)


def test_the_lab_runs_on_6_1_and_what_it_lacks_is_a_skip(run_lab: Any, tmp_path: Path) -> None:
    run = run_lab(
        "run", "configs/rmap.yaml", "--tree", "debian:linux-source-6.1",
        "--no-audit", "--filter", f"guest=q35,settings=thp-madvise|mthp-64k,testcase={TESTCASES}",
        output=tmp_path,
    )  # fmt: skip
    assert run.status == 0, run.stdout + run.stderr
    reasons = {cell["reason"] for cell in run.results["cells"] if cell["settings"] == "mthp-64k"}
    (reason,) = reasons
    assert "hugepages-64kB" in reason
