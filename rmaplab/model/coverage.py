# SPDX-License-Identifier: GPL-2.0
"""The nouns of coverage: a series' changes, their code in the kernel, and their runs."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Ranges = tuple[tuple[int, int], ...]
"""Begins and ends of kernel addresses."""


class LineKind(enum.StrEnum):
    """Say what became of a changed line in the kernel as it was built."""

    CODE = "code"
    WITHOUT_CODE = "without code"
    """A comment, a declaration, a brace, or a statement that the compiler needed no code for."""
    NOT_BUILT = "not built"
    """The configuration leaves it out: by an #if, or its whole file."""
    UNKNOWN = "unknown"
    """Its object could not be looked into; the file's note says why."""


class Reach(enum.StrEnum):
    """Say whether a changed line or function was run."""

    RUN = "run"
    NOT_RUN = "not run"
    WITHOUT_CODE = "without code"
    NOT_BUILT = "not built"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ChangedLine:
    """A line that a series adds or changes; ``ranges`` is where its code is in the kernel."""

    number: int
    kind: LineKind
    ranges: Ranges = ()


@dataclass(frozen=True, slots=True)
class ChangedFunction:
    """A function with changed lines; ``line`` is its first, ``ranges`` where its code is.

    ``unused`` says why nothing in this kernel can call it, empty if something can.
    """

    name: str
    line: int
    ranges: Ranges = ()
    unused: str = ""


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file that a series changes, as it is with the series: ``diff`` goes from the tree to it.

    ``note`` says what could not be found out about it. ``loose`` are the lines that change outside
    of functions, comments left out: of what they declare anything may make use.
    """

    path: str
    diff: str
    lines: tuple[ChangedLine, ...] = ()
    functions: tuple[ChangedFunction, ...] = ()
    note: str = ""
    loose: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class KernelChange:
    """The changes of a kernel's series; ``error`` says why it is not known, empty if it is."""

    files: tuple[ChangedFile, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class LineCoverage:
    """A changed line, and the testcases ``by`` which it was run."""

    number: int
    reach: Reach
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FunctionCoverage:
    """A changed function, and the testcases ``by`` which it was run; ``note`` says why not."""

    name: str
    line: int
    reach: Reach
    by: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """A changed file, what of it was run, and its diff with the tree."""

    path: str
    diff: str
    lines: tuple[LineCoverage, ...]
    functions: tuple[FunctionCoverage, ...]
    note: str = ""

    @property
    def counts(self) -> Mapping[Reach, int]:
        """The number of changed lines by what became of them."""
        return Counter(line.reach for line in self.lines)


@dataclass(frozen=True, slots=True)
class SeriesCoverage:
    """The coverage of a series by the cells of its kernel.

    ``cells`` were recorded; ``incomplete`` are those of them whose records lack something.
    ``error`` says why nothing is known.
    """

    kernel: str
    files: tuple[FileCoverage, ...] = ()
    cells: int = 0
    incomplete: tuple[str, ...] = ()
    error: str = ""

    @property
    def counts(self) -> Mapping[Reach, int]:
        """The number of changed lines by what became of them."""
        return sum((Counter(file.counts) for file in self.files), Counter[Reach]())

    @property
    def with_code(self) -> int:
        """The number of changed lines that have code."""
        return self.counts[Reach.RUN] + self.counts[Reach.NOT_RUN]

    @property
    def not_run(self) -> Iterator[tuple[str, int]]:
        """Path and number of each changed line that has code and was not run."""
        for file in self.files:
            for line in file.lines:
                if line.reach is Reach.NOT_RUN:
                    yield file.path, line.number
