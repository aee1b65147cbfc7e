# SPDX-License-Identifier: GPL-2.0
"""The log of a build: whose fault a failed make is, and its first errors."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from rmaplab.build import sandbox
from rmaplab.errors import BuildError, InfraError

_SHOWN_ERRORS = 5
_SHOWN_LINES = 8
_FULL_DISK_BYTES = 16 << 20
_NO_SPACE = "No space left on device"
# A tool that could not write says so in these words, source code that has the words does not.
_CANNOT_WRITE = re.compile(
    r"^(?!.*#\s*(?:error|warning)\b)"
    r"(?:.*(?:write error|error writing|can(?:no|'|)t (?:create|open|write|close)"
    r"|couldn't (?:flush|write)|final (?:link|close) failed).*"
    r"|(?:\S*/)?(?:ar|as|cat|cp|gzip|ld|make|mv|objcopy|sed|sh|strip)\b.*): '?"
    + _NO_SPACE
    + r"'?$",
    re.M,
)


def failure(text: str, targets: Sequence[str], folder: Path) -> BuildError | InfraError:
    """Return the error of a make that failed: the tree's fault, or the lab's.

    ``text`` is the build's log, ``targets`` are make's, ``folder`` is on the disk of the build.
    """
    last = text.strip().splitlines()[-1:] or ["(no output)"]
    if last[0].startswith("bwrap: "):
        return InfraError(
            f"the build sandbox did not start: {last[0]}",
            hint="bubblewrap needs user namespaces: see 'lab.py doctor'",
        )
    if disk_was_full(text, folder):
        return InfraError(
            "the disk is full while building a kernel", hint="free some: lab.py clean"
        )
    errors = first_errors(text) or text.splitlines()[-_SHOWN_LINES:]
    shown = "\n".join(f"  {line}" for line in errors)
    return BuildError(f"make {' '.join(targets)} failed:\n{shown}")


def disk_was_full(text: str, folder: Path) -> bool:
    """Return whether a build failed for want of space; the words may be the source code's."""
    if _NO_SPACE not in text:
        return False
    return (
        shutil.disk_usage(folder).free < _FULL_DISK_BYTES or _CANNOT_WRITE.search(text) is not None
    )


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
