# SPDX-License-Identifier: GPL-2.0
"""The lab's side of docs/protocol.md: requests to the agent, events from it."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.parse
from dataclasses import dataclass
from typing import Any

from rmaplab.errors import InfraError
from rmaplab.guest.transcript import Transcript

_SAFE = "/._:*=,+@~-"
_LINE_LIMIT = 16 << 20

Event = dict[str, Any]


class AgentGone(Exception):
    """The agent's channel is closed."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that the agent has, or will find in its place; answers repeat its number."""

    number: int
    words: tuple[str, ...]


def encode(words: list[str]) -> bytes:
    """A request line: words percent-encoded, separated by single spaces."""
    return " ".join(_word(word) for word in words).encode("ascii") + b"\n"


def _word(word: str) -> str:
    return urllib.parse.quote(word, safe=_SAFE) or "%"


def decode(line: bytes) -> Event:
    """An event; raises InfraError if the line is none."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InfraError(f"the agent sent something that is no event: {line[:200]!r}") from error
    if not isinstance(event, dict) or not isinstance(event.get("ev"), str):
        raise InfraError(f"the agent sent something that is no event: {line[:200]!r}")
    return event


class Agent:
    """A conversation with one guest's agent; every event goes into the transcript."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, transcript: Transcript
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._transcript = transcript
        self._number = 0

    @property
    def last_request(self) -> int:
        """The number of the last request."""
        return self._number

    def count_from(self, number: int) -> None:
        """Number requests on from one, so that a clone's go on where its template's ended."""
        self._number = number

    @classmethod
    async def on(cls, end: socket.socket, transcript: Transcript) -> Agent:
        """Talk over the lab's end of the channel."""
        reader, writer = await asyncio.open_connection(sock=end, limit=_LINE_LIMIT)
        return cls(reader, writer, transcript)

    async def event(self) -> Event:
        """The next event. Raises AgentGone when the channel closes."""
        try:
            line = await self._reader.readline()
        except (ConnectionError, ValueError) as error:
            raise AgentGone(str(error)) from error
        if not line.endswith(b"\n"):
            raise AgentGone("the channel was closed")
        event = decode(line)
        self._transcript.note("agent", event)
        return event

    async def send(self, *words: str) -> Request:
        """Send a request; the agent takes requests in their order. Raises AgentGone."""
        request = self.given(*words)
        try:
            self._writer.write(encode([str(request.number), *words]))
            await self._writer.drain()
        except ConnectionError as error:
            raise AgentGone(str(error)) from error
        return request

    def given(self, *words: str) -> Request:
        """Note a request that reaches the agent by another way."""
        self._number += 1
        self._transcript.say("lab", "request", id=self._number, words=list(words))
        return Request(self._number, words)

    async def ask(self, *words: str) -> Event:
        """Send a request and wait for its answer, as ``answer`` does."""
        return await self.answer(await self.send(*words))

    async def answer(self, request: Request) -> Event:
        """Wait for the answer to a request that was sent.

        The ``files`` parts of a long answer are put together. Raises InfraError if the agent did
        not understand, and AgentGone.
        """
        files: dict[str, str] = {}
        errors: dict[str, int] = {}
        while True:
            event = await self.event()
            if event.get("id") != request.number:
                continue
            if event["ev"] == "error":
                said = event.get("message")
                raise InfraError(f"the agent refused {' '.join(request.words)!r}: {said}")
            if event["ev"] != "files":
                return event
            files.update(event.get("files", {}))
            errors.update(event.get("errors", {}))
            if event.get("last", False):
                return {**event, "files": files, "errors": errors}

    def close(self) -> None:
        """Close the lab's end."""
        self._writer.close()
