# SPDX-License-Identifier: GPL-2.0
"""The places in a splat's text, ``function+offset/size``, with their source lines beside them."""

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
    """What to look up for a splat, each once: a place for each frame and instruction pointer.

    A frame holds the address that its call returns to, which may be the next statement's: what is
    looked up is the byte before.
    """
    return tuple(dict.fromkeys(asked for _, _, asked in _found(splat.excerpt)))


def _found(text: str) -> Iterator[tuple[int, str, str]]:
    """Of each frame that is no guess: its line in the text, what it says, what to look up."""
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
    """The splat with the source line of each place that has one, in its text, too."""
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
