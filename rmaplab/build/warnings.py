# SPDX-License-Identifier: GPL-2.0
"""Find the compiler's warnings in the log of a kernel's build, and those that a patch brings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MAX_NAMED = 20
_WARNING = re.compile(
    r"^(?:\S*?/?source/)?(?P<file>[\w][^\s:]*):(?P<line>\d+)(?::\d+)?: warning: (?P<text>.+)$", re.M
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """A warning, with its line; two of one text in one file are alike, wherever they stand."""

    file: str
    line: int
    text: str

    @property
    def key(self) -> tuple[str, str]:
        """The file and the text, by which a warning is recognised: lines move."""
        return self.file, self.text

    @property
    def phrase(self) -> str:
        """The warning as the compiler writes it."""
        return f"{self.file}:{self.line}: {self.text}"


def found(log: str) -> tuple[Complaint, ...]:
    """Return the warnings of a build's log, each once."""
    seen: dict[tuple[str, str], Complaint] = {}
    for match in _WARNING.finditer(log):
        one = Complaint(match["file"], int(match["line"]), match["text"].strip())
        seen.setdefault(one.key, one)
    return tuple(seen.values())


def new(log: str, known: Iterable[tuple[str, str]], files: Iterable[str]) -> tuple[Complaint, ...]:
    """Return the warnings of a log in some files that are not known from the builds before."""
    before, touched = set(known), set(files)
    return tuple(one for one in found(log) if one.key not in before and one.file in touched)


def carried(
    log: str, known: Mapping[str, frozenset[str]], compiled: Iterable[str]
) -> dict[str, frozenset[str]]:
    """Return the known warnings by file after one more build, of which some files were compiled."""
    now: dict[str, set[str]] = {name: set() for name in compiled}
    for one in found(log):
        now.setdefault(one.file, set()).add(one.text)
    return {**known, **{name: frozenset(texts) for name, texts in now.items()}}
