# SPDX-License-Identifier: GPL-2.0
"""Git's objects, held against the ids that they have: a commit's id says each byte of its files.

Git itself does not compute the id of an object that it reads from a pack, so a repository can have
anything under the name of a well-known commit.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rmaplab.errors import UserError

FILE_BYTES = 1 << 30
"""The limit of one file of a tree."""
MAX_DEPTH = 100
"""How deep folders may be in each other; a kernel's are eleven deep."""
_FILE, _PROGRAM, _LINK, _FOLDER, _REPOSITORY = "100644", "100755", "120000", "40000", "160000"
# Files of old trees may have been committed with the rights of a group.
_FILES = (_FILE, "100664")
_TREE_OF = re.compile(rb"tree ([0-9a-f]+)\n")
_HEAD = re.compile(rb"([0-9a-f]{40,64}) (commit|tree) (\d{1,18})\n")


class _OddError(Exception):
    """An object, a file or a name that is not what its id says, or that no tree may have."""


@dataclass(frozen=True, slots=True)
class _Entry:
    mode: str
    name: str
    id: str


def check(folder: Path, commit: str, said: bytes, origin: str) -> str:
    """Hold the files of a folder against a commit, and return the id of the commit's tree.

    ``said`` is what git cat-file --batch printed of the commit and of all its trees. Raises
    UserError, which names ``origin``, if the folder has anything else than the commit says.
    """
    try:
        objects = dict(_objects(said))
        found = _TREE_OF.match(objects.get(commit, b""))
        if found is None:
            raise _OddError("it has no such commit")
        tree = found[1].decode()
        _check_folder(folder, "", tree, objects)
    except (_OddError, OSError) as error:
        raise UserError(
            f"{origin} does not have commit {commit} as its id says: {error}",
            hint="the repository is damaged or forged: see git fsck",
        ) from error
    return tree


def _hash(kind: str, content: bytes, like: str) -> str:
    """Return the id of an object, of the kind of hash that ``like`` is."""
    sha = hashlib.sha256() if len(like) == 64 else hashlib.sha1(usedforsecurity=False)
    sha.update(f"{kind} {len(content)}\0".encode())
    sha.update(content)
    return sha.hexdigest()


def _objects(said: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield each object's id and content. Raises _OddError if a content has another id."""
    at = 0
    while at < len(said):
        head = _HEAD.match(said, at)
        if head is None:
            raise _OddError("an object is missing")
        name, kind, size = head[1].decode(), head[2].decode(), int(head[3])
        content = said[head.end() : head.end() + size]
        if _hash(kind, content, name) != name:
            raise _OddError(f"{kind} {name} has another content")
        yield name, content
        at = head.end() + size + 1


def _entries(content: bytes, id_bytes: int) -> Iterator[_Entry]:
    at = 0
    while at < len(content):
        end = content.find(b"\0", at)
        mode, space, name = content[at:end].partition(b" ")
        last = end + 1 + id_bytes
        if end < 0 or not space or last > len(content):
            raise _OddError("a tree is cut")
        yield _Entry(mode.decode("latin-1"), os.fsdecode(name), content[end + 1 : last].hex())
        at = last


def _check_folder(folder: Path, path: str, tree: str, objects: Mapping[str, bytes]) -> None:
    if path.count("/") > MAX_DEPTH:
        raise _OddError(f"its folders are more than {MAX_DEPTH} deep")
    if tree not in objects:
        raise _OddError(f"tree {tree} is missing")
    left = {entry.name for entry in os.scandir(folder)}
    for entry in _entries(objects[tree], len(tree) // 2):
        name = f"{path}{entry.name}"
        if entry.name in {"", ".", ".."} or "/" in entry.name or entry.name.lower() == ".git":
            raise _OddError(f"{name!r} is no path in a tree")
        if entry.name not in left:
            raise _OddError(f"{name!r} was not written, or is there twice")
        left.discard(entry.name)
        place = folder / entry.name
        status = place.lstat()
        if entry.mode in {_FOLDER, _REPOSITORY}:
            if not stat.S_ISDIR(status.st_mode):
                raise _OddError(f"{name!r} is no folder")
            if entry.mode == _FOLDER:
                _check_folder(place, f"{name}/", entry.id, objects)
            elif any(os.scandir(place)):
                raise _OddError(f"{name!r} is a repository of its own, and not empty")
        else:
            _check_file(place, name, entry, status)
    if left:
        raise _OddError(f"{path}{min(left)!r} is not in the commit")


def _check_file(place: Path, name: str, entry: _Entry, status: os.stat_result) -> None:
    mode = status.st_mode
    if entry.mode == _LINK and stat.S_ISLNK(mode):
        content = os.readlink(os.fsencode(place))  # noqa: PTH115 - a Path has no ./ and //
    elif stat.S_ISREG(mode) and status.st_size <= FILE_BYTES:
        if entry.mode not in ((_PROGRAM,) if mode & stat.S_IXUSR else _FILES):
            raise _OddError(f"{name!r} has mode {mode & 0o777:o}")
        content = place.read_bytes()
    else:
        raise _OddError(f"{name!r} is another kind of file, or larger than {FILE_BYTES} bytes")
    if _hash("blob", content, entry.id) != entry.id:
        raise _OddError(f"{name!r} has another content")
