# SPDX-License-Identifier: GPL-2.0
"""Content addresses."""

from __future__ import annotations

import hashlib


def digest_of(*parts: bytes | str) -> str:
    """Return a content key, 16 hex digits of SHA-256 over the parts and their lengths."""
    sha = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        sha.update(len(raw).to_bytes(8, "big"))
        sha.update(raw)
    return sha.hexdigest()[:16]
