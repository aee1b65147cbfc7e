# SPDX-License-Identifier: GPL-2.0
"""`list kernels` says what was tested of each kernel, and with what result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rmaplab.pipeline.tested import KernelHistory, of_kernel, of_no_lab

from .builders import kernel
from .test_cli import FAIL, PASS, Command, Show, command, guests, lab_file

# Fixtures of other files.
__all__ = ["command", "guests", "lab_file"]


def known(
    version: str = "7.3.4", tree: str = "dir:/a", passed: int = 1, last: str = "1"
) -> KernelHistory:
    config = " ".join(kernel().fragments)
    return KernelHistory(tree, version, config, passed, 0, 0, 0, 0, last)


def test_a_kernel_has_the_results_of_its_tree_alone() -> None:
    found = [known("6.12.1"), known("7.3.4"), known(tree="dir:/b")]
    assert of_kernel(kernel(tree="dir:/a"), found) == (found[0], found[1])
    assert of_no_lab([kernel(tree="dir:/a")], found) == (found[2],)


def test_of_one_version_the_last_counts() -> None:
    first, second = known(passed=1), known(passed=9, last="2")
    assert of_kernel(kernel(tree="dir:/a"), [first, second]) == (second,)


def test_a_line_says_what_was_expected_and_what_was_not() -> None:
    one = KernelHistory("debian:x", "7.3.4", "mm", 40, 3, 2, 1, 1, "2026-11-30T10:00:00+00:00")
    assert one.summary == (
        "7.3.4: 40 pass, 3 fail (1 not expected), 2 skip, 1 error, last on 2026-11-30"
    )
    fine = KernelHistory("debian:x", "7.3.4", "mm", 40, 3, 0, 0, 0, "2026-11-30T10:00:00+00:00")
    assert fine.summary == "7.3.4: 40 pass, 3 fail as expected, last on 2026-11-30"


def listed(command: Command) -> list[dict[str, Any]]:
    answer = command("list", "kernels", "--format", "json")
    assert answer.code == 0, answer.err
    found: list[dict[str, Any]] = json.loads(answer.out)
    return found


def test_without_a_run_nothing_was_tested(command: Command) -> None:
    assert all(one["tested"] == [] for one in listed(command))
    assert "not tested on this host" in command("list", "kernels").out


def test_a_run_says_what_was_tested(command: Command, guests: Show, lab_file: Path) -> None:
    for shown, counts in ((PASS, (1, 0, 0)), (FAIL, (0, 1, 1))):
        guests(base=shown)
        command("run", lab_file, "--accel", "tcg")
        (one,) = [one for one in listed(command) if one["tested"]]
        (tested,) = one["tested"]
        assert (tested["passed"], tested["failed"], tested["alarms"]) == counts
    assert "1 fail (1 not expected)" in " ".join(command("list", "kernels").out.split())
