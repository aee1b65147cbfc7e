# SPDX-License-Identifier: GPL-2.0
"""The subtests of the kernel tree's selftests: ``NAME.subtests`` beside each YAML file.

A section a kernel version, ``[6.12]``, holds the names of the subtests, one a line; a section
``[6.1] exit status`` says that the program of that version prints no KTAP, so that its exit status
is all there is. ``*`` in a name matches the part that differs between runs. A version without a
section of its own has that of the newest before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from rmaplab.errors import UserError
from rmaplab.model import Testcase, version_numbers

Names = tuple[str, ...] | None
"""The subtests of a version; None if the exit status is all there is."""

_SECTION = re.compile(r"\[(\d+\.\d+)\](?: (exit status))?")
_HEAD = """\
# SPDX-License-Identifier: GPL-2.0
# What this program prints, a section a kernel version. Made by: lab.py new subtests RUN
"""


def path_of(testcase: Testcase) -> Path:
    """Return the path of a testcase's list."""
    return testcase.source.with_suffix(".subtests")


def series_of(version: str) -> str:
    """Return the kernel series of a version: ``6.12`` of ``6.12.117``; empty if it has none."""
    match = re.match(r"\d+\.\d+", version)
    return match[0] if match else ""


def read(path: Path) -> dict[str, Names]:
    """Return the lists of a file by version; none without a file. Raises UserError if malformed."""
    if not path.exists():
        return {}
    found: dict[str, list[str] | None] = {}
    section = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        match = _SECTION.fullmatch(line)
        if match is not None:
            section = match[1]
            found[section] = None if match[2] else []
        elif line and not line.startswith("# "):
            names = found.get(section)
            if names is None:
                raise UserError(f"{path}:{number}: a name outside of a section such as [6.12]")
            names.append(line)
    return {name: None if names is None else tuple(names) for name, names in found.items()}


def for_version(lists: Mapping[str, Names], version: str) -> tuple[str, Names]:
    """Return the section that holds for a tree's version, and its list; both empty if none does."""
    wanted = version_numbers(series_of(version))
    older = [name for name in lists if version_numbers(name) <= wanted]
    if not older:
        return "", ()
    newest = max(older, key=version_numbers)
    return newest, lists[newest]


def write(path: Path, lists: Mapping[str, Names]) -> None:
    """Write a file of lists, the oldest version first."""
    parts = [_HEAD]
    for version in sorted(lists, key=version_numbers):
        names = lists[version]
        parts.append(f"[{version}]" + (" exit status" if names is None else "") + "\n")
        parts += [f"{name}\n" for name in names or ()]
    path.write_text("".join(parts), encoding="utf-8")
