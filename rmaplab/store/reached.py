# SPDX-License-Identifier: GPL-2.0
"""The kernel code that each testcase ran on a kernel, in the cache: later runs choose by it.

A record is of a kernel's key and of a testcase's source, so that neither a changed kernel nor a
changed testcase is taken for an old one. Losing a record costs a choice, and no verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from rmaplab.evidence import blocks
from rmaplab.evidence.blocks import RunBlocks
from rmaplab.log import log
from rmaplab.model.digest import digest_of
from rmaplab.store.cache import Cache
from rmaplab.store.files import write_whole

_SECTION = "coverage"
MAX_FILE = 16 << 20


def learn(
    cache: Cache, key: str, ran: Mapping[str, Iterable[RunBlocks]], sources: Mapping[str, str]
) -> None:
    """Add what testcases ran of a kernel to what is known; ``sources`` are digests by testcase."""
    if not ran:
        return
    try:
        with cache.lock(_SECTION, key):
            for testcase, some in ran.items():
                path = _file(cache, key, testcase, sources)
                known = _read(path)
                found = blocks.union([*some, *([known] if known is not None else [])])
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, blocks.encode(found))
    except OSError as error:
        log.warn(f"what the testcases ran is not kept for later: {error}")


def known(
    cache: Cache, key: str, testcases: Iterable[str], sources: Mapping[str, str]
) -> dict[str, RunBlocks]:
    """Return what is known of some testcases on a kernel, by name; others are left out."""
    found = {name: _read(_file(cache, key, name, sources)) for name in testcases}
    return {name: ran for name, ran in found.items() if ran is not None}


def _file(cache: Cache, key: str, testcase: str, sources: Mapping[str, str]) -> Path:
    name = digest_of("reached", testcase, sources.get(testcase, ""))
    return cache.path(_SECTION, key) / f"{name}.bin"


def _read(path: Path) -> RunBlocks | None:
    try:
        with path.open("rb") as file:
            return blocks.decode(file.read(MAX_FILE))
    except (OSError, ValueError):
        return None
