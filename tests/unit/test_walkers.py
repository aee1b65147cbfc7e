# SPDX-License-Identifier: GPL-2.0
"""Every rmap walker that can be reached has a testcase, and testcases name known ones only."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import DiagnosticsError

WALKERS = """\
one_mapping:
  - {name: try_to_unmap_one, file: mm/rmap.c, through: [try_to_unmap]}
whole_folio:
  - {name: rmap_walk_anon, file: mm/rmap.c}
"""
TESTCASE = """\
id: T1
summary: a testcase
kind: test
walkers: [try_to_unmap_one]
settings: [thp-never]
limit_s: 10
"""


def project(root: Path, walkers: str = WALKERS, testcase: str = TESTCASE) -> Catalogue:
    folder = root / "testcases" / "a"
    folder.mkdir(parents=True)
    (root / "testcases/walkers.yaml").write_text(walkers, encoding="utf-8")
    (folder / "one.yaml").write_text(testcase, encoding="utf-8")
    (folder / "one.c").write_text("int main(void) {}\n", encoding="utf-8")
    return Catalogue(root)


def test_every_walker_that_can_be_reached_has_a_testcase() -> None:
    undriven = [
        walker.name
        for walker, testcases in Catalogue().driven_by().items()
        if not testcases and not walker.unreachable
    ]
    assert not undriven


def test_what_is_called_unreachable_has_no_testcase() -> None:
    reached = [
        walker.name
        for walker, testcases in Catalogue().driven_by().items()
        if testcases and walker.unreachable
    ]
    assert not reached


def test_a_walker_without_a_testcase_is_in_the_table(tmp_path: Path) -> None:
    driven = {walker.name: testcases for walker, testcases in project(tmp_path).driven_by().items()}
    assert [one.name for one in driven["try_to_unmap_one"]] == ["a/one"]
    assert driven["rmap_walk_anon"] == ()


def test_a_walker_that_is_not_listed_is_a_mistake(tmp_path: Path) -> None:
    catalogue = project(tmp_path, testcase=TESTCASE.replace("unmap_one", "unmap_on"))
    said = "no 'try_to_unmap_on'; did you mean 'try_to_unmap_one'?"
    with pytest.raises(DiagnosticsError, match=re.escape(said)):
        catalogue.driven_by()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "rmap_walk_anon",
            "try_to_unmap_one",
            "walkers.yaml:4: try_to_unmap_one is here twice for",
        ),
        ("mm/rmap.c}", "rmap}", "walkers.yaml:4: whole_folio.0.file:"),
        ("whole_folio", "whole", "unknown key 'whole'; did you mean 'whole_folio'?"),
    ],
)
def test_a_broken_list_says_where(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(DiagnosticsError, match=re.escape(said)):
        _ = project(tmp_path, WALKERS.replace(old, new)).walkers


MOVED = """\
one_mapping:
  - {name: try_to_unmap_one, file: mm/rmap.c, tree: "<6.17"}
  - {name: try_to_unmap_one, file: mm/unmap.c, tree: ">=6.17"}
whole_folio:
  - {name: rmap_walk_anon, file: mm/rmap.c}
"""


def test_a_function_that_moved_is_in_one_place_of_each_tree(tmp_path: Path) -> None:
    catalogue = project(tmp_path, MOVED)
    for version, place in (("6.12.117", "mm/rmap.c"), ("7.3.4", "mm/unmap.c")):
        (there,) = [
            one
            for one in catalogue.walkers
            if one.name == "try_to_unmap_one" and one.is_in(version)
        ]
        assert there.file == place
        assert catalogue.driven_by()[there]


@pytest.mark.parametrize("other", ['">=6.16"', '"<6.18"', '""', '">=6.10,<6.12"'])
def test_ranges_of_a_function_that_meet_are_a_mistake(tmp_path: Path, other: str) -> None:
    with pytest.raises(DiagnosticsError, match=r"walkers\.yaml:3: try_to_unmap_one is here twice"):
        _ = project(tmp_path, MOVED.replace('">=6.17"', other)).walkers
