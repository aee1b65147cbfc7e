# SPDX-License-Identifier: GPL-2.0
"""testcases/walkers.yaml against the source of the default kernel: nobody is forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmaplab.config.catalogue import Catalogue
from rmaplab.source import tree
from rmaplab.store.cache import Cache

TREE = "debian:linux-source-6.12"
FOLDERS = ("mm", "kernel", "fs", "lib", "arch/x86")
# The walk's own definition and its wrappers.
SELF = {"page_vma_mapped_walk", "rmap_walk", "rmap_walk_locked"}


@pytest.fixture(scope="module")
def source() -> Path:
    return tree.fetch(TREE, Cache()).path


def functions(text: str) -> Iterator[tuple[str, str]]:
    """Name and body of each function of a C file in the kernel's style."""
    starts = [
        (match.start(), match.group(1))
        for match in re.finditer(r"^[a-z][^;={}#]*?\b(\w+)\([^;{}]*\)\s*\{$", text, re.MULTILINE)
    ]
    for (start, name), (end, _) in zip(starts, [*starts[1:], (len(text), "")], strict=True):
        yield name, text[start:end]


def callers(source: Path, *called: str) -> set[str]:
    pattern = re.compile(rf"\b(?:{'|'.join(called)})\(")
    found: set[str] = set()
    for folder in FOLDERS:
        for path in (source / folder).rglob("*.c"):
            text = path.read_text(encoding="utf-8", errors="replace")
            text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
            if pattern.search(text):
                found |= {name for name, body in functions(text) if pattern.search(body)}
    return found - SELF


def test_every_caller_of_page_vma_mapped_walk_is_listed(source: Path) -> None:
    listed = {w.name for w in Catalogue().walkers.values() if w.part == "one_mapping"}
    # It hands its walk to page_vma_mkclean_one().
    assert callers(source, "page_vma_mapped_walk") == listed - {"pfn_mkclean_range"}


def test_every_caller_of_rmap_walk_is_listed(source: Path) -> None:
    listed = {name for walker in Catalogue().walkers.values() for name in walker.through}
    assert callers(source, "rmap_walk", "rmap_walk_locked") == listed


def test_every_function_is_where_the_list_says(source: Path) -> None:
    missing = [
        walker.name
        for walker in Catalogue().walkers.values()
        if not re.search(
            rf"^[^\s].*\b{walker.name}\(", (source / walker.file).read_text("utf-8"), re.M
        )
    ]
    assert not missing
