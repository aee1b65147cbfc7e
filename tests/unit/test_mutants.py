# SPDX-License-Identifier: GPL-2.0
"""Each seeded bug says what it breaks, for which base, and which testcases should tell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rmaplab.config.catalogue import Catalogue
from rmaplab.source import series

ROOT = Path(__file__).resolve().parent.parent.parent
MUTANTS = sorted((ROOT / "patches/mutants").glob("*.patch"))


def header(text: str, name: str) -> str:
    found = re.findall(rf"^{name}: (.+)$", text, re.MULTILINE)
    assert len(found) == 1, f"{name}: {len(found)} times"
    return str(found[0])


def test_there_are_some() -> None:
    assert len(MUTANTS) >= 12


@pytest.mark.parametrize("path", MUTANTS, ids=lambda path: path.stem)
def test_a_mutant_is_described(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert header(text, "Base") in {"base", "patched", "both"}
    assert header(text, "Subject").startswith("[PATCH] mm")
    unknown = set(header(text, "Testcases").split()) - Catalogue().testcases.keys()
    assert not unknown


@pytest.mark.parametrize("path", MUTANTS, ids=lambda path: path.stem)
def test_a_mutant_is_a_series_of_one(path: Path) -> None:
    assert len(series.load(str(path), ROOT).patches) == 1
