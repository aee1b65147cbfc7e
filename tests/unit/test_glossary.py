# SPDX-License-Identifier: GPL-2.0
"""The glossary speaks of classes and pages that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")


def test_each_class_of_the_glossary_is_in_the_package() -> None:
    nouns = {line.split("|")[1] for line in TEXT.splitlines() if line.startswith("| ")}
    named = {name for cell in nouns for name in re.findall(r"`([A-Z]\w+)`", cell)}
    classes = {
        node.name
        for path in (ROOT / "rmaplab").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    assert len(named) > 30
    assert named <= classes


def test_each_page_that_the_glossary_links_is_there() -> None:
    pages = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert pages
    assert all((ROOT / "docs" / page).is_file() for page in pages)


def test_no_noun_is_explained_twice() -> None:
    nouns = [line.split("|")[1].strip() for line in TEXT.splitlines() if line.startswith("| ")]
    words = [word.strip("` ") for noun in nouns if noun != "noun" for word in noun.split(", ")]
    assert sorted(words) == sorted(set(words))
