# SPDX-License-Identifier: GPL-2.0
"""Faults of the host: killed labs, errors of its file system, jumps of its clock, dying guests.

An attempt is a lab with real code above scripted guests, to which one thing happens at one of its
operations on files. Then it goes on without the fault, and is held against an undisturbed run:
nothing that its journal named is lost or repeated, no cell fails that passed, none passes that
failed.
"""

from __future__ import annotations

import errno
import random
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .faults import KILL, RUN, Ended, Labs, Site, Toll, operations, shim
from .scripted_lab import HOOK

SEED = 13
# A test that is ended amid a command leaves the server of labs without use, and hosts may be busy.
pytestmark = pytest.mark.timeout(900)
Record = Callable[[str, int], None]


@dataclass(frozen=True)
class Undisturbed:
    """A run to which nothing happened: its results and its operations."""

    results: list[dict[str, Any]]
    operations: list[str]


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labs]:
    """A server of labs."""
    with Labs.served(shim(tmp_path_factory.mktemp("shim"))) as found:
        yield found


@pytest.fixture(scope="module")
def undisturbed(labs: Labs, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A run to which nothing happens."""
    place = tmp_path_factory.mktemp("undisturbed")
    site = Site.made(place, labs)
    ended = site.command(*RUN, log=str(place / "log"))
    assert ended.code == 0, ended.err
    assert len(site.results()) == 8
    return Undisturbed(site.results(), operations(place / "log"))


def to_the_end(site: Site, toll: Toll, true: Undisturbed, what: str) -> None:
    """Go on with a run until it is at its end; hold it against the undisturbed one."""
    before = site.journalled()
    ended = site.again()
    if ended.code == 2 and "nothing to go on with" in ended.said:
        assert site.folder is not None
        ended = site.command("report", str(site.folder.relative_to(site.place)))
    if ended.code != 0 or "Traceback" in ended.err:
        toll.notes.append(f"{what}: then {ended.code}: {ended.err[-600:]}")
    toll.held_against(site, before, true.results)


# -- killed --------------------------------------------------------------------------------------


def killed(folder: Path, labs: Labs, true: Undisturbed, record: Record, times: int) -> None:
    """Kill labs at random operations; of those that go on, every third one again."""
    chance, toll = random.Random(SEED + times), Toll()
    while toll.tried < times:
        site = Site.made(folder / str(toll.tried), labs)
        moment = chance.randrange(1, len(true.operations) + 1)
        site.command(*RUN, signal=f"{KILL}:{moment}:1")
        toll.tried += 1
        if chance.random() < 1 / 3 and toll.tried < times:
            before = site.journalled()
            site.again(signal=f"{KILL}:{chance.randrange(1, 400)}:1")
            now = site.journalled()
            toll.tried += 1
            toll.lost += len(before - now)
            toll.repeated += sum(now[cell] > 1 for cell in before)
        to_the_end(site, toll, true, f"killed at {moment}")
        shutil.rmtree(site.place)
    toll.note(record)


@pytest.mark.family("faults: SIGKILL")
def test_twenty_labs_that_are_killed(
    tmp_path: Path, labs: Labs, undisturbed: Undisturbed, record_property: Record
) -> None:
    killed(tmp_path, labs, undisturbed, record_property, 20)


@pytest.mark.whole
@pytest.mark.timeout(3600)
@pytest.mark.family("faults: SIGKILL")
def test_two_hundred_labs_that_are_killed(
    tmp_path: Path, labs: Labs, undisturbed: Undisturbed, record_property: Record
) -> None:
    killed(tmp_path, labs, undisturbed, record_property, 200)


# -- one kind of fault at several phases ---------------------------------------------------------

PHASES = (0.02, 0.2, 0.5, 0.8, 0.99)
WHOLE = pytest.mark.whole
ERRORS = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.EMFILE, errno.ENFILE,
    errno.ENOMEM,
)  # fmt: skip
OPERATIONS = ("write", "rename", "open", "mkdir", "fsync")
PAIRS = [
    # Each error at one operation in the quick part.
    pytest.param(
        number, kind, id=f"{errno.errorcode[number]}-{kind}",
        marks=() if OPERATIONS[n % len(OPERATIONS)] == kind else WHOLE,
    )
    for n, number in enumerate(ERRORS)
    for kind in OPERATIONS
]  # fmt: skip


def phases(request: pytest.FixtureRequest) -> tuple[float, ...]:
    """Return the phases at which a fault is tried: one in the quick part."""
    quick = "not whole" in (request.config.getoption("markexpr") or "")
    return (0.55,) if quick else PHASES


def attempts(
    folder: Path,
    labs: Labs,
    true: Undisturbed,
    record: Record,
    *faults: dict[str, str],
    ends: Callable[[Ended], bool] = lambda ended: True,
) -> None:
    """Try faults one by one, each on a lab of its own."""
    toll = Toll()
    for fault in faults:
        site = Site.made(folder / str(toll.tried), labs)
        ended = site.command(*RUN, **fault)
        toll.tried += 1
        if "Traceback" in ended.err or not ends(ended):
            toll.notes.append(f"{fault}: {ended.code}: {ended.err[-1500:]}")
        # The results so far are right, or errors of the lab's.
        wrong = [
            one for one in site.results() if one["verdict"] != "error" and one not in true.results
        ]
        if wrong:
            toll.false_failures += len(wrong)
            toll.notes.append(f"{fault}: wrong at once: {wrong}")
        if has_errors(site):
            shutil.rmtree(site.place)  # whole, with cells that end in the lab's error: told above
            continue
        to_the_end(site, toll, true, str(fault))
        shutil.rmtree(site.place)
    toll.note(record)


def has_errors(site: Site) -> bool:
    """Return whether a run has a cell that ended in an error of the lab's."""
    return any(event.get("verdict") == "error" for event in site.events())


def at(true: Undisturbed, phase: float, kind: str = "any") -> int:
    """Return the number of an operation of a kind at a phase of a run."""
    count = len(true.operations) if kind == "any" else true.operations.count(kind)
    return max(1, round(count * phase))


@pytest.mark.parametrize(("number", "kind"), PAIRS)
@pytest.mark.family("faults: errors of the file system")
def test_an_error_of_the_file_system_from_some_moment_on(
    tmp_path: Path,
    labs: Labs,
    undisturbed: Undisturbed,
    record_property: Record,
    request: pytest.FixtureRequest,
    number: int,
    kind: str,
) -> None:
    counted = "create" if kind == "open" else kind
    faults = [
        {"fail": f"{number}:{kind}:{at(undisturbed, phase, counted)}:{times}"}
        for phase in phases(request)
        for times in (1, 1_000_000)
    ]
    attempts(
        tmp_path, labs, undisturbed, record_property, *faults, ends=lambda e: e.code in {0, 69}
    )


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGXFSZ", "SIGPIPE"])
@pytest.mark.family("faults: signals")
def test_a_signal(
    tmp_path: Path,
    labs: Labs,
    undisturbed: Undisturbed,
    record_property: Record,
    request: pytest.FixtureRequest,
    name: str,
) -> None:
    number = int(getattr(signal, name))
    faults = [{"signal": f"{number}:{at(undisturbed, phase)}:1"} for phase in phases(request)]
    attempts(tmp_path, labs, undisturbed, record_property, *faults)


@WHOLE
@pytest.mark.family("faults: signals")
def test_an_interruption_that_is_repeated(
    tmp_path: Path, labs: Labs, undisturbed: Undisturbed, record_property: Record
) -> None:
    faults = [
        {"signal": f"{number}:{at(undisturbed, phase)}:{times}"}
        for number in (int(signal.SIGINT), int(signal.SIGTERM))
        for phase in PHASES
        for times in (2, 30)
    ]
    attempts(tmp_path, labs, undisturbed, record_property, *faults)


@pytest.mark.parametrize("seconds", [-10 * 365 * 86400, -3600, 3600, 10 * 365 * 86400])
@pytest.mark.family("faults: clock")
def test_a_clock_that_jumps(
    tmp_path: Path,
    labs: Labs,
    undisturbed: Undisturbed,
    record_property: Record,
    request: pytest.FixtureRequest,
    seconds: int,
) -> None:
    faults = [{"clock": f"{seconds}:{at(undisturbed, phase)}"} for phase in phases(request)]
    attempts(
        tmp_path, labs, undisturbed, record_property, *faults, ends=lambda ended: ended.code == 0
    )


# -- guests --------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["CLOSE", "PANIC", "RESET", "QEMU_EXIT"])
@pytest.mark.parametrize(
    "request_name",
    ["run", *(pytest.param(one, marks=WHOLE) for one in ("stat", "swap", "hold", "sample"))],
)
@pytest.mark.family("faults: guests")
def test_a_guest_that_ends_early_costs_its_own_cell(
    tmp_path: Path, labs: Labs, undisturbed: Undisturbed, request_name: str, act: str
) -> None:
    site = Site.made(tmp_path / "site", labs)
    site.env[HOOK] = f"{request_name}:{act}"
    ended = site.command(*RUN)
    assert "Traceback" not in ended.err
    others = [one for one in site.results() if one in undisturbed.results]
    (hurt,) = [one for one in site.results() if one not in undisturbed.results]
    assert len(others) == 7
    assert hurt["verdict"] == ("fail" if act in {"PANIC", "RESET"} else "error"), hurt
    assert ended.code == (1 if act in {"PANIC", "RESET"} else 69)


# -- damage --------------------------------------------------------------------------------------


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("harm", [emptied, cut, flipped, zeroed, gone])
@pytest.mark.parametrize(
    "name",
    [
        "agent.jsonl",
        *(pytest.param(one, marks=WHOLE) for one in ("console.log", "qemu.log", "events.jsonl")),
    ],
)
@pytest.mark.family("faults: damage")
def test_a_file_that_is_damaged_after_a_kill(
    tmp_path: Path,
    labs: Labs,
    undisturbed: Undisturbed,
    name: str,
    harm: Callable[[Path], None],
) -> None:
    site = Site.made(tmp_path / "site", labs)
    site.command(*RUN, signal=f"{KILL}:{at(undisturbed, 0.6)}:1")
    assert site.folder is not None
    first = next(iter(site.journalled()))
    path = site.folder / name if name == "events.jsonl" else site.folder / "cells" / first / name
    if not path.stat().st_size and harm in {flipped, zeroed, emptied, cut}:
        path.write_bytes(b"QEMU said nothing of this")
    else:
        harm(path)
    assert "Traceback" not in site.command("report", str(site.folder)).err
    assert all(one["verdict"] == "error" or one in undisturbed.results for one in site.results())
    toll = Toll(tried=1)
    ended = site.again()
    assert ended.code == 0, ended.err
    toll.held_against(site, Counter(), undisturbed.results)
    assert toll.notes == []
    if name != "events.jsonl":
        assert f"{first}: {name} " in ended.said
        assert site.journalled()[first] == 2  # it was run again, and said so
