# SPDX-License-Identifier: GPL-2.0
"""The streaming parser: console bytes in, splats out."""

from __future__ import annotations

import re
from dataclasses import replace

from rmaplab.collect.splats.lines import STAMPED, Line, logical_lines
from rmaplab.collect.splats.report import END_OF_REPORT, Report, to_splat
from rmaplab.collect.splats.rules import RULES, Rule, match_rule
from rmaplab.collect.splats.trace import parse_frame
from rmaplab.model import Splat

MAX_SPLATS = 64
"""Splats of one console that are kept; beyond them only whether the kernel died is looked for."""
MAX_OPEN = 8
MAX_PENDING = 65_536
MAX_QUIET = 48
"""So many lines that look like nothing of a report end it."""

_PANIC = b"Kernel panic - not syncing"
_ALL_CONTEXTS = frozenset({"rcu-stall", "soft-lockup", "hard-lockup"})
_STAMP = re.compile(rb"\[ {0,6}\d{1,9}\.\d{6}\]")


def _needle_pattern() -> re.Pattern[bytes]:
    needles = {rule.needle for rule in RULES}
    minimal = [n for n in needles if not any(m in n and m != n for m in needles)]
    return re.compile(b"|".join(re.escape(needle.encode()) for needle in sorted(minimal)))


_NEEDLES = _needle_pattern()


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
        self._booted = False
        self._panicked = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the console."""
        data = self._pending + chunk
        end = data.rfind(b"\n") + 1
        if not end and len(data) > MAX_PENDING:
            end = len(data)
        self._pending = data[end:]
        self._scan(data[:end])

    def finish(self) -> tuple[Splat, ...]:
        """Take the end of the console; the splats in the order of their headlines."""
        self._scan(self._pending)
        self._pending = b""
        for context in list(self._open):
            self._close(context)
        ordered = sorted(self._splats, key=lambda splat: splat.line)
        cause = next((i for i, splat in enumerate(ordered) if not splat.tainted), 0)
        return tuple(replace(splat, following=i != cause) for i, splat in enumerate(ordered))

    # -- lines ---------------------------------------------------------------------------------

    def _scan(self, data: bytes) -> None:
        """Look at whole lines: at each one while a report is open, else only at suspicious ones."""
        position = 0
        while position < len(data):
            if not self._open:
                match = _NEEDLES.search(data, position)
                self._note_stamp(data, position, match.start() if match else len(data))
                if match is None:
                    self._number += data.count(b"\n", position)
                    return
                start = data.rfind(b"\n", position, match.start()) + 1 or position
                self._number += data.count(b"\n", position, start)
                position = start
            end = data.find(b"\n", position)
            end = len(data) if end < 0 else end
            for line in logical_lines(data[position:end], self._number):
                self._line(line)
            self._number += 1
            position = end + 1

    def _note_stamp(self, data: bytes, start: int, end: int) -> None:
        if not self._first_stamp and _STAMP.search(data, start, min(end, start + MAX_PENDING)):
            self._first_stamp = self._number

    def _line(self, line: Line) -> None:
        found = match_rule(line.text)
        if found is not None and not self._absorbed(found[0], line):
            if len(self._splats) < MAX_SPLATS or found[0].kind == "panic":
                self._start(Report(found[0], found[1], [line]))
            return
        for context, report in list(self._open.items()):
            if self._belongs(report, line):
                self._extend(context, report, line)

    @staticmethod
    def _belongs(report: Report, line: Line) -> bool:
        if report.rule.kind in _ALL_CONTEXTS or report.context == line.context:
            return True
        return report.context == STAMPED and not line.context

    def _extend(self, context: str, report: Report, line: Line) -> None:
        report.add(line)
        if parse_frame(line.text) is not None:
            report.quiet = 0
        else:
            report.quiet += 1
        if END_OF_REPORT.search(line.text):
            report.ended = True
        if report.quiet > MAX_QUIET or report.dropped:
            self._close(context)

    # -- reports -------------------------------------------------------------------------------

    def _absorbed(self, rule: Rule, line: Line) -> bool:
        """Whether a headline belongs to a report that is already open, or is no complaint."""
        if rule.kind == "unexpected-reboot" and not self._rebooted(line):
            return True
        report = self._open.get(line.context)
        if rule.kind == "panic":
            return self._panic(report)
        return report is not None and not report.ended and rule.kind in report.rule.absorbs

    def _rebooted(self, line: Line) -> bool:
        before = self._booted or 0 < self._first_stamp < line.number
        self._booted = True
        return before

    def _panic(self, report: Report | None) -> bool:
        if report is not None:
            report.fatal = True
            return True
        again, self._panicked = self._panicked, True
        return again

    def _start(self, report: Report) -> None:
        self._close(report.context)
        if len(self._open) >= MAX_OPEN:
            self._close(next(iter(self._open)))
        self._open[report.context] = report

    def _close(self, context: str) -> None:
        report = self._open.pop(context, None)
        if report is not None:
            self._splats.append(to_splat(report))


def parse_console(data: bytes) -> tuple[Splat, ...]:
    """The splats of a whole console."""
    parser = SplatParser()
    parser.feed(data)
    return parser.finish()
