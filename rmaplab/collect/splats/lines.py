# SPDX-License-Identifier: GPL-2.0
"""From raw console bytes to logical lines.

A console carries more than printk: the firmware's escape sequences, a shell's prompt, a program
that prints half a line before the kernel interrupts it. A *raw line* ends with a newline. It is
cut into *logical lines* at every printk time stamp, and each is stripped of what printk put in
front of the message (kernel/printk/printk.c:info_print_prefix).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_LINE = 4096
"""A longer raw line is taken in pieces of this many bytes."""
CUT_SEARCH = 512

UNSTAMPED = ""
STAMPED = "-"

# ESC [ ... letter (CSI), ESC ] ... BEL (OSC), ESC and one byte; then control bytes but for tab.
_NOISE = re.compile(rb"\x1b\[[0-9;?]{0,32}[@-~]|\x1b\][^\x07\x1b]{0,64}\x07?|\x1b[@-Zc=>78]?")
_CONTROL = bytes(byte for byte in range(32) if byte != 9) + b"\x7f"
# "[   12.345678]" (kernel/printk/printk.c:print_time), then "[  T123]" or "[   C1]"
# (print_caller, with CONFIG_PRINTK_CALLER); Android vendors put "[0: comm: 12]" there.
_STAMP = re.compile(
    r"(?:<\d{1,3}>)?\[ {0,6}(\d{1,9}\.\d{6})\]"
    r"(?: {0,2}\[ {0,8}([TC]\d{1,8})\]|\[\d{1,3}:[^\]\n]{1,24}: ?\d{1,8}\])?(?: |$)?"
)
_SYSLOG = re.compile(r"^(?:<\d{1,3}>|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S{1,64} kernel: )")


@dataclass(frozen=True, slots=True)
class Line:
    """One message of the console.

    ``context`` says who printed: ``T123`` a task, ``C1`` a CPU outside of a task, ``-`` a stamped
    line that names neither, empty for a line without a time stamp. ``number`` counts raw lines
    from 1.
    """

    text: str
    context: str
    number: int


def clean(raw: bytes) -> str:
    """The printable text of a raw line: no escape sequences, control bytes or line end."""
    raw = raw.rstrip(b"\r\n")
    if b"\x1b" in raw:
        raw = _NOISE.sub(b"", raw)
    return raw.replace(b"\r", b" ").translate(None, _CONTROL).decode("utf-8", "replace")


def _pieces(raw: bytes) -> Iterator[bytes]:
    """An over-long raw line in pieces, cut where a time stamp may begin."""
    start = 0
    while len(raw) - start > MAX_LINE:
        end = raw.rfind(b"[", start + MAX_LINE - CUT_SEARCH, start + MAX_LINE)
        end = end if end > start else start + MAX_LINE
        yield raw[start:end]
        start = end
    yield raw[start:]


def logical_lines(raw: bytes, number: int) -> Iterator[Line]:
    """Cut a raw line at its time stamps; what precedes the first one is a line of its own."""
    for piece in _pieces(raw):
        yield from _stamped_lines(clean(piece), number)


def _stamped_lines(text: str, number: int) -> Iterator[Line]:
    start, context = 0, UNSTAMPED
    for stamp in _STAMP.finditer(text):
        if stamp.start() > start:
            yield Line(text[start : stamp.start()], context, number)
        start, context = stamp.end(), stamp.group(2) or STAMPED
    rest = text[start:]
    yield Line(_SYSLOG.sub("", rest) if context == UNSTAMPED else rest, context, number)
