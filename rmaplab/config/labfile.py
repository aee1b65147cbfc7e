# SPDX-License-Identifier: GPL-2.0
"""From a lab file to a Lab: every name resolved, every mistake reported at once."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from rmaplab.config import schema, yamlsource
from rmaplab.config.catalogue import Catalogue
from rmaplab.config.yamlsource import Document, near_miss
from rmaplab.model import Expectation, Kernel, Lab, Outcome, Testcase, TestcaseKind, Verdict

T = TypeVar("T")


def read(path: Path, catalogue: Catalogue) -> Lab:
    """Read and resolve a lab file.

    Raises UserError if it cannot be read, FileMistakes with all its mistakes, each with file,
    line and what was expected.
    """
    document = yamlsource.load(path)
    entry = schema.validate(document, schema.LabFile)
    # The names are checked in what the file says, valid or not: one mistake of shape must not
    # hide the others.
    _check_kernels(document, catalogue)
    guests = _pick(document, "guests", "guest", catalogue.guests)
    settings = _pick(document, "settings", "settings", catalogue.settings)
    testcases = _testcases(document, catalogue.testcases)
    _check_expectations(document)
    if entry is None:
        document.check()
        raise AssertionError("a file that does not validate has mistakes")
    _check_overlap(document, [one.name for one in settings], testcases)
    document.check()
    return Lab(
        name=entry.name,
        path=path.resolve(),
        kernels=tuple(Kernel(e.name, e.tree, e.series, tuple(e.config)) for e in entry.kernels),
        guests=guests,
        settings=settings,
        testcases=testcases,
        repeat=entry.repeat,
        expectations=_expectations(document, entry.expect),
    )


def _items(mapping: object, key: str, kind: type[T]) -> list[tuple[int, T]]:
    """What a list in a mapping has of one type, each with its place; the rest is no list's."""
    value = mapping.get(key) if isinstance(mapping, dict) else None
    items = enumerate(value) if isinstance(value, list) else ()
    return [(number, item) for number, item in items if isinstance(item, kind) and item]


def _check_kernels(document: Document, catalogue: Catalogue) -> None:
    seen: set[str] = set()
    for number, entry in _items(document.value, "kernels", dict):
        name = entry.get("name")
        if isinstance(name, str):
            if name in seen:
                document.complain(("kernels", number, "name"), f"two kernels are named {name!r}")
            seen.add(name)
        for place, fragment in _items(entry, "config", str):
            if fragment not in catalogue.fragments:
                document.complain(
                    ("kernels", number, "config", place),
                    f"unknown Kconfig fragment {fragment!r}"
                    f"{near_miss(fragment, catalogue.fragments)}",
                )


def _pick(document: Document, key: str, noun: str, known: Mapping[str, T]) -> tuple[T, ...]:
    """The known things that match the patterns, in the catalogue's order, each once."""
    wanted: set[str] = set()
    for number, pattern in _items(document.value, key, str):
        matches = fnmatch.filter(known, pattern)
        if not matches:
            document.complain(
                (key, number), f"unknown {noun} {pattern!r}{near_miss(pattern, known)}"
            )
        wanted.update(matches)
    return tuple(thing for name, thing in known.items() if name in wanted)


def _testcases(document: Document, known: Mapping[str, Testcase]) -> tuple[Testcase, ...]:
    """Testcases by name, pattern or id. A pattern never takes in the lab's selftests."""
    names = {testcase.id: testcase.name for testcase in known.values()}
    wanted: set[str] = set()
    for number, pattern in _items(document.value, "testcases", str):
        exact = names.get(pattern, pattern)
        matches = [
            name
            for name in fnmatch.filter(known, exact)
            if name == exact or known[name].kind is not TestcaseKind.SELFTEST
        ]
        if not matches:
            hint = near_miss(pattern, [*known, *names])
            document.complain(("testcases", number), f"unknown testcase {pattern!r}{hint}")
        wanted.update(matches)
    return tuple(testcase for name, testcase in known.items() if name in wanted)


def _check_overlap(
    document: Document, settings: Sequence[str], testcases: Sequence[Testcase]
) -> None:
    if settings and testcases and not any(set(t.settings) & set(settings) for t in testcases):
        makes_sense = sorted({name for testcase in testcases for name in testcase.settings})
        document.complain(
            ("settings",),
            "the matrix is empty: none of these testcases makes sense under these settings; "
            f"they run under {', '.join(makes_sense)}",
        )


def _check_expectations(document: Document) -> None:
    entries = _items(document.value, "kernels", dict)
    kernels = [entry["name"] for _, entry in entries if isinstance(entry.get("name"), str)]
    for number, entry in _items(document.value, "expect", dict):
        kernel, splat = entry.get("kernel"), entry.get("splat")
        # A kernel whose name is missing might be the one that is meant.
        if (
            isinstance(kernel, str)
            and kernel
            and kernels
            and len(kernels) == len(entries)
            and not fnmatch.filter([*kernels, "base", "patched"], kernel)
        ):
            document.complain(
                ("expect", number, "kernel"),
                f"unknown kernel {kernel!r}{near_miss(kernel, kernels)}",
            )
        if isinstance(splat, str):
            try:
                re.compile(splat)
            except re.error as error:
                document.complain(("expect", number, "splat"), f"not a regular expression: {error}")


def _expectations(
    document: Document, entries: Sequence[schema.ExpectEntry]
) -> tuple[Expectation, ...]:
    found: list[Expectation] = []
    for number, entry in enumerate(entries):
        patterns = [entry.testcase] if isinstance(entry.testcase, str) else entry.testcase
        found += [
            Expectation(
                kernel=entry.kernel,
                testcase=pattern,
                guest=entry.guest,
                settings=entry.settings,
                verdict=Verdict(entry.verdict),
                outcome=Outcome(entry.outcome),
                splat=entry.splat,
                subtests=tuple(entry.subtests),
                reason=entry.reason,
                line=document.line(("expect", number)),
            )
            for pattern in patterns
        ]
    return tuple(found)
