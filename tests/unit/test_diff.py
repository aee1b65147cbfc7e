# SPDX-License-Identifier: GPL-2.0
"""The files that a diff changes: by the names that git goes by, whatever its text says."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab.source import diff
from rmaplab.source.diff import DiffError

HUNK = b"@@ -1 +1 @@\n-old\n+new\n"


def plain(old: str, new: str = "", hunk: bytes = HUNK) -> bytes:
    """A diff without git's headers; ``new`` is ``old`` on side b by default."""
    new = new or old.replace("a/", "b/", 1)
    return f"--- {old}\n+++ {new}\n".encode() + hunk


FORGED = b"""\
diff --git a/mm/rmap.c b/mm/rmap.c
--- a/mm/rmap.c
+++ b/mm/rmap.c
@@ -1,2 +1,2 @@
--- a/../../home/victim.c
+++ b/../../home/victim.c
 x
"""


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (plain("a/mm/rmap.c"), ["mm/rmap.c"]),
        (plain("a/mm/rmap.c\t2025-01-01 12:00:00"), ["mm/rmap.c"]),
        (plain(" a/mm/rmap.c", " b/mm/rmap.c"), ["mm/rmap.c"]),
        (plain('"a/mm/r\\tmap.c"', '"b/mm/r\\tmap.c"'), ["mm/r\tmap.c"]),
        (plain('"a/mm/\\303\\274.c"', '"b/mm/\\303\\274.c"'), ["mm/ü.c"]),
        (plain("a/mm/a b.c\t", "b/mm/a b.c\t"), ["mm/a b.c"]),
        (plain("linux-6.12/mm/rmap.c", "linux/mm/rmap.c"), ["mm/rmap.c"]),
        (plain("/dev/null", "b/mm/new.c", b"@@ -0,0 +1 @@\n+new\n"), ["mm/new.c"]),
        (plain("a/mm/old.c", "/dev/null", b"@@ -1 +0,0 @@\n-old\n"), ["mm/old.c"]),
        (FORGED, ["mm/rmap.c"]),
        (FORGED + plain(" a/mm/two.c", " b/mm/two.c"), ["mm/rmap.c", "mm/two.c"]),
        (
            b"diff --git a/mm/a.c b/mm/z.c\nsimilarity index 100%\n"
            b"rename from mm/a.c\nrename to mm/z.c\n",
            ["mm/a.c", "mm/z.c"],
        ),
        (b"diff --git a/s.sh b/s.sh\nold mode 100644\nnew mode 100755\n", ["s.sh"]),
        (b"diff --git a/e.h b/e.h\nnew file mode 100644\nindex 000000..e69de2\n", ["e.h"]),
    ],
)
def test_a_diff_changes_what_git_says(text: bytes, names: list[str]) -> None:
    assert list(diff.files(text)) == names
    assert diff.trimmed(b"a diffstat\n" + text + b"-- \n2.39.5\n\n") == text


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a//etc/passwd", "an absolute path"),
        ("a/../../home/victim.c", "leads out of the tree"),
        ("a/mm/../../x", "leads out of the tree"),
        ("a/.git/hooks/pre-commit", "a git repository's own"),
        ("a/mm/.GIT/config", "a git repository's own"),
        ("a/mm/./x", "no path of a file"),
    ],
)
def test_a_name_outside_the_tree_is_refused(name: str, why: str) -> None:
    renamed = f"diff --git {name} b/x\nsimilarity index 100%\nrename from {name[2:]}\nrename to x\n"
    for text in (plain(name), renamed.encode()):
        with pytest.raises(DiffError, match=why):
            diff.files(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (plain("a/mm/rmap.c", hunk=b"@@ -1,9 +1 @@\n-old\n"), "git does not read it: corrupt"),
        (plain("a/mm/rmap.c", hunk=b"@@ -1 +1 @@\nrubbish\n"), "git does not read it"),
    ],
)
def test_a_diff_that_git_does_not_read_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(DiffError, match=said):
        diff.files(text)


def test_a_hunk_without_a_file_is_not_left_out() -> None:
    with pytest.raises(DiffError, match="before the name of its file"):
        diff.trimmed(HUNK + plain("a/mm/rmap.c"))


def test_prose_is_no_diff() -> None:
    assert diff.trimmed(b"--- a/x is better\nthan +++ b/x\n--\n") == b""


def test_a_link_is_an_entry_and_never_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/x.c").write_text("x", encoding="utf-8")
    root = tmp_path / "tree"
    (root / "mm").mkdir(parents=True)
    (root / "mm/rmap.c").write_text("x", encoding="utf-8")
    (root / "out").symlink_to("../victim")
    (root / "mm/link.c").symlink_to("rmap.c")
    assert diff.regular(root, "mm/rmap.c") == root / "mm/rmap.c"
    assert diff.entry(root, "mm/link.c") == root / "mm/link.c"
    assert diff.regular(root, "mm/link.c") is None
    assert diff.entry(root, "out/x.c") is None
    assert diff.regular(root, "out/x.c") is None
    assert diff.entry(root, "mm/none.c") is None
    assert diff.entry(root, "mm/rmap.c/x") is None
