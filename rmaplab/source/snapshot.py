# SPDX-License-Identifier: GPL-2.0
"""Snapshots of a working tree: a copy in the cache under the digest of its content.

The kernel, the selftests and the source lines of a run are then of one tree, whatever is edited
meanwhile. A file that an earlier snapshot of the same folder has already is linked to it; another
one shares its blocks with the original where the file system can do that (reflink).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from rmaplab.errors import UserError
from rmaplab.log import log
from rmaplab.model.digest import digest_of
from rmaplab.source import repository
from rmaplab.store.cache import Cache

ATTEMPTS = 3
"""How often a folder is copied that changes while it is copied."""
_FICLONE = 0x40049409  # include/uapi/linux/fs.h, of all architectures of this encoding
_MANIFEST = "files.json"
_LINK, _EXECUTABLE, _FILE = "link ", "exec ", "file "

Manifest = Mapping[str, str]
"""By path: what kind of file it is, and its target or the SHA-256 of its content."""


def take(place: Path, cache: Cache, section: str, remember: Callable[[Path, str], None]) -> Path:
    """Return the cache entry that has a folder as it is now, below ``tree``.

    ``remember`` gets a new entry and the digest of its content, to note what it is. Raises
    UserError if the folder changes faster than it can be copied.
    """
    for _ in range(ATTEMPTS):
        try:
            files = manifest(place)
            return _entry(place, files, cache, section, remember)
        except PermissionError as error:
            raise UserError(f"{error.filename}: {error.strerror}") from error
        except (_ChangedError, FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            log.warn(f"{place} changed while it was copied ({error}): copying it again")
    raise UserError(
        f"{place} changes while it is copied", hint="is something being built or checked out there?"
    )


class _ChangedError(Exception):
    """A file has another content than a moment before."""


def manifest(place: Path) -> Manifest:
    """Return the files of a folder that a snapshot has, with their content."""
    return {name: _kind(place / name) for name in _files(place)}


def digest_of_manifest(files: Manifest) -> str:
    """Return the content address of a snapshot, 16 hex digits."""
    sha = hashlib.sha256()
    for name, kind in sorted(files.items()):
        sha.update(name.encode("utf-8", "surrogateescape") + b"\0")
        sha.update(kind[:5].encode())
        rest = kind[5:]
        sha.update(os.fsencode(rest) if kind.startswith(_LINK) else bytes.fromhex(rest))
    return sha.hexdigest()[:16]


def _kind(path: Path) -> str:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return _LINK + str(path.readlink())
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return (_EXECUTABLE if os.access(path, os.X_OK) else _FILE) + content


def _files(place: Path) -> Iterator[str]:
    """Yield paths relative to a folder: what git would track if it is a checkout, else everything.

    Links are not followed. Devices, pipes and sockets are left out.
    """
    for name in _names(place):
        try:
            mode = (place / name).lstat().st_mode
        except OSError:
            continue  # deleted from the checkout
        if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
            yield name
        elif stat.S_ISDIR(mode):
            log.warn(f"{place / name} is a repository of its own: it is not copied")


def _names(place: Path) -> list[str]:
    if repository.is_checkout(place):
        return repository.find(place).files()
    found = [
        Path(where, name)
        for where, folders, files in os.walk(place)
        for name in (*files, *(folder for folder in folders if Path(where, folder).is_symlink()))
    ]
    return sorted(str(path.relative_to(place)) for path in found)


def _entry(
    place: Path,
    files: Manifest,
    cache: Cache,
    section: str,
    remember: Callable[[Path, str], None],
) -> Path:
    digest = digest_of_manifest(files)

    def make(folder: Path) -> None:
        with log.step(f"copying {place}"):
            earlier = _earlier(place, cache, section)
            for name, kind in files.items():
                target = folder / "tree" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if not _linked(earlier, place / name, name, kind, target):
                    _copy(place / name, kind, target)
        saved = {"place": str(place), "files": dict(files)}
        (folder / _MANIFEST).write_text(json.dumps(saved), encoding="utf-8")
        remember(folder, digest)

    return cache.entry(section, digest_of("dir", digest), make)


def _copy(source: Path, kind: str, target: Path) -> None:
    """Copy a file; raises _ChangedError if the copy is not of that kind."""
    if not (kind.startswith(_LINK) or _cloned(source, target)):
        shutil.copyfile(source, target)
    if kind.startswith(_LINK):
        shutil.copyfile(source, target, follow_symlinks=False)
    shutil.copystat(source, target, follow_symlinks=False)
    if _kind(target) != kind:
        raise _ChangedError(f"{source} has another content")


def _cloned(source: Path, target: Path) -> bool:
    """Make a file share another's blocks; return whether the file system can do that."""
    with source.open("rb") as old, target.open("wb") as new:
        try:
            fcntl.ioctl(new, _FICLONE, old.fileno())
        except OSError:
            return False
    return True


def _earlier(place: Path, cache: Cache, section: str) -> tuple[Path, Manifest] | None:
    """Return the latest snapshot of a folder and its files; None if the cache has none."""
    entries = sorted((cache.root / section).glob(f"[!.]*/{_MANIFEST}"), key=_modified, reverse=True)
    for path in entries:
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            if saved["place"] == str(place):
                return path.parent / "tree", dict(saved["files"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _linked(
    earlier: tuple[Path, Manifest] | None, source: Path, name: str, kind: str, target: Path
) -> bool:
    """Return whether a file could be linked to that of an earlier snapshot, of the same content.

    One of another size was damaged since, as a power cut can leave it.
    """
    if earlier is None or kind.startswith(_LINK) or earlier[1].get(name) != kind:
        return False
    kept = earlier[0] / name
    try:
        if kept.lstat().st_size != source.lstat().st_size:
            return False
        os.link(kept, target, follow_symlinks=False)
    except OSError:
        return False  # it has too many links, or is gone
    return True
