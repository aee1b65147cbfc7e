# SPDX-License-Identifier: GPL-2.0
"""The testcases that reach what a series touches, by the base's records and the series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rmaplab.build import changedcode
from rmaplab.config.catalogue import Catalogue
from rmaplab.evidence.blocks import RunBlocks
from rmaplab.model import ResolvedKernel
from rmaplab.model.coverage import ChangedFile, KernelChange, LineKind, Ranges
from rmaplab.store.cache import Cache
from rmaplab.touched import TouchedPlace

# Files that no kernel is built from.
_NO_CODE = ("Documentation/", "tools/", "samples/", "MAINTAINERS", "CREDITS")


@dataclass(frozen=True, slots=True)
class Touched:
    """The functions and lines of a base that a series touches, and the testcases that ran them.

    ``unbound`` says what it touches that no line of code stands for: with any of that, no testcase
    can be left out.
    """

    places: tuple[TouchedPlace, ...]
    unbound: tuple[str, ...]


def of_series(
    kernel: ResolvedKernel,
    base: Path,
    reached: Mapping[str, RunBlocks],
    named: Mapping[str, frozenset[str]],
    cache: Cache,
) -> Touched:
    """Return what a kernel's own series touches of its base.

    ``base`` is the base's kept build folder, ``reached`` what each testcase ran of the base,
    ``named`` the testcases that are there to drive a function, by its name.
    Raises BuildError for an odd build, InfraError if the sandbox does not work.
    """
    change = changedcode.touched(kernel, base, cache)
    seen = {file.path for file in change.files}
    others = [name for name in kernel.own.files if name not in seen]
    return Touched(tuple(_places(change, reached, named)), (*_unbound(change), *_new(others)))


def named_by(catalogue: Catalogue) -> dict[str, frozenset[str]]:
    """Return the testcases that are there to drive a function, by its name."""
    driven = catalogue.driven_by().items()
    return {one.name: frozenset(t.name for t in testcases) for one, testcases in driven}


def _places(
    change: KernelChange, reached: Mapping[str, RunBlocks], named: Mapping[str, frozenset[str]]
) -> Iterator[TouchedPlace]:
    for file in change.files:
        for line in file.lines:
            if line.ranges:
                yield TouchedPlace(f"{file.path}:{line.number}", _by(line.ranges, reached))
        for one in file.functions:
            if one.ranges:
                own = named.get(one.name, frozenset())
                yield TouchedPlace(f"{one.name}()", _by(one.ranges, reached), own)


def _by(ranges: Ranges, reached: Mapping[str, RunBlocks]) -> frozenset[str]:
    return frozenset(
        name for name, ran in reached.items() if any(ran.has(begin, end) for begin, end in ranges)
    )


def _unbound(change: KernelChange) -> Iterator[str]:
    for file in change.files:
        if file.path.startswith(_NO_CODE):
            continue
        if file.loose:
            lines = ", ".join(map(str, file.loose[:4]))
            yield f"{file.path} outside of functions (lines {lines})"
        elif file.note:
            yield f"{file.path}: {file.note}"
        elif _is_in_doubt(file):
            yield f"{file.path}: no function of it is in the kernel"


def _is_in_doubt(file: ChangedFile) -> bool:
    return not file.functions and any(line.kind is not LineKind.WITHOUT_CODE for line in file.lines)


def _new(names: list[str]) -> Iterator[str]:
    for name in names:
        if not name.startswith(_NO_CODE):
            yield f"{name}, a file of another kind"
