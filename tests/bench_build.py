# SPDX-License-Identifier: GPL-2.0
"""make bench: full, patched and repeated build, byte-identity, and boot, measured in one run.

Builds go to an empty cache, so nothing here is from an earlier day; only the kernel source comes
from the lab's own cache. Exit code 1 if a goal is missed.
"""

from __future__ import annotations

import asyncio
import dataclasses
import difflib
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rmaplab.build import initramfs
from rmaplab.build import kernel as build_kernel
from rmaplab.config import labfile
from rmaplab.config.catalogue import Catalogue
from rmaplab.evidence.ends import EndCause
from rmaplab.guest import vm
from rmaplab.guest.command import Accelerator, Launch
from rmaplab.guest.transcript import Transcript
from rmaplab.model import X86_64, Build, Guest, Patch, ResolvedKernel, Series, Tree
from rmaplab.model.digest import digest_of
from rmaplab.pipeline import labs
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.store.cache import Cache

# The goal for a patch to two files of mm/; a series that changes headers recompiles who includes
# them, which no build system can avoid.
PATCHED_SHARE = 0.15
TOUCHED = ("mm/rmap.c", "mm/memory.c")
REBUILD_S = 2.0
BOOTS = 5


def timed(action: Callable[[], Build]) -> tuple[float, Build]:
    """How long an action takes, in seconds, and what it gives."""
    began = time.monotonic()
    made = action()
    return time.monotonic() - began, made


def compiled(made: Build) -> str:
    """How many files the compiler saw."""
    return f"{made.log.read_text('utf-8', 'replace').count('  CC ')} compiled"


def small_series(tree: Tree) -> Series:
    """A patch that adds a line to the end of two files."""
    diff = ""
    for name in TOUCHED:
        old = (tree.path / name).read_text("utf-8").splitlines(keepends=True)
        new = [*old, "/* benchmark */\n"]
        diff += "".join(difflib.unified_diff(old, new, f"a/{name}", f"b/{name}"))
    patch = Patch("bench.patch", "mm: benchmark", "", diff.encode(), digest_of(diff), TOUCHED)
    return Series("bench", "", (patch,))


def sha256(path: Path) -> str:
    """The digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def boot_s(guest: Guest, image: Path, archive: Path, accelerator: Accelerator) -> float:
    """Seconds from starting QEMU to the agent's first event."""
    with tempfile.TemporaryDirectory(prefix="rmaplab-bench-") as scratch:
        folder = Path(scratch)
        with Transcript(folder / "agent.jsonl") as transcript:
            began = time.monotonic()
            launch = Launch(image, archive, accelerator)
            async with vm.running(guest, launch, folder=folder, transcript=transcript) as machine:
                await machine.within(120, EndCause.BOOT_LIMIT, machine.agent.event())
                return time.monotonic() - began


def main() -> int:
    """Measure and print the table."""
    catalogue = Catalogue()
    usual = Cache()
    lab = labfile.read(catalogue.root / "configs/rmap.yaml", catalogue)
    lab = labs.ab_lab(lab, "patches/device-exclusive")
    builder = KernelBuilder(catalogue, usual, 2)
    base, bundled = (builder.resolve(kernel) for kernel in lab.kernels)
    small = dataclasses.replace(base, series=small_series(base.tree))
    rows: list[tuple[str, str, str]] = []
    with (
        tempfile.TemporaryDirectory(prefix="rmaplab-bench-") as first,
        tempfile.TemporaryDirectory(prefix="rmaplab-bench-") as second,
    ):
        cache, other_cache = Cache(Path(first)), Cache(Path(second))

        def build(wanted: ResolvedKernel, where: Cache = cache) -> Callable[[], Build]:
            return lambda: build_kernel.build(wanted, where, jobs=2)

        full_s, full = timed(build(base))
        rows.append(("full build", f"{full_s:.1f} s", compiled(full)))
        small_s, made = timed(build(small))
        share = small_s / full_s
        what = f"then a patch to {' and '.join(TOUCHED)}"
        rows.append((what, f"{small_s:.1f} s", f"{share:.1%} of full, {compiled(made)}"))
        again_s, _ = timed(build(small))
        rows.append(("the same build again", f"{again_s:.2f} s", ""))
        series_s, made = timed(build(bundled))
        note = f"{series_s / full_s:.1%} of full, {compiled(made)}"
        rows.append(("the bundled series, with its headers", f"{series_s:.1f} s", note))
        _, other = timed(build(small, other_cache))
        same = sha256(build(small)().image) == sha256(other.image)
        rows.append(
            ("the patched image, built in two caches", "", "identical" if same else "DIFFERS")
        )
        ok = share <= PATCHED_SHARE and again_s <= REBUILD_S and same
        archive = initramfs.build(catalogue.root, catalogue.testcases.values(), usual, X86_64)
        accelerator = Accelerator.TCG
        for guest in catalogue.guests.values():
            times = sorted(
                asyncio.run(boot_s(guest, full.image, archive, accelerator)) for _ in range(BOOTS)
            )
            median = times[BOOTS // 2]
            rows.append((f"boot {guest.name} ({accelerator})", f"{median:.2f} s",
                         f"{times[0]:.2f} to {times[-1]:.2f}"))  # fmt: skip
    table = Table(title="rmaplab bench")
    for title in ("what", "time", "note"):
        table.add_column(title)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
