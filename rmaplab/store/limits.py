# SPDX-License-Identifier: GPL-2.0
"""Sizes in words, and the size that the environment allows the cache."""

from __future__ import annotations

import os
import re

from rmaplab.errors import UserError

CACHE_LIMIT = "RMAPLAB_CACHE_LIMIT"
"""The variable that says how much of the cache may stay when a lab ends."""
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*(?:([KMGT])(i?B)?|B)?", re.I | re.A)
_UNITS = "KMGT"


def size(text: str, what: str) -> int:
    """Return the bytes of a size as coreutils read one: 5G, 500MiB, 1.5GB (of 1000), 1000000.

    Raises UserError that names ``what`` it is the size of.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UserError(f"{what}: {text!r} is no size", hint="write one as 5G, 500M or in bytes")
    number, unit, suffix = match.groups()
    factor = 1000 if (suffix or "").upper() == "B" else 1024
    power = _UNITS.index(unit.upper()) + 1 if unit else 0
    return int(float(number) * factor**power)


def of_cache() -> int | None:
    """Return the bytes that may stay of the cache; None if nobody says. Raises UserError."""
    said = os.environ.get(CACHE_LIMIT, "")
    return size(said, CACHE_LIMIT) if said else None
