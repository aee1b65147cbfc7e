# SPDX-License-Identifier: GPL-2.0
"""Draw up the ledger: what a workload took has to be given back. Pure.

Each account is a counter, or a sum of counters, before and after a cell, after its processes are
gone and the agent has drained what the kernel keeps for later (docs/audit.md).

Most accounts have to be exactly what they were. Those that the kernel's own work moves get bounds
from a calibration: an empty workload on ``CALIBRATION_CLONES`` clones of the same template.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rmaplab.collect.transcript import Saved
from rmaplab.evidence.ends import EndCause, SampleLabel
from rmaplab.model import CounterChange, Finding, FindingKind, Verdict

CALIBRATION_CLONES = 20

Changes = Mapping[str, CounterChange]
Bounds = Mapping[str, tuple[int, int]]

# -- the accounts --------------------------------------------------------------------------------

# Exactly as before, by the counters' names.
EXACT = (
    "vmstat.nr_anon_pages", "vmstat.nr_mapped", "vmstat.nr_mlock", "vmstat.nr_unevictable",
    "vmstat.nr_isolated_anon", "vmstat.nr_isolated_file", "vmstat.nr_shmem",
    "vmstat.nr_swapcached", "vmstat.nr_writeback",
    "vmstat.nr_anon_transparent_hugepages", "vmstat.nr_shmem_hugepages",
    "vmstat.nr_shmem_pmdmapped", "vmstat.nr_file_hugepages", "vmstat.nr_file_pmdmapped",
    "vmstat.nr_hugetlb",
    "meminfo.Committed_AS", "meminfo.MemTotal", "meminfo.SwapTotal", "meminfo.HardwareCorrupted",
    "meminfo.HugePages_Total", "meminfo.HugePages_Free", "meminfo.HugePages_Rsvd",
    "meminfo.HugePages_Surp", "cgroup.nr_descendants",
)  # fmt: skip
# Of each size: gauges, not the event counters beside them.
EXACT_FAMILIES = (
    re.compile(r"mthp\.\w+\.nr_anon(_partially_mapped)?"),
    re.compile(r"hugetlb\.\w+\.(nr|free|resv|surplus)_hugepages"),
)
# Reclaim, or a workload that drops caches, may take of these what was there before.
MAY_FALL = ("vmstat.nr_file_pages", "lru.file")
# A page that lost its last mapping and keeps a reference stays on a list of the LRU.
_LRU = {
    "lru.anon": ("vmstat.nr_zone_active_anon", "vmstat.nr_zone_inactive_anon"),
    "lru.file": ("vmstat.nr_zone_active_file", "vmstat.nr_zone_inactive_file"),
}
PINS = "pins"
"""nr_foll_pin_acquired less nr_foll_pin_released: GUP's pins that nobody gave back."""
SWAP = "meminfo.SwapFree"
DYING = "cgroup.nr_dying_descendants"
UNACCOUNTED = "pages.unaccounted"
"""RAM, in pages, that no counter knows: neither free, nor on the LRU, nor the kernel's."""
TABLES = "vmstat.nr_page_table_pages"

# Bounds of the accounts that the kernel's own work moves, in pages a CPU: the least width to either
# side of what the calibration saw, and the most that a calibration may widen them to. A busy
# workload fills caches of the CPUs that an empty one does not (kvfree_rcu's, for one): 17 pages a
# CPU were seen. A kernel that leaks in the empty workload too must not calibrate its leak away.
_NOISE = {UNACCOUNTED: (24, 48), TABLES: (2, 8)}
# Where the kernel's own page tables are in the counter, whatever makes the kernel map more moves
# it, for good. A user's table that is leaked keeps its cgroup, too.
_NOISE_OF_KERNEL_TABLES = (8, 8)
_TABLES_WITHOUT = 2  # pages; what Seen.mapping leaves without them: 1 on 6.12, 4 or 5 on 7.3

# mm/swap_slots.c, where there is one: each CPU keeps up to SWAP_SLOTS_CACHE_SIZE slots to give out
# and as many to give back, which SwapFree does not count.
_SLOTS_A_CPU = 2 * 64
_SWAPPED_OUT = "vmstat.pswpout"

_KNOWN = {
    "agent.free": 1, "vmstat.nr_zone_active_anon": 1,
    "vmstat.nr_zone_inactive_anon": 1, "vmstat.nr_zone_active_file": 1,
    "vmstat.nr_zone_inactive_file": 1, "vmstat.nr_zone_unevictable": 1,
    "vmstat.nr_slab_reclaimable": 1, "vmstat.nr_slab_unreclaimable": 1,
    "vmstat.nr_page_table_pages": 1, "vmstat.nr_zspages": 1,
    "vmstat.nr_memmap_pages": 1,
}  # fmt: skip
_KNOWN_KB = (
    "vmstat.nr_kernel_stack", "meminfo.Percpu", "meminfo.VmallocUsed", "meminfo.HardwareCorrupted",
)  # fmt: skip
_HUGETLB_POOL = re.compile(r"hugetlb\.([0-9]{1,12})kB\.nr_hugepages")


ANY = 1 << 62


@dataclass(frozen=True, slots=True)
class Entry:
    """An account that does not balance: by how much it changed, and what it may."""

    account: str
    change: int
    low: int
    high: int

    def __str__(self) -> str:
        allowed = f"{self.low} to {self.high}"
        if self.low == -ANY:
            allowed = f"at most {self.high}"
        elif self.low == self.high:
            allowed = str(self.high)
        return f"{self.account} changed by {self.change:+d}, allowed is {allowed}"


_SIZES_KB = tuple(4 << order for order in range(1, 23))
ACCOUNTS = (
    *EXACT, *MAY_FALL, *_LRU, PINS, SWAP, DYING, UNACCOUNTED, TABLES,
    *(f"mthp.{kb}kB.nr_anon{which}" for kb in _SIZES_KB for which in ("", "_partially_mapped")),
    *(f"hugetlb.{kb}kB.{which}_hugepages"
      for kb in _SIZES_KB for which in ("nr", "free", "resv", "surplus")),
)  # fmt: skip
"""The names that accounts may have; those of EXACT_FAMILIES for each size of a folio."""


def is_account(pattern: str) -> bool:
    """Return whether a testcase's ``leaves`` may name this: an account, or a pattern of some."""
    return bool(fnmatch.filter(ACCOUNTS, pattern))


@dataclass(frozen=True, slots=True)
class Terms:
    """Hold the terms of a ledger.

    ``bounds`` are those of ``calibrate``; an account of the calibrated kind that has none is left
    out. ``leaves`` is what the testcase says that it leaves: the exact change of an account (or of
    those that match a pattern), or None for any. ``cpus`` and ``page_kb`` are the guest's.
    """

    bounds: Bounds
    leaves: Mapping[str, int | None]
    cpus: int
    page_kb: int


def balance(changes: Changes, terms: Terms) -> list[Entry]:
    """Return the accounts that do not balance."""
    found = []
    for account, change in measure(changes, terms.page_kb).items():
        low, high = _allowed(account, changes, terms)
        declared = [
            value
            for pattern, value in terms.leaves.items()
            if fnmatch.fnmatchcase(account, pattern)
        ]
        if any(value is None or value == change for value in declared):
            continue
        if not low <= change <= high:
            found.append(Entry(account, change, low, high))
    return found


def _allowed(account: str, changes: Changes, terms: Terms) -> tuple[int, int]:
    if account in terms.bounds:
        return terms.bounds[account]
    if account in _NOISE:
        return -ANY, ANY
    if account in MAY_FALL:
        return -ANY, 0
    if account == SWAP:
        return -_SLOTS_A_CPU * terms.page_kb * terms.cpus, 0
    if account == DYING and _delta(changes, SWAP):
        return 0, 1  # a slot that a CPU keeps is still charged to the cgroup that had it
    return 0, 0


def measure(changes: Changes, page_kb: int) -> dict[str, int]:
    """Return the change of each account that this kernel shows, in the counter's own unit."""
    found: dict[str, int] = {}
    for name in changes:
        if _is_counter_account(name):
            found[name] = _delta(changes, name)
    for name, lists in _LRU.items():
        if all(one in changes for one in lists):
            found[name] = sum(_delta(changes, one) for one in lists)
    acquired, released = "vmstat.nr_foll_pin_acquired", "vmstat.nr_foll_pin_released"
    if acquired in changes and released in changes:
        found[PINS] = _delta(changes, acquired) - _delta(changes, released)
    if "agent.free" in changes:
        found[UNACCOUNTED] = _unaccounted(changes, page_kb)
    return found


@functools.lru_cache(1 << 14)
def _is_counter_account(name: str) -> bool:
    """Return whether a counter is an account by itself; each cell of a kernel has the same ones."""
    if name in EXACT or name in {*MAY_FALL, SWAP, DYING, TABLES}:
        return True
    return any(family.fullmatch(name) for family in EXACT_FAMILIES)


@functools.lru_cache(1 << 14)
def _hugetlb_kb(name: str) -> int:
    """Return the size of a page of a hugetlb pool; 0 for another counter."""
    pool = _HUGETLB_POOL.fullmatch(name)
    return int(pool[1]) if pool else 0


def _unaccounted(changes: Changes, page_kb: int) -> int:
    pages = sum(_delta(changes, name) * times for name, times in _KNOWN.items())
    pages += sum(_delta(changes, name) // page_kb for name in _KNOWN_KB)
    for name in changes:
        if size_kb := _hugetlb_kb(name):
            pages += _delta(changes, name) * (size_kb // page_kb)
    return pages - _delta(changes, "meminfo.MemTotal") // page_kb


def _delta(changes: Changes, name: str) -> int:
    change = changes.get(name)
    return (change.delta or 0) if change is not None else 0


# -- calibration ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """Hold what the workloads of a calibration changed; None for one of which nothing is known.

    ``swapping`` is one whose pages went to swap and back: a kernel whose CPUs kept no slot then
    keeps none. ``mapping`` is one for which the kernel maps memory of its own: a kernel that counts
    its page tables then has some more than one that does not.
    """

    empties: Sequence[Changes]
    swapping: Changes | None = None
    mapping: Changes | None = None


def calibrate(seen: Seen, cpus: int, page_kb: int) -> dict[str, tuple[int, int]]:
    """Return bounds for the accounts that the kernel's own work moves, from an empty workload.

    From the least to the greatest change that was seen, or none, and as much again to either side.
    """
    bounds = {}
    swapped, mapped = seen.swapping or {}, seen.mapping or {}
    if _delta(swapped, _SWAPPED_OUT) > 0 and SWAP in swapped and swapped[SWAP].delta == 0:
        bounds[SWAP] = (0, 0)
    noise = dict(_NOISE)
    if _delta(mapped, TABLES) > _TABLES_WITHOUT:
        noise[TABLES] = _NOISE_OF_KERNEL_TABLES
    moved = [measure(empty, page_kb) for empty in seen.empties]
    for account, (least, most) in noise.items():
        changes = [measured[account] for measured in moved if account in measured]
        if not changes:
            continue
        margin, limit = max(least * cpus, max(changes) - min(changes)), most * cpus
        low, high = min(0, *changes) - margin, max(0, *changes) + margin
        bounds[account] = (max(-limit, low), min(limit, high))
    return bounds


# -- a cell's findings ---------------------------------------------------------------------------

# Without these no ledger can be drawn up.
_NEEDED = ("vmstat.nr_anon_pages", SWAP, "agent.free")


def findings(saved: Saved, changes: Changes) -> list[Finding]:
    """Return the accounts that do not balance, or why the ledger was due and is not drawn up."""
    due = saved.ledger
    if due is None or saved.exit is None or saved.exit.timeout or saved.how != EndCause.BYE:
        return []
    missing = [name for name in _NEEDED if _is_missing(changes, name)]
    if not set(SampleLabel) <= saved.samples.keys():
        why = "a sample of the counters is missing"
    elif missing:
        why = f"the samples have no {missing[0]}"
    elif due.error:
        why = f"not calibrated: {due.error}"
    else:
        entries = balance(changes, Terms(due.bounds, due.leaves, due.cpus, due.page_kb))
        # A cgroup that cannot go is mostly the consequence of another account.
        return [_finding(one) for one in sorted(entries, key=lambda one: one.account == DYING)]
    return [Finding(FindingKind.LEDGER, Verdict.ERROR, why)]


def _finding(entry: Entry) -> Finding:
    text, account = str(entry), entry.account
    return Finding(FindingKind.LEDGER, Verdict.FAIL, text, about=account, amount=entry.change)


def _is_missing(changes: Changes, name: str) -> bool:
    return name not in changes or changes[name].delta is None
