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
from rmaplab.store.cache import Cache, digest_of


def source_of(tree: Tree, series: Series, cache: Cache, onto: Series | None = None) -> Path:
    """The folder of the tree with the series applied; the tree itself for the empty series.

    ``onto`` is what the series begins with. Of the files that it touches the folder has copies of
    its own, so that whoever builds can give them the times that a build of ``onto`` has seen.
    Raises PatchError that names patch, file and hunk if one does not apply.
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
                _unshare(copy / name)
            for number, patch in enumerate(series.patches[first:], start=first + 1):
                _apply(patch, copy, f"patch {number}/{len(series.patches)}")

    return cache.entry("sources", key(tree, series), make) / "tree"


def key(tree: Tree, series: Series) -> str:
    """The name of a patched tree in the cache's sources."""
    return digest_of("source", tree.digest, *(patch.digest for patch in series.patches))


def _unshare(path: Path) -> None:
    """Make a file's content a copy: it is no longer a link to another tree's."""
    if path.is_file():
        half = path.with_name(f".{path.name}.copy")
        shutil.copy2(path, half)
        half.replace(path)


def _apply(patch: Patch, copy: Path, place: str) -> None:
    # Without a ceiling, git would take a repository around the cache for the one to patch, and
    # silently skip every path outside it.
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "HOME": "/nonexistent",
           "GIT_CEILING_DIRECTORIES": str(copy.parent)}  # fmt: skip
    git = ["git", "apply", "--whitespace=nowarn", "-p1"]
    done = proc.run([*git, "-"], cwd=copy, env=env, stdin=patch.diff, check=False)
    if done.ok:
        return
    rejected = proc.run(
        [*git, "--reject", "--verbose", "-"], cwd=copy, env=env, stdin=patch.diff, check=False
    )
    where = list(_rejects(rejected.complaint)) or done.complaint.splitlines()
    raise PatchError(
        f"{place} does not apply: {patch.name} ({patch.subject})\n"
        + "\n".join(f"  {line}" for line in where),
        hint="is the series for this tree? rebase it, or name another tree with --tree",
    )


def _rejects(said: str) -> Iterator[str]:
    """``file, hunk #n at line m`` for each rejected hunk of ``git apply --reject --verbose``."""
    lines = dict[str, list[str]]()
    current = ""
    for line in said.splitlines():
        if match := re.match(r"error: patch failed: (.+):(\d+)$", line):
            lines.setdefault(match[1], []).append(match[2])
        elif match := re.match(r"Applying patch (.+) with \d+ rejects?\.\.\.$", line):
            current = match[1]
        elif match := re.match(r"Rejected hunk #(\d+)\.$", line):
            at = lines.get(current) or []
            line_text = f" at line {at.pop(0)}" if at else ""
            yield f"{current}: hunk #{match[1]}{line_text}"
        elif match := re.match(
            r"error: (?!while searching)(.+: (?!patch does not apply).+)$", line
        ):
            yield match[1]
