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
from rmaplab.guest.agent import Agent, AgentGone, decode, encode
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


def test_an_event_is_an_object_with_a_name() -> None:
    assert decode(b'{"ev": "pong", "id": 1}') == {"ev": "pong", "id": 1}


@given(st.binary())
def test_any_other_line_is_the_labs_fault_and_no_crash(line: bytes) -> None:
    try:
        event = decode(line)
    except InfraError:
        return
    assert isinstance(event["ev"], str)


@pytest.mark.parametrize("line", [b"", b"[]", b"null", b"{}", b'{"ev": 1}', b"\xff", b"{"])
def test_what_is_no_event_is_refused(line: bytes) -> None:
    with pytest.raises(InfraError, match="no event"):
        decode(line)


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(InfraError, match="no event"):
        decode(b"[" * 100_000)


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


def test_an_answer_is_told_from_other_events_by_its_number(tmp_path: Path) -> None:
    async def guest(end: Guest) -> None:
        assert await end.hears() == ["1", "ping"]
        end.says(t=1, ev="beat")
        end.says(t=1, ev="pong", id=7)
        end.says(t=2, ev="pong", id=1)

    assert talk(tmp_path, lambda agent: agent.ask("ping"), guest)["t"] == 2
    assert [line["ev"] for line in transcript(tmp_path)] == ["request", "beat", "pong", "pong"]
    assert {line["from"] for line in transcript(tmp_path)} == {"lab", "agent"}


def test_an_answer_in_parts_is_put_together(tmp_path: Path) -> None:
    async def guest(end: Guest) -> None:
        await end.hears()
        end.says(t=1, ev="files", id=1, files={"/a": "1"}, errors={})
        end.says(t=1, ev="files", id=1, files={"/b": "2"}, errors={"/c": 2}, last=True)

    answer = talk(tmp_path, lambda agent: agent.ask("read", "/*"), guest)
    assert (answer["files"], answer["errors"]) == ({"/a": "1", "/b": "2"}, {"/c": 2})


def test_a_refusal_is_the_labs_fault(tmp_path: Path) -> None:
    async def guest(end: Guest) -> None:
        await end.hears()
        end.says(t=1, ev="error", id=1, message="no such request")

    with pytest.raises(InfraError, match="refused 'fly high': no such request"):
        talk(tmp_path, lambda agent: agent.ask("fly", "high"), guest)


@pytest.mark.parametrize("last_words", [b"", b'{"ev": "pong", "id": 1}'])
def test_a_channel_that_closes_is_told_from_an_answer(tmp_path: Path, last_words: bytes) -> None:
    """A line without its end may be cut, so it does not count."""

    async def guest(end: Guest) -> None:
        await end.hears()
        end.writer.write(last_words)
        end.writer.close()

    with pytest.raises(AgentGone):
        talk(tmp_path, lambda agent: agent.ask("ping"), guest)


def test_requests_are_numbered_and_may_be_sent_before_their_turn(tmp_path: Path) -> None:
    async def lab(agent: Agent) -> list[dict[str, Any]]:
        requests = [await agent.send("ping"), await agent.send("stat", "/a b")]
        return [await agent.answer(request) for request in requests]

    async def guest(end: Guest) -> None:
        assert await end.hears() == ["1", "ping"]
        assert await end.hears() == ["2", "stat", "/a%20b"]
        end.says(t=1, ev="pong", id=1)
        end.says(t=1, ev="stats", id=2)

    assert [answer["ev"] for answer in talk(tmp_path, lab, guest)] == ["pong", "stats"]
