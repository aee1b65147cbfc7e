# SPDX-License-Identifier: GPL-2.0
"""Hand QEMU the memory in which its plugin records what the guest runs; keep what is there then.

The memory is the lab's: it is whole when QEMU is killed, and its size is fixed for good. The guest
has no way to it. QEMU has, so what is read is taken for foreign (evidence/blocks.py).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rmaplab.evidence import blocks
from rmaplab.evidence.names import BLOCKS
from rmaplab.log import log


@dataclass(frozen=True, slots=True)
class Recording:
    """The memory of one guest's record; ``fd`` is its descriptor, for QEMU to inherit."""

    fd: int


@contextlib.contextmanager
def recording(folder: Path) -> Iterator[Recording]:
    """Make a record's memory; at the end of the block, when QEMU is gone, write it to ``folder``.

    What is no record is not written, and said. Raises OSError if the file cannot be written.
    """
    fd = os.memfd_create("rmaplab-blocks", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, blocks.TABLE_BYTES)
        seals = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        yield Recording(fd)
        _keep(os.pread(fd, blocks.TABLE_BYTES, 0), folder)
    finally:
        os.close(fd)


def _keep(table: bytes, folder: Path) -> None:
    try:
        found = blocks.of_table(table)
    except ValueError as error:
        log.warn(f"{folder.name}: no record of what was run: {error}")
        return
    (folder / BLOCKS).write_bytes(blocks.encode(found))
