# SPDX-License-Identifier: GPL-2.0
"""Fuzz for a minute: the loop of the tests that spoil what strangers hand in.

Hypothesis makes the choices of an attempt, other ones in each run, and reduces those of one that
fails to the fewest that still do. They are kept in .hypothesis/ and come first in the next run.
What failed once gets a test of its own with a name: NAMED in tests/unit/foreign_yaml.py,
tests/unit/test_foreign_mails.py, tests/unit/test_foreign_runs.py.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SECONDS = 60
_AT_ONCE = 50
"""Attempts between two looks at the clock."""
_LOUD = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def for_a_minute(attempt: Callable[[random.Random], object]) -> int:
    """Call ``attempt`` with one source of choices after the other; return how many it took.

    AssertionError, with the fewest choices that lead there, if one of them fails.
    """
    tried = 0

    @settings(max_examples=_AT_ONCE, deadline=None, suppress_health_check=_LOUD)
    @given(st.randoms(use_true_random=False))
    def one(rng: random.Random) -> None:
        nonlocal tried
        tried += 1
        attempt(rng)

    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        one()
    return tried
