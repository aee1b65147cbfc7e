# SPDX-License-Identifier: GPL-2.0
"""Identities of what runs inside a guest, by which a run knows that nothing of it changed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rmaplab.model import Testcase
from rmaplab.model.digest import digest_of

SHARED = {"the agent": "guests", "the testcase library": "testcases/lib"}
"""The parts that every guest has, and the folders of their C files."""


def sources(root: Path, testcases: Iterable[Testcase]) -> dict[str, str]:
    """Return the digests of the files that a guest's programs are made of, by part.

    The parts are the agent, the testcase library and each testcase by its name; ``root`` is the
    project's folder. A program of the kernel tree's own is none of them: it is made of the tree.
    """
    found = {part: _folder(root / place) for part, place in SHARED.items()}
    for testcase in testcases:
        if testcase.is_own:
            found[testcase.name] = digest_of(_content(testcase.source))
    return found


def _folder(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.suffix in {".c", ".h"})
    return digest_of(
        *(part for path in files for part in (str(path.relative_to(folder)), path.read_bytes()))
    )


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
