# SPDX-License-Identifier: GPL-2.0
"""Read agent.jsonl back: the transcript that a cell left, whole or cut.

Reading is total: whatever the bytes, there is a Saved, and what does not fit is in ``garbled``.
What docs/run-folder.md asks of a pass is checked here as far as the transcript can say it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rmaplab.evidence import events
from rmaplab.evidence.ends import SampleLabel
from rmaplab.evidence.events import (
    AgentEvent,
    Event,
    Garbled,
    LabEvent,
    LedgerDue,
    MemoryNotSaved,
    MemorySaved,
    QemuEvent,
)
from rmaplab.evidence.requests import RUNS, SAMPLE, Requests
from rmaplab.model import FREE, ExpectedSubtests

# Lines after the cell's own time, and about a guest's memory while the guest stands still.
_TIMELESS = (
    MemorySaved, MemoryNotSaved, events.MemoryDropped, events.ConsoleKept, events.ConsoleCut,
    events.TranscriptCut, events.Sealed,
)  # fmt: skip
_OF_TEMPLATE = b'"template": true'
# testcases/lib/postmortem.c
_PAGES = re.compile(r"# rmaplab: pages ([0-9]{1,9}) 0x([0-9a-f]{1,16}) ([0-9]{1,9}) (.{1,64})")


@dataclass(frozen=True, slots=True)
class Pages:
    """Pages that a workload registered: ``count`` of them from ``address`` of process ``pid``."""

    pid: int
    address: int
    count: int
    name: str


def registered(line: str) -> Pages | None:
    """Return the pages that a line of a workload's output registers (docs/protocol.md).

    None for a line about something else.
    """
    match = _PAGES.fullmatch(line)
    if match is None:
        return None
    return Pages(int(match[1]), int(match[2], 16), int(match[3]), match[4])


@dataclass(slots=True)
class Saved:
    """Holds what a transcript says, sorted by what it is about.

    ``cell`` is the id of the cell in the first line, empty if there is none. ``how`` is the cause
    in the lab's ``end`` line, empty if there is none: the lab was killed.
    ``garbled`` says of the first thing that makes no sense what it is, empty if all does; what
    makes no sense is in no other field. ``sealed`` is whether the transcript has its last line; it
    needs none if its lines are not ``numbered``, as they once were not. ``program`` is the workload
    that was requested, empty if none was, ``exit`` the agent's word on its end. ``phase`` is the
    last one begun.
    ``samples`` are files by path, ``unread`` the paths that could not be read, both by label.
    ``console_bytes`` is the size of the console's log, None if nobody noted it; ``dropped`` and
    ``console_dropped`` count the bytes of transcript and console that were not kept.
    ``guest_end`` is QEMU's word that the guest panicked or ended itself, empty if it said none.
    ``audits`` are the agent's, ``audit_due`` says that it was asked for them, ``audited_end`` that
    nothing of the workload came after the audit of its end. ``ledger`` is None if none was asked
    for, ``expected`` for a workload of the lab's own; ``not_built`` is what the compiler said of a
    program that is therefore not there. ``memory`` is what became of the guest's memory, None if
    nobody saved it; ``pages`` are those that the workload registered. ``probes`` are what the agent
    tried when it booted, empty for a clone's. ``held_s`` is how long the
    guest stood still for that, or waited for its turn, which is no part of ``duration_s``.
    ``host_test`` is there for a program that ran on the host, ``host_end`` once that has ended.
    """

    cell: str = ""
    how: str = ""
    detail: str = ""
    phase: str = ""
    skip: str = ""
    program: str = ""
    exit: events.Exit | None = None
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)
    floods: list[events.Flood] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    samples: dict[str, Mapping[str, str]] = field(default_factory=dict)
    unread: dict[str, frozenset[str]] = field(default_factory=dict)
    duration_s: float = 0.0
    garbled: str = ""
    sealed: bool = False
    numbered: bool = True
    dropped: int = 0
    console_dropped: int = 0
    console_bytes: int | None = None
    guest_end: str = ""
    audits: list[events.Audit] = field(default_factory=list)
    audit_due: bool = False
    audited_end: bool = False
    memory: MemorySaved | MemoryNotSaved | None = None
    held_s: float = 0.0
    pages: list[Pages] = field(default_factory=list)
    ledger: LedgerDue | None = None
    expected: ExpectedSubtests | None = None
    not_built: str = ""
    probes: Mapping[str, bool] = field(default_factory=dict)
    host_test: events.ProgramBegun | None = None
    host_end: events.ProgramEnded | None = None


AUDIT_END = "end"
"""The name of the audit at a workload's end."""


def first_sample(said: bytes) -> Mapping[str, str]:
    """Return the sample before a workload, from the lines of a template's set-up.

    The files are by path, as in ``Saved.samples``; empty if there is no sample.
    """
    reader = _Reader(numbered=False)
    for raw in said.splitlines():
        reader.take(raw)
    return reader.saved.samples.get(SampleLabel.BEFORE, {})


def read(path: Path) -> Saved:
    """Return what a transcript says; nothing of one that is not there.

    Raises OSError if the file is there and cannot be read.
    """
    reader = _Reader()
    if path.is_file():
        for raw in _lines(path):
            reader.take(raw)
    return reader.finish()


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines, each up to a bounded length; the last one only if it is whole."""
    with path.open("rb") as file:
        while raw := file.readline(events.LINE_BYTES + 2):
            yield raw[:-1] if raw.endswith(b"\n") else b"cut: " + raw


@functools.lru_cache(maxsize=1024)
def _of_template(raw: bytes) -> Event | Garbled:
    """Decode a line that every clone of a template has."""
    return events.decode(raw)


class _Reader:
    """Takes the lines of a transcript one by one."""

    def __init__(self, *, numbered: bool = True) -> None:
        self.saved = Saved()
        self._numbered = numbered
        self._next: int | None = 0
        self._first = True
        self._requests = Requests()
        self._samples: dict[int, tuple[dict[str, str], set[str], bool]] = {}
        self._cell = False

    def finish(self) -> Saved:
        """Return what all lines said."""
        saved = self.saved
        saved.duration_s = max(0.0, saved.duration_s - saved.held_s)
        saved.numbered = self._next is not None
        saved.sealed = saved.sealed or not saved.numbered
        return saved

    def take(self, raw: bytes) -> None:
        """Take a line."""
        event = _of_template(raw) if _OF_TEMPLATE in raw else events.decode(raw)
        if isinstance(event, Garbled):
            self._wrong(str(event))
            self._next = None if self._next is None else self._next + 1
            return
        if self._numbered:
            self._count(event)
        if self.saved.sealed:
            self._wrong("a line comes after the last one")
        if event.at is not None and not isinstance(event, _TIMELESS):
            self.saved.duration_s = event.at
        match event:
            case AgentEvent():
                self._take_agents(event)
            case LabEvent():
                self._take_labs(event)
            case QemuEvent():
                self._take_qemus(event)

    def _wrong(self, what: str) -> None:
        self.saved.garbled = self.saved.garbled or what

    def _count(self, event: Event) -> None:
        """Hold a line's number against the one that is due: none is missing, none came twice."""
        if self._first and event.n is None:
            self._next = None
        self._first = False
        if event.n != self._next:
            self._wrong(f"a line has the number {event.n}, not {self._next}")
        if event.n is not None:
            self._next = event.n + 1

    # -- the agent's -------------------------------------------------------------------------------

    def _take_agents(self, event: AgentEvent) -> None:
        if self.saved.how:
            self._wrong(f"the agent says {events.name_of(type(event))!r} after the cell's end")
        elif wrong := self._requests.take(event):
            self._wrong(f"the agent says {events.name_of(type(event))!r}: {wrong}")
        else:
            self._believe(event)

    def _believe(self, event: AgentEvent) -> None:
        saved = self.saved
        match event:
            case events.Ready():
                saved.probes = event.probes
            case events.Out(text=text):
                saved.audited_end = False
                if pages := registered(text):
                    saved.pages.append(pages)
                else:
                    saved.stdout.append(text)
            case events.Err(text=text):
                saved.audited_end = False
                saved.stderr.append(text)
            case events.Flood():
                saved.floods.append(event)
            case events.Audit():
                saved.audited_end = event.name == AUDIT_END
                saved.audits.append(event)
            case events.Exit():
                saved.exit = event
            case events.Files() if event.id in self._samples:
                files, errors, _ = self._samples[event.id]
                files.update(event.files)
                errors.update(event.errors)
                self._samples[event.id] = (files, errors, event.last)

    # -- the lab's ---------------------------------------------------------------------------------

    def _take_labs(self, event: LabEvent) -> None:
        saved = self.saved
        match event:
            case events.CellBegun(cell=cell):
                self._once(self._cell, "a second cell begins")
                self._cell, saved.cell = True, cell
            case events.End():
                self._once(bool(saved.how), "the cell ends twice")
                saved.how, saved.detail = event.how, event.detail
            case events.PhaseBegun():
                saved.phase = event.phase
            case events.Skipped():
                self._once(bool(saved.program), "a cell is skipped whose workload ran")
                saved.skip = event.reason
            case events.Turn():
                saved.held_s += event.waited_s
            case events.Requested():
                self._take_request(event)
            case events.Setting():
                saved.settings[event.path] = event.got
            case events.Sample():
                self._take_sample(event)
            case MemorySaved():
                saved.memory = event
                saved.held_s += event.seconds
            case MemoryNotSaved():
                saved.memory = event
            case events.MemoryDropped():
                saved.memory = None
            case _:
                self._take_due(event)

    def _take_due(self, event: LabEvent) -> None:
        """Take what a cell has to show besides its workload's results, and what files hold."""
        saved = self.saved
        match event:
            case events.SubtestsDue():
                saved.expected = ExpectedSubtests(event.version, event.section, event.names)
            case events.NotBuilt():
                saved.not_built = event.error
            case events.ProgramBegun():
                self._once(saved.host_test is not None, "a second program begins")
                saved.host_test = event
            case events.ProgramEnded():
                self._once(saved.host_end is not None, "the program ends twice")
                saved.host_end = event
            case events.AuditDue():
                saved.audit_due = True
            case LedgerDue():
                saved.ledger = event
            case events.ConsoleKept():
                saved.console_bytes = event.bytes
            case events.ConsoleCut():
                saved.console_dropped += event.dropped
            case events.TranscriptCut():
                saved.dropped += event.dropped
            case events.Sealed():
                saved.sealed = True

    def _once(self, again: bool, what: str) -> None:
        if again:
            self._wrong(what)

    def _take_request(self, event: events.Requested) -> None:
        if wrong := self._requests.ask(event.id, event.words):
            self._wrong(wrong)
            return
        if event.words[0] == SAMPLE:
            self._samples[event.id] = ({}, set(), False)
        if event.words[0] in RUNS:
            self._once(bool(self.saved.program), "a second workload is run")
            self.saved.program = event.words[3] if len(event.words) > 3 else "?"

    def _take_sample(self, event: events.Sample) -> None:
        """Seal a sample: its request is answered whole, and no later one has the same label."""
        files, errors, whole = self._samples.pop(event.id, ({}, set(), False))
        if not whole:
            self._wrong(f"sample {event.label!r} was not answered whole")
            return
        # After a workload it is taken again until the ledger balances.
        before = SampleLabel(event.label) is SampleLabel.BEFORE
        if before and (self.saved.program or event.label in self.saved.samples):
            self._wrong("the sample before the workload is taken again")
            return
        if not before and self.saved.exit is None:
            self._wrong("the sample after the workload is taken before its end")
            return
        found = files if event.free is None else {**files, FREE: str(event.free)}
        self.saved.samples[event.label] = found
        self.saved.unread[event.label] = frozenset(errors)

    # -- QEMU's ------------------------------------------------------------------------------------

    def _take_qemus(self, event: QemuEvent) -> None:
        saved = self.saved
        if event.ev == "GUEST_PANICKED":
            saved.guest_end = "panic"
        elif event.ev == "SHUTDOWN" and event.facts.get("guest") is True:
            reset = event.facts.get("reason") == "guest-reset"
            saved.guest_end = saved.guest_end or ("reset" if reset else "poweroff")
