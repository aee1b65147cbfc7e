# SPDX-License-Identifier: GPL-2.0
"""Sets of splat fingerprints: over the repeats of a row, and over the rows of a comparison.

A splat that came once in twenty repeats is in the set. Where a side has no verdict its set is not
known, and nothing is new against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rmaplab.compare.sides import Side
from rmaplab.model import ComparedSplat, RowKey, Splat, SplatChange


def new_fingerprints(base: Side, patched: Side) -> frozenset[str]:
    """Give the fingerprints that ``patched`` shows and ``base`` does not, although it could have.

    A splat that follows another is news as well, unless every guest of ``base`` died: then it never
    came to what follows.
    """
    if not base.has_verdict:
        return frozenset()
    fresh = patched.splats.keys() - base.splats.keys()
    if base.always_died:
        fresh &= {
            splat.fingerprint
            for result in patched.everything
            for splat in result.observation.splats
            if not splat.following
        }
    return frozenset(fresh)


@dataclass(slots=True)
class _Moved:
    """One fingerprint that moved one way, over the rows."""

    splat: Splat
    allowed: str
    rows: list[RowKey] = field(default_factory=list)
    seen: int = 0


class SplatTally:
    """Collects the splats of all rows."""

    def __init__(self) -> None:
        self._moved: dict[tuple[str, SplatChange], _Moved] = {}

    def add(self, key: RowKey, base: Side, patched: Side) -> None:
        """Count the splats of a row."""
        fresh = new_fingerprints(base, patched)
        for fingerprint in patched.splats:
            if fingerprint in fresh:
                self._note(key, fingerprint, SplatChange.NEW, patched)
            elif fingerprint in base.splats:
                self._note(key, fingerprint, SplatChange.SAME, patched)
        for fingerprint in sorted(new_fingerprints(patched, base)):
            self._note(key, fingerprint, SplatChange.GONE, base)

    def _note(self, key: RowKey, fingerprint: str, change: SplatChange, side: Side) -> None:
        for result in side.everything:
            for splat, allowed in result.splats:
                if splat.fingerprint != fingerprint:
                    continue
                moved = self._moved.setdefault((fingerprint, change), _Moved(splat, allowed))
                moved.allowed = moved.allowed and allowed  # allowed only if it always is
                moved.rows += [key] if key not in moved.rows[-1:] else []
                moved.seen += 1
                break

    def compared(self) -> tuple[ComparedSplat, ...]:
        """List new splats first, then gone ones, then those that both kernels show."""
        order = list(SplatChange)
        best: Mapping[str, SplatChange] = {
            fingerprint: min(
                (change for other, change in self._moved if other == fingerprint), key=order.index
            )
            for fingerprint, _ in self._moved
        }
        found = [
            ComparedSplat(
                fingerprint=fingerprint,
                kind=moved.splat.kind,
                title=moved.splat.title,
                change=change,
                rows=tuple(moved.rows),
                seen=moved.seen,
                allowed=moved.allowed,
                excerpt=moved.splat.excerpt,
            )
            for (fingerprint, change), moved in self._moved.items()
            if best[fingerprint] is change
        ]
        return tuple(
            sorted(found, key=lambda one: (order.index(one.change), one.title, one.fingerprint))
        )
