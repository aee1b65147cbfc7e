# SPDX-License-Identifier: GPL-2.0
"""Seal an entry of the cache: digests of its files, by which a cut or a flipped one is noticed.

A file is read once after it was made, and once after each boot of the host, since a power cut may
have damaged it; meanwhile its size, times and inode stand for its content. A file that changed
within the last seconds is always read: its times might not have moved.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rmaplab.store.files import write_whole

SEAL = "seal.json"
_STAMPS = ".seal-stamps.json"
_SETTLED_NS = 2_000_000_000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def seal(folder: Path, names: Iterable[str]) -> None:
    """Record the digests of files of an entry, by their paths in it. Raises OSError."""
    sealed = {name: digest(folder / name) for name in names}
    write_whole(folder / SEAL, json.dumps(sealed))


def broken(folder: Path) -> str:
    """Return what is wrong with a sealed entry; an empty string if it is as it was sealed."""
    try:
        sealed = read(folder)
    except (OSError, ValueError, RecursionError) as error:
        return f"its seal cannot be read: {error}"
    known = _stamps(folder)
    found: dict[str, Any] = {}
    for name, expected in sealed.items():
        try:
            status = (folder / name).stat()
            stamp = [expected, *_stamp(status)]
            if stamp != known.get(name) and digest(folder / name) != expected:
                return f"{name} is not as it was saved"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
        if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NS:
            found[name] = stamp
    if found != known:
        with contextlib.suppress(OSError):  # a cache that is full or read-only can be used
            write_whole(folder / _STAMPS, json.dumps({"boot": _boot(), "files": found}))
    return ""


def read(folder: Path) -> dict[str, str]:
    """Return the digests of a sealed entry by file. Raises OSError or ValueError."""
    sealed = json.loads((folder / SEAL).read_text(encoding="utf-8"))
    if not isinstance(sealed, dict) or not all(isinstance(one, str) for one in sealed.values()):
        raise ValueError("it is no seal")
    return sealed


def _stamps(folder: Path) -> dict[str, Any]:
    try:
        saved = json.loads((folder / _STAMPS).read_text(encoding="utf-8"))
        files = saved["files"] if saved["boot"] == _boot() else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return files if isinstance(files, dict) else {}


def _stamp(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]


def _boot() -> str:
    """Return what names this boot of the host; a name that fits no other one if nothing does."""
    try:
        return _BOOT_ID.read_text(encoding="ascii")
    except OSError:
        return str(time.time_ns())


def digest(path: Path) -> str:
    """Return a hash of a file's size and content; the holes of a sparse file are not read.

    Raises OSError.
    """
    sha = hashlib.sha256()
    size = path.stat().st_size
    sha.update(str(size).encode())
    with path.open("rb", buffering=0) as file:
        at = 0
        while at < size:
            try:
                start = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break  # ENXIO: the rest is a hole
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            os.lseek(file.fileno(), start, os.SEEK_SET)
            at = start
            while at < end:
                chunk = file.read(min(1 << 20, end - at))
                if not chunk:
                    break
                # Where data begins depends on the file system; zeros are as good as a hole.
                if chunk.strip(b"\0"):
                    sha.update(at.to_bytes(8, "big") + chunk)
                at += len(chunk)
    return sha.hexdigest()
