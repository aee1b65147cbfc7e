# SPDX-License-Identifier: GPL-2.0
"""Match cells by the names of what they are made of: filters, exclusions, expectations."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping

from rmaplab.model.matrix import Cell

FIELDS = ("kernel", "guest", "settings", "device", "testcase")
"""The fields that a filter, an exclusion, an inclusion or an expectation may name."""

Patterns = Mapping[str, Iterable[str]]
"""Shell patterns by field; a field that is left out matches every cell."""


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Return whether a name matches one of some shell patterns, letter case included."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def names_of(cell: Cell) -> dict[str, tuple[str, ...]]:
    """Return the names of a cell by field; a testcase has two, its name and its id."""
    return {
        "kernel": (cell.kernel,),
        "guest": (cell.guest.name,),
        "settings": (cell.settings.name,),
        "device": (cell.devices,),
        "testcase": (cell.testcase.name, cell.testcase.id),
    }


def selects(patterns: Patterns, cell: Cell) -> bool:
    """Return whether a cell matches in every field that the patterns name."""
    names = names_of(cell)
    return all(
        any(matches(name, alternatives) for name in names[field])
        for field, alternatives in patterns.items()
    )
