# SPDX-License-Identifier: GPL-2.0
"""Labs that use the cache, and clean, which must not take it from under them.

flock(2): any number of labs share it, clean wants it alone; a killed process lets go of it.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator

from rmaplab.errors import UserError
from rmaplab.store.cache import Cache

_NAME = ".in-use"


@contextlib.contextmanager
def shared(cache: Cache) -> Iterator[None]:
    """Use the cache; others may too."""
    cache.root.mkdir(parents=True, exist_ok=True)
    with (cache.root / _NAME).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def alone(cache: Cache) -> Iterator[None]:
    """Have the cache alone; UserError if a lab uses it."""
    with _if_alone(cache) as is_alone:
        if not is_alone:
            raise UserError(
                f"a lab is using the cache {cache.root}", hint="clean when it has ended"
            )
        yield


def keep_within(cache: Cache, section: str, limit: int) -> None:
    """Remove what was not used for longest until a section has ``limit`` bytes at most.

    Not while a lab uses the cache: then the one that ends last does it.
    """
    with _if_alone(cache) as is_alone:
        if not is_alone:
            return
        entries = sorted(cache.entries([section]), key=lambda entry: entry.path.stat().st_mtime)
        excess = sum(entry.size for entry in entries) - limit
        for entry in entries:
            if excess <= 0:
                return
            cache.drop(entry)
            excess -= entry.size


@contextlib.contextmanager
def _if_alone(cache: Cache) -> Iterator[bool]:
    """Whether the cache could be had alone for the block."""
    cache.root.mkdir(parents=True, exist_ok=True)
    with (cache.root / _NAME).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
