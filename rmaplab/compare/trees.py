# SPDX-License-Identifier: GPL-2.0
"""Compare how a lab's testcases went on several kernel trees, and name the coverage that was lost.

A skip is no failure, so a tree on which a testcase can no longer do its work looks as sound as one
on which it passes. Here a skip is lost coverage where the same cell passes on another tree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rmaplab.model import CellResult, Verdict, version_range

Place = tuple[str, str, str]
"""Testcase, guest with its devices, settings."""

PASS, KNOWN, FAIL, LOST, SKIP, ERROR = "pass", "known", "FAIL", "lost", "skip", "error"
STANDINGS = (PASS, KNOWN, FAIL, LOST, SKIP, ERROR)
"""The words for a cell.

``known`` is a failure that the lab file expects, ``lost`` a skip of what passes on another tree,
``skip`` any other one.
"""


@dataclass(frozen=True, slots=True)
class OnTree:
    """Hold the results of a lab on a tree; ``name`` heads its column, ``version`` is its own."""

    name: str
    version: str
    results: Sequence[CellResult]


@dataclass(frozen=True, slots=True)
class Lost:
    """Name what passes on ``elsewhere`` and is skipped on ``tree``, or does not come there.

    ``subtest`` is empty for a cell that was skipped as a whole.
    """

    testcase: str
    place: str
    settings: str
    subtest: str
    tree: str
    why: str
    elsewhere: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TestcaseOnTrees:
    """Hold how a testcase's cells went on each tree, by standing; None where it was not run."""

    testcase: str
    counts: tuple[Mapping[str, int] | None, ...]

    @property
    def differs(self) -> bool:
        """Return whether the trees on which it was run show different standings."""
        seen = [frozenset(count) for count in self.counts if count is not None]
        return len(set(seen)) > 1


@dataclass(frozen=True, slots=True)
class TreesComparison:
    """Hold the trees' names, how each testcase went on each, and what was lost."""

    trees: tuple[str, ...]
    rows: tuple[TestcaseOnTrees, ...]
    lost: tuple[Lost, ...]


def compare_trees(trees: Sequence[OnTree]) -> TreesComparison:
    """Compare how testcases went on several trees, in the order of the trees."""
    placed = [_by_place(tree) for tree in trees]
    lost = tuple(_lost(trees, placed))
    skipped = {(one.tree, one.testcase, one.place, one.settings) for one in lost if not one.subtest}
    counts: dict[str, list[Counter[str] | None]] = {}
    for column, tree in enumerate(trees):
        for place, results in placed[column].items():
            row = counts.setdefault(place[0], [None] * len(trees))
            cell = row[column] or Counter()
            row[column] = cell
            for result in results:
                word = _standing(result)
                if word == SKIP and (tree.name, *place) in skipped:
                    word = LOST
                cell[word] += 1
    rows = tuple(
        TestcaseOnTrees(name, tuple(None if one is None else _ordered(one) for one in row))
        for name, row in sorted(counts.items())
    )
    return TreesComparison(tuple(tree.name for tree in trees), rows, lost)


def _ordered(count: Counter[str]) -> dict[str, int]:
    return {word: count[word] for word in STANDINGS if count[word]}


def _by_place(tree: OnTree) -> dict[Place, list[CellResult]]:
    found: dict[Place, list[CellResult]] = {}
    for result in tree.results:
        cell = result.cell
        found.setdefault((cell.testcase.name, cell.place, cell.settings.name), []).append(result)
    return found


def _standing(result: CellResult) -> str:
    judgement = result.judgement
    match judgement.verdict:
        case Verdict.PASS:
            return PASS
        case Verdict.SKIP:
            return SKIP
        case Verdict.ERROR:
            return ERROR
    return KNOWN if judgement.as_expected else FAIL


def _lost(
    trees: Sequence[OnTree], placed: Sequence[Mapping[Place, Sequence[CellResult]]]
) -> Iterator[Lost]:
    for place in sorted({place for column in placed for place in column}):
        for tree, column in zip(trees, placed, strict=True):
            here = column.get(place, ())
            if not here or any(_is_not_meant_for(tree, result) for result in here):
                continue
            others = {
                other.name: there[place]
                for other, there in zip(trees, placed, strict=True)
                if other is not tree and place in there
            }
            yield from _lost_of(place, tree.name, here, others)


def _is_not_meant_for(tree: OnTree, result: CellResult) -> bool:
    """Return whether the plan leaves the cell out, or its testcase says that it is not for it."""
    wanted = result.cell.testcase.requires.tree
    return bool(result.cell.skip) or tree.version not in version_range(wanted)


def _lost_of(
    place: Place,
    tree: str,
    here: Sequence[CellResult],
    others: Mapping[str, Sequence[CellResult]],
) -> Iterator[Lost]:
    skipped = [result for result in here if _standing(result) == SKIP]
    if skipped:
        passing = tuple(
            name for name, there in others.items() if any(_standing(one) == PASS for one in there)
        )
        if passing:
            yield Lost(*place, "", tree, skipped[0].judgement.reason, passing)
        return
    if any(_standing(result) not in {PASS, KNOWN} for result in here):
        return  # what does not come from a cell that failed is no news
    came = {one.name: one for result in here for one in result.observation.subtests}
    elsewhere: dict[str, list[str]] = {}
    for name, there in others.items():
        for subtest in _passed(there) - _passed(here):
            elsewhere.setdefault(subtest, []).append(name)
    for subtest, names in sorted(elsewhere.items()):
        one = came.get(subtest)
        if one is None or one.verdict is Verdict.SKIP:
            why = "it does not come" if one is None else one.why or one.detail or "skipped"
            yield Lost(*place, subtest, tree, why, tuple(names))


def _passed(results: Sequence[CellResult]) -> set[str]:
    return {
        one.name
        for result in results
        for one in result.observation.subtests
        if one.verdict is Verdict.PASS
    }
