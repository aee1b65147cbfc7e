# SPDX-License-Identifier: GPL-2.0
"""Write a file so that a reader sees the old or the new one, never a part."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, text: str | Iterable[str]) -> None:
    """Write a text, maybe in pieces, beside a file and put it in the file's place. UTF-8.

    Raises OSError; the file is as it was then, and nothing is beside it.
    """
    half = path.with_name(f".{path.name}.half")
    try:
        with half.open("w", encoding="utf-8") as file:
            file.writelines([text] if isinstance(text, str) else text)
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
