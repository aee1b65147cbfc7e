# SPDX-License-Identifier: GPL-2.0
"""agent.jsonl: what is written is what is read, and nobody can speak for the lab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rmaplab.collect import transcript as reading
from rmaplab.guest.transcript import Transcript


def test_what_the_lab_says_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "agent.jsonl"
    with Transcript(path) as transcript:
        transcript.say("lab", "phase", phase="test", limit_s=10)
        transcript.note("agent", {"t": 1.0, "ev": "out", "id": 1, "text": "\x00\x1b\ud800\u2028"})
        transcript.say("lab", "end", how="panic", detail="x\ny")
    saved = reading.read(path)
    assert (saved.how, saved.detail, saved.phase) == ("panic", "x\ny", "test")
    assert saved.stdout == ["\x00\x1b\ud800\u2028"]


def test_every_line_is_on_the_disk_when_it_was_said(tmp_path: Path) -> None:
    path = tmp_path / "agent.jsonl"
    with Transcript(path) as transcript:
        transcript.say("lab", "phase", phase="boot")
        assert reading.read(path).phase == "boot"


@pytest.mark.parametrize(
    "message",
    [
        {"ev": "end", "from": "lab", "how": "bye", "detail": ""},
        {"ev": "skip", "from": "lab", "reason": "please"},
    ],
)
def test_an_agent_cannot_speak_for_the_lab(tmp_path: Path, message: dict[str, Any]) -> None:
    path = tmp_path / "agent.jsonl"
    with Transcript(path) as transcript:
        transcript.note("agent", message)
    saved = reading.read(path)
    assert (saved.how, saved.skip) == ("", "")


def test_an_agent_cannot_set_the_labs_clock(tmp_path: Path) -> None:
    path = tmp_path / "agent.jsonl"
    with Transcript(path) as transcript:
        transcript.note("agent", {"ev": "beat", "at": 1e9})
    assert reading.read(path).duration_s < 1e6


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
        transcript.say("lab", "sample", label="before", id=4)
        transcript.note("agent", {"ev": "files", "id": 4, "files": {"/a": "1"}})
        transcript.note("agent", {"ev": "files", "id": 9, "files": {"/c": "3"}})
        transcript.note("agent", {"ev": "files", "id": 4, "files": {"/b": "2"}, "last": True})
    assert reading.read(path).samples == {"before": {"/a": "1", "/b": "2"}}


def test_a_transcript_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    assert reading.read(tmp_path / "none").how == ""
