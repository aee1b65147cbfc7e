# SPDX-License-Identifier: GPL-2.0
"""The ledger: what a workload took has to be given back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmaplab.collect import ledger
from rmaplab.collect.ledger import (
    DYING,
    PINS,
    SWAP,
    TABLES,
    UNACCOUNTED,
    Seen,
    Terms,
    balance,
    calibrate,
)
from rmaplab.collect.observe import observe
from rmaplab.config.catalogue import Catalogue
from rmaplab.model import FREE as AT_REST
from rmaplab.model import CounterChange, Finding, FindingKind, Verdict

from .builders import KTAP_PASS, at, conversation, exited, from_lab, save

BOUNDS = {UNACCOUNTED: (-16, 16)}
FREE = "agent.free"


def changed(**deltas: Any) -> dict[str, CounterChange]:
    """Counters that changed by so much, ``__`` for a dot, beside some that did not."""
    still = {"vmstat.nr_anon_pages": 0, SWAP: 0, DYING: 0, FREE: 0, TABLES: 0}
    moved = {name.replace("__", "."): delta for name, delta in deltas.items()}
    return {name: CounterChange(1000, 1000 + d) for name, d in {**still, **moved}.items()}


def terms(bounds: Any = None, leaves: Any = None, cpus: int = 1, page_kb: int = 4) -> Terms:
    return Terms(bounds or {}, leaves or {}, cpus, page_kb)


def calibrated(seen: Any, cpus: int) -> dict[str, tuple[int, int]]:
    return calibrate(Seen(seen), cpus, page_kb=4)


def unbalanced(leaves: Any = None, **deltas: Any) -> list[str]:
    entries = balance(changed(**deltas), terms(BOUNDS, leaves, cpus=2))
    return [entry.account for entry in entries]


def test_what_was_given_back_balances() -> None:
    assert unbalanced() == []


@pytest.mark.parametrize(
    "name",
    ["vmstat.nr_anon_pages", "vmstat.nr_mlock", "vmstat.nr_isolated_anon", "meminfo.Committed_AS",
     "meminfo.HugePages_Free", "mthp.64kB.nr_anon_partially_mapped",
     "hugetlb.2048kB.resv_hugepages", "cgroup.nr_descendants"],
)  # fmt: skip
@pytest.mark.parametrize("by", [1, -1])
def test_most_accounts_have_to_be_exact(name: str, by: int) -> None:
    key = name.replace(".", "__")
    assert name in unbalanced(**{key: by})


def test_an_entry_names_account_size_and_bound() -> None:
    (entry,) = balance(changed(vmstat__nr_mlock=3), terms(BOUNDS))
    assert str(entry) == "vmstat.nr_mlock changed by +3, allowed is 0"


def test_pages_that_no_counter_knows_are_leaked() -> None:
    assert unbalanced(agent__free=-64) == [UNACCOUNTED]
    assert unbalanced(agent__free=-64, vmstat__nr_slab_unreclaimable=60) == []


def test_a_page_that_nobody_maps_and_that_keeps_a_reference_is_leaked() -> None:
    lists = {"vmstat__nr_zone_active_anon": 8, "vmstat__nr_zone_inactive_anon": -3}
    assert unbalanced(**lists, agent__free=-5) == ["lru.anon"]
    assert unbalanced(**{**lists, "vmstat__nr_zone_inactive_anon": -8}) == []


def test_caches_may_be_dropped_but_not_grow() -> None:
    assert unbalanced(vmstat__nr_file_pages=-9) == []
    (entry,) = balance(changed(vmstat__nr_file_pages=9), terms(BOUNDS))
    assert str(entry) == "vmstat.nr_file_pages changed by +9, allowed is at most 0"


def test_an_entry_with_bounds_names_both() -> None:
    (entry,) = balance(changed(agent__free=-64), terms({UNACCOUNTED: (-16, 8)}))
    assert str(entry) == "pages.unaccounted changed by -64, allowed is -16 to 8"


@pytest.mark.parametrize("kb", [1, 4])
def test_no_cpu_gives_back_swap_slots_that_it_did_not_take(kb: int) -> None:
    assert unbalanced(meminfo__SwapFree=kb) == [SWAP]


def test_a_hugetlb_pool_is_no_leak_of_pages() -> None:
    grown = {"agent__free": -1024, "hugetlb__2048kB__nr_hugepages": 2}
    assert unbalanced(**grown) == ["hugetlb.2048kB.nr_hugepages"]


def test_pins_are_taken_less_given_back() -> None:
    taken = {"vmstat__nr_foll_pin_acquired": 8, "vmstat__nr_foll_pin_released": 7}
    assert unbalanced(**taken) == [PINS]
    assert unbalanced(**{**taken, "vmstat__nr_foll_pin_released": 8}) == []


@pytest.mark.parametrize(("kb", "fine"), [(0, True), (-1024, True), (-1028, False), (4, False)])
def test_a_cpu_may_keep_its_swap_slots(kb: int, fine: bool) -> None:
    assert (unbalanced(meminfo__SwapFree=kb) == []) is fine


def test_a_dying_cgroup_is_a_leak_unless_a_swap_slot_is_charged_to_it() -> None:
    assert unbalanced(cgroup__nr_dying_descendants=1) == [DYING]
    assert unbalanced(cgroup__nr_dying_descendants=1, meminfo__SwapFree=-256) == []
    assert unbalanced(cgroup__nr_dying_descendants=2, meminfo__SwapFree=-256) == [DYING]


def test_what_a_testcase_declares_it_leaves() -> None:
    poisoned = {"meminfo__HardwareCorrupted": 4}
    assert unbalanced({"meminfo.HardwareCorrupted": 4}, **poisoned) == []
    assert unbalanced({"meminfo.HardwareCorrupted": 8}, **poisoned) != []
    assert unbalanced({"meminfo.*": None}, **poisoned) == []
    assert unbalanced({"vmstat.*": None}, **poisoned) != []


def test_an_account_without_calibration_is_left_out() -> None:
    assert balance(changed(agent__free=-64), terms()) == []


def test_bounds_are_what_was_seen_and_as_much_again() -> None:
    seen = [changed(agent__free=-pages) for pages in (6, 32, 6)]
    assert calibrated(seen, cpus=1)[UNACCOUNTED] == (-48, 26)
    assert calibrated(seen, cpus=2)[UNACCOUNTED] == (-80, 48)


def test_a_narrow_calibration_has_a_least_width() -> None:
    assert calibrated([changed()] * 3, cpus=1) == {UNACCOUNTED: (-24, 24), TABLES: (-2, 2)}
    assert calibrated([changed()] * 3, cpus=2) == {UNACCOUNTED: (-48, 48), TABLES: (-4, 4)}


@pytest.mark.parametrize(
    ("swapped", "missing_kb", "kept"),
    [(None, 0, True), (8, 256, True), (8, 0, False), (0, 0, True)],
)
def test_a_kernel_whose_cpus_kept_no_swap_slot_keeps_none(
    swapped: int | None, missing_kb: int, kept: bool
) -> None:
    seen = None
    if swapped is not None:
        seen = changed(vmstat__pswpout=swapped, meminfo__SwapFree=-missing_kb)
    bounds = calibrate(Seen([changed()], seen), cpus=1, page_kb=4)
    assert balance(changed(), terms(bounds)) == []
    assert (balance(changed(meminfo__SwapFree=-512), terms(bounds)) == []) is kept


@pytest.mark.parametrize(("moved", "width"), [(None, 2), (0, 2), (2, 2), (3, 8)])
def test_where_the_kernels_own_page_tables_are_counted_more_may_stay(
    moved: int | None, width: int
) -> None:
    mapping = None if moved is None else changed(vmstat__nr_page_table_pages=moved)
    found = calibrate(Seen([changed()], mapping=mapping), cpus=2, page_kb=4)
    assert found[TABLES] == (-2 * width, 2 * width)


def test_a_workload_that_shows_no_swap_says_nothing_of_its_slots() -> None:
    seen = changed(vmstat__pswpout=8)
    del seen[SWAP]
    assert SWAP not in calibrate(Seen([changed()], seen), cpus=1, page_kb=4)


@given(st.lists(st.integers(-100000, 100000), min_size=1))
def test_no_calibration_hides_a_large_leak(pages: list[int]) -> None:
    seen = [changed(agent__free=delta) for delta in pages]
    low, high = calibrated(seen, cpus=1)[UNACCOUNTED]
    assert -48 <= low <= -24
    assert 24 <= high <= 48


# -- from evidence -------------------------------------------------------------------------------

CALM = {AT_REST: "100", "/proc/vmstat": "nr_anon_pages 7\nnr_mlock 0\nnr_free_pages 100\n",
        "/proc/meminfo": "SwapFree: 131068 kB\n"}  # fmt: skip
LOCKED = {**CALM, "/proc/vmstat": "nr_anon_pages 7\nnr_mlock 2\nnr_free_pages 100\n"}


def due(**facts: Any) -> dict[str, Any]:
    return from_lab("ledger", **{"bounds": {}, "error": "", "leaves": {}, "cpus": 1, **facts})


def results(folder: Path, lines: list[dict[str, Any]]) -> tuple[Finding, ...]:
    return observe(save(folder, lines)).findings


def test_an_account_that_does_not_balance_fails_the_cell(tmp_path: Path) -> None:
    lines = [due(), *conversation(*KTAP_PASS, before=CALM, after=LOCKED)]
    (result,) = results(tmp_path, lines)
    assert (result.kind, result.verdict) == (FindingKind.LEDGER, Verdict.FAIL)
    assert (result.name, result.amount) == ("lab: ledger: vmstat.nr_mlock", 2)
    assert result.text == "vmstat.nr_mlock changed by +2, allowed is 0"


def test_each_account_is_a_finding_of_its_own(tmp_path: Path) -> None:
    more = {**LOCKED, "/proc/vmstat": "nr_anon_pages 9\nnr_mlock 2\nnr_free_pages 100\n"}
    found = results(tmp_path, [due(), *conversation(*KTAP_PASS, before=CALM, after=more)])
    assert {one.about: one.amount for one in found} == {
        "vmstat.nr_anon_pages": 2, "vmstat.nr_mlock": 2,
    }  # fmt: skip


def test_a_ledger_that_balances_adds_no_result(tmp_path: Path) -> None:
    assert results(tmp_path, [due(), *conversation(*KTAP_PASS, before=CALM, after=CALM)]) == ()


def test_what_the_testcase_leaves_is_read_from_the_evidence(tmp_path: Path) -> None:
    lines = conversation(*KTAP_PASS, before=CALM, after=LOCKED)
    assert results(tmp_path, [due(leaves={"vmstat.nr_mlock": 2}), *lines]) == ()
    assert results(tmp_path, [due(leaves={"vmstat.nr_mlock": 1}), *lines]) != ()


@pytest.mark.parametrize("without", ["before", "after"])
def test_a_ledger_that_cannot_be_drawn_up_is_an_error(tmp_path: Path, without: str) -> None:
    lines = [due(), *conversation(*KTAP_PASS, before=CALM, after=CALM)]
    kept = [line for line in lines if line.get("label") != without]
    (result,) = results(tmp_path, kept)
    assert result.text == "a sample of the counters is missing"
    assert (result.name, result.verdict) == ("lab: ledger", Verdict.ERROR)


def test_a_sample_without_its_counters_is_an_error(tmp_path: Path) -> None:
    empty = {**CALM, "/proc/vmstat": "", "/proc/meminfo": ""}
    (result,) = results(tmp_path, [due(), *conversation(*KTAP_PASS, before=CALM, after=empty)])
    assert result.verdict is Verdict.ERROR


def test_free_pages_that_never_came_to_rest_are_an_error(tmp_path: Path) -> None:
    restless = {path: text for path, text in CALM.items() if path != AT_REST}
    (result,) = results(tmp_path, [due(), *conversation(*KTAP_PASS, before=CALM, after=restless)])
    assert result.verdict is Verdict.ERROR
    assert "agent.free" in result.text


def test_a_ledger_that_is_not_calibrated_is_an_error(tmp_path: Path) -> None:
    lines = [due(error="no clone"), *conversation(*KTAP_PASS, before=CALM, after=CALM)]
    (result,) = results(tmp_path, lines)
    assert (result.name, result.verdict) == ("lab: ledger", Verdict.ERROR)


def test_a_workload_that_was_killed_at_its_limit_owes_nothing(tmp_path: Path) -> None:
    lines = [due(), *conversation(*KTAP_PASS, before=CALM, after=LOCKED)]
    lines[at(lines, "exit")] = exited(-1, timeout=True, signal=9)
    assert results(tmp_path, lines) == ()


def test_every_testcase_leaves_accounts_that_there_are() -> None:
    for testcase in Catalogue().testcases.values():
        assert all(map(ledger.is_account, testcase.leaves)), testcase.name


@pytest.mark.parametrize(
    ("name", "there_is"),
    [("pages.unaccounted", True), ("vmstat.nr_*", True), ("hugetlb.2048kB.nr_hugepages", True),
     ("vmstat.pgfault", False), ("HardwareCorrupted", False)],
)  # fmt: skip
def test_leaves_name_accounts(name: str, there_is: bool) -> None:
    assert ledger.is_account(name) is there_is


@pytest.mark.parametrize("shown", ["acquired", "released"])
def test_pins_are_no_account_of_a_kernel_that_counts_one_side_alone(shown: str) -> None:
    assert unbalanced(**{f"vmstat__nr_foll_pin_{shown}": 8}) == []


def test_an_account_that_the_empty_workload_did_not_show_hides_no_other() -> None:
    empty = changed(vmstat__nr_page_table_pages=3)
    del empty[FREE]
    assert calibrated([empty], cpus=1) == {TABLES: (-2, 5)}


@pytest.mark.parametrize(
    ("name", "change", "pages"),
    [
        ("agent.free", 64, 64),
        ("vmstat.nr_zone_active_anon", 64, 64),
        ("vmstat.nr_zone_inactive_anon", 64, 64),
        ("vmstat.nr_zone_active_file", 64, 64),
        ("vmstat.nr_zone_inactive_file", 64, 64),
        ("vmstat.nr_zone_unevictable", 64, 64),
        ("vmstat.nr_slab_reclaimable", 64, 64),
        ("vmstat.nr_slab_unreclaimable", 64, 64),
        ("vmstat.nr_page_table_pages", 64, 64),
        ("vmstat.nr_zspages", 64, 64),
        ("vmstat.nr_memmap_pages", 64, 64),
        ("vmstat.nr_kernel_stack", 64, 16),
        ("meminfo.Percpu", 64, 16),
        ("meminfo.VmallocUsed", 64, 16),
        ("meminfo.HardwareCorrupted", 64, 16),
        ("meminfo.MemTotal", 64, -16),
        ("meminfo.VmallocUsed", 7, 1),
        ("meminfo.MemTotal", 7, -1),
        ("hugetlb.2048kB.nr_hugepages", 1, 512),
        ("hugetlb.64kB.nr_hugepages", 2, 32),
        ("hugetlb.2048kB.free_hugepages", 1, 0),
        ("vmstat.nr_mapped", 64, 0),
    ],
)
def test_each_counter_accounts_for_its_pages(name: str, change: int, pages: int) -> None:
    found = ledger.measure(changed(**{name.replace(".", "__"): change}), page_kb=4)
    assert found[UNACCOUNTED] == pages
    assert isinstance(found[UNACCOUNTED], int)


@pytest.mark.parametrize(
    ("name", "change", "pages"),
    [("meminfo.Percpu", 64, 1), ("hugetlb.2048kB.nr_hugepages", 1, 32), ("agent.free", 1, 1)],
)
def test_kb_are_pages_of_the_architecture(name: str, change: int, pages: int) -> None:
    found = ledger.measure(changed(**{name.replace(".", "__"): change}), page_kb=64)
    assert found[UNACCOUNTED] == pages
    kept = changed(meminfo__SwapFree=-8192)
    assert balance(kept, terms(page_kb=64)) == []
    assert balance(kept, terms(page_kb=32)) != []


def test_a_transcript_says_the_terms(tmp_path: Path) -> None:
    taken = {**CALM, "/proc/meminfo": "SwapFree: 130812 kB\n"}
    lines = conversation(*KTAP_PASS, before=CALM, after=taken)
    assert results(tmp_path, [due(), *lines]) == ()
    (result,) = results(tmp_path, [due(bounds={SWAP: [0, 0]}, page_kb=4), *lines])
    assert result.text == "meminfo.SwapFree changed by -256, allowed is 0"
