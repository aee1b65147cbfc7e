# SPDX-License-Identifier: GPL-2.0
"""Runs add themselves to the history, and the verb shows it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rmaplab.model import RunHistory
from rmaplab.pipeline.remember import kernel_of
from rmaplab.store import historyfile
from rmaplab.store.cache import Cache
from rmaplab.store.runfolder import RunFolder, SavedPatch
from rmaplab.store.verdicts import VerdictStore

from .builders import facts, lab, record
from .test_cli import FAIL, LOST, PASS, Command, Show, command, guests, lab_file
from .test_resume import interrupted, ran

# Fixtures of other files.
__all__ = ["command", "guests", "interrupted", "lab_file", "ran"]

RUN = ("--accel", "tcg")
AB = ("--series", "x", "--accel", "tcg", "--confirm", "0")


def rows(command: Command, *words: str) -> list[dict[str, Any]]:
    answer = command("history", *words, "--format", "json")
    assert answer.code == 0, answer.err
    found: list[dict[str, Any]] = json.loads(answer.out)["rows"]
    return found


def folders(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "reports").iterdir(), key=lambda path: path.stat().st_mtime_ns)


def test_without_a_run_there_is_no_history(command: Command) -> None:
    answer = command("history")
    assert answer.code == 2
    assert "there is no history" in answer.err


def test_each_run_adds_itself(command: Command, guests: Show, lab_file: Path) -> None:
    for shown in (PASS, PASS, FAIL, LOST):
        guests(base=shown)
        command("run", lab_file, *RUN)
    (row,) = rows(command)
    assert (row["pass"], row["fail"], row["error"], row["flips"], row["rate"]) == (
        2, 1, 1, 1, pytest.approx(2 / 3),
    )  # fmt: skip
    assert [point["fail"] for point in row["points"]] == [0, 0, 1, 0]
    assert row["failing_since"]["folder"] == row["points"][2]["folder"]
    answer = command("history", "exclusive/*")
    assert "██▁·" in answer.out
    assert "fails since" in answer.out
    assert "false alarms: 1 of 3 trials" in answer.out  # it passed on the same kernel
    assert "\x1b" not in answer.out


def test_a_patched_kernel_is_not_bases_history(
    command: Command, guests: Show, lab_file: Path
) -> None:
    guests(base=PASS, patched=FAIL)
    assert command("ab", lab_file, *AB).code == 1
    assert command("run", lab_file, *RUN).code == 0
    (base,) = rows(command)
    assert (base["pass"], base["fail"], base["kernel"]["patches"]) == (2, 0, 0)
    both = rows(command, "--kernel", "*")
    assert {(row["kernel"]["patches"], row["pass"], row["fail"]) for row in both} == {
        (0, 2, 0), (1, 0, 1),
    }  # fmt: skip
    assert "1 more kernels: --kernel '*'" in command("history").out
    (patched,) = rows(command, "--kernel", "x")
    assert (patched["kernel"]["series"], patched["alarms"]) == ("x", 1)


def test_a_failure_of_both_kernels_is_no_alarm(
    command: Command, guests: Show, lab_file: Path
) -> None:
    guests(base=FAIL, patched=FAIL)
    assert command("ab", lab_file, *AB).code == 0
    assert [row["alarms"] for row in rows(command, "--kernel", "*")] == [0, 0]


def test_a_run_is_there_once_however_often_it_is_added(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    guests(base=PASS)
    command("run", lab_file, *RUN)
    (folder,) = folders(tmp_path)
    before = rows(command)
    shutil.copytree(folder, tmp_path / "copy")
    assert command("history", "add", folder, tmp_path / "copy").code == 0
    after = rows(command)
    after[0]["points"][0]["folder"] = before[0]["points"][0]["folder"]
    assert after == before


def test_two_runs_of_the_same_second_are_two(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    guests(base=PASS)
    command("run", lab_file, *RUN)
    (folder,) = folders(tmp_path)
    shutil.copytree(folder, tmp_path / "copy")
    made = RunFolder(tmp_path / "copy").read_record()
    made.id = "another"
    RunFolder(tmp_path / "copy").write_record(made)
    assert command("history", "add", tmp_path / "copy").code == 0
    assert rows(command)[0]["pass"] == 2


def test_an_interrupted_run_is_there_and_again_when_it_has_gone_on(
    command: Command, interrupted: Path
) -> None:
    def counts() -> list[tuple[int, int, int]]:
        found = rows(command, "--kernel", "*")
        return sorted((one["kernel"]["patches"], one["pass"], one["fail"]) for one in found)

    assert counts() == [(0, 0, 1)]
    assert command("resume", interrupted).code == 0
    assert counts() == [(0, 0, 1), (1, 1, 0)]


def test_a_locked_history_stops_no_run_and_says_how_to_add_it(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("rmaplab.store.verdicts.WAIT_S", 0.1)
    guests(base=PASS)
    command("run", lab_file, *RUN)
    other = sqlite3.connect(tmp_path / "cache/history/verdicts.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    answer = command("run", lab_file, *RUN)
    other.execute("ROLLBACK")
    other.close()
    assert answer.code == 0
    said = " ".join(answer.err.split())
    folder = folders(tmp_path)[-1]
    assert "locked" in said
    assert f"history add {folder.relative_to(tmp_path)}" in said.replace(str(tmp_path) + "/", "")
    assert command("history", "add", folder).code == 0
    assert rows(command)[0]["pass"] == 2


def test_a_damaged_history_stops_no_run(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    guests(base=PASS)
    command("run", lab_file, *RUN)
    (tmp_path / "cache/history/verdicts.sqlite").write_bytes(b"rubbish" * 4096)
    answer = command("run", lab_file, *RUN)
    assert answer.code == 0
    assert "history is damaged" in " ".join(answer.err.split())
    assert rows(command)[0]["pass"] == 1


def test_clean_keeps_the_history_unless_it_is_named(
    command: Command, guests: Show, lab_file: Path
) -> None:
    guests(base=PASS)
    command("run", lab_file, *RUN)
    assert command("clean", "--yes").code == 0
    assert rows(command)
    assert "history" in command("clean", "--only", "history", "--yes").out
    assert command("history").code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("exclusive/mapcuont",),
        ("--guest", "q36"),
        ("--settings", "thp"),
        ("--kernel", "6.13"),
        ("invalid", "nonsense", "--reason", "x"),
        ("invalid", "0123456789abcdef", "--reason", " "),
        ("invalid", "0123456789abcdef"),
        ("valid", "0123456789abcdef"),
        ("add", "nosuch"),
    ],
)
def test_a_users_mistake_exits_2(
    command: Command, guests: Show, lab_file: Path, words: tuple[str, ...]
) -> None:
    guests(base=PASS)
    command("run", lab_file, *RUN)
    answer = command("history", *words)
    assert answer.code == 2
    assert "Traceback" not in answer.err


def test_a_marked_finding_is_a_false_alarm(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    guests(base=FAIL)
    command("run", lab_file, *RUN)
    assert "0 of 1 trials" in (first := command("history").out)
    assert "1 other alarm stands" in first
    store = VerdictStore(Cache(tmp_path / "cache"))
    ((_, failure, _),) = store.alarms(store.places())
    answer = command(
        "history", "invalid", failure, "--reason", "a race of the test", "--owner", "me"
    )
    assert answer.code == 0
    assert "1 of 1 trials" in command("history").out
    assert "a race of the test" in command("history", "marks").out
    assert command("history", "valid", failure).code == 0
    assert "0 of 1 trials" in command("history").out


# -- the page of a run ----------------------------------------------------------------------------


def test_a_runs_page_has_the_runs_before_it_and_needs_no_history_for_that(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    for base, patched in ((PASS, PASS), (FAIL, PASS)):
        guests(base=base, patched=patched)
        command("ab", lab_file, *AB)
    folder = folders(tmp_path)[-1]
    found = historyfile.read(RunFolder(folder))
    assert len(found.runs) == 2
    counts = {one.kernel: [point[:4] for point in one.points] for one in found.rows}
    assert counts == {"base": [(0, 1, 0, 0), (1, 0, 1, 0)], "patched": [(0, 1, 0, 0), (1, 1, 0, 0)]}
    assert found.alarms.startswith("false alarms: 0 of 4 trials")
    page = (folder / "report.html").read_bytes()
    shutil.rmtree(tmp_path / "cache/history")
    assert command("report", folder).code == 0
    assert (folder / "report.html").read_bytes() == page
    (folder / historyfile.NAME).unlink()
    assert command("report", folder).code == 0
    assert (folder / "report.html").read_bytes() != page


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"runs": ["x"], "rows": [], "alarms": 7}',
     '{"runs": ["x"], "rows": [{"testcase": "a", "kernel": "b", "guest": "c", "devices": "d", '
     '"settings": "e", "points": [[5, 1, 0, 0, null]]}], "alarms": ""}',
     '{"runs": ["x"], "rows": [{"testcase": "a", "kernel": "b", "guest": "c", "devices": "d", '
     '"settings": "e", "points": [[0, -1, 0, 0, null]]}], "alarms": ""}'],
)  # fmt: skip
def test_a_strangers_history_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / historyfile.NAME).write_text(text, encoding="utf-8")
    assert historyfile.read(RunFolder(tmp_path)) == RunHistory()


# -- what a kernel is ------------------------------------------------------------------------------


def test_a_kernel_is_its_tree_its_patches_and_its_configuration() -> None:
    made = record(lab(), [])
    base = facts()
    base.symbols = {"CONFIG_A": "y"}

    def identity(**changes: Any) -> str:
        other = facts()
        other.symbols = {"CONFIG_A": "y"}
        for name, value in changes.items():
            setattr(other, name, value)
        return kernel_of(made, other).identity

    same: dict[str, Any] = {
        "toolchain": "gcc 13",
        "key": "f" * 16,
        "origin": "elsewhere",
        "error": "no",
    }
    assert {identity(**{name: value}) for name, value in same.items()} == {identity()}
    patch = SavedPatch("0001.patch", "1234")
    others: list[dict[str, Any]] = [
        {"digest": "5678"},
        {"symbols": {"CONFIG_A": "y", "CONFIG_B": "y"}},
        {"patches": ["mm: x"], "saved_patches": [patch]},
        {"patches": ["mm: x"], "saved_patches": [SavedPatch("0001.patch", "5678")]},
        {"patches": ["mm: x"]},
    ]
    assert len({identity(), *(identity(**one) for one in others)}) == 6


def test_a_line_joins_kernels_without_patches_alone() -> None:
    made = record(lab(), [])
    first, second, patched = facts(), facts(key="f" * 16), facts(key="e" * 16)
    second.digest, patched.patches = "5678", ["mm: x"]
    kernels = [kernel_of(made, one) for one in (first, second, patched)]
    assert len({one.identity for one in kernels}) == 3
    assert kernels[0].line == kernels[1].line
    assert kernels[2].line == kernels[2].identity
