# SPDX-License-Identifier: GPL-2.0
"""make bench: what a cell costs, measured in one run; exit code 1 if a goal is missed.

Clones against boots, whole cells against virtme-ng's, cells a minute, the lab's own share, and
whether exact mode is exact. For figures worth keeping, on an otherwise idle machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rmaplab import cli
from rmaplab.build import initramfs
from rmaplab.collect import counters
from rmaplab.config import labfile
from rmaplab.config.catalogue import Catalogue
from rmaplab.evidence.ends import EndCause
from rmaplab.guest import virtme
from rmaplab.guest import vm as guest_vm
from rmaplab.guest.cellsetup import CellSetup, CellTask, TemplateState
from rmaplab.guest.command import Accelerator, Launch
from rmaplab.guest.isolation import Turn
from rmaplab.guest.transcript import Transcript
from rmaplab.guest.vm import Vm
from rmaplab.model import X86_64, Build, Cell, Guest, Lab
from rmaplab.pipeline import calibration
from rmaplab.pipeline.executor import LocalExecutor
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.pipeline.templates import Templates
from rmaplab.plan import plan
from rmaplab.store.cache import Cache

ROOT = Path(__file__).resolve().parent.parent
TIMES = 9
CELLS = 240
EXACT_REPEATS = 10

CLONE_SHARE = 1 / 25
VNG_SHARE = 1 / 50
CELLS_A_MINUTE = 700
PRIVATE_MB = 40
LAB_MS = 10.0
CELL_KB = 2

LAB = """\
name: bench
kernels:
  - name: base
    tree: debian:linux-source-6.12
    config: [guest, mm, device]
guests: [q35]
settings: [thp-never]
testcases: [{testcase}]
audit: false
ledger: false
"""


@dataclass(frozen=True)
class Row:
    """A line of the table; ``ok`` is None where there is no goal."""

    what: str
    figure: str
    goal: str = ""
    ok: bool | None = None


@dataclass(frozen=True)
class Setup:
    """A kernel, a guest and its template."""

    guest: Guest
    boot: Launch
    setup: CellSetup
    template: TemplateState


def setup(folder: Path) -> Setup:
    """The bench lab's template, from the lab's cache or made now."""
    catalogue, cache = Catalogue(), Cache()
    lab = read_lab(folder, "selftest/nothing")
    builder = KernelBuilder(catalogue, cache, 2)
    build: Build = builder.build(builder.resolve_all(lab))["base"]
    archive = initramfs.build(catalogue.root, catalogue.testcases.values(), cache, X86_64)
    boot = Launch(build.image, archive, Accelerator.TCG)
    cell: Cell = plan(lab).cells[0]
    workloads = calibration.Workloads.of(catalogue.testcases)
    templates = Templates(lab, cache, folder / "boots", workloads=workloads, averaged=frozenset())
    templates.prepare([cell], {"base": boot}, 1)
    setup = templates.setup(cell, boot)
    assert isinstance(setup, CellSetup)
    assert setup.template is not None
    return Setup(cell.guest, boot, setup, setup.template)


def read_lab(folder: Path, testcase: str) -> Lab:
    """The bench lab with one testcase."""
    return labfile.read(lab_file(folder, testcase), Catalogue())


def lab_file(folder: Path, testcase: str) -> Path:
    """A lab file with one testcase."""
    path = folder / f"{testcase.replace('/', '-')}.yaml"
    path.write_text(LAB.format(testcase=testcase), "utf-8")
    return path


@contextlib.asynccontextmanager
async def guest(ready: Setup, launch: Launch) -> AsyncIterator[Vm]:
    """A guest whose evidence nobody keeps."""
    with tempfile.TemporaryDirectory(prefix="rmaplab-bench-") as scratch:
        folder = Path(scratch)
        with Transcript(folder / "agent.jsonl") as transcript:
            async with guest_vm.running(
                ready.guest, launch, folder=folder, transcript=transcript
            ) as machine:
                yield machine


async def boot_s(ready: Setup) -> float:
    """From QEMU's start to a booted agent's first reply."""
    began = time.monotonic()
    async with guest(ready, ready.boot) as machine:
        await machine.within(120, EndCause.BOOT_LIMIT, machine.agent.event())
        await machine.within(20, EndCause.READY_LIMIT, machine.agent.ask("ping"))
        return time.monotonic() - began


async def clone_s(ready: Setup) -> float:
    """From QEMU's start to a clone's first reply."""
    began = time.monotonic()
    async with guest(ready, ready.setup.launch) as machine:
        machine.agent.count_from(ready.template.result.last_request)
        await machine.go()
        await machine.within(20, EndCause.READY_LIMIT, machine.agent.ask("ping"))
        return time.monotonic() - began


async def waiting_mb(ready: Setup, *, warm: bool) -> float:
    """Return the private pages, in MB, of a clone that waits beside another one.

    A ``warm`` one has rehearsed a sample.
    """
    async with guest(ready, ready.setup.launch):
        before = set(children())
        async with guest(ready, ready.setup.launch) as machine:
            machine.agent.count_from(ready.template.result.last_request)
            if warm:
                await machine.warm_up(20)
            (pid,) = set(children()) - before
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    return sum(
        int(line.split()[1]) / 1024
        for line in rollup.splitlines()
        if line.startswith(("Private_Clean:", "Private_Dirty:"))
    )


def children() -> list[int]:
    """The processes that this one has started."""
    tasks = Path("/proc/self/task").glob("*/children")
    return [int(pid) for path in tasks for pid in path.read_text("ascii").split()]


def median_of(measure: Callable[[], float]) -> float:
    """The median of some runs."""
    return statistics.median(measure() for _ in range(TIMES))


def lab(folder: Path, *words: str) -> tuple[float, Path]:
    """Run the lab's command: seconds from start to end, and the run's folder."""
    output = Path(tempfile.mkdtemp(dir=folder))
    argv = [sys.executable, "-m", "rmaplab", *words, "--accel", "tcg", "--output", str(output)]
    began = time.monotonic()
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    assert done.returncode in {0, 1}, done.stderr
    (run,) = output.iterdir()
    return took, run


def clones(ready: Setup) -> Iterator[Row]:
    """A clone's first reply against a boot's, and what a waiting clone takes."""
    boot = median_of(lambda: asyncio.run(boot_s(ready)))
    clone = median_of(lambda: asyncio.run(clone_s(ready)))
    yield Row("boot to the agent's first reply", f"{boot:.2f} s")
    yield Row(
        "clone to the agent's first reply",
        f"{clone * 1000:.0f} ms, 1/{boot / clone:.0f} of the boot",
        f"1/{1 / CLONE_SHARE:.0f}",
        clone <= boot * CLONE_SHARE,
    )
    for what, warm in (("waiting clone", False), ("clone that rehearsed and waits", True)):
        private = asyncio.run(waiting_mb(ready, warm=warm))
        yield Row(
            f"private memory of a {what}",
            f"{private:.0f} MB",
            f"< {PRIVATE_MB} MB",
            private < PRIVATE_MB,
        )


def cells(folder: Path) -> Iterator[Row]:
    """Trivial isolated cells, as many as the cores bear; the start of the command is taken off."""
    path = str(lab_file(folder, "selftest/nothing"))
    jobs = str(len(os.sched_getaffinity(0)))
    few, _ = lab(folder, "run", path, "--repeat", "2", "--jobs", jobs)
    many, _ = lab(folder, "run", path, "--repeat", str(CELLS + 2), "--jobs", jobs)
    minute = 60 * CELLS / (many - few)
    yield Row(
        f"trivial cells a minute, --jobs {jobs}",
        f"{minute:.0f}",
        f">= {CELLS_A_MINUTE}",
        minute >= CELLS_A_MINUTE,
    )
    one, _ = lab(folder, "run", path, "--repeat", "2", "--jobs", "1")
    serial, _ = lab(folder, "run", path, "--repeat", "42", "--jobs", "1")
    cell = (serial - one) / 40
    yield Row("a trivial cell, one after the other", f"{cell * 1000:.0f} ms")
    yield from against_vng(((f"--jobs {jobs}", 60 / minute), ("one after the other", cell)))


def against_vng(cells: Iterable[tuple[str, float]]) -> Iterator[Row]:
    """Compare the cost of a cell with virtme-ng's whole command on a kernel that it can boot."""
    catalogue, cache = Catalogue(), Cache()
    virtme_lab = labfile.read(catalogue.root / "configs/virtme.yaml", catalogue)
    kernel = dataclasses.replace(virtme_lab.kernels[0])
    builder = KernelBuilder(catalogue, cache, 2)
    build = builder.build({kernel.name: builder.resolve(kernel)})[kernel.name]
    # Boots the kernel without KVM, runs `true` in it and ends.
    argv = [virtme.VNG, "--run", str(build.image), "--force-9p", "--skip-modules",
            "--disable-kvm", "--exec", "true"]  # fmt: skip
    # Its status is no witness: without udevd the guest finds no port to hand the script's over.
    said = vng(*argv, "--verbose").stderr
    assert b"script exited with code 0" in said, said[-2000:].decode(errors="replace")
    times = []
    for _ in range(3):
        began = time.monotonic()
        vng(*argv)
        times.append(time.monotonic() - began)
    whole = statistics.median(times)
    yield Row("vng --run KERNEL --disable-kvm --exec true", f"{whole:.1f} s")
    for how, cell in cells:
        yield Row(
            f"of that, a cell, {how}",
            f"1/{whole / cell:.0f}",
            f"1/{1 / VNG_SHARE:.0f}",
            cell <= whole * VNG_SHARE,
        )


def vng(*argv: str) -> subprocess.CompletedProcess[bytes]:
    """Run vng, as the lab would."""
    return subprocess.run(
        argv, env=virtme.environment(os.environ), capture_output=True, check=False
    )


def exactness(folder: Path) -> Iterator[Row]:
    """Ten clones of one workload, on an idle machine and on a busy one."""
    path = str(lab_file(folder, "control/empty"))
    for title, burners in (("idle", 0), ("both cores busy", len(os.sched_getaffinity(0)))):
        with busy(burners):
            _, run = lab(folder, "run", path, "--exact", "--repeat", str(EXACT_REPEATS))
        found = json.loads((run / "results.json").read_text("utf-8"))["cells"]
        figures = {cell["instructions"] for cell in found}
        yield Row(
            f"exact mode, {len(found)} clones, {title}",
            ", ".join(f"{figure} instructions" for figure in sorted(figures)),
            "one figure",
            len(found) == EXACT_REPEATS and len(figures) == 1 and None not in figures,
        )


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that do nothing but compute."""
    burners = [multiprocessing.Process(target=_burn, daemon=True) for _ in range(count)]
    for burner in burners:
        burner.start()
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.join()


def _burn() -> None:
    while True:
        pass


def own_cost(folder: Path) -> Iterator[Row]:
    """The lab's own CPU a cell, and its memory.

    With real guests, the start of the command taken off; and for many cells with fake ones, which
    leave a real cell's evidence, but cost the lab no process, no QMP and no agent.
    """
    few, many = (own(folder, count) for count in (2, CELLS + 2))
    yield own_cpu(f"{CELLS} real", (many["cpu_ms"] - few["cpu_ms"]) / CELLS)
    _, run = lab(folder, "run", str(lab_file(folder, "selftest/nothing")))
    (evidence,) = (run / "cells").iterdir()
    measured = {count: own(folder, count, evidence) for count in (100, 1000, 10_000)}
    for count, cost in measured.items():
        yield own_cpu(f"{count} fake", cost["cpu_ms"] / count)
    grown = (measured[10_000]["peak_kb"] - measured[1000]["peak_kb"]) / 9000
    yield Row(
        "memory that a further cell takes, from 1000 to 10000",
        f"{grown:.2f} KB",
        f"< {CELL_KB} KB",
        grown < CELL_KB,
    )


def own_cpu(cells: str, cpu_ms: float) -> Row:
    """Return the lab's own CPU time for a cell."""
    goal = f"<= {LAB_MS:.0f} ms"
    return Row(f"the lab's own CPU a cell, {cells}", f"{cpu_ms:.1f} ms", goal, cpu_ms <= LAB_MS)


def own(folder: Path, count: int, evidence: Path | None = None) -> dict[str, float]:
    """Return the cost of so many cells to a lab's process itself: ms of CPU, KB of memory.

    The guests are real ones, or fake ones that leave this ``evidence``.
    """
    argv = [sys.executable, __file__, "--own-cost", str(count)]
    argv += ["--folder", tempfile.mkdtemp(dir=folder)]
    argv += ["--evidence", str(evidence)] if evidence is not None else []
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    cost: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return cost


def print_own(count: int, evidence: Path | None, folder: Path) -> None:
    """Run so many cells and print what that cost this process."""
    if evidence is not None:
        fake_guests(evidence)
    path = lab_file(folder, "selftest/nothing")
    sys.argv = ["rmaplab", "run", str(path), "--accel", "tcg", "--repeat", str(count),
                "--output", str(folder / "reports")]  # fmt: skip
    warm = resource.getrusage(resource.RUSAGE_SELF)
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(sys.stderr):
        cli.main()
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime - warm.ru_utime - warm.ru_stime
    print(json.dumps({"cpu_ms": cpu * 1000, "peak_kb": used.ru_maxrss}))


def fake_guests(evidence: Path) -> None:
    """From now on a cell's guest leaves a copy of this evidence, and nothing else happens."""
    copies = {path.name: path.read_bytes() for path in evidence.iterdir() if path.is_file()}

    async def execute(self: LocalExecutor, task: CellTask, folder: Path, turn: Turn) -> None:
        async with turn:
            for name in ("agent.jsonl", "console.log", "qemu.log"):
                (folder / name).write_bytes(copies[name])

    def setup(self: Templates, cell: Cell, boot: Launch, /) -> CellSetup:
        return CellSetup(boot, counters.FILES)

    LocalExecutor.execute = execute  # type: ignore[method-assign]
    Templates.prepare = lambda self, cells, launches, jobs: None  # type: ignore[method-assign]
    Templates.setup = setup  # type: ignore[method-assign]


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--own-cost", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--evidence", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.own_cost:
        print_own(options.own_cost, options.evidence, options.folder)
        return 0
    with tempfile.TemporaryDirectory(prefix="rmaplab-bench-") as scratch:
        folder = Path(scratch)
        ready = setup(folder)
        rows = [*clones(ready), *cells(folder), *own_cost(folder), *exactness(folder)]
    table = Table(title="rmaplab bench: cells")
    for title in ("what", "figure", "goal", ""):
        table.add_column(title)
    for row in rows:
        mark = "" if row.ok is None else "ok" if row.ok else "MISSED"
        table.add_row(row.what, row.figure, row.goal, mark)
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    return 0 if all(row.ok is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
