# SPDX-License-Identifier: GPL-2.0
"""A series on a copy of a tree: what applies, what does not, and that the tree stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab.errors import ExitCode, PatchError, UserError
from rmaplab.model import Patch, Series, Tree
from rmaplab.source import series as series_source
from rmaplab.source import tree as tree_source
from rmaplab.source.patched import changed, source_of
from rmaplab.store.cache import Cache

from .repositories import commit, git, repository

RMAP = "".join(f"line {n}\n" for n in range(1, 61))
MAKEFILE = "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 1\n"
FILES = {"Makefile": MAKEFILE, "mm/rmap.c": RMAP, "mm/old.c": "int old;\n", "mm/keep.c": "keep\n"}


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    repo = repository(tmp_path / "repo", FILES)
    git(repo, "tag", "base")
    commit(repo, "mm/rmap: change a line", {"mm/rmap.c": RMAP.replace("line 5\n", "line five\n")})
    commit(repo, "mm: replace old by new", {"mm/new.c": "int new;\n", "mm/old.c": None})
    return repo


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def tree(repo: Path, cache: Cache) -> Tree:
    return tree_source.fetch(f"git:{repo}#base", cache)


def test_the_empty_series_is_the_tree_itself(tree: Tree, cache: Cache) -> None:
    assert source_of(tree, series_source.EMPTY, cache) == tree.path


def test_a_series_is_applied_to_a_copy_and_the_tree_stays(
    repo: Path, tree: Tree, cache: Cache, tmp_path: Path
) -> None:
    series = series_source.load(f"git:{repo}#base..main", tmp_path)
    source = source_of(tree, series, cache)
    assert "line five" in (source / "mm/rmap.c").read_text(encoding="utf-8")
    assert (source / "mm/new.c").exists()
    assert not (source / "mm/old.c").exists()
    assert (tree.path / "mm/rmap.c").read_text(encoding="utf-8") == RMAP
    assert (tree.path / "mm/old.c").exists()
    assert source_of(tree, series, cache) == source


def test_untouched_files_are_shared_with_their_times(
    repo: Path, tree: Tree, cache: Cache, tmp_path: Path
) -> None:
    source = source_of(tree, series_source.load(f"git:{repo}#base..main", tmp_path), cache)
    assert (source / "mm/keep.c").samefile(tree.path / "mm/keep.c")
    assert not (source / "mm/rmap.c").samefile(tree.path / "mm/rmap.c")


def conflicting(repo: Path, tmp_path: Path, files: dict[str, str | None]) -> PatchError:
    """Return the error of base..main applied to a tree with other files."""
    git(repo, "checkout", "--quiet", "-b", "other", "base")
    commit(repo, "meanwhile", files)
    cache = Cache(tmp_path / "cache")
    tree = tree_source.fetch(f"git:{repo}#other", cache)
    series = series_source.load(f"git:{repo}#base..main", tmp_path)
    with pytest.raises(PatchError) as caught:
        source_of(tree, series, cache)
    assert [entry.section for entry in cache.entries()] == ["trees"]
    return caught.value


def test_a_patch_that_does_not_apply_names_patch_file_and_hunk(repo: Path, tmp_path: Path) -> None:
    error = conflicting(repo, tmp_path, {"mm/rmap.c": RMAP.replace("line 6\n", "line six\n")})
    assert error.exit_code is ExitCode.BUILD
    assert (
        "patch 1/2 does not apply: repo#base..main, mail 1 (mm/rmap: change a line)"
        in error.message
    )
    assert "mm/rmap.c: hunk #1 at line 2" in error.message


def test_only_the_hunk_that_does_not_apply_is_named(repo: Path, tmp_path: Path) -> None:
    git(repo, "checkout", "--quiet", "main")
    text = RMAP.replace("line 5\n", "line five\n").replace("line 50\n", "line fifty\n")
    git(repo, "reset", "--quiet", "--hard", "base")
    commit(repo, "two hunks", {"mm/rmap.c": text})
    error = conflicting(repo, tmp_path, {"mm/rmap.c": RMAP.replace("line 51\n", "line x\n")})
    assert "mm/rmap.c: hunk #2 at line 47" in error.message
    assert "hunk #1" not in error.message


def test_a_second_patch_that_does_not_apply_is_the_one_that_is_named(
    repo: Path, tmp_path: Path
) -> None:
    error = conflicting(repo, tmp_path, {"mm/new.c": "int already;\n"})
    assert (
        "patch 2/2 does not apply: repo#base..main, mail 2 (mm: replace old by new)"
        in error.message
    )
    assert "mm/new.c: already exists" in error.message


def test_a_file_that_is_not_there_is_named(repo: Path, tmp_path: Path) -> None:
    error = conflicting(repo, tmp_path, {"mm/rmap.c": None})
    assert "mm/rmap.c" in error.message
    assert "No such file" in error.message


def test_a_cache_inside_a_repository_does_not_confuse_git(repo: Path, tmp_path: Path) -> None:
    """git apply skips, silently, paths outside the repository that it believes to be in."""
    cache = Cache(repository(tmp_path / "around", {"file": "x\n"}) / "cache")
    tree = tree_source.fetch(f"git:{repo}#base", cache)
    series = series_source.load(f"git:{repo}#base..main", tmp_path)
    assert "line five" in (source_of(tree, series, cache) / "mm/rmap.c").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped"])
def test_a_patch_cannot_write_outside_the_copy(
    tree: Tree, cache: Cache, tmp_path: Path, name: str
) -> None:
    text = f"diff --git a/{name} b/{name}\nnew file mode 100644\n"
    text += f"--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+evil\n"
    with pytest.raises(UserError, match=r"0001-evil\.patch: not a patch: it changes"):
        load(tmp_path, text)
    # Nor if the names were not checked: git refuses them, too.
    patch = Patch("evil", "evil", "", text.encode(), "digest", ("mm/rmap.c",))
    with pytest.raises(PatchError):
        source_of(tree, Series("evil", "", (patch,)), cache)
    assert not list(tmp_path.rglob("escaped"))


def load(tmp_path: Path, *texts: str) -> Series:
    """A series of patches by their diffs."""
    folder = tmp_path / "evil"
    folder.mkdir()
    for number, text in enumerate(texts, start=1):
        mail = f"From: x <x@example.com>\nSubject: evil\n\n---\n{text}"
        (folder / f"{number:04}-evil.patch").write_text(mail, encoding="utf-8")
    return series_source.load(str(folder), tmp_path)


def link(name: str, target: str) -> str:
    """The diff that makes a link."""
    return (
        f"diff --git a/{name} b/{name}\nnew file mode 120000\n--- /dev/null\n+++ b/{name}\n"
        f"@@ -0,0 +1 @@\n+{target}\n\\ No newline at end of file\n"
    )


DELETED = (
    "diff --git a/mm/old.c b/mm/old.c\ndeleted file mode 100644\n--- a/mm/old.c\n+++ /dev/null\n"
    "@@ -1 +0,0 @@\n-int old;\n"
)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../etc", "../../victim"])
def test_a_link_that_leads_out_of_the_tree_is_refused(
    tree: Tree, cache: Cache, tmp_path: Path, target: str
) -> None:
    with pytest.raises(PatchError, match="makes 'mm/out' a link that leads out of the tree"):
        source_of(tree, load(tmp_path, link("mm/out", target)), cache)
    assert [entry.section for entry in cache.entries()] == ["trees"]


def test_a_link_within_the_tree_is_as_good_as_a_file(
    tree: Tree, cache: Cache, tmp_path: Path
) -> None:
    source = source_of(tree, load(tmp_path, link("mm/in.c", "keep.c")), cache)
    assert (source / "mm/in.c").read_text(encoding="utf-8") == "keep\n"


def test_a_change_through_a_link_is_refused(repo: Path, cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/rmap.c").write_text(RMAP, encoding="utf-8")
    git(repo, "checkout", "--quiet", "base")
    (repo / "out").symlink_to(tmp_path / "victim")
    commit(repo, "a link")
    tree = tree_source.fetch(f"git:{repo}#HEAD", cache)
    text = "--- a/out/rmap.c\n+++ b/out/rmap.c\n@@ -1,2 +1,2 @@\n-line 1\n+evil\n line 2\n"
    with pytest.raises(PatchError, match=r"out/rmap\.c"):
        source_of(tree, load(tmp_path, text), cache)
    assert (tmp_path / "victim/rmap.c").read_text(encoding="utf-8") == RMAP


def test_a_file_that_no_patch_names_is_not_changed_silently(tree: Tree, cache: Cache) -> None:
    """As if git read the patch in another way than the lab did."""
    patch = Patch("p", "delete", "", DELETED.encode(), "digest", ("mm/keep.c",))
    with pytest.raises(PatchError, match=r"do not name: 'mm/old\.c'"):
        source_of(tree, Series("s", "", (patch,)), cache)


def test_every_change_of_a_tree_is_seen(tree: Tree, cache: Cache, repo: Path) -> None:
    series = series_source.load(f"git:{repo}#base..main", repo)
    source = source_of(tree, series, cache)
    assert changed(tree.path, source) == {"mm/rmap.c", "mm/new.c", "mm/old.c"}
    (source / "mm/keep.c").unlink()
    (source / "mm/keep.c").write_text("keep\n", encoding="utf-8")
    assert "mm/keep.c" not in changed(tree.path, source)
    (source / "mm/keep.c").chmod(0o755)
    assert "mm/keep.c" in changed(tree.path, source)
