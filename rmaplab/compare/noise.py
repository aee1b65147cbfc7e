# SPDX-License-Identifier: GPL-2.0
"""Say when two sets of numbers differ beyond what repeats explain (docs/comparison.md).

The repeats of a cell are clones of one booted guest. They show the noise of the workload, and not
the noise between two boots; a counter that depends on the boot is therefore not compared.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence

REPEATS = 3
"""Repeats of each kernel that a noisy counter needs to be compared at all."""


class Noise(enum.Enum):
    """Name the noise of a counter's change over a cell.

    NONE: two cells of one kernel show the same. REPEATED: other work of the kernel moves it, and
    repeats show how far. BOOT: it depends on the state that a boot left, which all repeats share.
    """

    NONE = "none"
    REPEATED = "repeated"
    BOOT = "boot"


# Seen in two runs of one kernel under two names, four repeats of 142 rows each: free blocks, slab
# pages and stacks are where the boot put them; so are the two lists of the LRU, whose sum is exact.
_BOOT = re.compile(
    r"buddyinfo\..+|agent\.free|meminfo\.(MemFree|Percpu|VmallocUsed)"
    r"|vmstat\.(nr_free_pages|nr_slab_(un)?reclaimable|nr_kernel_stack|nr_zone_(in)?active_\w+)"
)
# Reclaim, migration, swap, ksmd and the per-CPU caches have their own pace. A fault more or less
# comes from the agent, and khugepaged's and kswapd's wakeups decide who gets a huge page.
_REPEATED = re.compile(
    r"vmstat\.(pg(fault|majfault|migrate|scan|steal)\w*|pswp(in|out)|swap_ra\w*|compact_\w+"
    r"|nr_zspages|nr_page_table_pages|thp_(fault_alloc|fault_fallback|collapse_\w+|swpout\w*)"
    r"|numa_\w+|nr_file_pages)"
    r"|mthp\.\w+\.(anon_fault|swpout)\w*|ksm\.(pages_scanned|full_scans)"
    r"|meminfo\.SwapFree|cgroup\.nr_dying_\w+"
)
# Repeats of one boot show the same, another boot up to this much more or less.
_BETWEEN_BOOTS = {"vmstat.pgfault": 8, "vmstat.nr_page_table_pages": 8}
TICK = 5000
"""Instructions by which two boots may differ in one operation: a timer tick (docs/guests.md)."""


def noise(counter: str) -> Noise:
    """Return the noise of a counter, by its name."""
    if _BOOT.fullmatch(counter):
        return Noise.BOOT
    return Noise.REPEATED if _REPEATED.fullmatch(counter) else Noise.NONE


def counter_differs(counter: str, base: Sequence[int], patched: Sequence[int]) -> bool:
    """Say whether a counter's changes differ between two kernels beyond its noise."""
    match noise(counter):
        case Noise.NONE:
            return are_apart(base, patched)
        case Noise.REPEATED:
            spread = max(_spread(base), _spread(patched), _BETWEEN_BOOTS.get(counter, 0))
            enough = min(len(base), len(patched)) >= REPEATS
            return enough and _gap(base, patched) > spread
        case Noise.BOOT:
            return False


def cost_differs(base: Sequence[int], patched: Sequence[int]) -> bool:
    """Say whether instructions differ by more than repeats and a timer tick explain."""
    return _gap(base, patched) > max(_spread(base), _spread(patched), TICK)


def are_apart(base: Sequence[int], patched: Sequence[int]) -> bool:
    """Say whether exact numbers differ: their ranges do not meet, or one side repeats exactly.

    A side that shows one number in several repeats repeats exactly: then any other number of the
    other side is a difference.
    """
    if not base or not patched:
        return False
    if _gap(base, patched) > 0:
        return True
    exact = any(len(side) > 1 and not _spread(side) for side in (base, patched))
    return exact and set(base) != set(patched)


def _gap(base: Sequence[int], patched: Sequence[int]) -> int:
    """Return the distance between two ranges; negative or 0 where they meet."""
    return max(min(patched) - max(base), min(base) - max(patched))


def _spread(numbers: Sequence[int]) -> int:
    return max(numbers) - min(numbers)
