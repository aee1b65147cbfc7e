# SPDX-License-Identifier: GPL-2.0
"""The cache of products that are dear to make, keyed by content, outside the repository.

An entry is a folder. It is made under a temporary name and renamed when it is whole, so an entry
that exists is complete whatever was killed when; a lock per entry lets concurrent labs wait for
each other's work. The lock's holder removes what an earlier, killed holder left half made. A power
cut or a failing disk can still damage what was whole: who reuses an entry may check it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock
import platformdirs

from rmaplab import proc
from rmaplab.errors import InfraError
from rmaplab.log import log
from rmaplab.store.files import sync_all

# The folders of the cache, with a phrase for each in the table of clean.
SECTIONS = {
    "downloads": "archives as they were fetched",
    "mails": "series as servers sent them",
    "trees": "kernel sources, unpacked",
    "sources": "kernel sources with a series applied",
    "builds": "kernels",
    "initramfs": "agents and workloads, compiled",
    "coverage": "what testcases ran of kernels",
    "plugins": "QEMU's plugin, compiled",
    "selftests": "mm selftests of kernel trees, compiled",
    "templates": "guests, booted and saved",
    "history": "how earlier runs went, and how long cells took",
}

# Seconds to make again, and their seals tell what a power cut did to them.
_QUICKLY_MADE = frozenset({"initramfs", "templates"})


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex; an empty string if it cannot be read."""
    try:
        return sha256_of(path)
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the cache with its size, for ``clean``."""

    section: str
    name: str
    path: Path
    size: int
    """Bytes on disk."""


class Cache:
    """The cache folder; ``$RMAPLAB_CACHE`` or the user's cache directory."""

    def __init__(self, root: Path | None = None) -> None:
        chosen = root or Path(
            os.environ.get("RMAPLAB_CACHE") or platformdirs.user_cache_path("rmaplab")
        )
        self.root = chosen.resolve()

    def path(self, section: str, name: str) -> Path:
        """Return the path that an entry has, if it is there. Raises ValueError for no section."""
        if section not in SECTIONS:
            raise ValueError(f"no section {section!r} in the cache")
        return self.root / section / name

    @contextlib.contextmanager
    def lock(self, section: str, name: str) -> Iterator[None]:
        """Hold an entry's lock; tell the user if another lab has it. Raises InfraError."""
        folder = self.root / section
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InfraError(
                f"cannot write to the cache {self.root}: {error.strerror}",
                hint="set RMAPLAB_CACHE to a folder that is writable",
            ) from error
        guard = filelock.FileLock(folder / f".{name}.lock")
        try:
            guard.acquire(timeout=0)
        except filelock.Timeout:
            log.info(f"waiting for another lab that makes {section}/{name}")
            guard.acquire()
        try:
            yield
        finally:
            guard.release()

    def entry(
        self,
        section: str,
        name: str,
        make: Callable[[Path], None],
        *,
        is_whole: Callable[[Path], bool] = Path.is_dir,
    ) -> Path:
        """Return an entry's folder; ``make`` fills an empty folder if there is none yet.

        An entry that is not whole, or cannot be read, is dropped and made again. A ``make`` that
        raises leaves no entry, half-made if it is interrupted. What is made is on the disk before
        it is the entry.
        """
        final = self.path(section, name)
        if final.is_dir() and _believed(is_whole, final):
            os.utime(final)  # when it was used: what is used is not retired (store/inuse.py)
            return final
        with self.lock(section, name):
            half = final.with_name(f".{name}.half")
            remove(half)
            if final.is_dir():
                if _believed(is_whole, final):
                    return final
                log.info(f"{section}/{name} in the cache is damaged: making it again")
                final.rename(half)
                remove(half)
            half.mkdir(parents=True)
            try:
                make(half)
            except KeyboardInterrupt:
                raise  # removing a kernel may take longer than a job has: see inuse.sweep()
            except BaseException:
                remove(half)
                raise
            if section not in _QUICKLY_MADE:
                sync_all(half)
            half.rename(final)
        return final

    def drop(self, entry: Entry) -> None:
        """Delete an entry; waits for a lab that is making it."""
        with self.lock(entry.section, entry.name):
            remove(entry.path)

    def by_use(self, sections: Iterable[str] = tuple(SECTIONS)) -> list[Entry]:
        """Return the entries of some sections, the last used first.

        A file that several have by links is in the size of the first of them, so that the sizes
        of the first ones are what keeping these alone takes.
        """
        found = sorted(self._places(sections), key=lambda one: -_used(one[1]))
        sizes = disk_usages([path for _, path in found])
        return [
            Entry(section, _owner(path.name), path, size)
            for (section, path), size in zip(found, sizes, strict=True)
        ]

    def entries(self, sections: Iterable[str] = tuple(SECTIONS)) -> Iterator[Entry]:
        """Yield each entry of some sections, and each half-made one that a killed lab left."""
        for section, path in self._places(sections):
            yield Entry(section, _owner(path.name), path, disk_usage(path))

    def half_made(self) -> list[Entry]:
        """Return the entries that a lab began and did not finish; one may still be at it."""
        places = self._places(SECTIONS)
        return [
            Entry(section, _owner(path.name), path, 0)
            for section, path in places
            if _owner(path.name) != path.name
        ]

    def _places(self, sections: Iterable[str]) -> Iterator[tuple[str, Path]]:
        for section in sections:
            folder = self.root / section
            if not folder.is_dir():
                continue
            for path in sorted(folder.iterdir()):
                if not path.name.endswith(".lock"):
                    yield section, path


def _believed(is_whole: Callable[[Path], bool], entry: Path) -> bool:
    """Return whether an entry is whole; one that cannot be read is not."""
    try:
        return is_whole(entry)
    except (OSError, ValueError):
        return False


def _owner(name: str) -> str:
    """Return the entry of a file in a section; its lock guards the half-made entry, too."""
    for suffix in (".half", ".part"):
        if name.startswith(".") and name.endswith(suffix):
            return name[1:].removesuffix(suffix)
    return name


def remove(path: Path) -> None:
    """Delete a file or a folder, whatever its permissions; nothing happens if there is none.

    A build may have left folders thousands of levels deep, for which Python has too few frames,
    descriptors and bytes of a path; find(1) and rm(1) need none of them.
    """
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        closed = ["-type", "d", "!", "-perm", "-0700"]
        opened = ["-execdir", "chmod", "u+rwx", "{}", ";"]
        # find wants no folder of PATH to be a relative one.
        proc.run(["find", path, *closed, *opened], env={"PATH": "/usr/bin:/bin"}, check=False)
        proc.run(["rm", "-rf", "--one-file-system", "--", path])


def disk_usage(path: Path) -> int:
    """Return the bytes on disk below a path, as du(1) counts them: a file with many links once.

    What cannot be read, or is deleted meanwhile, has no bytes.
    """
    return disk_usages([path])[0]


def disk_usages(paths: Sequence[Path]) -> list[int]:
    """Return the bytes on disk below each path, as ``disk_usage``.

    A file with many links counts for the first path that has it.
    """
    words = ["du", "--summarize", "--block-size=1", "--null", "--files0-from=-"]
    names = b"".join(os.fsencode(path) + b"\0" for path in paths)
    said = proc.run(words, stdin=names, check=False).stdout
    found = {
        os.fsdecode(name): int(size)
        for size, tab, name in (line.partition(b"\t") for line in said.split(b"\0"))
        if tab
    }
    return [found.get(str(path), 0) for path in paths]


def _used(path: Path) -> float:
    """Return when an entry was used last."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0
