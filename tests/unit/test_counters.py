# SPDX-License-Identifier: GPL-2.0
"""Counters: what is read from the guest's files, and what changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmaplab.collect.counters import changes, sample
from rmaplab.model import CounterChange, CounterSample

MM = "/sys/kernel/mm"
FILES = {
    "/proc/vmstat": "nr_free_pages 100\nnr_anon_pages 7\nnr_dirty 3\nthp_split_page 2\n"
    "pgmigrate_success 5\n",
    "/proc/meminfo": "MemTotal:         500000 kB\nAnonPages:            28 kB\n"
    "HugePages_Free:        8\n",
    "/proc/buddyinfo": "Node 0, zone      DMA      1      2      3 \n"
    "Node 0, zone    DMA32     10     20     30 \n"
    "Node 1, zone   Normal      4      0      0 \n",
    f"{MM}/transparent_hugepage/hugepages-64kB/stats/anon_fault_alloc": "6\n",
    f"{MM}/ksm/pages_shared": "9\n",
    f"{MM}/hugepages/hugepages-2048kB/free_hugepages": "8\n",
    "/sys/fs/cgroup/cgroup.stat": "nr_descendants 1\nnr_dying_descendants 0\n",
}


def test_each_file_gives_its_counters() -> None:
    assert dict(sample(FILES).values) == {
        "buddyinfo.node0.order0": 11,
        "buddyinfo.node0.order1": 22,
        "buddyinfo.node0.order2": 33,
        "buddyinfo.node1.order0": 4,
        "buddyinfo.node1.order1": 0,
        "buddyinfo.node1.order2": 0,
        "cgroup.nr_descendants": 1,
        "cgroup.nr_dying_descendants": 0,
        "hugetlb.2048kB.free_hugepages": 8,
        "ksm.pages_shared": 9,
        "meminfo.AnonPages": 28,
        "meminfo.HugePages_Free": 8,
        "meminfo.MemTotal": 500000,
        "mthp.64kB.anon_fault_alloc": 6,
        "vmstat.nr_anon_pages": 7,
        "vmstat.nr_free_pages": 100,
        "vmstat.pgmigrate_success": 5,
        "vmstat.thp_split_page": 2,
    }


@pytest.mark.parametrize("text", ["", "garbage\n", "nr_anon_pages\n", "nr_anon_pages -1\n"])
def test_a_line_that_does_not_parse_is_no_counter(text: str) -> None:
    assert sample({"/proc/vmstat": text}).values == {}


@given(st.dictionaries(st.sampled_from([*FILES, "/other"]), st.text()))
def test_no_content_of_a_file_breaks_the_reading(files: dict[str, str]) -> None:
    values = sample(files).values
    assert list(values) == sorted(values)


def test_a_change_needs_both_sides() -> None:
    found = changes(CounterSample({"a": 1, "gone": 2}), CounterSample({"a": 4, "new": 5}))
    assert {name: change.delta for name, change in found.items()} == {
        "a": 3, "gone": None, "new": None
    }  # fmt: skip
    assert found["gone"] == CounterChange(2, None)
