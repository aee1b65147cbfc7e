# SPDX-License-Identifier: GPL-2.0
"""agent.jsonl: what is written is what is read, and nobody can speak for the lab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rmaplab.collect import transcript as reading
from rmaplab.evidence.events import Garbled, decode_agent
from rmaplab.guest.transcript import Transcript


def hear(transcript: Transcript, **event: Any) -> None:
    """Have the transcript take an event of the agent's."""
    raw = json.dumps({"t": 1.0, **event}).encode()
    assert not isinstance(decode_agent(raw), Garbled)
    transcript.hear(raw + b"\n")


def test_what_the_lab_says_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "agent.jsonl"
    with Transcript(path) as transcript:
        transcript.say("lab", "phase", phase="test", limit_s=10)
        transcript.say("lab", "request", id=1, words=["run", "1", "0", "/bin/x"])
        hear(transcript, ev="start", id=1, pid=7)
        hear(transcript, ev="out", id=1, text="\x00\x1b\u2028")
        transcript.say("lab", "end", how="panic", detail="x\ny")
    saved = reading.read(path)
    assert (saved.how, saved.detail, saved.phase) == ("panic", "x\ny", "test")
    assert saved.stdout == ["\x00\x1b\u2028"]


def test_every_line_is_on_the_disk_when_it_was_said(tmp_path: Path) -> None:
    path = tmp_path / "agent.jsonl"
    with Transcript(path) as transcript:
        transcript.say("lab", "phase", phase="boot")
        assert reading.read(path).phase == "boot"


@pytest.mark.parametrize(
    "message",
    [
        {"ev": "end", "how": "bye", "detail": ""},
        {"ev": "skip", "reason": "please"},
        {"ev": "sample", "label": "before", "id": 1},
        {"ev": "sealed"},
    ],
)
def test_an_agent_cannot_speak_for_the_lab(tmp_path: Path, message: dict[str, Any]) -> None:
    raw = json.dumps({"t": 1.0, **message}).encode()
    assert isinstance(decode_agent(raw), Garbled)
    for keys in ('"from": "lab"', '"at": 1', '"n": 1', '"template": true'):
        assert isinstance(decode_agent(b"{%s, " % keys.encode() + raw[1:]), Garbled)
    path = tmp_path / "agent.jsonl"
    path.write_bytes(b'{"at": 1.0, "from": "agent", "n": 0, ' + raw[1:] + b"\n")
    saved = reading.read(path)
    assert saved.garbled
    assert (saved.how, saved.skip) == ("", "")


def test_the_wait_for_its_turn_is_no_part_of_a_cells_time(tmp_path: Path) -> None:
    path = tmp_path / "agent.jsonl"
    path.write_text(
        '{"at": 0.1, "from": "lab", "ev": "start"}\n'
        '{"at": 7.1, "from": "lab", "ev": "turn", "waited_s": 7.0}\n'
        '{"at": 7.6, "from": "lab", "ev": "end", "how": "bye", "detail": ""}\n'
    )
    assert reading.read(path).duration_s == pytest.approx(0.6)


def test_a_sample_in_parts_is_one_sample(tmp_path: Path) -> None:
    path = tmp_path / "agent.jsonl"
    with Transcript(path) as transcript:
        transcript.say("lab", "request", id=4, words=["sample"])
        hear(transcript, ev="files", id=4, files={"/a": "1"}, errors={}, last=False)
        hear(transcript, ev="files", id=4, files={"/b": "2"}, errors={}, last=True)
        transcript.say("lab", "sample", label="before", id=4)
    assert reading.read(path).samples == {"before": {"/a": "1", "/b": "2"}}


def test_a_transcript_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert reading.read(tmp_path / "none").how == ""
