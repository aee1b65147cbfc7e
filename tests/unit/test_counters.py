# SPDX-License-Identifier: GPL-2.0
"""Counters: what is read from the guest's files, and what changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmaplab.collect.counters import FILES as FILES_OF_A_SAMPLE
from rmaplab.collect.counters import changes, may_be, sample
from rmaplab.model import FREE, CounterChange, CounterSample

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


def test_the_first_file_of_a_sample_folds_the_cpus_differences_into_vmstat() -> None:
    """Documentation/admin-guide/sysctl/vm.rst, stat_refresh: vmstat is behind without it."""
    assert FILES_OF_A_SAMPLE[0] == "/proc/sys/vm/stat_refresh"


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("vmstat.nr_mapped", True),
        ("vmstat.nr_*", True),
        ("vmstat.nr_nothing", False),
        ("meminfo.SwapFree", True),
        ("meminfo.nr_mapped", False),
        ("nr_mapped", True),
        ("SwapFree", True),
        ("thp_split_page", True),
        ("nothing", False),
        ("X", False),
        ("vmstat.X", False),
        ("vmstat.nr_mapped.x", True),
        ("agent.free", True),
        ("kernel.tainted", True),
        ("mthp.64kB.swpout", True),
        ("buddyinfo.node0.order1", True),
        ("ksm.pages_shared", True),
        ("hugetlb.2048kB.nr_hugepages", True),
        ("cgroup.nr_descendants", True),
        ("other.x", False),
        ("other.*", True),
        ("*", True),
        ("a[bc]", True),
        ("a?", True),
    ],
)
def test_a_counters_name_is_known_with_and_without_its_file(name: str, may: bool) -> None:
    assert may_be(name) is may


@pytest.mark.parametrize(
    ("text", "counters"),
    [
        ("Node 0, zone Normal 1 2\nNode 0, zone DMA 10 20\n",
         {"buddyinfo.node0.order0": 11, "buddyinfo.node0.order1": 22}),
        (f"Node 0, zone Normal {'9' * 20} {'9' * 21} 3\n",
         {"buddyinfo.node0.order0": int("9" * 20), "buddyinfo.node0.order2": 3}),
        ("Node 0, zone Normal " + "1 " * 20 + "\n",
         {f"buddyinfo.node0.order{n}": 1 for n in range(16)}),
        ("Node 12345, zone Normal 1\n", {}),
        ("Node 0, zone Normal x\n", {}),
    ],
    ids=["two zones", "digits", "orders", "node", "no number"],
)  # fmt: skip
def test_free_blocks_are_summed_over_the_zones_of_a_node(
    text: str, counters: dict[str, int]
) -> None:
    assert dict(sample({"/proc/buddyinfo": text}).values) == counters


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/proc/sys/kernel/tainted", "kernel.tainted"),
        (FREE, "agent.free"),
        (f"{MM}/transparent_hugepage/hugepages-64kB/stats/swpout", "mthp.64kB.swpout"),
        (f"{MM}/ksm/full_scans", "ksm.full_scans"),
        (f"{MM}/hugepages/hugepages-2048kB/nr_hugepages", "hugetlb.2048kB.nr_hugepages"),
        (f"{MM}/ksm/full_scans/x", ""),
        ("/x/proc/sys/kernel/tainted", ""),
    ],
)
def test_a_file_with_one_number_is_one_counter(path: str, name: str) -> None:
    for text, value in (("7\n", 7), (" 7 ", 7), ("9" * 20, int("9" * 20))):
        assert sample({path: text}).values == ({name: value} if name else {})
    for text in ("", "x", "7 8", "-7", "9" * 21, "7x"):
        assert sample({path: text}).values == {}


def test_changes_are_of_all_names_of_either_side_in_order() -> None:
    found = changes(CounterSample({"b": 1, "c": 1}), CounterSample({"a": 2, "b": 3}))
    assert found == {
        "a": CounterChange(None, 2), "b": CounterChange(1, 3), "c": CounterChange(1, None),
    }  # fmt: skip
    assert list(found) == ["a", "b", "c"]
    assert list(changes(CounterSample({"b": 1, "a": 1}), CounterSample({"a": 1, "b": 1}))) == [
        "b", "a",
    ]  # fmt: skip
