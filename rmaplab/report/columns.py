# SPDX-License-Identifier: GPL-2.0
"""Tables for a terminal of 60 columns and more, or a pipe: no folded words, no trailing blanks.

The last column takes the width that is left, or, where that is little, lines of its own.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator, Sequence

from rich.markup import escape

from rmaplab.log import log
from rmaplab.text import printable

_GAP = 2
LEAST = 40
"""Columns that the last column needs to stand beside the others."""

Cell = str | tuple[str, str]
"""A text, or a text and its style."""
_Line = list[tuple[str, str]]
"""The parts of a line, each with its style."""


def show(titles: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Print a table to standard output; nothing if it has no rows."""
    if not rows:
        return
    width = max(60, log.stdout.width)
    table = [[_text(cell) for cell in row] for row in rows]
    widths = _widths([[(title, "") for title in titles], *table], width)
    indent = sum(widths) + _GAP * len(widths)
    beside = width - indent >= LEAST
    head = [(title, "bold") for title in titles]
    _print(_beside(widths, head[:-1]) + (head[-1:] if beside else []))
    _print([("\u2500" * (width if beside else indent - _GAP), "dim")])
    for row in table:
        for line in _lines(widths, row, width, beside=beside):
            _print(line)


def _print(line: _Line) -> None:
    """Print a line without blanks at its end."""
    while line and not line[-1][0].strip():
        line.pop()
    if line:
        line[-1] = (line[-1][0].rstrip(), line[-1][1])
    for text, style in line:
        log.stdout.print(f"[{style}]{escape(text)}[/]" if style else escape(text), end="")
    log.stdout.print()


def _text(cell: Cell) -> tuple[str, str]:
    text, style = cell if isinstance(cell, tuple) else (cell, "")
    return printable(" ".join(text.split())), style


def _len(text: str) -> int:
    """Return how many columns a text takes."""
    return len(text) + sum(unicodedata.east_asian_width(char) in "WF" for char in text)


def _widths(table: Sequence[Sequence[tuple[str, str]]], width: int) -> list[int]:
    """Return the widths of all columns but the last; the first gives way if there is no room."""
    columns = [max(_len(row[n][0]) for row in table) for n in range(len(table[0]) - 1)]
    others = sum(columns[1:]) + _GAP * len(columns)
    return [max(12, min(columns[0], width - others)), *columns[1:]] if columns else []


def _beside(widths: Sequence[int], cells: Sequence[tuple[str, str]]) -> _Line:
    """Return cells beside each other, each as wide as its column."""
    line: _Line = []
    for room, (text, style) in zip(widths, cells, strict=True):
        short = text if _len(text) <= room else f"{text[: room - 3]}..."
        line += [(short, style), (" " * (room - _len(short) + _GAP), "")]
    return line


def _lines(
    widths: Sequence[int], row: Sequence[tuple[str, str]], width: int, *, beside: bool
) -> Iterator[_Line]:
    *cells, (last, style) = row
    first = _beside(widths, cells)
    indent = sum(widths) + _GAP * len(widths) if beside else 4
    folded = textwrap.wrap(last, width - indent, break_on_hyphens=False)
    if beside and folded:
        first.append((folded.pop(0), style))
    yield first
    for text in folded:
        yield [(" " * indent, ""), (text, style)]
