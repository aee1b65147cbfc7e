# SPDX-License-Identifier: GPL-2.0
"""Where the project's own files are: in a checkout, or inside the installed package."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def project() -> Path:
    """Return the folder that holds ``configs``, ``guests``, ``testcases`` and ``patches``."""
    checkout = _PACKAGE.parent
    if (checkout / "testcases").is_dir() and (checkout / "guests").is_dir():
        return checkout
    return _PACKAGE / "share"
