# SPDX-License-Identifier: GPL-2.0
"""Sampling after a cell: once if the ledger balances, again and more patiently if it does not."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rmaplab.collect import transcript
from rmaplab.guest import sampling
from rmaplab.guest.agent import Request
from rmaplab.guest.cellsetup import CellSetup, LedgerSetup
from rmaplab.guest.command import Accelerator, Launch
from rmaplab.guest.session import SAMPLES, Session
from rmaplab.guest.transcript import Transcript
from rmaplab.model import FREE

from . import builders

LAUNCH = Launch(Path("/nonexistent"), Path("/nonexistent"), Accelerator.TCG)


class FakeAgent:
    """Each sample shows one anonymous page less than the one before, from ``pages`` on."""

    def __init__(self, pages: int, unrest: int = 0) -> None:
        self.pages = pages
        self.unrest = unrest
        self.drains: list[tuple[str, ...]] = []
        self.sent: list[Request] = []

    async def send(self, *words: str) -> Request:
        self.sent.append(Request(len(self.sent) + 1, words))
        return self.sent[-1]

    async def answer_as(self, kind: type[Any], request: Request) -> Any:
        name, *words = request.words
        facts: dict[str, Any] = {"t": 1, "id": request.number}
        if name == "drain":
            self.drains.append(tuple(words))
            steady = len(self.drains) > self.unrest
            return kind(**facts, errno=0, free=100, pcp=5, steady=steady, polls=1)
        assert name == "sample"
        self.pages -= 1
        files = {"/proc/vmstat": f"nr_anon_pages {self.pages + 1}\n"}
        return kind(**facts, files=files, errors={}, last=True)


def sampled(
    tmp_path: Path, agent: FakeAgent, ledger: LedgerSetup | None, *, ahead: bool = False
) -> transcript.Saved:
    async def sample() -> None:
        asked = await session._ask_ahead() if ahead else None
        await session._sample(asked)

    with Transcript(tmp_path / "agent.jsonl") as said:
        vm: Any = SimpleNamespace(agent=agent)
        setup = CellSetup(LAUNCH, (), ledger=ledger)
        session = Session(builders.cell(), setup, vm, said, "/bin/x")
        asyncio.run(sample())
    return transcript.read(tmp_path / "agent.jsonl")


def until(pages: int) -> LedgerSetup:
    """A ledger that balances once so many pages are left."""
    before = {"vmstat.nr_anon_pages": pages, "agent.free": 105}
    return LedgerSetup({"pages.unaccounted": (-24, 24)}, before=before)


@pytest.mark.parametrize(
    ("pages", "drains"),
    [(7, [()]), (9, [(), ("wait",), ("wait",)]), (70, [()] + [("wait",)] * (SAMPLES - 1))],
)
def test_samples_are_taken_until_the_ledger_balances(
    tmp_path: Path, pages: int, drains: list[tuple[str, ...]]
) -> None:
    for ahead in (False, True):
        agent = FakeAgent(pages)
        sampled(tmp_path, agent, until(7), ahead=ahead)
        assert agent.drains == drains
        # Nothing is asked for that nobody waits for: the next cell of the guest would get it.
        assert len(agent.sent) == 2 * len(drains)


@pytest.mark.parametrize(("unrest", "drains"), [(2, 3), (3, 3)])
def test_free_pages_are_counted_at_rest_or_not_at_all(
    tmp_path: Path, unrest: int, drains: int
) -> None:
    agent = FakeAgent(9, unrest)
    sampled(tmp_path, agent, LedgerSetup({}))
    assert len(agent.drains) == drains
    (said,) = [
        line
        for line in map(json.loads, (tmp_path / "agent.jsonl").read_text("utf-8").splitlines())
        if line["ev"] == "sample"
    ]
    assert said.get("free") == (105 if unrest < drains else None)


def test_a_guest_that_is_not_at_rest_is_never_balanced() -> None:
    before = {"vmstat.nr_anon_pages": 7, "agent.free": 105}
    files = {"/proc/vmstat": "nr_anon_pages 7\n"}
    for after, balanced in ((files, False), ({**files, FREE: "105"}, True)):
        assert sampling.is_balanced(before, after, {}, {}, 1) is balanced


def test_without_a_sample_before_the_first_one_waits(tmp_path: Path) -> None:
    agent = FakeAgent(9)
    sampled(tmp_path, agent, LedgerSetup({}))
    assert agent.drains == [("wait",)]


def test_without_a_ledger_nothing_is_drained(tmp_path: Path) -> None:
    agent = FakeAgent(9)
    saved = sampled(tmp_path, agent, None)
    assert agent.drains == []
    assert saved.ledger is None


def test_what_the_ledger_is_judged_by_is_in_the_transcript(tmp_path: Path) -> None:
    saved = sampled(tmp_path, FakeAgent(7), until(7))
    assert saved.ledger is not None
    assert saved.ledger.bounds == {"pages.unaccounted": (-24, 24)}


def test_in_exact_mode_nothing_is_asked_ahead(tmp_path: Path) -> None:
    with Transcript(tmp_path / "agent.jsonl") as said:
        agent = FakeAgent(9)
        vm: Any = SimpleNamespace(agent=agent)
        cell = builders.cell(guest=dataclasses.replace(builders.guest(), icount=True))
        session = Session(cell, CellSetup(LAUNCH, ()), vm, said, "/bin/x")
        assert asyncio.run(session._ask_ahead()) is None
        assert agent.sent == []
