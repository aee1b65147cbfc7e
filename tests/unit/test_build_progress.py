# SPDX-License-Identifier: GPL-2.0
"""How far a build is: counted from make's lines, held against the last build of that kind."""

from __future__ import annotations

import io
import itertools
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmaplab.build import progress
from rmaplab.build.progress import BuildProgress
from rmaplab.log import SafeConsole, log

LOG = b"""\
make: Entering directory '/kernel/build'
  GEN     Makefile
  HOSTCC  scripts/basic/fixdep
  HOSTCC  scripts/kconfig/conf.o
  CC      mm/rmap.o
  CC [M]  lib/test_hmm.o
  AS      arch/x86/entry/entry_64.o
mm/ksm.c:3:1: warning: x.o
  AR      mm/built-in.a
  LD      vmlinux.o
  LD      vmlinux
CC mm/fake.o
"""


@given(st.lists(st.integers(0, len(LOG))))
def test_objects_are_counted_whatever_pieces_the_log_comes_in(cuts: list[int]) -> None:
    seen = BuildProgress()
    for begin, end in itertools.pairwise([0, *sorted(cuts), len(LOG)]):
        seen.write(LOG[begin:end])
    assert seen.done == 5


def test_a_line_without_end_takes_no_memory() -> None:
    seen = BuildProgress()
    for _ in range(100):
        seen.write(b"x" * 100_000)
    assert len(seen._line) <= 4096


@pytest.mark.parametrize(
    ("done", "expected", "said"),
    [(0, 9, ""), (1, 0, "1 object"), (7, 0, "7 objects"), (7, 9, "7 of about 9 objects"),
     (9, 9, "9 objects"), (12, 9, "12 objects")],
)  # fmt: skip
def test_no_more_is_promised_than_is_known(done: int, expected: int, said: str) -> None:
    seen = BuildProgress(expected)
    seen.done = done
    assert seen.text == said


def kept(builds: Path, name: str, text: str, when: int) -> None:
    path = builds / name / "build.json"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (when, when))


def test_the_last_build_of_a_kind_says_how_many(tmp_path: Path) -> None:
    kept(tmp_path, "a", json.dumps({"kind": "x", "objects": 7}), 1000)
    kept(tmp_path, "b", json.dumps({"kind": "x", "objects": 9}), 3000)
    kept(tmp_path, "c", json.dumps({"kind": "y", "objects": 5}), 4000)
    kept(tmp_path, ".d.half", json.dumps({"kind": "x", "objects": 5}), 5000)
    for number, odd in enumerate(["", "[]", "{", '{"kind": "x", "objects": "z"}', '{"kind": "x"}']):
        kept(tmp_path, f"odd{number}", odd, 6000)
    assert progress.expected(tmp_path, "x") == 9
    assert progress.expected(tmp_path, "z") == 0
    assert progress.expected(tmp_path / "none", "x") == 0


def test_a_terminal_has_one_line_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    console = SafeConsole(file=screen, force_terminal=True, width=80)
    monkeypatch.setattr(log, "stderr", console)
    seen = BuildProgress(9)
    seen.done = 7
    with seen.shown():
        assert log.progress() == "7 of about 9 objects"
    assert "7 of about 9 objects" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[2K")  # the line is erased
    assert log.progress() == ""


def test_a_log_has_no_such_line(capsys: pytest.CaptureFixture[str]) -> None:
    seen = BuildProgress(9)
    seen.done = 7
    with seen.shown():
        pass
    assert capsys.readouterr().err == ""
