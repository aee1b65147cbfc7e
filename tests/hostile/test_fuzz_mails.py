# SPDX-License-Identifier: GPL-2.0
"""Boxes of mails, spoilt for a minute: each is a series of one sender, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ..unit.foreign_mails import attempt
from .fuzz import for_a_minute


@pytest.mark.family("fuzz: mails")
def test_spoilt_boxes(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    tried = for_a_minute(lambda rng: attempt(rng, tmp_path))
    assert tried > 50
    record_property("tried", tried)
