# SPDX-License-Identifier: GPL-2.0
"""The rules of a conversation: an event belongs to the oldest request that is open."""

from __future__ import annotations

from typing import Any

import pytest

from rmaplab.evidence import events
from rmaplab.evidence.events import AgentEvent
from rmaplab.evidence.requests import OUTPUT_CHARS, Requests

DRAINED = events.Drained(t=1, id=2, errno=0, free=1, pcp=1, steady=True, polls=1)
STARTED = events.Started(t=1, id=1, pid=7)
EXIT = events.Exit(
    t=1, id=1, status=0, signal=0, timeout=False, left=0, rmdir=0, start_t=1, end_t=2
)


def asked(*names: str) -> Requests:
    """A conversation with these requests open, numbered from 1."""
    found = Requests()
    for number, name in enumerate(names, start=1):
        assert found.ask(number, [name]) == ""
    return found


def part(number: int, *, last: bool = False, **files: str) -> events.Files:
    named = {f"/{name}": text for name, text in files.items()}
    return events.Files(t=1, id=number, files=named, errors={}, last=last)


def test_requests_are_answered_in_their_order_and_once() -> None:
    requests = asked("run", "drain")
    assert [requests.take(one) for one in (STARTED, EXIT, DRAINED)] == ["", "", ""]
    assert not requests.open
    assert "request 2, which is not open" in requests.take(DRAINED)


def test_an_answer_before_the_older_request_is_answered_is_somebody_elses() -> None:
    requests = asked("run", "drain")
    assert requests.take(STARTED) == ""
    assert requests.take(DRAINED) == "it answers request 2 before request 1"


def test_a_ping_is_answered_while_a_workload_runs_and_changes_nothing_of_it() -> None:
    requests = asked("run", "ping")
    assert requests.take(STARTED) == ""
    assert requests.take(events.Pong(t=1, id=2)) == ""
    assert requests.take(events.Out(t=1, id=1, text="ok 1 a")) == ""
    assert requests.take(EXIT) == ""


def test_a_workload_prints_no_more_than_the_agent_passes_on() -> None:
    requests = asked("run")
    assert requests.take(STARTED) == ""
    half = "x" * (OUTPUT_CHARS // 2)
    assert requests.take(events.Out(t=1, id=1, text=half)) == ""
    assert requests.take(events.Err(t=1, id=1, text=half)) == ""
    assert "printed more than" in requests.take(events.Out(t=1, id=1, text="x"))


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ([EXIT], "has not begun"),
        ([events.Out(t=1, id=1, text="x")], "has not begun"),
        ([STARTED, STARTED], "began twice"),
        ([STARTED, events.Pong(t=1, id=1)], "answers 'run' with 'pong'"),
        ([STARTED, EXIT, EXIT], "not open"),
        ([events.Ready(t=1, protocol=2)], "in the middle"),
        ([events.Refusal(t=1, message="no")], "request None"),
    ],
)
def test_a_run_begins_once_and_ends_once(said: list[AgentEvent], wrong: str) -> None:
    requests = asked("run")
    *fine, last = said
    assert [requests.take(one) for one in fine] == [""] * len(fine)
    assert wrong in requests.take(last)


def test_parts_of_an_answer_speak_of_each_file_once() -> None:
    requests = asked("sample", "sample")
    assert requests.take(part(1, a="1")) == ""
    assert requests.take(part(1, last=True, b="2")) == ""
    assert requests.take(part(2, a="3")) == ""
    assert "twice" in requests.take(part(2, a="4"))


def test_a_request_that_nobody_knows_has_no_answer() -> None:
    assert "answers 'fly'" in asked("fly").take(
        DRAINED.__class__(t=1, id=1, errno=0, free=1, pcp=1, steady=True, polls=1)
    )


@pytest.mark.parametrize(("number", "words"), [(1, ["ping"]), (0, ["ping"]), (2, [])])
def test_requests_have_rising_numbers_and_words(number: int, words: list[Any]) -> None:
    assert asked("ping").ask(number, words) != ""


def test_beats_come_at_any_time() -> None:
    assert Requests().take(events.Beat(t=1)) == ""
