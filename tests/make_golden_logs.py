# SPDX-License-Identifier: GPL-2.0
"""Record golden console logs from booted guests, a complaint each.

    python tests/make_golden_logs.py [--kernel plain|debug] [NAME ...]

Boots the kernels of configs/splats.yaml (built if need be), clones a guest for each provocation,
lets testcases/selftest/provoke do it, and keeps the console in tests/golden/console/NAME.log: the
kernel's first line, and everything from shortly before the test began. What has to be read out of
each is in NAME.json: written by ``REWRITE_GOLDEN=1 pytest tests/unit/collect/test_golden.py``, and
read by a person before it is committed.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rmaplab.build import initramfs
from rmaplab.config import labfile
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import RmaplabError
from rmaplab.guest import cell as cells
from rmaplab.guest.command import Accelerator, Launch
from rmaplab.guest.template import BootFailed
from rmaplab.model import X86_64, Cell, Lab, Limits
from rmaplab.pipeline import calibration
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.pipeline.templates import Templates
from rmaplab.plan import plan
from rmaplab.store.cache import Cache

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests/golden/console"
BEFORE = 3
"""Lines that are kept in front of the test's mark."""
LONGEST = 48 << 10
"""Bytes of a log that are kept; a console that was cut is a console, too."""
AT_DEATH = 80
"""Lines that are kept of a boot that failed, or of a guest that never began its test."""

LIMITS = Limits(boot_s=90, ready_s=30, silence_s=15)
"""With every detector on, a guest boots many times slower."""

DIRECT = "/sys/kernel/debug/provoke-crash/DIRECT"
VM = "/proc/sys/vm"
KERNEL = "/proc/sys/kernel"
SLUB = "slub_debug=FZPU"


@dataclass(frozen=True, slots=True)
class Provocation:
    """A provocation of a complaint: the words for testcases/selftest/provoke.

    ``limit_s`` is the test's limit on KVM, for what never comes back; ``cmdline`` is added to the
    kernel's.
    """

    actions: tuple[str, ...]
    kernel: str = "plain"
    limit_s: float = 20.0
    cmdline: tuple[str, ...] = ()


def crash(kind: str, *more: str, before: tuple[str, ...] = (), **facts: object) -> Provocation:
    """One of lkdtm's crash types, with what is done before and after it."""
    return Provocation((*before, "write", DIRECT, kind, *more), **facts)  # type: ignore[arg-type]


def debug(kind: str, *more: str, before: tuple[str, ...] = ()) -> Provocation:
    """Return the provocation for the kernel with KASAN and lockdep."""
    return crash(kind, *more, before=before, kernel="debug")


def sysrq(key: str) -> Provocation:
    """A magic SysRq key."""
    return Provocation(("write", "/proc/sysrq-trigger", key))


_WATCHDOG = ("write", f"{KERNEL}/watchdog_thresh", "1")
_NO_WATCHDOG = ("write", f"{KERNEL}/watchdog", "0")
_RCU = ("write", "/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout", "4")
_LEAK = ("write", "/sys/module/kmemleak/parameters/verbose", "1")
_RECURSION = ("write", "/sys/module/lkdtm/parameters/recur_count", "100")
_HUNG_TASK = ("write", f"{KERNEL}/hung_task_timeout_secs", "2")
_WORKQUEUE = ("write", "/sys/module/workqueue/parameters/watchdog_thresh", "2")
_SCAN = ("sleep", "7", "write", "/sys/kernel/debug/kmemleak", "scan",
         "write", "/sys/kernel/debug/kmemleak", "scan")  # fmt: skip

PROVOCATIONS = {
    # lkdtm's own
    "warning": crash("WARNING"),
    "warning-message": crash("WARNING_MESSAGE"),
    "kernel-bug": crash("BUG"),
    "panic": crash("PANIC"),
    "null-write": crash("EXCEPTION"),
    "null-read": crash("ACCESS_NULL"),
    "write-rodata": crash("WRITE_RO"),
    "exec-data": crash("EXEC_DATA"),
    "exec-null": crash("EXEC_NULL"),
    "stack-exhausted": crash("EXHAUST_STACK", before=_RECURSION),
    "stack-guard": crash("STACK_GUARD_PAGE_LEADING"),
    "stack-protector": crash("CORRUPT_STACK"),
    "soft-lockup": crash("SOFTLOCKUP", before=_WATCHDOG, limit_s=5),
    "hard-lockup": crash("HARDLOCKUP", before=_WATCHDOG, limit_s=5),
    "rcu-stall": crash("SOFTLOCKUP", before=(*_NO_WATCHDOG, *_RCU), limit_s=5),
    "hung-task": crash("HUNG_TASK", before=_HUNG_TASK, limit_s=4),
    "list-add": crash("CORRUPT_LIST_ADD"),
    "list-del": crash("CORRUPT_LIST_DEL"),
    "refcount-zero": crash("REFCOUNT_INC_ZERO"),
    "refcount-underflow": crash("REFCOUNT_DEC_NEGATIVE"),
    "refcount-saturated": crash("REFCOUNT_INC_OVERFLOW"),
    "usercopy-slab": crash("USERCOPY_SLAB_SIZE_TO"),
    "usercopy-stack": crash("USERCOPY_STACK_BEYOND"),
    "usercopy-kernel": crash("USERCOPY_KERNEL"),
    "slab-overflow": crash("SLAB_LINEAR_OVERFLOW", cmdline=(SLUB,)),
    "slab-write-after-free": crash("WRITE_AFTER_FREE", cmdline=(SLUB,)),
    "slab-double-free": crash("SLAB_FREE_DOUBLE", cmdline=(SLUB,)),
    "kfence": crash("KFENCE_READ_AFTER_FREE"),
    "fortify": crash("FORTIFY_STR_OBJECT"),
    "fortify-mem": crash("FORTIFY_MEM_OBJECT"),
    "ubsan-bounds": crash("ARRAY_BOUNDS"),
    # patches/splats, 1/2
    "bad-page-state": crash("BAD_PAGE_STATE"),
    "bad-page-map": crash("BAD_PAGE_MAP"),
    "bad-rss-counter": crash("BAD_RSS_COUNTER"),
    "nonzero-pgtables": crash("NONZERO_PGTABLES"),
    "page-table-check": crash("PAGE_TABLE_CHECK"),
    "page-counter-underflow": crash("PAGE_COUNTER_UNDERFLOW"),
    "bad-pmd": crash("BAD_PMD"),
    "bad-swap-entry": crash("BAD_SWAP_ENTRY"),
    "bad-swap-offset": crash("BAD_SWAP_OFFSET"),
    "page-dump": crash("PAGE_DUMP"),
    "put-free-page": crash("PUT_FREE_PAGE"),
    "vm-warn": crash("VM_WARN"),
    "negative-counter": crash("NEGATIVE_COUNTER", "write", f"{VM}/stat_refresh", "1"),
    "memory-leak": crash("LEAK", *_SCAN, before=_LEAK),
    # patches/splats, 2/2
    "scheduling-while-atomic": crash("SCHEDULE_IN_ATOMIC"),
    "sleeping-function": crash("SLEEP_IN_ATOMIC"),
    "preemptible": crash("PREEMPTIBLE"),
    "stack-end": crash("STACK_END"),
    "general-protection": crash("GENERAL_PROTECTION"),
    "divide-error": crash("DIVIDE"),
    "spinlock": crash("UNINITIALIZED_LOCK"),
    "workqueue-lockup": crash("WORKQUEUE_LOCKUP", before=(*_NO_WATCHDOG, *_WORKQUEUE)),
    "workqueue-leak": crash("WORKQUEUE_LEAK"),
    "debugobjects": crash("FREE_ACTIVE_TIMER"),
    "dma-api": crash("DMA_UNMAP"),
    "ubsan-shift": crash("SHIFT"),
    # The kernel's own keys, and what is no complaint
    "sysrq-crash": sysrq("c"),
    "oom": Provocation(("write", "/proc/sysrq-trigger", "f", "sleep", "5")),
    "quiet": Provocation(("sleep", "0")),
    "quiet-backtrace": sysrq("l"),
    "quiet-tasks": sysrq("w"),
    "quiet-memory": sysrq("m"),
    "console-cut": Provocation(("flood", "/dev/kmsg", "4000"), limit_s=30),
    "no-root": Provocation((), cmdline=("rdinit=/nonexistent",)),
    # With KASAN and lockdep
    "kasan-use-after-free": debug("READ_AFTER_FREE"),
    "kasan-write-after-free": debug("WRITE_AFTER_FREE"),
    "kasan-out-of-bounds": debug("SLAB_LINEAR_OVERFLOW"),
    "kasan-vmalloc": debug("VMALLOC_LINEAR_OVERFLOW"),
    "kasan-double-free": debug("SLAB_FREE_DOUBLE"),
    "kasan-null": debug("GENERAL_PROTECTION"),
    "lockdep-order": debug("LOCK_ORDER"),
    "lockdep-recursion": debug("LOCK_CLASS"),
    "lockdep-irq": debug("LOCK_IN_IRQ"),
    "lockdep-held": debug("LOCK_HELD"),
    "lockdep-freed": debug("LOCK_FREED"),
    "lockdep-unlock": debug("UNLOCK"),
    "lockdep-rcu": debug("RCU_USAGE"),
    "lockdep-key": debug("UNINITIALIZED_LOCK"),
    "debug-warning": debug("WARNING"),
    "debug-bad-page-map": debug("BAD_PAGE_MAP"),
}


def trimmed(console: bytes) -> bytes:
    """The kernel's first line, and what comes from shortly before the test's mark, cut if long."""
    lines = console.splitlines(keepends=True)
    banner = next((n for n, line in enumerate(lines) if b"Linux version" in line), 0)
    begin = next((n for n, line in enumerate(lines) if b"rmaplab: begin" in line), None)
    start = len(lines) - AT_DEATH if begin is None else begin - BEFORE
    return b"".join([lines[banner], *lines[max(start, banner + 1) :]])[:LONGEST]


class Recorder:
    """Boots, provokes, keeps the console."""

    def __init__(self, lab: Lab, builder: KernelBuilder, archive: Path) -> None:
        self._lab = lab
        self._workshop = builder
        self._archive = archive
        self._images: dict[str, Path] = {}

    def _image(self, kernel: str) -> Path:
        if kernel not in self._images:
            chosen = [one for one in self._lab.kernels if one.name == kernel]
            lab = dataclasses.replace(self._lab, kernels=tuple(chosen))
            self._images[kernel] = self._workshop.build(self._workshop.resolve_all(lab))[
                kernel
            ].image
        return self._images[kernel]

    def _cell(self, wanted: Provocation) -> Cell:
        cell = next(one for one in plan(self._lab).cells if one.kernel == wanted.kernel)
        cmdline = (*cell.guest.cmdline, *wanted.cmdline)
        guest = dataclasses.replace(cell.guest, cmdline=cmdline, limits=LIMITS)
        testcase = dataclasses.replace(cell.testcase, args=wanted.actions, limit_s=wanted.limit_s)
        return dataclasses.replace(cell, guest=guest, testcase=testcase)

    def record(self, wanted: Provocation) -> bytes:
        """The console of one provocation."""
        cell = self._cell(wanted)
        boot = Launch(self._image(wanted.kernel), self._archive, Accelerator.TCG)
        with tempfile.TemporaryDirectory(prefix="rmaplab-golden-") as scratch:
            folder = Path(scratch)
            templates = Templates(
                self._lab,
                self._workshop.cache,
                folder / "boots",
                workloads=calibration.Workloads.of(self._workshop.catalogue.testcases),
                averaged=frozenset(),
            )
            templates.prepare([cell], {cell.kernel: boot}, 1)
            setup = templates.setup(cell, boot)
            if isinstance(setup, BootFailed):
                return trimmed((setup.folder / "console.log").read_bytes())
            asyncio.run(cells.run(cell, setup, folder, initramfs.program_path(cell.testcase)))
            return trimmed((folder / "console.log").read_bytes())


def chosen(names: Sequence[str], kernel: str) -> Iterator[tuple[str, Provocation]]:
    """The provocations that were asked for."""
    for name, wanted in PROVOCATIONS.items():
        if (not names or name in names) and kernel in {"", wanted.kernel}:
            yield name, wanted


def main() -> int:
    """Run the command line."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("names", nargs="*", metavar="NAME", choices=[[], *PROVOCATIONS])
    options.add_argument("--kernel", default="", choices=["", "plain", "debug"])
    options.add_argument("--jobs", type=int, default=2, help="compilers at once")
    given = options.parse_args()
    catalogue, cache = Catalogue(), Cache()
    lab = labfile.read(ROOT / "configs/splats.yaml", catalogue)
    archive = initramfs.build(catalogue.root, catalogue.testcases.values(), cache, X86_64)
    recorder = Recorder(lab, KernelBuilder(catalogue, cache, given.jobs), archive)
    GOLDEN.mkdir(parents=True, exist_ok=True)
    failed = False
    for name, wanted in chosen(given.names, given.kernel):
        try:
            console = recorder.record(wanted)
        except RmaplabError as error:
            print(f"{name}: {error.message}", file=sys.stderr)
            failed = True
            continue
        (GOLDEN / f"{name}.log").write_bytes(console)
        print(f"{name}: {len(console)} bytes")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
