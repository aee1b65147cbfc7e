# SPDX-License-Identifier: GPL-2.0
"""Markdown out of text of unknown origin: tables, folded blocks, and a page cut to a size."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from rmaplab.text import printable, printable_lines

MAX_CHARS = 60_000
"""A comment on GitHub may have 65,536 characters, a note on GitLab a million."""


def escape(text: str) -> str:
    """Escape text of unknown origin for a Markdown table cell."""
    safe = printable(" ".join(text.split()))
    for char in "\\`*_{}[]<>|~#@!":
        safe = safe.replace(char, "\\" + char)
    return safe.replace("&", "&amp;")


def shortened(text: str, width: int = 300) -> str:
    """Cut a text at a width, and say so by three dots."""
    return text if len(text) <= width else text[: width - 3].rstrip() + "..."


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return a table, its cells escaped; nothing if it has no rows."""
    lines = [f"| {' | '.join(escape(str(cell)) for cell in row)} |" for row in rows]
    if not lines:
        return []
    head = f"| {' | '.join(escape(title) for title in titles)} |"
    return [head, "|---" * len(titles) + "|", *lines, ""]


def folded(title: str, lines: Sequence[str]) -> list[str]:
    """Return lines that a reader has to unfold; nothing if there are none."""
    if not lines:
        return []
    summary = html.escape(printable(" ".join(title.split())))
    return [f"<details><summary>{summary}</summary>", "", *lines, "</details>", ""]


def code(text: str) -> list[str]:
    """Return a block of code that no text can end."""
    safe = printable_lines(text)
    longest = max((len(ticks) for ticks in re.findall(r"`+", safe)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, *safe.split("\n"), fence, ""]


def page(blocks: Iterable[Sequence[str]], pointer: str, limit: int = MAX_CHARS) -> str:
    """Put blocks onto a page until it is full; then ``pointer`` says where the rest is.

    A block that does not fit is left out whole, so that no table or fold is cut; a table without
    folds is cut between its rows.
    """
    lines: list[str] = []
    room, left_out = limit - len(pointer) - 40, 0
    for block in blocks:
        size = sum(len(line) + 1 for line in block)
        if size <= room:
            lines += block
            room -= size
            continue
        left_out += 1
        if not any(line.startswith(("<", "```")) for line in block):
            for line in block:
                if len(line) + 1 > room:
                    break
                lines.append(line)
                room -= len(line) + 1
            lines.append("")
        room = min(room, 2000)  # what follows matters less; let it be short
    if left_out:
        lines += ["", f"*Cut: {escape(pointer)}*"]
    return "\n".join(lines).rstrip() + "\n"
