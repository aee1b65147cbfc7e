# SPDX-License-Identifier: GPL-2.0
"""Lab files of strangers, spoilt for a minute: each is read, or refused with its name."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from rmaplab.config import labfile
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import UserError

from ..unit.foreign_yaml import spoilt
from .fuzz import for_a_minute

ROOT = Path(__file__).parents[2]


@pytest.mark.family("fuzz: lab files")
def test_spoilt_lab_files(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    catalogue = Catalogue()
    labs = [path.read_text("utf-8") for path in sorted((ROOT / "configs").glob("*.yaml"))]
    path = tmp_path / "lab.yaml"

    def attempt(rng: random.Random) -> None:
        text = spoilt(rng, rng.choice(labs))
        path.write_bytes(text)
        try:
            labfile.read(path, catalogue)
        except UserError as error:
            assert str(path) in error.message, text
        except Exception as error:
            raise AssertionError(f"{error!r}: {text!r}") from error

    tried = for_a_minute(attempt)
    assert tried > 100
    record_property("tried", tried)
