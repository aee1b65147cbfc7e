# SPDX-License-Identifier: GPL-2.0
"""The diff of a whole series, and the numbers of its lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab.source.change import FileDiff, between

BEFORE = "".join(f"line {n}\n" for n in range(1, 21))


def diff(tmp_path: Path, before: str | None, after: str | None) -> FileDiff | None:
    for folder, text in (("a", before), ("b", after)):
        (tmp_path / folder).mkdir()
        if text is not None:
            (tmp_path / folder / "x.c").write_text(text, encoding="utf-8")
    found = list(between(tmp_path / "a", tmp_path / "b", ("x.c", "gone.c")))
    return found[0] if found else None


@pytest.mark.parametrize(
    ("after", "added", "places"),
    [
        (BEFORE.replace("line 5\n", "new\nnewer\n"), (5, 6), (5,)),
        (BEFORE.replace("line 5\n", ""), (), (5,)),
        (BEFORE + "++ odd\n-- odd\n", (21, 22), ()),
        (BEFORE.replace("line 2\n", "").replace("line 19\n", "x\n"), (18,), (2, 18)),
        (BEFORE.rstrip("\n"), (20,), (20,)),
    ],
)
def test_lines_have_the_numbers_of_the_patched_file(
    tmp_path: Path, after: str, added: tuple[int, ...], places: tuple[int, ...]
) -> None:
    found = diff(tmp_path, BEFORE, after)
    assert found is not None
    assert (found.added, found.places) == (added, places)
    lines = after.split("\n")
    shown = [line[1:] for line in found.text.split("\n") if line.startswith("+")]
    assert shown == [lines[n - 1] for n in added]


def test_a_new_file_is_all_added_and_a_deleted_one_all_removed(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    new = diff(tmp_path / "1", None, "a\nb\n")
    assert new is not None
    assert new.added == (1, 2)
    (tmp_path / "2").mkdir()
    gone = diff(tmp_path / "2", "a\nb\n", None)
    assert gone is not None
    assert gone.added == ()


def test_a_file_that_is_the_same_is_left_out(tmp_path: Path) -> None:
    assert diff(tmp_path, BEFORE, BEFORE) is None


def test_no_link_is_followed(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    (tmp_path / "secret").write_text("secret\n", encoding="utf-8")
    (tmp_path / "b/x.c").symlink_to(tmp_path / "secret")
    assert list(between(tmp_path / "a", tmp_path / "b", ("x.c",))) == []
