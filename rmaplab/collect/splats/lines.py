# SPDX-License-Identifier: GPL-2.0
"""Turn raw console bytes into logical lines.

A console carries more than printk: the firmware's escape sequences, a shell's prompt, a program
that prints half a line before the kernel interrupts it. A *raw line* ends with a newline. It is
cut into *logical lines* at every printk time stamp, and each is stripped of what printk put in
front of the message (kernel/printk/printk.c:info_print_prefix) and of what the log puts there
(``prefix.py``).
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from rmaplab.collect.splats.prefix import NO_PREFIX, Prefixes, learn

MAX_LINE = 4096
"""A longer raw line is taken in pieces of this many bytes."""
CUT_SEARCH = 512
LEARNED_LINES = 160
LEARNED_LENGTH = 400
"""Lines of a region that prefixes are learned from, and bytes of each."""

UNSTAMPED = ""
STAMPED = "-"

# ESC [ ... letter (CSI), ESC ] ... BEL (OSC), ESC and one byte; then control bytes but for tab.
_NOISE = re.compile(rb"\x1b\[[0-9;?]{0,32}[@-~]|\x1b\][^\x07\x1b]{0,64}\x07?|\x1b[@-Zc=>78]?")
_CONTROL = bytes(byte for byte in range(32) if byte != 9) + b"\x7f"
# "[   12.345678]" (kernel/printk/printk.c:print_time), then "[  T123]" or "[   C1]"
# (print_caller, with CONFIG_PRINTK_CALLER); Android vendors put "[0: comm: 12]" there.
_STAMP = re.compile(
    r"(?:<\d{1,3}>)?\[ {0,6}((?:0|[1-9]\d{0,8})\.\d{6})\]"
    r"(?: {0,2}\[ {0,8}([TC]\d{1,8})\]|\[\d{1,3}:[^\]\n]{1,24}: ?\d{1,8}\])?(?: |$)?"
)
# rsyslog and /dev/kmsg escape the line ends within a message (devkmsg.c: "\\x0a").
_ESCAPED_END = re.compile(r"#012|\\x0a")
_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|apos|nbsp|#\d{1,6}|#x[0-9a-fA-F]{1,5});")
_MESSAGE_KEYS = ("MESSAGE", "message", "msg", "log", "text", "line")
_NO_LINE_END = {10: 32, 13: 32}
_FIELD = re.compile(
    r"\s{0,8}(?:(?P<quoted>\"(?=_{0,2}[A-Z]))?(?P<name>_{0,2}[A-Z][A-Z0-9_]{2,40})"
    r"(?(quoted)\" : \"|=))"
)
# CONFIG_PRINTK_CALLER in an extended record (kernel/printk/printk.c:info_print_ext_header)
_CALLER = re.compile(r"caller=([TC]\d{1,8});")


@dataclass(frozen=True, slots=True)
class Line:
    """One message of the console.

    ``context`` says who printed: ``T123`` a task, ``C1`` a CPU outside of a task, ``-`` a line with
    a time stamp or a prefix that names neither, empty for a line without either. ``number`` counts
    raw lines from 1. ``stamp`` is printk's own time stamp, in seconds, empty without one.
    """

    text: str
    context: str
    number: int
    stamp: str = ""


def clean(raw: bytes) -> str:
    """Return the printable text of a raw line: no escapes, control bytes, entities or line end."""
    raw = raw.rstrip(b"\r\n")
    if b"\x1b" in raw:
        raw = _NOISE.sub(b"", raw)
    text = raw.replace(b"\r", b" ").translate(None, _CONTROL).decode("utf-8", "replace")
    if "&" in text:
        text = _ENTITY.sub(lambda found: html.unescape(found[0]), text).replace("\xa0", " ")
    if text.startswith("{") and text.endswith("}"):
        return json_message(text)
    return text


def _message_of_record(text: str) -> str | None:
    """Return the message of a line of an exported journal, or None for any other of its fields.

    journalctl prints a record as ``FIELD=value``, a line each (export, verbose), or as JSON
    (pretty). A line that is no field is returned as it is.
    """
    match = _FIELD.match(text)
    if match is None:
        return text
    if match["name"] != "MESSAGE":
        return None
    value = text[match.end() :]
    if not match["quoted"]:
        return value
    try:
        return str(json.loads('"' + value.rstrip().removesuffix(",")))
    except ValueError:
        return value.rstrip().removesuffix(",").removesuffix('"')


def json_message(text: str) -> str:
    """Return the message of a JSON object, as the journal and container runtimes write them.

    A text that is no such object is returned as it is.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(found, dict):
        for key in _MESSAGE_KEYS:
            if isinstance(found.get(key), str):
                return str(found[key]).rstrip("\r\n").translate(_NO_LINE_END)
    return text


def _pieces(raw: bytes) -> Iterator[bytes]:
    """Cut an over-long raw line into pieces, where a time stamp may begin."""
    start = 0
    while len(raw) - start > MAX_LINE:
        end = raw.rfind(b"[", start + MAX_LINE - CUT_SEARCH, start + MAX_LINE)
        end = end if end > start else start + MAX_LINE
        yield raw[start:end]
        start = end
    yield raw[start:]


def logical_lines(raw: bytes, number: int, prefixes: Prefixes = NO_PREFIX) -> Iterator[Line]:
    """Cut a raw line at its time stamps; what precedes the first one is a line of its own.

    What the log itself put in front of a message (``prefixes``) is taken off.
    """
    for piece in _pieces(raw):
        found = _message_of_record(clean(piece))
        if found is None:
            continue
        text = found
        if "#012" in text or "\\x0a" in text:
            first, *rest = _ESCAPED_END.split(text)
            context = UNSTAMPED
            for line in _stamped_lines(first, number, prefixes):
                context = line.context
                yield line
            for more in rest:
                yield Line(more, context, number)
        else:
            yield from _stamped_lines(text, number, prefixes)


def _stamps(text: str) -> list[re.Match[str]]:
    """Return the time stamps of a text; of two in a row only the second, which is printk's."""
    found: list[re.Match[str]] = []
    for stamp in _STAMP.finditer(text):
        if found and not text[found[-1].end() : stamp.start()].strip():
            found.pop()
        found.append(stamp)
    return found


def _stamped_lines(text: str, number: int, prefixes: Prefixes) -> Iterator[Line]:
    stamps = _stamps(text)
    if not stamps:
        message, in_front = prefixes.strip(text, stamped=False)
        context = STAMPED if in_front else UNSTAMPED
        if in_front and (caller := _CALLER.search(text[: len(text) - len(message)])):
            context = caller[1]
        yield Line(message, context, number)
        return
    if not prefixes.is_head(head := text[: stamps[0].start()]):
        yield Line(prefixes.strip(head, stamped=False)[0], UNSTAMPED, number)
    ends = [stamp.start() for stamp in stamps[1:]] + [len(text)]
    for stamp, end in zip(stamps, ends, strict=True):
        message, _ = prefixes.strip(text[stamp.end() : end], stamped=True)
        yield Line(message, stamp.group(2) or STAMPED, number, stamp.group(1))


def learn_prefixes(region: bytes) -> Prefixes:
    """Return what the lines of a stretch of a log have in front of their messages.

    The first and the last line may be cut.
    """
    outer: list[str] = []
    plain: list[str] = []
    stamped: list[str] = []
    for raw in region.split(b"\n"):
        if len(plain) + len(stamped) >= LEARNED_LINES:
            break
        if not raw or raw == b"\r":
            continue
        message = _message_of_record(clean(raw[:LEARNED_LENGTH]))
        if message is None:
            continue
        text = message
        stamps = _stamps(text)
        if not stamps:
            plain.append(text)
            continue
        outer.append(text[: stamps[0].start()])
        end = stamps[1].start() if len(stamps) > 1 else len(text)
        stamped.append(text[stamps[0].end() : end])
    return learn(outer, plain, stamped)
