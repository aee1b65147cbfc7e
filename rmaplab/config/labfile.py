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
from rmaplab.config.yamlsource import Document, Location, near_miss
from rmaplab.model import Expectation, Kernel, Lab, Outcome, Testcase, TestcaseKind, Verdict

T = TypeVar("T")


def read(path: Path, catalogue: Catalogue) -> Lab:
    """Read and resolve a lab file.

    Raises UserError if it cannot be read, FileMistakes with all its mistakes, each with file,
    line and what was expected.
    """
    document = yamlsource.load(path)
    entry = schema.validate(document, schema.LabFile)
    if entry is None:
        document.check()
        raise AssertionError("a file that does not validate has mistakes")
    kernels = _kernels(document, entry.kernels, catalogue)
    guests = _pick(document, "guests", "guest", entry.guests, catalogue.guests)
    settings = _pick(document, "settings", "settings", entry.settings, catalogue.settings)
    testcases = _testcases(document, entry.testcases, catalogue.testcases)
    _check_overlap(document, [one.name for one in settings], testcases)
    expectations = _expectations(document, entry.expect, [kernel.name for kernel in kernels])
    document.check()
    return Lab(
        name=entry.name,
        path=path.resolve(),
        kernels=kernels,
        guests=guests,
        settings=settings,
        testcases=testcases,
        repeat=entry.repeat,
        expectations=expectations,
    )


def _kernels(
    document: Document, entries: Sequence[schema.KernelEntry], catalogue: Catalogue
) -> tuple[Kernel, ...]:
    seen: set[str] = set()
    for number, entry in enumerate(entries):
        if entry.name in seen:
            document.complain(("kernels", number, "name"), f"two kernels are named {entry.name!r}")
        seen.add(entry.name)
        for place, fragment in enumerate(entry.config):
            if fragment not in catalogue.fragments:
                document.complain(
                    ("kernels", number, "config", place),
                    f"unknown Kconfig fragment {fragment!r}"
                    f"{near_miss(fragment, catalogue.fragments)}",
                )
    return tuple(Kernel(e.name, e.tree, e.series, tuple(e.config)) for e in entries)


def _pick(
    document: Document, key: str, noun: str, patterns: Sequence[str], known: Mapping[str, T]
) -> tuple[T, ...]:
    """The known things that match the patterns, in the catalogue's order, each once."""
    wanted: set[str] = set()
    for number, pattern in enumerate(patterns):
        matches = fnmatch.filter(known, pattern)
        if not matches:
            document.complain(
                (key, number), f"unknown {noun} {pattern!r}{near_miss(pattern, known)}"
            )
        wanted.update(matches)
    return tuple(thing for name, thing in known.items() if name in wanted)


def _testcases(
    document: Document, patterns: Sequence[str], known: Mapping[str, Testcase]
) -> tuple[Testcase, ...]:
    """Testcases by name, pattern or id. A pattern never takes in the lab's selftests."""
    names = {testcase.id: testcase.name for testcase in known.values()}
    wanted: set[str] = set()
    for number, pattern in enumerate(patterns):
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


def _expectations(
    document: Document, entries: Sequence[schema.ExpectEntry], kernels: Sequence[str]
) -> tuple[Expectation, ...]:
    found: list[Expectation] = []
    for number, entry in enumerate(entries):
        where: Location = ("expect", number)
        if not fnmatch.filter([*kernels, "base", "patched"], entry.kernel):
            document.complain(
                (*where, "kernel"),
                f"unknown kernel {entry.kernel!r}{near_miss(entry.kernel, kernels)}",
            )
        try:
            re.compile(entry.splat)
        except re.error as error:
            document.complain((*where, "splat"), f"not a regular expression: {error}")
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
                line=document.line(where),
            )
            for pattern in patterns
        ]
    return tuple(found)
