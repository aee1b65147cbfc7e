# SPDX-License-Identifier: GPL-2.0
"""The coverage of a series for report.html: each file's diff, line by line, with marks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rmaplab.model.coverage import FileCoverage, LineCoverage, Reach, SeriesCoverage
from rmaplab.report import coverage
from rmaplab.report.htmlpool import cut

_HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)(?:,\d+)? @@")
_MARKS = {
    Reach.RUN: "+", Reach.NOT_RUN: "!", Reach.WITHOUT_CODE: "", Reach.NOT_BUILT: "#",
    Reach.UNKNOWN: "?",
}  # fmt: skip
_ROOM = 1_500_000
"""Characters of all diffs."""
_NAMES = 4
"""Testcases that a line names."""
_LINE = 300


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line of a diff: ``number`` is that in the patched file, 0 for none.

    ``kind`` is a class of the page's style, ``mark`` what stands before the text, ``by`` which
    testcases ran it.
    """

    text: str
    kind: str
    number: int = 0
    mark: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class FileView:
    """A changed file with the lines of its diff; ``more`` characters of it had no room."""

    file: FileCoverage
    lines: tuple[DiffLine, ...]
    more: int = 0

    @property
    def share(self) -> str:
        """``40 of 44 lines run``."""
        counts = self.file.counts
        total = counts[Reach.RUN] + counts[Reach.NOT_RUN]
        return f"{counts[Reach.RUN]} of {total} lines run" if total else "no line has code"

    @property
    def is_whole(self) -> bool:
        """True if every changed line that has code was run."""
        return not self.file.counts[Reach.NOT_RUN]


@dataclass(frozen=True, slots=True)
class SeriesView:
    """A kernel's series with the answer in lines, the first one apart, and its files."""

    kernel: str
    headline: str
    lines: tuple[str, ...]
    files: tuple[FileView, ...]


def views(found: Sequence[SeriesCoverage]) -> tuple[SeriesView, ...]:
    """Return what the page shows, as long as there is room for diffs."""
    room = _ROOM
    series = []
    for one in found:
        first, *more = coverage.lines(one)
        files = []
        for file in one.files:
            text = file.diff[: max(0, room)]
            room -= len(text)
            files.append(FileView(file, tuple(_diff(text, file)), len(file.diff) - len(text)))
        series.append(SeriesView(one.kernel, first, tuple(more), tuple(files)))
    return tuple(series)


def _diff(text: str, file: FileCoverage) -> Iterator[DiffLine]:
    reached = {line.number: line for line in file.lines}
    number = 0
    for line in text.rstrip("\n").split("\n") if text else ():
        shown = cut(line, _LINE)
        if match := _HUNK.match(line):
            number = int(match[1])
            yield DiffLine(shown, "h")
        elif line.startswith("-"):
            yield DiffLine(shown, "gone")
        elif line.startswith("+"):
            yield _added(shown, number, reached)
            number += 1
        else:
            yield DiffLine(shown, "", number)
            number += 1


def _added(text: str, number: int, reached: Mapping[int, LineCoverage]) -> DiffLine:
    line = reached.get(number)
    if line is None:
        return DiffLine(text, "", number)
    kind = str(line.reach).replace(" ", "-")
    return DiffLine(text, kind, number, _MARKS[line.reach], by(line.by) or str(line.reach))


def by(names: Sequence[str]) -> str:
    """Return the testcases that ran something: ``3 testcases: a, b, c``."""
    if not names:
        return ""
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    noun = "testcase" if len(names) == 1 else "testcases"
    return f"{len(names)} {noun}: {', '.join(names[:_NAMES])}{more}"
