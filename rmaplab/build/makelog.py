# SPDX-License-Identifier: GPL-2.0
"""The log of a build: whose fault a failed make is, and its first errors."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rmaplab.build import sandbox
from rmaplab.build.sandbox import Ended
from rmaplab.errors import BuildError, InfraError
from rmaplab.text import printable

_SHOWN_ERRORS = 5
_SHOWN_LINES = 8
_NO_SPACE = "No space left on device"


def failure(text: str, targets: Sequence[str], ended: Ended) -> BuildError | InfraError:
    """Return the error of a make that failed: the tree's fault, or the lab's.

    ``text`` is the build's log, which may say anything, ``targets`` are make's. The disk was looked
    at, and no word of the log is believed on it.
    """
    said = f"make {' '.join(targets)} failed"
    if ended.short:
        return InfraError(f"{ended.short} while building a kernel", hint="free some: lab.py clean")
    if ended.stopped:
        return BuildError(f"{said}: {ended.stopped}")
    errors = first_errors(text) or text.splitlines()[-_SHOWN_LINES:]
    shown = "\n".join(f"  {printable(line)}" for line in errors)
    hint = f"the log says {_NO_SPACE!r}, but the disk had some all the time"
    return BuildError(f"{said}:\n{shown}", hint=hint if _NO_SPACE in text else "")


def first_errors(text: str) -> list[str]:
    """Return the first errors of a build log, with file and line as the tree has them."""
    found: dict[str, None] = {}
    for line in text.splitlines():
        match = re.match(
            r"(?:\.\./source/|/kernel/source/)?(\S+?:\d+:(?:\d+:)?) (?:fatal )?error: (.*)", line
        )
        if match:
            found[f"{sandbox.tree_path(match[1])} error: {match[2]}"] = None
        elif re.search(
            r"undefined reference to|multiple definition of|^make\S*: \*\*\* No rule", line
        ):
            found[sandbox.tree_path(line.strip())] = None
    if not found:
        found = {
            line.strip(): None
            for line in text.splitlines()
            if re.match(r"make(\[\d+\])?: \*\*\*", line)
        }
    return list(found)[:_SHOWN_ERRORS]
