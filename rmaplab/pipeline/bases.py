# SPDX-License-Identifier: GPL-2.0
"""Settle which tree a series is tested on (``--base``), and say why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rmaplab.errors import UserError
from rmaplab.model import Lab, Series
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.source import bases, repository
from rmaplab.source import series as series_source
from rmaplab.source.bases import Base

AUTO = "auto"
FORMS = "auto (the trees of the lab's kernels), git:REPO, or git:REPO#PATTERN of its tags"


def choose(word: str, lab: Lab, specs: Sequence[str], accept: tuple[str, ...],
           builder: KernelBuilder) -> Base:  # fmt: skip
    """Return the tree that ``--base`` finds for the series, the lowest first.

    Raises UserError for a word that is none, PatchError if the series applies to no tree.
    """
    if not specs:
        raise UserError("--base is where --series goes: name that, too")
    loaded = [builder.series(spec, accept) for spec in specs]
    whole = series_source.stack(loaded)
    if word == AUTO:
        trees = dict.fromkeys(kernel.tree for kernel in lab.kernels)
        found = bases.choose(
            whole,
            [
                bases.of_folder(
                    spec, builder.tree(spec).path, "the first of the lab's trees", whole
                )
                for spec in trees
            ],
        )
        repo = None
    elif word.startswith("git:"):
        found = bases.choose(whole, bases.of_repository(word, whole))
        repo = repository.find(Path(word[4:].partition("#")[0]).expanduser().resolve())
    else:
        raise UserError(f"--base: {word!r} is none of {FORMS}")
    return Base(found.tree, (*found.said, *_remarks(loaded, found.tree, repo)))


def _remarks(
    loaded: Sequence[Series], tree: str, repo: repository.Repository | None
) -> Sequence[str]:
    said: list[str] = []
    for number, one in enumerate(loaded):
        below = series_source.stack(loaded[:number])
        said += bases.remarks(one, below, tree.rpartition("#")[2], repo)
    return said
