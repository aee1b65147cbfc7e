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
    """How a row of an A/B comparison moved from A (base) to B (patched)."""

    FIXED = "fixed"
    REGRESSED = "regressed"
    SAME_PASS = "same-pass"
    SAME_FAIL = "same-fail"
    NEW_SPLAT = "new-splat"
    GONE_SPLAT = "gone-splat"
    UNSTABLE = "unstable"
    MISSING = "missing"

    @property
    def is_bad(self) -> bool:
        """True if an A/B with such a row must not exit with 0."""
        return self in {Change.REGRESSED, Change.NEW_SPLAT, Change.UNSTABLE, Change.MISSING}
