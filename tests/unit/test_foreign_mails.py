# SPDX-License-Identifier: GPL-2.0
"""Boxes of mails that somebody has spoilt: a series of one sender, or a message."""

from __future__ import annotations

import random
from pathlib import Path

from .foreign_mails import attempt


def test_spoilt_boxes_are_borne(tmp_path: Path) -> None:
    """Spoil the same boxes each time; tests/hostile has others for a minute."""
    found = [attempt(random.Random(seed), tmp_path) for seed in range(60)]
    assert 10 < sum(one is None for one in found) < 50
