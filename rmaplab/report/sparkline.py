# SPDX-License-Identifier: GPL-2.0
"""Numbers as a line of little bars, in a font's block characters or in ASCII."""

from __future__ import annotations

from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.:-=+*#"
_NOTHING = "·", " "


def sparkline(
    values: Sequence[float | None], *, low: float, high: float, plain: bool = False
) -> str:
    """Return a bar for each value between two limits, and a dot for one that is not there."""
    bars, nothing = (_ASCII, _NOTHING[1]) if plain else (_BLOCKS, _NOTHING[0])
    span = high - low
    line = []
    for value in values:
        if value is None:
            line.append(nothing)
            continue
        part = (value - low) / span if span > 0 else 0.5
        # Only a whole rate has the whole bar: 99 of 100 must not look like it.
        line.append(bars[max(0, min(len(bars) - 1, int(part * (len(bars) - 1))))])
    return "".join(line)


def of_costs(values: Sequence[float | None], *, plain: bool = False) -> str:
    """Return a line between the smallest and the largest of the values, which may be alike."""
    known = [value for value in values if value is not None]
    if not known:
        return sparkline(values, low=0, high=1, plain=plain)
    low, high = min(known), max(known)
    if high - low < 0.25 * high:  # what differs by less is noise, and no mountains
        low, high = low - high, low + high
    return sparkline(values, low=low, high=high, plain=plain)
