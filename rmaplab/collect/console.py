# SPDX-License-Identifier: GPL-2.0
"""A saved console of any size: splats and KTAP results in one pass, in constant memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rmaplab.collect.ktap import MAX_DETAIL, KtapParser, KtapReport
from rmaplab.collect.scan import Scanner
from rmaplab.collect.splats import SplatParser
from rmaplab.collect.splats.lines import MAX_LINE, clean
from rmaplab.collect.splats.prefix import MAX_HEAD, Template, templates
from rmaplab.model import Splat

BLOCK = 262_144
AHEAD = 32_768
"""Bytes that are taken at once, and that have to follow them: prefixes are learned from those."""
LEARNED_LINES = 400
"""Lines of KTAP in a block that its prefixes are learned from."""

# Lines of KTAP that decide something, and bytes that ``clean`` takes out, so that there may be such
# a line without them; all other lines are at most diagnostics.
_SIGNS = Scanner(
    [
        rb"\bok\b", rb"TAP version ", rb"1\.\.\d", rb"bail out!", rb"# Subtest: ",
        rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]",
    ],
    literal=False,
)  # fmt: skip
# A line of KTAP, wherever in a line it begins; "# " in front of it is a level of nesting.
_ANCHOR = re.compile(
    r"(?:(?<=[^\w])|^)(?:# ?){0,8}(?:K?TAP version \d{1,4}\s*$|1\.\.\d{1,9}(?:\s|$)|"
    r"(?:not )?ok \d{1,9}\b|# Subtest: )"
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
    """Reader of KTAP lines out of console bytes; stretches without one cost a search."""

    def __init__(self) -> None:
        self._parser = KtapParser()
        self._pending = bytearray()
        self._templates: tuple[Template, ...] = ()
        self._cut = False

    def feed(self, chunk: bytes) -> None:
        self._pending += chunk
        # The prefixes that are learned must not depend on how the bytes came.
        while len(self._pending) >= BLOCK + AHEAD:
            self._take()

    def finish(self) -> KtapReport | None:
        ends_in_line = bool(self._pending) and self._pending[-1:] != b"\n"
        while self._pending:
            self._take()
        if ends_in_line and self._parser.ended_in_result:
            self._parser.problem("the log ends within a result line")
        return self._parser.report() if self._parser.began else None

    def _take(self) -> None:
        """Take a block of whole lines; of a line that is longer only the beginning."""
        end = len(self._pending)
        whole = True
        if end > BLOCK:
            end = self._pending.rfind(b"\n", 0, BLOCK) + 1
            whole, end = end > 0, end or BLOCK
        block, ahead = bytes(self._pending[:end]), bytes(self._pending[end : end + AHEAD])
        del self._pending[:end]
        if self._cut:
            # No line of KTAP is that long.
            block = block.partition(b"\n")[2]
        self._cut = not whole
        self._lines(block, ahead)

    def _lines(self, block: bytes, ahead: bytes) -> None:
        found = _line_starts(block, _SIGNS.ends(block))
        if not found and not self._parser.began:
            return
        if found:
            self._learn(block, found, ahead)
        position = 0
        for start in [*found, len(block)]:
            if self._parser.began and start > position:
                for line in _last(block[position:start].removesuffix(b"\n").split(b"\n")):
                    self._line(line)
            if start == len(block):
                return
            end = block.find(b"\n", start)
            end = end if end >= 0 else len(block)
            self._line(block[start:end])
            position = end + 1

    def _line(self, raw: bytes) -> None:
        text = clean(raw[:MAX_LINE])
        for template in self._templates:
            if match := template.pattern.match(text):
                text = text[match.end() :]
                break
        self._parser.line(text)

    def _learn(self, block: bytes, found: list[int], ahead: bytes) -> None:
        """Derive the text in front of the lines of KTAP, unless the text known before fits."""
        lines = [
            clean(block[start : _line_end(block, start)][:MAX_LINE])
            for start in found[:LEARNED_LINES]
        ]
        lines += map(clean, ahead.split(b"\n")[:-1][:LEARNED_LINES])
        heads = list(_heads(lines))
        known = sum(
            any(template.pattern.match(head) for template in self._templates) for head in heads
        )
        if heads and known < 0.8 * len(heads):
            self._templates = templates(heads, lines)


def _heads(lines: Iterable[str]) -> Iterator[str]:
    """Yield the text in front of each line of KTAP."""
    for line in lines:
        match = _ANCHOR.search(line)
        if match is not None and match.start() <= MAX_HEAD:
            yield line[: match.start()]


def _line_end(block: bytes, start: int) -> int:
    end = block.find(b"\n", start)
    return end if end >= 0 else len(block)


def _line_starts(block: bytes, places: Iterable[int]) -> list[int]:
    """Return where the lines begin that some places, in order, are in."""
    starts: list[int] = []
    for end in places:
        if starts and block.find(b"\n", starts[-1], end - 1) < 0:
            continue
        starts.append(block.rfind(b"\n", 0, end - 1) + 1)
    return starts


def _last(lines: list[bytes]) -> list[bytes]:
    """Return as many of the last lines as a result can keep of its diagnostics, and a bit."""
    size = 0
    for number, line in enumerate(reversed(lines), start=1):
        size += len(clean(line[:MAX_LINE]).strip())
        if size > 2 * MAX_DETAIL:
            return lines[-number:]
    return lines
