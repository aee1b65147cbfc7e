# SPDX-License-Identifier: GPL-2.0
"""The host's memory, which bounds how many guests run at once."""

from __future__ import annotations

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")


def available_mb() -> int:
    """Return the host's available memory in MB; 0 if /proc/meminfo does not say."""
    for line in _MEMINFO.read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return 0
