# SPDX-License-Identifier: GPL-2.0
"""Hold the choices of --touched against seeded bugs (make touched).

For each seeded bug of the base: what it touches, which testcases a choice takes, whether one that
is known to find it is among them (the bug's header names those), and which part of the rows is
taken. Nothing but the base is built, and nothing is run.

    python tests/bench_touched.py RUN [RUN ...]

RUN are folders of runs of the labs on their base with ``--coverage``.
"""

from __future__ import annotations

import functools
import sys
from collections import defaultdict
from pathlib import Path

from rmaplab.build import linetables
from rmaplab.build.kernel import OBJECTS
from rmaplab.build.linetables import Tables
from rmaplab.cli.runs import builder
from rmaplab.config.catalogue import Catalogue
from rmaplab.evidence import blocks
from rmaplab.evidence.blocks import RunBlocks
from rmaplab.model import Kernel, ResolvedKernel, Series, version_range
from rmaplab.mutants import MutantBase
from rmaplab.pipeline import coverage, selecting, touched
from rmaplab.plan import plan
from rmaplab.source import mutant as mutants
from rmaplab.store.runfolder import RunFolder, planned
from rmaplab.touched import choose, thinned


@functools.cache
def _tables(build: Path, source: Path, names: tuple[str, ...], files: tuple[str, ...]) -> Tables:
    return READ(build, source, names, files)


READ = linetables.read


def main(runs: list[str]) -> int:
    # Many of the bugs are in one file, whose object is compiled again once for all of them.
    linetables.read = lambda build, source, names, files: _tables(
        build, source, tuple(names), tuple(files)
    )
    catalogue = Catalogue()
    shop = builder(catalogue, 0)
    ran: dict[str, list[RunBlocks]] = defaultdict(list)
    rows: dict[str, int] = {}
    kernels: set[Kernel] = set()
    for path in runs:
        folder = RunFolder.open(Path(path))
        record = folder.read_record()
        whole = plan(record.lab)
        for row in whole.rows:
            name = row.first.testcase.name
            rows[name] = rows.get(name, 0) + (not row.first.skip)
        for cell, found in coverage.each_cell(folder, planned(record, whole.cells)):
            ran[cell.testcase.name].append(found)
        kernels |= {kernel for kernel in record.lab.kernels if not kernel.series}
    rows = {name: count for name, count in rows.items() if count}
    reached = {name: blocks.union(some) for name, some in ran.items()}
    (kernel,) = kernels
    base = shop.resolve(kernel)
    objects = shop.cache.path("builds", base.key) / OBJECTS
    core = {name for name in rows if name.startswith(selecting.CORE)}
    named = touched.named_by(catalogue)
    unrecorded = rows.keys() - reached.keys()
    total, kept, known = sum(rows.values()), 0, 0
    print(f"{len(rows)} testcases, {total} rows, {len(unrecorded)} testcases not recorded")
    for one in mutants.read(catalogue.root / "patches/mutants", catalogue.testcases):
        is_of_base = one.base is MutantBase.BASE and base.tree.version in version_range(one.tree)
        finders = {name for name in one.testcases if name in rows}
        if not is_of_base or not finders or one.equivalent:
            continue
        series = Series(one.name, str(one.path), (one.patch,))
        patched = ResolvedKernel(
            kernel, base.tree, series, base.kconfig, base.toolchain, base.recipe, base.environment
        )
        change = touched.of_series(patched, objects, reached, named, shop.cache)
        chosen = choose(change.places, rows, core=core, unrecorded=unrecorded)
        taken = {c.testcase for c in chosen if c.taken} if not change.unbound else set(rows)
        few = total if change.unbound else sum(thinned(chosen, rows).values())
        share = few / total
        is_kept = bool(taken & finders)
        known += 1
        kept += is_kept
        lost = ", ".join(f"{c.testcase}: {c.why}" for c in chosen if c.testcase in finders - taken)
        note = "; ".join(change.unbound)
        print(f"{'kept' if is_kept else 'LOST'} {one.name:28} {share:4.0%} "
              f"{len(taken & finders)}/{len(finders)} {note} {lost}", flush=True)  # fmt: skip
    print(f"{kept} of {known} seeded bugs keep a testcase that finds them")
    return 0 if kept == known else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
