# SPDX-License-Identifier: GPL-2.0
"""Say what stands where a hunk does not apply: what it wants, and what is there."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rmaplab.source import diff

MAX_LINES = 14
"""Lines that are shown of a hunk."""
MAX_HUNKS = 5
_WIDTH = 160
_HEAD = re.compile(r"@@ -(\d{1,9})(?:,\d{1,9})? \+\d{1,9}(?:,\d{1,9})? @@")
# A line that many places have says little about which one is meant.
_COMMON = 20


@dataclass(frozen=True, slots=True)
class Hunk:
    """A hunk: the line that it is for, and the lines that it wants to find there."""

    line: int
    wanted: tuple[str, ...]


def said(tree: Path, name: str, numbers: Sequence[int]) -> Iterator[str]:
    """Yield lines on the rejected hunks of a file, which git apply --reject left beside it.

    ``numbers`` are the hunks' places in the patch.
    """
    file, left = diff.regular(tree, name), diff.regular(tree, f"{name}.rej")
    if left is None:
        return
    there = _lines(file) if file is not None else []
    found = hunks(_lines(left))
    for number, hunk in zip(numbers, found[:MAX_HUNKS], strict=False):
        yield f"{name}: hunk #{number} at line {hunk.line}{_what(hunk, there)}"
        yield from (f"  {line}" for line in _shown(hunk, there))
    if len(found) > MAX_HUNKS:
        yield f"{name}: {len(found) - MAX_HUNKS} more hunks"


def hunks(lines: Sequence[str]) -> list[Hunk]:
    """Return the hunks of a file of rejects."""
    found: list[tuple[int, list[str]]] = []
    for line in lines:
        if match := _HEAD.match(line):
            found.append((int(match[1]), []))
        elif found and line[:1] in {" ", "-"}:
            found[-1][1].append(line[1:])
        elif found and not line:
            found[-1][1].append("")  # a blank context line whose blank was lost
    return [Hunk(line, tuple(wanted)) for line, wanted in found]


def place_of(hunk: Hunk, there: Sequence[str]) -> int:
    """Return where in a file a hunk was most likely meant to be, counted from 0; -1 if nowhere.

    It is the place where most of its lines stand in their order, the nearest to its own line.
    """
    at: dict[str, list[int]] = {}
    for number, line in enumerate(there):
        at.setdefault(line.strip(), []).append(number)
    votes: Counter[int] = Counter()
    for number, line in enumerate(hunk.wanted):
        places = at.get(line.strip(), []) if line.strip() else []
        if len(places) <= _COMMON:
            votes.update(place - number for place in places)
    near = Counter({start: sum(votes[start + d] for d in range(-3, 4)) for start in votes})
    if not near:
        return -1
    best = max(near.values())
    starts = [start for start, count in near.items() if count == best]
    return max(0, min(starts, key=lambda start: (-votes[start], abs(start + 1 - hunk.line))))


def _what(hunk: Hunk, there: Sequence[str]) -> str:
    """Return in a few words what is wrong at the place of a hunk."""
    if not there:
        return ": the tree has no such file"
    start = place_of(hunk, there)
    if start < 0:
        return ": nothing like it is in this file"
    return f": it wants (-), and line {start + 1} has (+)"


def _shown(hunk: Hunk, there: Sequence[str]) -> Iterator[str]:
    start = place_of(hunk, there)
    if start < 0:
        return
    window = there[start : start + len(hunk.wanted)]
    lines = list(difflib.unified_diff(hunk.wanted, window, n=1, lineterm=""))[2:]
    lines = [line[:_WIDTH] for line in lines if not line.startswith("@@")]
    yield from lines[:MAX_LINES]
    if len(lines) > MAX_LINES:
        yield f"({len(lines) - MAX_LINES} more lines)"


def _lines(path: Path) -> list[str]:
    return path.read_bytes().decode("utf-8", "replace").split("\n")
