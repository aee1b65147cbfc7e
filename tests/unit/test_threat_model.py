# SPDX-License-Identifier: GPL-2.0
"""docs/threat-model.md names tests that are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_FILE = re.compile(r"\btest_\w+\.py")
# Part of the name of a test, as the page has it: without test_ and without its end.
_TEST = re.compile(r"(?<![\w/.-])(?!test_)[a-z]+(?:_[a-z0-9]+){2,}(?![\w/.=(])")


def missing(page: str) -> Iterator[str]:
    """Yield the files and tests of a page's tables that are not there."""
    paths = list((ROOT / "tests").rglob("test_*.py"))
    files = {path.name for path in paths}
    texts = (path.read_text(encoding="utf-8") for path in paths)
    defined = {name for text in texts for name in re.findall(r"def (test_\w+)", text)}
    rows = [line for line in page.splitlines() if line.startswith("|")]
    for line in rows:
        yield from (name for name in _FILE.findall(line) if name not in files)
        cells = line.strip("|").split("|")
        held = " ".join(cells[1:] if len(cells) == 2 else cells[2:])
        for name in _TEST.findall(held):
            if not any(f"_{name}" in one for one in defined):
                yield name


def test_each_test_that_the_threat_model_names_is_there() -> None:
    page = (ROOT / "docs/threat-model.md").read_text(encoding="utf-8")
    assert list(missing(page)) == []
    assert len(_FILE.findall(page)) > 40
    assert len(_TEST.findall(page)) > 40


@pytest.mark.parametrize(
    "row", ["| a | test_nothing_here.py |", "| a | b | no_such_test_of_ours |"]
)
def test_a_name_of_no_test_is_found(row: str) -> None:
    assert list(missing(row))
