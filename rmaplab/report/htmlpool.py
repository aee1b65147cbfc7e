# SPDX-License-Identifier: GPL-2.0
"""Texts of a page, each kept once and made printable, within a bound."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rmaplab.text import printable_lines

LINE = 400
"""Characters of a reason, a name, a title."""
TEXT = 24_000
"""Characters of a subtest's diagnostics, of a splat's excerpt."""


def cut(text: str, limit: int) -> str:
    """Return the beginning of a text that is too long, with a word on what is missing."""
    more = len(text) - limit
    return f"{text[:limit]} [... {more} more characters]" if more > 0 else text


class Pool:
    """Strings by number: cells mostly say the same, so a number stands for a text.

    Whatever a guest wrote gets onto the page through here. ``spent`` is how many bytes of the page
    the texts take.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.spent = 0
        self._numbers: dict[str, int] = {}

    def line(self, text: str) -> int:
        """Return the number of a name or a reason."""
        return self.text(text, LINE)

    def text(self, text: str, limit: int = TEXT) -> int:
        """Return the number of a text, cut at its limit, with a word on what is missing."""
        text = cut(text, limit)
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self.texts)
            shown = printable_lines(text)
            self.texts.append(shown)
            self.spent += len(shown.encode()) + 4
        return number

    def lines(self, texts: Sequence[str]) -> list[int]:
        """Return the numbers of several names."""
        return [self.line(one) for one in texts]


class Blocks:
    """Lists of facts by number, each kept once."""

    def __init__(self) -> None:
        self.blocks: list[Any] = []
        self.spent = 0
        self._numbers: dict[str, int] = {}

    def add(self, block: Any) -> int:
        """Return the number of a block."""
        key = json.dumps(block, separators=(",", ":"))
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.blocks)
            self.blocks.append(block)
            self.spent += len(key) + 1
        return number


def script_safe(data: Any) -> str:
    """Return data as JSON that ends no script element and opens no comment in one."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
