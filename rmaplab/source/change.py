# SPDX-License-Identifier: GPL-2.0
"""The change of a whole series, file by file: from the tree to the tree with the series on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rmaplab.source import diff, git

_HUNK = re.compile(r"^@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@")
_OPTIONS = ("diff", "--no-index", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames",
            "-U3")  # fmt: skip
MAX_DIFF = 2_000_000
"""Characters of a file's diff."""


@dataclass(frozen=True, slots=True)
class FileDiff:
    """The diff of one file, without its header, and the numbers of the lines that it adds.

    ``places`` are the lines of the new file beside which others were only removed.
    """

    path: str
    text: str
    added: tuple[int, ...]
    places: tuple[int, ...]


def between(before: Path, after: Path, names: tuple[str, ...]) -> Iterator[FileDiff]:
    """Yield the diff of each regular file that differs between two trees."""
    for name in names:
        old, new = diff.regular(before, name), diff.regular(after, name)
        if old is None and new is None:
            continue
        words = (*_OPTIONS, "--", old or "/dev/null", new or "/dev/null")
        said = git.run(words, after, b"").stdout.decode("utf-8", "replace")[:MAX_DIFF]
        start = re.search(r"^@@ ", said, re.M)
        if start is not None:
            text = said[start.start() :]
            yield FileDiff(name, text, *_numbers(text))


def _numbers(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the numbers of the lines that a diff adds, and of those beside what it removes."""
    added: list[int] = []
    places: list[int] = []
    number = 0
    for line in text.split("\n"):
        if match := _HUNK.match(line):
            number = int(match[1])
        elif line.startswith("+"):
            added.append(number)
            number += 1
        elif line.startswith("-"):
            places.append(number)
        elif line.startswith(" "):
            number += 1
    return tuple(added), tuple(dict.fromkeys(places))
