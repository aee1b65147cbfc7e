# SPDX-License-Identifier: GPL-2.0
"""Compare saved runs of several kernel trees, from their evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rmaplab.compare.trees import OnTree, TreesComparison, compare_trees
from rmaplab.errors import UserError
from rmaplab.pipeline import drift
from rmaplab.pipeline.evaluate import Evaluation, evaluate
from rmaplab.store.cache import Cache
from rmaplab.store.runfolder import RunFolder


def of_runs(folders: Sequence[Path]) -> TreesComparison:
    """Compare the kernels of saved runs, each by its tree, in the order of the runs.

    Raises UserError if there are fewer than two, or a folder is no run's.
    """
    found = [one for path in folders for one in _kernels(path, evaluate(RunFolder.open(path)))]
    if len(found) < 2:
        raise UserError(
            "one kernel is not enough to compare trees",
            hint="name the folders of runs on two trees, e.g. of run LAB and run LAB --tree TREE",
        )
    return compare_trees(_told_apart(found))


def drift_of(folders: Sequence[Path], cache: Cache) -> tuple[str, ...]:
    """Return where Kconfig chose otherwise for the kernels of saved runs, a line each."""
    found = [one for path in folders for one in drift.of_run(RunFolder.open(path), cache).values()]
    return tuple(drift.lines(found)) if found else ()


def _kernels(path: Path, evaluation: Evaluation) -> Iterator[tuple[str, OnTree]]:
    """Yield each kernel that has results, with what tells it from another of its version."""
    for name, facts in evaluation.record.kernels.items():
        results = [one for one in evaluation.results if one.cell.kernel == name]
        if results:
            with_series = f"{facts.version} + {facts.series}" if facts.series else facts.version
            yield f"{path.name}: {name}", OnTree(with_series, facts.version, results)


def _told_apart(found: Sequence[tuple[str, OnTree]]) -> list[OnTree]:
    """Give the kernels that have one and the same name longer ones."""
    same = Counter(tree.name for _, tree in found)
    named = [
        OnTree(f"{tree.name} ({where})" if same[tree.name] > 1 else tree.name,
               tree.version, tree.results)
        for where, tree in found
    ]  # fmt: skip
    twice = [name for name, count in Counter(tree.name for tree in named).items() if count > 1]
    if twice:
        raise UserError(f"a run is named twice: {twice[0]}")
    return named
