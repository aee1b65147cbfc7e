# SPDX-License-Identifier: GPL-2.0
"""plan says all that is wrong with a run, at once, with exit code 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .repositories import write
from .test_cli import ALLOW, LAB, MAKEFILE, MAPCOUNT_ONLY, PATCH, Command, command

__all__ = ["command"]
STALE = """\
cap: 1
exclude:
  - {settings: thp-never, reason: it is slow}
expect:
  - {testcase: exclusive/mapcount, kernel: base, settings: thp-never, reason: it is so}
"""


@pytest.fixture
def lab_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    text = LAB.replace("[thp-never]", "[thp-madvise, thp-never]")
    assert text != LAB
    path.write_text(text + STALE + ALLOW % "2020-01-01", encoding="utf-8")
    write(tmp_path, {"linux/Makefile": MAKEFILE, "linux/mm/rmap.c": "old\n", "x": PATCH})
    return path


def test_all_mistakes_are_told_at_once(command: Command, lab_file: Path) -> None:
    answer = command("plan", lab_file, "--series", "nowhere", "--tree", "foo")
    assert answer.code == 2
    said = " ".join(answer.err.split())
    for mistake in (
        "there is no series 'nowhere'",
        "not a kernel tree: 'foo'",
        "this expectation speaks of no cell: exclusive/mapcount",
        "allow '^BUG. Bad rss': expired after 2020-01-01",
        "2 cells are more than the cap of 1",
    ):
        assert mistake in said
    assert "patched.q35.thp-madvise.exclusive.mapcount.1" in answer.out


def test_mistakes_are_facts_too(command: Command, lab_file: Path) -> None:
    answer = command("plan", lab_file, "--format", "json")
    assert answer.code == 2
    found = json.loads(answer.out)["mistakes"]
    assert len(found) == 2
    assert "speaks of no cell" in found[0]


def test_a_filter_that_keeps_nothing_hides_no_other_mistake(
    command: Command, lab_file: Path
) -> None:
    answer = command("plan", lab_file, "--filter", "guest=nope", "--series", "nowhere")
    assert answer.code == 2
    said = " ".join(answer.err.split())
    assert "nope" in said
    assert "there is no series 'nowhere'" in said


def test_a_mistake_in_the_file_hides_none_in_the_series(command: Command, lab_file: Path) -> None:
    lab_file.write_text(lab_file.read_text("utf-8") + "capp: 3\n", encoding="utf-8")
    answer = command("plan", lab_file, "--series", "nowhere")
    assert answer.code == 2
    assert "capp" in answer.err
    assert "there is no series 'nowhere'" in answer.err


def test_a_plan_without_a_mistake_exits_0(command: Command, lab_file: Path) -> None:
    lab_file.write_text(MAPCOUNT_ONLY, encoding="utf-8")
    answer = command("plan", lab_file, "--series", "x", "--format", "json")
    assert (answer.code, json.loads(answer.out)["mistakes"]) == (0, [])
