# SPDX-License-Identifier: GPL-2.0
"""Reading agent.jsonl back: the transcript that a cell left, whole or cut."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rmaplab.model import FREE, ExpectedSubtests

Line = dict[str, Any]

_AUDIT = {
    "name": str, "error": str, "kinds": dict, "listed": list, "sums": dict, "left_out": dict,
    "pages": int,
}  # fmt: skip


_OF_TEMPLATE = '"template": true'
# Lines about a guest's memory, which are no part of the cell's time.
_MEMORY = "memory"
# testcases/lib/postmortem.c
_PAGES = re.compile(r"# rmaplab: pages (\d{1,9}) 0x([0-9a-f]{1,16}) (\d{1,9}) (.{1,64})")


@dataclass(frozen=True, slots=True)
class Pages:
    """Pages that a workload registered: ``count`` of them from ``address`` of process ``pid``."""

    pid: int
    address: int
    count: int
    name: str


def registered(line: str) -> Pages | None:
    """The pages that a line of a workload's output registers; None if it is about something else.

    As docs/protocol.md says.
    """
    match = _PAGES.fullmatch(line)
    if match is None:
        return None
    return Pages(int(match[1]), int(match[2], 16), int(match[3]), match[4])


@dataclass(frozen=True, slots=True)
class LedgerTerms:
    """What the lab wrote down for a cell's ledger: see ``collect.ledger``.

    ``leaves`` maps accounts to the exact change, or None for any; ``error`` says why there are no
    bounds, if there should be.
    """

    bounds: Mapping[str, tuple[int, int]]
    leaves: Mapping[str, int | None]
    cpus: int
    error: str


@dataclass(slots=True)
class Saved:
    """What a transcript says, sorted by what it is about.

    ``how`` is the lab's ``end`` line, empty if there is none: the lab was killed. ``exit`` is the
    agent's word on the workload, None if there was none. ``phase`` is the last one begun.
    ``garbled`` is the first line that makes no sense, empty if all do. ``console_dropped`` counts
    the bytes of console that were not kept; ``guest_end`` is QEMU's word that the guest panicked or
    ended itself, empty if it said none. ``audits`` are the agent's, ``audit_due`` says that it was
    asked for them; ``ledger`` is None if none was asked for, ``expected`` for a workload of the
    lab's own; ``not_built`` is what the compiler said of a program that is therefore not there.
    ``memory`` is what became of the guest's memory, None if nobody saved it; ``pages`` are those
    that the workload registered; ``held_s`` is how long the guest stood still for that, or waited
    for its turn, which is no part of ``duration_s``.
    """

    how: str = ""
    detail: str = ""
    phase: str = ""
    skip: str = ""
    exit: Line | None = None
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)
    floods: list[Line] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    samples: dict[str, Mapping[str, str]] = field(default_factory=dict)
    duration_s: float = 0.0
    test_s: float | None = None
    garbled: str = ""
    console_dropped: int = 0
    guest_end: str = ""
    audits: list[Line] = field(default_factory=list)
    audit_due: bool = False
    memory: Line | None = None
    held_s: float = 0.0
    pages: list[Pages] = field(default_factory=list)
    ledger: LedgerTerms | None = None
    expected: ExpectedSubtests | None = None
    not_built: str = ""


def first_sample(said: bytes) -> Mapping[str, str]:
    """The sample before a workload, in a transcript of a guest's settling; empty if there is none.

    The files by path, as in ``Saved.samples``.
    """
    return _read(_lines(said.decode("utf-8", "replace"))).samples.get("before", {})


def read(path: Path) -> Saved:
    """Read a transcript. A line that is cut or is no JSON ends it: what is before still counts."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return _read(_lines(text))


def _read(lines: Iterable[Line]) -> Saved:
    saved = Saved()
    labels: dict[int, str] = {}
    files: dict[int, dict[str, str]] = {}
    free: dict[int, int] = {}
    for line in lines:
        at = line.get("at")
        if isinstance(at, int | float) and not str(line.get("ev")).startswith(_MEMORY):
            saved.duration_s = float(at)
        try:
            match line.get("from"):
                case "lab":
                    _from_lab(saved, line, labels, free)
                case "agent":
                    _from_agent(saved, line, files)
                case "qemu":
                    _from_qemu(saved, line)
        except (TypeError, ValueError, AttributeError, KeyError):
            saved.garbled = saved.garbled or str(line)[:200]
    saved.duration_s = max(0.0, saved.duration_s - saved.held_s)
    for number, label in labels.items():
        if number in files:
            saved.samples[label] = files[number]
            if number in free:
                files[number][FREE] = str(free[number])
    return saved


def _lines(text: str) -> list[Line]:
    found: list[Line] = []
    for raw in text.splitlines():
        try:
            line = _template_line(raw) if _OF_TEMPLATE in raw else json.loads(raw)
        except ValueError:
            break
        if not isinstance(line, dict):
            break
        found.append(line)
    return found


@functools.lru_cache(maxsize=1024)
def _template_line(raw: str) -> object:
    """A line that every clone of a template has; nobody changes what it says."""
    return json.loads(raw)


def _from_lab(saved: Saved, line: Line, labels: dict[int, str], free: dict[int, int]) -> None:
    match line.get("ev"):
        case "end":
            saved.how, saved.detail = str(line["how"]), str(line["detail"])
        case "phase":
            saved.phase = str(line["phase"])
        case "skip":
            saved.skip = str(line["reason"])
        case "turn":
            saved.held_s += float(line["waited_s"])
        case "console-cut":
            saved.console_dropped = int(line["dropped"])
        case "setting":
            saved.settings[str(line["path"])] = str(line["got"])
        case "sample":
            number = int(line["id"])
            labels[number] = str(line["label"])
            if "free" in line:
                free[number] = int(line["free"])
        case "memory" | "memory-not-saved" | "memory-dropped" as event:
            saved.memory = None if event == "memory-dropped" else line
            saved.held_s += float(line.get("seconds", 0.0))
        case _:
            _due(saved, line)


def _due(saved: Saved, line: Line) -> None:
    """What a cell has to show besides its workload's results."""
    match line.get("ev"):
        case "expected":
            names = None if line["names"] is None else tuple(str(name) for name in line["names"])
            saved.expected = ExpectedSubtests(str(line["version"]), str(line["section"]), names)
        case "not-built":
            saved.not_built = str(line["error"])
        case "audit":
            saved.audit_due = True
        case "ledger":
            saved.ledger = _ledger(line)


def _ledger(line: Line) -> LedgerTerms:
    bounds = {str(name): (int(low), int(high)) for name, (low, high) in line["bounds"].items()}
    leaves = {str(k): None if v is None else int(v) for k, v in line["leaves"].items()}
    return LedgerTerms(bounds, leaves, int(line["cpus"]), str(line["error"]))


def _from_qemu(saved: Saved, line: Line) -> None:
    facts = line.get("facts", {})
    match line.get("ev"):
        case "GUEST_PANICKED":
            saved.guest_end = "panic"
        case "SHUTDOWN" if facts.get("guest"):
            reset = facts.get("reason") == "guest-reset"
            saved.guest_end = saved.guest_end or ("reset" if reset else "poweroff")


def _from_agent(saved: Saved, line: Line, files: dict[int, dict[str, str]]) -> None:
    match line.get("ev"):
        case "out":
            text = str(line.get("text", ""))
            if pages := registered(text):
                saved.pages.append(pages)
            else:
                saved.stdout.append(text)
        case "err":
            saved.stderr.append(str(line.get("text", "")))
        case "flood":
            saved.floods.append(line)
        case "audit":
            saved.audits.append(_checked_audit(line))
        case "exit":
            saved.exit = line
            if "start_t" in line and "end_t" in line:
                saved.test_s = float(line["end_t"]) - float(line["start_t"])
        case "files" if isinstance(line.get("id"), int):
            for path, text in line.get("files", {}).items():
                if not isinstance(text, str):
                    raise TypeError(f"{path} is no text")
                files.setdefault(line["id"], {})[path] = text


def _checked_audit(line: Line) -> Line:
    """An audit of the shape that ``collect.audit`` reads; TypeError or KeyError if it is not."""
    for key, kind in _AUDIT.items():
        if not isinstance(line[key], kind):
            raise TypeError(f"audit: {key}")
    int(line["sums"]["anon"]), bool(line["sums"]["agree"])
    for page in line["listed"]:
        int(page["flags"], 16), int(page["mappers"]), str(page["kind"])
        for at in page["maps"]:
            int(at["pid"]), str(at["addr"]), str(at["entry"])
    return line
