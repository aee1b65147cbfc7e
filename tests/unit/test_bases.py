# SPDX-License-Identifier: GPL-2.0
"""Which tree a series is for, and what stands where it does not apply."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import ExitCode, PatchError, UserError
from rmaplab.model import Series
from rmaplab.pipeline import bases as settle
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.source import bases, rejects, repository
from rmaplab.source import series as series_source
from rmaplab.source.rejects import Hunk
from rmaplab.store.cache import Cache

from . import builders
from .repositories import commit, git
from .repositories import repository as a_repository

RMAP = "".join(f"line {n}\n" for n in range(1, 61))
MAKEFILE = "VERSION = 6\nPATCHLEVEL = {}\nSUBLEVEL = 0\n"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """Three releases, each of which changes a line; a fix and a change on top of the second."""
    repo = a_repository(
        tmp_path / "linux", {"Makefile": MAKEFILE.format(1), "mm/rmap.c": RMAP, "mm/x.c": "x\n"}
    )
    git(repo, "tag", "v6.1")
    for number, line in ((9, 10), (10, 30)):
        text = (repo / "mm/rmap.c").read_text(encoding="utf-8")
        changed = text.replace(f"line {line}\n", f"line {line} of v6.{number}\n")
        commit(repo, f"Linux 6.{number}",
               {"Makefile": MAKEFILE.format(number), "mm/rmap.c": changed})  # fmt: skip
        git(repo, "tag", f"v6.{number}")
    git(repo, "checkout", "--quiet", "-b", "topic", "v6.9")
    text = (repo / "mm/rmap.c").read_text(encoding="utf-8")
    fixed = git(repo, "rev-parse", "--short=12", "v6.9").strip()
    first = text.replace("line 29\n", "line twenty-nine\n")
    commit(repo, f'mm/rmap: a change\n\nWhy.\n\nFixes: {fixed} ("Linux 6.9")', {"mm/rmap.c": first})
    commit(repo, "mm/rmap: another", {"mm/rmap.c": first.replace("line 31\n", "line thirty-one\n")})
    git(repo, "checkout", "--quiet", "main")
    nothing = git(repo, "hash-object", "-t", "tree", "-w", "/dev/null").strip()
    git(repo, "tag", "next-0", git(repo, "commit-tree", "-m", "no files", nothing).strip())
    return repo


def saved(repo: Path, *options: str) -> str:
    path = repo.parent / "series.mbox"
    text = git(repo, "format-patch", "--stdout", *options, "v6.9..topic")
    path.write_text(text, encoding="utf-8")
    return str(path)


def load(spec: str) -> Series:
    return series_source.load(spec, Path("/nowhere"))


def test_the_first_tag_on_which_a_series_applies_is_its_base(repo: Path) -> None:
    series = load(saved(repo))
    found = bases.choose(series, bases.of_repository(f"git:{repo}", series))
    assert found.tree == f"git:{repo}#v6.9"
    assert "1 of 1 files are as its index lines say" in found.said[0]


def test_the_index_lines_go_before_the_order_of_the_tags(repo: Path) -> None:
    """v6.9 has the very file; the newer v6.10 is not even tried."""
    git(repo, "tag", "v7.0", "v6.10")
    series = load(saved(repo))
    (found,) = bases.choose(series, bases.of_repository(f"git:{repo}", series)).said
    assert "does not apply" not in found


def test_without_index_lines_the_newest_tag_that_bears_the_series_is_taken(repo: Path) -> None:
    path = Path(saved(repo))
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(one for one in lines if not one.startswith("index ")), encoding="utf-8")
    series = load(str(path))
    found = bases.choose(series, bases.of_repository(f"git:{repo}", series))
    assert found.tree == f"git:{repo}#v6.9"
    assert "it does not apply to v6.10" in found.said[0]


def test_the_base_commit_of_the_series_goes_first(repo: Path) -> None:
    commit_id = git(repo, "rev-parse", "v6.9").strip()
    series = load(saved(repo, "--base=v6.9", "--cover-letter"))
    found = bases.choose(series, bases.of_repository(f"git:{repo}", series))
    assert found.tree == f"git:{repo}#{commit_id}"
    assert "the series' base-commit" in found.said[0]


def test_a_pattern_chooses_among_the_tags(repo: Path) -> None:
    series = load(saved(repo))
    with pytest.raises(PatchError, match="applies to no tree of 2") as caught:
        bases.choose(series, bases.of_repository(f"git:{repo}#*0", series))
    assert caught.value.exit_code is ExitCode.BUILD
    assert caught.value.hint
    with pytest.raises(UserError, match="no tag"):
        list(bases.of_repository(f"git:{repo}#v5*", series))


def test_where_it_applies_nowhere_the_nearest_tree_says_what_stands_there(repo: Path) -> None:
    series = load(saved(repo))
    with pytest.raises(PatchError) as caught:
        bases.choose(series, bases.of_repository(f"git:{repo}#v6.10", series))
    lines = [line.strip() for line in caught.value.message.splitlines()]
    assert "mm/rmap.c: hunk #1 at line 26: it wants (-), and line 26 has (+)" in lines
    assert "-line 30" in lines
    assert "+line 30 of v6.10" in lines


def test_what_the_series_says_and_the_base_does_not_have_is_said(repo: Path) -> None:
    series = load(saved(repo))
    found = repository.find(repo)
    assert list(bases.remarks(series, series_source.EMPTY, "v6.9", found)) == []
    (said,) = bases.remarks(series, series_source.EMPTY, "v6.1", found)
    assert "which v6.1 does not have" in said


def test_a_prerequisite_is_looked_for_below(repo: Path) -> None:
    path = repo.parent / "second.patch"
    path.write_text(
        git(repo, "format-patch", "--stdout", "--base=v6.9", "-1", "topic"), encoding="utf-8"
    )
    second, first = load(str(path)), load(f"git:{repo}#v6.9..topic~1")
    assert second.prerequisites == bases.patch_ids(first)
    assert list(bases.remarks(second, first, "v6.9", None)) == []
    (said,) = bases.remarks(second, series_source.EMPTY, "v6.9", None)
    assert "needs 1 other patch first" in said


def builder(tmp_path: Path) -> KernelBuilder:
    return KernelBuilder(Catalogue(), Cache(tmp_path / "cache"), 1)


def test_of_the_labs_trees_the_first_that_bears_the_series_is_taken(
    repo: Path, tmp_path: Path
) -> None:
    trees = [f"git:{repo}#v6.10", f"git:{repo}#v6.9"]
    lab = builders.lab(kernels=[builders.kernel(f"k{n}", tree=t) for n, t in enumerate(trees)])
    found = settle.choose("auto", lab, [saved(repo)], (), builder(tmp_path))
    assert found.tree == trees[1]


@pytest.mark.parametrize("word", ["lab", "v6.9", "git:/nowhere"])
def test_a_word_that_names_no_trees_is_refused(word: str, repo: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        settle.choose(word, builders.lab(), [saved(repo)], (), builder(tmp_path))
    with pytest.raises(UserError, match="where --series goes"):
        settle.choose(word, builders.lab(), [], (), builder(tmp_path))


# -- the place of a hunk ---------------------------------------------------------------------------

THERE = [f"line {n}" for n in range(1, 200)]


def test_a_hunk_that_moved_is_found_where_its_lines_are() -> None:
    wanted = ("line 150", "line 151", "something else", "line 153")
    assert rejects.place_of(Hunk(3, wanted), THERE) == 149


def test_of_two_places_the_nearer_one_is_meant() -> None:
    there = [*THERE, *THERE]
    hunk = Hunk(205, tuple(THERE[4:8]))
    assert rejects.place_of(hunk, there) == len(THERE) + 4


def test_braces_and_blank_lines_find_no_place() -> None:
    there = ["}", ""] * 100 + ["int x;"]
    assert rejects.place_of(Hunk(5, ("}", "", "int y;")), there) == -1


def test_a_hunk_of_a_file_of_rejects_is_its_old_lines() -> None:
    text = "diff a/x b/x\t(rejected hunks)\n@@ -7,3 +7,3 @@ int f(void)\n a\n-b\n+c\n\n"
    assert rejects.hunks(text.split("\n")[:-1]) == [Hunk(7, ("a", "b", ""))]
