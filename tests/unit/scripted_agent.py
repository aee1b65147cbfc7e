# SPDX-License-Identifier: GPL-2.0
"""Guests without QEMU: an agent that follows a script, on the lab's own channels.

``machine`` replaces the one function that starts QEMU's process. What it starts instead serves the
three channels that QEMU would: a console, QMP, and the agent's port, on which it speaks
docs/protocol.md. All of the lab's code above that is the real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from rmaplab import proc
from rmaplab.evidence.protocol import PROTOCOL

from .builders import BOOTED, KTAP_PASS, TAINTED

_GREETING = {"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": ""},
                     "capabilities": []}}  # fmt: skip
_NOW = {"seconds": 0, "microseconds": 0}


class Act(enum.Enum):
    """The misconduct of a guest in place of an event."""

    CLOSE = "the agent's channel closes"
    SILENCE = "the agent answers nothing any more"
    STOPPED = "QEMU is stopped: nothing answers any more"
    PANIC = "the kernel panics"
    RESET = "the guest resets itself"
    QEMU_EXIT = "QEMU ends"


Item = Mapping[str, Any] | bytes | Act | asyncio.Event
"""An event, raw bytes, a misconduct, or a condition that the agent waits for."""
Answer = Callable[["ScriptedGuest", int, Sequence[str]], Iterable[Item]]
"""The events that answer a request, from its number and words; ``id`` and ``t`` are added."""


@dataclass
class Script:
    """How a guest behaves; each default is that of an agent without fault.

    ``answers`` replaces answers by the request's name, ``said`` is what the workload prints,
    ``ready`` are keys of the agent's ready event, ``files`` the guest's files by path.
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    ready: dict[str, Any] = field(default_factory=dict)
    said: tuple[str, ...] = KTAP_PASS
    exit: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=lambda: {TAINTED: "0\n"})
    console: bytes = b""
    requests: list[tuple[str, ...]] = field(default_factory=list)
    """The lab's requests, over all guests."""
    audited: bool = False
    """The agent was asked to audit; a clone's agent was, by its template's set-up."""
    guests: int = 0
    """How many guests were started."""


class ScriptedGuest:
    """A guest in place of QEMU's process."""

    def __init__(self, script: Script, fds: Sequence[int], *, restored: bool) -> None:
        self.script = script
        self.pid = 0
        console, agent, qmp = map(os.dup, fds[:3])
        self._console = console
        self._agent = socket.socket(fileno=agent)
        self._qmp = socket.socket(fileno=qmp)
        for end in (self._agent, self._qmp):
            end.setblocking(False)
        self._restored = restored
        self._runs = asyncio.Event()
        self._stopped = False
        self._status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._tasks = [asyncio.ensure_future(self._serve_qmp())]
        self._tasks.append(asyncio.ensure_future(self._serve()))
        self._events: asyncio.StreamWriter | None = None

    # -- the process -------------------------------------------------------------------------------

    async def wait(self) -> int:
        """The status, once the process has ended."""
        return await asyncio.shield(self._status)

    def kill(self, status: int = -9) -> None:
        """End it, and with it all its channels."""
        if self._status.done():
            return
        self._status.set_result(status)
        os.close(self._console)
        for task in self._tasks:
            task.cancel()

    async def end(self) -> None:
        """Wait until nothing of it is left."""
        self.kill()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception) and not isinstance(result, ConnectionError | OSError):
                raise result
        self._agent.close()
        self._qmp.close()

    def print(self, text: bytes) -> None:
        """Print on the console."""
        os.write(self._console, text)

    def mark(self, text: str) -> None:
        """Print a mark of the agent's."""
        self.print(f"[    2.000000][    T1] rmaplab: {text}\n".encode())

    # -- QMP ---------------------------------------------------------------------------------------

    async def _serve_qmp(self) -> None:
        reader, writer = await asyncio.open_connection(sock=self._qmp)
        self._events = writer
        self._say_qmp(_GREETING)
        try:
            async for command in _commands(reader):
                if self._stopped:
                    continue
                own = {"id": command["id"]} if "id" in command else {}
                self._say_qmp({"return": {}, **own})
                if command["execute"] in {"migrate", "migrate-incoming"}:
                    self._event("MIGRATION", status="completed")
                elif command["execute"] == "cont":
                    self._runs.set()
                    self._event("RESUME")
        finally:
            writer.close()

    def _event(self, name: str, **facts: Any) -> None:
        self._say_qmp({"event": name, "data": facts, "timestamp": _NOW})

    def _say_qmp(self, message: Mapping[str, Any]) -> None:
        assert self._events is not None
        self._events.write(json.dumps(message).encode() + b"\r\n")

    # -- the agent ---------------------------------------------------------------------------------

    async def _serve(self) -> None:
        reader, writer = await asyncio.open_connection(sock=self._agent)
        try:
            if self._restored:
                await self._runs.wait()
            else:
                self.print(BOOTED)
                self.mark("ready")
                await self._say(writer, None, [_ready(self.script)])
            while line := await reader.readline():
                number, *words = line.decode("ascii").split()
                self.script.requests.append(tuple(words))
                answer = self.script.answers.get(words[0]) or _ANSWERS[words[0]]
                await self._say(writer, int(number), answer(self, int(number), words))
        finally:
            writer.close()

    async def _say(
        self, writer: asyncio.StreamWriter, number: int | None, items: Iterable[Item]
    ) -> None:
        for item in items:
            if isinstance(item, Act):
                await self._act(item, writer)
            elif isinstance(item, asyncio.Event):
                await item.wait()
            elif isinstance(item, bytes):
                writer.write(item)
            else:
                own = {} if number is None else {"id": number}
                writer.write(json.dumps({"t": 1.5, **own, **item}).encode() + b"\n")
            await writer.drain()

    async def _act(self, act: Act, writer: asyncio.StreamWriter) -> None:
        match act:
            case Act.PANIC:
                self.print(b"[    2.5][   T77] Kernel panic - not syncing: demo\n")
                self.print(b"[    2.6][   T77] ---[ end Kernel panic - not syncing: demo ]---\n")
                self._event("GUEST_PANICKED", action="pause")
            case Act.RESET:
                self._event("SHUTDOWN", guest=True, reason="guest-reset")
            case Act.QEMU_EXIT:
                self.kill(1)
            case Act.CLOSE:
                writer.close()
            case Act.STOPPED:
                self._stopped = True
        await asyncio.Event().wait()  # nothing more comes of this guest's agent


async def _commands(reader: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """QMP's commands: JSON objects one behind the other, not a line each."""
    text = ""
    while chunk := await reader.read(1 << 16):
        text += chunk.decode("utf-8")
        while text.strip():
            try:
                command, end = json.JSONDecoder().raw_decode(text.lstrip())
            except ValueError:
                break
            text = text.lstrip()[end:]
            yield command


def _ready(script: Script) -> dict[str, Any]:
    return {"ev": "ready", "protocol": PROTOCOL, "init": True, "release": "6.12.0", "cpus": 1,
            "nodes": [0], "memory_kb": 500_000, **script.ready}  # fmt: skip


# -- an agent without fault ------------------------------------------------------------------------


def plainly(event: str, **facts: Any) -> Answer:
    """An answer of one event."""
    return lambda guest, number, words: [{"ev": event, **facts}]


def _files(files: Mapping[str, str], errors: Mapping[str, int] | None = None) -> Iterable[Item]:
    yield {"ev": "files", "files": dict(files), "errors": {}, "last": False}
    yield {"ev": "files", "files": {}, "errors": dict(errors or {}), "last": True}


def _write(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterable[Item]:
    guest.script.files[words[1]] = words[2] + "\n"
    yield {"ev": "wrote", "errno": 0}


def _read(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterable[Item]:
    files = guest.script.files
    return _files({path: files[path] for path in words[1:] if path in files})


def _sample(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterable[Item]:
    return _files(guest.script.files)


def _stat(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterable[Item]:
    kinds = {path: "chr" if path.startswith("/dev/") else "reg" for path in words[1:]}
    yield {"ev": "stats", "stats": kinds, "errors": {}}


def _audit(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterable[Item]:
    guest.script.audited = words[1] == "on"
    yield {"ev": "auditing", "on": guest.script.audited, "pfns": 1}


def audit_event(name: str = "end", **facts: Any) -> dict[str, Any]:
    """An audit in which all agrees."""
    sums = {"anon": 1, "nr_anon_pages": 1, "file": 1, "nr_mapped": 1, "agree": True}
    return {"ev": "audit", "name": name, "error": "", "kinds": {}, "listed": [], "sums": sums,
            "left_out": {}, "pages": 2, **facts}  # fmt: skip


def exit_event(**facts: Any) -> dict[str, Any]:
    """A workload that ended well."""
    return {"ev": "exit", "status": 0, "signal": 0, "timeout": False, "left": 0, "rmdir": 0,
            "start_t": 1.0, "end_t": 1.25, **facts}  # fmt: skip


def run(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterable[Item]:
    """A workload's run: ``start``, what it prints, ``exit``, and the marks on the console."""
    yield {"ev": "start", "pid": 77}
    guest.mark(f"begin {words[3]}")
    guest.print(guest.script.console)
    for text in guest.script.said:
        yield {"ev": "out", "text": text}
    if guest.script.audited:
        yield audit_event()
    guest.mark(f"end {words[3]}")
    yield exit_event(**guest.script.exit)


_ANSWERS: dict[str, Answer] = {
    "ping": plainly("pong"),
    "write": _write,
    "read": _read,
    "hold": lambda guest, number, words: _files({}),
    "sample": _sample,
    "rehearse": plainly("rehearsed"),
    "stat": _stat,
    "swap": plainly("swapped", errno=0, step=""),
    "khugepaged": plainly("khugepaged", errno=0, scans=1),
    "audit": _audit,
    "drain": plainly("drained", errno=0, free=100, pcp=5, steady=True, polls=1),
    "stage": plainly("staged", pid=77),
    "await": plainly("awaiting", errno=0),
    "run": run,
    "quit": plainly("bye"),
}


# -- in place of QEMU ------------------------------------------------------------------------------


def machine(monkeypatch: pytest.MonkeyPatch, script: Script | None = None) -> Script:
    """From now on every guest follows the script, which is returned."""
    found = script or Script()

    @contextlib.asynccontextmanager
    async def started(
        argv: Sequence[str], *, pass_fds: Sequence[int], **more: Any
    ) -> AsyncIterator[ScriptedGuest]:
        found.guests += 1
        guest = ScriptedGuest(found, pass_fds, restored="-incoming" in argv)
        try:
            yield guest
        finally:
            await guest.end()

    monkeypatch.setattr(proc, "started", started)
    return found
