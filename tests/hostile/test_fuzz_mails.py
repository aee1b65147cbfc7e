# SPDX-License-Identifier: GPL-2.0
"""Boxes of mails, spoilt for a minute: each is a series of one sender, or refused."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ..unit.foreign_mails import attempt

SECONDS = 60


@pytest.mark.family("fuzz: mails")
@pytest.mark.whole
def test_spoilt_boxes(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """A failure's message has the seed that makes its box again (foreign_mails.attempt)."""
    first = random.SystemRandom().randrange(1 << 40)
    tried, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        attempt(first + tried, tmp_path)
        tried += 1
    assert tried > 50
    record_property("tried", tried)
