# SPDX-License-Identifier: GPL-2.0
"""A cell's conversation with a scripted agent: what each misconduct ends in, and for whom."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from rmaplab.collect import transcript
from rmaplab.collect.observe import observe
from rmaplab.evidence import events
from rmaplab.evidence.ends import EndCause
from rmaplab.evidence.events import AgentEvent, Garbled
from rmaplab.guest import cell as guest_cell
from rmaplab.guest import sampling, session, template, vm
from rmaplab.guest import transcript as writing
from rmaplab.guest.cellsetup import CellSetup, LedgerSetup, TemplateState
from rmaplab.guest.command import Accelerator, Launch
from rmaplab.guest.settings import GuestSetup, SetupResult
from rmaplab.guest.shared import SharedGuest
from rmaplab.guest.template import BootFailed
from rmaplab.judge import judge
from rmaplab.model import Cell, Fault, Limits, Observation, Outcome, Verdict

from . import builders
from .builders import KTAP_PASS, PROGRAM, TAINTED
from .scripted_agent import (
    Act,
    Answer,
    Item,
    Script,
    ScriptedGuest,
    audit_event,
    exit_event,
    machine,
    plainly,
    run,
)

KVM = Launch(Path("/nonexistent"), Path("/nonexistent"), Accelerator.KVM)
SETUP = CellSetup(KVM, ("/proc/vmstat",), audit=(), ledger=LedgerSetup({}))
LIMITS = Limits(boot_s=20, ready_s=20, silence_s=20)
SHORT = Limits(boot_s=20, ready_s=20, silence_s=0.3)


def a_cell(repeat: int = 1, limits: Limits = LIMITS, limit_s: float = 20.0) -> Cell:
    testcase = builders.testcase(limit_s=limit_s)
    return builders.cell(
        guest=builders.guest(limits=limits, devices=()), testcase=testcase, repeat=repeat
    )


def carried_out(folder: Path, cell: Cell | None = None, setup: CellSetup = SETUP) -> Observation:
    """Run a cell on a scripted guest and observe what it left."""
    folder.mkdir(exist_ok=True)
    wanted = cell or a_cell()
    asyncio.run(asyncio.wait_for(guest_cell.run(wanted, setup, folder, PROGRAM), 60))
    return observe(folder)


def verdict(seen: Observation) -> Verdict:
    return judge(builders.cell(), seen, ()).verdict


def how(folder: Path) -> str:
    return transcript.read(folder / "agent.jsonl").how


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    # How long to wait for a better witness, and for a console's last words: none comes here.
    for module in (session, vm):
        monkeypatch.setattr(module, "SETTLE_S", 0.01)
    return machine(monkeypatch)


# -- an agent without fault ------------------------------------------------------------------------


def test_a_cell_goes_through_all_its_phases_and_passes(tmp_path: Path, script: Script) -> None:
    seen = carried_out(tmp_path)
    assert (seen.ended, seen.detail, seen.findings) == (
        Outcome.COMPLETED, "", seen.findings[:1],
    )  # fmt: skip
    # The guest has no counters but the taint flags, so there is no ledger.
    assert [one.name for one in seen.findings] == ["lab: ledger"]
    asked = [words[0] for words in script.requests]
    assert asked == [
        "swap", "hold", "stat", "write", "read", "audit", "khugepaged", "drain", "sample",
        "stage", "run", "drain", "sample",
    ]  # fmt: skip
    without = dataclasses.replace(SETUP, ledger=None)
    assert verdict(carried_out(tmp_path / "b", setup=without)) is Verdict.PASS


def test_each_line_of_a_cell_is_numbered_and_the_last_one_seals_it(
    tmp_path: Path, script: Script
) -> None:
    carried_out(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "agent.jsonl").read_bytes().splitlines()]
    assert [line["n"] for line in lines] == list(range(len(lines)))
    assert [line["ev"] for line in lines[-2:]] == ["console", "sealed"]
    assert lines[-2]["bytes"] == (tmp_path / "console.log").stat().st_size


# -- a guest that is not as asked ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ready", "why"),
    [
        ({"protocol": 3}, "speaks protocol 3, not 2"),
        ({"cpus": 4}, "has vCPUs 4"),
        ({"nodes": [0, 1]}, r"has NUMA nodes \[0, 1\]"),
        ({"memory_kb": 1000}, "1000 KB of memory"),
    ],
)
def test_a_guest_that_is_not_as_its_profile_is_the_labs_fault(
    tmp_path: Path, script: Script, ready: dict[str, Any], why: str
) -> None:
    script.ready = ready
    seen = carried_out(tmp_path)
    assert (seen.ended, seen.fault) == (Outcome.INFRA, Fault.LAB)
    assert re.search(why, seen.detail)
    assert not [words for words in script.requests if words[0] == "run"]


@pytest.mark.parametrize(
    ("name", "answer", "why"),
    [
        ("write", plainly("wrote", errno=22), "writing 'never' to .*: errno 22"),
        ("write", plainly("wrote", errno=0), "did not take: .* is '', wanted 'never'"),
        ("swap", plainly("swapped", errno=12, step="mkswap"), "swap on zram: mkswap: errno 12"),
        ("khugepaged", plainly("khugepaged", errno=110, scans=0), "does not come to rest"),
        ("stage", plainly("error", message="no cgroup"), "refused 'stage': no cgroup"),
        ("run", plainly("error", message="no such file"), "refused the workload: no such file"),
    ],
)
def test_what_the_agent_cannot_do_is_the_labs_fault(
    tmp_path: Path, script: Script, name: str, answer: Answer, why: str
) -> None:
    script.answers[name] = answer
    seen = carried_out(tmp_path)
    assert (seen.ended, seen.fault) == (Outcome.INFRA, Fault.LAB)
    assert re.search(why, seen.detail), seen.detail


def test_a_setting_that_reads_back_otherwise_did_not_take(tmp_path: Path, script: Script) -> None:
    def read(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterable[Item]:
        yield {"ev": "files", "files": {words[1]: "always [madvise] never\n"}, "errors": {},
               "last": True}  # fmt: skip

    script.answers["read"] = read
    seen = carried_out(tmp_path)
    assert seen.ended is Outcome.INFRA
    assert "is 'madvise', wanted 'never'" in seen.detail


def test_a_file_that_is_missing_skips_and_one_that_cannot_be_looked_at_does_not(
    tmp_path: Path, script: Script
) -> None:
    def stat(kind: str) -> Answer:
        return lambda guest, number, words: [
            {"ev": "stats", "stats": dict.fromkeys(words[1:], kind),
             "errors": dict.fromkeys(words[1:], 40) if kind == "error" else {}}
        ]  # fmt: skip

    script.answers["stat"] = stat("missing")
    assert verdict(carried_out(tmp_path / "a")) is Verdict.SKIP
    script.answers["stat"] = stat("error")
    seen = carried_out(tmp_path / "b")
    assert verdict(seen) is Verdict.ERROR
    assert "cannot be looked at: errno 40" in seen.detail


# -- an agent that is out of its mind --------------------------------------------------------------

STEPS = ("swap", "hold", "stat", "write", "read", "audit", "khugepaged", "drain", "sample",
         "stage", "run")  # fmt: skip
GARBAGE: dict[str, Item] = {
    "no JSON": b"\x00\xff{{{\n",
    "no event": b'{"t": 1}\n',
    "no keys": b'{"t": 1, "ev": "files", "id": 1}\n',
    "of no request": {"ev": "pong", "id": 4000},
    "of a request that is over": {"ev": "pong", "id": 0},
    "of another kind": {"ev": "bye"},
    "of no known kind": {"ev": "solved"},
    "for the lab": b'{"t": 1, "ev": "end", "from": "lab", "how": "bye", "detail": ""}\n',
    "deep": b'{"t": 1, "ev": "beat", "x": ' + b"[" * 5000 + b"]" * 5000 + b"}\n",
    "ready again": b'{"t": 1, "ev": "ready", "protocol": 2}\n',
}


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("step", STEPS)
def test_an_agent_that_makes_no_sense_loses_its_cell_alone(
    tmp_path: Path, script: Script, step: str, garbage: str
) -> None:
    script.answers[step] = lambda guest, number, words: [GARBAGE[garbage], Act.SILENCE]
    seen = carried_out(tmp_path)
    assert (seen.ended, seen.fault, how(tmp_path)) == (
        Outcome.LOST, Fault.LAB, EndCause.GARBLED,
    )  # fmt: skip
    assert verdict(seen) is Verdict.ERROR
    assert "no event" in seen.detail or "makes no sense" in seen.detail


@pytest.mark.parametrize("step", STEPS)
def test_an_agent_whose_channel_closes_loses_its_cell(
    tmp_path: Path, script: Script, step: str
) -> None:
    script.answers[step] = lambda guest, number, words: [Act.CLOSE]
    seen = carried_out(tmp_path)
    assert (seen.ended, seen.fault, how(tmp_path)) == (
        Outcome.LOST, Fault.LAB, EndCause.CLOSED,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("act", "ended"),
    [(Act.PANIC, Outcome.PANIC), (Act.RESET, Outcome.LOST), (Act.QEMU_EXIT, Outcome.INFRA)],
)
@pytest.mark.parametrize("step", ["stat", "run"])
def test_a_death_is_known_when_it_happens(
    tmp_path: Path, script: Script, step: str, act: Act, ended: Outcome
) -> None:
    script.answers[step] = lambda guest, number, words: [act]
    assert carried_out(tmp_path).ended is ended


def test_a_kernel_that_dies_of_what_spoilt_its_agent_is_dead(
    tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen_garbage = asyncio.Event()

    def decode_agent(raw: bytes) -> AgentEvent | Garbled:
        found = real(raw)
        if isinstance(found, Garbled):
            seen_garbage.set()
        return found

    real = events.decode_agent
    monkeypatch.setattr(events, "decode_agent", decode_agent)
    monkeypatch.setattr(session, "SETTLE_S", 20.0)
    script.answers["run"] = lambda guest, number, words: [b"{\x00\n", seen_garbage, Act.PANIC]
    seen = carried_out(tmp_path)
    assert (seen.ended, seen.fault, how(tmp_path)) == (
        Outcome.PANIC, Fault.KERNEL, EndCause.PANIC,
    )  # fmt: skip


def test_an_error_of_the_labs_ends_its_cell_alone(
    tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*words: object) -> None:
        raise KeyError("steady")

    monkeypatch.setattr(sampling, "sample", broken)
    seen = carried_out(tmp_path)
    assert (seen.ended, seen.fault, how(tmp_path)) == (
        Outcome.INFRA, Fault.LAB, EndCause.LAB_ERROR,
    )  # fmt: skip
    assert "KeyError: 'steady'" in seen.detail


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), OSError(errno.EROFS, "no")])
def test_a_full_disk_is_no_end_of_a_cell_but_of_the_run(
    tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    async def broken(*words: object) -> None:
        raise error

    monkeypatch.setattr(sampling, "sample", broken)
    with pytest.raises(OSError) as caught:
        carried_out(tmp_path)
    assert caught.value is error
    assert how(tmp_path) == ""


def test_cells_beside_a_garbled_one_go_on(tmp_path: Path, script: Script) -> None:
    plain, folders = run, {}

    def sometimes(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterable[Item]:
        return [b"garbage\n"] if words[3].endswith("2") else plain(guest, number, words)

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(4):
                folders[number] = tmp_path / str(number)
                folders[number].mkdir()
                wanted, program = a_cell(number + 1), f"{PROGRAM}{number}"
                setup = dataclasses.replace(SETUP, ledger=None)
                group.create_task(guest_cell.run(wanted, setup, folders[number], program))

    script.answers["run"] = sometimes
    asyncio.run(asyncio.wait_for(all_of_them(), 60))
    found = {number: verdict(observe(folder)) for number, folder in folders.items()}
    assert found == {0: Verdict.PASS, 1: Verdict.PASS, 2: Verdict.ERROR, 3: Verdict.PASS}


# -- a workload that speaks for its agent ----------------------------------------------------------


def forged(*items: Mapping[str, Any]) -> Answer:
    """A workload that sends events over the agent's port before it fails and exits."""

    def answer(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterator[Item]:
        first, *rest = run(guest, number, words)
        yield first
        yield from items
        yield from rest

    return answer


@pytest.mark.parametrize(
    "items",
    [
        [exit_event()],  # ends the cell before the workload's end
        [audit_event(), exit_event()],
        [{"ev": "drained", "id": 9, "errno": 0, "free": 1, "pcp": 1, "steady": True, "polls": 1}],
        [{"ev": "files", "id": 8, "files": {TAINTED: "512\n"}, "errors": {}, "last": True}],
        [{"ev": "start", "pid": 3}],
        [exit_event(id=77)],
    ],
    ids=str,
)
def test_what_a_workload_forges_makes_no_failure_a_pass(
    tmp_path: Path, script: Script, items: list[dict[str, Any]]
) -> None:
    script.said = ("KTAP version 1", "1..1", "not ok 1 the mapcount stays")
    script.exit = {"status": 1}
    script.answers["run"] = forged(*items)
    seen = carried_out(tmp_path)
    assert verdict(seen) is not Verdict.PASS


def test_a_forged_exit_with_the_answers_behind_it_is_no_pass(
    tmp_path: Path, script: Script
) -> None:
    """The whole rest of a cell, forged; the agent's end mark alone cannot be."""

    def answer(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterator[Item]:
        yield {"ev": "start", "pid": 77}
        guest.mark(f"begin {words[3]}")
        yield from ({"ev": "out", "text": text} for text in KTAP_PASS)
        yield audit_event()
        yield exit_event()
        drained = {"ev": "drained", "errno": 0, "free": 1, "pcp": 1, "steady": True, "polls": 1}
        files = {"ev": "files", "files": {TAINTED: "0\n"}, "errors": {}, "last": True}
        yield {**drained, "id": number + 1}
        yield {**files, "id": number + 2}
        yield Act.SILENCE

    script.answers["run"] = answer
    seen = carried_out(tmp_path)
    assert how(tmp_path) == EndCause.BYE
    assert seen.ended is Outcome.LOST
    assert "end: it is not whole" in seen.detail


def test_a_sample_that_is_sent_twice_loses_the_cell(tmp_path: Path, script: Script) -> None:
    def twice(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterator[Item]:
        whole = {"ev": "files", "files": {TAINTED: "0\n"}, "errors": {}, "last": True}
        yield whole
        yield {**whole, "files": {TAINTED: "512\n"}}

    script.answers["sample"] = twice
    seen = carried_out(tmp_path)
    assert (seen.ended, how(tmp_path)) == (Outcome.LOST, EndCause.GARBLED)


# -- silence and limits ----------------------------------------------------------------------------


def nothing(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterable[Item]:
    """No answer, as yet."""
    return []


def stuck(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterator[Item]:
    """A workload that the agent cannot kill: what else is asked, but a ping, waits behind it."""
    guest.script.answers.update(drain=nothing, sample=nothing)
    yield {"ev": "start", "pid": 77}


@pytest.mark.parametrize(
    ("limits", "limit_s", "pongs", "cause", "ended"),
    [
        # No heartbeat within the limit of silence: it hangs.
        (SHORT, 20.0, True, EndCause.SILENCE, Outcome.HANG),
        # The workload's own limit comes first, and the agent answers: the workload is stuck.
        (LIMITS, 0.2, True, EndCause.TEST_LIMIT, Outcome.TIMEOUT),
        # It comes first, and the agent does not answer a ping either.
        (dataclasses.replace(LIMITS, silence_s=1.0), 0.2, False, EndCause.SILENCE, Outcome.HANG),
    ],
)
def test_silence_is_told_from_a_workload_that_is_stuck(
    tmp_path: Path,
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
    limits: Limits,
    limit_s: float,
    pongs: bool,
    cause: EndCause,
    ended: Outcome,
) -> None:
    monkeypatch.setattr(session, "KILL_GRACE_S", 0.2)
    script.answers["run"] = stuck
    if not pongs:
        script.answers["ping"] = nothing
    wanted = a_cell(limits=limits, limit_s=limit_s)
    seen = carried_out(tmp_path, wanted, dataclasses.replace(SETUP, ledger=None, audit=None))
    assert (how(tmp_path), seen.ended, seen.fault) == (cause, ended, Fault.KERNEL)


@pytest.mark.parametrize("step", ["hold", "stat", "sample"])
def test_an_agent_that_answers_nothing_is_a_hang(tmp_path: Path, script: Script, step: str) -> None:
    script.answers[step] = lambda guest, number, words: [Act.SILENCE]
    wanted = a_cell(limits=dataclasses.replace(LIMITS, ready_s=0.3))
    seen = carried_out(tmp_path, wanted)
    assert (how(tmp_path), seen.ended) == (EndCause.READY_LIMIT, Outcome.HANG)


@pytest.mark.parametrize("step", ["stat", "hold", "run", "sample"])
def test_a_qemu_that_is_stopped_is_no_hang_of_its_guest(
    tmp_path: Path, script: Script, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vm, "QMP_LIMIT_S", 0.5)
    script.answers[step] = lambda guest, number, words: [Act.STOPPED]
    limits = Limits(boot_s=20, ready_s=0.5, silence_s=0.3)
    seen = carried_out(tmp_path, a_cell(limits=limits))
    assert (seen.ended, seen.fault) == (Outcome.INFRA, Fault.LAB)
    assert "QEMU does not answer" in seen.detail
    assert verdict(seen) is Verdict.ERROR


def test_a_kernel_that_never_starts_its_agent_did_not_boot(tmp_path: Path, script: Script) -> None:
    script.ready = {"ev": "beat"}
    wanted = a_cell(limits=dataclasses.replace(LIMITS, boot_s=0.3))
    seen = carried_out(tmp_path, wanted)
    assert (how(tmp_path), seen.ended) == (EndCause.BOOT_LIMIT, Outcome.BOOT_FAILED)


# -- floods ----------------------------------------------------------------------------------------


def test_a_flood_fills_no_disk_and_its_cell_is_lost(
    tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "KEPT_BYTES", 100_000)
    script.said = (*KTAP_PASS, *("x" * 1000 for _ in range(500)))
    seen = carried_out(tmp_path)
    assert (tmp_path / "agent.jsonl").stat().st_size < 110_000
    assert (seen.ended, seen.fault) == (Outcome.LOST, Fault.LAB)
    assert "bytes of the transcript were not kept" in seen.detail


def test_an_answer_without_end_loses_its_cell(
    tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rmaplab.evidence.requests.ANSWER_CHARS", 100_000)

    def endless(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterator[Item]:
        for n in itertools.count():
            yield {"ev": "files", "files": {f"/{n}": "x" * 1000}, "errors": {}, "last": False}

    script.answers["sample"] = endless
    seen = carried_out(tmp_path)
    assert (seen.ended, how(tmp_path)) == (Outcome.LOST, EndCause.GARBLED)
    assert "100000 characters" in seen.detail


# -- templates, clones, and a guest for many cells -------------------------------------------------


def saved_template(folder: Path, script: Script) -> CellSetup:
    """Boot, save and settle a template on scripted guests; what its clones run on."""
    guest = a_cell().guest
    booted, settled, scratch = folder / "booted", folder / "settled", folder / "scratch"
    for path in (booted, settled, scratch):
        path.mkdir(parents=True)
    wanted = GuestSetup(builders.settings(), (), ())

    async def save() -> None:
        await template.save(guest, KVM, booted, scratch, held=("/proc/vmstat",))
        launch = dataclasses.replace(KVM, ram=booted, state=booted / template.STATE)
        await template.save_with_settings(guest, launch, wanted, settled, scratch)

    asyncio.run(asyncio.wait_for(save(), 60))
    state = TemplateState(
        SetupResult.load(settled / template.SETUP_RESULT),
        (settled / template.SETUP_TRANSCRIPT).read_bytes(),
    )
    launch = dataclasses.replace(KVM, ram=settled, state=settled / template.STATE)
    return CellSetup(launch, ("/proc/vmstat",), state, audit=())


def test_a_clone_goes_on_where_its_template_ended(tmp_path: Path, script: Script) -> None:
    setup = saved_template(tmp_path, script)
    script.requests.clear()
    folder = tmp_path / "cell"
    seen = carried_out(folder, setup=setup)
    assert [words[0] for words in script.requests] == ["run", "sample"]
    assert (seen.ended, seen.detail, verdict(seen)) == (Outcome.COMPLETED, "", Verdict.PASS)
    lines = [json.loads(line) for line in (folder / "agent.jsonl").read_bytes().splitlines()]
    assert [line["n"] for line in lines] == list(range(len(lines)))
    assert next(line["ev"] for line in lines if line.get("template")) == "phase"


def test_a_template_whose_agent_makes_no_sense_fails_to_boot_as_garbled(
    tmp_path: Path, script: Script
) -> None:
    script.answers["khugepaged"] = lambda guest, number, words: [b"garbage\n"]
    with pytest.raises(BootFailed, match="no event"):
        saved_template(tmp_path, script)
    seen = observe(tmp_path / "scratch")
    assert (seen.ended, how(tmp_path / "scratch")) == (Outcome.LOST, EndCause.GARBLED)


def test_cells_in_one_guest_have_a_whole_transcript_each(tmp_path: Path, script: Script) -> None:
    async def both() -> None:
        guest = SharedGuest()
        for number, folder in enumerate(folders):
            folder.mkdir()
            await guest.run(a_cell(number + 1), setup, folder, PROGRAM)
            found.append(observe(folder))  # while the guest lives on
        await guest.close()

    found: list[Observation] = []
    folders = [tmp_path / str(number) for number in range(3)]
    setup = dataclasses.replace(SETUP, ledger=None)
    asyncio.run(asyncio.wait_for(both(), 60))
    assert script.guests == 1
    for seen in [*found, *map(observe, folders)]:
        assert (seen.ended, seen.detail, verdict(seen)) == (Outcome.COMPLETED, "", Verdict.PASS)


def test_a_garbled_cell_ends_its_shared_guest_and_the_next_one_boots_another(
    tmp_path: Path, script: Script
) -> None:
    async def both() -> None:
        guest = SharedGuest()
        for number, folder in enumerate(folders):
            folder.mkdir()
            script.answers["run"] = plainly("bye") if number == 0 else run
            await guest.run(a_cell(number + 1), setup, folder, PROGRAM)
        await guest.close()

    folders = [tmp_path / str(number) for number in range(2)]
    setup = dataclasses.replace(SETUP, ledger=None)
    asyncio.run(asyncio.wait_for(both(), 60))
    assert script.guests == 2
    assert [observe(folder).ended for folder in folders] == [Outcome.LOST, Outcome.COMPLETED]
