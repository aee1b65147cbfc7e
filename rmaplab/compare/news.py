# SPDX-License-Identifier: GPL-2.0
"""The facts that speak against B and not against A, although A could have shown them.

The order of ``NewsKind`` is the order in which they decide a row (docs/comparison.md).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rmaplab.compare.sides import Reach, Shown, Side
from rmaplab.compare.splats import new_fingerprints
from rmaplab.model import Outcome, span


class NewsKind(enum.StrEnum):
    """Name a kind of fact that is new on B."""

    SPLAT = "new splat"
    """A complaint that nobody allowed."""
    END = "worse end"
    """The workload or the guest did not live to its end, in a way that A does not show."""
    TAINT = "taint"
    """The kernel tainted itself, and its console does not say why."""
    RESULT = "fails on patched only"
    """A subtest, or a check of the lab's."""
    AMOUNT = "worse"
    """A finding of both kernels, by more than on A."""


@dataclass(frozen=True, slots=True)
class News:
    """One fact that is new on B.

    ``about`` is a splat's title, the outcome, or the name of a result; ``shown`` is that result.
    """

    kind: NewsKind
    about: str
    outcome: Outcome | None = None
    shown: Shown | None = None


# Ends from the best to the worst. A guest that never booted is worse than one that died in a test.
_GRAVITY = {
    Outcome.COMPLETED: 0,
    Outcome.SPLAT: 0,
    Outcome.TIMEOUT: 1,
    Outcome.HANG: 2,
    Outcome.PANIC: 2,
    Outcome.LOST: 2,
    Outcome.INFRA: 2,
    Outcome.BOOT_FAILED: 3,
}


def news(base: Side, patched: Side) -> tuple[News, ...]:
    """List the facts that speak against ``patched`` alone, in the order in which they decide."""
    if not base.has_verdict:
        return ()
    found = [*_splats(base, patched), *_ends(base, patched), *_taint(base, patched)]
    found += [
        News(NewsKind.RESULT, one.title, shown=one)
        for one in _failing_on(base, patched)
        if base.could_show(one) and not base.could_not_check(one)
    ]
    return (*found, *_amounts(base, patched))


def not_reached(base: Side, patched: Side) -> tuple[str, ...]:
    """List the failures of ``patched`` that no repeat of ``base`` came to."""
    found = [one.title for one in _failing_on(base, patched) if not base.could_show(one)]
    if patched.taint & ~base.taint and base.reach < Reach.LIMIT:
        found.append("kernel taint")
    return tuple(sorted(found))


def not_checked(base: Side, patched: Side) -> tuple[str, ...]:
    """List the failures of ``patched`` that the lab could not check on ``base``."""
    found = (one for one in _failing_on(base, patched) if base.could_not_check(one))
    return tuple(sorted(one.title for one in found))


def unchecked_on(base: Side, patched: Side) -> tuple[str, ...]:
    """List the results that are an error on ``patched`` alone, and that ``base`` got to see."""
    found = (one for name, one in patched.unchecked.items() if name not in base.unchecked)
    return tuple(sorted(one.title for one in found if base.could_show(one)))


def _failing_on(base: Side, patched: Side) -> list[Shown]:
    """List the results that fail on ``patched`` and on no repeat of ``base``, by name."""
    return [one for name, one in sorted(patched.failing.items()) if name not in base.failing]


def _splats(base: Side, patched: Side) -> Iterator[News]:
    fresh = new_fingerprints(base, patched)
    titles = {
        splat.title
        for result in patched.everything
        for splat, allowed in result.splats
        if not allowed and splat.fingerprint in fresh
    }
    yield from (News(NewsKind.SPLAT, title) for title in sorted(titles))


def _ends(base: Side, patched: Side) -> Iterator[News]:
    least = min(_GRAVITY[outcome] for outcome in base.ends)
    for outcome in sorted(patched.ends - base.ends):
        if _GRAVITY[outcome] >= max(least, 1):
            yield News(NewsKind.END, f"{ends_text(base)} -> {outcome}", outcome)


def ends_text(side: Side) -> str:
    """Give the ends of a side's repeats: ``completed/splat``."""
    return "/".join(sorted(side.ends))


def _taint(base: Side, patched: Side) -> Iterator[News]:
    flags = patched.taint & ~base.taint
    if flags and base.reach >= Reach.LIMIT:
        text = f"the kernel tainted itself ({flags}), and the console does not say why"
        yield News(NewsKind.TAINT, text)


def _amounts(base: Side, patched: Side) -> Iterator[News]:
    for name, amounts in sorted(patched.amounts.items()):
        known = base.amounts.get(name)
        if known and any(is_worse(known, amount) for amount in amounts):
            shown = patched.failing[name]
            text = f"{shown.title}: {span(known)} -> {span(amounts)}"
            yield News(NewsKind.AMOUNT, text, shown=shown)


def is_worse(known: Sequence[int], amount: int) -> bool:
    """Say whether an amount is beyond those that are known, or on the other side of nothing."""
    return not min(0, *known) <= amount <= max(0, *known)
