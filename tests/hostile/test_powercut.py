# SPDX-License-Identifier: GPL-2.0
"""Power cuts: at operations of a run, whatever of it the disk had kept, nothing is lost.

The lab's operations on its files are recorded, and of each moment the states are made that a disk
may hold then (powercut.py). On each of them ``report`` and ``resume`` are run.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from . import powercut
from .faults import RUN, Labs, Site, Toll, shim
from .powercut import Disk, Operation

SMALL = (*RUN, "--filter", "settings=thp-never,testcase=control/*|exclusive/lifecycle")
# A test that is ended amid a command leaves the server of labs without use, and hosts may be busy.
pytestmark = pytest.mark.timeout(900)
Record = Callable[[str, int], None]


@dataclass(frozen=True)
class Recorded:
    """A run that came to its end, with its operations; ``name`` is its folder's."""

    site: Site
    name: str
    operations: list[Operation]
    results: list[dict[str, Any]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """A run of three cells."""
    with Labs.served(shim(tmp_path_factory.mktemp("shim"))) as labs:
        site = Site.made(tmp_path_factory.mktemp("recorded"), labs)
        ended = site.command(*SMALL, log=str(site.place / "log"))
        assert ended.code == 0, ended.err
        assert site.folder is not None
        yield Recorded(site, site.folder.name, powercut.read(site.place / "log"), site.results())


def test_the_record_has_all_that_the_lab_wrote(recorded: Recorded) -> None:
    kept = recorded.site.place / "reports"
    there = {
        str(path.relative_to(kept)): None if path.is_dir() else path.read_bytes()
        for path in kept.rglob("*")
    }
    assert Disk(recorded.operations).state("all") == there
    assert len(recorded.results) == 3


def promised(disk: Disk, name: str) -> list[str]:
    """Return the cells that the journal on the disk names for certain."""
    lines = disk.certain(f"{name}/events.jsonl").split(b"\n")[:-1]
    events = [json.loads(line) for line in lines]
    return [event["cell"] for event in events if event["event"] == "cell"]


def survived(run: Recorded, moments: list[int], record: Record, at_most: int) -> None:
    """Cut the power at moments, and go on with what the disk holds."""
    toll = Toll()
    found = list(powercut.states(run.operations, moments))
    if len(found) > at_most:
        found = random.Random(at_most).sample(found, at_most)
    for moment, kept, state in found:
        toll.tried += 1
        reports = run.site.place / "reports"
        shutil.rmtree(reports)
        reports.mkdir()
        powercut.write(state, reports)
        before = promised(Disk(run.operations[:moment]), run.name)
        go_on(run, toll, before, f"{kept} of {moment}")
    toll.note(record)


def go_on(run: Recorded, toll: Toll, before: list[str], what: str) -> None:
    """Report and resume; hold the run against the one that was not disturbed."""
    site = run.site
    if site.folder is None:
        toll.lost += len(before)
        toll.notes += [f"{what}: run.json is gone, and with it {before}"] if before else []
        return
    folder = f"reports/{site.folder.name}"
    reported = site.command("report", folder)
    wrong = [one for one in site.results() if one["verdict"] != "error" and one not in run.results]
    toll.false_failures += len(wrong)
    toll.notes += [f"{what}: wrong: {wrong}"] if wrong else []
    ended = site.command("resume", folder)
    if ended.code == 2 and "nothing to go on with" in ended.said:
        ended = site.command("report", folder)
    if ended.code != 0 or "Traceback" in reported.err + ended.err:
        toll.notes.append(f"{what}: {ended.code}: {reported.err[-800:]}\n{ended.err[-800:]}")
    toll.held_against(site, Counter(before), run.results)


@pytest.mark.family("faults: power cuts")
def test_power_cuts_at_some_moments(recorded: Recorded, record_property: Record) -> None:
    moments = [n for n, one in enumerate(recorded.operations, 1) if one.kind == "fsync"]
    around = sorted(
        {m + d for m in moments for d in (-1, 0, 1)} & set(range(len(recorded.operations)))
    )
    survived(recorded, around, record_property, 25)


@pytest.mark.whole
@pytest.mark.timeout(7200)
@pytest.mark.family("faults: power cuts")
def test_power_cuts_at_each_operation(recorded: Recorded, record_property: Record) -> None:
    survived(recorded, list(range(len(recorded.operations) + 1)), record_property, 10_000)
