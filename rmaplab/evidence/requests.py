# SPDX-License-Identifier: GPL-2.0
"""The rules of a conversation: which event of the agent's may come at which moment.

The lab holds them against the agent while it talks with it, and against a saved transcript when
that is read. The agent serves its requests in order, so an event belongs to the oldest request that
is open; ``ping`` alone is served while a workload runs. An event that answers nothing, or that
answers twice, came from somebody else than the agent, or the agent is out of its mind.
"""

from __future__ import annotations

from collections.abc import Sequence

from rmaplab.evidence import events
from rmaplab.evidence.events import AgentEvent, Answer, Exit, Files, Ready, Refusal
from rmaplab.evidence.protocol import STREAM_BYTES

ANSWER_CHARS = 32 << 20
"""The most characters of one answer in parts."""
OUTPUT_CHARS = 2 * STREAM_BYTES
"""The most characters of output and errors of one workload: what the agent passes on of both."""

RUNS = frozenset({"run", "run-exact"})
SAMPLE = "sample"

_OF_RUN = (events.Started, events.Out, events.Err, events.Audit, events.Flood, Exit)
_ANSWERS: dict[str, type[Answer]] = {
    "ping": events.Pong, "mark": events.Marked, "write": events.Wrote, "read": Files,
    "hold": Files, SAMPLE: Files, "rehearse": events.Rehearsed, "stat": events.Stats,
    "swap": events.Swapped, "khugepaged": events.Khugepaged, "audit": events.Auditing,
    "drain": events.Drained, "stage": events.Staged, "await": events.Awaiting,
    "quit": events.Bye,
}  # fmt: skip


class Requests:
    """Follows the requests of a conversation and what the agent says to them."""

    def __init__(self) -> None:
        self._open: dict[int, str] = {}
        self._any = False
        self._last = -1
        self._started = False
        self._paths: set[str] = set()
        self._chars = 0

    @property
    def open(self) -> bool:
        """Say whether a request waits for its answer, or for the rest of an answer."""
        return bool(self._open)

    def ask(self, number: int, words: Sequence[str]) -> str:
        """Note a request; return what is wrong with it, an empty string if nothing."""
        if not words or number <= self._last:
            return f"request {number} after request {self._last}"
        self._any = True
        self._last = number
        self._open[number] = words[0]
        return ""

    def take(self, event: AgentEvent) -> str:
        """Note an event; return what is wrong with it, an empty string if nothing."""
        if isinstance(event, Ready):
            return "it says ready in the middle of the conversation" if self._any else ""
        if isinstance(event, Answer | Refusal):
            return self._take(event)
        return ""

    def _take(self, event: Answer | Refusal) -> str:
        number = event.id
        name = self._open.get(number) if number is not None else None
        if number is None or name is None:
            return f"it answers request {number}, which is not open"
        if name != "ping" and number != next(iter(self._open)):
            return f"it answers request {number} before request {next(iter(self._open))}"
        if isinstance(event, Refusal):
            self._close(number)
        elif not isinstance(event, _OF_RUN if name in RUNS else _ANSWERS.get(name, ())):
            return f"it answers {name!r} with {events.name_of(type(event))!r}"
        elif name in RUNS:
            return self._take_of_run(number, event)
        elif isinstance(event, Files):
            return self._take_files(number, event)
        else:
            self._close(number)
        return ""

    def _take_of_run(self, number: int, event: Answer) -> str:
        if isinstance(event, events.Started) is self._started:
            return "the workload began twice" if self._started else "the workload has not begun"
        self._started = True
        if isinstance(event, events.Out | events.Err):
            self._chars += len(event.text)
            if self._chars > OUTPUT_CHARS:
                return f"its workload printed more than {OUTPUT_CHARS} characters"
        if isinstance(event, Exit):
            self._close(number)
        return ""

    def _take_files(self, number: int, event: Files) -> str:
        paths = event.files.keys() | event.errors.keys()
        self._chars += sum(map(len, event.files.values())) + sum(map(len, paths))
        if not all(path.startswith("/") for path in paths):
            return "it speaks of a file without a path"
        if paths & self._paths or event.files.keys() & event.errors.keys():
            return "it speaks of a file twice in one answer"
        if self._chars > ANSWER_CHARS:
            return f"its answer has more than {ANSWER_CHARS} characters"
        self._paths |= paths
        if event.last:
            self._close(number)
        return ""

    def _close(self, number: int) -> None:
        if self._open.pop(number) != "ping":
            self._started, self._paths, self._chars = False, set(), 0
