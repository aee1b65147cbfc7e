# SPDX-License-Identifier: GPL-2.0
"""A console that complains right now: the golden logs do, healthy ones do not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rmaplab.collect.splats import complaint_in, severity_of
from rmaplab.model import Severity

GOLDEN = Path(__file__).resolve().parents[2] / "golden/console"
# Told from what a boot prints, that lines are missing, or a page that is dumped: no moment.
NO_MOMENT = {"unexpected-reboot", "console-cut", "page-dump"}


def first_complaint(log: Path) -> str:
    """As a console reader meets it: line by line."""
    lines = log.read_bytes().splitlines(keepends=True)
    return next((kind for line in lines if (kind := complaint_in(line))), "")


@pytest.mark.parametrize("log", sorted(GOLDEN.glob("*.log")), ids=lambda log: log.stem)
def test_a_golden_logs_complaint_is_noticed_when_it_comes(log: Path) -> None:
    splats = json.loads(log.with_suffix(".json").read_text(encoding="utf-8"))
    kinds = {splat["kind"] for splat in splats}
    looked_at = {k for k in kinds - NO_MOMENT if severity_of(k) is not Severity.NOTICE}
    assert bool(first_complaint(log)) is bool(looked_at), kinds


def test_chatter_marks_and_a_programs_signal_are_no_complaint() -> None:
    assert not complaint_in(
        b"[    1.000000][    T1] rmaplab: begin /bin/exclusive/mapcount\n"
        b"[    1.000001][   T77] traps: x[77] general protection fault ip:40 sp:7f error:0 in x\n"
        b"ok 1 WARNING: nothing\n"
    )


def test_the_first_of_several_lines_counts() -> None:
    assert complaint_in(
        b"[    1.0] quiet\r\n"
        b"[    1.000001][   T77] BUG: Bad page map in process x  pte:1 pmd:2\r\n"
        b"[    1.000002][   T77] Kernel panic - not syncing: x\r\n"
    ) == "bad-page-map"  # fmt: skip
