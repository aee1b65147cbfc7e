# SPDX-License-Identifier: GPL-2.0
"""Runs that are gone on with: by what they began with, or not at all and with the reason."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rmaplab import selection
from rmaplab.build import kernel as build_kernel
from rmaplab.build import programs
from rmaplab.errors import InfraError
from rmaplab.guest import cell as guest_cell
from rmaplab.guest.cellsetup import CellSetup
from rmaplab.model import Cell, Lab
from rmaplab.pipeline import evaluate
from rmaplab.pipeline import run as run_pipeline
from rmaplab.plan import Plan, plan
from rmaplab.store.cache import Cache

from .builders import save
from .repositories import write
from .test_cli import FAIL, PASS, Answer, Command, Show, command, guests, lab_file, run_folder

# Fixtures of test_cli.
__all__ = ["command", "guests", "lab_file"]

Resume = Callable[[], Answer]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, guests: Show) -> Iterator[list[str]]:
    """The cells that were run, of which the second one is interrupted the first time."""
    cells: list[str] = []

    async def run(cell: Cell, setup: CellSetup, folder: Path, program: str) -> None:
        cells.append(cell.id)
        if len(cells) == 2:
            signal.raise_signal(signal.SIGTERM)  # as a CI job is cancelled
            await asyncio.sleep(60)
        save(folder, FAIL if cell.kernel == "base" else PASS)

    monkeypatch.setattr(guest_cell, "run", run)
    yield cells


@pytest.fixture
def interrupted(command: Command, lab_file: Path, tmp_path: Path, ran: list[str]) -> Path:
    """The folder of an A/B that was interrupted after its first cell."""
    with lab_file.open("a", encoding="utf-8") as file:
        file.write("expect:\n  - {testcase: exclusive/mapcount, kernel: base, reason: known}\n")
    answer = command("ab", lab_file, "--series", "x", "--accel", "tcg", "--jobs", "1")
    assert answer.code == 130
    folder = run_folder(tmp_path)
    assert f"resume {folder.relative_to(tmp_path)}" in answer.err
    return folder


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_bytes())
    return found


def test_it_goes_on_where_it_was(command: Command, interrupted: Path, ran: list[str]) -> None:
    assert command("resume", interrupted).code == 0
    assert (len(ran), len(set(ran))) == (3, 2)
    assert not record(interrupted)["interrupted"]
    rows = json.loads((interrupted / "results.json").read_bytes())["comparison"]["rows"]
    assert [row["change"] for row in rows] == ["fixed"]
    answer = command("resume", interrupted)
    assert answer.code == 2
    assert "nothing to go on with" in answer.err


def test_what_it_began_with_is_in_its_folder(interrupted: Path) -> None:
    kernels = record(interrupted)["kernels"]
    (patch,) = kernels["patched"]["saved_patches"]
    assert patch["file"] == "0001-mm-rmap-change-a-line.patch"
    text = (interrupted / "series/patched" / patch["file"]).read_text(encoding="utf-8")
    assert "Subject: [PATCH 1/1] mm/rmap: change a line\n" in text
    assert "\nBecause.\n---\n" in text
    assert "+new\n" in text
    assert not (interrupted / "series/base").exists()
    assert kernels["base"]["digest"] == kernels["patched"]["digest"]
    assert record(interrupted)["programs"]["sources"]["exclusive/mapcount"]


def test_neither_the_series_nor_the_tree_is_needed_any_more(
    command: Command, interrupted: Path, tmp_path: Path
) -> None:
    (tmp_path / "x").unlink()
    shutil.rmtree(tmp_path / "linux")
    assert command("report", interrupted).code == 130
    assert command("resume", interrupted).code == 0


def test_an_edit_of_the_tree_is_not_seen(
    command: Command, interrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"linux/mm/rmap.c": "edited\n"})
    assert command("resume", interrupted).code == 0


# -- what differs ------------------------------------------------------------------------------


def refusal(command: Command, folder: Path) -> str:
    """Resume in vain: nothing is written, and the reason comes back in one line."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    answer = command("resume", folder)
    assert answer.code == 2
    assert "Traceback" not in answer.err
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before
    return " ".join(answer.err.split())


def test_an_edited_tree_whose_snapshot_is_gone_is_another_kernel(
    command: Command, interrupted: Path, tmp_path: Path
) -> None:
    write(tmp_path, {"linux/mm/rmap.c": "edited\n"})
    was = record(interrupted)["kernels"]["base"]["digest"]
    for entry in Cache().entries(["trees"]):
        Cache().drop(entry)
    said = refusal(command, interrupted)
    for name in ("base", "patched"):
        assert f"kernel {name}: tree dir:linux: was content {was}, is content " in said


def test_another_compiler_is_named(
    command: Command, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_kernel, "toolchain", lambda *words: "gcc 99")
    assert "kernel patched: toolchain: was gcc" in (said := refusal(command, interrupted))
    assert said.count("is gcc 99") == 2


def test_a_changed_testcase_is_named(
    command: Command, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = {**record(interrupted)["programs"]["sources"], "exclusive/mapcount": "1234"}
    monkeypatch.setattr(programs, "sources", lambda *words: now)
    said = refusal(command, interrupted)
    assert "testcase exclusive/mapcount has other sources: digest was" in said
    assert "is 1234" in said
    assert said.count("other sources") == 1


def test_another_initramfs_of_the_same_sources_is_told(
    command: Command, interrupted: Path, tmp_path: Path, ran: list[str]
) -> None:
    (tmp_path / "initramfs").write_bytes(b"compiled by another compiler")
    answer = command("resume", interrupted)
    assert answer.code == 2
    assert "the initramfs is not the one that the run began with" in answer.err
    assert len(ran) == 2


def test_a_changed_patch_in_the_folder_is_named(command: Command, interrupted: Path) -> None:
    (path,) = (interrupted / "series/patched").iterdir()
    path.write_bytes(path.read_bytes().replace(b"+new", b"+newer"))
    said = refusal(command, interrupted)
    assert f"series/patched/{path.name} has another diff" in said
    answer = command("report", interrupted)
    assert answer.code == 130
    assert f"series/patched/{path.name} has another diff" in " ".join(answer.err.split())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[thp-madvise]", "[thp-never, thp-madvise]", "settings thp-never: is new"),
        ("[exclusive/mapcount]", "[exclusive/*]", "testcases exclusive/lifecycle: is new"),
        ("settings:", "repeat: 3\nsettings:", "repeat: was 1, is 3"),
        (
            "tree: dir:linux",
            "tree: dir:other",
            "kernels base tree: was 'dir:linux', is 'dir:other'",
        ),
        ("name: tiny", "nome: tiny", "cannot be read any more"),
    ],
)
def test_a_changed_lab_is_named(
    command: Command, interrupted: Path, lab_file: Path, old: str, new: str, said: str
) -> None:
    text = lab_file.read_text(encoding="utf-8")
    lab_file.write_text(text.replace(old, new), encoding="utf-8")
    assert said in refusal(command, interrupted)
    answer = command("report", interrupted)
    assert answer.code == 130
    assert said in " ".join(answer.err.split())
    assert "(judged by the lab of then)" in answer.err


def test_a_comment_in_the_lab_file_or_its_absence_is_no_difference(
    command: Command, interrupted: Path, lab_file: Path
) -> None:
    text = lab_file.read_text(encoding="utf-8")
    lab_file.write_text(f"# a comment\n\n{text}", encoding="utf-8")
    assert "since the run" not in command("report", interrupted).err
    lab_file.unlink()
    assert "since the run" not in command("report", interrupted).err
    assert command("resume", interrupted).code == 0


def test_everything_that_differs_is_told_at_once(
    command: Command, interrupted: Path, lab_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_kernel, "toolchain", lambda *words: "gcc 99")
    monkeypatch.setattr(programs, "sources", lambda *words: {"the agent": "1"})
    lab_file.write_text(lab_file.read_text("utf-8") + "repeat: 2\n", encoding="utf-8")
    said = refusal(command, interrupted)
    for part in ("kernel base: toolchain", "kernel patched: toolchain", "the agent has other",
                 "more testcases have other sources", "repeat: was 1, is 2"):  # fmt: skip
        assert part in said


def test_a_run_of_an_earlier_version_says_that_it_cannot_be_gone_on_with(
    command: Command, interrupted: Path
) -> None:
    facts = record(interrupted)
    for kernel in facts["kernels"].values():
        for name in ("tree_entry", "saved_patches", "onto", "symbols", "recipe", "environment"):
            del kernel[name]
        kernel["error_kind"] = ""
    for name in ("options", "programs"):
        del facts[name]
    (interrupted / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    assert "was begun by an earlier version of the lab" in refusal(command, interrupted)
    assert command("report", interrupted).code == 130


@pytest.mark.parametrize("verb", ["report", "resume"])
def test_a_run_that_names_files_elsewhere_writes_nothing(
    command: Command, interrupted: Path, tmp_path: Path, verb: str
) -> None:
    facts = record(interrupted)
    facts["lab"]["kernels"][0]["name"] = "../../../evil"
    facts["cells"] = [cell.replace("base.", "../../../evil.") for cell in facts["cells"]]
    (interrupted / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    answer = command(verb, interrupted)
    assert answer.code == 2
    assert "can be no kernel of a run" in answer.err
    assert [path for path in sorted(tmp_path.rglob("*")) if path.name != ".lock"] == [
        path for path in before if path.name != ".lock"
    ]


# -- a damaged journal -------------------------------------------------------------------------


def test_a_cell_whose_line_is_damaged_runs_again(
    command: Command, interrupted: Path, ran: list[str]
) -> None:
    journal = interrupted / "events.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(b"\xff" + line if b'"cell"' in line else line for line in lines))
    answer = command("report", interrupted)
    assert answer.code == 130
    assert "the line is damaged" in answer.err
    assert json.loads((interrupted / "results.json").read_bytes())["cells"] == []
    assert command("resume", interrupted).code == 0
    assert ran[2:] == ran[:2]


# -- evidence that is not as it was ------------------------------------------------------------


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def gone(path: Path) -> None:
    path.unlink()


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [emptied, cut, flipped, gone, a_folder])
@pytest.mark.parametrize("name", ["agent.jsonl", "console.log"])
def test_a_cell_whose_evidence_is_spoilt_is_an_error_and_runs_again(
    command: Command,
    interrupted: Path,
    ran: list[str],
    harm: Callable[[Path], None],
    name: str,
) -> None:
    harm(interrupted / "cells" / ran[0] / name)
    assert command("report", interrupted).code == 130
    (cell,) = json.loads((interrupted / "results.json").read_bytes())["cells"]
    assert (cell["verdict"], cell["outcome"]) == ("error", "lost")
    assert cell["reason"].startswith(name)
    assert "lab.py resume runs the cell again" in cell["reason"]
    answer = command("resume", interrupted)
    assert answer.code == 0
    assert f"{ran[0]}: {name} " in " ".join(answer.err.split())
    assert sorted(ran[2:]) == sorted(ran[:2])
    assert command("resume", interrupted).code == 2  # what ran again is sealed anew


def test_a_finished_run_with_spoilt_evidence_is_gone_on_with(
    command: Command, interrupted: Path, ran: list[str]
) -> None:
    assert command("resume", interrupted).code == 0
    whole = (interrupted / "results.json").read_bytes()
    emptied(interrupted / "cells" / ran[0] / "console.log")
    assert command("report", interrupted).code == 69
    assert (interrupted / "results.json").read_bytes() != whole
    assert command("resume", interrupted).code == 0
    assert ran[3:] == ran[:1]
    assert (interrupted / "results.json").read_bytes() == whole


def test_a_cell_that_ended_in_an_error_of_the_labs_own_runs_again(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells: list[str] = []

    async def run(cell: Cell, setup: CellSetup, folder: Path, program: str) -> None:
        cells.append(cell.id)
        if len(cells) == 1:
            raise InfraError("no room for the guest's memory")
        save(folder, FAIL if cell.kernel == "base" else PASS)

    monkeypatch.setattr(guest_cell, "run", run)
    answer = command("ab", lab_file, "--series", "x", "--accel", "tcg", "--jobs", "1")
    assert answer.code == 69
    folder = run_folder(tmp_path)
    answer = command("resume", folder)
    assert "no room for the guest's memory: running it again" in " ".join(answer.err.split())
    assert cells[2:] == cells[:1]
    assert command("report", folder).code == answer.code != 69
    assert command("resume", folder).code == 2


def test_the_evidence_of_another_cell_is_none(
    command: Command, interrupted: Path, ran: list[str]
) -> None:
    assert command("resume", interrupted).code == 0
    whole = (interrupted / "results.json").read_bytes()
    base, patched = sorted(set(ran))
    save(interrupted / "cells" / "x", PASS)  # names no cell of the run
    shutil.rmtree(interrupted / "cells" / base)
    (interrupted / "cells" / "x").rename(interrupted / "cells" / base)
    journal = interrupted / "events.jsonl"
    events = [json.loads(line) for line in journal.read_text("utf-8").splitlines()]
    for event in events:
        event.pop("evidence", None)  # as an earlier version of the lab wrote it
    journal.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    assert command("report", interrupted).code == 69
    cells = json.loads((interrupted / "results.json").read_bytes())["cells"]
    verdicts = {cell["id"]: (cell["verdict"], cell["reason"]) for cell in cells}
    assert verdicts[base] == ("error", "the evidence is that of another cell, x")
    assert verdicts[patched][0] == "pass"
    assert command("resume", interrupted).code == 0
    assert (interrupted / "results.json").read_bytes() == whole


def test_what_an_earlier_attempt_left_is_no_evidence_of_the_next(
    command: Command, interrupted: Path, ran: list[str]
) -> None:
    left = interrupted / "cells" / ran[1] / "memory.elf.zst"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"of a guest that is no more")
    assert command("resume", interrupted).code == 0
    assert not left.exists()


# -- before a run ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ab", "tiny.yaml", "--series", "nowhere"), "there is no series 'nowhere'"),
        (("plan", "tiny.yaml", "--series", "nowhere"), "there is no series 'nowhere'"),
        (("run", "tiny.yaml", "--tree", "foo"), "not a kernel tree: 'foo'"),
        (("plan", "tiny.yaml", "--tree", "foo"), "not a kernel tree: 'foo'"),
        (("plan", "tiny.yaml", "--tree", "dir:foo"), "is no kernel tree: it has no Makefile"),
        (("build", "tiny.yaml", "--tree", "dir:foo"), "is no kernel tree: it has no Makefile"),
        (("run", "tiny.yaml", "--series", "x", "--onto", "nowhere"), "no series 'nowhere'"),
        (("run", "tiny.yaml", "--onto", "x"), "--onto is what --series is on top of"),
        (("run", "tiny.yaml", "--config", "debuginf"), "'debuginf'; did you mean 'debuginfo'?"),
        (("run", "tiny.yaml", "--name", "../x"), "'../x' can be no kernel's name"),
    ],
)
def test_a_mistyped_series_or_tree_leaves_nothing_behind(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path,
    words: tuple[str, ...], said: str,
) -> None:  # fmt: skip
    answer = command(*words)
    assert answer.code == 2
    assert said in " ".join(answer.err.split())
    assert not (tmp_path / "reports").exists()
    assert list(Cache().entries()) == []


def test_both_mistakes_are_told(command: Command, guests: Show, lab_file: Path) -> None:
    answer = command("ab", lab_file, "--series", "nowhere", "--tree", "foo")
    assert answer.code == 2
    assert "not a kernel tree: 'foo'" in answer.err
    assert "there is no series 'nowhere'" in answer.err


# -- on one kernel -----------------------------------------------------------------------------


def test_a_run_on_a_series_names_its_kernel(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guests(patched=PASS, mutant=PASS)
    words = ("run", lab_file, "--accel", "tcg", "--series", "x", "--format", "json")
    (cell,) = json.loads(command(*words).out)["cells"]
    assert cell["kernel"] == "patched"
    shutil.rmtree(tmp_path / "reports")
    write(tmp_path, {"y": (tmp_path / "x").read_text("utf-8").replace("new", "newer", 1)})
    write(tmp_path, {"y": (tmp_path / "y").read_text("utf-8").replace("-old\n", "-new\n")})
    filter = "kernel=mutant,testcase=exclusive/mapcount"
    more = ("--series", "y", "--onto", "x", "--name", "mutant", "--config", "nodebug")
    (cell,) = json.loads(command(*words[:4], *more, *words[6:], "--filter", filter).out)["cells"]
    assert cell["kernel"] == "mutant"
    facts = record(run_folder(tmp_path))["kernels"]["mutant"]
    assert (facts["series"], facts["onto"]) == ("x + y", 1)
    assert facts["config"] == ["guest", "nodebug"]


def test_a_run_expands_the_matrix_once(
    command: Command, guests: Show, lab_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guests(base=PASS, patched=PASS)
    made: list[Lab] = []

    def counted(lab: Lab) -> Plan:
        made.append(lab)
        return plan(lab)

    for module in (run_pipeline, selection, evaluate):
        monkeypatch.setattr(module, "plan", counted)
    assert command("ab", lab_file, "--series", "x", "--accel", "tcg").code == 0
    assert len(made) == 1
