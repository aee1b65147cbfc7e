# SPDX-License-Identifier: GPL-2.0
"""A file is there whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rmaplab.store.files import write_whole


def test_a_file_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_whole(path, "old")
    write_whole(path, iter(["new", "ü"]))
    assert path.read_text(encoding="utf-8") == "newü"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_as_it_was_if_its_text_breaks_off(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_whole(path, "old")

    def pieces() -> Iterator[str]:
        yield "new"
        assert path.read_text(encoding="utf-8") == "old"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, pieces())
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]
