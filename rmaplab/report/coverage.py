# SPDX-License-Identifier: GPL-2.0
"""The coverage of a series as lines of text, for the terminal and summary.md."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from rmaplab.model.coverage import FunctionCoverage, Reach, SeriesCoverage

SHOWN = 12
"""Places that were not run, of those that a line names."""


def headline(found: SeriesCoverage) -> str:
    """Return the number of changed lines that were run, in a line."""
    if found.error:
        return f"what was run of the series is not known: {found.error}"
    counts = found.counts
    total = found.with_code
    if not total:
        text = "none of the changed lines has code in this kernel"
    else:
        text = f"{counts[Reach.RUN]} of {total} changed lines were run"
        if not found.cells:
            text = f"no cell of {found.kernel} was recorded"
    return f"{text}{_apart(found)}"


def _apart(found: SeriesCoverage) -> str:
    """Return the changed lines that are not counted, in brackets."""
    kinds = (Reach.WITHOUT_CODE, Reach.NOT_BUILT, Reach.UNKNOWN)
    parts = [f"{count} {kind}" for kind in kinds if (count := found.counts[kind])]
    return f" ({', '.join(parts)})" if parts else ""


def not_run(found: SeriesCoverage) -> Sequence[str]:
    """Return the places that were not run: ``mm/rmap.c:1234-1236``."""
    return list(_places(found.not_run))


def _places(lines: Iterable[tuple[str, int]]) -> Iterator[str]:
    for path, some in itertools.groupby(lines, key=lambda one: one[0]):
        spans: list[list[int]] = []
        for _, number in some:
            if spans and number == spans[-1][1] + 1:
                spans[-1][1] = number
            else:
                spans.append([number, number])
        for first, last in spans:
            yield f"{path}:{first}" + (f"-{last}" if last > first else "")


def functions_not_run(found: SeriesCoverage) -> Sequence[str]:
    """Return the changed functions that were not run, each with the reason if there is one."""
    return [
        f"{one.name}()" + (f" ({one.note})" if one.note else "")
        for one in _functions(found)
        if one.reach is Reach.NOT_RUN
    ]


def _functions(found: SeriesCoverage) -> Iterator[FunctionCoverage]:
    for file in found.files:
        yield from file.functions


def lines(found: SeriesCoverage) -> Iterator[str]:
    """Yield the answer: the number, what was not run, what is in doubt."""
    yield headline(found)
    for title, some in (
        ("not run", not_run(found)),
        ("functions not run", functions_not_run(found)),
        ("in doubt", [f"{f.path}: {f.note}" for f in found.files if f.note]),
        ("records that are not whole", found.incomplete),
    ):
        if some:
            more = f" and {len(some) - SHOWN} more" if len(some) > SHOWN else ""
            yield f"{title}: {', '.join(some[:SHOWN])}{more}"
