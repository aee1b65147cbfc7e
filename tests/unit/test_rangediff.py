# SPDX-License-Identifier: GPL-2.0
"""git range-diff of two revisions, in a repository of the lab's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from rmaplab.model import Series, Tree
from rmaplab.source import rangediff
from rmaplab.source.series import load

from .repositories import commit, git, repository

TEXT = "".join(f"line {n}\n" for n in range(1, 40))


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    made = repository(tmp_path / "linux", {"Makefile": "VERSION = 6\n", "mm/x.c": TEXT})
    git(made, "tag", "base")
    return made


def revision(repo: Path, name: str, *steps: tuple[str, Mapping[str, str]]) -> Series:
    git(repo, "checkout", "--quiet", "-B", name, "base")
    for subject, files in steps:
        commit(repo, subject, files)
    found = load(f"git:{repo}#base..{name}", repo)
    git(repo, "checkout", "--quiet", "base")
    return found


def tree_of(repo: Path) -> Tree:
    return Tree("dir:linux", repo, "6.0.0", "", "digest")


def test_changed_new_and_equal_patches_are_told_apart(repo: Path) -> None:
    first = TEXT.replace("line 5\n", "line five\n")
    thirty, more = (
        first.replace("line 30\n", line) for line in ("line thirty\n", "line 30 and more\n")
    )
    five = ("mm: five", {"mm/x.c": first})
    old = revision(repo, "old", five, ("mm: thirty", {"mm/x.c": thirty}))
    file = ("mm: a file", {"mm/new.c": "int x;\n"})
    new = revision(repo, "new", five, ("mm: thirty", {"mm/x.c": more}), file)
    said = rangediff.range_diff(tree_of(repo), old, new)
    marks = [line.split()[2] for line in said.splitlines() if line[:2] in {"1:", "2:", "-:"}]
    assert marks == ["=", "!", ">"]
    assert "+line 30 and more" in said


def test_a_revision_that_does_not_apply_is_said_and_is_no_error(repo: Path) -> None:
    old = revision(repo, "old", ("mm: five", {"mm/x.c": TEXT.replace("line 5\n", "five\n")}))
    (repo / "mm/x.c").write_text("other\n", encoding="utf-8")
    assert "there is no range-diff: patch 1/1" in rangediff.range_diff(tree_of(repo), old, old)


def test_attributes_of_a_series_run_nothing(repo: Path, tmp_path: Path) -> None:
    """A filter or a diff driver needs a configuration, and there is none of anybody's."""
    marked = {".gitattributes": "* filter=x diff=x merge=x\n", "mm/x.c": TEXT + "more\n",
              "dot.gitconfig": f"[filter \"x\"]\n\tclean = touch {tmp_path}/ran\n"}  # fmt: skip
    old = revision(repo, "old", ("mm: one", marked))
    new = revision(repo, "new", ("mm: one", {**marked, "mm/x.c": TEXT + "most\n"}))
    assert "+most" in rangediff.range_diff(tree_of(repo), old, new)
    assert not (tmp_path / "ran").exists()
