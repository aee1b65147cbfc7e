# SPDX-License-Identifier: GPL-2.0
"""Outcome: the end of a cell. Verdict: the judgement on it. Change: its difference in an A/B."""

from __future__ import annotations

import enum


class Outcome(enum.StrEnum):
    """The end of a cell. A cell starts out as LOST: silence is never a pass."""

    COMPLETED = "completed"
    SPLAT = "splat"
    PANIC = "panic"
    HANG = "hang"
    TIMEOUT = "timeout"
    BOOT_FAILED = "boot-failed"
    LOST = "lost"
    INFRA = "infra"

    @property
    def died(self) -> bool:
        """True if the guest did not live to the end of the cell."""
        return self in {Outcome.PANIC, Outcome.HANG, Outcome.BOOT_FAILED, Outcome.LOST}


class Verdict(enum.StrEnum):
    """The judgement on a cell's outcome."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"
    ERROR = "error"


class Change(enum.StrEnum):
    """Name how a row of an A/B comparison moved from A (base) to B (patched)."""

    FIXED = "fixed"
    REGRESSED = "regressed"
    SAME_PASS = "same-pass"
    SAME_FAIL = "same-fail"
    NEW_SPLAT = "new-splat"
    GONE_SPLAT = "gone-splat"
    UNSTABLE = "unstable"
    MISSING = "missing"

    @property
    def rank(self) -> int:
        """Give the place of a change in the order from the best to the worst (docs/comparison.md).

        UNSTABLE and MISSING stand between what is no bad news and what is: they say neither.
        """
        return next(rank for rank, changes in enumerate(_ORDER) if self in changes)

    @property
    def is_bad(self) -> bool:
        """True if an A/B with such a row must not exit with 0."""
        return self.rank >= Change.UNSTABLE.rank


_ORDER = (
    {Change.FIXED},
    {Change.SAME_PASS},
    {Change.GONE_SPLAT},
    {Change.SAME_FAIL},
    {Change.UNSTABLE, Change.MISSING},
    {Change.NEW_SPLAT, Change.REGRESSED},
)
