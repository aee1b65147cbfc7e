# SPDX-License-Identifier: GPL-2.0
"""The rules of a conversation: which event may come at which moment, and how lines are decoded."""

from __future__ import annotations

from typing import Any

import pytest

from rmaplab.evidence import events, requests
from rmaplab.evidence.events import AgentEvent, Garbled, decode, decode_agent
from rmaplab.evidence.requests import Requests

from .scripted_agent import audit_event, exit_event

BY_NAME = {events.name_of(kind): kind for kind in events.AGENT_EVENTS}


def event(name: str, number: int | None = 1, **facts: Any) -> AgentEvent:
    whole: dict[str, dict[str, Any]] = {
        "pong": {}, "marked": {}, "wrote": {"errno": 0}, "rehearsed": {}, "stats": {"stats": {}},
        "swapped": {"errno": 0, "step": ""}, "khugepaged": {"errno": 0, "scans": 1},
        "auditing": {"on": True, "pfns": 1},
        "drained": {"errno": 0, "free": 1, "pcp": 1, "steady": True, "polls": 1},
        "staged": {"pid": 7}, "awaiting": {"errno": 0}, "bye": {},
        "files": {"files": {}, "errors": {}, "last": True},
        "start": {"pid": 7}, "out": {"text": "x"}, "err": {"text": "x"},
        "flood": {"stream": "out", "dropped": 1},
        "audit": {k: v for k, v in audit_event().items() if k not in {"ev", "sums"}} | {
            "sums": events.AuditSums(anon=1, nr_anon_pages=1, file=1, nr_mapped=1, agree=True)},
        "exit": {k: v for k, v in exit_event().items() if k != "ev"},
        "error": {"message": "no"},
    }  # fmt: skip
    return BY_NAME[name](t=1, id=number, **{**whole[name], **facts})  # type: ignore[call-arg]


ANSWERS = {
    "ping": "pong", "mark": "marked", "write": "wrote", "read": "files", "hold": "files",
    "sample": "files", "rehearse": "rehearsed", "stat": "stats", "swap": "swapped",
    "khugepaged": "khugepaged", "audit": "auditing", "drain": "drained", "stage": "staged",
    "await": "awaiting", "quit": "bye",
}  # fmt: skip


def asked(*names: str) -> Requests:
    """A conversation with these requests open, numbered from 1."""
    found = Requests()
    for number, name in enumerate(names, start=1):
        assert found.ask(number, [name]) == ""
    return found


@pytest.mark.parametrize("name", ANSWERS)
def test_each_request_has_its_own_answer_and_is_closed_by_it(name: str) -> None:
    for other in (*ANSWERS.values(), "start", "out", "exit"):
        talk = asked(name)
        assert talk.open
        wrong = talk.take(event(other))
        assert (wrong == "") is (other == ANSWERS[name]), other
        assert talk.open is (other != ANSWERS[name])
        if wrong:
            assert wrong == f"it answers {name!r} with {other!r}"


def test_a_request_has_a_name_and_a_greater_number_than_the_one_before() -> None:
    talk = Requests()
    assert not talk.open
    assert talk.ask(1, []) == "request 1 after request -1"
    assert talk.ask(0, ["ping"]) == ""
    assert talk.ask(0, ["ping"]) == "request 0 after request 0"
    assert talk.ask(5, ["ping"]) == ""
    assert talk.ask(4, ["ping"]) == "request 4 after request 5"
    assert talk.ask(6, ["ping"]) == ""


def test_an_answer_to_nothing_and_one_out_of_turn_are_wrong() -> None:
    talk = asked("stat", "ping", "write")
    assert talk.take(event("wrote", 3)) == "it answers request 3 before request 1"
    assert talk.take(event("pong", 2)) == ""  # served while a workload runs
    assert talk.take(event("pong", 2)) == "it answers request 2, which is not open"
    assert talk.take(event("stats", 1)) == ""
    assert talk.take(event("stats", 1)) == "it answers request 1, which is not open"
    assert talk.take(event("error", None)) == "it answers request None, which is not open"
    assert talk.take(event("wrote", 3)) == ""
    assert not talk.open


def test_a_refusal_closes_its_request() -> None:
    talk = asked("stat", "write")
    assert talk.take(event("error", 2)) == "it answers request 2 before request 1"
    assert talk.take(event("error", 1)) == ""
    assert talk.take(event("wrote", 2)) == ""
    assert not talk.open


def test_heartbeats_may_always_come_and_ready_before_all_requests() -> None:
    ready, beat = events.Ready(t=1, protocol=2), events.Beat(t=1)
    talk = Requests()
    assert (talk.take(beat), talk.take(ready)) == ("", "")
    talk.ask(1, ["ping"])
    assert talk.take(beat) == ""
    assert talk.take(ready) == "it says ready in the middle of the conversation"
    assert talk.take(event("pong")) == ""
    assert talk.take(ready) == "it says ready in the middle of the conversation"


@pytest.mark.parametrize("name", ["run", "run-exact"])
def test_a_workload_begins_once_speaks_and_ends_once(name: str) -> None:
    talk = asked(name, "run")
    for early in ("out", "err", "audit", "flood", "exit"):
        assert talk.take(event(early)) == "the workload has not begun"
    assert talk.take(event("pong")) == f"it answers {name!r} with 'pong'"
    assert talk.take(event("start")) == ""
    assert talk.take(event("start")) == "the workload began twice"
    for said in ("out", "err", "audit", "flood", "out"):
        assert talk.take(event(said)) == ""
        assert talk.open
    assert talk.take(event("exit")) == ""
    assert talk.take(event("exit")) == "it answers request 1, which is not open"
    # The next one begins anew.
    assert talk.take(event("out", 2)) == "the workload has not begun"
    assert talk.take(event("start", 2)) == ""


def test_a_ping_within_a_workload_changes_nothing_of_it() -> None:
    talk = asked("run", "ping")
    assert talk.take(event("start")) == ""
    assert talk.take(event("pong", 2)) == ""
    assert talk.take(event("out")) == ""
    assert talk.take(event("exit")) == ""
    talk = asked("read", "ping")
    assert talk.take(event("files", files={"/a": ""}, last=False)) == ""
    assert talk.take(event("pong", 2)) == ""
    assert talk.take(event("files", files={"/a": ""})) == "it speaks of a file twice in one answer"


def test_an_answer_in_parts_names_each_file_once() -> None:
    talk = asked("read", "read")
    assert talk.take(event("files", files={"/a": "1"}, last=False)) == ""
    assert talk.take(event("files", files={"/b": "1"}, errors={"/c": 2}, last=False)) == ""
    twice = "it speaks of a file twice in one answer"
    assert talk.take(event("files", files={"/a": "1"}, last=False)) == twice
    assert talk.take(event("files", errors={"/c": 2}, last=False)) == twice
    assert talk.take(event("files", files={"/c": "1"}, last=False)) == twice
    assert talk.take(event("files", files={"/d": "1"}, errors={"/d": 2}, last=False)) == twice
    assert talk.take(event("files", files={"e": "1"})) == "it speaks of a file without a path"
    assert talk.take(event("files", errors={"e": 1})) == "it speaks of a file without a path"
    assert talk.take(event("files", files={"/f": "1"})) == ""
    # The next answer may name them again.
    assert talk.take(event("files", 2, files={"/a": "1"}, errors={"/c": 2})) == ""
    assert not talk.open


def test_an_answer_has_a_bounded_size_over_all_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "ANSWER_CHARS", 20)
    talk = asked("read", "read")
    assert talk.take(event("files", files={"/a": "12345678"}, last=False)) == ""
    assert talk.take(event("files", files={"/b": "1234"}, errors={"/cde": 1}, last=False)) == ""
    wrong = "its answer has more than 20 characters"
    assert talk.take(event("files", files={"/": ""}, last=False)) == wrong
    talk = asked("read", "read")
    assert talk.take(event("files", files={"/a": "1" * 18})) == ""
    assert talk.take(event("files", 2, files={"/a": "1" * 18}, last=False)) == ""
    assert talk.take(event("files", 2, errors={"/": 1})) == wrong


# -- lines -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"at": 1, "from": "agent", "n": 0, "t": 1, "ev": "beat"}', ""),
        (b'{"at": 1, "from": "lab", "n": 0, "ev": "sealed"}', ""),
        (b'{"at": 1, "from": "qemu", "n": 0, "ev": "STOP"}', ""),
        (b'{"from": "lab", "n": 0, "ev": "sealed"}', "it has no time"),
        (b'{"at": 1, "n": 0, "ev": "sealed"}', "Unable to extract tag using discriminator"),
        (b'{"at": 1, "from": "", "t": 1, "ev": "beat"}', "it has no speaker"),
        (b'{"at": 1, "from": "lab", "ev": "end", "how": 1, "detail": ""}', "how: Input should"),
        (b'{"at": 1, "from": "agent", "t": 1, "ev": "sealed"}', "Input tag 'sealed'"),
        (b'{"at": -1, "from": "lab", "ev": "sealed"}', "at: Input should"),
        (b"\xff", "Invalid JSON"),
    ],
    ids=["agent", "lab", "QEMU", "no time", "nobody", "empty speaker", "how", "another speaker",
         "negative time", "no JSON"],
)  # fmt: skip
def test_a_line_of_a_transcript_is_an_event_with_speaker_and_time(line: bytes, why: str) -> None:
    found = decode(line)
    assert isinstance(found, Garbled) is bool(why)
    if isinstance(found, Garbled):
        assert why in found.why


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"t": 1, "ev": "beat"}', ""),
        (b'{"t": 1, "ev": "beat", "at": 1}', "it speaks for the lab"),
        (b'{"t": 1, "ev": "beat", "n": 0}', "it speaks for the lab"),
        (b'{"t": 1, "ev": "beat", "from": "agent"}', "it speaks for the lab"),
        (b'{"t": 1, "ev": "beat", "template": true}', "it speaks for the lab"),
        (b'{"t": 1, "ev": "out", "id": 1, "text": "\xc3\xbc"}', "it has bytes that are no ASCII"),
        (b'{"t": 1, "ev": "files", "id": 1, "files": {"/made/up": 7}, "errors": {}, "last": true}',
         "files.files: Input should be a valid string"),
        (b'{"t": 1, "ev": "audit", "id": 1, "kinds": {}, "listed": [{"kind": 1}]}',
         "name: Field required"),
    ],
    ids=["own", "time", "number", "speaker", "template", "no ASCII", "made up", "missing"],
)  # fmt: skip
def test_a_line_of_the_agents_is_its_own(line: bytes, why: str) -> None:
    found = decode_agent(line)
    assert (found.why if isinstance(found, Garbled) else "") == why


def test_a_line_has_a_bounded_length(monkeypatch: pytest.MonkeyPatch) -> None:
    line = b'{"t": 1, "ev": "beat"}'
    monkeypatch.setattr(events, "LINE_BYTES", len(line))
    assert not isinstance(decode_agent(line), Garbled)
    found = decode_agent(line + b" ")
    assert isinstance(found, Garbled)
    assert found.why == f"it is longer than {len(line)} bytes"


def test_what_is_garbled_shows_its_beginning_in_printable_characters() -> None:
    found = decode(b"\x1b[2J\xff\n" + b"x" * 500)
    assert isinstance(found, Garbled)
    assert found.text == "\\x1b[2J\\xff\\x0a" + "x" * 194
    assert str(found) == f"{found.why}: {found.text}"
    assert len(found.why) <= 800


def test_an_event_of_the_labs_has_all_its_keys_and_no_other() -> None:
    assert events.lab_event("end", {"how": "bye", "detail": ""}) == events.End(how="bye", detail="")
    with pytest.raises(TypeError):
        events.lab_event("end", {"how": "bye"})
    with pytest.raises(TypeError):
        events.lab_event("end", {"how": "bye", "detail": "", "more": 1})
    with pytest.raises(KeyError):
        events.lab_event("pong", {"id": 1})
