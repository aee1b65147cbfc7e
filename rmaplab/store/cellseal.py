# SPDX-License-Identifier: GPL-2.0
"""Seal what a cell left: on the disk, with digests by which a change or a loss is noticed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from rmaplab.evidence.names import (
    BLOCKS,
    CONSOLE_LOG,
    COUNTERS,
    QEMU_LOG,
    SPLATS,
    TRANSCRIPT,
)
from rmaplab.store.files import sync

EVIDENCE = (TRANSCRIPT, CONSOLE_LOG, QEMU_LOG, BLOCKS)
"""The files of a cell that what is reported of it depends on."""
_DERIVED = frozenset({COUNTERS, SPLATS})


def seal(place: Path) -> dict[str, str]:
    """Bring a cell's files in a folder to the disk; return the digests of its evidence by file.

    Raises OSError.
    """
    for path in sorted(place.iterdir()):
        if path.name not in _DERIVED:
            sync(path)
    sync(place)
    found = {name: _digest(place / name) for name in EVIDENCE}
    return {name: digest for name, digest in found.items() if digest}


def difference(place: Path, sealed: Mapping[str, str]) -> str:
    """Return what of a cell's evidence is not as it was sealed; an empty string if all is."""
    for name in EVIDENCE:
        try:
            found = _digest(place / name)
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
        if found == sealed.get(name, ""):
            continue
        if not found:
            return f"{name} is gone"
        if name not in sealed:
            return f"{name} was not there when the cell finished"
        return f"{name} is not as it was when the cell finished"
    return ""


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex; an empty string if there is none. Raises OSError."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    with os.fdopen(number, "rb") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise OSError(0, "it is no file")
        return hashlib.file_digest(file, "sha256").hexdigest()
