# SPDX-License-Identifier: GPL-2.0
"""docs/protocol.md, the lab's side: request lines out, events in."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import urllib.parse
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmaplab.errors import InfraError
from rmaplab.evidence.events import AgentEvent, Files, Garbled, Pong, Stats, decode_agent
from rmaplab.guest.agent import Agent, AgentGarbled, AgentGone, encode
from rmaplab.guest.transcript import Transcript

T = TypeVar("T")


# -- lines -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["1", "ping"], b"1 ping\n"),
        (["2", "write", "/sys/a", "1 2\n"], b"2 write /sys/a 1%202%0A\n"),
        (["3", "run", ""], b"3 run %\n"),
        (["4", "read", "/sys/*/b"], b"4 read /sys/*/b\n"),
        (["5", "mark", "100%"], b"5 mark 100%25\n"),
        (["6", "mark", "ü"], b"6 mark %C3%BC\n"),
    ],
)
def test_a_request_is_a_line_of_encoded_words(words: list[str], line: bytes) -> None:
    assert encode(words) == line


@given(st.lists(st.text(), min_size=1))
def test_whatever_the_words_they_come_back_from_one_plain_line(words: list[str]) -> None:
    line = encode(words)
    assert re.fullmatch(rb"[A-Za-z0-9/._:*=,+@~% -]*\n", line)
    back = ["" if word == "%" else urllib.parse.unquote(word)
            for word in line.decode("ascii").removesuffix("\n").split(" ")]  # fmt: skip
    assert back == words


def test_an_event_is_an_object_of_a_known_kind() -> None:
    assert decode_agent(b'{"t": 1.5, "ev": "pong", "id": 1}') == Pong(t=1.5, id=1)


@given(st.binary())
def test_any_line_is_an_event_or_garbled_and_no_crash(line: bytes) -> None:
    assert isinstance(decode_agent(line), AgentEvent | Garbled)


@pytest.mark.parametrize(
    "line",
    [
        b"", b"[]", b"null", b"{}", b'{"ev": 1}', b"\xff", b"{", b"[" * 100_000,
        b'{"t": 1, "ev": "pong"}', b'{"t": 1, "ev": "pong", "id": true}',
        b'{"t": 1, "ev": "pong", "id": "1"}', b'{"t": 1, "ev": "pong", "id": -1}',
        b'{"t": 1, "ev": "pong", "id": 1' + b"0" * 400 + b"}",
        b'{"t": 1, "ev": "pong", "id": 1' + b"0" * 5000 + b"}",
        b'{"t": NaN, "ev": "beat"}', b'{"t": Infinity, "ev": "beat"}',
        b'{"t": 1e999, "ev": "beat"}',
        b'{"t": 1, "ev": "out", "id": 1, "text": "\\ud800"}',
        b'{"t": 1, "ev": "out", "id": 1, "text": "\xc3\xbc"}',
        b'{"t": 1, "ev": "pang", "id": 1}', b'{"t": 1, "ev": "end", "how": "bye", "detail": ""}',
        b'{"t": 1, "ev": "beat", "at": 1}', b'{"t": 1, "ev": "beat", "from": "agent"}',
        b'{"t": 1, "ev": "beat", "n": 1}', b'{"t": 1, "ev": "beat", "template": true}',
        b'{"t": 1, "ev": "files", "id": 1, "files": {"/a": 7}, "errors": {}, "last": true}',
        b'{"t": 1, "ev": "beat", "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_event_is_garbled_and_says_why(line: bytes) -> None:
    found = decode_agent(line)
    assert isinstance(found, Garbled)
    assert found.why
    assert len(str(found)) < 1200
    assert str(found).isprintable()


def test_keys_that_nobody_knows_are_no_harm() -> None:
    assert isinstance(decode_agent(b'{"t": 1, "ev": "pong", "id": 1, "new": [1]}'), Pong)


# -- conversations -----------------------------------------------------------------------------


class Guest:
    """The guest's end of the channel."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def hears(self) -> list[str]:
        line = await self._reader.readline()
        return line.decode("ascii").split()

    def says(self, **event: Any) -> None:
        self.writer.write(json.dumps(event).encode() + b"\n")


def talk(
    folder: Path,
    lab: Callable[[Agent], Awaitable[T]],
    guest: Callable[[Guest], Awaitable[None]],
) -> T:
    """Run both ends to their end and return what the lab's end returned."""

    async def both() -> T:
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=far)
        with Transcript(folder / "agent.jsonl") as transcript:
            agent = await Agent.on(near, transcript)
            asked = asyncio.ensure_future(lab(agent))
            await guest(Guest(reader, writer))
            try:
                return await asyncio.wait_for(asked, 30)
            finally:
                agent.close()
                writer.close()
                await asyncio.sleep(0)

    return asyncio.run(both())


def transcript(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "agent.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_an_answer_is_told_from_other_events(tmp_path: Path) -> None:
    async def guest(end: Guest) -> None:
        assert await end.hears() == ["1", "ping"]
        end.says(t=1, ev="beat")
        end.says(t=2, ev="pong", id=1)

    assert talk(tmp_path, lambda agent: agent.ask("ping"), guest) == Pong(t=2, id=1)
    said = [line["ev"] for line in transcript(tmp_path)]
    assert said == ["request", "beat", "pong", "sealed"]


def test_an_answer_in_parts_is_put_together(tmp_path: Path) -> None:
    async def guest(end: Guest) -> None:
        await end.hears()
        end.says(t=1, ev="files", id=1, files={"/a": "1"}, errors={}, last=False)
        end.says(t=1, ev="files", id=1, files={"/b": "2"}, errors={"/c": 2}, last=True)

    answer = talk(tmp_path, lambda agent: agent.ask_for(Files, "read", "/*"), guest)
    assert (answer.files, answer.errors) == ({"/a": "1", "/b": "2"}, {"/c": 2})


PART = {"t": 1, "ev": "files", "id": 1, "errors": {}, "last": False}


@pytest.mark.parametrize(
    "events",
    [
        [{"t": 1, "ev": "pong", "id": 7}],  # no such request
        [{"t": 1, "ev": "pong", "id": 0}],
        [{"t": 1, "ev": "stats", "id": 1, "stats": {}}],  # another kind
        [{"t": 1, "ev": "exit", "id": 1, "status": 0, "signal": 0, "timeout": False, "left": 0,
          "rmdir": 0, "start_t": 1, "end_t": 2}],
        [{"t": 1, "ev": "error", "message": "who is there?"}],
        [{**PART, "files": {"/a": "1"}}, {**PART, "files": {"/a": "2"}}],  # said twice
        [{**PART, "files": {"agent:free": "1"}}],
        [{"t": 1, "ev": "ready", "protocol": 2}],
    ],
    ids=str,
)  # fmt: skip
def test_an_event_that_may_not_come_now_is_never_an_answer(
    tmp_path: Path, events: list[dict[str, Any]]
) -> None:
    async def guest(end: Guest) -> None:
        await end.hears()
        for event in events:
            end.says(**event)
        end.says(**PART, files={})

    with pytest.raises(AgentGarbled, match="makes no sense"):
        talk(tmp_path, lambda agent: agent.ask("read", "/a"), guest)


def test_an_answer_that_comes_twice_is_garbled(tmp_path: Path) -> None:
    async def lab(agent: Agent) -> None:
        await agent.ask("ping")
        await agent.ask("stat", "/a")

    async def guest(end: Guest) -> None:
        await end.hears()
        end.says(t=1, ev="pong", id=1)
        end.says(t=1, ev="pong", id=1)

    with pytest.raises(AgentGarbled, match="request 1, which is not open"):
        talk(tmp_path, lab, guest)


def test_a_line_without_end_is_garbled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rmaplab.evidence.events.LINE_BYTES", 1 << 10)

    async def guest(end: Guest) -> None:
        await end.hears()
        end.writer.write(b"x" * (1 << 12))

    with pytest.raises(AgentGarbled, match="more than 1024 bytes"):
        talk(tmp_path, lambda agent: agent.ask("ping"), guest)


def test_a_refusal_is_the_labs_fault(tmp_path: Path) -> None:
    async def guest(end: Guest) -> None:
        await end.hears()
        end.says(t=1, ev="error", id=1, message="no such request")

    with pytest.raises(InfraError, match="refused 'fly high': no such request"):
        talk(tmp_path, lambda agent: agent.ask("fly", "high"), guest)


@pytest.mark.parametrize("last_words", [b"", b'{"t": 1, "ev": "pong", "id": 1}'])
def test_a_channel_that_closes_is_told_from_an_answer(tmp_path: Path, last_words: bytes) -> None:
    """A line without its end may be cut, so it does not count."""

    async def guest(end: Guest) -> None:
        await end.hears()
        end.writer.write(last_words)
        end.writer.close()

    with pytest.raises(AgentGone):
        talk(tmp_path, lambda agent: agent.ask("ping"), guest)


def test_requests_are_numbered_and_may_be_sent_before_their_turn(tmp_path: Path) -> None:
    async def lab(agent: Agent) -> list[AgentEvent]:
        requests = [await agent.send("ping"), await agent.send("stat", "/a b")]
        return [await agent.answer(request) for request in requests]

    async def guest(end: Guest) -> None:
        assert await end.hears() == ["1", "ping"]
        assert await end.hears() == ["2", "stat", "/a%20b"]
        end.says(t=1, ev="pong", id=1)
        end.says(t=1, ev="stats", id=2, stats={})

    assert list(map(type, talk(tmp_path, lab, guest))) == [Pong, Stats]
