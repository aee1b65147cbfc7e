# SPDX-License-Identifier: GPL-2.0
"""Read what foreign code left in a folder: the one module that opens paths in such folders.

A kernel's Makefiles write a build folder, and a series may have rewritten the Makefiles. A product
may be a link to a file of the user's, a FIFO that blocks who opens it, a device without end, a
sparse file of a terabyte. So each part of a path is opened without following links, beneath a
descriptor of the folder before it, as openat2(2) does with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS
(Python has no openat2). Only regular files up to a size are read or moved. Every function that
finds something else raises BuildError: the tree, or the series, is at fault.

The functions take the folder, which the lab made itself, and the path in the folder, which is
foreign. No process of the sandbox may run any more: the functions check first and act then.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from rmaplab import proc
from rmaplab.errors import BuildError

TEXT_BYTES = 16 << 20
"""The limit of a text: a kernel's .config has 0.3 MB."""
PROGRAM_BYTES = 256 << 20
IMAGE_BYTES = 1 << 30
"""The limit of a kernel's image, which a guest has to hold in its memory."""
DEBUG_BYTES = 16 << 30
"""The limit of a vmlinux with debug info, which has 0.5 GB."""
MAX_FILES = 2000
"""The files in one folder of programs; the mm selftests have 60."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Absent(BuildError):
    """A product that the build did not make."""


def is_file(folder: Path, name: str) -> bool:
    """Return whether a regular file is at a path; False for a link. Raises no error."""
    try:
        return _status(folder, name) is not None
    except BuildError:
        return False


def is_link(folder: Path, name: str) -> bool:
    """Return whether a link is at a path, or in the place of a folder of it. Raises no error."""
    parts = name.split("/")
    places = [folder.joinpath(*parts[: n + 1]) for n in range(len(parts))]
    return any(place.is_symlink() for place in places)


def is_folder(folder: Path, name: str) -> bool:
    """Return whether a folder is at a path that has no link in it. Raises no error."""
    try:
        with _opened_folder(folder, name):
            return True
    except BuildError:
        return False


def text(folder: Path, name: str, *, limit: int = TEXT_BYTES) -> str:
    """Return the text of a file of at most ``limit`` bytes; bytes that are not UTF-8 are replaced.

    Raises BuildError if there is no such file.
    """
    return data(folder, name, limit=limit).decode("utf-8", "replace")


def data(folder: Path, name: str, *, limit: int) -> bytes:
    """Return the bytes of a file of at most ``limit`` bytes. Raises BuildError if there is none."""
    with _opened(folder, name, os.O_RDONLY, limit) as file, os.fdopen(os.dup(file), "rb") as source:
        return source.read(limit)


def modified(folder: Path, name: str) -> float | None:
    """Return the modification time of a file in seconds; None if nothing is there.

    Raises BuildError if something else than a regular file is there.
    """
    status = _status(folder, name)
    return None if status is None else status.st_mtime


def append(folder: Path, name: str, more: str) -> None:
    """Append a text to a file. Raises BuildError if there is no such file."""
    flags = os.O_WRONLY | os.O_APPEND
    with _opened(folder, name, flags, TEXT_BYTES) as file, os.fdopen(os.dup(file), "ab") as target:
        target.write(more.encode())


def set_modified(folder: Path, name: str, when: float) -> None:
    """Give a file a modification time in seconds; nothing happens to a link or to nothing."""
    if is_file(folder, name):
        with _opened(folder, name, os.O_RDONLY, None) as file:
            os.utime(file, (when, when))


def drop(folder: Path, name: str) -> None:
    """Delete a file or a link; nothing happens if nothing is there.

    Raises BuildError if a link or a file is in the place of a folder of the path, or a folder in
    the place of the file.
    """
    with contextlib.suppress(Absent), _parent(folder, name) as (parent, last):
        try:
            os.unlink(last, dir_fd=parent)
        except OSError as error:
            raise _odd(name, error, _mode(parent, last)) from error


def take(folder: Path, name: str, target: Path, *, limit: int) -> None:
    """Move a file of at most ``limit`` bytes out of a folder; it becomes the lab's own.

    ``target`` is on the same file system. Raises BuildError if there is no such file.
    """
    with _opened(folder, name, os.O_RDONLY, limit) as file, _parent(folder, name) as (parent, last):
        executable = os.fstat(file).st_mode & 0o111
        os.fchown(file, os.geteuid(), os.getegid())
        os.fchmod(file, 0o755 if executable else 0o644)
        os.rename(last, target, src_dir_fd=parent)


def files(folder: Path, name: str) -> list[str]:
    """Return the names of the regular files in a folder, sorted; of a usual form only.

    Raises BuildError if there is no such folder, or if it has more than ``MAX_FILES`` entries.
    """
    with _opened_folder(folder, name) as inner:
        names = os.listdir(inner)  # noqa: PTH208 - pathlib takes no descriptor
        if len(names) > MAX_FILES:
            raise BuildError(f"{name} has {len(names)} entries; the lab takes {MAX_FILES}")
        return sorted(
            one
            for one in names
            if _NAME.fullmatch(one)
            and stat.S_ISREG(os.stat(one, dir_fd=inner, follow_symlinks=False).st_mode)
        )


def seal(folder: Path, name: str, contents: Sequence[str]) -> str:
    """Return a digest of what a folder below another one has, by names, sizes and times.

    Of ``contents``, paths in the outer folder, the bytes count, too. It takes a tenth of a second
    for a kernel's build folder. Who changes a file cannot set the time of the change (st_ctime).
    """
    # No path is opened here: find follows no links.
    words = ["find", str(folder / name), "-printf", "%i %s %T@ %C@ %m %P\\0"]
    lines = sorted(proc.run(words).stdout.split(b"\0"))
    sha = hashlib.sha256(b"\0".join(lines))
    for one in contents:
        with contextlib.suppress(Absent):
            sha.update(data(folder, one, limit=IMAGE_BYTES))
        sha.update(b"\0")
    return sha.hexdigest()


def copy_folder(folder: Path, name: str, target: Path) -> None:
    """Copy a folder with all that is below it; links stay links.

    Raises BuildError if there is no such folder, or if it has something else than files, folders
    and links.
    """
    with _opened_folder(folder, name) as inner:
        # The descriptor's path in /proc is the folder, whatever links its own path had. find and
        # cp go as deep as the file system does; Python has too few frames for that.
        place = f"/proc/{os.getpid()}/fd/{inner}/."
        known = [word for kind in "fdl" for word in ("!", "-type", kind)]
        odd = proc.run(["find", place, *known, "-printf", "%P\\0%y\\0", "-quit"]).stdout
        if odd:
            where, kind = odd.decode("utf-8", "surrogateescape").split("\0")[:2]
            raise BuildError(f"{name}/{where} is {_KINDS.get(kind[-1], 'a device')}")
        proc.run(["cp", "--recursive", "--no-dereference", "--preserve=mode,timestamps", "--",
                  place, target])  # fmt: skip


_KINDS = {"p": "a FIFO", "s": "a socket"}
"""Files that are neither regular nor folder nor link, by find's letter for them."""


def _parts(name: str) -> list[str]:
    parts = name.split("/")
    if "\0" in name or any(part in {"", ".", ".."} for part in parts):
        raise BuildError(f"{name!r} is no path in a tree")
    return parts


@contextlib.contextmanager
def _opened_folder(folder: Path, name: str) -> Iterator[int]:
    """Open a folder beneath another one, part by part; an empty name is the folder itself."""
    with contextlib.ExitStack() as stack:
        # The lab's own path to the folder may have links in it.
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, at)
        for part in _parts(name) if name else ():
            try:
                at = os.open(part, _FOLDER, dir_fd=at)
            except OSError as error:
                raise _odd(name, error, _mode(at, part)) from error
            stack.callback(os.close, at)
        yield at


@contextlib.contextmanager
def _parent(folder: Path, name: str) -> Iterator[tuple[int, str]]:
    """Open the folder that a path's last part is in."""
    *before, last = _parts(name)
    with _opened_folder(folder, "/".join(before)) as at:
        yield at, last


@contextlib.contextmanager
def _opened(folder: Path, name: str, flags: int, limit: int | None) -> Iterator[int]:
    """Open a regular file of at most ``limit`` bytes beneath a folder."""
    with _parent(folder, name) as (parent, last):
        mode = _mode(parent, last)
        if mode is not None and not stat.S_ISREG(mode):
            raise _odd(name, None, mode)  # an open of a device can act on it already
        try:
            file = os.open(last, flags | _FILE, dir_fd=parent)
        except OSError as error:
            raise _odd(name, error, mode) from error
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise _odd(name, None, status.st_mode)
            if limit is not None and status.st_size > limit:
                raise BuildError(
                    f"{name} of the build has {status.st_size} bytes; the lab takes {limit}"
                )
            yield file
        finally:
            os.close(file)


def _status(folder: Path, name: str) -> os.stat_result | None:
    """Return the status of a regular file; None if nothing is there."""
    with contextlib.suppress(Absent), _parent(folder, name) as (parent, last):
        try:
            status = os.stat(last, dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            raise _odd(name, error) from error
        if not stat.S_ISREG(status.st_mode):
            raise _odd(name, None, status.st_mode)
        return status
    return None


def _mode(parent: int, name: str) -> int | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except OSError:
        return None


def _odd(name: str, error: OSError | None, mode: int | None = None) -> BuildError:
    """Return the error of a path at which something else was found than looked for."""
    if mode is None and (error is None or error.errno == errno.ENOENT):
        return Absent(f"the build made no {name}")
    if error is not None and error.errno in (errno.EACCES, errno.EPERM):
        return BuildError(f"the build left {name} so that nobody may use it")
    if mode is not None:
        return BuildError(f"the build left {name}, or a folder of that path, as {_kind(mode)}")
    said = "" if error is None else f": {error.strerror}"
    return BuildError(f"the build left {name} unusable{said}")


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFDIR: "a folder",
        stat.S_IFREG: "a file",
        stat.S_IFSOCK: "a socket",
    }
    return kinds.get(stat.S_IFMT(mode), "a device")
