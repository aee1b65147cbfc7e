# SPDX-License-Identifier: GPL-2.0
"""Which functions a title passes over: derived from sources, not a list of what logs showed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rmaplab.collect.splats.machinery import (
    DATA,
    allocates,
    groups,
    is_checker,
    is_machinery,
    is_reporting,
)

ROOT = Path(__file__).resolve().parents[3]
TABLE = yaml.safe_load((ROOT / "tests/machinery.yaml").read_text(encoding="utf-8"))
TEXT = (ROOT / "rmaplab/collect/splats" / DATA).read_text(encoding="utf-8")


def test_the_derived_file_has_the_groups_and_patterns_of_the_table() -> None:
    assert list(groups()) == list(TABLE)
    for group, table in TABLE.items():
        entries = [entry for key in ("also", "older") for entry in table.get(key, [])]
        assert groups()[group].pattern.pattern == "|".join(
            "|".join(entry["names"].split()) for entry in entries
        )


def test_the_derived_file_names_its_sources() -> None:
    assert "From Linux 5.10.223, 6.1.176, 6.12.117, 7.3.4." in TEXT


@pytest.mark.parametrize("group", TABLE)
def test_each_exception_has_a_reason_and_is_kept_out(group: str) -> None:
    for key in ("except", "also", "older"):
        assert all(entry["why"] for entry in TABLE[group].get(key, []))
    for entry in TABLE[group].get("except", []):
        for pattern in entry["names"].split():
            if pattern.isidentifier():
                assert pattern not in groups()[group].names


@pytest.mark.parametrize(
    "function",
    [
        "dump_stack_lvl", "__warn", "kasan_report", "____kasan_slab_free", "__ubsan_handle_x",
        "handle_misaligned_access", "handle_null_ptr_deref", "assfail", "_raw_spin_lock_irqsave",
        "__mutex_lock", "_cond_resched", "fs_reclaim_acquire", "might_alloc", "prepare_alloc_pages",
        "kmalloc_trace", "__kmalloc_cache_noprof", "memcpy", "strlen", "vsnprintf", "rb_erase",
        "kobject_put", "queue_work_on", "exc_page_fault", "asm_exc_int3", ".mutex_lock",
        "__cfi_check_fail", "rust_begin_unwind", "_RNvCs1_4core9panicking9panic_fmt",
        "sysfs_warn_dup", "schedule_timeout", "pskb_expand_head",
    ],
)  # fmt: skip
def test_a_function_that_reports_checks_or_helps_is_passed_over(function: str) -> None:
    assert is_machinery(function)


@pytest.mark.parametrize(
    "function",
    [
        "demo_unmap", "kmalloc_oob_demo", "demo_kmalloc", "try_to_migrate_one", "vfs_write",
        "lkdtm_WARNING", "sysrq_handle_crash", "really_probe", "process_one_work", "do_exit",
        "synchronize_rcu", "tun_get_user", "iov_iter_advance", "kswapd", "khugepaged",
        "unmap_page_range", "folio_remove_rmap_ptes", "ext4_writepages", "call_timer_fn",
    ],
)  # fmt: skip
def test_a_function_that_does_the_kernels_work_is_named(function: str) -> None:
    assert not is_machinery(function)


def test_who_prints_who_checks_and_who_allocates_are_told_apart() -> None:
    assert is_reporting("panic")
    assert not is_reporting("kasan_report")
    assert is_checker("kasan_report")
    assert not is_checker("memcpy")
    assert allocates("demo_alloc_page")
    assert allocates("kmem_cache_alloc")
    assert not allocates("demo_open")
