# SPDX-License-Identifier: GPL-2.0
"""Make text that a guest, a patch series or a tool wrote safe to show.

Every report and everything on the terminal goes through these two functions. Control characters
could move the cursor, set the terminal's title or hide what follows; format characters (Unicode's
category Cf, which has the bidirectional overrides) could show words in another order than they
are; surrogates cannot even be written as UTF-8. All of them become escapes that can be read.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable

_DEL = 0x7F
_NAMED = 12
"""The most names that near_miss() lists."""


class _Escapes(dict[int, str]):
    """The replacement of each code point, for str.translate; filled as code points come."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        shown = char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        self[code] = shown
        return shown


_ONE_LINE = _Escapes()
_LINES = _Escapes({ord("\n"): "\n", ord("\t"): "\t"})


def printable(text: str) -> str:
    r"""Return a text for one line: what is not printable as ``\x1b``, ``\u202e``, ``\n``."""
    return text if text.isprintable() else text.translate(_ONE_LINE)


def printable_lines(text: str) -> str:
    """Return a text of several lines, made printable but for its line ends and tabs."""
    return text if text.isprintable() else text.translate(_LINES)


def json_printable(text: str) -> str:
    """Return JSON with what is not printable in its texts as JSON's own escapes."""
    if text.isascii() and "\x7f" not in text:
        return text
    odd = {ord(char) for char in text if not (char.isprintable() or char in "\n\t")}
    return text.translate({code: json.dumps(chr(code))[1:-1] for code in odd if code > _DEL - 1})


def near_miss(word: str, known: Iterable[str], aliases: Iterable[str] = ()) -> str:
    """Return ``; did you mean 'x'?`` for a known word or alias that is close, else what is known.

    The known words are listed without their aliases, the first of them if they are many.
    """
    names = sorted(known)
    close = difflib.get_close_matches(word, [*names, *aliases], n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"; known: {', '.join(names[:_NAMED])}{more}"
