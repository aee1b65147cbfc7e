# SPDX-License-Identifier: GPL-2.0
"""The real QEMU with guests that hang, die, flood and vanish: each is told from the others.

From the guest to the Observation: what is asserted is what judging sees in the saved evidence.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rmaplab.collect.observe import observe
from rmaplab.guest import console
from rmaplab.judge import judge
from rmaplab.model import Fault, Observation, Outcome, Verdict

from . import fake_guest
from .fake_guest import AGAIN, HALT, TRIPLE_FAULT, FakeGuest
from .fake_tree import processes_with

BANNER = b"Linux version 6.12.0 (rmaplab@rmaplab) #1\n"
# A limit that is not meant to be reached, on however busy a host.
LONG_S = 40.0
SHORT_S = 2.0
BUSY_S = 1.0


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The cell's folder; after the test no QEMU may be left of it."""
    yield tmp_path / "cell"
    assert list(processes_with(str(tmp_path))) == []


def fake(folder: Path, text: bytes, then: bytes, *more: str) -> FakeGuest:
    return booting(folder, fake_guest.disk(text, then), *more)


def booting(folder: Path, disk: bytes, *more: str) -> FakeGuest:
    path = folder.parent / "disk.img"
    path.write_bytes(disk)
    return FakeGuest(path, more)


def watch(guest: FakeGuest, folder: Path, *, boot_s: float = LONG_S) -> Observation:
    """Run a cell on the guest; it has to end before a limit that is not meant to be reached."""
    began = time.monotonic()
    asyncio.run(fake_guest.run(guest, folder, boot_s=boot_s))
    if boot_s == LONG_S:
        assert time.monotonic() - began < LONG_S
    return observe(folder)


def said(folder: Path, event: str) -> list[dict[str, Any]]:
    """The transcript's lines of one event."""
    text = (folder / "agent.jsonl").read_text(encoding="utf-8")
    return [line for line in map(json.loads, text.splitlines()) if line["ev"] == event]


def how(folder: Path) -> str:
    (end,) = said(folder, "end")
    return str(end["how"])


def verdict(seen: Observation) -> Verdict:
    return judge(fake_guest.a_cell(1), seen, ()).verdict


def qemu_of(folder: Path) -> int:
    """The process number of the QEMU that runs the folder's guest, once it prints."""
    ends = time.monotonic() + LONG_S
    log = folder / "console.log"
    while time.monotonic() < ends:
        if log.exists() and BANNER in log.read_bytes():
            found = [
                number
                for number in processes_with(str(folder.parent / "disk.img"))
                if b"qemu-system" in Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")[0]
            ]
            (number,) = found
            return number
        time.sleep(0.02)
    raise AssertionError("the guest never printed")


def gone(number: int, within_s: float) -> bool:
    ends = time.monotonic() + within_s
    while Path(f"/proc/{number}").exists():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True


def test_a_guest_in_which_no_kernel_begins_is_the_labs_fault(folder: Path) -> None:
    seen = watch(fake(folder, b"SeaBIOS\n", HALT), folder, boot_s=SHORT_S)
    assert how(folder) == "boot-limit"
    assert (seen.ended, seen.fault) == (Outcome.INFRA, Fault.LAB)
    assert "never began" in seen.detail
    assert verdict(seen) is Verdict.ERROR


def test_a_kernel_that_hangs_at_boot_failed_to_boot(folder: Path) -> None:
    seen = watch(fake(folder, BANNER, HALT), folder, boot_s=6.0)
    assert how(folder) == "boot-limit"
    assert (seen.ended, seen.fault) == (Outcome.BOOT_FAILED, Fault.KERNEL)
    assert (folder / "console.log").read_bytes() == BANNER


def test_a_guest_that_resets_itself_is_known_at_once(folder: Path) -> None:
    seen = watch(fake(folder, BANNER, TRIPLE_FAULT), folder)
    assert how(folder) == "reset"
    assert (seen.ended, seen.fault) == (Outcome.BOOT_FAILED, Fault.KERNEL)
    assert "guest-reset" in seen.detail


def test_a_panic_on_the_console_is_known_at_once_with_its_words(folder: Path) -> None:
    panic = b"Kernel panic - not syncing: Attempted to kill init!\n"
    seen = watch(fake(folder, BANNER + panic, HALT), folder)
    assert how(folder) == "panic"
    assert seen.ended is Outcome.BOOT_FAILED
    assert "Attempted to kill init!" in seen.detail
    assert [splat.kind for splat in seen.splats] == ["panic"]
    assert verdict(seen) is Verdict.FAIL


def test_the_lines_after_a_panic_are_kept(folder: Path) -> None:
    panic = b"Kernel panic - not syncing: x\nRebooting never\n---[ end Kernel panic - x ]---\n"
    watch(fake(folder, BANNER + panic, HALT), folder)
    assert (folder / "console.log").read_bytes() == BANNER + panic


def test_what_a_guest_prints_while_the_lab_is_busy_is_not_lost(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_watch = console.Console.watch

    async def busy_watch(self: console.Console, *words: Any) -> None:
        select.select([self._spawn.child_fd], [], [])  # the guest prints
        time.sleep(BUSY_S)  # and the whole lab stands still
        await real_watch(self, *words)

    monkeypatch.setattr(console.Console, "watch", busy_watch)
    line = b"[    2.449152][    T1] a line that a kernel prints in one go, without looking up\n"
    watch(booting(folder, fake_guest.hasty_disk(line, 2000)), folder, boot_s=SHORT_S)
    assert (folder / "console.log").read_bytes() == line * 2000


def test_a_flood_of_hostile_bytes_is_kept_and_bounded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "KEPT_BYTES", 4096)
    hostile = BANNER + b"\x1b[2J\x1b]0;owned\x07\xff\xfe\x80\r\x08\x9b" + b"no end of line " * 8
    seen = watch(fake(folder, hostile, AGAIN), folder, boot_s=6.0)
    kept = (folder / "console.log").read_bytes()
    assert len(kept) == 4096
    assert kept.startswith(hostile)
    (cut,) = said(folder, "console-cut")
    assert cut["dropped"] > 0
    assert how(folder) == "boot-limit"
    assert verdict(seen) is Verdict.FAIL


def test_a_flood_without_a_line_end_does_not_hide_a_panic(folder: Path) -> None:
    text = b"#" * 300 + b"Kernel panic - not syncing: late\n"
    seen = watch(fake(folder, text, HALT), folder)
    assert how(folder) == "panic"
    assert "late" in seen.detail


def test_a_qemu_that_was_killed_is_known_at_once_and_is_the_labs_fault(folder: Path) -> None:
    async def both() -> float:
        guest = fake(folder, BANNER, HALT)
        running = asyncio.ensure_future(fake_guest.run(guest, folder, boot_s=LONG_S))
        number = await asyncio.to_thread(qemu_of, folder)
        os.kill(number, signal.SIGKILL)
        killed = time.monotonic()
        await running
        return time.monotonic() - killed

    # Within a second on an idle host.
    assert asyncio.run(both()) < 10
    seen = observe(folder)
    assert how(folder) == "qemu-exit"
    assert (seen.ended, seen.fault) == (Outcome.INFRA, Fault.LAB)
    assert f"status {-signal.SIGKILL}" in seen.detail


def test_a_qemu_that_cannot_start_says_why(folder: Path) -> None:
    seen = watch(fake(folder, BANNER, HALT, "-nonsense"), folder)
    assert how(folder) == "unusable"
    assert (seen.ended, seen.fault) == (Outcome.INFRA, Fault.LAB)
    assert verdict(seen) is Verdict.ERROR
    assert "-nonsense" in said(folder, "end")[0]["detail"]


def test_a_cell_that_is_cancelled_leaves_no_guest_and_no_pass(folder: Path) -> None:
    async def cancelled() -> None:
        guest = fake(folder, BANNER, HALT)
        running = asyncio.ensure_future(fake_guest.run(guest, folder, boot_s=LONG_S))
        number = await asyncio.to_thread(qemu_of, folder)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert gone(number, 0)

    asyncio.run(cancelled())
    assert said(folder, "interrupted")
    assert said(folder, "end") == []
    assert verdict(observe(folder)) is Verdict.ERROR


LAB = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import fake_guest
asyncio.run(fake_guest.run(
    fake_guest.FakeGuest(Path(sys.argv[2])), Path(sys.argv[3]), boot_s=1000))
"""


def test_a_qemu_dies_with_the_lab_that_was_killed(folder: Path) -> None:
    guest = fake(folder, BANNER, HALT)
    here = str(Path(__file__).parent)
    words = [sys.executable, "-c", LAB, here, str(guest.disk), str(folder)]
    with subprocess.Popen(words) as lab:
        number = qemu_of(folder)
        lab.kill()
        lab.wait()
        # Within a blink on an idle host.
        assert gone(number, 10)
    seen = observe(folder)
    assert (seen.ended, seen.fault) == (Outcome.LOST, Fault.LAB)
    assert verdict(seen) is Verdict.ERROR
