# SPDX-License-Identifier: GPL-2.0
"""A cell's task is plain data: it goes through JSON and through pickle, and comes back equal."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmaplab.guest.cellsetup import CellSetup, CellTask, LedgerSetup, TemplateState
from rmaplab.guest.command import Accelerator, Launch
from rmaplab.guest.notrun import NotBooted, NotBuilt, NotRun, Skip
from rmaplab.guest.postmortem import MemoryDumpPermit
from rmaplab.guest.settings import SetupResult
from rmaplab.model import Cell, ExpectedSubtests, Isolation, Upstream, Userspace, Write

from . import builders

BOOT = Launch(Path("/cache/builds/k/bzImage"), Path("/cache/initramfs/i/cpio"), Accelerator.TCG)
CLONE = dataclasses.replace(
    BOOT, ram=Path("/cache/templates/t"), state=Path("/cache/templates/t/s")
)
VNG = dataclasses.replace(BOOT, vng=("qemu-system-x86_64", "-append", "a 'b' \u00e9"))
TEMPLATE = TemplateState(
    SetupResult("", frozenset({"/sys/b", "/sys/a"}), 9), b'{"ev":"files"}\n\xff'
)
LEDGER = LedgerSetup({"pages.unaccounted": (-24, 24)}, "", {"vmstat.nr_anon_pages": 7})


def cell(isolation: Isolation, *, exact: bool = False, upstream: bool = False) -> Cell:
    host = Userspace.HOST if isolation is Isolation.BOOT else Userspace.INITRAMFS
    guest = dataclasses.replace(
        builders.guest(isolation=isolation), icount=exact, userspace=host, cmdline=("quiet",)
    )
    testcase = dataclasses.replace(
        builders.testcase(), leaves={"lru.anon": 3, "mthp.*": None}, args=("a b", "")
    )
    if upstream:
        write = Write("/proc/sys/vm/nr_hugepages", "4", "4")
        testcase = dataclasses.replace(testcase, upstream=Upstream("cow", 65534, (write,)))
    return builders.cell(guest=guest, testcase=testcase, device="dmirror")


TASKS = {
    "a clone": CellTask(
        cell(Isolation.CLONE),
        CellSetup(
            CLONE, ("/proc/vmstat", "/sys/*"), TEMPLATE, ("no-page-mapcount",), LEDGER,
            MemoryDumpPermit(1 << 28),
        ),
        "/bin/rmap/mapcount",
    ),
    "an exact clone": CellTask(
        cell(Isolation.CLONE, exact=True), CellSetup(CLONE, (), TEMPLATE), "/bin/x"
    ),
    "a boot without checks": CellTask(cell(Isolation.BOOT), CellSetup(VNG, ()), "/run/x"),
    "a shared guest": CellTask(
        cell(Isolation.SHARED), CellSetup(BOOT, (), audit=(), ledger=LedgerSetup({}, "none")), "x"
    ),
    "a selftest of the tree": CellTask(
        cell(Isolation.CLONE, upstream=True),
        CellSetup(CLONE, (), TEMPLATE, expected=ExpectedSubtests("6.12", "6.12", ("a", "b"))),
        "x",
    ),
    "a selftest without a list": CellTask(
        cell(Isolation.CLONE, upstream=True),
        CellSetup(CLONE, (), TEMPLATE, expected=ExpectedSubtests("6.12", "", None)),
        "x",
    ),
}  # fmt: skip
NOT_RUN: tuple[NotRun, ...] = (
    Skip(cell(Isolation.CLONE), "needs swap"),
    NotBuilt(cell(Isolation.CLONE), "error: no such header"),
    NotBooted(cell(Isolation.CLONE), Path("/run/boots/base-on-q35"), BOOT),
)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_task_comes_back_from_json_and_from_pickle(task: CellTask) -> None:
    text = task.to_json()
    copy = CellTask.from_json(text)
    assert copy == task
    assert copy.to_json() == text
    assert pickle.loads(pickle.dumps(task)) == task


@pytest.mark.parametrize("one", NOT_RUN)
def test_why_a_cell_is_not_run_comes_back_from_pickle(one: NotRun) -> None:
    assert pickle.loads(pickle.dumps(one)) == one


def test_the_tasks_have_every_isolation_and_every_part_of_a_setup() -> None:
    assert {task.cell.guest.isolation for task in TASKS.values()} == set(Isolation)
    for field in dataclasses.fields(CellSetup):
        used = [getattr(task.setup, field.name) for task in TASKS.values()]
        assert any(used), f"no task with {field.name}"


@given(st.binary(max_size=200), st.text(max_size=50))
def test_any_transcript_and_any_argument_come_back(transcript: bytes, word: str) -> None:
    task = TASKS["a clone"]
    state = dataclasses.replace(TEMPLATE, transcript=transcript)
    setup = dataclasses.replace(task.setup, template=state)
    testcase = dataclasses.replace(task.cell.testcase, args=(word,))
    task = CellTask(dataclasses.replace(task.cell, testcase=testcase), setup, word)
    assert CellTask.from_json(task.to_json()) == task


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff", TASKS["a clone"].to_json()[:-1]])
def test_what_is_no_task_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"CellTask|JSON"):
        CellTask.from_json(text)


@pytest.mark.parametrize("one", NOT_RUN[:2])
def test_a_cell_that_is_not_run_leaves_an_end_that_says_so(tmp_path: Path, one: NotRun) -> None:
    one.leave(tmp_path)
    lines = (tmp_path / "agent.jsonl").read_text(encoding="utf-8").splitlines()
    (end,) = (line for line in map(json.loads, lines) if line["ev"] == "end")
    assert end["how"] == "not-run"


def test_a_cell_whose_guest_did_not_boot_has_the_evidence_of_that_boot(tmp_path: Path) -> None:
    boot, folder = tmp_path / "boot", tmp_path / "cell"
    builders.save(boot, builders.conversation(end="boot-limit"))
    folder.mkdir()
    NotBooted(cell(Isolation.CLONE), boot, BOOT).leave(folder)
    for path in boot.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
