# SPDX-License-Identifier: GPL-2.0
"""Durations as text."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a duration as ``45 s``, ``3 min 20 s`` or ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
