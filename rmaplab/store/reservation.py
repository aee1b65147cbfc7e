# SPDX-License-Identifier: GPL-2.0
"""Room on a disk, asked for before it is needed.

A guest whose memory is a file dies of a full disk in the middle of an instruction (SIGBUS), which
would look like its kernel's fault. So nobody starts one without the room that it may come to need.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from rmaplab.errors import InfraError


class DiskReservation:
    """The room in a folder's file system, shared by those of this process who reserve some.

    ``hint`` says what to do where there is not enough.
    """

    def __init__(self, folder: Path, *, hint: str) -> None:
        self._folder = folder
        self._hint = hint
        self._guard = threading.Lock()
        self._reserved = 0

    @contextlib.contextmanager
    def reserved(self, size: int, what: str) -> Iterator[None]:
        """Keep ``size`` bytes for the block, which makes ``what``.

        Raises InfraError if they are not free. What another process takes meanwhile is not seen.
        """
        with self._guard:
            free = shutil.disk_usage(self._folder).free - self._reserved
            if free < size:
                where = f"{self._folder}, where {_mb(free)} MB are free"
                raise InfraError(f"{what} may take {_mb(size)} MB in {where}", hint=self._hint)
            self._reserved += size
        try:
            yield
        finally:
            with self._guard:
                self._reserved -= size


def _mb(size: int) -> int:
    return max(0, size) >> 20
