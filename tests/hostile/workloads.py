# SPDX-License-Identifier: GPL-2.0
"""Hostile workloads and guests, spoken by a scripted agent on the lab's real channels.

Each is a way to look like a pass, to end other cells, to take the host's memory, or to reach a
terminal or a report. A workload here has root in its guest and may own the agent's port.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rmaplab.model import Verdict
from tests.unit.builders import KTAP_FAIL, KTAP_PASS, TAINTED
from tests.unit.scripted_agent import (
    Act,
    Answer,
    Item,
    ScriptedGuest,
    audit_event,
    exit_event,
    plainly,
    run,
)

NASTY = "\x1b[2J\x1b]0;t\x07 \u202eevil\u202c </script><script>alert(1)</script> ]]> \0 &"
PASS, FAIL, ERROR, SKIP = Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.SKIP
_FLOOD = 20_000


@dataclass(frozen=True)
class HostileWorkload:
    """One attempt: how the guest of one cell behaves, and the verdicts that are right for it."""

    name: str
    verdicts: frozenset[Verdict]
    said: Sequence[str] = KTAP_PASS
    exit: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Answer] = field(default_factory=dict)
    console: bytes = b""
    ready: Mapping[str, Any] = field(default_factory=dict)


def _said(name: str, right: Verdict, *lines: str, **more: Any) -> HostileWorkload:
    return HostileWorkload(name, frozenset({right}), lines, **more)


def _spoken(name: str, *items: Item, right: Iterable[Verdict] = (ERROR,)) -> HostileWorkload:
    """Return an attempt that sends items over the agent's port amid a run."""
    return HostileWorkload(name, frozenset(right), answers={"run": amid(*items)})


def amid(*items: Item) -> Answer:
    """Return a run in which a workload sends items after its start."""

    def answer(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterator[Item]:
        first, *rest = run(guest, number, words)
        yield first
        yield from items
        yield from rest

    return answer


def _instead(step: str, *items: Item) -> Mapping[str, Answer]:
    return {step: lambda guest, number, words: list(items)}


def _shown(name: str, *parts: str | bytes) -> HostileWorkload:
    """Return an attempt that prints marks of the agent's, and bytes, amid its run.

    ``@`` in a mark is the cell's own program.
    """

    def answer(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterator[Item]:
        first, *rest = run(guest, number, words)
        yield first
        for part in parts:
            if isinstance(part, bytes):
                guest.print(part)
            else:
                guest.mark(part.replace("@", words[3]))
        yield from rest

    return HostileWorkload(name, frozenset({FAIL, ERROR}), answers={"run": answer})


VERSION = "KTAP version 1"
OUTPUT = (
    _said("a failure behind a pass", FAIL, VERSION, "1..1", "ok 1 a", VERSION, "1..1", "not ok 1 a",
          exit={"status": 1}),
    _said("a bail-out behind a pass", FAIL, *KTAP_PASS, "Bail out! no"),
    _said("a result twice", ERROR, VERSION, "1..1", "ok 1 a", "ok 1 a"),
    _said("two plans", ERROR, VERSION, "1..1", "1..2", "ok 1 a"),
    _said("no plan", ERROR, VERSION, "ok 1 a"),
    _said("no version", ERROR, "1..1", "ok 1 a"),
    _said("another version", ERROR, "KTAP version 99", "1..1", "ok 1 a"),
    _said("fewer results than planned", ERROR, VERSION, "1..3", "ok 1 a", "ok 2 b"),
    _said("more results than planned", ERROR, VERSION, "1..1", "ok 1 a", "ok 2 b"),
    _said("a plan of all integers", ERROR, VERSION, "1..99999999999999999999", "ok 1 a"),
    _said("a result without a number's end", ERROR, VERSION, "1..1", "ok 99999999999999999999 a"),
    _said("a failure that calls itself to do", FAIL, VERSION, "1..1", "not ok 1 a # TODO",
          exit={"status": 1}),
    _said("a skip of all behind a failure", FAIL, VERSION, "1..1", "not ok 1 a", "1..0 # SKIP no",
          exit={"status": 1}),
    _said("an end without results", ERROR, VERSION),
    _said("silence", ERROR),
    _said("a pass and status 1", FAIL, *KTAP_PASS, exit={"status": 1}),
    _said("a pass and a signal", FAIL, *KTAP_PASS, exit={"status": -1, "signal": 11}),
    _said("a pass at its limit", FAIL, *KTAP_PASS,
          exit={"status": -1, "signal": 9, "timeout": True}),
    _said("a pass and a process that stays", FAIL, *KTAP_PASS, exit={"left": 1}),
    _said("a pass and a cgroup that stays", FAIL, *KTAP_PASS, exit={"rmdir": 16}),
    _said("a pass among bytes for a terminal", PASS, VERSION, "1..1", f"# {NASTY}", "ok 1 a"),
    _said("a name for a terminal", PASS, VERSION, "1..1", f"ok 1 {NASTY}"),
    _said("a failure for a terminal", FAIL, VERSION, "1..1", f"# FAILED: {NASTY}",
          f"not ok 1 {NASTY}", exit={"status": 1}),
    _said("half a character", ERROR, VERSION, "1..1", "ok 1 \ud800"),
    _said("events in its output", PASS, '{"t":1,"ev":"exit","id":1,"status":0}', *KTAP_PASS),
    _said("many registered pages", PASS, *(f"# rmaplab: pages 1 0x{n:x} 9 x" for n in range(5000)),
          *KTAP_PASS),
    _said("instructions without end", PASS, *["# rmaplab: instructions 999999999999999999"] * 50,
          *KTAP_PASS),
    _said("20000 results", PASS, VERSION, f"1..{_FLOOD}",
          *(f"ok {n} x" for n in range(1, _FLOOD + 1))),
    _said("results in results, 500 deep", ERROR, VERSION, "1..1",
          *("    " * n + VERSION for n in range(1, 500))),
    _said("a failure within a result that passes", FAIL, VERSION, "1..1", "    KTAP version 1",
          "    1..1", "    not ok 1 inner", "ok 1 outer", exit={"status": 1}),
)  # fmt: skip
"""Words of a workload. Bytes for a terminal are its right, as long as they reach none."""

_FILES = {"ev": "files", "files": {TAINTED: "0\n"}, "errors": {}, "last": True}
PORT = (
    _spoken("no event", b"hello\n"),
    _spoken("zero bytes", b"\0" * 1000 + b"\n"),
    _spoken("a line of 5 MB", b"x" * 5_000_000 + b"\n"),
    _spoken("a line of 20 MB without an end", b'{"ev":"' + b"x" * 20_000_000),
    _spoken("a line 10000 levels deep", b'{"t":1,"ev":"beat","x":' + b"[" * 10_000 + b"\n"),
    _spoken("a number of 5000 digits", b'{"t":1,"ev":"beat","x":' + b"9" * 5000 + b"}\n",
            right=(ERROR, PASS)),
    _spoken("a time that is none", b'{"t":NaN,"ev":"beat"}\n'),
    _spoken("a time without end", b'{"t":1e999,"ev":"beat"}\n'),
    _spoken("a key twice", b'{"t":1,"ev":"beat","ev":"exit"}\n'),
    _spoken("an event of the lab's", b'{"from":"lab","ev":"end","how":"bye","detail":"","t":1}\n'),
    _spoken("a number of its own", b'{"t":1,"ev":"beat","n":3}\n'),
    _spoken("an event of another request", {"ev": "out", "id": 4000, "text": "ok 1 x"}),
    _spoken("an event of the request before", {"ev": "pong", "id": 1}),
    _spoken("an answer that nobody asked for", {"ev": "pong"}),
    _spoken("a second start", {"ev": "start", "pid": 1}),
    _spoken("a second ready", {"ev": "ready", "id": None, "protocol": 2}),
    _spoken("goodbye", {"ev": "bye"}),
    _spoken("an early exit", exit_event()),
    _spoken("an early exit and the answers behind it", audit_event(), exit_event(),
            right=(ERROR,)),
    _spoken("an exit of another cell", exit_event(id=77)),
    _spoken("an exit with a list as status", exit_event(status=[0])),
    _spoken("an exit before it began", exit_event(start_t=9.0, end_t=-1.0)),
    _spoken("a sample while it runs", {**_FILES, "id": 3}),
    _spoken("20000 heartbeats", *[{"ev": "beat", "id": None}] * _FLOOD, right=(PASS,)),
    _spoken("an audit with pages of text",
            audit_event(kinds={"count": 1}, listed=[{"kind": NASTY, "pfn": "0x1"}]),
            right=(ERROR, FAIL)),
    _spoken("a flood that lost less than nothing",
            {"ev": "flood", "stream": "out", "dropped": -5}),
    _spoken("a closed port", Act.CLOSE),
    HostileWorkload("a closed port after its exit", frozenset({ERROR}),
                    answers=_instead("sample", Act.CLOSE)),
    HostileWorkload("a port that is held after its exit", frozenset({ERROR, FAIL}),
                    answers=_instead("sample", Act.SILENCE)),
    HostileWorkload("a sample of other files", frozenset({PASS, ERROR}), answers=_instead(
        "sample", {**_FILES, "files": {TAINTED: "0\n", "/etc/passwd": NASTY}})),
    HostileWorkload("a sample without the taint", frozenset({ERROR}), answers=_instead(
        "sample", {**_FILES, "files": {}})),
    HostileWorkload("a taint that is no number", frozenset({ERROR, FAIL}), answers=_instead(
        "sample", {**_FILES, "files": {TAINTED: NASTY}})),
    HostileWorkload("a refusal for a terminal", frozenset({ERROR}), answers={
        "run": plainly("error", message=NASTY)}),
    HostileWorkload("a setting for a terminal", frozenset({ERROR}), answers={
        "read": lambda guest, number, words: [
            {**_FILES, "files": dict.fromkeys(words[1:], NASTY)}]}),
    HostileWorkload("a release for a terminal", frozenset({PASS, ERROR}),
                    ready={"release": NASTY}),
    HostileWorkload("another protocol", frozenset({ERROR}), ready={"protocol": 10**30}),
    HostileWorkload("nodes without end", frozenset({ERROR}), ready={"nodes": list(range(9999))}),
    HostileWorkload("a panic behind a pass", frozenset({FAIL}), answers=_instead(
        "sample", Act.PANIC)),
    HostileWorkload("a reset behind a pass", frozenset({FAIL, ERROR}), answers=_instead(
        "sample", Act.RESET)),
    HostileWorkload("QEMU gone behind a pass", frozenset({ERROR}), answers=_instead(
        "sample", Act.QEMU_EXIT)),
)  # fmt: skip
"""Words over the agent's port, by who took it."""

_SPLAT = b"[    2.5][   T77] BUG: Bad rss-counter state mm:00000000abcd type:MM_ANONPAGES val:1\n"
_TASK = b"[    2.600000][   T99] "
CONSOLE = (
    HostileWorkload("a splat in a test that passes", frozenset({FAIL}), console=_SPLAT),
    HostileWorkload("a splat behind a forged end", frozenset({FAIL, ERROR}),
                    console=_TASK + b"rmaplab: end /bin/exclusive/mapcount\n" + _SPLAT),
    HostileWorkload("a splat behind a forged boot", frozenset({FAIL, ERROR}),
                    console=_TASK + b"Linux version 6.12.0\n" + _SPLAT),
    HostileWorkload("a splat behind a line without an end", frozenset({FAIL, ERROR}),
                    console=b"x" * 300_000 + b"\n" + _SPLAT),
    HostileWorkload("a splat behind NULs", frozenset({FAIL, ERROR}),
                    console=b"\0" * 100_000 + b"\n" + _SPLAT),
    HostileWorkload("a splat behind escapes", frozenset({FAIL, ERROR}),
                    console=b"\x1b[8m\x1b[?25l\r\n" + _SPLAT),
    HostileWorkload("a splat for a terminal", frozenset({FAIL}), console=_SPLAT.replace(
        b"abcd", b"\x1b[2J\xe2\x80\xae</script><script>alert(1)</script>")),
    HostileWorkload("bytes for a terminal", frozenset({PASS}),
                    console=NASTY.encode("utf-8", "surrogatepass") + b"\n"),
    HostileWorkload("a panic in words alone", frozenset({FAIL, ERROR}),
                    console=_TASK + b"Kernel panic - not syncing: demo\n"),
    HostileWorkload("300 splats", frozenset({FAIL}), console=_SPLAT * 300),
    HostileWorkload("a splat and its end that is another's", frozenset({FAIL}),
                    console=_SPLAT + _TASK + b"---[ end trace 0000000000000000 ]---\n"),
    _shown("an end mark before its time", "end @", _SPLAT),
    _shown("marks of another program", "begin /bin/other", _SPLAT, "end /bin/other"),
    _shown("a begin mark again", _SPLAT, "begin @"),
)  # fmt: skip
"""Bytes on the console."""

FAMILIES = {"output": OUTPUT, "port": PORT, "console": CONSOLE}
HONEST = HostileWorkload("honest", frozenset({PASS}))
DISHONEST = HostileWorkload("dishonest", frozenset({FAIL}), KTAP_FAIL, {"status": 1})
