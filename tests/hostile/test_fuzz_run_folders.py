# SPDX-License-Identifier: GPL-2.0
"""Run folders of strangers, spoilt for a minute and given to report, resume, inspect and new."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ..unit.foreign_runs import attempt

SECONDS = 60


@pytest.mark.family("fuzz: run folders")
@pytest.mark.whole
def test_spoilt_run_folders(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """A failure's message has the seed that makes its folder again (foreign_runs.attempt)."""
    first = random.SystemRandom().randrange(1 << 40)
    tried, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        attempt(first + tried, tmp_path)
        tried += 1
    assert tried > 50
    record_property("tried", tried)
