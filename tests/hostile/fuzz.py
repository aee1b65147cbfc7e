# SPDX-License-Identifier: GPL-2.0
"""Fuzz for a minute: the loop of the tests that spoil what strangers hand in."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

SECONDS = 60


def for_a_minute(attempt: Callable[[int], object]) -> int:
    """Call ``attempt`` with one seed after the other for a minute; return how many it took.

    The first seed is another one in each run. ``attempt`` names its seed where it fails.
    """
    first = random.SystemRandom().randrange(1 << 40)
    tried, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        attempt(first + tried)
        tried += 1
    return tried
