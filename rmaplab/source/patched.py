# SPDX-License-Identifier: GPL-2.0
"""A tree with a series on top, as a copy that shares the untouched files by hardlink.

``git apply`` replaces files rather than writing into them, so the tree itself stays as it was, and
the untouched files keep their modification times, which is what lets make build incrementally.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from rmaplab import proc
from rmaplab.errors import PatchError
from rmaplab.log import log
from rmaplab.model import Patch, Series, Tree
from rmaplab.model.digest import digest_of
from rmaplab.source import diff, rejects
from rmaplab.store.cache import Cache


def source_of(tree: Tree, series: Series, cache: Cache, onto: Series | None = None) -> Path:
    """Return the folder of the tree with the series applied; the tree itself for the empty series.

    ``onto`` is what the series begins with. Of the files that it touches the folder has copies of
    its own, so that whoever builds can give them the times that a build of ``onto`` has seen.
    Raises PatchError that names patch, file and hunk if one does not apply, and for a series that
    changes what its patches do not name, or makes a submodule or a link that leads out of the tree.
    """
    if not series.patches:
        return tree.path
    first = len(onto.patches) if onto is not None else 0

    def make(folder: Path) -> None:
        copy = folder / "tree"
        start = source_of(tree, onto, cache) if onto is not None else tree.path
        with log.step(f"applying {series.name} ({len(series.patches)} patches)"):
            proc.run(["cp", "-al", start, copy])
            for name in onto.files if onto is not None else ():
                _unshare(copy, name)
            for number, patch in enumerate(series.patches[first:], start=first + 1):
                apply(patch, copy, f"patch {number}/{len(series.patches)}")
            _check(tree.path, copy, series)

    return cache.entry("sources", key(tree, series), make) / "tree"


def key(tree: Tree, series: Series) -> str:
    """Return the name of a patched tree in the cache's sources."""
    return digest_of("source", tree.digest, *(patch.digest for patch in series.patches))


def changed(before: Path, after: Path) -> frozenset[str]:
    """Return the paths of files and links that differ between two trees that share hardlinks."""
    old, new = _inodes(before), _inodes(after)
    gone = old.keys() - new.keys()
    return frozenset(
        gone
        | {
            name
            for name, inode in new.items()
            if old.get(name) != inode and not _is_alike(before / name, after / name)
        }
    )


def _inodes(root: Path) -> dict[str, int]:
    """Return the inode numbers of a tree's files and links, by their paths."""
    found: dict[str, int] = {}
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(root / folder) as entries:
            for one in entries:
                name = f"{folder}{one.name}"
                if one.is_dir(follow_symlinks=False):
                    waiting.append(f"{name}/")
                else:
                    found[name] = one.inode()
    return found


def _is_alike(one: Path, other: Path) -> bool:
    """Return whether two entries have the same type, mode and content."""
    return diff.content(one) == diff.content(other)


def _check(before: Path, copy: Path, series: Series) -> None:
    """Hold a patched tree against what its patches name; raises PatchError."""
    beyond = sorted(changed(before, copy) - set(series.files))
    if beyond:
        raise PatchError(
            f"{series.name} changes files that its patches do not name: "
            + ", ".join(map(repr, beyond[:5]))
        )
    root = copy.resolve()
    for name in series.files:
        path = diff.entry(copy, name)
        if path is not None and path.is_symlink() and _leads_out(path, root):
            raise PatchError(
                f"{series.name} makes {name!r} a link that leads out of the tree, "
                f"to {str(path.readlink())!r}"
            )
        if path is not None and path.is_dir() and not any(path.iterdir()):
            raise PatchError(
                f"{series.name} makes {name!r} a submodule, of which nothing is built",
                hint="put its files into the series",
            )


def _leads_out(link: Path, root: Path) -> bool:
    """Return whether a link's target is outside a folder; a loop of links has no target."""
    try:
        return not link.resolve().is_relative_to(root)
    except RuntimeError:
        return False


def _unshare(copy: Path, name: str) -> None:
    """Make a file's content a copy: it is no longer a link to another tree's."""
    path = diff.regular(copy, name)
    if path is not None:
        half = path.with_name(f".{path.name}.copy")
        shutil.copy2(path, half)
        half.replace(path)


def apply(patch: Patch, copy: Path, place: str) -> None:
    """Apply a patch to the files of a folder.

    Raises PatchError that says what stands where a hunk does not apply; ``place`` is the patch's
    number.
    """
    done = diff.apply(patch.diff, copy)
    if done.ok:
        return
    hint = "is the series for this tree? rebase it, or name another tree with --tree or --base"
    if diff.apply(patch.diff, copy, "--reverse", "--check").ok:
        raise PatchError(
            f"{place} does not apply: {patch.name} ({patch.subject})\n"
            "  the tree has this change already",
            hint="take the patch out, or name an older tree with --tree or --base",
        )
    rejected = diff.apply(patch.diff, copy, "--reject", "--verbose")
    where = list(_rejects(rejected.complaint, copy)) or done.complaint.splitlines()
    raise PatchError(
        f"{place} does not apply: {patch.name} ({patch.subject})\n"
        + "\n".join(f"  {line}" for line in where),
        hint=hint,
    )


def _rejects(said: str, tree: Path) -> Iterator[str]:
    """Yield what git apply --reject --verbose says of each hunk, with what stands in its place."""
    places: dict[str, list[str]] = {}
    numbers: dict[str, list[int]] = {}
    current = ""
    for line in said.splitlines():
        if match := re.match(r"error: patch failed: (.+):(\d+)$", line):
            places.setdefault(match[1], []).append(match[2])
        elif match := re.match(r"Applying patch (.+) with \d+ rejects?\.\.\.$", line):
            current = match[1]
        elif match := re.match(r"Rejected hunk #(\d+)\.$", line):
            numbers.setdefault(current, []).append(int(match[1]))
        elif match := re.match(
            r"error: (?!while searching)(.+: (?!patch does not apply).+)$", line
        ):
            yield match[1]
    for name, some in numbers.items():
        lines = list(rejects.said(tree, name, some))
        yield from lines
        if not lines:  # a name that git quotes
            for number in some:
                at = places.get(name) or []
                yield f"{name}: hunk #{number}" + (f" at line {at.pop(0)}" if at else "")
