# SPDX-License-Identifier: GPL-2.0
"""Disk space, reserved before it is needed.

A guest whose memory is a file dies of a full disk in the middle of an instruction (SIGBUS), which
would look like its kernel's fault. So no guest is started without the space that it may need.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from rmaplab.errors import InfraError


class DiskReservation:
    """The free space of a folder's file system, as far as this process has not reserved it.

    ``hint`` tells the user what to do if there is too little.
    """

    def __init__(self, folder: Path, *, hint: str) -> None:
        self._folder = folder
        self._hint = hint
        self._guard = threading.Lock()
        self._reserved = 0

    @contextlib.contextmanager
    def reserved(self, size: int, what: str) -> Iterator[None]:
        """Reserve ``size`` bytes for the block, which makes ``what``.

        Raises InfraError if they are not free. Space that another process takes during the block
        is not accounted for.
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
