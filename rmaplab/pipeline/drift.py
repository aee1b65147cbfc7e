# SPDX-License-Identifier: GPL-2.0
"""Say where Kconfig chose otherwise for kernels of different trees, from their runs' folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rmaplab.build import choices, fragments
from rmaplab.model import architecture_of
from rmaplab.source import tree as tree_source
from rmaplab.store.cache import Cache
from rmaplab.store.runfolder import RunFolder


@dataclass(frozen=True, slots=True)
class Configured:
    """Hold a kernel's final configuration, and how its choices fell.

    ``choices`` are empty if the cache no longer has the tree, whose Kconfig files name them.
    """

    name: str
    version: str
    values: choices.Values
    choices: choices.Values
    requested: frozenset[str]


def of_run(folder: RunFolder, cache: Cache) -> dict[str, Configured]:
    """Return the kernels of a run whose configuration its folder has, by name."""
    record = folder.read_record()
    found = {}
    for kernel in record.lab.kernels:
        facts = record.kernels.get(kernel.name)
        place = folder.inside(f"builds/{facts.key}/.config") if facts is not None else None
        if facts is None or place is None or not place.is_file():
            continue
        values = fragments.parse_config(place.read_text(encoding="utf-8", errors="replace"))
        tree = tree_source.cached(facts.tree, facts.tree_entry, facts.digest, cache)
        taken = {}
        if tree is not None:
            taken = choices.made(tree.path, values, architecture_of(kernel.arch))
        asked = frozenset(facts.symbols)
        found[kernel.name] = Configured(kernel.name, facts.version, values, taken, asked)
    return found


def lines(kernels: Sequence[Configured]) -> Iterator[str]:
    """Yield a line for each choice and symbol that is not what it is on the first kernel's tree."""
    for one, other in ((kernels[0], later) for later in kernels[1:]):
        if one.version == other.version:
            continue
        but = one.requested | other.requested | {*one.choices.values(), *other.choices.values()}
        here, there = f"on {one.version}", f"on {other.version}"
        for prompt, was, now in choices.choices_apart(one.choices, other.choices):
            yield f"{prompt}: {was} {here}, {now} {there}"
        for name, was, now in choices.symbols_apart(one.values, other.values, but):
            yield f"CONFIG_{name}: {was} {here}, {now} {there}"
