# SPDX-License-Identifier: GPL-2.0
"""Compare kernel versions."""

from __future__ import annotations

import re

_NUMBERS = re.compile(r"\d+(?:\.\d+)*")


def version_numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a kernel version, to be compared: (6, 12, 117) of ``6.12.117-amd64``.

    A release candidate counts as its release, since it has what the release will have. Empty for
    what does not begin with a number.
    """
    match = _NUMBERS.match(version)
    return tuple(map(int, match[0].split("."))) if match else ()
