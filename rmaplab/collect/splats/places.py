# SPDX-License-Identifier: GPL-2.0
"""Find the places in a splat's text, ``function+offset/size``, and put source lines beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from rmaplab.collect.splats.trace import FrameKind, parse_frames
from rmaplab.model import Source, Splat

_PLACE = re.compile(
    r"(?<![\w.$+])(?P<name>[A-Za-z_][\w.$]{0,199})\+0x(?P<offset>[0-9a-f]{1,8})"
    r"/0x(?P<size>[0-9a-f]{1,8})(?![\w/])"
)
_CALLS = frozenset({FrameKind.CALL, FrameKind.POINTER})


def places_of(splat: Splat) -> tuple[str, ...]:
    """Return the places of a splat to look up, each once: of each frame and instruction pointer.

    A frame holds the address that its call returns to, which may be the next statement's: what is
    looked up is the byte before.
    """
    return tuple(dict.fromkeys(asked for _, _, asked in _found(splat.excerpt)))


# syzbot's "foo+0x12/0x34 file.c:12" and "foo file.c:12 [inline]"; scripts/decode_stacktrace.sh's
# "foo (file.c:12 file.c:34 (discriminator 2))", the places of inlined functions first.
_BEHIND = re.compile(
    r"(?P<name>[A-Za-z_][\w.$]*)(?:\+0x[0-9a-f]+/0x[0-9a-f]+)? (?P<at>[\w./+~-]+:\d+)"
)
_IN_BRACKETS = re.compile(
    r"(?P<name>[A-Za-z_][\w.$]*)(?:\+0x[0-9a-f]+/0x[0-9a-f]+)? \((?P<at>[^()]+:\d+)"
)
_ONE_PLACE = re.compile(r"[\w./+~-]+:\d+")


def sources_in(text: str) -> tuple[Source, ...]:
    """Return the source places that a symbolised text itself gives for its frames."""
    sources: dict[str, Source] = {}
    inlined: list[str] = []
    for line in text.splitlines():
        frames = parse_frames(line)
        match = _BEHIND.search(line) or _IN_BRACKETS.search(line)
        if not frames or match is None:
            inlined = []
            continue
        *before, own = _ONE_PLACE.findall(match["at"])
        if frames[0].kind is FrameKind.INLINE:
            inlined.append(f"{match['name']} at {own}")
            continue
        places = (*inlined, *(f"? at {place}" for place in before), f"{match['name']} at {own}")
        at = match[0].partition(" ")[0]
        sources.setdefault(at, Source(at, places))
        inlined = []
    return tuple(sources.values())


def _found(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield for each frame that is no guess: its line in the text, its place, what to look up."""
    for number, line in enumerate(text.splitlines()):
        frames = [frame for frame in parse_frames(line) if frame.kind in _CALLS]
        match = _PLACE.search(line)
        if not frames or match is None:
            continue
        offset = int(match["offset"], 16)
        if frames[0].kind is FrameKind.CALL and offset:
            offset -= 1
        yield number, match[0], f"{match['name']}+{offset:#x}/0x{match['size']}"


def with_sources(splat: Splat, lines: Mapping[str, tuple[str, ...]]) -> Splat:
    """Return the splat with the source line of each place that has one, in its text, too."""
    sources: dict[str, Source] = {}
    text = splat.excerpt.splitlines()
    for number, at, asked in _found(splat.excerpt):
        if known := lines.get(asked):
            source = Source(at, known)
            sources.setdefault(at, source)
            text[number] += f" ({source.summary})"
    if not sources:
        return splat
    return replace(splat, sources=tuple(sources.values()), excerpt="\n".join(text))
