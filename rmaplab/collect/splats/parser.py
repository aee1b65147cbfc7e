# SPDX-License-Identifier: GPL-2.0
"""The streaming parser: console bytes in, splats out."""

from __future__ import annotations

import bisect
import re
from dataclasses import replace

from rmaplab.collect.splats.lines import STAMPED, UNSTAMPED, Line, logical_lines
from rmaplab.collect.splats.owner import MARK, Owner
from rmaplab.collect.splats.report import Report, to_splat
from rmaplab.collect.splats.rule import Rule
from rmaplab.collect.splats.rules import CONSOLE_CUT, SIGNS, match_rule
from rmaplab.model import Splat

MAX_SPLATS = 64
"""Splats of one console that are kept; beyond them only whether the kernel died is looked for."""
MAX_OPEN = 8
MAX_PENDING = 16_384
WINDOW = 65_536
MAX_QUIET = 48
MAX_QUIET_EARLY = 160
"""So many lines that look like nothing of a report end it; more before its trace has begun."""

BOOT_LINES = 64
"""The decompressor and the kernel announce one boot within so many lines."""

_PANIC = b"Kernel panic - not syncing"
_ALL_CONTEXTS = frozenset({"rcu-stall", "soft-lockup", "hard-lockup"})
_STAMP = re.compile(rb"\[ {0,6}\d{1,9}\.\d{6}\]")


# Ordinary chatter has no sign, and saying so is what makes the parser fast. For a capital letter
# one regular expression is quickest, because capitals are rare; for the others a plain search is.
_SIGNS = sorted([MARK, *(sign.encode() for sign in SIGNS)])
_LAST_SIGN = re.compile(b"|".join(map(re.escape, (_PANIC, MARK))))
"""What still counts once there is no room for more splats."""
_CAPITAL_SIGN = re.compile(b"|".join(re.escape(sign) for sign in _SIGNS if sign[:1].isupper()))
_OTHER_SIGNS = tuple(sign for sign in _SIGNS if not sign[:1].isupper())


def has_sign(window: bytes) -> bool:
    """Whether any line could be a headline, or a mark of the agent's."""
    return any(sign in window for sign in _OTHER_SIGNS) or bool(_CAPITAL_SIGN.search(window))


def signs(window: bytes) -> list[int]:
    """Where a line could be a headline, or a mark of the agent's, in order."""
    found = [match.start() for match in _CAPITAL_SIGN.finditer(window)]
    for sign in _OTHER_SIGNS:
        at = window.find(sign)
        while at >= 0:
            found.append(at)
            at = window.find(sign, at + len(sign))
    found.sort()
    return found


def is_fatal_line(line: bytes) -> bool:
    """Whether a console line says that the kernel is dead; cheap enough for each line."""
    return _PANIC in line or b"---[ end Kernel panic" in line or b"-- System halted" in line


class SplatParser:
    """Finds the kernel's complaints in a console that comes in pieces.

    Feed it bytes as they arrive, cut anywhere. Memory stays constant whatever the input: at most
    ``MAX_SPLATS`` splats with bounded excerpts are kept (past that, only a panic still is), a line
    is looked at up to a bounded length, and a report takes a bounded number of lines. Time is
    linear in the input. It never raises, whatever the bytes.
    """

    def __init__(self) -> None:
        self._pending = b""
        self._number = 1
        self._open: dict[str, Report] = {}
        self._splats: list[Splat] = []
        self._first_stamp = 0
        self._boot_line = 0
        self._panicked = False
        self._cut: Splat | None = None
        self._owner = Owner()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the console."""
        end = chunk.rfind(b"\n") + 1
        if not end and len(self._pending) + len(chunk) > MAX_PENDING:
            end = len(chunk)
        if end:
            self._scan(self._pending + chunk[:end])
            self._pending = chunk[end:]
        else:
            self._pending += chunk

    @property
    def within_test(self) -> bool:
        """Whether the agent has begun a test and not ended it, as far as the console says."""
        return self._owner.within_test

    def finish(self) -> tuple[Splat, ...]:
        """Take the end of the console; the splats in the order of their headlines.

        That messages are missing comes last, because it is nothing's cause.
        """
        self._scan(self._pending)
        self._pending = b""
        for context in list(self._open):
            self._close(context)
        ordered = sorted(self._splats, key=lambda splat: splat.line)
        ordered += [self._cut] if self._cut else []
        cause = next((i for i, splat in enumerate(ordered) if not splat.tainted), 0)
        marked = self._owner.seen
        return tuple(
            replace(splat, following=i != cause, owner=splat.owner if marked else "")
            for i, splat in enumerate(ordered)
        )

    # -- lines ---------------------------------------------------------------------------------

    def _scan(self, data: bytes) -> None:
        """Take whole lines, a window at a time; a line longer than a window is cut."""
        position = 0
        while position < len(data):
            end = position + WINDOW
            if end < len(data):
                end = data.rfind(b"\n", position, end) + 1 or end
            self._window(data[position:end])
            position = end

    def _window(self, window: bytes) -> None:
        """Look at each line while a report is open, else only at those with a sign."""
        full = len(self._splats) >= MAX_SPLATS
        found = [m.start() for m in _LAST_SIGN.finditer(window)] if full else signs(window)
        position = 0
        while position < len(window):
            if not self._open:
                index = bisect.bisect_left(found, position)
                if index == len(found):
                    self._note_stamp(window, position, len(window))
                    self._number += window.count(b"\n", position)
                    return
                start = window.rfind(b"\n", position, found[index]) + 1 or position
                self._note_stamp(window, position, start)
                self._number += window.count(b"\n", position, start)
                position = start
            end = window.find(b"\n", position)
            end, ends_line = (end, 1) if end >= 0 else (len(window), 0)
            for line in logical_lines(window[position:end], self._number):
                self._line(line)
            self._number += ends_line
            position = end + 1

    def _note_stamp(self, window: bytes, start: int, end: int) -> None:
        """Note the line of the first time stamp, if it is in this stretch of whole lines."""
        if not self._first_stamp and (stamp := _STAMP.search(window, start, end)):
            self._first_stamp = self._number + window.count(b"\n", start, stamp.start())

    def _line(self, line: Line) -> None:
        if line.context != UNSTAMPED:
            self._first_stamp = self._first_stamp or line.number
        if self._owner.take(line):
            return
        found = match_rule(line.text)
        if found is not None and found[0].kind == CONSOLE_CUT:
            self._cut = self._cut or to_splat(self._report(found, line))
            return
        if found is not None and not self._absorbed(found[0], line):
            kept = len(self._splats) + len(self._open)
            if kept < MAX_SPLATS or found[0].kind == "panic":
                self._start(self._report(found, line))
            else:
                self._close(line.context)  # its own report is over, kept or not
            return
        for context, report in list(self._open.items()):
            if self._belongs(report, line):
                self._extend(context, report, line)

    def _report(self, found: tuple[Rule, re.Match[str]], line: Line) -> Report:
        return Report(found[0], found[1], [line], owner=self._owner.name)

    @staticmethod
    def _belongs(report: Report, line: Line) -> bool:
        if report.rule.kind in _ALL_CONTEXTS or report.context == line.context:
            return True
        return report.context == STAMPED and not line.context

    def _extend(self, context: str, report: Report, line: Line) -> None:
        report.add(line)
        patience = MAX_QUIET if report.has_trace else MAX_QUIET_EARLY
        if report.quiet > patience or report.dropped:
            self._close(context)

    # -- reports -------------------------------------------------------------------------------

    def _absorbed(self, rule: Rule, line: Line) -> bool:
        """Whether a headline belongs to a report that is already open, or is no complaint."""
        if rule.kind == "unexpected-reboot" and not self._rebooted(line):
            return True
        report = self._open.get(line.context)
        if rule.kind == "panic":
            return self._panic(None if report is not None and report.leads_to(rule) else report)
        return report is not None and report.takes(rule)

    def _rebooted(self, line: Line) -> bool:
        same_boot = self._boot_line > 0 and line.number - self._boot_line < BOOT_LINES
        before = self._boot_line > 0 or 0 < self._first_stamp < line.number
        self._boot_line = line.number
        return before and not same_boot

    def _panic(self, report: Report | None) -> bool:
        if report is not None:
            report.fatal = True
            return True
        again, self._panicked = self._panicked, True
        return again

    def _start(self, report: Report) -> None:
        # A headline without a time stamp may be any task's.
        before = (STAMPED, UNSTAMPED) if report.context == UNSTAMPED else (report.context,)
        for context in before:
            if context in self._open and self._open[context].leads_to(report.rule):
                del self._open[context]
        self._close(report.context)
        if len(self._open) >= MAX_OPEN:
            self._close(next(iter(self._open)))
        self._open[report.context] = report

    def _close(self, context: str) -> None:
        report = self._open.pop(context, None)
        if report is not None and not report.harmless:
            self._splats.append(to_splat(report))


def parse_console(data: bytes) -> tuple[Splat, ...]:
    """The splats of a whole console."""
    parser = SplatParser()
    parser.feed(data)
    return parser.finish()
