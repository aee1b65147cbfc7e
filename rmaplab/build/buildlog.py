# SPDX-License-Identifier: GPL-2.0
"""Keep what foreign code prints within a size: the head, the tail, and how much is between them."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import IO

LIMIT_BYTES = 64 << 20
"""A kernel build prints 0.3 MB."""


class BoundedLog:
    """A file that takes at most about ``limit`` bytes of a log; 0 stands for ``LIMIT_BYTES``.

    The first half of the limit is written at once. Of what follows the last half is held in memory
    and written at the end, after a line that says how many bytes were left out.
    """

    def __init__(self, file: IO[bytes], limit: int = 0) -> None:
        limit = limit or LIMIT_BYTES
        self._file = file
        self._head_left = limit // 2
        self._tail_limit = limit - limit // 2
        self._tail = deque[bytes]()
        self._tail_size = 0
        self._left_out = 0

    @property
    def left_out(self) -> int:
        """The bytes that were left out so far."""
        return self._left_out

    def write(self, chunk: bytes) -> None:
        """Take bytes. Raises OSError if the file cannot be written."""
        head, rest = chunk[: self._head_left], chunk[self._head_left :]
        if head:
            self._file.write(head)
            self._file.flush()
            self._head_left -= len(head)
        if rest:
            self._tail.append(rest)
            self._tail_size += len(rest)
        while self._tail and self._tail_size - len(self._tail[0]) >= self._tail_limit:
            gone = self._tail.popleft()
            self._tail_size -= len(gone)
            self._left_out += len(gone)

    def __enter__(self) -> BoundedLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._left_out:
            self._file.write(f"\n[rmaplab: {self._left_out} bytes are left out here]\n".encode())
        for chunk in self._tail:
            self._file.write(chunk)
        self._file.flush()
        self._tail.clear()
