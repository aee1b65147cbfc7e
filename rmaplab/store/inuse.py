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
    cache.root.mkdir(parents=True, exist_ok=True)
    with (cache.root / _NAME).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"a lab is using the cache {cache.root}", hint="clean when it has ended"
            ) from error
        yield
