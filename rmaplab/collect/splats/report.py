# SPDX-License-Identifier: GPL-2.0
"""One report: the bounded run of lines that belongs to one splat, and what it says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rmaplab.collect.splats.lines import Line
from rmaplab.collect.splats.locate import find_function, instruction_pointer, traces_of
from rmaplab.collect.splats.machinery import is_checker, is_entry, is_machinery, is_reporting
from rmaplab.collect.splats.places import sources_in
from rmaplab.collect.splats.rule import Rule, Where
from rmaplab.collect.splats.severity import severity_of
from rmaplab.collect.splats.title import fill_title
from rmaplab.collect.splats.trace import display_name, parse_frames
from rmaplab.model import Severity, Splat

MAX_LINES = 1500
MAX_CHARS = 262_144
"""Lines and characters of one report that are kept."""
MAX_LEAD = 48
"""Lines between a prelude and the headline that it leads to."""
MAX_RESTATED = 12
"""Lines within which a headline is said again, or leads to a more telling one."""
MAX_EXCERPT = 16_384
EXCERPT_TAIL = 16
"""Characters of a splat's excerpt, and its lines after the last one of a trace."""
MAX_FRAMES = 64
"""Frames of a splat."""
FINGERPRINT_FRAMES = 3
MAX_KNOWN = 64
MAX_KNOWN_CHARS = 16_384
"""Reports that are remembered with their splats, and characters of each."""

INLINED = "[inline]"

# lib/dump_stack.c:dump_stack_print_info, kernel/panic.c:print_tainted; "Pid:" before 3.10
_CPU_LINE = re.compile(
    r"(?:CPU: \d+ (?:UID: \d+ )?PID: -?\d+ Comm: |Pid: -?\d+, comm: {1,16})(?P<task>.{1,64}?) "
    r"(?:Kdump: loaded )?(?P<taint>Not tainted|Tainted: [A-Z ]+)"
)
_TASK = re.compile(
    r"INFO: task (?P<hung>.{1,64}?):\d+ (?:blocked|can't|is blocked)|"
    r"(?:Process |task:|\bComm:|^(?:kmemleak: )?  comm \")(?P<task>[^\s(\"]{1,64}?)(?=[\s(\"]|$)"
)
# mm/slub.c:slab_bug says so in its headline; what it sets itself is in its trace's CPU line.
_HEADLINE_TAINT = re.compile(r"\bBUG [\w.:-]{1,64} ?\((?P<taint>Not tainted|Tainted: [A-Z ]+)")
_known: dict[tuple[object, ...], Splat] = {}
_DEADLY = frozenset({"panic", "double-fault", "boot-failure"})
_COMPLAINED = frozenset("WDBLM")  # warned, died, bad page, soft lockup, machine check
# kernel/panic.c:check_panic_on_warn, kernel/hung_task.c, kernel/watchdog.c, kernel/rcu, mm/kasan
_OWN_PANIC = re.compile(r"panic_on_|Fatal |hung_task|softlockup|lockup|RCU Stall|oom")
_FATAL = re.compile(r"Kernel panic - not syncing|---\[ end Kernel panic|Rebooting in \d+ sec")
# lib/hexdump.c:print_hex_dump
_HEX_DUMP = re.compile(r": (?:[0-9a-f]{2} ){8}|: (?:[0-9a-f]{8} ){4}|: (?:[0-9a-f]{16} ){2}")
_SYMBOLISED = re.compile(r"^\s*(?:\? )?[A-Za-z_][\w.$]*(?:\+0x\S+)? \(?[\w./+~-]+:\d+", re.M)
END_OF_REPORT = re.compile(r"---\[ end trace [0-9a-f]+ \]---|---\[ end Kernel panic")


@dataclass(slots=True)
class Report:
    """The lines of one splat, the headline first; ``owner`` is who owned the console then.

    ``boot`` is the boot of the log that it belongs to; ``again`` says that the log had printed the
    headline before. ``quiet`` counts the lines since the last one of a trace, ``ended`` says that
    the kernel said that it was done, ``dropped`` that there was no more room. ``last`` is
    the number of its last line.
    """

    rule: Rule
    match: re.Match[str]
    lines: list[Line]
    owner: str = ""
    boot: int = 1
    again: bool = False
    quiet: int = 0
    ended: bool = False
    dropped: bool = False
    has_trace: bool = False
    fatal: bool = False
    size: int = 0
    last: int = 0

    def __post_init__(self) -> None:
        self.last = self.lines[0].number

    @property
    def context(self) -> str:
        """Who printed the headline."""
        return self.lines[0].context

    @property
    def harmless(self) -> bool:
        """True if one of the lines says that this is no complaint."""
        sign = self.rule.harmless
        return sign is not None and any(sign.search(line.text) for line in self.lines)

    def takes(self, rule: Rule) -> bool:
        """Tell if a headline of this rule is a part of this report."""
        if self.ended:
            return False
        if rule.kind in self.rule.absorbs and (self.has_trace or self._may_absorb):
            return True
        if self.rule.kind in rule.within and not self.rule.prelude:
            return True
        own = self.rule.needs_trace or self.rule.prelude or bool(self.rule.absorbs)
        return rule.prelude and own and self.quiet <= MAX_LEAD

    @property
    def _may_absorb(self) -> bool:
        return self.rule.needs_trace or self.quiet <= MAX_LEAD

    def leads_to(self, rule: Rule) -> bool:
        """Tell if a headline of this rule, in the same context, takes this report's place."""
        if self.rule.prelude:
            return not rule.prelude and self.quiet <= MAX_LEAD
        return rule.kind in self.rule.leads and self.quiet <= MAX_RESTATED

    def led_to_panic(self, text: str) -> bool:
        """Tell if a panic, in the same context, comes of this report's complaint.

        Once the kernel has said that a report is over, only an oops can lead to any panic.
        """
        if self.rule.prelude:
            return False
        fatal = severity_of(self.rule.kind) is Severity.FATAL
        return fatal or not self.ended or _OWN_PANIC.search(text) is not None

    def restated_by(self, rule: Rule, match: re.Match[str]) -> bool:
        """Tell if a headline says this report's again; if so, take the function that it names.

        Tools that add source lines print a headline for each function that was inlined, the
        function itself last.
        """
        if rule.kind != self.rule.kind or self.has_trace or self.ended:
            return False
        if INLINED not in self.lines[-1].text or len(self.lines) > MAX_RESTATED:
            return False
        self.rule, self.match = rule, match
        return True

    def add(self, line: Line) -> None:
        """Take one more line, if there is room."""
        self.last = line.number
        if _FATAL.search(line.text):
            self.fatal = True
        if self.ended:
            self.quiet += 1
            return
        # An object that was overwritten is dumped, however large it is.
        self.quiet += not _HEX_DUMP.search(line.text)
        if parse_frames(line.text):
            self.quiet, self.has_trace = 0, True
        if END_OF_REPORT.search(line.text):
            self.quiet, self.ended = 0, True
        self.size += len(line.text)
        if len(self.lines) < MAX_LINES and self.size < MAX_CHARS:
            self.lines.append(line)
        else:
            self.dropped = True


def _reports(function: str) -> bool:
    return is_reporting(function) or is_checker(function)


def _clean_trace(traces: Sequence[list[str]]) -> tuple[str, ...]:
    for functions in traces:
        start = 0
        while start < len(functions) and _reports(functions[start]):
            start += 1
        kept: list[str] = []
        for name in functions[start:]:
            if not kept or kept[-1] != name:
                kept.append(name)
        if kept:
            return tuple(kept[:MAX_FRAMES])
    return ()


def fingerprint(kind: str, frames: Sequence[str], function: str | None, title: str) -> str:
    """Return twelve hex digits that name the complaint, without addresses and configuration.

    Kind and the first frames below the reporting machinery; without a trace the title's function,
    without that the title.
    """
    below = [name for name in frames if not is_machinery(name) and not is_entry(name)]
    parts = below[:FINGERPRINT_FRAMES] or ([function] if function else [title])
    return hashlib.sha256("\n".join([kind, *parts]).encode()).hexdigest()[:12]


def _has_complained(taint: str) -> bool:
    letters = set(taint.removeprefix("Tainted: "))
    return taint != "Not tainted" and bool(letters & _COMPLAINED)


def _task_and_taint(lines: Sequence[Line]) -> tuple[str, bool]:
    headline = _HEADLINE_TAINT.search(lines[0].text)
    hung = _TASK.search(lines[0].text)
    for line in lines:
        if "omm" in line.text and (match := _CPU_LINE.search(line.text)):
            task = hung["hung"] if hung and hung["hung"] else match["task"]
            return task, _has_complained((headline or match)["taint"])
    tainted = headline is not None and _has_complained(headline["taint"])
    for line in lines:
        if match := _TASK.search(line.text):
            return match["hung"] or match["task"], tainted
    return "", tainted


def _excerpt(report: Report) -> str:
    """Return the report's text, without most of the chatter that came behind its last frame."""
    chatter = 0 if report.ended else max(report.quiet - EXCERPT_TAIL, 0)
    text = "\n".join(line.text for line in report.lines[: len(report.lines) - chatter])
    return text if len(text) <= MAX_EXCERPT else text[:MAX_EXCERPT] + "\n[cut]"


def to_splat(report: Report) -> Splat:
    """Return the splat of a finished report."""
    if report.size > MAX_KNOWN_CHARS:
        return _read(report)
    # A kernel that complains in a loop says the same, but for the time stamps.
    texts = tuple(line.text for line in report.lines)
    own = tuple(line.context == report.context for line in report.lines)
    key = (id(report.rule), texts, own, report.quiet, report.ended)
    splat = _known.get(key)
    if splat is None:
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        splat = _known[key] = _read(report)
    return replace(
        splat,
        line=report.lines[0].number,
        owner=report.owner,
        boot=report.boot,
        fatal=report.fatal or splat.kind in _DEADLY,
    )


def _read(report: Report) -> Splat:
    lines = report.lines
    # Where CPUs print at once, what the headline's own context said comes first.
    own = [line for line in lines if line.context == report.context]
    traces, outlined = traces_of(own)
    # Functions that are inlined are known from debug information alone: a title names none of them
    # if it can, so that a symbolised log and the raw one have the same.
    function = find_function(report.rule, report.match, lines, outlined) or find_function(
        report.rule, report.match, lines, traces
    )
    if function is None and len(own) < len(lines):
        traces, outlined = traces_of(lines)
        function = find_function(report.rule, report.match, lines, traces)
    shown = display_name(function) if function else None
    frames = _clean_trace(traces)
    # Which frames are inlined is up to compiler and configuration.
    built = _clean_trace(outlined)
    title = fill_title(report.rule, report.match, [line.text for line in lines], shown)
    needs = report.rule.where is not Where.NOWHERE
    # A trace does not bring a headline back.
    lost = report.rule.prelude and report.rule.needs_trace
    task, tainted = _task_and_taint(lines)
    excerpt = _excerpt(report)
    return Splat(
        kind=report.rule.kind,
        title=title,
        function=shown,
        corrupted=lost or (needs and shown is None) or (report.rule.needs_trace and not frames),
        tainted=tainted,
        frames=frames,
        fingerprint=fingerprint(report.rule.kind, built, shown, title),
        line=lines[0].number,
        excerpt=excerpt,
        sources=sources_in(excerpt) if _SYMBOLISED.search(excerpt) else (),
        task=task,
        rip=instruction_pointer(lines),
        fatal=report.fatal or report.rule.kind in _DEADLY,
        severity=severity_of(report.rule.kind),
        owner=report.owner,
        boot=report.boot,
    )
