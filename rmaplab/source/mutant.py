# SPDX-License-Identifier: GPL-2.0
"""Seeded bugs as files: one patch each, whose body says what breaks, with headers for the lab.

Base: base            the lab's kernel; or patched, or both: two mutants of one patch
Tree: <7.2            the kernels that it is a patch to (optional)
Testcases: A B        who should tell
Equivalent: reason    nothing can tell, and why (optional)

The name of a mutant is that of its file up to the first dot. ``NAME.7.patch`` beside ``NAME.patch``
is the same bug for other kernels.
"""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from rmaplab.errors import Diagnostic, DiagnosticsError, UserError
from rmaplab.model import Patch, version_range
from rmaplab.mutants import Mutant, MutantBase
from rmaplab.source import series

FOLDER = "patches/mutants"
_BASES = {
    "base": (MutantBase.BASE,),
    "patched": (MutantBase.PATCHED,),
    "both": (MutantBase.BASE, MutantBase.PATCHED),
}
_HEADER = re.compile(r"^(Base|Tree|Testcases|Equivalent):[ \t]*(.*(?:\n[ \t]+\S.*)*)$", re.M)


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
                name=path.name.partition(".")[0],
                path=path.resolve(),
                patch=patch,
                base=base,
                testcases=tuple(headers["Testcases"].split()),
                equivalent=headers.get("Equivalent", ""),
                tree=headers.get("Tree", ""),
            )
            for base in _BASES[headers["Base"]]
        ]
    mistakes += _overlaps(found)
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
        for wrong in _wrong(name, value, testcases):
            complain(line, wrong)
    for name in ("Base", "Testcases"):
        if name not in headers:
            complain(0, f"the header {name} is missing")
    return headers, mistakes


def _wrong(name: str, value: str, testcases: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with the value of a header."""
    if not value:
        yield f"{name} says nothing"
    elif name == "Base" and value not in _BASES:
        yield f"Base: {value!r} is none of {', '.join(_BASES)}"
    elif name == "Tree":
        try:
            version_range(value)
        except ValueError as error:
            yield f"Tree: {error}"
    elif name == "Testcases":
        yield from (f"unknown testcase {word!r}" for word in value.split() if word not in testcases)


def _overlaps(mutants: Sequence[Mutant]) -> Iterator[Diagnostic]:
    """Yield a complaint about each two variants of a mutant that are for the same kernel."""
    for one, other in itertools.combinations(mutants, 2):
        same = (one.name, one.base) == (other.name, other.base)
        if same and version_range(one.tree).overlaps(version_range(other.tree)):
            yield Diagnostic(
                other.path, 0, f"Tree: {one.path.name} is for some of these kernels, too"
            )


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
