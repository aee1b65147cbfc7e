# SPDX-License-Identifier: GPL-2.0
"""Run folders of strangers, spoilt for a minute and given to report, resume, inspect and new."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ..unit.foreign_runs import attempt
from .fuzz import for_a_minute


@pytest.mark.family("fuzz: run folders")
def test_spoilt_run_folders(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    tried = for_a_minute(lambda rng: attempt(rng, tmp_path))
    assert tried > 50
    record_property("tried", tried)
