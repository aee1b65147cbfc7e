# SPDX-License-Identifier: GPL-2.0
"""Count hostile attempts by family, and print what became of them as a Markdown table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace

TRIED = "tried"
LOST = "lost"
REPEATED = "repeated"
FALSE = "false_failures"


@dataclass(frozen=True)
class Figures:
    """Count what became of the attempts of a family.

    ``control`` are attempts without the protection, which have to do their harm. ``lost`` and
    ``repeated`` are results after a fault, ``false_failures`` failures of an innocent kernel.
    """

    tried: int = 0
    contained: int = 0
    control: int = 0
    broken: int = 0
    lost: int = 0
    repeated: int = 0
    false_failures: int = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            **{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)}
        )


def of_test(passed: bool, control: bool, noted: Mapping[str, int]) -> Figures:
    """Return the figures of one test; ``noted`` are those that it recorded itself.

    A test is one attempt unless it recorded how many it made.
    """
    own = replace(
        Figures(),
        lost=noted.get(LOST, 0),
        repeated=noted.get(REPEATED, 0),
        false_failures=noted.get(FALSE, 0),
        broken=0 if passed else 1,
    )
    if control:
        return replace(own, control=1)
    tried = noted.get(TRIED, 1)
    return replace(own, tried=tried, contained=tried if passed else 0)


def table(families: Mapping[str, Figures]) -> str:
    """Return the figures as a table with a row for each family and one for all."""
    whole = sum(families.values(), Figures())
    rows = [*sorted(families.items()), ("all", whole)]
    return "\n".join(
        [
            "| family | tried | contained | controls | lost | repeated | false failures |",
            "|---|---|---|---|---|---|---|",
            *(_row(name, one) for name, one in rows),
        ]
    )


def _row(name: str, one: Figures) -> str:
    cells: Iterable[object] = (
        name, one.tried, one.contained, one.control, one.lost, one.repeated, one.false_failures,
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"
