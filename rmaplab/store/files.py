# SPDX-License-Identifier: GPL-2.0
"""Write a file so that a reader sees the old or the new one, never a part."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def half_of(path: Path) -> Path:
    """Return the name under which a file is written until it is whole."""
    return path.with_name(f".{path.name}.half")


def write_whole(path: Path, text: str | bytes | Iterable[str]) -> None:
    """Write a text, maybe in pieces, beside a file and put it in the file's place. UTF-8.

    Raises OSError; the file is as it was then, and nothing is beside it.
    """
    half = half_of(path)
    pieces = [text] if isinstance(text, str | bytes) else text
    try:
        with half.open("wb") as file:
            file.writelines(p if isinstance(p, bytes) else p.encode() for p in pieces)
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
