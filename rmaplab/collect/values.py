# SPDX-License-Identifier: GPL-2.0
"""Numbers in the diagnostics of a workload's subtests: values that it checked, instructions.

check_eq() of testcases/lib/ktap.c prints ``WHAT: GOT`` for a value that is as expected, and
``FAILED: WHAT: GOT, expected EXPECTED`` for one that is not; testcases/lib/measure.c prints
``rmaplab: instructions N``, with a name after it if the operation has one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from rmaplab.model import CheckedValue, MeasuredCost, Subtest

MAX_NUMBERS = 2000
"""Values, and costs, that a cell keeps: the first ones. A workload that prints more is no test."""

# A number of more digits is none of C's long long.
_FAILED = re.compile(r"FAILED: (.{1,200}): (-?\d{1,19}), expected (-?\d{1,19})")
_PASSED = re.compile(r"(?!FAILED: )(.{1,200}): (-?\d{1,19})")
_INSTRUCTIONS = re.compile(r"rmaplab: instructions (\d{1,18})(?: (\S.{0,99}))?")


def values(subtests: Iterable[Subtest]) -> tuple[CheckedValue, ...]:
    """Return the values that the workload checked, in the order in which it printed them."""
    return tuple(_bounded(_values(subtests)))


def costs(subtests: Iterable[Subtest]) -> tuple[MeasuredCost, ...]:
    """Return the guest instructions of each operation that the workload measured."""
    found: list[MeasuredCost] = []
    count: Counter[tuple[str, str]] = Counter()
    for subtest, line in _lines(subtests):
        if match := _INSTRUCTIONS.fullmatch(line):
            name = (match[2] or subtest).strip()
            count[subtest, name] += 1
            found.append(MeasuredCost(subtest, name, count[subtest, name], int(match[1])))
    return tuple(found[:MAX_NUMBERS])


def _values(subtests: Iterable[Subtest]) -> Iterator[CheckedValue]:
    count: Counter[tuple[str, str]] = Counter()
    for subtest, line in _lines(subtests):
        match = _FAILED.fullmatch(line) or _PASSED.fullmatch(line)
        if match is None:
            continue
        name = (subtest, match[1])
        count[name] += 1
        expected = int(match[3]) if match.re is _FAILED else None
        yield CheckedValue(*name, count[name], int(match[2]), expected)


def _lines(subtests: Iterable[Subtest]) -> Iterator[tuple[str, str]]:
    for subtest in subtests:
        for line in subtest.detail.splitlines():
            yield subtest.name, line


def _bounded(found: Iterable[CheckedValue]) -> Sequence[CheckedValue]:
    return [value for value, _ in zip(found, range(MAX_NUMBERS), strict=False)]
