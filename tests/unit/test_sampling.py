# SPDX-License-Identifier: GPL-2.0
"""Sampling after a cell: once if the ledger balances, again and more patiently if it does not."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rmaplab.collect import transcript
from rmaplab.collect.ledger import Terms
from rmaplab.guest import cell as guest_cell
from rmaplab.guest import sampling
from rmaplab.guest.cellsetup import CellSetup, LedgerSetup
from rmaplab.guest.command import Accelerator, Launch
from rmaplab.guest.session import SAMPLES
from rmaplab.model import FREE

from . import builders
from .builders import PROGRAM, TAINTED
from .scripted_agent import Item, Script, ScriptedGuest, machine, run

LAUNCH = Launch(Path("/nonexistent"), Path("/nonexistent"), Accelerator.KVM)
UNCALIBRATED = LedgerSetup({})


class Sampled:
    """A cell whose samples after the workload show one anonymous page less each, from ``pages`` on.

    The guest is not at rest for the first ``unrest`` drains after the workload.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pages: int, unrest: int = 0) -> None:
        self.drains: list[tuple[str, ...]] = []
        self._pages, self._unrest = pages, unrest
        self._over = False
        self.script = machine(monkeypatch, Script())
        self.script.answers.update(
            {"run": self._run, "run-exact": self._run, "sample": self._sample,
             "drain": self._drain}
        )  # fmt: skip

    def _run(self, guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterable[Item]:
        self._over = True
        return run(guest, number, words)

    def _sample(self, guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterable[Item]:
        files = {TAINTED: "0\n", "/proc/vmstat": f"nr_anon_pages {self._pages}\n"}
        self._pages -= self._over
        yield {"ev": "files", "files": files, "errors": {}, "last": True}

    def _drain(self, guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterable[Item]:
        if self._over:
            self.drains.append(tuple(words[1:]))
        steady = len(self.drains) > self._unrest or not self._over
        yield {"ev": "drained", "errno": 0, "free": 100, "pcp": 5, "steady": steady, "polls": 1}

    def carry_out(self, folder: Path, ledger: LedgerSetup | None, **guest: Any) -> transcript.Saved:
        """Run the cell; what its transcript says."""
        cell = builders.cell(guest=dataclasses.replace(builders.guest(devices=()), **guest))
        setup = CellSetup(LAUNCH, (), ledger=ledger)
        asyncio.run(asyncio.wait_for(guest_cell.run(cell, setup, folder, PROGRAM), 60))
        saved = transcript.read(folder / "agent.jsonl")
        assert (saved.how, saved.garbled) == ("bye", "")
        return saved


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "agent.jsonl").read_bytes().splitlines()]


def until(pages: int) -> LedgerSetup:
    """A ledger that balances once so many pages are left."""
    before = {"vmstat.nr_anon_pages": pages, "agent.free": 105}
    return LedgerSetup({"pages.unaccounted": (-24, 24)}, before=before)


@pytest.mark.parametrize(
    ("pages", "drains"),
    [(7, [()]), (9, [(), ("wait",), ("wait",)]), (70, [()] + [("wait",)] * (SAMPLES - 1))],
)
def test_samples_are_taken_until_the_ledger_balances(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: int, drains: list[tuple[str, ...]]
) -> None:
    cell = Sampled(monkeypatch, pages)
    cell.carry_out(tmp_path, until(7))
    assert cell.drains == drains
    # Nothing is asked for that nobody waits for: the next cell of the guest would get it.
    asked = [words[0] for words in cell.script.requests]
    assert asked[asked.index("run") + 1 :] == ["drain", "sample"] * len(drains)


@pytest.mark.parametrize(("unrest", "drains"), [(2, 3), (3, 3)])
def test_free_pages_are_counted_at_rest_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unrest: int, drains: int
) -> None:
    cell = Sampled(monkeypatch, 9, unrest)
    saved = cell.carry_out(tmp_path, UNCALIBRATED)
    assert len(cell.drains) == drains
    assert saved.samples["after"].get(FREE) == ("105" if unrest < drains else None)


def test_a_guest_that_is_not_at_rest_is_never_balanced() -> None:
    before = {"vmstat.nr_anon_pages": 7, "agent.free": 105}
    files = {"/proc/vmstat": "nr_anon_pages 7\n"}
    for after, balanced in ((files, False), ({**files, FREE: "105"}, True)):
        assert sampling.is_balanced(before, after, Terms({}, {}, 1, 4)) is balanced


def test_without_a_sample_before_the_first_one_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = Sampled(monkeypatch, 9)
    cell.carry_out(tmp_path, UNCALIBRATED)
    assert cell.drains == [("wait",)]


def test_without_a_ledger_nothing_is_drained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = Sampled(monkeypatch, 9)
    saved = cell.carry_out(tmp_path, None)
    assert cell.drains == []
    assert saved.ledger is None


def test_what_the_ledger_is_judged_by_is_in_the_transcript(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = Sampled(monkeypatch, 7).carry_out(tmp_path, until(7))
    assert saved.ledger is not None
    assert saved.ledger.bounds == {"pages.unaccounted": (-24, 24)}


@pytest.mark.parametrize("exact", [False, True])
def test_the_sample_is_asked_for_with_the_workload_but_in_exact_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    Sampled(monkeypatch, 7).carry_out(tmp_path, until(7), icount=exact)
    said = lines(tmp_path)
    ended = next(n for n, line in enumerate(said) if line["ev"] == "exit")
    asked = max(n for n, line in enumerate(said) if line.get("words") == ["sample"])
    assert (asked > ended) is exact
