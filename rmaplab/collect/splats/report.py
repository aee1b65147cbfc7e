# SPDX-License-Identifier: GPL-2.0
"""One report: the bounded run of lines that belongs to one splat, and what it says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rmaplab.collect.splats.lines import Line
from rmaplab.collect.splats.machinery import is_entry, is_machinery, is_reporting, stall_handler
from rmaplab.collect.splats.rules import Rule, Where
from rmaplab.collect.splats.title import fill_title
from rmaplab.collect.splats.trace import (
    Frame,
    FrameKind,
    display_name,
    first_function,
    parse_frame,
    strip_clone,
)
from rmaplab.model import Splat

MAX_LINES = 400
"""Lines of one report that are kept."""
MAX_EXCERPT = 16_384
"""Characters of a splat's excerpt."""
MAX_FRAMES = 64
FINGERPRINT_FRAMES = 3

# Traces of another moment or another task than the one that the report is about.
_ASIDE = re.compile(
    r"(?:Allocated|Freed|allocated|freed) by|Uninit was|Last potentially|Last call_rcu|"
    r"page last |page_owner |-> #\d|state was registered at|the existing dependency|"
    r"kthread stack dump|Showing all locks|Local variable |Second to last|Disabled lock debugging|"
    r"INFO: (?:Allocated|Freed) in|hardirqs last|Mem-Info"
)
_MAIN = re.compile(
    r"Call [Tt]race:|Backtrace:|stack backtrace:|NMI backtrace for|backtrace(?: \(crc \w+\))?:"
)
_STICKY_ASIDE = re.compile(r"kthread stack dump|Showing all locks")
_END_STICKY = re.compile(r"NMI backtrace for|Task dump for CPU|Sending NMI")
_LOCK_AT = re.compile(r"\bat: (?:\[<[0-9a-f]+>\] )?(?P<fn>[A-Za-z_][\w.$]*)\+0x")
_LOCK_AT_ALONE = re.compile(r"^\[<[0-9a-f]+>\] (?P<fn>[A-Za-z_][\w.$]*)\+0x")
# lib/dump_stack.c:dump_stack_print_info, kernel/panic.c:print_tainted
_CPU_LINE = re.compile(
    r"CPU: \d+ (?:UID: \d+ )?PID: -?\d+ Comm: (?P<task>.{1,64}?) (?P<taint>Not tainted|Tainted: [A-Z ]+)"
)
_TASK = re.compile(r"(?:INFO: task |Process |task:)(?P<task>[^\s:(]{1,64})")
_COMPLAINED = frozenset("WDBLM")  # warned, died, bad page, soft lockup, machine check
_FATAL = re.compile(r"Kernel panic - not syncing|---\[ end Kernel panic|Rebooting in \d+ sec")
END_OF_REPORT = re.compile(r"---\[ end trace [0-9a-f]+ \]---|---\[ end Kernel panic")


@dataclass(slots=True)
class Report:
    """The lines of one splat, the headline first. ``before`` are lines that led up to it."""

    rule: Rule
    match: re.Match[str]
    lines: list[Line]
    quiet: int = 0
    ended: bool = False
    dropped: bool = False
    has_trace: bool = False
    fatal: bool = False
    frames: list[Frame] = field(default_factory=list)

    @property
    def context(self) -> str:
        """Who printed the headline."""
        return self.lines[0].context

    def add(self, line: Line) -> None:
        """Take one more line, if there is room."""
        if _FATAL.search(line.text):
            self.fatal = True
        if len(self.lines) < MAX_LINES:
            self.lines.append(line)
        else:
            self.dropped = True


@dataclass(frozen=True, slots=True)
class _Section:
    aside: bool
    frames: list[Frame]


def _sections(lines: Sequence[Line]) -> list[_Section]:
    sections = [_Section(False, [])]
    sticky = False
    for line in lines:
        frame = parse_frame(line.text)
        if frame is not None:
            if len(sections[-1].frames) < MAX_FRAMES * 2:
                sections[-1].frames.append(frame)
            continue
        if _STICKY_ASIDE.search(line.text):
            sticky = True
        elif _END_STICKY.search(line.text):
            sticky = False
        if _ASIDE.search(line.text):
            sections.append(_Section(True, []))
        elif _MAIN.search(line.text):
            sections.append(_Section(sticky, []))
    return sections


def _solid(frames: Sequence[Frame]) -> list[str]:
    return [frame.function for frame in frames if frame.kind is not FrameKind.GUESS]


def _traces(lines: Sequence[Line]) -> Iterator[list[str]]:
    """The functions of each trace of the report itself, innermost first."""
    # The registers come before the trace, so what the first section has goes with the second.
    pending: list[str] = []
    for section in _sections(lines):
        if section.aside:
            continue
        pending += _solid(section.frames)
        if len(pending) > 1:
            yield pending
            pending = []
    if pending:
        yield pending


def _pick(functions: Sequence[str]) -> str | None:
    for name in functions:
        if not is_machinery(name) and not is_entry(name):
            return name
    return None


def _lock_function(lines: Sequence[Line]) -> str | None:
    for line in lines[:40]:
        if match := _LOCK_AT.search(line.text) or _LOCK_AT_ALONE.search(line.text):
            return strip_clone(match["fn"])
    return None


def _find_function(report: Report, traces: Sequence[list[str]]) -> str | None:
    where = report.rule.where
    if where is Where.NOWHERE:
        return None
    if where is Where.STALL:
        return next(filter(None, map(stall_handler, traces)), None)
    first: list[str] = []
    if where is Where.HEADLINE and "fn" in report.match.re.groupindex:
        named = report.match["fn"]
        first = [strip_clone(named)] if named else []
    elif where is Where.LOCK:
        named = _lock_function(report.lines)
        first = [named] if named else []
    for functions in (first, *traces):
        if chosen := _pick(functions):
            return chosen
    for functions in (first, *traces):
        for name in functions:
            if not is_reporting(name):
                return name
    return None


def _clean_trace(traces: Sequence[list[str]]) -> tuple[str, ...]:
    for functions in traces:
        start = 0
        while start < len(functions) and is_reporting(functions[start]):
            start += 1
        kept: list[str] = []
        for name in functions[start:]:
            if not kept or kept[-1] != name:
                kept.append(name)
        if kept:
            return tuple(kept[:MAX_FRAMES])
    return ()


def fingerprint(kind: str, frames: Sequence[str], function: str | None, title: str) -> str:
    """Twelve hex digits that name the complaint, whatever the addresses and the configuration.

    Kind and the first frames below the reporting machinery; without a trace the title's function,
    without that the title.
    """
    below = [name for name in frames if not is_machinery(name) and not is_entry(name)]
    parts = below[:FINGERPRINT_FRAMES] or ([function] if function else [title])
    return hashlib.sha256("\n".join([kind, *parts]).encode()).hexdigest()[:12]


def _task_and_taint(lines: Sequence[Line]) -> tuple[str, bool]:
    for line in lines:
        if match := _CPU_LINE.search(line.text):
            letters = set(match["taint"].removeprefix("Tainted: "))
            tainted = match["taint"] != "Not tainted" and bool(letters & _COMPLAINED)
            return match["task"], tainted
    for line in lines:
        if match := _TASK.search(line.text):
            return match["task"], False
    return "", False


def _rip(lines: Sequence[Line]) -> str:
    for line in lines:
        frame = parse_frame(line.text)
        if frame is not None and frame.kind is FrameKind.POINTER:
            return frame.function
    return ""


def _excerpt(lines: Sequence[Line]) -> str:
    text = "\n".join(line.text for line in lines)
    return text if len(text) <= MAX_EXCERPT else text[:MAX_EXCERPT] + "\n[cut]"


def to_splat(report: Report) -> Splat:
    """What a finished report says."""
    lines = report.lines
    traces = list(_traces(lines))
    function = _find_function(report, traces)
    shown = display_name(function) if function else None
    frames = _clean_trace(traces)
    title = fill_title(report.rule, report.match, [line.text for line in lines], shown)
    needs = report.rule.where is not Where.NOWHERE
    task, tainted = _task_and_taint(lines)
    return Splat(
        kind=report.rule.kind,
        title=title,
        function=shown,
        corrupted=(needs and shown is None) or (report.rule.needs_trace and not frames),
        tainted=tainted,
        frames=frames,
        fingerprint=fingerprint(report.rule.kind, frames, shown, title),
        line=lines[0].number,
        excerpt=_excerpt(lines),
        task=task,
        rip=_rip(lines),
        fatal=report.fatal or report.rule.kind in {"panic", "double-fault", "boot-failure"},
    )
