# SPDX-License-Identifier: GPL-2.0
"""Check regular expressions of lab files: a match of any title has to end soon.

Python's matcher tries every way to part a text among repeats that stand in one another, and there
are exponentially many: ``(a+)+$`` takes years for a title of 60 letters.
"""

from __future__ import annotations

import re

MAX_LENGTH = 1000


def fault(pattern: str) -> str:
    """Return why a text is no regular expression that the lab takes, or an empty string."""
    if len(pattern) > MAX_LENGTH:
        return f"a regular expression of {len(pattern)} characters: at most {MAX_LENGTH}"
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"not a regular expression: {error}"
    if _repeats_a_group(pattern):
        return "a group in brackets is repeated: that can take for ever; write it without"
    return ""


def _repeats_a_group(pattern: str) -> bool:
    """Return whether a quantifier other than ``?`` follows a group."""
    in_set, place = False, 0
    while place < len(pattern):
        char = pattern[place]
        if char == "\\":
            place += 1
        elif in_set:
            in_set = char != "]"
        elif char == "[":
            in_set = True
            # A bracket that comes first in a set stands for itself.
            place += len(re.match(r"\^?\]?", pattern[place + 1 :])[0])  # type: ignore[index]
        elif char == ")" and pattern[place + 1 : place + 2] in {"*", "+", "{"}:
            return True
        place += 1
    return False
