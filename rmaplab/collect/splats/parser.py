# SPDX-License-Identifier: GPL-2.0
"""The streaming parser: console bytes in, splats out."""

from __future__ import annotations

import bisect
import re
from dataclasses import replace

from rmaplab.collect.scan import Scanner
from rmaplab.collect.splats.boots import BEFORE, Boots
from rmaplab.collect.splats.lines import STAMPED, UNSTAMPED, Line, learn_prefixes, logical_lines
from rmaplab.collect.splats.owner import MARK, Owner
from rmaplab.collect.splats.prefix import NO_PREFIX, Prefixes
from rmaplab.collect.splats.report import Report, to_splat
from rmaplab.collect.splats.rule import Rule
from rmaplab.collect.splats.rules import CONSOLE_CUT, SIGNS, match_rule
from rmaplab.collect.splats.tally import MAX_SPLATS, Headlines, Tally
from rmaplab.model import Splat

__all__ = ["MAX_SPLATS", "SplatParser", "has_sign", "is_fatal_line", "parse_console", "signs"]

MAX_OPEN = 8
BLOCK = 262_144
AHEAD = 32_768
"""Bytes that are taken at once, and that have to follow them: prefixes are learned from those."""
LEARNED = 28_672
LEARNED_BEFORE = 1024
"""Bytes from a line on that its prefix is learned from, and those before it."""
VALID = 8192
"""Bytes from that line on for which what was learned counts."""
MAX_QUIET = 48
MAX_QUIET_EARLY = 160
"""So many lines that look like nothing of a report end it; more before its trace has begun."""
MAX_EVENT = 64
"""Lines within which a headline about the same object is the same event."""
MAX_APART = 1000
"""Lines of other contexts within which a report has to go on."""

_PANIC = b"Kernel panic - not syncing"
_ALL_CONTEXTS = frozenset({"rcu-stall", "soft-lockup", "hard-lockup"})


# Ordinary chatter has no sign, and saying so is what makes the parser fast.
_SIGNS = Scanner(sorted([MARK, *(sign.encode() for sign in SIGNS)]))
# Pages and mail programs put these for a blank, and these that no eye sees.
_ODD_BLANKS = re.compile(rb"\xc2\xa0|(?<![\x80-\x9f\xa1-\xff])\xa0(?![\x80-\x9f\xa1-\xff])")
_INVISIBLE = re.compile(rb"\xe2\x80\x8b|\xef\xbb\xbf")


def has_sign(window: bytes) -> bool:
    """Tell if any line could be a headline, or a mark of the agent's."""
    return bool(_SIGNS.ends(window))


def signs(window: bytes) -> list[int]:
    """Return where a line could be a headline, or a mark of the agent's, in order."""
    return _SIGNS.starts(window)


def is_fatal_line(line: bytes) -> bool:
    """Tell if a console line says that the kernel is dead; cheap enough for each line."""
    return _PANIC in line or b"---[ end Kernel panic" in line or b"-- System halted" in line


def _with_plain_blanks(data: bytes) -> bytes:
    if b"\xa0" in data:
        data = _ODD_BLANKS.sub(b" ", data)
    if b"\xe2\x80\x8b" in data or b"\xef\xbb\xbf" in data:
        data = _INVISIBLE.sub(b"", data)
    return data


class SplatParser:
    """Find the kernel's complaints in a console that comes in pieces.

    Feed it bytes as they arrive, cut anywhere. Memory stays constant whatever the input: at most
    ``MAX_SPLATS`` different splats with bounded excerpts are kept, a line is looked at up to a
    bounded length, and a report takes a bounded number of lines. Time is linear in the input. It
    never raises, whatever the bytes.

    With ``learns`` the prefixes of the lines are learned from the log itself. A guest of the lab
    has none before its stamps, and what it prints must not teach any.
    """

    def __init__(self, *, learns: bool = True) -> None:
        self._learns = learns
        self._pending = bytearray()
        self._number = 1
        self._open: dict[str, Report] = {}
        self._tally = Tally()
        self._headlines = Headlines()
        self._boots = Boots()
        self._events: dict[tuple[str, str], int] = {}
        self._panicked = False
        self._cut: Splat | None = None
        self._owner = Owner()
        self._above = UNSTAMPED
        # The block that is being read, what follows it, and what came before it.
        self._block = self._ahead = self._before = b""
        self._position = 0
        self._learned_until = 0
        self._prefixes: Prefixes = NO_PREFIX

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the console."""
        self._pending += chunk
        # The prefixes that are learned must not depend on how the bytes came.
        while len(self._pending) >= BLOCK + AHEAD:
            self._take()

    @property
    def within_test(self) -> bool:
        """True if the agent has begun a test and not ended it, as far as the console says.

        It is known after ``finish``.
        """
        return self._owner.within_test

    @property
    def left_out(self) -> dict[str, int]:
        """How many splats of which kind were found and not kept."""
        return self._tally.left_out

    @property
    def ended_test(self) -> str:
        """The test that the agent began last, if it ended it, too; else an empty string."""
        return self._owner.ended

    def finish(self) -> tuple[Splat, ...]:
        """Take the end of the console; return the splats in the order of their headlines.

        That messages are missing comes last, because it is nothing's cause.
        """
        while self._pending:
            self._take()
        for context in list(self._open):
            self._close(context)
        ordered = self._tally.splats
        ordered += [self._cut] if self._cut else []
        cause = next((i for i, splat in enumerate(ordered) if not splat.tainted), 0)
        marked = self._owner.seen
        return tuple(
            replace(splat, following=i != cause, owner=splat.owner if marked else "")
            for i, splat in enumerate(ordered)
        )

    # -- lines ---------------------------------------------------------------------------------

    def _take(self) -> None:
        """Take a block of whole lines; a line that is longer is cut."""
        end = len(self._pending)
        if end > BLOCK:
            end = self._pending.rfind(b"\n", 0, BLOCK) + 1 or BLOCK
        self._block = _with_plain_blanks(bytes(self._pending[:end]))
        self._ahead = _with_plain_blanks(bytes(self._pending[end : end + AHEAD]))
        del self._pending[:end]
        self._learned_until = 0
        self._scan(self._block)
        self._before = (self._before + self._block)[-BEFORE:]

    def _scan(self, block: bytes) -> None:
        """Look at each line while a report is open, else only at those with a sign."""
        found = signs(block)
        position = 0
        while position < len(block):
            if not self._open:
                index = bisect.bisect_left(found, position)
                if index == len(found):
                    self._number += block.count(b"\n", position)
                    return
                start = block.rfind(b"\n", position, found[index]) + 1 or position
                self._number += block.count(b"\n", position, start)
                position = start
            end = block.find(b"\n", position)
            end, ends_line = (end, 1) if end >= 0 else (len(block), 0)
            self._position = position
            self._learn(position)
            for line in logical_lines(block[position:end], self._number, self._prefixes):
                self._line(line)
            self._number += ends_line
            position = end + 1

    def _learn(self, position: int) -> None:
        """Derive the prefixes of the lines from a position on, once for each stretch of the log."""
        if not self._learns or position < self._learned_until:
            return
        self._learned_until = position + VALID
        start, end = max(position - LEARNED_BEFORE, 0), position + LEARNED
        region = self._block[start:end]
        if end > len(self._block):
            region += self._ahead[: end - max(len(self._block), start)]
        self._prefixes = learn_prefixes(region)

    def _line(self, line: Line) -> None:
        if self._owner.take(line):
            return
        if line.context == UNSTAMPED and line.text[:1].isspace():
            # dmesg and the journal indent the second line of a message, and give it no stamp.
            line = replace(line, context=self._above)
        self._above = line.context
        found = match_rule(line.text)
        if found is not None and found[0].kind == CONSOLE_CUT:
            self._cut = self._cut or to_splat(self._report(found, line))
            return
        if found is not None and not self._absorbed(*found, line):
            self._start(self._report(found, line))
            return
        for context, report in list(self._open.items()):
            if self._belongs(report, line):
                self._extend(context, report, line)
            elif line.number - report.last > MAX_APART:
                self._close(context)

    def _report(self, found: tuple[Rule, re.Match[str]], line: Line) -> Report:
        rule, match = found
        again = self._headlines.repeats(line.text, line.stamp, rule.prelude)
        return Report(
            rule, match, [line], owner=self._owner.name, boot=self._boots.number, again=again
        )

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

    def _absorbed(self, rule: Rule, match: re.Match[str], line: Line) -> bool:
        """Tell if a headline belongs to a report that is already open, or is no complaint."""
        if rule.kind == "unexpected-reboot" and not self._rebooted(line):
            return True
        report = self._open.get(line.context)
        if self._same_event(rule, match, line.number):
            return True
        if rule.kind == "panic":
            led = report is not None and report.led_to_panic(line.text)
            return self._panic(report if led else None)
        if report is None:
            return False
        return report.restated_by(rule, match) or report.takes(rule)

    def _same_event(self, rule: Rule, match: re.Match[str], number: int) -> bool:
        """Tell if the object of a headline has had one of this kind just before."""
        if not rule.event or not match[rule.event]:
            return False
        key = (rule.kind, match[rule.event])
        last = self._events.pop(key, 0)
        self._events[key] = number
        if len(self._events) > MAX_EVENT:
            del self._events[next(iter(self._events))]
        return bool(last) and number - last <= MAX_EVENT

    def _rebooted(self, line: Line) -> bool:
        before = (self._before + self._block[: self._position])[-BEFORE:]
        after = (self._block[self._position :] + self._ahead)[:AHEAD]
        boot = self._boots.number
        head = after[: max(after.find(line.text[:12].encode()), 0)].rpartition(b"\n")[2]
        unasked = self._boots.banner(
            line.number, line.stamp, before + head, after[len(head) :], self._panicked
        )
        if self._boots.number != boot:
            for context in list(self._open):
                self._close(context)
            self._panicked = False
            self._events.clear()
        return unasked

    def _panic(self, report: Report | None) -> bool:
        if report is not None:
            report.fatal = True
            self._panicked = True
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
        if report.rule.kind == "unexpected-reboot":
            self._close(report.context)  # what follows is the next boot's

    def _close(self, context: str) -> None:
        report = self._open.pop(context, None)
        if report is None or report.harmless:
            return
        if report.again:
            self._tally.add_again(to_splat(report))
        else:
            self._tally.add(to_splat(report))


def parse_console(data: bytes) -> tuple[Splat, ...]:
    """Return the splats of a whole console."""
    parser = SplatParser()
    parser.feed(data)
    return parser.finish()
