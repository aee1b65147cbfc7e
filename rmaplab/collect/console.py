# SPDX-License-Identifier: GPL-2.0
"""A saved console of any size: splats and KTAP results in one pass, in constant memory."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from rmaplab.collect.ktap import MAX_DETAIL, KtapParser, KtapReport
from rmaplab.collect.splats import SplatParser
from rmaplab.collect.splats.lines import MAX_LINE, clean
from rmaplab.model import Splat

# What a line of KTAP has that decides something, and bytes that ``clean`` takes out, so that there
# may be such a line without them; all other lines are at most diagnostics.
_SIGN = re.compile(
    rb"\bok\b|TAP version |1\.\.\d|bail out!|# Subtest: |[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ParsedLog:
    """The splats and results of a saved log; ``ktap`` is None if it has no KTAP in it.

    ``left_out`` says how many splats of which kind are not among them, for want of room.
    """

    splats: tuple[Splat, ...]
    ktap: KtapReport | None
    left_out: dict[str, int] = field(default_factory=dict)


def parse_log(chunks: Iterable[bytes]) -> ParsedLog:
    """Read a log that comes in pieces, cut anywhere."""
    splats, ktap = SplatParser(), _KtapStream()
    for chunk in chunks:
        splats.feed(chunk)
        ktap.feed(chunk)
    return ParsedLog(splats.finish(), ktap.finish(), splats.left_out)


class _KtapStream:
    """KTAP lines out of console bytes; stretches without one cost a search."""

    def __init__(self) -> None:
        self._parser = KtapParser()
        self._pending = b""

    def feed(self, chunk: bytes) -> None:
        whole, newline, rest = chunk.rpartition(b"\n")
        if newline:
            self._lines(self._pending + whole)
            self._pending = rest
        else:
            # A line without an end: no KTAP line is that long.
            self._pending = (self._pending + rest)[:MAX_LINE]

    def finish(self) -> KtapReport | None:
        if self._pending:
            self._lines(self._pending)
            if self._parser.ended_in_result:
                self._parser.problem("the log ends within a result line")
        return self._parser.report() if self._parser.began else None

    def _lines(self, text: bytes) -> None:
        lines = [line[:MAX_LINE] for line in text.split(b"\n")]
        if _SIGN.search(text) is None:
            lines = _last(lines) if self._parser.began else []
        for line in lines:
            if self._parser.began or _SIGN.search(line):
                self._parser.line(clean(line))


def _last(lines: list[bytes]) -> list[bytes]:
    """As many of the last lines as a result can keep of its diagnostics, and a bit."""
    size = 0
    for number, line in enumerate(reversed(lines), start=1):
        size += len(clean(line).strip())
        if size > 2 * MAX_DETAIL:
            return lines[-number:]
    return lines
