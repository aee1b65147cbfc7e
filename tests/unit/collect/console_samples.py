# SPDX-License-Identifier: GPL-2.0
"""Small consoles in the formats of the kernel's own functions, for the parser's tests.

Written after the source of Linux 6.12, one function of the kernel per sample; the code they blame
(``demo_*``) does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """A console and what has to be read out of it."""

    kind: str
    title: str
    function: str | None
    text: str
    corrupted: bool = False
    fatal: bool = False

    @property
    def console(self) -> bytes:
        """The sample with printk's time stamps and callers in front of each line."""
        return stamped(self.text)


def stamped(text: str, caller: str = "T77", start: float = 12.0) -> bytes:
    """Put a time stamp and a caller before each line, as CONFIG_PRINTK_CALLER does."""
    lines = text.strip("\n").split("\n")
    return b"".join(
        f"[{start + number / 1000:12.6f}][{caller:>6}] {line}\n".encode()
        for number, line in enumerate(lines)
    )


CPU_LINE = "CPU: 1 UID: 0 PID: 77 Comm: demo Not tainted 6.12.0 #1"
TRACE_END = """ do_syscall_64+0x9e/0x1a0
 entry_SYSCALL_64_after_hwframe+0x77/0x7f
RIP: 0033:0x7f2b3c4d5e6f
 </TASK>
---[ end trace 0000000000000000 ]---"""


def trace(*functions: str) -> str:
    """A call trace through the given functions, with a stale frame in between."""
    frames = "\n".join(f" {name}+0x1f/0x230" for name in functions)
    return f"Call Trace:\n <TASK>\n{frames}\n ? demo_stale+0x10/0x20\n{TRACE_END}"


SAMPLES = {
    "warn": Sample(
        "warning",
        "WARNING in demo_unmap",
        "demo_unmap",
        f"""------------[ cut here ]------------
WARNING: CPU: 1 PID: 77 at mm/demo.c:1312 demo_unmap+0x88/0x1c0
Modules linked in:
{CPU_LINE}
RIP: 0010:demo_unmap+0x88/0x1c0
{trace("demo_walk", "demo_ioctl")}""",
    ),
    "warn since 6.18": Sample(
        "warning",
        "WARNING in demo_unmap",
        "demo_unmap",
        f"""WARNING: mm/demo.c:1312 at demo_unmap+0x88/0x1c0, CPU#1: demo/77
{CPU_LINE}
RIP: 0010:demo_unmap+0x88/0x1c0
{trace("demo_walk", "demo_ioctl")}""",
    ),
    "warn without file names": Sample(
        "warning",
        "WARNING in demo_unmap",
        "demo_unmap",
        f"WARNING: CPU: 1 PID: 77 at demo_unmap+0x88/0x1c0\n{trace('demo_walk')}",
    ),
    "bug": Sample(
        "kernel-bug",
        "kernel BUG in demo_dup",
        "demo_dup",
        f"""page: refcount:1 mapcount:0 mapping:0000000000000000 index:0x7f0000 pfn:0x1234
page dumped because: VM_BUG_ON_FOLIO(folio_test_demo(folio))
------------[ cut here ]------------
kernel BUG at mm/demo.c:77!
Oops: invalid opcode: 0000 [#1] PREEMPT SMP NOPTI
{CPU_LINE}
RIP: 0010:demo_dup.isra.0+0x12/0x40
{trace("demo_fork")}""",
    ),
    "refcount": Sample(
        "refcount",
        "WARNING: refcount bug in demo_put",
        "demo_put",
        f"""------------[ cut here ]------------
refcount_t: underflow; use-after-free.
WARNING: CPU: 0 PID: 77 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110
{CPU_LINE}
RIP: 0010:refcount_warn_saturate+0xba/0x110
{trace("demo_put", "demo_release")}""",
    ),
    "null pointer": Sample(
        "page-fault",
        "BUG: unable to handle kernel NULL pointer dereference in demo_read",
        "demo_read",
        f"""BUG: kernel NULL pointer dereference, address: 0000000000000008
#PF: supervisor read access in kernel mode
#PF: error_code(0x0000) - not-present page
PGD 0 P4D 0
Oops: Oops: 0000 [#1] PREEMPT SMP
{CPU_LINE}
RIP: 0010:demo_read+0x12/0x40
{trace("vfs_read")}""",
    ),
    "page fault on arm64": Sample(
        "page-fault",
        "BUG: unable to handle kernel paging request in demo_read",
        "demo_read",
        f"""Unable to handle kernel paging request at virtual address ffff00000badcafe
Mem abort info:
Internal error: Oops: 0000000096000004 [#1] SMP
{CPU_LINE}
pc : demo_read+0x10/0x20
lr : vfs_read+0x30/0x40
Call trace:
 demo_read+0x10/0x20 (P)
 vfs_read+0x30/0x40
---[ end trace 0000000000000000 ]---""",
    ),
    "general protection": Sample(
        "general-protection",
        "general protection fault in demo_list_walk",
        "demo_list_walk",
        "Oops: general protection fault, probably for non-canonical address "
        f"""0xdead000000000100: 0000 [#1] PREEMPT SMP
{CPU_LINE}
RIP: 0010:demo_list_walk+0x12/0x40
{trace("demo_ioctl")}""",
    ),
    "divide": Sample(
        "divide-error",
        "divide error in demo_rate",
        "demo_rate",
        f"""Oops: divide error: 0000 [#1] PREEMPT SMP
{CPU_LINE}
RIP: 0010:demo_rate+0x12/0x40
{trace("demo_ioctl")}""",
    ),
    "double fault": Sample(
        "double-fault",
        "PANIC: double fault in demo_deep",
        "demo_deep",
        f"""traps: PANIC: double fault, error_code: 0x0
Oops: double fault: 0000 [#1] PREEMPT SMP
{CPU_LINE}
RIP: 0010:demo_deep+0x12/0x40
{trace("demo_ioctl")}""",
        fatal=True,
    ),
    "kasan": Sample(
        "kasan",
        "KASAN: slab-use-after-free Read in demo_get",
        "demo_get",
        f"""==================================================================
BUG: KASAN: slab-use-after-free in memcmp+0x33/0x90
Read of size 8 at addr ffff888012345678 by task demo/77

{CPU_LINE}
Call Trace:
 <TASK>
 dump_stack_lvl+0x53/0x70
 print_report+0xce/0x670
 kasan_report+0xce/0x100
 memcmp+0x33/0x90
 demo_get+0x1f/0x230
{TRACE_END}

Allocated by task 77:
 kasan_save_stack+0x24/0x50
 demo_alloc+0x1f/0x230

Freed by task 77:
 demo_free+0x1f/0x230""",
    ),
    "kasan double free": Sample(
        "kasan",
        "KASAN: invalid-free in demo_free",
        "demo_free",
        f"""BUG: KASAN: double-free in demo_free+0x1f/0x230
Free of addr ffff888012345678 by task demo/77
{CPU_LINE}
{trace("kfree", "demo_free")}""",
    ),
    "kfence": Sample(
        "kfence",
        "KFENCE: use-after-free read in demo_get",
        "demo_get",
        """BUG: KFENCE: use-after-free read in demo_get+0x1f/0x230

Use-after-free read at 0x000000001234abcd (in kfence-#33):
 demo_get+0x1f/0x230
 demo_ioctl+0x1f/0x230""",
    ),
    "kmsan": Sample(
        "kmsan",
        "KMSAN: uninit-value in demo_get",
        "demo_get",
        """BUG: KMSAN: uninit-value in demo_get+0x1f/0x230
 demo_get+0x1f/0x230
 demo_ioctl+0x1f/0x230

Uninit was created at:
 demo_alloc+0x1f/0x230""",
    ),
    "kcsan": Sample(
        "kcsan",
        "KCSAN: data-race in demo_get / demo_put",
        None,
        """BUG: KCSAN: data-race in demo_get / demo_put

write to 0xffff888012345678 of 8 bytes by task 77 on cpu 1:
 demo_get+0x1f/0x230
 demo_ioctl+0x1f/0x230""",
    ),
    "ubsan": Sample(
        "ubsan",
        "UBSAN: array-index-out-of-bounds in demo_index",
        "demo_index",
        f"""UBSAN: array-index-out-of-bounds in mm/demo.c:263:56
index 4 is out of range for type 'int [4]'
{CPU_LINE}
{trace("dump_stack_lvl", "__ubsan_handle_out_of_bounds", "demo_index")}""",
    ),
    "deadlock": Sample(
        "lockdep",
        "possible deadlock in demo_lock_both",
        "demo_lock_both",
        f"""======================================================
WARNING: possible circular locking dependency detected
6.12.0 #1 Not tainted
------------------------------------------------------
demo/77 is trying to acquire lock:
ffff888012345678 (&mm->demo){{++++}}-{{4:4}}, at: demo_lock_both+0x1f/0x230

but task is already holding lock:
ffff888012345690 (&mm->other){{++++}}-{{4:4}}, at: demo_ioctl+0x1f/0x230

the existing dependency chain (in reverse order) is:

-> #1 (&mm->other){{++++}}-{{4:4}}:
       demo_elsewhere+0x1f/0x230

stack backtrace:
{CPU_LINE}
{trace("dump_stack_lvl", "print_circular_bug", "lock_acquire", "demo_lock_both")}""",
    ),
    "recursive lock": Sample(
        "lockdep",
        "possible deadlock in demo_again",
        "demo_again",
        f"""WARNING: possible recursive locking detected
6.12.0 #1 Not tainted
demo/77 is trying to acquire lock:
ffff888012345678 (&d->lock){{+.+.}}-{{3:3}}, at: demo_again+0x1f/0x230
stack backtrace:
{CPU_LINE}
{trace("demo_again")}""",
    ),
    "inconsistent lock": Sample(
        "lockdep",
        "inconsistent lock state in demo_irq",
        "demo_irq",
        f"""WARNING: inconsistent lock state
6.12.0 #1 Not tainted
inconsistent {{IN-HARDIRQ-W}} -> {{HARDIRQ-ON-W}} usage.
demo/77 [HC0[0]:SC0[0]:HE1:SE1] takes:
ffff888012345678 (&d->lock){{?.+.}}-{{3:3}}, at: demo_irq+0x1f/0x230
stack backtrace:
{CPU_LINE}
{trace("demo_irq")}""",
    ),
    "rcu usage": Sample(
        "lockdep",
        "WARNING: suspicious RCU usage in demo_lookup",
        "demo_lookup",
        f"""=============================
WARNING: suspicious RCU usage
6.12.0 #1 Not tainted
-----------------------------
mm/demo.c:12 suspicious rcu_dereference_check() usage!
stack backtrace:
{CPU_LINE}
{trace("dump_stack_lvl", "lockdep_rcu_suspicious", "demo_lookup")}""",
    ),
    "rcu stall": Sample(
        "rcu-stall",
        "INFO: rcu detected stall in demo_ioctl",
        "demo_ioctl",
        f"""rcu: INFO: rcu_preempt self-detected stall on CPU
rcu:  1-....: (5249 ticks this GP) idle=0bd4/1/0x4000000000000000 softirq=113/113 fqs=1312
rcu:  (t=5250 jiffies g=-1015 q=6 ncpus=2)
{CPU_LINE}
RIP: 0010:demo_spin+0x1f/0x230
Call Trace:
 <IRQ>
 rcu_sched_clock_irq+0x1f/0x230
 update_process_times+0x1f/0x230
 sysvec_apic_timer_interrupt+0x1f/0x230
 </IRQ>
 <TASK>
 demo_loop+0x1f/0x230
 demo_ioctl+0x1f/0x230
 vfs_ioctl+0x1f/0x230
 do_syscall_64+0x9e/0x1a0""",
    ),
    "soft lockup": Sample(
        "soft-lockup",
        "BUG: soft lockup in demo_ioctl",
        "demo_ioctl",
        f"""watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [demo:77]
Modules linked in:
{CPU_LINE}
RIP: 0010:demo_spin+0x1f/0x230
{trace("demo_loop", "demo_ioctl", "vfs_ioctl")}""",
    ),
    "hard lockup": Sample(
        "hard-lockup",
        "BUG: hard lockup in demo_ioctl",
        "demo_ioctl",
        f"""watchdog: CPU1: Watchdog detected hard LOCKUP on cpu 1
{CPU_LINE}
RIP: 0010:demo_spin+0x1f/0x230
{trace("demo_ioctl", "vfs_ioctl")}""",
    ),
    "hung task": Sample(
        "hung-task",
        "INFO: task hung in demo_wait",
        "demo_wait",
        """INFO: task demo:77 blocked for more than 120 seconds.
      Not tainted 6.12.0 #1
"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.
task:demo            state:D stack:0     pid:77    tgid:77    ppid:1      flags:0x00004002
Call Trace:
 <TASK>
 __schedule+0x3d1/0x1210
 schedule+0x27/0xf0
 folio_wait_bit_common+0x13c/0x340
 demo_wait+0x1f/0x230
 do_syscall_64+0x9e/0x1a0""",
    ),
    "scheduling while atomic": Sample(
        "scheduling-while-atomic",
        "BUG: scheduling while atomic in demo_sleep",
        "demo_sleep",
        f"""BUG: scheduling while atomic: demo/77/0x00000002
Modules linked in:
Preemption disabled at:
[<ffffffff81234567>] demo_disable+0x1f/0x230
{CPU_LINE}
{trace("dump_stack_lvl", "__schedule_bug", "__schedule", "schedule", "demo_sleep")}""",
    ),
    "sleeping function": Sample(
        "sleeping-function",
        "BUG: sleeping function called from invalid context in demo_alloc",
        "demo_alloc",
        f"""BUG: sleeping function called from invalid context at include/linux/sched/mm.h:337
in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 77, name: demo
preempt_count: 1, expected: 0
{CPU_LINE}
{trace("dump_stack_lvl", "__might_resched", "__kmalloc_noprof", "demo_alloc")}""",
    ),
    "bad page state": Sample(
        "bad-page-state",
        "BUG: Bad page state in demo_free_range",
        "demo_free_range",
        f"""BUG: Bad page state in process demo  pfn:1234
page: refcount:0 mapcount:1 mapping:0000000000000000 index:0x7f0000 pfn:0x1234
page dumped because: nonzero mapcount
{CPU_LINE}
{trace("dump_stack_lvl", "bad_page", "free_unref_page", "demo_free_range")}""",
    ),
    "bad page map": Sample(
        "bad-page-map",
        "BUG: Bad page map",
        None,
        f"""BUG: Bad page map in process demo  pte:8000000012345067 pmd:12340067
page: refcount:1 mapcount:-1 mapping:0000000000000000 index:0x7f0000 pfn:0x12345
addr:00007f0000000000 vm_flags:00100073 anon_vma:ffff888012345678 mapping:0 index:7f0000
{CPU_LINE}
{trace("dump_stack_lvl", "print_bad_pte", "demo_zap")}""",
    ),
    "bad rss": Sample(
        "bad-rss-counter",
        "BUG: Bad rss-counter state",
        None,
        "BUG: Bad rss-counter state mm:00000000abcdef12 type:MM_ANONPAGES val:1",
    ),
    "page tables left": Sample(
        "nonzero-nr-ptes",
        "BUG: non-zero pgtables_bytes on freeing mm: NUM",
        None,
        "BUG: non-zero pgtables_bytes on freeing mm: 4096",
    ),
    "page table check": Sample(
        "page-table-check",
        "kernel BUG in demo_set_pte",
        "demo_set_pte",
        f"""kernel BUG at mm/page_table_check.c:118!
Oops: invalid opcode: 0000 [#1] SMP
{CPU_LINE}
RIP: 0010:page_table_check_set+0x12/0x40
{trace("__page_table_check_ptes_set", "demo_set_pte")}""",
    ),
    "slab corruption": Sample(
        "slab-corruption",
        "BUG: Poison overwritten in demo_alloc",
        "demo_alloc",
        f"""=============================================================================
BUG kmalloc-64 (Not tainted): Poison overwritten
-----------------------------------------------------------------------------
0xffff888012345678-0xffff888012345678 @offset=1656. First byte 0x6a instead of 0x6b
{CPU_LINE}
{trace("dump_stack_lvl", "check_bytes_and_report", "__kmalloc_noprof", "demo_alloc")}""",
    ),
    "list corruption": Sample(
        "list-corruption",
        "BUG: corrupted list in demo_remove",
        "demo_remove",
        f"""list_del corruption. prev->next should be ffff888012345678, but was ffff888012345690
------------[ cut here ]------------
kernel BUG at lib/list_debug.c:64!
Oops: invalid opcode: 0000 [#1] SMP
{CPU_LINE}
RIP: 0010:__list_del_entry_valid_or_report+0x12/0x40
{trace("demo_remove")}""",
    ),
    "memory leak": Sample(
        "memory-leak",
        "memory leak in demo_open",
        "demo_open",
        """unreferenced object 0xffff888012345678 (size 64):
  comm "demo", pid 77, jiffies 4294944475
  hex dump (first 32 bytes):
    2f 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00  /...............
  backtrace (crc 1234abcd):
    [<0000000012345678>] __kmalloc_noprof+0x1f/0x230
    [<0000000012345679>] demo_open+0x1f/0x230""",
    ),
    "debugobjects": Sample(
        "debugobjects",
        "WARNING: ODEBUG bug in demo_free",
        "demo_free",
        f"""ODEBUG: free active (active state 0) object: ffff888012345678 object type: timer_list
WARNING: CPU: 1 PID: 77 at lib/debugobjects.c:612 debug_print_object+0x1f/0x230
{CPU_LINE}
RIP: 0010:debug_print_object+0x1f/0x230
{trace("debug_check_no_obj_freed", "kfree", "demo_free")}""",
    ),
    "dma api": Sample(
        "dma-api",
        "WARNING: DMA-API bug in demo_dma",
        "demo_dma",
        f"""DMA-API: demo 0000:00:01.0: device driver tries to free DMA memory it has not allocated
WARNING: CPU: 1 PID: 77 at kernel/dma/debug.c:972 check_unmap+0x1f/0x230
{CPU_LINE}
RIP: 0010:check_unmap+0x1f/0x230
{trace("debug_dma_unmap_page", "demo_dma")}""",
    ),
    "oom": Sample(
        "oom",
        "Out of memory: Killed process",
        None,
        "Out of memory: Killed process 77 (demo) total-vm:1234kB, anon-rss:12kB, file-rss:0kB",
    ),
    "panic": Sample(
        "panic",
        "kernel panic: Attempted to kill init!",
        None,
        f"""Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b
{CPU_LINE}
Call Trace:
 <TASK>
 panic+0x107/0x2f0
 do_exit+0x9a0/0xa20
 </TASK>
---[ end Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b ]---""",
        fatal=True,
    ),
    "a warning that was cut": Sample(
        "warning",
        "WARNING in demo_unmap",
        "demo_unmap",
        "WARNING: CPU: 1 PID: 77 at mm/demo.c:1312 demo_unmap+0x88/0x1c0",
        corrupted=True,
    ),
    "bad swap entry": Sample(
        "bad-swap-entry",
        "Bad swap file entry in get_swap_device",
        "get_swap_device",
        "get_swap_device: Bad swap file entry 3ffffffffffff",
    ),
    "unused swap offset": Sample(
        "bad-swap-entry",
        "Unused swap offset entry in _swap_info_get",
        "_swap_info_get",
        "_swap_info_get: Unused swap offset entry 00000a2c",
    ),
    "unrecognized swap entry": Sample(
        "bad-swap-entry",
        "unrecognized swap entry",
        None,
        f"""unrecognized swap entry 0x7c00000000000123
------------[ cut here ]------------
WARNING: CPU: 1 PID: 77 at mm/memory.c:1675 zap_pte_range+0x1f/0x230
{CPU_LINE}
RIP: 0010:zap_pte_range+0x1f/0x230
{trace("unmap_page_range", "exit_mmap")}""",
    ),
    "bad pmd": Sample(
        "bad-page-table",
        "bad pmd",
        None,
        "mm/pgtable-generic.c:50: bad pmd 00000000deadbeef(8000000012345e77)",
    ),
    "page_counter underflow": Sample(
        "page-counter-underflow",
        "page_counter underflow in demo_uncharge",
        "demo_uncharge",
        f"""------------[ cut here ]------------
page_counter underflow: -512 nr_pages=512
WARNING: CPU: 1 PID: 77 at mm/page_counter.c:60 page_counter_cancel+0x1f/0x230
{CPU_LINE}
RIP: 0010:page_counter_cancel+0x1f/0x230
{trace("page_counter_uncharge", "demo_uncharge")}""",
    ),
    "negative counter": Sample(
        "negative-counter",
        "negative counter nr_anon_pages",
        None,
        "vmstat_refresh: nr_anon_pages -5",
    ),
    "page dump": Sample(
        "page-dump",
        "page dumped because: fuse: trying to steal weird page",
        None,
        """page: refcount:-1 mapcount:0 mapping:0000000000000000 index:0x7f2b3 pfn:0x12345
anon flags: 0x100000000020008(uptodate|swapbacked|node=0|zone=1)
raw: 0100000000020008 dead000000000100 dead000000000122 0000000000000000
page dumped because: fuse: trying to steal weird page""",
    ),
    "kmemleak's count": Sample(
        "memory-leak",
        "kmemleak: new suspected memory leaks",
        None,
        "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
    ),
    "a report that was lost": Sample(
        "warning",
        "WARNING (report lost)",
        None,
        "------------[ cut here ]------------",
        corrupted=True,
    ),
    "a console that was cut": Sample(
        "console-cut",
        "printk messages dropped",
        None,
        "** 1234 printk messages dropped **",
        corrupted=True,
    ),
    "page table check's warning": Sample(
        "page-table-check",
        "WARNING: page table check in demo_swap_pte",
        "demo_swap_pte",
        f"""------------[ cut here ]------------
WARNING: CPU: 1 PID: 77 at mm/page_table_check.c:218 page_table_check_pte_flags+0x12/0x40
{CPU_LINE}
RIP: 0010:page_table_check_pte_flags+0x12/0x40
{trace("__page_table_check_ptes_set", "demo_swap_pte")}""",
    ),
    "poisoned page": Sample(
        "page-corruption",
        "pagealloc: memory corruption in demo_alloc",
        "demo_alloc",
        f"""pagealloc: memory corruption
ffff888012345678: ab                                               .
{CPU_LINE}
{trace("dump_stack_lvl", "__kernel_unpoison_pages", "post_alloc_hook", "demo_alloc")}""",
    ),
    "ubsan as a trap": Sample(
        "ubsan",
        "UBSAN: shift out of bounds in demo_shift",
        "demo_shift",
        f"""UBSAN: shift out of bounds at demo_shift+0x1f/0x230
Oops: invalid opcode: 0000 [#1] PREEMPT SMP NOPTI
{CPU_LINE}
RIP: 0010:demo_shift+0x1f/0x230
{trace("demo_ioctl")}""",
    ),
    "bad contention": Sample(
        "lockdep",
        "WARNING: bad contention in demo_wait_lock",
        "demo_wait_lock",
        f"""=================================
WARNING: bad contention detected!
6.12.0 #1 Not tainted
---------------------------------
demo/77 is trying to contend lock (&d->lock) at:
[<ffffffff81234567>] demo_wait_lock+0x1f/0x230
but there are no locks held!
stack backtrace:
{CPU_LINE}
{trace("dump_stack_lvl", "lock_contended", "demo_wait_lock")}""",
    ),
    "scheduling where blocking is forbidden": Sample(
        "scheduling-while-atomic",
        "BUG: scheduling in a non-blocking section in demo_notify",
        "demo_notify",
        f"""BUG: scheduling in a non-blocking section: demo/77/1
{CPU_LINE}
{trace("dump_stack_lvl", "__schedule", "schedule", "demo_notify")}""",
    ),
    "assuming atomic context": Sample(
        "preemptible",
        "BUG: assuming atomic context in demo_run",
        "demo_run",
        f"""BUG: assuming atomic context at kernel/demo.c:77
in_atomic(): 0, irqs_disabled(): 0, pid: 77, name: demo
{CPU_LINE}
{trace("dump_stack_lvl", "__cant_sleep", "demo_run")}""",
    ),
    "suppressed bad pages": Sample(
        "bad-page-map",
        "BUG: Bad page map: messages suppressed",
        None,
        "BUG: Bad page map: 77 messages suppressed",
    ),
    "suppressed bad states": Sample(
        "bad-page-state",
        "BUG: Bad page state: messages suppressed",
        None,
        "BUG: Bad page state: 77 messages suppressed",
    ),
    "bad page cache": Sample(
        "bad-page-cache",
        "BUG: Bad page cache",
        None,
        f"""BUG: Bad page cache in process demo  pfn:12345
page: refcount:2 mapcount:1 mapping:ffff888012345678 index:0x0 pfn:0x12345
page dumped because: still mapped when deleted
{CPU_LINE}
{trace("dump_stack_lvl", "filemap_unaccount_folio", "demo_truncate")}""",
    ),
    "decompressor": Sample(
        "boot-failure",
        "boot failure: System halted",
        None,
        " -- System halted",
        fatal=True,
    ),
    "early exception": Sample(
        "boot-failure",
        "PANIC: early exception",
        None,
        "PANIC: early exception 0x0e IP 10:ffffffff81234567 error 0 cr2 0xffff888000000000",
        fatal=True,
    ),
    "a line that begins with BUG": Sample(
        "bug",
        "BUG: mempool element poison mismatch",
        None,
        f"""BUG: mempool element poison mismatch
Mempool ffff888012345678 size 77
{CPU_LINE}
{trace("dump_stack_lvl", "mempool_alloc", "demo_alloc")}""",
    ),
    "busy inodes": Sample(
        "busy-inodes",
        "VFS: Busy inodes after unmount (use-after-free)",
        None,
        "VFS: Busy inodes after unmount of vda (demofs)",
    ),
    "net device": Sample(
        "netdevice-leak",
        "unregister_netdevice: waiting for DEV to become free",
        None,
        "unregister_netdevice: waiting for demo0 to become free. Usage count = 2",
    ),
    "a headline that was cut": Sample(
        "corrupted", "INFO: corrupted", None, "INFO:", corrupted=True
    ),
    "trusted firmware": Sample(
        "firmware",
        "trusty: ASSERT FAILED: demo->lock",
        None,
        """trusty: panic (caller 0xffffffffe0012345): ASSERT FAILED at (demo.c:77): demo->lock""",
    ),
    "a fuzzer's last words": Sample(
        "tool-failure",
        "SYZFAIL: demo failed",
        None,
        "SYZFAIL: demo failed",
    ),
    "int3": Sample(
        "oops",
        "int3 in demo_break",
        "demo_break",
        f"""Oops: int3: 0000 [#1] PREEMPT SMP NOPTI
{CPU_LINE}
RIP: 0010:demo_break+0x1f/0x230
{trace("demo_ioctl")}""",
    ),
    "spinlock": Sample(
        "spinlock",
        "BUG: spinlock bad magic in demo_lock",
        "demo_lock",
        f"""BUG: spinlock bad magic on CPU#1, demo/77
 lock: 0xffff888012345678, .magic: 00000000, .owner: <none>/-1, .owner_cpu: 0
{CPU_LINE}
{trace("dump_stack_lvl", "do_raw_spin_lock", "demo_lock")}""",
    ),
    "stack guard page": Sample(
        "stack-overflow",
        "BUG: stack guard page was hit in demo_ioctl",
        "demo_ioctl",
        f"""BUG: TASK stack guard page was hit at 00000000deadbeef (stack is 00000000deadb000)
Oops: stack guard page: 0000 [#1] PREEMPT SMP NOPTI
{CPU_LINE}
RIP: 0010:demo_recurse+0x1f/0x230
{trace("demo_recurse", "demo_ioctl", "vfs_ioctl")}""",
    ),
    "CSD lock": Sample(
        "csd-lock",
        "csd: non-responsive CSD lock",
        None,
        "smp: csd: Detected non-responsive CSD lock (#1) on CPU#1, waiting 5000000001 ns for CPU#0 "
        f"demo_handler+0x0/0x10(0x0).\n{CPU_LINE}\n" + trace("demo_broadcast"),
    ),
    "unexpected gfp": Sample(
        "warning",
        "Unexpected gfp in demo_make",
        "demo_make",
        "Unexpected gfp: 0x2 (__GFP_HIGHMEM). Fixing up to gfp: 0xcc0 (GFP_KERNEL).\n"
        f"{CPU_LINE}\n" + trace("kmalloc_fix_flags", "demo_make"),
    ),
    "cfi": Sample(
        "cfi",
        "CFI failure in demo_call",
        "demo_call",
        "CFI failure at demo_call+0x12/0x40 (target: demo_bad+0x0/0x10; expected type: 0x1234)\n"
        f"Oops: invalid opcode: 0000 [#1] SMP NOPTI\n{CPU_LINE}\nRIP: 0010:demo_call+0x12/0x40\n"
        + trace("demo_run"),
    ),
    "unhandled irq": Sample(
        "unhandled-irq",
        "irq NUM: nobody cared",
        None,
        f'irq 26: nobody cared (try booting with the "irqpoll" option)\n{CPU_LINE}\n'
        + trace("dump_stack_lvl", "__report_bad_irq", "note_interrupt"),
    ),
    "duplicate in sysfs": Sample(
        "kobject",
        "sysfs: cannot create duplicate filename in demo_add",
        "demo_add",
        f"sysfs: cannot create duplicate filename '/devices/virtual/demo/x'\n{CPU_LINE}\n"
        + trace("dump_stack_lvl", "sysfs_warn_dup", "sysfs_create_dir_ns", "demo_add").replace(
            "\n---[ end trace 0000000000000000 ]---", ""
        )
        + "\nkobject: kobject_add_internal failed for x with -EEXIST",
    ),
    "sysctl": Sample(
        "sysctl",
        "sysctl: bad table in demo_register",
        "demo_register",
        f"sysctl table check failed: net/demo/(null) No proc_handler\n{CPU_LINE}\n"
        + trace("dump_stack_lvl", "__register_sysctl_table", "demo_register"),
    ),
    "a second boot": Sample(
        "unexpected-reboot",
        "unexpected kernel reboot",
        None,
        "demo: loaded\nLinux version 6.12.0 (gcc) #1 SMP",
    ),
    "unwinder": Sample(
        "unwinder",
        "WARNING: kernel stack frame pointer has bad value",
        None,
        "WARNING: kernel stack frame pointer at 00000000deadbeef in demo:77 has bad value "
        "00000000deadbeef",
        corrupted=True,
    ),
    "usercopy": Sample(
        "usercopy",
        "BUG: bad usercopy in demo_read",
        "demo_read",
        f"""usercopy: Kernel memory exposure attempt detected from SLUB object 'demo' (offset 0)!
------------[ cut here ]------------
kernel BUG at mm/usercopy.c:102!
Oops: invalid opcode: 0000 [#1] PREEMPT SMP NOPTI
{CPU_LINE}
RIP: 0010:usercopy_abort+0x1f/0x230
{trace("__check_heap_object", "__check_object_size", "demo_read")}""",
    ),
    "workqueue": Sample(
        "workqueue",
        "BUG: workqueue leaked lock or atomic in demo_work",
        "demo_work",
        f"""BUG: workqueue leaked atomic, lock or RCU: kworker/0:1[77]
     preempt=0x00000001 lock=0->0 RCU=0->0 workfn=demo_work
{CPU_LINE}
{trace("dump_stack_lvl", "process_one_work", "worker_thread")}""",
    ),
    "workqueue lockup": Sample(
        "workqueue",
        "BUG: workqueue lockup",
        None,
        "BUG: workqueue lockup - pool cpus=1 node=0 flags=0x0 nice=0 stuck for 31s!",
    ),
}
