# SPDX-License-Identifier: GPL-2.0
"""How often a row that is worse was seen to be: ``3 of 3 against 0 of 3``."""

from __future__ import annotations

from rmaplab.compare.news import news
from rmaplab.compare.sides import Side
from rmaplab.model import Change, Verdict

_WORSE = frozenset({Change.REGRESSED, Change.NEW_SPLAT})


def counted(change: Change, detail: str, base: Side, patched: Side) -> str:
    """Return the detail of a worse row with how many repeats of each side show it.

    Rows without repeats have no count: they were seen once.
    """
    if change not in _WORSE or len(patched.results) < 2:
        return detail
    if base.verdicts == {Verdict.PASS}:
        fails = sum(one.judgement.verdict is Verdict.FAIL for one in patched.results)
    else:
        fails = sum(bool(news(base, Side.of([one]))) for one in patched.results)
    return f"{fails} of {len(patched.results)} against 0 of {len(base.results)}: {detail}"
