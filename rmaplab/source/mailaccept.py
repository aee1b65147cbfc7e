# SPDX-License-Identifier: GPL-2.0
"""Read what a user accepts of a series that the lab would not take by itself (``--accept``).

Each word allows one thing, so that none allows more than was looked at: the mails of a sender, an
older version, a part of a series.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rmaplab.errors import UserError

Version = tuple[int, ...]
"""A version as a subject has it: (2,) for v2, (2, 1) for v2.1."""
FIRST: Version = (1,)
FORMS = "a sender's address, a version (v2), or patches of a series (4/7, 1-3,5/7)"
_VERSION = re.compile(r"v(\d{1,4})(?:\.(\d{1,4}))?", re.I)
_PART = re.compile(r"([\d,-]{1,500})/0*(\d{1,6})")
_RANGE = re.compile(r"0*(\d{1,6})(?:-0*(\d{1,6}))?")


@dataclass(frozen=True, slots=True)
class Accepted:
    """The senders (in lower case), the version and the patches (n, m) that a user accepts."""

    senders: frozenset[str] = frozenset()
    version: Version | None = None
    parts: frozenset[tuple[int, int]] = frozenset()

    def part(self, numbers: Iterable[int], length: int) -> bool:
        """Return whether the series may consist of these patches alone."""
        return {(number, length) for number in numbers} <= self.parts


NOTHING = Accepted()


def version_of(word: str) -> Version | None:
    """Return the version that a word such as ``v2`` names, None for any other word."""
    match = _VERSION.fullmatch(word)
    return tuple(int(part) for part in match.groups() if part) if match else None


def label(version: Version) -> str:
    """Return a version as a subject has it."""
    return "v" + ".".join(map(str, version))


def read(words: Sequence[str]) -> Accepted:
    """Return what the words of ``--accept`` accept. Raises UserError for a word that is none."""
    senders: set[str] = set()
    parts: set[tuple[int, int]] = set()
    version: Version | None = None
    for word in words:
        if "@" in word:
            senders.add(word.strip("<>").lower())
        elif found := version_of(word):
            if version not in {None, found}:
                raise UserError(f"--accept: {word} and {label(version or FIRST)} are two versions")
            version = found
        elif match := _PART.fullmatch(word):
            parts |= {(number, int(match[2])) for number in _numbers(word, match[1])}
        else:
            raise UserError(f"--accept: {word!r} is none of {FORMS}")
    return Accepted(frozenset(senders), version, frozenset(parts))


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as ``read`` takes them, such as ``1-3,5``."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][-1] == number - 1:
            found[-1][1:] = [number]
        else:
            found.append([number])
    return ",".join("-".join(map(str, one)) for one in found)


def _numbers(word: str, text: str) -> Iterable[int]:
    for one in text.split(","):
        match = _RANGE.fullmatch(one)
        if match is None:
            raise UserError(f"--accept: {word!r} is none of {FORMS}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last - first > MAX_RANGE:
            raise UserError(f"--accept: {word!r} names more than {MAX_RANGE} patches")
        yield from range(first, last + 1)


MAX_RANGE = 10_000
