# SPDX-License-Identifier: GPL-2.0
"""Compare two revisions of a series patch by patch, as git range-diff does."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rmaplab import proc
from rmaplab.errors import InfraError, PatchError
from rmaplab.model import Series, Tree
from rmaplab.source import diff, patched
from rmaplab.source.git import NEUTRAL

LIMIT_S = 120.0
MAX_BYTES = 1 << 20
"""Bytes of a comparison that are kept."""
_WHO = {
    "GIT_AUTHOR_NAME": "rmaplab", "GIT_AUTHOR_EMAIL": "rmaplab@localhost",
    "GIT_AUTHOR_DATE": "@0 +0000", "GIT_COMMITTER_DATE": "@0 +0000",
}  # fmt: skip


def range_diff(tree: Tree, old: Series, new: Series) -> str:
    """Return what git range-diff says of two series on one tree; why it cannot, if it cannot.

    Git works in a repository of the lab's own, which has the touched files alone.
    """
    with tempfile.TemporaryDirectory(prefix="rmaplab-range-") as scratch:
        folder = Path(scratch)
        try:
            return _compared(folder, tree, old, new)
        except (InfraError, PatchError) as error:
            return f"there is no range-diff: {error.message}\n"


def _compared(folder: Path, tree: Tree, old: Series, new: Series) -> str:
    _git(folder, "init", "--quiet", "--template=", "--initial-branch=base")
    for name in sorted({*old.files, *new.files}):
        path = diff.regular(tree.path, name)
        if path is not None:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    _commit(folder, "base")
    for branch, series in (("old", old), ("new", new)):
        _git(folder, "checkout", "--quiet", "-B", branch, "base")
        for number, patch in enumerate(series.patches, start=1):
            patched.apply(patch, folder, f"patch {number}/{len(series.patches)}")
            _commit(folder, f"{patch.subject}\n\n{patch.message}")
    text = _git(folder, "range-diff", "--no-color", "base..old", "base..new")
    return text if len(text) <= MAX_BYTES else f"{text[:MAX_BYTES]}\n(the rest is left out)\n"


def _commit(folder: Path, message: str) -> None:
    _git(folder, "add", "--all", "--force")
    words = ("commit", "--quiet", "--allow-empty", "--allow-empty-message", "--no-verify",
             "--no-gpg-sign", "--cleanup=verbatim", "--file=-")  # fmt: skip
    _git(folder, *words, stdin=message.encode("utf-8", "replace").replace(b"\0", b""))


def _git(folder: Path, *words: str, stdin: bytes = b"") -> str:
    options = ("-c", "core.hooksPath=/dev/null", "-c", "core.attributesFile=/dev/null",
               "-c", "core.autocrlf=false", "-c", "gc.auto=0")  # fmt: skip
    env = {**NEUTRAL, **_WHO, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    done = proc.run(
        ["git", *options, *words], cwd=folder, env=env, stdin=stdin, check=False, timeout_s=LIMIT_S
    )
    if not done.ok:
        raise InfraError(f"git {words[0]}: {done.complaint}")
    return done.text
