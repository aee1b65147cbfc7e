# SPDX-License-Identifier: GPL-2.0
"""Read the rmap-related counters of a guest from the files that hold them.

Formats: Documentation/filesystems/proc.rst (meminfo, vmstat, buddyinfo),
Documentation/admin-guide/mm/transhuge.rst, ksm.rst and hugetlbpage.rst, cgroup-v2.rst.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping

from rmaplab.model import FREE, CounterChange, CounterSample

_MM = "/sys/kernel/mm"

TAINTED = "kernel.tainted"
TAINTED_FILE = "/proc/sys/kernel/tainted"

# The files that the agent samples, as its protocol's globs, in this order: reading stat_refresh
# folds the per-CPU differences into vmstat's counters (Documentation/admin-guide/sysctl/vm.rst).
FILES = (
    "/proc/sys/vm/stat_refresh",
    TAINTED_FILE,
    "/proc/vmstat",
    "/proc/meminfo",
    "/proc/buddyinfo",
    f"{_MM}/transparent_hugepage/hugepages-*/stats/*",
    f"{_MM}/ksm/*",
    f"{_MM}/hugepages/hugepages-*/*_hugepages",
    "/sys/fs/cgroup/cgroup.stat",
)

_VMSTAT = re.compile(
    r"nr_(anon|mapped|mlock|unevictable|swapcached|isolated|file_|shmem|writeback|foll_pin|slab"
    r"|kernel_stack|page_table|memmap_pages|zspages|zone_((in)?active|unevictable))"
    r"|pgmigrate_|thp_|pswp|pgsteal_|pgscan_|pgfault|pgmajfault|numa_(pte|hint|pages)|unevictable_"
    r"|compact_(stall|fail|success)|htlb_|swap_ra|ksm_|nr_hugetlb|nr_free_pages"
)
_MEMINFO = re.compile(
    r"MemFree|AnonPages|Mapped|Shmem|AnonHugePages|Swap(Total|Free|Cached)|Mlocked|Unevictable"
    r"|HugePages_(Total|Free|Rsvd|Surp)|HardwareCorrupted|MemTotal|Committed_AS|Percpu"
    r"|VmallocUsed"
)


_OTHERS = re.compile(
    r"agent\.free|kernel\.tainted|(buddyinfo|cgroup|hugetlb|ksm|mthp)\.[\w.*?\[\]!-]+"
)


def may_be(name: str) -> bool:
    """Say whether a sample may have a counter of this name, with or without its file.

    A pattern of several counters passes.
    """
    file, dot, counter = name.partition(".")
    known = {"vmstat": _VMSTAT, "meminfo": _MEMINFO}
    if dot and file in known:
        return bool(known[file].match(counter)) or any(c in counter for c in "*?[")
    if _OTHERS.fullmatch(name) or any(c in name for c in "*?["):
        return True
    return any(pattern.match(name) for pattern in known.values())


def sample(files: Mapping[str, str]) -> CounterSample:
    """Return the counters in a sample's files, named ``file.counter``; sizes are in KB.

    A line that does not parse is left out: the kernel did not show that counter.
    """
    return _sample(tuple(files.items()))


@functools.lru_cache(maxsize=64)
def _sample(files: tuple[tuple[str, str], ...]) -> CounterSample:
    """Read a sample once: the one before a cell is its template's."""
    values: dict[str, int] = {}
    for path, text in files:
        values.update(_known(path, text))
    return CounterSample(dict(sorted(values.items())))


# A counter has 64 bits; what is longer is none.
_MAX_DIGITS = 20
_NUMBER = f"[0-9]{{1,{_MAX_DIGITS}}}"
_FLAGS = re.M | re.ASCII
_NAMED = re.compile(rf"^(\w+) ({_NUMBER})$", _FLAGS)
_ZONE = re.compile(r"^Node ([0-9]{1,4}), zone +\w+ +([0-9 ]+)$", _FLAGS)
# MAX_PAGE_ORDER is at most 15 (arch/*/Kconfig).
_MAX_ORDERS = 16

# Files with one number each: the path, and the counter's name made from its groups.
_SINGLE = (
    (re.compile(TAINTED_FILE), TAINTED),
    (re.compile(FREE), "agent.free"),
    (re.compile(rf"{_MM}/transparent_hugepage/hugepages-(\w+)/stats/(\w+)"), "mthp.{}.{}"),
    (re.compile(rf"{_MM}/ksm/(\w+)"), "ksm.{}"),
    (re.compile(rf"{_MM}/hugepages/hugepages-(\w+)/(\w+)"), "hugetlb.{}.{}"),
)
# Files with a name and a number a line: the prefix, the line, and which names count.
_LISTS = {
    "/proc/vmstat": ("vmstat", _NAMED, _VMSTAT),
    "/proc/meminfo": ("meminfo", re.compile(rf"^(\w+): +({_NUMBER})( kB)?$", _FLAGS), _MEMINFO),
    "/sys/fs/cgroup/cgroup.stat": ("cgroup", _NAMED, re.compile("")),
}


@functools.lru_cache(maxsize=512)
def _known(path: str, text: str) -> tuple[tuple[str, int], ...]:
    """Read a file once: most say the same in every cell, those of a template for one."""
    return tuple(_read(path, text))


def _read(path: str, text: str) -> Iterator[tuple[str, int]]:
    if path in _LISTS:
        prefix, line, wanted = _LISTS[path]
        for name, value, *_ in line.findall(text):
            if wanted.match(name):
                yield f"{prefix}.{name}", int(value)
    elif path == "/proc/buddyinfo":
        yield from _buddyinfo(text)
    for pattern, name in _SINGLE:
        if match := pattern.fullmatch(path):
            yield from _number(name.format(*match.groups()), text)


def _number(name: str, text: str) -> Iterator[tuple[str, int]]:
    if re.fullmatch(_NUMBER, text.strip()):
        yield name, int(text)


def _buddyinfo(text: str) -> Iterator[tuple[str, int]]:
    """Sum the free blocks by order over all zones of a node."""
    totals: dict[str, int] = {}
    for node, numbers in _ZONE.findall(text):
        for order, count in enumerate(numbers.split()[:_MAX_ORDERS]):
            name = f"buddyinfo.node{node}.order{order}"
            if len(count) <= _MAX_DIGITS:
                totals[name] = totals.get(name, 0) + int(count)
    yield from totals.items()


@functools.lru_cache(maxsize=1 << 16)
def _change(before: int | None, after: int | None) -> CounterChange:
    """Make a change once: most counters rest, in every cell at the same figure."""
    return CounterChange(before, after)


def changes(before: CounterSample, after: CounterSample) -> dict[str, CounterChange]:
    """Return each counter before and after, by name."""
    was, now = before.values, after.values
    names = was if was.keys() == now.keys() else sorted({*was, *now})
    return {name: _change(was.get(name), now.get(name)) for name in names}
