# SPDX-License-Identifier: GPL-2.0
"""Seeded bugs as files: one patch each, whose body says what breaks, with headers for the lab.

Base: base            the lab's kernel; or patched, or both: two mutants of one patch
Testcases: A B        who should tell
Equivalent: reason    nothing can tell, and why (optional)
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from rmaplab.errors import Diagnostic, DiagnosticsError, UserError
from rmaplab.model import Patch
from rmaplab.mutants import Mutant, MutantBase
from rmaplab.source import series

FOLDER = "patches/mutants"
_BASES = {
    "base": (MutantBase.BASE,),
    "patched": (MutantBase.PATCHED,),
    "both": (MutantBase.BASE, MutantBase.PATCHED),
}
_HEADER = re.compile(r"^(Base|Testcases|Equivalent):[ \t]*(.*(?:\n[ \t]+\S.*)*)$", re.M)


def read(folder: Path, testcases: Collection[str]) -> tuple[Mutant, ...]:
    """Return the mutants of a folder, by name.

    Raises UserError if there is none, DiagnosticsError with every header that is missing or wrong.
    """
    paths = sorted(folder.glob("*.patch")) if folder.is_dir() else []
    if not paths:
        raise UserError(f"{folder}: no *.patch file in this folder")
    found: list[Mutant] = []
    mistakes: list[Diagnostic] = []
    for path in paths:
        headers, wrong = _headers(path, testcases)
        patch, no_patch = (None, []) if wrong else _patch(path)
        mistakes += [*wrong, *no_patch]
        if patch is None:
            continue
        found += [
            Mutant(
                name=path.stem,
                path=path.resolve(),
                patch=patch,
                base=base,
                testcases=tuple(headers["Testcases"].split()),
                equivalent=headers.get("Equivalent", ""),
            )
            for base in _BASES[headers["Base"]]
        ]
    if mistakes:
        raise DiagnosticsError(mistakes, hint="what a mutant's headers say: docs/mutants.md")
    return tuple(found)


def _headers(path: Path, testcases: Collection[str]) -> tuple[dict[str, str], list[Diagnostic]]:
    """Read the headers of a mutant's file, and what is wrong with them."""
    text = path.read_text(encoding="utf-8", errors="replace")
    body = text.partition("\n---\n")[0]
    headers: dict[str, str] = {}
    mistakes: list[Diagnostic] = []

    def complain(line: int, message: str) -> None:
        mistakes.append(Diagnostic(path, line, message))

    for match in _HEADER.finditer(body):
        line = body.count("\n", 0, match.start()) + 1
        name, value = match[1], " ".join(match[2].split())
        if name in headers:
            complain(line, f"{name} is here twice")
        headers[name] = value
        if not value:
            complain(line, f"{name} says nothing")
        elif name == "Base" and value not in _BASES:
            complain(line, f"Base: {value!r} is none of {', '.join(_BASES)}")
        elif name == "Testcases":
            for word in value.split():
                if word not in testcases:
                    complain(line, f"unknown testcase {word!r}")
    for name in ("Base", "Testcases"):
        if name not in headers:
            complain(0, f"the header {name} is missing")
    return headers, mistakes


def _patch(path: Path) -> tuple[Patch | None, list[Diagnostic]]:
    patches = series.load(str(path.resolve()), path.parent).patches
    if len(patches) != 1:
        return None, [Diagnostic(path, 0, "a mutant is one patch")]
    return patches[0], []


def select(mutants: Sequence[Mutant], patterns: Sequence[str]) -> tuple[Mutant, ...]:
    """Return the mutants whose names match one of the patterns; all, without any.

    Raises UserError for a pattern that matches none.
    """
    chosen = set(_matching(mutants, patterns))
    return tuple(m for m in mutants if m.name in chosen) if patterns else tuple(mutants)


def _matching(mutants: Sequence[Mutant], patterns: Sequence[str]) -> Iterator[str]:
    names = {mutant.name for mutant in mutants}
    for pattern in patterns:
        matches = fnmatch.filter(names, pattern)
        if not matches:
            raise UserError(
                f"--only: no mutant matches {pattern!r}",
                hint=f"there are: {', '.join(sorted(names))}",
            )
        yield from matches
