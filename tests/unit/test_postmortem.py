# SPDX-License-Identifier: GPL-2.0
"""When a guest's memory is saved, and that nothing of it changes how the cell ends."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from rmaplab.errors import InfraError
from rmaplab.evidence.ends import EndCause
from rmaplab.guest import postmortem
from rmaplab.guest.console import Console
from rmaplab.guest.postmortem import MemoryDumpPermit, Postmortem
from rmaplab.guest.transcript import Transcript
from rmaplab.guest.vm import GuestEnd, LimitReached, Vm
from rmaplab.store import memoryfile

from . import builders

MEMORY = b"\x7fELF" + bytes(100_000)
LONG_S = 60.0
PERMIT = MemoryDumpPermit(1 << 20)


class FakeQmp:
    """Notes what it is asked to do; ``dump`` is what happens for a memory.

    Its answer comes after ``closed``, whose result is awaited when the file has been closed.
    """

    def __init__(self, dump: Callable[[int], Awaitable[None]]) -> None:
        self.asked: list[str] = []
        self.closed: Callable[[], Awaitable[object]] | None = None
        self._dump = dump
        self._file = -1

    def send_fd_scm(self, fd: int) -> None:
        self._file = os.dup(fd)

    async def execute(self, name: str, _arguments: object = None) -> None:
        self.asked.append(name)
        if name == "dump-guest-memory":
            try:
                await self._dump(self._file)
            finally:
                os.close(self._file)
                if self.closed is not None:
                    await self.closed()


async def written(file: int) -> None:
    await asyncio.to_thread(os.write, file, MEMORY[:60_000])
    await asyncio.to_thread(os.write, file, MEMORY[60_000:])


async def refused(_file: int) -> None:
    raise OSError("no memory today")


async def torn(file: int) -> None:
    await asyncio.to_thread(os.write, file, MEMORY[:60_000])
    raise OSError("no memory today")


class Scene:
    """A guest under watch, and its transcript."""

    def __init__(
        self,
        folder: Path,
        dump: Callable[[int], Awaitable[None]] = written,
        permit: MemoryDumpPermit | None = PERMIT,
    ) -> None:
        self.folder = folder
        self.transcript = Transcript(folder / "agent.jsonl")
        self.qmp = FakeQmp(dump)
        console: Any = Console.__new__(Console)
        console.complained, console.reported = asyncio.Event(), asyncio.Event()
        console.complaint, console.spoke_at = "", 0.0
        agent: Any = None
        qmp: Any = self.qmp
        self.vm = Vm(builders.guest(), console, agent, qmp)
        self.postmortem = Postmortem(self.vm, self.transcript, permit, living=True)

    def complain(self) -> None:
        self.vm.console.complaint = "warning"
        self.vm.console.complained.set()
        self.vm.console.reported.set()

    @property
    def said(self) -> list[dict[str, Any]]:
        text = (self.folder / "agent.jsonl").read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines()]
        return [line for line in lines if line["ev"] != "sealed"]

    @property
    def saved(self) -> bytes | None:
        path = self.folder / memoryfile.NAME
        if not path.exists():
            return None
        memoryfile.unpack(path, self.folder / "elf")
        return (self.folder / "elf").read_bytes()

    async def until(self, condition: Callable[[], bool]) -> None:
        ends = time.monotonic() + LONG_S
        while not condition():
            assert time.monotonic() < ends
            await asyncio.sleep(0.005)


def scene(
    work: Callable[[Scene], Awaitable[None]],
    folder: Path,
    dump: Callable[[int], Awaitable[None]] = written,
    permit: MemoryDumpPermit | None = PERMIT,
) -> Scene:
    async def play() -> Scene:
        stage = Scene(folder, dump, permit)
        with stage.transcript:
            await work(stage)
        return stage

    return asyncio.run(play())


async def complains(stage: Scene) -> None:
    """The guest complains, and goes on once that was looked at."""
    async with stage.postmortem.watching():
        stage.complain()
        await stage.until(lambda: "cont" in stage.qmp.asked)


def test_a_complaint_is_looked_at_and_the_guest_goes_on(tmp_path: Path) -> None:
    after = scene(complains, tmp_path)
    assert after.qmp.asked == ["stop", "getfd", "dump-guest-memory", "cont"]
    assert after.saved == MEMORY
    (line,) = after.said
    assert (line["ev"], line["why"], line["complaint"]) == ("memory", "complaint", "warning")
    assert line["memory_bytes"] == len(MEMORY)
    assert not after.vm.death.done()


def test_a_cell_that_ends_while_its_memory_is_saved_waits_for_it(tmp_path: Path) -> None:
    async def work(stage: Scene) -> None:
        async with stage.postmortem.watching():
            stage.complain()
            await stage.until(lambda: "stop" in stage.qmp.asked)

    after = scene(work, tmp_path)
    assert after.saved == MEMORY
    assert after.qmp.asked[-1] == "cont"


def test_a_dead_guest_is_looked_at_and_stays_stopped(tmp_path: Path) -> None:
    async def work(stage: Scene) -> None:
        stage.vm.died(EndCause.PANIC, "it panicked")
        await stage.postmortem.after(stage.vm.death.result())

    after = scene(work, tmp_path)
    assert after.qmp.asked == ["stop", "getfd", "dump-guest-memory"]
    assert after.saved == MEMORY
    assert after.said[0]["why"] == "panic"


def test_the_first_moment_is_the_one_that_is_kept(tmp_path: Path) -> None:
    async def work(stage: Scene) -> None:
        async with stage.postmortem.watching():
            stage.complain()
            await stage.until(lambda: "cont" in stage.qmp.asked)
        stage.vm.died(EndCause.PANIC, "it panicked")
        await stage.postmortem.after(stage.vm.death.result())

    after = scene(work, tmp_path)
    assert after.qmp.asked.count("dump-guest-memory") == 1


@pytest.mark.parametrize("how", [EndCause.BYE, EndCause.UNUSABLE, EndCause.QEMU_EXIT])
def test_there_is_nothing_to_look_for_after_an_end_that_is_not_the_kernels(
    tmp_path: Path, how: EndCause
) -> None:
    async def work(stage: Scene) -> None:
        await stage.postmortem.after(GuestEnd(how, ""))

    assert scene(work, tmp_path).qmp.asked == []


def test_without_a_permit_nobody_stops_the_guest(tmp_path: Path) -> None:
    async def work(stage: Scene) -> None:
        async with stage.postmortem.watching():
            stage.complain()
            await asyncio.sleep(0.05)
        await stage.postmortem.after(GuestEnd(EndCause.PANIC, ""))

    after = scene(work, tmp_path, permit=None)
    assert after.qmp.asked == []
    assert after.said == []


def test_a_memory_that_qemu_does_not_give_is_said_and_the_guest_goes_on(tmp_path: Path) -> None:
    after = scene(complains, tmp_path, refused)
    (line,) = after.said
    assert line["ev"] == "memory-not-saved"
    assert "no memory today" in line["detail"]
    assert after.saved is None
    assert not after.vm.death.done()


@pytest.mark.parametrize("dump", [refused, torn])
def test_the_end_of_the_pipe_is_not_the_reason_if_it_is_seen_before_qemus_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dump: Callable[[int], Awaitable[None]]
) -> None:
    received = threading.Event()
    receive = memoryfile.receive

    def and_say_so(*args: Any, **kwargs: Any) -> int:
        try:
            return receive(*args, **kwargs)
        finally:
            received.set()

    async def work(stage: Scene) -> None:
        stage.qmp.closed = lambda: asyncio.to_thread(received.wait, LONG_S)
        await complains(stage)

    monkeypatch.setattr(memoryfile, "receive", and_say_so)
    after = scene(work, tmp_path, dump)
    (line,) = after.said
    assert line["ev"] == "memory-not-saved"
    assert "no memory today" in line["detail"]
    assert after.saved is None


@pytest.mark.parametrize("seen_first", ["the reader's error", "qemu's error"])
def test_a_memory_that_is_too_large_says_so_whichever_error_is_seen_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen_first: str
) -> None:
    receive = memoryfile.receive
    ended = threading.Event()

    def receiving(*args: Any, given_up: threading.Event, **limits: Any) -> int:
        try:
            return receive(*args, given_up=given_up, **limits)
        finally:
            ended.set()
            if seen_first == "qemu's error":
                assert given_up.wait(LONG_S)

    async def endless(file: int) -> None:
        while True:
            await asyncio.to_thread(os.write, file, os.urandom(1 << 20))

    async def work(stage: Scene) -> None:
        stage.qmp.closed = lambda: asyncio.to_thread(ended.wait, LONG_S)
        await complains(stage)

    monkeypatch.setattr(memoryfile, "receive", receiving)
    after = scene(work, tmp_path, endless, MemoryDumpPermit(2 << 20))
    (line,) = after.said
    assert line["ev"] == "memory-not-saved"
    assert "larger than 2 MB" in line["detail"]
    assert after.saved is None


def test_a_guest_that_does_not_go_on_is_the_labs_fault_and_no_hang(tmp_path: Path) -> None:
    async def work(stage: Scene) -> None:
        execute = stage.qmp.execute

        async def no_cont(name: str, arguments: object = None) -> None:
            if name == "cont":
                raise OSError("not today")
            await execute(name, arguments)

        stage.qmp.execute = no_cont  # type: ignore[method-assign,assignment]
        async with stage.postmortem.watching():
            stage.complain()
            await asyncio.wait_for(asyncio.shield(stage.vm.death), LONG_S)

    death = scene(work, tmp_path).vm.death.result()
    assert death.how is EndCause.UNUSABLE
    assert "does not go on" in death.detail


def test_a_workload_is_looked_at_before_its_time_is_up(tmp_path: Path) -> None:
    async def work(stage: Scene) -> None:
        async with stage.postmortem.watching():
            stage.postmortem.time_runs(0.2)
            await stage.until(lambda: "cont" in stage.qmp.asked)

    after = scene(work, tmp_path)
    assert after.said[0]["why"] == "time"
    assert after.saved == MEMORY


def test_one_that_ends_in_time_after_all_leaves_no_memory(tmp_path: Path) -> None:
    async def work(stage: Scene) -> None:
        async with stage.postmortem.watching():
            stage.postmortem.time_runs(0.2)
            await stage.until(lambda: "cont" in stage.qmp.asked)
            stage.postmortem.in_time()

    after = scene(work, tmp_path)
    assert after.saved is None
    assert after.said[-1]["ev"] == "memory-dropped"


def test_one_that_ends_in_time_while_it_is_looked_at_leaves_no_memory(tmp_path: Path) -> None:
    async def work(stage: Scene) -> None:
        async with stage.postmortem.watching():
            stage.postmortem.time_runs(0.2)
            await stage.until(lambda: "stop" in stage.qmp.asked)
            stage.postmortem.in_time()

    after = scene(work, tmp_path)
    assert after.saved is None


def test_limits_stand_still_while_the_guest_does(tmp_path: Path) -> None:
    async def slowly(file: int) -> None:
        await asyncio.sleep(1.0)
        await written(file)

    async def work(stage: Scene) -> None:
        async def answer() -> str:
            await stage.until(lambda: "cont" in stage.qmp.asked)
            return "here"

        async with stage.postmortem.watching():
            stage.complain()
            await stage.until(lambda: "stop" in stage.qmp.asked)
            began = time.monotonic()
            assert await stage.vm.within(0.5, EndCause.SILENCE, answer()) == "here"
            assert time.monotonic() - began > 0.8
            with pytest.raises(LimitReached):
                await stage.vm.within(0.1, EndCause.SILENCE, asyncio.sleep(LONG_S, ""))

    after = scene(work, tmp_path, slowly)
    assert time.monotonic() - after.vm.clock() > 0.9


def test_a_complaint_is_waited_for_until_it_is_whole_or_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postmortem, "QUIET_S", 0.2)

    async def work(stage: Scene) -> None:
        console = stage.vm.console
        async with stage.postmortem.watching():
            console.complained.set()
            for _ in range(10):
                console.spoke_at = time.monotonic()
                await asyncio.sleep(0.05)
                assert stage.qmp.asked == []
            await stage.until(lambda: "cont" in stage.qmp.asked)

    assert scene(work, tmp_path).saved == MEMORY


def test_a_wrong_descriptor_is_an_error_of_the_labs(tmp_path: Path) -> None:
    async def work(stage: Scene) -> None:
        def no(_fd: int) -> None:
            raise OSError("no socket")

        stage.qmp.send_fd_scm = no  # type: ignore[method-assign,assignment]
        with pytest.raises(InfraError, match="takes no file"):
            await stage.vm.dump(os.open(os.devnull, os.O_WRONLY), 1.0)

    scene(work, tmp_path)
