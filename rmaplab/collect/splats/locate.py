# SPDX-License-Identifier: GPL-2.0
"""Which trace of a report is the one that matters, and which function of it is the title's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rmaplab.collect.splats.lines import Line
from rmaplab.collect.splats.machinery import (
    allocates,
    is_checker,
    is_entry,
    is_machinery,
    is_reporting,
    passed_over,
    stall_handler,
    works,
)
from rmaplab.collect.splats.rule import Rule, Where
from rmaplab.collect.splats.title import UNKNOWN
from rmaplab.collect.splats.trace import Frame, FrameKind, parse_frames, strip_clone

MAX_TRACE = 1000
"""Frames of one trace that are read; recursion prints thousands."""
LEAST_GUESSES = 3

# Traces of another moment or another task than the one that the report is about.
_ASIDE = re.compile(
    r"(?:Allocated|Freed|allocated|freed) by|Uninit was|Last potentially|Last call_rcu|"
    r"page last |page_owner |-> #\d|state was registered at|irq-unsafe at:|the existing dependency|"
    r"kthread stack dump|Showing all locks|Local variable |Second to last|Disabled lock debugging|"
    r"Last Breaking-Event-Address|"
    r"(?:Allocated|Freed) in \S+ age=|INFO: (?:Allocated|Freed) in|Mem-Info|Preemption disabled at"
)
_MAIN = re.compile(
    r"^CPU: \d+ |which became \S+-safe at:|Call [Tt]race:|Backtrace:|stack backtrace:|"
    r"NMI backtrace for|backtrace(?: \(crc \w+\))?:|"
    # kernel/kcsan/report.c:print_report, for each of the two accesses
    r"^(?:read|write|assert no \w+|race at)\b.{0,60} (?:to|of|at) 0x[0-9a-f]+ of \d+ bytes by "
)
_STICKY_ASIDE = re.compile(r"kthread stack dump|Showing all locks")
_END_STICKY = re.compile(r"NMI backtrace for|Task dump for CPU|Sending NMI")
_ANY_SECTION = re.compile(
    "|".join(one.pattern for one in (_ASIDE, _MAIN, _STICKY_ASIDE, _END_STICKY))
)
_LOCK_AT = re.compile(r"\bat: (?:\[<[0-9a-f]+>\] )?(?P<fn>[A-Za-z_][\w.$]*)\+0x")
# lib/smp_processor_id.c:check_preemption_disabled; kernel/workqueue.c:process_one_work, which
# said "last function:" before 6.7
_NAMED = re.compile(
    r"(?:^caller is |^\s+last function: |^\s+preempt=.{1,64} workfn=)(?P<fn>[A-Za-z_][\w.$]*)"
)
_LOCK_AT_ALONE = re.compile(r"^\[<[0-9a-f]+>\] (?P<fn>[A-Za-z_][\w.$]*)\+0x")
# drivers/usb/core/urb.c warns in here about what any driver handed it: name both.
_SHARED_CHECKS = frozenset({"usb_submit_urb"})


_REGISTERS = frozenset({FrameKind.POINTER, FrameKind.INLINE})


@dataclass(frozen=True, slots=True)
class _Section:
    aside: bool
    frames: list[Frame]


def _sections(lines: Sequence[Line]) -> list[_Section]:
    sections = [_Section(False, [])]
    sticky = False
    for line in lines:
        frames = parse_frames(line.text)
        if frames:
            if len(sections[-1].frames) < MAX_TRACE:
                sections[-1].frames.extend(frames)
            continue
        if _ANY_SECTION.search(line.text) is None:
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


def _solid(frames: Sequence[Frame], inline: bool) -> list[str]:
    left_out = {FrameKind.GUESS} if inline else {FrameKind.GUESS, FrameKind.INLINE}
    names = [frame.function for frame in frames if frame.kind not in left_out]
    return [name for name, before in zip(names, ["", *names], strict=False) if name != before]


def _guesses(frames: Sequence[Frame]) -> list[str]:
    """Return the functions of a trace of guesses alone; none of any other, or of a short one."""
    if len(frames) < LEAST_GUESSES or any(one.kind is not FrameKind.GUESS for one in frames):
        return []
    return [frame.function for frame in frames]


def traces_of(lines: Sequence[Line]) -> tuple[list[list[str]], list[list[str]]]:
    """Return the functions of each trace of the report itself, innermost first.

    Traces of another moment (who allocated, who freed) and of other tasks are left out, and so
    are guesses, if anything else is known. The second result is without the functions that only
    debug information knows.
    """
    # The registers come before the trace, so what the first section has goes with the second. A
    # lone function that is none, such as lockdep's "at: [<...>] foo", is a trace for want of one.
    sections = [section for section in _sections(lines) if not section.aside]
    # Kernels of before 4.11 print addresses; without frame pointers they know no frame for sure.
    old = any("[<" in line.text for line in lines)
    whole = list(_traces(sections, old=old, inline=True))
    if not any(frame.kind is FrameKind.INLINE for one in sections for frame in one.frames):
        return whole, whole
    return whole, list(_traces(sections, old=old, inline=False))


def _traces(sections: Sequence[_Section], *, old: bool, inline: bool) -> Iterator[list[str]]:
    pending: list[str] = []
    alone: list[str] = []
    found = False
    for section in sections:
        names = _solid(section.frames, inline) or (_guesses(section.frames) if old else [])
        kinds = {frame.kind for frame in section.frames}
        if len(names) == 1 and FrameKind.POINTER not in kinds:
            alone = alone or names
            continue
        pending += names
        if len(pending) > 1 and not kinds <= _REGISTERS:
            yield pending
            pending, found = [], True
    if pending or (alone and not found):
        yield pending or alone


def _plain(name: str, passed: frozenset[str] | None = None) -> bool:
    return not is_machinery(name, passed) and not is_entry(name)


def _choices(passed: frozenset[str], leak: bool) -> Iterator[Callable[[str], bool]]:
    """Yield what a title's function has to be, from the best to what is better than none."""
    if leak:
        yield lambda name: not allocates(name)
    yield lambda name: _plain(name, passed)
    yield lambda name: not is_machinery(name, passed)
    yield lambda name: not is_machinery(name)
    yield lambda name: not is_reporting(name)


def _pick(candidates: Sequence[Sequence[str]], passed: frozenset[str], leak: bool) -> str | None:
    for wanted in _choices(passed, leak):
        for functions in candidates:
            for name in functions:
                if wanted(name):
                    return name
    return None


def _lock_function(lines: Sequence[Line]) -> str | None:
    for line in lines[:40]:
        if match := _LOCK_AT.search(line.text) or _LOCK_AT_ALONE.search(line.text):
            return strip_clone(match["fn"])
    return None


def _with_caller(function: str | None, traces: Sequence[list[str]]) -> str:
    for functions in _outwards(function or "", traces):
        if caller := next((name for name in functions if name != function and _plain(name)), None):
            return f"{caller}/{function}"
    return f"{UNKNOWN}/{function}"


def _named_function(lines: Sequence[Line]) -> str | None:
    for line in lines[1:12]:
        if match := _NAMED.search(line.text):
            return match["fn"]
    return None


def _outwards(function: str, traces: Sequence[list[str]]) -> list[list[str]]:
    """Return the traces from a function outwards; all of them where it is in none.

    What a trace has further in is the machinery that reported, or another CPU's trace that got
    between the headline and its own.
    """
    for number, functions in enumerate(traces):
        if function in functions:
            start = functions.index(function)
            return [functions[start:], *traces[number + 1 :]]
    return list(traces)


def _first_named(rule: Rule, match: re.Match[str], lines: Sequence[Line]) -> str | None:
    """Return the function that the text itself names, before any trace."""
    named: str | None = None
    if rule.where is Where.HEADLINE and "fn" in match.re.groupindex:
        named = match["fn"]
    elif rule.where is Where.LOCK:
        named = _lock_function(lines)
    elif rule.where is Where.NAMED:
        named = _named_function(lines)
    return strip_clone(named) if named else None


def instruction_pointer(lines: Sequence[Line]) -> str:
    """Return the function that the registers of a report were in; empty without any."""
    for line in lines:
        for frame in parse_frames(line.text):
            if frame.kind is FrameKind.POINTER:
                return frame.function
    return ""


def find_function(
    rule: Rule, match: re.Match[str], lines: Sequence[Line], traces: Sequence[list[str]]
) -> str | None:
    """Return the function for the title: the one that misbehaved, not the one that noticed."""
    if rule.where is Where.NOWHERE:
        return None
    if rule.where is Where.STALL:
        return next(filter(None, map(stall_handler, traces)), None)
    named = _first_named(rule, match, lines)
    if named is not None and rule.where is Where.NAMED and not is_checker(named):
        return named
    if named is not None and rule.where is Where.HEADLINE:
        traces = _outwards(named, traces)
    # Where the kernel itself says that the fault is, nothing reports yet.
    at_fault = named or instruction_pointer(lines)
    if at_fault and works(at_fault) and rule.where is not Where.NAMED:
        return at_fault
    candidates = [[named], *traces] if named else traces
    passed = passed_over(rule.kind, keyless=rule.where is not Where.LOCK)
    chosen = _pick(candidates, passed, rule.kind == "memory-leak")
    return _with_caller(chosen, traces) if chosen in _SHARED_CHECKS else chosen
