# SPDX-License-Identifier: GPL-2.0
"""testcases/walkers.yaml against the source of each tree: nobody is forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmaplab.config.catalogue import Catalogue
from rmaplab.model import Tree, Walker
from rmaplab.source import tree
from rmaplab.store.cache import Cache

TREES = [f"debian:linux-source-{version}" for version in ("6.12", "7.2", "7.3")]
FOLDERS = ("mm", "kernel", "fs", "lib", "arch/x86")
# The walk's own definition and its wrappers.
SELF = {"page_vma_mapped_walk", "rmap_walk", "rmap_walk_locked"}


# They hand a walk of their own to page_vma_mkclean_one().
BY_ANOTHER = {"pfn_mkclean_range", "mapping_wrprotect_range_one"}


@pytest.fixture(scope="module", params=TREES)
def fetched(request: pytest.FixtureRequest) -> Tree:
    return tree.fetch(request.param, Cache())


def listed(fetched: Tree) -> list[Walker]:
    return [walker for walker in Catalogue().walkers if walker.is_in(fetched.version)]


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


def test_every_caller_of_page_vma_mapped_walk_is_listed(fetched: Tree) -> None:
    names = {one.name for one in listed(fetched) if one.part == "one_mapping"}
    assert callers(fetched.path, "page_vma_mapped_walk") == names - BY_ANOTHER


def test_every_caller_of_rmap_walk_is_listed(fetched: Tree) -> None:
    names = {name for walker in listed(fetched) for name in walker.through}
    # It has no folio, and walks a mapping by what rmap_walk() itself calls.
    names -= {"mapping_wrprotect_range"}
    assert callers(fetched.path, "rmap_walk", "rmap_walk_locked") == names


def defines(path: Path, name: str) -> bool:
    """Say whether a C file has a function of this name."""
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8", errors="replace")
    return re.search(rf"^[a-z].*\b{name}\(", text, re.M) is not None


def test_every_function_is_where_the_list_says(fetched: Tree) -> None:
    there = listed(fetched)
    assert [one.name for one in there if not defines(fetched.path / one.file, one.name)] == []


def test_a_function_that_the_list_says_is_not_there_is_gone(fetched: Tree) -> None:
    others = set(Catalogue().walkers) - set(listed(fetched))
    assert [one.name for one in others if defines(fetched.path / one.file, one.name)] == []
