# SPDX-License-Identifier: GPL-2.0
"""A guest that the lab watches: a watch that fails is the lab's fault, told as what it is."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from qemu.qmp import QMPError

from rmaplab.errors import InfraError
from rmaplab.evidence.ends import EndCause
from rmaplab.guest import vm as guest_vm
from rmaplab.guest.console import Console, open_log, open_pipe
from rmaplab.guest.vm import GuestDied, LimitReached, Vm, background

from . import builders

LONG_S = 30.0
# A device whose writes fail with ENOSPC (full(4)).
FULL = Path("/dev/full")


def watched(
    work: Callable[[Vm], Awaitable[object]], *watches: Callable[[], Awaitable[None]]
) -> list[str]:
    """Await ``work`` of a guest with these watches beside it; return how each watch was left."""
    left: list[str] = []

    async def told(watch: Callable[[], Awaitable[None]]) -> None:
        try:
            await watch()
        except asyncio.CancelledError:
            left.append("cancelled")
            raise

    async def play() -> None:
        nothing: Any = None
        vm = Vm(builders.guest(), nothing, nothing, nothing)
        async with asyncio.timeout(LONG_S), background(vm, *map(told, watches)):
            await work(vm)

    asyncio.run(play())
    return left


async def quiet() -> None:
    await asyncio.Event().wait()


async def full_disk() -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "console.log")


async def an_answer_that_never_comes(vm: Vm) -> None:
    await vm.within(LONG_S * 2, EndCause.SILENCE, quiet())


def test_a_full_disk_is_raised_at_once_to_what_awaits_the_guest() -> None:
    async def work(vm: Vm) -> None:
        with pytest.raises(OSError, match=r"No space left on device: 'console\.log'"):
            await an_answer_that_never_comes(vm)
        raise InfraError("the block ends with an error of its own")

    with pytest.raises(OSError, match="No space left on device"):
        watched(work, quiet, full_disk)


def test_a_full_disk_is_raised_though_nothing_was_awaited() -> None:
    async def work(_vm: Vm) -> None:
        await asyncio.sleep(0)

    with pytest.raises(OSError, match="No space left on device"):
        watched(work, full_disk)


def test_a_full_disk_after_the_guests_death_is_raised_all_the_same() -> None:
    async def work(vm: Vm) -> None:
        vm.died(EndCause.PANIC, "Kernel panic")
        with pytest.raises(GuestDied):
            await an_answer_that_never_comes(vm)

    with pytest.raises(OSError, match="No space left on device"):
        watched(work, full_disk)


def test_a_bug_in_a_watch_is_raised_as_itself() -> None:
    async def bug() -> None:
        raise KeyError("status")

    with pytest.raises(KeyError, match="status"):
        watched(an_answer_that_never_comes, bug)


def test_a_connection_to_qemu_that_ends_is_no_error() -> None:
    async def gone() -> None:
        raise QMPError("disconnected")

    async def work(vm: Vm) -> None:
        with pytest.raises(LimitReached):
            await vm.within(0.05, EndCause.SILENCE, quiet())

    assert watched(work, gone, quiet) == ["cancelled"]


def test_time_in_which_the_lab_was_stopped_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_vm, "STOPPED_S", 0.2)
    monkeypatch.setattr(guest_vm, "SETTLE_S", 0.5)

    async def answer() -> str:
        await asyncio.sleep(0.05)  # it would have come long before the limit
        await asyncio.sleep(0.05)
        return "here"

    async def work(vm: Vm) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(time.sleep, 1.0)  # as under SIGSTOP: nothing runs
        assert await vm.within(0.3, EndCause.SILENCE, answer()) == "here"
        with pytest.raises(LimitReached):
            await vm.within(0.3, EndCause.SILENCE, quiet())

    watched(work)


def test_an_interruption_stays_one_beside_a_full_disk() -> None:
    async def work(_vm: Vm) -> None:
        await asyncio.sleep(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watched(work, full_disk)


def test_a_clones_console_log_begins_with_its_templates(tmp_path: Path) -> None:
    before, log = tmp_path / "before", tmp_path / "console.log"
    before.write_bytes(b"boot\n")
    with open_log(log, before) as file:
        file.write(b"cell\n")
    assert log.read_bytes() == b"boot\ncell\n"
    assert before.read_bytes() == b"boot\n"


def test_a_console_that_cannot_be_kept_names_its_file() -> None:
    async def play() -> None:
        near, far = open_pipe()
        with near, far, open_log(FULL, None) as file:
            listener = Console(near, file)
            far.write(b"[    1.000000] a line\n")
            try:
                with pytest.raises(OSError, match="No space left on device: '/dev/full'") as told:
                    await asyncio.wait_for(listener.watch(lambda line: None), LONG_S)
                assert told.value.errno == errno.ENOSPC
            finally:
                listener.close()

    asyncio.run(play())
