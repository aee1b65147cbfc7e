# SPDX-License-Identifier: GPL-2.0
"""The diff of a patch: cut out of a mail, applied, and the files that git says it changes.

Names come from git apply alone, with the options that apply the patch: two readers of one diff can
disagree, and then a file is changed that the lab does not know of.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rmaplab import proc
from rmaplab.source import git

# How git apply (apply.c, find_header()) finds the first file of a patch: everything before it is
# prose to git.
_FIRST_FILE = re.compile(rb"^(?:diff --git |--- [^\n]*\n\+\+\+ )", re.M)
# A hunk before any file's name: git apply takes such a patch for a broken one.
_HUNK = re.compile(rb"^@@ -", re.M)
# The version that git format-patch ends a mail with. A hunk's lines begin with a blank, +, - or a
# backslash, so the version's digit is no part of one.
_SIGNATURE = re.compile(rb"^-- \n\d[^\n]*\s*\Z", re.M)


_APPLY = ("apply", "--whitespace=nowarn", "-p1")


class DiffError(ValueError):
    """A diff that git does not read, or that names a file outside the tree."""


def trimmed(text: bytes) -> bytes:
    """Return the diff in a mail's text, without diffstat and signature; empty if there is none.

    So a patch is the same from a folder, an mbox and a git range. Raises DiffError if a hunk stands
    before the name of its file.
    """
    match = _FIRST_FILE.search(text)
    before = text[: match.start()] if match else text
    if _HUNK.search(before):
        raise DiffError("a hunk stands before the name of its file")
    return _SIGNATURE.sub(b"", text[match.start() :]) if match else b""


def files(diff: bytes) -> tuple[str, ...]:
    """Return the paths that a diff changes, sorted: old and new name of what it renames or copies.

    Raises DiffError if git does not read the diff, and for a path that is absolute, leads out of
    the tree or into a repository's own files.
    """
    with tempfile.TemporaryDirectory(prefix="rmaplab-diff-") as scratch:
        # --numstat prints the new names; of the reversed patch these are the old ones.
        found = {
            name
            for options in ((), ("--reverse",))
            for name in _numstat(diff, Path(scratch), options)
        }
    _check(found)
    return tuple(sorted(found))


def files_of(diffs: Sequence[bytes]) -> list[tuple[str, ...]]:
    """Return for each of several diffs what files() returns; raises DiffError if it would.

    Git reads all of them at once, with a diff of a name that nobody can know between two.
    """
    mark = f"rmaplab-{secrets.token_hex(16)}"
    between = f"diff --git a/{mark} b/{mark}\nold mode 100644\nnew mode 100755\n".encode()
    found: list[set[str]] = [set() for _ in diffs]
    with tempfile.TemporaryDirectory(prefix="rmaplab-diff-") as scratch:
        folder = Path(scratch)
        (folder / "mark").write_bytes(between)
        names = [f"{number}" for number in range(len(diffs))]
        for name, diff in zip(names, diffs, strict=True):
            (folder / name).write_bytes(diff)
        paths = [path for name in names for path in (name, "mark")]
        for options in ((), ("--reverse",)):
            done = git.run((*_APPLY, "--numstat", "-z", *options, *paths), folder, b"")
            if not done.ok:
                raise DiffError(f"git does not read them: {done.complaint}")
            _sort_out(done.stdout, mark, found)
    for names_found in found:
        _check(names_found)
    return [tuple(sorted(some)) for some in found]


def _sort_out(said: bytes, mark: str, found: list[set[str]]) -> None:
    """Add the names that git prints of several diffs to the diffs' own."""
    number = 0
    for name in _names(said):
        if name == mark:
            number += 1
        else:
            found[number].add(name)
    if number != len(found):
        raise DiffError("git read another number of diffs than there are")


def _names(said: bytes) -> list[str]:
    lines = said.decode("utf-8", "surrogateescape").split("\0")
    return [line.split("\t", 2)[2] for line in lines if line]


def _check(found: set[str]) -> None:
    """Raise DiffError for a path that may not be changed."""
    for name in sorted(found):
        if why := _unsafe(name):
            raise DiffError(f"it changes {name!r}, {why}")


def _numstat(diff: bytes, scratch: Path, options: tuple[str, ...]) -> list[str]:
    done = apply(diff, scratch, "--numstat", "-z", *options)
    if not done.ok:
        raise DiffError(f"git does not read it: {done.complaint.removeprefix('error: ')}")
    return _names(done.stdout)


def line_counts(diff: bytes) -> tuple[tuple[str, int | None, int | None], ...]:
    """Return path, added and removed lines of each file that a diff changes; None for a binary one.

    Raises DiffError if git does not read the diff.
    """
    with tempfile.TemporaryDirectory(prefix="rmaplab-diff-") as scratch:
        done = apply(diff, Path(scratch), "--numstat", "-z")
    if not done.ok:
        raise DiffError(f"git does not read it: {done.complaint.removeprefix('error: ')}")
    lines = done.stdout.decode("utf-8", "surrogateescape").split("\0")
    found = []
    for line in filter(None, lines):
        added, removed, path = line.split("\t", 2)
        found.append((path, _count(added), _count(removed)))
    return tuple(found)


def _count(word: str) -> int | None:
    return int(word) if word.isdecimal() else None


def _unsafe(name: str) -> str:
    """Return why a path may not be changed, or an empty string."""
    parts = name.split("/")
    if name.startswith("/"):
        return "an absolute path"
    if ".." in parts:
        return "a path that leads out of the tree"
    if any(part.lower() == ".git" for part in parts):
        return "a file of a git repository's own"
    return "which is no path of a file" if {"", "."} & set(parts) else ""


def apply(diff: bytes, tree: Path, *options: str) -> proc.Finished:
    """Run git apply on a diff in a folder."""
    return git.run((*_APPLY, *options, "-"), tree, diff)


def entry(root: Path, name: str) -> Path | None:
    """Return the path of a file or link of a tree; None if there is none.

    None also for a name that goes through a symbolic link, which can lead anywhere: a link is its
    own entry and never followed.
    """
    path = root
    parts = name.split("/")
    for number, part in enumerate(parts, start=1):
        path = path / part
        try:
            mode = path.lstat().st_mode
        except OSError:
            return None
        if number < len(parts) and not stat.S_ISDIR(mode):
            return None
    return path


def regular(root: Path, name: str) -> Path | None:
    """Return the path of a regular file of a tree; None for a link, and through one."""
    path = entry(root, name)
    return path if path is not None and stat.S_ISREG(path.lstat().st_mode) else None


def content(path: Path) -> tuple[int, bytes]:
    """Return type and mode of a file or link with its bytes or its target; (0, b"") if none.

    Of the mode only the right to execute counts, as git knows no other.
    """
    try:
        mode = path.lstat().st_mode
    except OSError:
        return 0, b""
    if stat.S_ISLNK(mode):
        return stat.S_IFLNK, os.fsencode(path.readlink())
    if not stat.S_ISREG(mode):
        return stat.S_IFMT(mode), b""
    return stat.S_IFREG | (mode & stat.S_IXUSR), path.read_bytes()
