# SPDX-License-Identifier: GPL-2.0
"""The events of a transcript, one dataclass each, and the one decoder of its lines.

docs/protocol.md describes the agent's events, docs/run-folder.md the lab's. Decoding is total: any
bytes give an event or a Garbled, never an exception. The live conversation decodes the agent's
lines with the same classes as the reader of a saved transcript.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

LINE_BYTES = 4 << 20
"""The longest line of a transcript or the agent's: a file of 256 KB, each byte escaped, fits."""
SHOWN_BYTES = 200
"""How much of a line that makes no sense is shown."""

Int = Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Positive = Annotated[int, Field(gt=0, lt=1 << 31)]
Seconds = Annotated[float, Field(ge=0, le=1e9)]
Hex = Annotated[str, Field(pattern=r"\A0x[0-9a-f]{1,16}\z")]

_CONFIG = pydantic.ConfigDict(strict=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Garbled:
    """A line that is no event: its beginning, and what is wrong with it."""

    text: str
    why: str

    def __str__(self) -> str:
        return f"{self.why}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The keys that the lab writes into each line of a transcript.

    ``at`` is seconds of host time since the cell began, ``n`` the line's number from 0, None in
    evidence of before they were numbered. ``template`` marks a line that was said when the cell's
    template was made.
    """

    __pydantic_config__ = _CONFIG

    at: Seconds | None = None
    n: Count | None = None
    template: bool = False


# -- the agent's -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentEvent(Line):
    """An event of the agent's; ``t`` is the guest's CLOCK_MONOTONIC in seconds.

    ``speaker`` is empty on the agent's channel, where the lab has not written it yet.
    """

    t: Seconds
    speaker: Annotated[Literal["agent", ""], Field(alias="from")] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(AgentEvent):
    """The agent is up. Another version's agent may say less than this one's."""

    ev: Literal["ready"] = "ready"
    protocol: Int
    init: bool = False
    release: str = ""
    cpus: Int = 0
    nodes: tuple[Int, ...] = ()
    memory_kb: Int = 0
    probes: dict[str, bool] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat(AgentEvent):
    """A heartbeat while a workload runs."""

    ev: Literal["beat"] = "beat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(AgentEvent):
    """The agent's ``error``: a request that it did not understand or could not begin."""

    ev: Literal["error"] = "error"
    id: Count | None = None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(AgentEvent):
    """An event that belongs to the request with the number ``id``."""

    id: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong(Answer):
    """The answer to ``ping``."""

    ev: Literal["pong"] = "pong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked(Answer):
    """The answer to ``mark``."""

    ev: Literal["marked"] = "marked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrote(Answer):
    """The answer to ``write``; ``errno`` 0 if the file took the text."""

    ev: Literal["wrote"] = "wrote"
    errno: Int


@dataclass(frozen=True, slots=True, kw_only=True)
class Files(Answer):
    """A part of the answer to ``read``, ``hold`` or ``sample``: content, or errno, by path."""

    ev: Literal["files"] = "files"
    files: dict[str, str]
    errors: dict[str, Int]
    last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed(Answer):
    """The answer to ``rehearse``."""

    ev: Literal["rehearsed"] = "rehearsed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats(Answer):
    """The answer to ``stat``: the kind of each path, and the errno of those of kind ``error``."""

    ev: Literal["stats"] = "stats"
    stats: dict[str, str]
    errors: dict[str, Int] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swapped(Answer):
    """The answer to ``swap``; ``step`` is what failed with ``errno``, if that is not 0."""

    ev: Literal["swapped"] = "swapped"
    errno: Int
    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Khugepaged(Answer):
    """The answer to ``khugepaged``."""

    ev: Literal["khugepaged"] = "khugepaged"
    errno: Int
    scans: Int


@dataclass(frozen=True, slots=True, kw_only=True)
class Auditing(Answer):
    """The answer to ``audit``."""

    ev: Literal["auditing"] = "auditing"
    on: bool
    pfns: Int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained(Answer):
    """The answer to ``drain``; ``free`` and ``pcp`` are pages, to be believed if ``steady``."""

    ev: Literal["drained"] = "drained"
    errno: Int
    free: Count
    pcp: Count
    steady: bool
    polls: Int


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged(Answer):
    """The answer to ``stage``."""

    ev: Literal["staged"] = "staged"
    pid: Int


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaiting(Answer):
    """The answer to ``await``."""

    ev: Literal["awaiting"] = "awaiting"
    errno: Int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bye(Answer):
    """The answer to ``quit``."""

    ev: Literal["bye"] = "bye"


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Answer):
    """The agent's ``start``: the process ``pid`` is about to execute the workload."""

    ev: Literal["start"] = "start"
    pid: Int


@dataclass(frozen=True, slots=True, kw_only=True)
class Out(Answer):
    """A line of the workload's standard output."""

    ev: Literal["out"] = "out"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Err(Answer):
    """A line of the workload's standard error."""

    ev: Literal["err"] = "err"
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapper:
    """An entry that maps a page: whose, where, and its bits."""

    __pydantic_config__ = _CONFIG

    pid: Int
    addr: str
    entry: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPage:
    """A page of an audit that does not agree; ``mappers`` counts those beyond ``maps``, too."""

    __pydantic_config__ = _CONFIG

    kind: str
    pfn: str
    head: str
    counted: Int
    claimed: Int
    flags: Hex
    maps: tuple[Mapper, ...]
    mappers: Int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSums:
    """The sums of an audit against vmstat's counters, in pages."""

    __pydantic_config__ = _CONFIG

    anon: Int
    nr_anon_pages: Int
    file: Int
    nr_mapped: Int
    zsmalloc: Int = 0
    nr_zspages: Int = 0
    agree: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit(Answer):
    """A recount of the reverse map, at a mark of the workload or at its end (docs/audit.md)."""

    ev: Literal["audit"] = "audit"
    name: str
    error: str
    kinds: dict[str, Count]
    listed: tuple[ListedPage, ...]
    sums: AuditSums
    left_out: dict[str, Int]
    pages: Int


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood(Answer):
    """So many bytes of one stream of the workload's output were dropped."""

    ev: Literal["flood"] = "flood"
    stream: str
    dropped: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit(Answer):
    """The workload is over, its processes and its cgroup are gone; ``start_t``, ``end_t`` as t."""

    ev: Literal["exit"] = "exit"
    status: Int
    signal: Int
    timeout: bool
    left: Int
    rmdir: Int
    start_t: Seconds
    end_t: Seconds


# -- the lab's -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LabEvent(Line):
    """A line of the lab's."""

    speaker: Annotated[Literal["lab"], Field(alias="from")] = "lab"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellBegun(LabEvent):
    """The first line of a cell: its id."""

    ev: Literal["cell"] = "cell"
    cell: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuStarted(LabEvent):
    """The lab's ``start``: QEMU's command line."""

    ev: Literal["start"] = "start"
    argv: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseBegun(LabEvent):
    """A phase begins, and may take ``limit_s`` seconds of host time."""

    ev: Literal["phase"] = "phase"
    phase: str
    limit_s: Seconds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested(LabEvent):
    """A request that the agent was sent, or found in its file."""

    ev: Literal["request"] = "request"
    id: Count
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(LabEvent):
    """A setting's file as it was read back."""

    ev: Literal["setting"] = "setting"
    path: str
    wanted: str
    got: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditDue(LabEvent):
    """The lab's ``audit``: the agent was asked to audit the workload."""

    ev: Literal["audit"] = "audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(LabEvent):
    """The answer to request ``id`` is the sample ``label``; ``free`` pages, if at rest."""

    ev: Literal["sample"] = "sample"
    label: Literal["before", "after"]
    id: Count
    free: Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerDue(LabEvent):
    """The lab's ``ledger``: the terms of the cell's ledger, see ``collect.ledger``.

    ``bounds`` are the calibrated accounts', ``leaves`` maps accounts to the exact change, or None
    for any; ``error`` says why there are no bounds, if there should be. ``probes`` are what the
    agent said in its ``ready``, which a clone's transcript does not have.
    """

    ev: Literal["ledger"] = "ledger"
    bounds: dict[str, tuple[Int, Int]]
    error: str
    leaves: dict[str, Int | None]
    cpus: Count
    page_kb: Positive = 4  # earlier transcripts do not say it, and are of x86-64
    probes: dict[str, bool] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubtestsDue(LabEvent):
    """The lab's ``expected``: what a selftest of the kernel tree is to print."""

    ev: Literal["expected"] = "expected"
    version: str
    section: str
    names: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotBuilt(LabEvent):
    """The workload does not compile: what the compiler said."""

    ev: Literal["not-built"] = "not-built"
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramBegun(LabEvent):
    """The lab's ``program``: a host test begins, by these words; ``says`` is what it has to print.

    Its output is what the console's log has.
    """

    ev: Literal["program"] = "program"
    argv: tuple[str, ...]
    says: tuple[str, ...]
    limit_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramEnded(LabEvent):
    """The lab's ``program-end``: a host test is over, and every process of it.

    ``status`` is its exit status, 128 and the signal's number if one killed it. ``stopped`` is why
    the lab ended it, empty if it did not; ``timeout`` says that its time was up. ``short`` is what
    the host ran short of by no fault of the program.
    """

    ev: Literal["program-end"] = "program-end"
    status: Int
    stopped: str
    timeout: bool
    short: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped(LabEvent):
    """The workload cannot run on this kernel or guest, and why."""

    ev: Literal["skip"] = "skip"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn(LabEvent):
    """The cell's turn came after its guest had waited for it."""

    ev: Literal["turn"] = "turn"
    waited_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySaved(LabEvent):
    """The lab's ``memory``: the guest's memory was saved, which took ``seconds``."""

    ev: Literal["memory"] = "memory"
    why: str
    complaint: str = ""
    file: str = ""
    bytes: Count = 0
    memory_bytes: Count = 0
    seconds: Seconds = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNotSaved(LabEvent):
    """The guest's memory was to be saved and could not."""

    ev: Literal["memory-not-saved"] = "memory-not-saved"
    why: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryDropped(LabEvent):
    """The guest's memory was saved and is not kept."""

    ev: Literal["memory-dropped"] = "memory-dropped"
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted(LabEvent):
    """The lab was interrupted within the cell."""

    ev: Literal["interrupted"] = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class End(LabEvent):
    """How the cell's guest ended (``ends.EndCause``), and the witness's words."""

    ev: Literal["end"] = "end"
    how: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleKept(LabEvent):
    """The lab's ``console``: the log has ``bytes`` bytes."""

    ev: Literal["console"] = "console"
    bytes: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleCut(LabEvent):
    """So many bytes of the console were not kept."""

    ev: Literal["console-cut"] = "console-cut"
    dropped: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptCut(LabEvent):
    """So many bytes of the transcript were not kept."""

    ev: Literal["transcript-cut"] = "transcript-cut"
    dropped: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed(LabEvent):
    """The last line of a transcript: nothing is missing behind the one before."""

    ev: Literal["sealed"] = "sealed"


# -- QEMU's ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuEvent(Line):
    """An event of QMP's; ``ev`` is its name, ``facts`` its data."""

    speaker: Annotated[Literal["qemu"], Field(alias="from")] = "qemu"
    ev: str
    facts: dict[str, pydantic.JsonValue] = dataclasses.field(default_factory=dict)


Event = AgentEvent | LabEvent | QemuEvent

AGENT_EVENTS: tuple[type[AgentEvent], ...] = (
    Ready, Beat, Refusal, Pong, Marked, Wrote, Files, Rehearsed, Stats, Swapped, Khugepaged,
    Auditing, Drained, Staged, Awaiting, Bye, Started, Out, Err, Audit, Flood, Exit,
)  # fmt: skip
LAB_EVENTS: tuple[type[LabEvent], ...] = (
    CellBegun, QemuStarted, PhaseBegun, Requested, Setting, AuditDue, Sample, LedgerDue,
    SubtestsDue, NotBuilt, ProgramBegun, ProgramEnded, Skipped, Turn, MemorySaved, MemoryNotSaved,
    MemoryDropped, Interrupted, End, ConsoleKept, ConsoleCut, TranscriptCut, Sealed,
)  # fmt: skip


def name_of(kind: type[AgentEvent] | type[LabEvent]) -> str:
    """Return the name of an event's class in a line, its ``ev``."""
    return str(next(f.default for f in dataclasses.fields(kind) if f.name == "ev"))


_LAB_BY_NAME = {name_of(kind): kind for kind in LAB_EVENTS}


def lab_event(name: str, facts: dict[str, Any]) -> LabEvent:
    """Return the lab's event of that name. Raises TypeError or KeyError if it has other keys."""
    return _LAB_BY_NAME[name](**facts)


# -- decoding --------------------------------------------------------------------------------------


def _union(kinds: tuple[type[Any], ...]) -> Any:
    return Annotated[typing.Union[kinds], Field(discriminator="ev")]  # noqa: UP007


# Made at the first line: a command that reads none need not wait for them.
@functools.cache
def _agent() -> pydantic.TypeAdapter[AgentEvent]:
    return pydantic.TypeAdapter(_union(AGENT_EVENTS))


@functools.cache
def _whole() -> pydantic.TypeAdapter[Event]:
    speakers: Any = (_union(AGENT_EVENTS), _union(LAB_EVENTS), QemuEvent)
    either: Any = Annotated[typing.Union[speakers], Field(discriminator="speaker")]  # noqa: UP007
    return pydantic.TypeAdapter(either)


def decode(raw: bytes) -> Event | Garbled:
    """Return the event of a transcript's line, without its newline."""
    found = _decoded(_whole(), raw)
    if isinstance(found, Garbled):
        return found
    if found.at is None:
        return _garbled(raw, "it has no time")
    return found if found.speaker else _garbled(raw, "it has no speaker")


def decode_agent(raw: bytes) -> AgentEvent | Garbled:
    """Return the event of a line of the agent's channel, without its newline.

    The agent writes ASCII, and none of the keys that the lab writes into a transcript's lines.
    """
    if not raw.isascii():
        return _garbled(raw, "it has bytes that are no ASCII")
    found = _decoded(_agent(), raw)
    if isinstance(found, Garbled):
        return found
    if found.speaker or found.template or (found.at, found.n) != (None, None):
        return _garbled(raw, "it speaks for the lab")
    return found


E = typing.TypeVar("E", bound=Line)


def _decoded(adapter: pydantic.TypeAdapter[E], raw: bytes) -> E | Garbled:
    if len(raw) > LINE_BYTES:
        return _garbled(raw, f"it is longer than {LINE_BYTES} bytes")
    try:
        return adapter.validate_json(raw)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        # Without the names of classes, and without what the agent made up.
        where = ".".join(str(key) for key in first["loc"] if key in _KEYS)
        return _garbled(raw, f"{where}: {first['msg']}" if where else first["msg"])
    except (ValueError, RecursionError) as error:
        return _garbled(raw, f"{type(error).__name__}: {error}")


_KEYS = frozenset(
    key
    for kind in (*AGENT_EVENTS, *LAB_EVENTS, QemuEvent, ListedPage, Mapper, AuditSums)
    for key in (field.name for field in dataclasses.fields(kind))
)


def _garbled(raw: bytes, why: str) -> Garbled:
    text = raw[:SHOWN_BYTES].decode("ascii", "backslashreplace")
    return Garbled(_printable(text), _printable(why[:SHOWN_BYTES]))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
