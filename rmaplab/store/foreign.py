# SPDX-License-Identifier: GPL-2.0
"""Look over a folder that somebody else may have made, before anything in it is opened.

The lab writes folders and files of a bounded size, and nothing else. A link could lead anywhere, a
FIFO be waited for without end, a file of holes fill the memory.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from rmaplab.errors import UserError

MAX_FILE = 256 << 20
"""Bytes of a file; the lab's own consoles, transcripts and logs end at a quarter of that."""
MAX_DEPTH = 8


def check(path: Path, noun: str, unlimited: frozenset[str] = frozenset()) -> None:
    """Raise UserError if a folder holds what the lab never writes; ``noun`` is what it should be.

    Files of the names in ``unlimited`` may have any size.
    """
    waiting = [(path, 0)]
    while waiting:
        folder, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise UserError(f"{folder}: {noun} has no folders as deep as that")
        try:
            with os.scandir(folder) as entries:
                for one in entries:
                    if one.is_symlink():
                        raise UserError(f"{one.path} is a link: {noun} has none")
                    if one.is_dir(follow_symlinks=False):
                        waiting.append((Path(one.path), depth + 1))
                    else:
                        _check_file(one, noun, unlimited)
        except OSError as error:
            where = error.filename or folder
            raise UserError(f"{where} cannot be read: {error.strerror}") from error


def _check_file(entry: os.DirEntry[str], noun: str, unlimited: frozenset[str]) -> None:
    about = entry.stat(follow_symlinks=False)
    if not stat.S_ISREG(about.st_mode):
        raise UserError(f"{entry.path} is no file: {noun} has folders and files alone")
    if about.st_size > MAX_FILE and entry.name not in unlimited:
        raise UserError(
            f"{entry.path} has {about.st_size >> 20} MB: a file of {noun} has at most "
            f"{MAX_FILE >> 20} MB"
        )
