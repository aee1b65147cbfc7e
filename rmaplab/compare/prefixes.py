# SPDX-License-Identifier: GPL-2.0
"""Put the comparisons of a series' prefixes with base together: which patch changes what. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rmaplab.model import Change, Comparison, ComparisonRow
from rmaplab.model.prefixes import Episode, PatchFacts, PatchRow, PatchTable

_Key = tuple[str, str, str, str]


def table(patches: Sequence[PatchFacts], comparisons: Mapping[str, Comparison]) -> PatchTable:
    """Return the table of a series, from the comparison of base with each kernel, by name."""
    by_kernel = {
        name: {_key(row): row for row in comparison.rows}
        for name, comparison in comparisons.items()
    }
    keys = dict.fromkeys(key for rows in by_kernel.values() for key in rows)
    rows = []
    for key in keys:
        found = [by_kernel.get(patch.kernel, {}).get(key) for patch in patches]
        rows.append(
            PatchRow(
                *key,
                tuple(None if row is None else row.change for row in found),
                tuple("" if row is None else row.detail for row in found),
            )
        )
    return PatchTable(tuple(patches), tuple(rows), tuple(_together(patches, rows)))


def _key(row: ComparisonRow) -> _Key:
    return row.testcase, row.settings, row.guest, row.device


def episodes(numbers: Sequence[int], row: PatchRow) -> Iterator[Episode]:
    """Yield the episodes of a row.

    A patch without a result neither begins nor ends one: what is not known there is known at the
    next.
    """
    open_at, kind, why = 0, Change.SAME_PASS, ""
    for number, change, detail in zip(numbers, row.changes, row.details, strict=True):
        if change is None:
            continue
        state = _state(change)
        if open_at and state != _state(kind):
            yield Episode(row.testcase, kind, open_at, number, 1, why)
            open_at = 0
        if not open_at and state:
            open_at, kind, why = number, change, detail
    if open_at:
        yield Episode(row.testcase, kind, open_at, 0, 1, why)


def _state(change: Change) -> int:
    """Return 1 for better than base, -1 for worse, 0 for the same."""
    return -1 if change.is_bad else int(change is Change.FIXED)


def _together(patches: Sequence[PatchFacts], rows: Iterable[PatchRow]) -> Iterator[Episode]:
    """Yield the episodes of all rows, those of a testcase that say the same as one."""
    numbers = [patch.number for patch in patches]
    groups: dict[tuple[str, int, int, int], list[Episode]] = {}
    for row in rows:
        for one in episodes(numbers, row):
            key = one.testcase, _state(one.change), one.since, one.until
            groups.setdefault(key, []).append(one)
    for some in groups.values():
        worst = max(some, key=lambda one: one.change.rank)
        yield Episode(worst.testcase, worst.change, worst.since, worst.until, len(some), worst.why)
