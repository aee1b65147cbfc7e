# SPDX-License-Identifier: GPL-2.0
"""Who is to blame is another question for each kind of complaint."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rmaplab.collect.splats import parse_console
from rmaplab.collect.splats.machinery import groups, is_machinery, passed_over, works
from rmaplab.collect.splats.rules import RULES, SIGNS, _candidates, _prefilter
from tests.unit.collect.console_samples import SAMPLES

ENTRY = (" do_syscall_64+0x95/0x180", " entry_SYSCALL_64_after_hwframe+0x76/0x7e")


def console(*lines: str, trace: tuple[str, ...] = ()) -> bytes:
    cpu = "CPU: 1 UID: 0 PID: 77 Comm: demo Not tainted 6.12.0 #1"
    frames = [f" {name}+0x12/0x80" for name in trace]
    text = [*lines, cpu, "Call Trace:", " <TASK>", *frames, *ENTRY, " </TASK>"]
    return "".join(f"[   12.{n:06d}][   T77] {line}\n" for n, line in enumerate(text)).encode()


def function(raw: bytes) -> str | None:
    (splat,) = parse_console(raw)
    return splat.function


def kasan(accessor: str, *callers: str) -> bytes:
    return console(
        f"BUG: KASAN: slab-use-after-free in {accessor}+0x12/0x80",
        "Read of size 8 at addr ffff888012345678 by task demo/77",
        trace=("dump_stack_lvl", "print_report", "kasan_report", accessor, *callers),
    )


def warning(named: str, *callers: str) -> bytes:
    return console(
        "------------[ cut here ]------------",
        f"WARNING: CPU: 1 PID: 77 at kernel/demo.c:12 {named}+0x12/0x80",
        trace=callers,
    )


@pytest.mark.parametrize(
    ("accessor", "callers", "culprit"),
    [
        # A node that is embedded in the caller's object, and one that is the structure's own.
        ("__list_del_entry_valid", ("list_del", "demo_unlink"), "demo_unlink"),
        ("rb_erase", ("demo_unlink",), "demo_unlink"),
        ("mas_next_slot", ("mas_find", "demo_walk"), "mas_next_slot"),
        ("rhashtable_walk_enter", ("demo_walk",), "rhashtable_walk_enter"),
        ("percpu_ref_put", ("demo_put",), "percpu_ref_put"),
        # A lock in a freed object, and copies of strings' helpers for other address spaces.
        ("__mutex_lock", ("mutex_lock", "demo_lock"), "demo_lock"),
        ("__pi_memcpy", ("demo_copy",), "demo_copy"),
        # A function that unwinds stacks is at fault where KASAN says that the access was there.
        ("unwind_next_frame", ("arch_stack_walk", "stack_trace_save", "demo_work"),
         "unwind_next_frame"),
        ("rcu_core", ("handle_softirqs",), "rcu_core"),
    ],
)  # fmt: skip
def test_a_bad_access_is_blamed_on_whose_memory_it_is(
    accessor: str, callers: tuple[str, ...], culprit: str
) -> None:
    assert function(kasan(accessor, *callers)) == culprit


@pytest.mark.parametrize(
    ("named", "callers", "culprit"),
    [
        ("demo_check", ("demo_ioctl",), "demo_check"),
        ("rcu_sync_dtor", ("demo_exit",), "rcu_sync_dtor"),
        ("kthread_unpark", ("demo_online",), "kthread_unpark"),
        ("mod_delayed_work_on", ("demo_kick",), "mod_delayed_work_on"),
        ("kfree", ("demo_free",), "demo_free"),
        ("drop_nlink", ("demo_unlink",), "demo_unlink"),
        ("__might_sleep", ("mutex_lock", "demo_ioctl"), "demo_ioctl"),
        ("__flush_work", ("flush_work", "demo_stop"), "demo_stop"),
    ],
)
def test_a_failed_check_is_blamed_on_whose_state_it_checks(
    named: str, callers: tuple[str, ...], culprit: str
) -> None:
    assert function(warning(named, *callers)) == culprit


@pytest.mark.parametrize(
    ("waiter", "culprit"),
    [
        (("__schedule", "schedule", "__mutex_lock", "demo_ioctl"), "demo_ioctl"),
        (("__schedule", "schedule", "__lock_sock", "lock_sock_nested", "demo_send"),
         "__lock_sock"),
        (("__schedule", "schedule", "rwsem_down_read_slowpath", "down_read", "do_user_addr_fault",
          "exc_page_fault", "asm_exc_page_fault"), "do_user_addr_fault"),
        (("__schedule", "schedule", "rwsem_down_read_slowpath", "blocking_notifier_call_chain",
          "demo_event"), "demo_event"),
    ],
)  # fmt: skip
def test_a_task_that_hangs_is_named_after_what_it_waits_in(
    waiter: tuple[str, ...], culprit: str
) -> None:
    frames = [f" {name}+0x12/0x80" for name in waiter]
    lines = [
        "INFO: task demo:77 blocked for more than 122 seconds.",
        "      Not tainted 6.12.0 #1",
        "task:demo            state:D stack:0     pid:77    tgid:77    ppid:1",
        "Call Trace:", " <TASK>", *frames, *ENTRY, " </TASK>",
    ]  # fmt: skip
    raw = "".join(f"[  246.{n:06d}][   T31] {line}\n" for n, line in enumerate(lines)).encode()
    assert function(raw) == culprit


@pytest.mark.parametrize(
    ("taker", "culprit"),
    [
        ("__flush_workqueue", "__flush_workqueue"),
        ("try_to_wake_up", "try_to_wake_up"),
        ("pcpu_alloc_noprof", "pcpu_alloc_noprof"),
        ("do_user_addr_fault", "do_user_addr_fault"),
    ],
)
def test_a_lock_order_is_blamed_on_who_takes_the_lock(taker: str, culprit: str) -> None:
    raw = console(
        "WARNING: possible circular locking dependency detected",
        "demo/77 is trying to acquire lock:",
        f"ffff888012345678 (&demo->lock){{+.+.}}-{{4:4}}, at: {taker}+0x12/0x80",
        trace=("dump_stack_lvl", "print_circular_bug", "check_noncircular", "__lock_acquire",
               "lock_acquire", taker, "demo_ioctl"),
    )  # fmt: skip
    assert function(raw) == culprit


def test_an_object_that_lockdep_does_not_know_is_its_owners() -> None:
    raw = console(
        "INFO: trying to register non-static key.",
        trace=("dump_stack_lvl", "register_lock_class", "__lock_acquire", "__flush_work",
               "cancel_work_sync", "demo_remove"),
    )  # fmt: skip
    assert function(raw) == "demo_remove"


def test_a_function_of_the_registers_is_at_fault_even_if_it_may_report() -> None:
    raw = console(
        "BUG: unable to handle page fault for address: ffffc90000f00000",
        "RIP: 0010:unwind_next_frame+0x12/0x80",
        trace=("arch_stack_walk", "demo_work"),
    )
    assert function(raw) == "unwind_next_frame"
    assert works("unwind_next_frame")
    assert not works("show_regs")
    assert not works("memcpy")


def test_each_kind_passes_over_groups_that_there_are() -> None:
    for kind in {rule.kind for rule in RULES}:
        for keyless in (False, True):
            assert passed_over(kind, keyless=keyless) <= set(groups())
            assert not is_machinery("demo_unmap", passed_over(kind, keyless=keyless))


def test_all_patterns_at_once_find_what_each_alone_finds() -> None:
    lines = {
        re.sub(r"^(?:<\d+>)?\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?", "", line)
        for sample in SAMPLES.values()
        for line in sample.console.decode("utf-8", "replace").splitlines()
    }
    found = 0
    for line in filter(str.isascii, lines):
        alone = [
            number
            for number, rule in enumerate(RULES)
            if any(sign in line for sign in rule.signs) and rule.pattern.search(line)
        ]
        assert set(alone) <= set(_prefilter().candidates(line)), line
        possible = _candidates(tuple(sign for sign in SIGNS if sign in line))
        assert set(alone) <= {RULES.index(rule) for rule in possible}
        found += bool(alone)
    assert found > 90


def test_a_complaint_in_a_loop_is_counted_with_its_own_lines_and_owners() -> None:
    first, again = kasan("demo_read", "demo_ioctl"), kasan("demo_read", "demo_ioctl")
    boot = b"[    0.000000][    T0] Linux version 6.12.0 (me@host)\n"
    splats = parse_console(boot + first + again.replace(b"12.", b"13."))
    assert [(s.count, s.line, s.fatal) for s in splats] == [(2, 2, False)]
    panic = b"[   14.000000][   T77] Kernel panic - not syncing: Fatal exception\n"
    (fatal,) = parse_console(boot + first + panic)
    assert fatal.fatal


def test_a_boot_below_a_fuzzers_programs_was_not_asked_for() -> None:
    boot = b"[    0.000000] Linux version 6.12.0 (me@host)\n[    0.100000] Memory: 1K\n"
    program = b"mmap(&(0x7f0000000000/0x1000)=nil, 0x1000, 0x3, 0x32, 0xffffffffffffffff, 0x0)\n"
    (splat,) = parse_console(program + boot)
    assert splat.kind == "unexpected-reboot"
    assert parse_console(b"SeaBIOS (version 1.16)\nBooting from Hard Disk...\n" + boot) == ()


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Unhandled fault at 0xffff800012345678", "page-fault"),
        ("general protection fault", "general-protection"),
    ],
)
def test_old_and_cut_headlines_of_faults_are_known(line: str, kind: str) -> None:
    (splat,) = parse_console(console(line, "RIP: 0010:demo_read+0x12/0x80", trace=("demo_ioctl",)))
    assert (splat.kind, splat.function) == (kind, "demo_read")


def test_a_program_that_traps_is_no_complaint() -> None:
    line = b"[   12.0] traps: demo[77] general protection fault ip:401136 sp:7ffe0 error:0\n"
    assert parse_console(line) == ()


TITLES = [
    line.split()
    for line in Path(__file__).with_name("public_titles.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
]
# Where rules by kind say otherwise: call_rcu() is who it is called by, flushing is waiting, and
# memory is allocated on somebody's behalf.
OTHERWISE = [
    ["lockdep", "kvfree_call_rcu"],
    ["hung-task", "flush_delayed_work"],
    ["sleeping-function", "pcpu_alloc_noprof"],
]


@pytest.mark.parametrize(("kind", "named"), TITLES)
def test_functions_that_the_community_names_are_not_passed_over(kind: str, named: str) -> None:
    passed = is_machinery(named, passed_over(kind)) and not works(named)
    assert passed == ([kind, named] in OTHERWISE)
