# SPDX-License-Identifier: GPL-2.0
"""Write files so that a reader, or a power cut, meets the old or the new one, never a part."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path


def half_of(path: Path) -> Path:
    """Return the name under which a file is written until it is whole."""
    return path.with_name(f".{path.name}.half")


def write_whole(path: Path, text: str | bytes | Iterable[str], *, durable: bool = False) -> None:
    """Write a text, maybe in pieces, beside a file and put it in the file's place. UTF-8.

    A ``durable`` file is on the disk on return; another one may be lost or empty after a power cut,
    and has to be made again then. Raises OSError; the file is as it was then, and nothing is beside
    it.
    """
    half = half_of(path)
    pieces = [text] if isinstance(text, str | bytes) else text
    try:
        with half.open("wb") as file:
            file.writelines(p if isinstance(p, bytes) else p.encode() for p in pieces)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        half.replace(path)
        if durable:
            sync(path.parent)
    except BaseException:
        half.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Bring a file's content, or the names in a folder, to the disk. Raises OSError."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(number)


def sync_all(path: Path) -> None:
    """Bring all of the file system to the disk that has a folder: for thousands of files at once.

    Raises OSError.
    """
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(number):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
    finally:
        os.close(number)


def make_folder(path: Path, *, exist_ok: bool = True) -> None:
    """Make a folder and those above it, and bring the names of the new ones to the disk.

    Raises OSError.
    """
    new = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=exist_ok)
    for folder in new:
        sync(folder.parent)
