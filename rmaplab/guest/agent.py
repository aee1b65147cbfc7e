# SPDX-License-Identifier: GPL-2.0
"""Speak docs/protocol.md with the agent: requests to it, typed events from it."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import urllib.parse
from dataclasses import dataclass
from typing import TypeVar

from rmaplab.errors import InfraError
from rmaplab.evidence import events
from rmaplab.evidence.events import AgentEvent, Answer, Files, Garbled, Refusal
from rmaplab.evidence.requests import Requests
from rmaplab.guest.transcript import Transcript

_SAFE = "/._:*=,+@~-"

E = TypeVar("E", bound=Answer)


class AgentGone(Exception):
    """The agent's channel is closed."""


class AgentGarbled(InfraError):
    """The agent said something that makes no sense, or not at this moment.

    A cell that sees it is lost (EndCause.GARBLED), and no other one is.
    """


@dataclass(frozen=True, slots=True)
class Request:
    """A request that the agent has, or will find in its place; answers repeat its number."""

    number: int
    words: tuple[str, ...]


def encode(words: list[str]) -> bytes:
    """Return a request line: words percent-encoded, separated by single spaces."""
    return " ".join(_word(word) for word in words).encode("ascii") + b"\n"


def _word(word: str) -> str:
    return urllib.parse.quote(word, safe=_SAFE) or "%"


class Agent:
    """A conversation with one guest's agent; every event goes into the transcript."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, transcript: Transcript
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._transcript = transcript
        self._number = 0
        self._requests = Requests()

    @property
    def last_request(self) -> int:
        """The number of the last request."""
        return self._number

    def count_from(self, number: int) -> None:
        """Number requests on from one, so that a clone's go on where its template's ended."""
        self._number = number

    @classmethod
    async def on(cls, end: socket.socket, transcript: Transcript) -> Agent:
        """Return a conversation over the lab's end of the channel."""
        reader, writer = await asyncio.open_connection(sock=end, limit=events.LINE_BYTES)
        return cls(reader, writer, transcript)

    async def event(self) -> AgentEvent:
        """Return the next event.

        Raises AgentGone when the channel closes, and AgentGarbled for what is no event, or none
        that may come now (``evidence.requests``).
        """
        try:
            line = await self._reader.readline()
        except ConnectionError as error:
            raise AgentGone(str(error)) from error
        except ValueError as error:
            why = f"the agent sent a line of more than {events.LINE_BYTES} bytes"
            raise AgentGarbled(why) from error
        if not line.endswith(b"\n"):
            raise AgentGone("the channel was closed")
        event = events.decode_agent(line[:-1])
        if isinstance(event, Garbled):
            raise AgentGarbled(f"the agent sent something that is no event: {event}")
        self._transcript.hear(line)
        if wrong := self._requests.take(event):
            raise AgentGarbled(f"the agent makes no sense: {wrong}")
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
        self._requests.ask(self._number, words)
        return Request(self._number, words)

    async def ask(self, *words: str) -> AgentEvent:
        """Send a request and return its answer, as ``answer`` does."""
        return await self.answer(await self.send(*words))

    async def ask_for(self, kind: type[E], *words: str) -> E:
        """Send a request and return its answer, which is of a kind, as ``answer_as`` does."""
        return await self.answer_as(kind, await self.send(*words))

    async def answer_as(self, kind: type[E], request: Request) -> E:
        """Return the answer of a kind to a request, as ``answer`` does.

        Raises AgentGarbled if the answer is of another kind.
        """
        event = await self.answer(request)
        if not isinstance(event, kind):
            said = events.name_of(type(event))
            raise AgentGarbled(f"the agent answered {request.words[0]!r} with {said!r}")
        return event

    async def answer(self, request: Request) -> AgentEvent:
        """Return the answer to a request that was sent.

        The ``files`` parts of a long answer are put together. Raises InfraError if the agent
        refused the request, AgentGarbled and AgentGone.
        """
        files: dict[str, str] = {}
        errors: dict[str, int] = {}
        while True:
            event = await self.event()
            if not isinstance(event, Answer | Refusal) or event.id != request.number:
                continue
            if isinstance(event, Refusal):
                asked = " ".join(request.words)
                raise InfraError(f"the agent refused {asked!r}: {event.message}")
            if not isinstance(event, Files):
                return event
            files.update(event.files)
            errors.update(event.errors)
            if event.last:
                return dataclasses.replace(event, files=files, errors=errors)

    def close(self) -> None:
        """Close the lab's end."""
        self._writer.close()
