# SPDX-License-Identifier: GPL-2.0
"""The set-up of a guest that is up: what it is asked, in order, and what makes it unusable."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rmaplab.collect.ledger import Terms
from rmaplab.evidence import events
from rmaplab.evidence.ends import EndCause, SampleLabel
from rmaplab.evidence.protocol import PROTOCOL
from rmaplab.guest import prepare, sampling
from rmaplab.guest.agent import AgentGarbled, Request
from rmaplab.guest.command import REQUEST_PATH, Accelerator
from rmaplab.guest.prepare import Unusable
from rmaplab.guest.settings import GuestSetup, SetupResult, apply_settings, chosen
from rmaplab.guest.transcript import Transcript
from rmaplab.model import FREE, Guest, HugepageSettings, Write

from . import builders
from .builders import ENABLED

OTHER = "/sys/kernel/mm/transparent_hugepage/defrag"
TWO = HugepageSettings(
    "thp", "settings", (Write(ENABLED, "never", "never"), Write(OTHER, "defer", "defer"))
)
WANTED = GuestSetup(TWO, ("/sys/kernel/a", "/sys/kernel/b"), audit=("all",))


class Agent:
    """An agent that keeps what it is asked, and answers as ``answers`` says by the first word."""

    def __init__(self, **answers: dict[str, Any]) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.answers = answers
        self.files = {"/proc/vmstat": "nr_mapped 1\n"}
        self.kinds: dict[str, str] = {}

    @property
    def last_request(self) -> int:
        return len(self.asked)

    async def send(self, *words: str) -> Request:
        self.asked.append(words)
        return Request(len(self.asked), words)

    async def ask(self, *words: str) -> Any:
        return await self.answer_as(None, await self.send(*words))

    async def ask_for(self, kind: Any, *words: str) -> Any:
        return await self.answer_as(kind, await self.send(*words))

    async def answer_as(self, kind: Any, request: Request) -> Any:
        name, *words = request.words
        kinds: dict[str, tuple[Any, Callable[[], dict[str, Any]]]] = {
            "stat": (events.Stats, lambda: {"stats": {p: self.kinds.get(p, "reg") for p in words}}),
            "write": (events.Wrote, lambda: {"errno": 0}),
            "read": (events.Files, lambda: {
                "files": {p: self.files[p] for p in words if p in self.files}, "errors": {},
                "last": True}),
            "sample": (events.Files, lambda: {"files": self.files, "errors": {}, "last": True}),
            "drain": (events.Drained, lambda: {
                "errno": 0, "free": 100, "pcp": 5, "steady": True, "polls": 1}),
            "khugepaged": (events.Khugepaged, lambda: {"errno": 0, "scans": 1}),
            "await": (events.Awaiting, lambda: {"errno": 0}),
            "swap": (events.Swapped, lambda: {"errno": 0, "step": ""}),
        }  # fmt: skip
        if name == "write":
            self.files[words[0]] = f"{words[1]}\n"
        if name not in kinds:
            return None
        made, facts = kinds[name]
        assert made is kind
        return made(t=1, id=request.number, **{**facts(), **self.answers.get(name, {})})


@pytest.fixture
def said(tmp_path: Path) -> Iterator[Transcript]:
    with Transcript(tmp_path / "agent.jsonl") as transcript:
        yield transcript


def lines(said: Transcript, *kinds: str) -> list[dict[str, Any]]:
    """The lab's lines of these kinds, without time and number."""
    text = (said.folder / "agent.jsonl").read_text(encoding="utf-8")
    return [
        {key: value for key, value in line.items() if key not in {"at", "n", "from", "ev"}}
        for line in map(json.loads, text.splitlines())
        if line["ev"] in kinds and line["from"] == "lab"
    ]


def setup(agent: Agent, said: Transcript, wanted: GuestSetup = WANTED) -> SetupResult:
    return asyncio.run(apply_settings(SimpleNamespace(agent=agent), wanted, said))  # type: ignore[arg-type]


# -- settings --------------------------------------------------------------------------------------


def test_a_set_up_asks_for_all_of_it_in_its_order(said: Transcript) -> None:
    agent = Agent()
    assert setup(agent, said) == SetupResult("", frozenset(), 10)
    assert agent.asked == [
        ("stat", "/sys/kernel/a", "/sys/kernel/b", ENABLED, OTHER),
        ("write", ENABLED, "never"),
        ("read", ENABLED),
        ("write", OTHER, "defer"),
        ("read", OTHER),
        ("audit", "on", "all"),
        ("khugepaged",),
        ("drain", "wait"),
        ("sample",),
        ("stage",),
    ]
    assert lines(said, "setting") == [
        {"path": ENABLED, "wanted": "never", "got": "never"},
        {"path": OTHER, "wanted": "defer", "got": "defer"},
    ]
    assert lines(said, "audit") == [{}]
    assert lines(said, "sample") == [{"label": "before", "id": 9, "free": 105}]


def test_without_an_audit_none_is_asked_for(said: Transcript) -> None:
    agent = Agent()
    setup(agent, said, dataclasses.replace(WANTED, audit=None))
    assert "audit" not in {words[0] for words in agent.asked}
    assert lines(said, "audit") == []
    empty = Agent()
    setup(empty, said, GuestSetup(HugepageSettings("none", "", ()), (), audit=()))
    assert [words[0] for words in empty.asked] == [
        "audit", "khugepaged", "drain", "sample", "stage",
    ]  # fmt: skip


def test_an_agent_that_awaits_its_request_is_told_where(said: Transcript) -> None:
    agent = Agent()
    assert setup(agent, said, dataclasses.replace(WANTED, awaits=True)).last_request == 11
    assert agent.asked[-1] == ("await", REQUEST_PATH)
    agent = Agent()
    setup(agent, said)
    assert agent.asked[-1] == ("stage",)


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ({"write": {"errno": 22}},
         f"settings thp: writing 'never' to {ENABLED}: errno 22"),
        ({"khugepaged": {"errno": 110}}, "khugepaged does not come to rest: errno 110"),
        ({"await": {"errno": 2}}, f"exact mode: {REQUEST_PATH}: errno 2"),
        ({"read": {"files": {ENABLED: "[always] madvise never\n"}}},
         f"settings thp did not take: {ENABLED} is 'always', wanted 'never'"),
        ({"read": {"files": {}}},
         f"settings thp did not take: {ENABLED} is '', wanted 'never'"),
        ({"stat": {"stats": dict.fromkeys(
            ("/sys/kernel/a", "/sys/kernel/b", ENABLED, OTHER), "error"), "errors": {
            "/sys/kernel/a": 13}}}, "/sys/kernel/a cannot be looked at: errno 13"),
        ({"stat": {"stats": {"/sys/kernel/a": "reg", "/sys/kernel/b": "reg", ENABLED: "reg",
                             OTHER: "error"}}}, f"{OTHER} cannot be looked at: errno 0"),
    ],
    ids=["refused", "khugepaged", "await", "another value", "no value", "stat", "no errno"],
)  # fmt: skip
def test_a_set_up_that_did_not_take_is_the_labs_fault(
    said: Transcript, answers: dict[str, Any], why: str
) -> None:
    agent = Agent(**answers)
    with pytest.raises(Unusable) as caught:
        setup(agent, said, dataclasses.replace(WANTED, awaits=True))
    assert str(caught.value) == why


def test_a_path_that_the_agent_says_nothing_of_is_garbled(said: Transcript) -> None:
    agent = Agent(stat={"stats": {"/sys/kernel/a": "reg", ENABLED: "reg", OTHER: "reg"}})
    with pytest.raises(AgentGarbled) as caught:
        setup(agent, said)
    assert str(caught.value) == "the agent did not say what /sys/kernel/b is"


def test_a_setting_that_the_kernel_does_not_have_skips_the_workloads(said: Transcript) -> None:
    agent = Agent()
    agent.kinds = {OTHER: "missing", "/sys/kernel/b": "missing"}
    found = setup(agent, said)
    assert found == SetupResult(
        f"settings thp: this kernel has no {OTHER}", frozenset({OTHER, "/sys/kernel/b"}), 1
    )
    assert [words[0] for words in agent.asked] == ["stat"]
    assert found.lacks([]) == f"settings thp: this kernel has no {OTHER}"


def test_a_required_file_that_is_missing_skips_those_that_require_it(said: Transcript) -> None:
    agent = Agent()
    agent.kinds = {"/sys/kernel/b": "missing"}
    found = setup(agent, said)
    assert (found.skip, found.missing) == ("", frozenset({"/sys/kernel/b"}))
    assert found.lacks(["/sys/kernel/a"]) == ""
    assert found.lacks([]) == ""
    assert found.lacks(["/sys/kernel/a", "/sys/kernel/b"]) == "this kernel has no /sys/kernel/b"


def test_a_result_is_read_as_it_was_saved(tmp_path: Path) -> None:
    saved = SetupResult("no ü", frozenset({"/b", "/a"}), 9)
    saved.save(tmp_path / "result.json")
    assert SetupResult.load(tmp_path / "result.json") == saved
    assert json.loads((tmp_path / "result.json").read_bytes()) == {
        "skip": "no ü", "missing": ["/a", "/b"], "last_request": 9,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("always [madvise] never\n", "madvise"),
        ("[always] madvise never\n", "always"),
        (" 12 \n", "12"),
        ("a]b[c\n", "a]b[c"),
        ("a]b\n", "a]b"),
        ("[b\n", "[b"),
        ("[]\n", ""),
        ("[a] [b]\n", "a"),
        ("", ""),
    ],
)
def test_the_value_of_a_settings_file_is_what_is_chosen(text: str, value: str) -> None:
    assert chosen(text) == value


# -- samples ---------------------------------------------------------------------------------------


def sample(agent: Any, said: Transcript, drain: tuple[str, ...] | None) -> dict[str, str]:
    return asyncio.run(sampling.sample(agent, SampleLabel.AFTER, said, drain))


def test_a_sample_has_the_free_pages_of_a_guest_at_rest(said: Transcript) -> None:
    agent = Agent()
    assert sample(agent, said, ("wait",)) == {"/proc/vmstat": "nr_mapped 1\n", FREE: "105"}
    assert agent.asked == [("drain", "wait"), ("sample",)]
    assert lines(said, "sample") == [{"label": "after", "id": 2, "free": 105}]


def test_a_guest_that_finds_no_rest_is_drained_three_times(said: Transcript) -> None:
    agent = Agent(drain={"steady": False})
    assert sample(agent, said, ()) == {"/proc/vmstat": "nr_mapped 1\n"}
    assert agent.asked == [("drain",), ("sample",)] * 3
    assert lines(said, "sample") == [{"label": "after", "id": 6}]


def test_a_sample_without_a_drain_is_taken_once(said: Transcript) -> None:
    agent = Agent()
    assert sample(agent, said, None) == {"/proc/vmstat": "nr_mapped 1\n"}
    assert agent.asked == [("sample",)]
    assert lines(said, "sample") == [{"label": "after", "id": 1}]


@pytest.mark.parametrize(
    ("pages", "leaves", "bounds", "cpus", "swap_kb", "balanced"),
    [
        (7, {}, {}, 1, 0, True),
        (8, {}, {}, 1, 0, False),
        (8, {"vmstat.nr_anon_pages": 1}, {}, 1, 0, True),
        (8, {"vmstat.nr_anon_pages": 2}, {}, 1, 0, False),
        (7, {}, {"pages.unaccounted": (1, 5)}, 1, 0, False),
        (7, {}, {}, 1, -1024, False),
        (7, {}, {}, 2, -1024, True),
    ],
)
def test_a_sample_balances_as_the_ledger_does(
    pages: int,
    leaves: dict[str, int | None],
    bounds: dict[str, tuple[int, int]],
    cpus: int,
    swap_kb: int,
    balanced: bool,
) -> None:
    before = {"vmstat.nr_anon_pages": 7, "agent.free": 105, "meminfo.SwapFree": 9000}
    after = {
        "/proc/vmstat": f"nr_anon_pages {pages}\n",
        "/proc/meminfo": f"SwapFree: {9000 + swap_kb} kB\n",
        FREE: "105",
    }
    assert sampling.is_balanced(before, after, Terms(bounds, leaves, cpus, 4)) is balanced


# -- a booting guest -------------------------------------------------------------------------------


class Machine:
    """A guest that boots: its agent says these events, and the limits are kept."""

    def __init__(self, guest: Guest, agent: Agent, *said: events.AgentEvent) -> None:
        self.guest = guest
        self.agent: Any = agent
        self._said = iter(said)
        agent.event = self._event  # type: ignore[attr-defined]
        self.limits: list[tuple[float, EndCause]] = []

    async def _event(self) -> events.AgentEvent:
        return next(self._said)

    async def within(self, limit_s: float, cause: EndCause, work: Coroutine[Any, Any, Any]) -> Any:
        self.limits.append((limit_s, cause))
        return await work


BOOTED = events.Ready(t=1, protocol=PROTOCOL, cpus=1, nodes=(0,), memory_kb=int(512 * 1024 * 0.75))


def boot(said: Transcript, guest: Guest, agent: Agent, *heard: events.AgentEvent,
         accelerator: Accelerator = Accelerator.KVM) -> Machine:  # fmt: skip
    machine = Machine(guest, agent, *heard)
    asyncio.run(prepare.boot(machine, accelerator, said, ("/proc/vmstat", "/x")))  # type: ignore[arg-type]
    return machine


def test_a_guest_boots_within_its_limits_and_is_made_ready(said: Transcript) -> None:
    agent = Agent(stat={"stats": {"/dev/dmirror0": "chr"}})
    machine = boot(said, builders.guest(), agent, events.Beat(t=1), BOOTED)
    assert machine.limits == [(15, EndCause.BOOT_LIMIT), (5, EndCause.READY_LIMIT)]
    assert agent.asked == [("stat", "/dev/dmirror0"), ("swap", "128"),
                           ("hold", "/proc/vmstat", "/x")]  # fmt: skip
    assert lines(said, "phase") == [
        {"phase": "boot", "limit_s": 15.0}, {"phase": "ready", "limit_s": 5.0},
    ]  # fmt: skip


def test_a_limit_is_said_to_a_tenth_of_a_second(said: Transcript) -> None:
    prepare.phase(said, "boot", 1.26)
    prepare.phase(said, "ready", 2)
    assert lines(said, "phase") == [
        {"phase": "boot", "limit_s": 1.3}, {"phase": "ready", "limit_s": 2},
    ]  # fmt: skip


def test_a_slow_guest_has_more_time(said: Transcript) -> None:
    machine = boot(said, builders.guest(devices=(), swap_mb=0), Agent(), BOOTED,
                   accelerator=Accelerator.TCG)  # fmt: skip
    assert machine.limits == [(60, EndCause.BOOT_LIMIT), (20, EndCause.READY_LIMIT)]
    assert machine.agent.asked == [("hold", "/proc/vmstat", "/x")]


@pytest.mark.parametrize(
    ("ready", "answers", "why"),
    [
        ({"protocol": PROTOCOL + 1}, {},
         f"the agent speaks protocol {PROTOCOL + 1}, not {PROTOCOL}"),
        ({"cpus": 2}, {}, "the guest has vCPUs 2, the profile q35 says 1"),
        ({"nodes": (0, 1)}, {}, "the guest has NUMA nodes [0, 1], the profile q35 says [0]"),
        ({"memory_kb": 393215}, {}, "the guest has 393215 KB of memory, less than 393216"),
        ({}, {"stat": {"stats": {"/dev/dmirror0": "reg"}}},
         "the device node /dev/dmirror0 is not there"),
        ({}, {"stat": {"stats": {}}}, "the device node /dev/dmirror0 is not there"),
        ({}, {"swap": {"errno": 12, "step": "mkswap"}, "stat": {"stats": {"/dev/dmirror0": "chr"}}},
         "swap on zram: mkswap: errno 12"),
    ],
    ids=["protocol", "CPUs", "nodes", "memory", "no device", "nothing said of it", "swap"],
)  # fmt: skip
def test_a_guest_that_is_not_as_its_profile_says_is_unusable(
    said: Transcript, ready: dict[str, Any], answers: dict[str, Any], why: str
) -> None:
    with pytest.raises(Unusable) as caught:
        boot(said, builders.guest(), Agent(**answers), dataclasses.replace(BOOTED, **ready))
    assert str(caught.value) == why
