# SPDX-License-Identifier: GPL-2.0
"""Keep clean from removing parts of the cache that a lab is using.

By flock(2): any number of labs share the lock, clean has it alone; the lock of a killed process is
free.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Sequence

from rmaplab.errors import UserError
from rmaplab.log import log
from rmaplab.store.cache import SECTIONS, Cache, Entry

_NAME = ".in-use"
REPLACEABLE = tuple(section for section in SECTIONS if section != "history")
"""The sections whose entries can be made again: all but the history."""


@contextlib.contextmanager
def shared(cache: Cache) -> Iterator[None]:
    """Use the cache for the block; other labs may use it at the same time."""
    cache.root.mkdir(parents=True, exist_ok=True)
    with (cache.root / _NAME).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def alone(cache: Cache) -> Iterator[None]:
    """Lock the cache against other labs for the block. Raises UserError if a lab uses it."""
    with _if_alone(cache) as is_alone:
        if not is_alone:
            raise UserError(
                f"a lab is using the cache {cache.root}", hint="clean when it has ended"
            )
        yield


def keep_within(cache: Cache, limit: int, sections: Sequence[str] = REPLACEABLE) -> None:
    """Remove entries of some sections, longest unused first, down to ``limit`` bytes.

    While another lab uses the cache nothing is removed: the lab that ends last does it.
    """
    with _if_alone(cache) as is_alone:
        for entry in beyond(cache, limit, sections) if is_alone else ():
            cache.drop(entry)


def sweep(cache: Cache) -> None:
    """Remove what interrupted and killed labs left half made, unless another lab is running."""
    with _if_alone(cache) as is_alone:
        for entry in cache.half_made() if is_alone else ():
            log.info(f"removing what an earlier lab left half made of {entry.section}/{entry.name}")
            cache.drop(entry)


def beyond(cache: Cache, limit: int, sections: Sequence[str] = REPLACEABLE) -> list[Entry]:
    """Return the entries that go if ``limit`` bytes may stay, the longest unused first."""
    kept = 0
    for number, entry in enumerate(found := cache.by_use(sections)):
        kept += entry.size
        if kept > limit:
            return found[number:][::-1]
    return []


@contextlib.contextmanager
def _if_alone(cache: Cache) -> Iterator[bool]:
    """Try to lock the cache against other labs for the block, and tell whether that worked."""
    cache.root.mkdir(parents=True, exist_ok=True)
    with (cache.root / _NAME).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
