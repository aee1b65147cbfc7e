# SPDX-License-Identifier: GPL-2.0
"""A run on disk: read back whole, readable after a crash, refused when it is none."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from rmaplab.errors import InfraError, UserError
from rmaplab.plan import plan
from rmaplab.store.runfolder import JOURNAL, RunFolder, RunRecord, SavedPatch, planned

from .builders import (
    cell,
    expectation,
    facts,
    guest,
    inclusion,
    kernel,
    lab,
    record,
    settings,
    testcase,
)


def test_a_record_is_read_back_as_it_was(tmp_path: Path) -> None:
    wanted = lab(testcases=[testcase(), testcase("b/c", id="T2")], expectations=[expectation()])
    made = record(wanted, ["a", "b"], comparison=("base", "patched"))
    made.kernels["patched"] = made.kernels["base"]
    folder = RunFolder(tmp_path)
    folder.write_record(made)
    assert RunFolder.open(tmp_path).read_record() == made


def test_the_record_is_json_with_its_version(tmp_path: Path) -> None:
    RunFolder(tmp_path).write_record(record(lab(), []))
    assert json.loads((tmp_path / "run.json").read_bytes())["schema_version"] == 1


def test_a_folder_without_a_record_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no run"):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"schema_version": 1}', '{"schema_version": 2}', "\xff"]
)
def test_a_record_that_is_broken_or_of_another_version_is_refused(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"run\.json"):
        RunFolder.open(tmp_path).read_record()


def test_runs_of_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    paths = {RunFolder.create(tmp_path / "reports", "rmap").path for _ in range(5)}
    assert len(paths) == 5
    assert all(path.is_dir() and "rmap" in path.name for path in paths)


def test_an_output_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(InfraError, match="cannot make the run's folder") as caught:
        RunFolder.create(tmp_path / "file", "rmap")
    assert "--output" in caught.value.hint


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write("a/b.txt", "old")

    def pieces() -> Iterator[str]:
        yield "ne"
        raise OSError(28, "No space left on device")

    with pytest.raises(InfraError, match="No space left on device"):
        folder.write("a/b.txt", pieces())
    assert (tmp_path / "a/b.txt").read_text(encoding="utf-8") == "old"


def test_a_place_that_cannot_be_made_is_the_labs_fault(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x", encoding="utf-8")
    with pytest.raises(InfraError, match="cannot write"):
        RunFolder(tmp_path).write("a/b.txt", "x")


def test_a_journal_is_read_up_to_the_line_that_a_killed_lab_left(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert list(folder.events()) == []
    folder.journal("kernel", kernel="base")
    folder.journal("cell", cell="a", verdict="pass")
    folder.journal("cell", cell="b", verdict="fail")
    path = tmp_path / "events.jsonl"
    whole = path.read_bytes()
    assert folder.finished() == {"a", "b"}
    path.write_bytes(whole[:-10])
    assert folder.finished() == {"a"}


def test_a_journal_goes_on_after_a_line_that_was_cut(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.journal("cell", cell="a")
    path = tmp_path / "events.jsonl"
    path.write_bytes(path.read_bytes() + b'{"event": "ce')
    folder.journal("cell", cell="b")
    folder.journal("cell", cell="c")
    assert folder.finished() == {"a", "b", "c"}


def test_a_journal_survives_any_text(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.journal("cell", cell="a\u2028\x85\ud800\n")
    assert folder.finished() == {"a\u2028\x85\ud800\n"}


def test_the_planned_cells_are_those_that_were_asked_for_in_the_plans_order() -> None:
    wanted = lab(testcases=[testcase("a/a"), testcase("a/b", id="T2"), testcase("a/c", id="T3")])
    cells = plan(wanted).cells
    asked = record(wanted, [cells[2].id, cells[0].id])
    assert planned(asked, cells) == (cells[0], cells[2])


def test_a_cell_that_the_lab_does_not_have_is_not_left_out_without_a_word() -> None:
    with pytest.raises(UserError, match="asks for 1 cells that its lab does not have: 'gone'"):
        planned(record(lab(), ["gone"]), plan(lab()).cells)


def test_a_cells_folder_is_named_by_its_id(tmp_path: Path) -> None:
    path = RunFolder(tmp_path).cell(cell())
    assert path == tmp_path / "cells" / cell().id
    assert path.is_dir()


# -- somebody else's folder --------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b'{"event": "cell"}',
        b'{"event": "cell", "cell": 7}',
        b'{"event": 7, "cell": "a"}',
        b'{"cell": "a"}',
        b"[1, 2]",
        b"null",
        b"[" * 100_000,
        b'{"event": "cell", "cell": ' + b"9" * 5000 + b"}",
        b'{"event": "cell", "cell": "a',
        b'{"event": "cell", "cell": "a", "evidence": []}',
        b'{"event": "cell", "cell": "a", "evidence": {"agent.jsonl": 7}}',
    ],
)
def test_a_damaged_line_costs_no_other_one(tmp_path: Path, line: bytes) -> None:
    folder = RunFolder(tmp_path)
    folder.journal("cell", cell="a")
    path = tmp_path / "events.jsonl"
    path.write_bytes(path.read_bytes() + line + b"\n")
    folder.journal("cell", cell="b")
    journal = folder.read_journal()
    assert journal.finished == {"a", "b"}
    assert journal.damaged == (2,)
    assert len(list(folder.events())) == 2
    assert "events.jsonl:2: the line is damaged" in journal.remarks[0]


def test_a_journal_that_is_a_folder_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").mkdir()
    with pytest.raises(UserError, match=r"events\.jsonl: Is a directory"):
        RunFolder(tmp_path).read_journal()


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/x", "a//b", "", ".", "..", "a\0b", "./a", "a/."]
)
def test_a_name_that_leads_out_of_the_run_is_refused(tmp_path: Path, name: str) -> None:
    folder = RunFolder(tmp_path / "run")
    for call in (folder.inside, lambda name: folder.write(name, "x")):
        with pytest.raises(UserError, match="is no file of a run"):
            call(name)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("mine", encoding="utf-8")
    run = tmp_path / "run"
    run.mkdir()
    folder = RunFolder(run)
    (run / "cells").symlink_to(victim)
    for name in ("run.json", ".results.json.half", "events.jsonl", ".lock"):
        (run / name).symlink_to(victim / "file")
    with pytest.raises(UserError, match="is a link"):
        folder.cell(cell())
    with pytest.raises(UserError, match="is a link"):
        folder.write(f"cells/{cell().id}/counters.json", "x")
    with pytest.raises(UserError, match="is a link"):
        folder.write("results.json", "x")
    with pytest.raises(UserError, match="is a link"):
        folder.write_record(record(lab(), []))
    with pytest.raises(UserError, match="is a link"):
        folder.journal("cell", cell="a")
    with pytest.raises(UserError, match="is a link"), folder.lock():
        pass
    assert [path.name for path in victim.iterdir()] == ["file"]
    assert (victim / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["cells/a/agent.jsonl", "boots", "builds/0/lines.json"])
def test_a_saved_run_that_holds_a_link_is_refused(tmp_path: Path, name: str) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.write_record(record(lab(), []))
    assert RunFolder.open(folder.path).path == folder.path
    (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
    (folder.path / name).symlink_to(tmp_path / "anywhere")
    with pytest.raises(UserError, match="is a link"):
        RunFolder.open(folder.path)


EVIL = "../../../tmp/evil"


def hostile(**changes: object) -> RunRecord:
    return record(lab(), [], **changes)


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        (record(lab(kernels=[kernel(EVIL)]), []), "no kernel"),
        (hostile(kernels={EVIL: facts()}), "no kernel"),
        (hostile(kernels={"base": facts(EVIL)}), "no key"),
        (hostile(kernels={"base": facts("")}), "no key"),
        (hostile(kernels={"base": facts("..")}), "no key"),
        (hostile(kernels={"base": replace(facts(), tree_entry=EVIL)}), "no tree"),
        (hostile(kernels={"base": replace(facts(), saved_patches=[SavedPatch(EVIL, "1")])}),
         "no patch"),
        (record(lab(guests=[guest(EVIL)]), []), "no guest"),
        (record(lab(settings=[settings("a/b")]), []), "no settings"),
        (record(lab(testcases=[testcase("../x")]), []), "no testcase"),
        (record(lab(devices=("a/b",)), []), "no device set"),
        (record(lab(inclusions=(inclusion(guests=[guest(EVIL)]),)), []), "no guest"),
        (record(lab(inclusions=(inclusion(devices=["a\nb"]),)), []), "no device set"),
        (record(lab(repeat=10**9), []), "no 1000000000 cells"),
    ],
)  # fmt: skip
def test_a_record_whose_names_are_no_files_names_is_refused(
    tmp_path: Path, damaged: RunRecord, said: str
) -> None:
    folder = RunFolder(tmp_path)
    folder.write_record(damaged)
    with pytest.raises(UserError, match=r"run\.json: .*" + said):
        folder.read_record()


@given(st.binary(max_size=200), st.integers(0, 5000), st.integers(0, 200))
@settings_of_hypothesis(max_examples=200, deadline=None)
def test_a_record_with_any_damage_is_read_or_refused(patch: bytes, place: int, length: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = RunFolder(Path(scratch))
        folder.write_record(record(lab(), ["a"]))
        path = folder.path / "run.json"
        text = path.read_bytes()
        path.write_bytes(text[:place] + patch + text[place + length :])
        with contextlib.suppress(UserError):
            folder.read_record()


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"schema_version": ' + b"9" * 5000 + b"}"])
def test_a_record_that_no_reader_ends_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "run.json").write_bytes(text)
    with pytest.raises(UserError, match=r"run\.json"):
        RunFolder(tmp_path).read_record()


def test_a_line_of_the_journal_is_on_the_disk_before_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought: list[str] = []
    folder = RunFolder(tmp_path)

    def fsync(descriptor: int) -> None:
        assert os.fstat(descriptor).st_ino == (tmp_path / JOURNAL).stat().st_ino
        brought.append((tmp_path / JOURNAL).read_text(encoding="utf-8"))

    monkeypatch.setattr(os, "fsync", fsync)
    folder.journal("cell", cell="a")
    folder.journal("cell", cell="b")
    assert [text.count("\n") for text in brought] == [1, 2]
    assert brought[1] == (tmp_path / JOURNAL).read_text(encoding="utf-8")


def on_disk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what is brought to the disk from now on, in order."""
    brought: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        brought.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return brought


def test_evidence_and_its_names_are_on_the_disk_when_it_is_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)
    brought = on_disk(monkeypatch)
    place = folder.cell(cell())
    assert sorted(brought) == sorted([tmp_path.name, "cells"])
    for name in ("agent.jsonl", "console.log", "counters.json", "reproduce.sh"):
        (place / name).write_text(name, encoding="utf-8")
    brought.clear()
    sealed = folder.seal(cell().id)
    assert sorted(sealed) == ["agent.jsonl", "console.log"]
    assert brought == ["agent.jsonl", "console.log", "reproduce.sh", cell().id]


def test_what_run_json_says_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brought = on_disk(monkeypatch)
    folder = RunFolder.create(tmp_path / "new" / "reports", "rmap")
    assert brought == [folder.path.parent.name, "new", tmp_path.name]
    brought.clear()
    folder.write_record(record(lab(), []))
    assert brought == [".run.json.half", folder.path.name]
    brought.clear()
    folder.write("report.html", "made again at any time", derived=True)
    assert brought == []


def test_a_fifo_in_the_place_of_evidence_holds_nobody_up(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    place = folder.cell(cell())
    (place / "agent.jsonl").write_text("x", encoding="utf-8")
    folder.journal("cell", cell=cell().id, evidence=folder.seal(cell().id))
    assert folder.spoilt(folder.read_journal(), [cell().id]) == {}
    os.mkfifo(place / "console.log")
    assert (
        "console.log cannot be read" in folder.spoilt(folder.read_journal(), [cell().id])[cell().id]
    )
