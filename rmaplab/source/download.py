# SPDX-License-Identifier: GPL-2.0
"""Archives by path or URL, checked by SHA-256, resumed where the server allows it."""

from __future__ import annotations

from pathlib import Path

import requests

from rmaplab.errors import InfraError, UserError
from rmaplab.log import log
from rmaplab.store.cache import Cache, remove, sha256_of

TIMEOUT_S = 30.0
_CHUNK = 1 << 16  # what a connection that breaks can lose
_PARTIAL_CONTENT = 206  # RFC 9110, 15.3.7
_RANGE_NOT_SATISFIABLE = 416  # RFC 9110, 15.5.17


def archive(place: str, sha256: str, cache: Cache) -> Path:
    """Return the archive at a path or http(s) URL, verified.

    Raises UserError if a local file is missing or has another digest, InfraError if a download
    fails or still has the wrong digest when fetched afresh.
    """
    if not is_remote(place):
        path = Path(place).expanduser().resolve()
        if not path.is_file():
            raise UserError(f"there is no archive {path}")
        have = sha256_of(path)
        if have != sha256:
            raise UserError(f"{path} has another sha256\n  wanted {sha256}\n  has    {have}")
        return path
    name = f"{sha256[:16]}-{place.rsplit('/', 1)[-1] or 'archive'}"
    final = cache.path("downloads", name)
    with cache.lock("downloads", name):
        if final.is_file() and sha256_of(final) == sha256:
            return final
        remove(final)
        partial = final.with_name(f".{name}.part")
        # A partial file of an earlier run may be damaged: one resume, then one fresh fetch.
        for fresh in (False, True):
            if fresh:
                remove(partial)
            with log.step(f"{'re-' if fresh else ''}fetching {place}"):
                _fetch(place, partial)
            if sha256_of(partial) == sha256:
                partial.rename(final)
                return final
            log.warn(f"{place}: wrong sha256")
    have = sha256_of(partial)
    remove(partial)
    raise InfraError(f"{place} has another sha256\n  wanted {sha256}\n  has    {have}")


def is_remote(place: str) -> bool:
    """Return whether an archive is named by a URL."""
    return place.startswith(("http://", "https://"))


def _fetch(url: str, target: Path) -> None:
    have = target.stat().st_size if target.exists() else 0
    # A server that compresses on the way would break the digest, and what is resumed.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
            if answer.status_code == _RANGE_NOT_SATISFIABLE:
                return
            answer.raise_for_status()
            resumed = answer.status_code == _PARTIAL_CONTENT
            with target.open("ab" if resumed else "wb") as output:
                for chunk in answer.iter_content(_CHUNK):
                    output.write(chunk)
    except requests.RequestException as error:
        raise InfraError(
            f"fetching {url} failed: {error}",
            hint="run the same command again: it goes on where it stopped",
        ) from error
