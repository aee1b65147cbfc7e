# SPDX-License-Identifier: GPL-2.0
"""The table of kernel complaints: one row a headline, with the function that prints it.

Order matters: the first row whose pattern matches a line names the splat. ``docs/splats.md`` lists
the kinds and says how to add a row.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache

from rmaplab.collect.scan import Prefilter
from rmaplab.collect.splats.prefix import MENTION
from rmaplab.collect.splats.rule import CHECK, OOPS, Rule, Where, bug_at, row, warning_at

_NOWHERE, _HEADLINE, _TRACE, _NAMED, _LOCK, _STALL = Where

CONSOLE_CUT = "console-cut"
"""Not a report: a note that lines are missing, wherever it comes."""

RULES: tuple[Rule, ...] = (
    # -- sanitizers ----------------------------------------------------------------------------
    # mm/kasan/report.c:print_error_description; its "kasan: bad access detected" through
    # mm/slub.c:object_err (before 4.9) repeats what the KASAN line said.
    row("kasan", "BUG:", r"BUG: KASAN: (?:double-free(?: or invalid-free)?|invalid-free) in {FN}",
        "KASAN: invalid-free in {fn}", _HEADLINE),
    row("kasan", "BUG:", r"BUG: KASAN: (?P<what>[\w -]+?) (?:in|on(?! address)) {FN}",
        "KASAN: {what} {access} in {fn}", _HEADLINE),
    row("kasan", "BUG:", r"BUG: KASAN: (?P<what>[\w-]+)",
        "KASAN: {what} {access} in {fn}", _HEADLINE),
    # mm/kfence/report.c:kfence_report_error
    row("kfence", "BUG:", r"BUG: KFENCE: (?P<what>[\w -]+?) in {FN}",
        "KFENCE: {what} in {fn}", _HEADLINE),
    row("kfence", "BUG:", r"BUG: KFENCE: (?P<what>[\w -]+)", "KFENCE: {what} in {fn}"),
    # mm/kmsan/report.c:kmsan_report
    row("kmsan", "BUG:", r"BUG: KMSAN: (?P<what>[\w-]+) in {FN}",
        "KMSAN: {what} in {fn}", _HEADLINE),
    # kernel/kcsan/report.c:print_report
    row("kcsan", "BUG:", r"BUG: KCSAN: (?P<what>(?:assert: )?[\w-]+) in "
        r"(?P<race>[\w.$]+(?:\+0x[0-9a-f/x]+)? / [\w.$]+)", "KCSAN: {what} in {race}", _NOWHERE),
    row("kcsan", "BUG:", r"BUG: KCSAN: (?P<what>(?:assert: )?[\w-]+) in {FN}",
        "KCSAN: {what} in {fn}", _HEADLINE),
    # lib/ubsan.c:ubsan_prologue
    row("ubsan", "UBSAN:", r"UBSAN: Undefined behaviour in ",
        "UBSAN: undefined-behaviour in {fn}"),
    row("ubsan", "UBSAN:", r"UBSAN: (?P<what>[a-z][\w -]*?) in \S", "UBSAN: {what} in {fn}"),
    # lib/ubsan.c:report_ubsan_failure, with CONFIG_UBSAN_TRAP: an oops follows
    row("ubsan", "UBSAN:", r"UBSAN: (?P<what>[a-z][\w /-]*?) at {FN}", "UBSAN: {what} in {fn}",
        _HEADLINE, absorbs=OOPS),
    # mm/kmemleak.c:print_unreferenced; "BUG: memory leak" is what tools print before it.
    row("memory-leak", "BUG:", r"BUG: memory leak", "memory leak in {fn}",
        absorbs=("memory-leak",)),
    row("memory-leak", "unreferenced object", r"unreferenced object 0x[0-9a-f]+ \(size",
        "memory leak in {fn}"),
    # mm/kmemleak.c:kmemleak_scan: how many; what they are is in debugfs, or was printed before.
    row("memory-leak", "suspected memory leak", r"kmemleak: \d+ new suspected memory leak",
        "kmemleak: new suspected memory leaks", _NOWHERE, trace=False, within=("memory-leak",)),
    # -- memory management ---------------------------------------------------------------------
    # mm/page_alloc.c:bad_page, mm/memory.c:print_bad_pte, kernel/fork.c:check_mm,
    # mm/filemap.c:filemap_unaccount_folio
    row("bad-page-state", "BUG:", r"BUG: Bad page state: \d+ messages suppressed",
        "BUG: Bad page state: messages suppressed", _NOWHERE, trace=False),
    row("bad-page-state", "BUG:", r"BUG: Bad page state ", "BUG: Bad page state in {fn}"),
    row("bad-page-map", "BUG:", r"BUG: Bad page map: \d+ messages suppressed",
        "BUG: Bad page map: messages suppressed", _NOWHERE, trace=False),
    row("bad-page-map", "BUG:", r"BUG: Bad page map ", "BUG: Bad page map", _NOWHERE),
    row("bad-page-cache", "BUG:", r"BUG: Bad page cache ", "BUG: Bad page cache", _NOWHERE),
    row("bad-rss-counter", "BUG:", r"BUG: Bad rss-counter state(?: mm:(?P<mm>[\w()]{1,20}))?",
        "BUG: Bad rss-counter state", _NOWHERE, trace=False, absorbs=("nonzero-nr-ptes",),
        event="mm"),
    row("nonzero-nr-ptes", "BUG:", r"BUG: non-zero (?P<what>\w+) on freeing mm",
        "BUG: non-zero {what} on freeing mm: NUM", _NOWHERE, trace=False),
    # mm/swapfile.c:_swap_info_get, get_swap_device, __swap_duplicate (which names no function);
    # mm/memory.c:zap_pte_range, through WARN_ON_ONCE
    row("bad-swap-entry", "Bad swap |Unused swap ", r"\b(?P<fn>\w{1,64}): "
        r"(?P<what>(?:Bad|Unused) swap (?:file|offset) entry) [0-9a-f]",
        "{what} in {fn}", _HEADLINE, trace=False, leads=("bad-page-map",)),
    row("bad-swap-entry", "Bad swap |Unused swap ",
        r"(?P<what>(?:Bad|Unused) swap (?:file|offset) entry) [0-9a-f]", "{what}", _NOWHERE,
        trace=False, leads=("bad-page-map",)),
    row("bad-swap-entry", "unrecognized swap entry", r"unrecognized swap entry 0x",
        "unrecognized swap entry", _NOWHERE, absorbs=("warning",), trace=False),
    # mm/pgtable-generic.c:pmd_clear_bad and its like, through the architectures' pmd_ERROR()
    row("bad-page-table", ": bad p", r":\d{1,6}: (?P<what>bad (?:pte|pmd|pud|p4d|pgd)) "
        r"(?:[0-9a-f]{8,16}|\(\w{1,16}\))(?:[.(\s]|$)", "{what}", _NOWHERE, trace=False),
    # mm/page_counter.c:page_counter_cancel, through WARN_ONCE
    row("page-counter-underflow", "page_counter underflow", r"page_counter underflow: -?\d",
        "page_counter underflow in {fn}", absorbs=("warning", "page-counter-underflow"),
        within=("warning", "page-counter-underflow")),
    warning_at(r"mm/page_counter\.c", "page-counter-underflow", "page_counter underflow in {fn}"),
    # mm/vmstat.c:vmstat_refresh, when /proc/sys/vm/stat_refresh is used
    row("negative-counter", "vmstat_refresh: ", r"vmstat_refresh: (?P<what>\w{1,64}) -\d",
        "negative counter {what}", _NOWHERE, trace=False),
    # mm/debug.c:dump_page: most often because of what a BUG, WARNING or "Bad page" goes on to say.
    # Memory that cannot be moved or offlined is dumped too (mm/memory_hotplug.c:do_migrate_range,
    # mm/page_alloc.c:alloc_contig_dump_pages, mm/page_isolation.c:set_migratetype_isolate).
    row("page-dump", "refcount:", r"\bpage: ?(?:[0-9a-f]{8,16} |\(\w{1,16}\) )?refcount:-?\d+ "
        r"mapcount:", "{because}", _NOWHERE, trace=False, prelude=True,
        harmless=r"^page dumped because: (?:migration failure|isolation failed|unmovable page)"),
    # mm/page_table_check.c: BUG_ON(), and WARN_ON_ONCE() in page_table_check_pte_flags()
    bug_at(r"mm/page_table_check\.c", "page-table-check", "kernel BUG in {fn}"),
    warning_at(r"mm/page_table_check\.c", "page-table-check", "WARNING: page table check in {fn}"),
    # mm/page_poison.c:check_poison_mem
    row("page-corruption", "pagealloc:", r"pagealloc: (?P<what>memory corruption|single bit error)",
        "pagealloc: {what} in {fn}", absorbs=("page-corruption",)),
    # mm/slub.c:slab_bug, mm/slab.c
    row("slab-corruption", "BUG ", r"\bBUG [\w.:-]{1,64} ?\((?:Not tainted|Tainted)[^)]*\): "
        r"(?!kasan: bad access)(?P<what>[A-Za-z][\w -]+(?:> \w[\w ]*)?)", "BUG: {what} in {fn}"),
    # mm/slub.c:object_err, __slab_err: since 6.12.36 a WARN() brings the trace behind the report
    row("slab-corruption", "WARNING:", r"WARNING: .{0,200}\bmm/slub\.c:\d+ (?:at )?"
        r"(?:object_err|__slab_err)\+0x", "WARNING: slab corruption in {fn}",
        within=("slab-corruption",)),
    # mm/slab.c:__slab_error, before 6.8
    row("slab-corruption", "slab error in", r"slab error in \w+\(\): cache .{1,64}: "
        r"(?P<what>\w[\w -]+)",
        "BUG: {what} in {fn}"),
    row("slab-corruption", "Slab corruption", r"Slab corruption", "BUG: Slab corruption in {fn}"),
    row("slab-corruption", "INFO:", r"INFO: (?P<what>Allocated|Freed) in {FN}.*age=",
        "INFO: {what} in {fn0} age=NUM cpu=NUM pid=NUM", _NOWHERE),
    # mm/usercopy.c:usercopy_abort
    row("usercopy", "usercopy:", r"usercopy: (?:[Kk]ernel memory )",
        "BUG: bad usercopy in {fn}", absorbs=(*CHECK, "usercopy")),
    warning_at(r"mm/usercopy\.c", "usercopy", "WARNING: bad usercopy in {fn}"),
    bug_at(r"mm/usercopy\.c", "usercopy", "BUG: bad usercopy in {fn}"),
    # -- data structures -----------------------------------------------------------------------
    # lib/list_debug.c:__list_add_valid_or_report, __list_del_entry_valid_or_report
    row("list-corruption", " corruption", r"\blist_(?:add|del)\w* corruption",
        "BUG: corrupted list in {fn}", absorbs=(*CHECK, "list-corruption")),
    warning_at(r"lib/list_debug\.c", "list-corruption", "BUG: corrupted list in {fn}"),
    bug_at(r"lib/list_debug\.c", "list-corruption", "BUG: corrupted list in {fn}"),
    # lib/refcount.c:refcount_warn_saturate, through WARN_ONCE
    warning_at(r"(?:lib|include/linux)/refcount\.[ch]", "refcount",
               "WARNING: refcount bug in {fn}"),
    # lib/debugobjects.c:debug_print_object, through WARN
    warning_at(r"lib/debugobjects\.c", "debugobjects", "WARNING: ODEBUG bug in {fn}"),
    # kernel/dma/debug.c:err_printk, through WARN
    warning_at(r"(?:kernel/dma|lib/dma)[/-]debug\.c", "dma-api", "WARNING: DMA-API bug in {fn}"),
    # -- locking -------------------------------------------------------------------------------
    # kernel/locking/lockdep.c: print_circular_bug_header, print_deadlock_bug,
    # print_irq_inversion_bug, print_bad_irq_dependency, print_usage_bug,
    # print_unlock_imbalance_bug, print_freed_lock_bug, print_held_locks_bug, lockdep_sys_exit,
    # lockdep_rcu_suspicious, print_lock_invalid_wait_context, print_collision,
    # print_lock_nested_lock_not_held, print_lock_contention_bug
    row("lockdep", "WARNING:|INFO:", r"(?:WARNING|INFO): possible (?:circular locking|"
        r"recursive locking|irq lock inversion)", "possible deadlock in {fn}", _LOCK),
    row("lockdep", "WARNING:|INFO:", r"(?:WARNING|INFO): \S{1,40}-safe -> \S{1,40}-unsafe lock"
        r" order",
        "possible deadlock in {fn}"),
    row("lockdep", "WARNING:|INFO:", r"(?:WARNING|INFO): inconsistent lock state",
        "inconsistent lock state in {fn}", _LOCK),
    row("lockdep", "WARNING:|BUG:", r"(?P<p>WARNING|BUG): bad unlock balance",
        "{p}: bad unlock balance in {fn}", _LOCK),
    row("lockdep", "WARNING:|BUG:", r"(?P<p>WARNING|BUG): bad contention detected",
        "{p}: bad contention in {fn}", _LOCK),
    row("lockdep", "WARNING:|BUG:", r"(?P<p>WARNING|BUG): held lock freed",
        "{p}: held lock freed in {fn}", _LOCK),
    row("lockdep", "WARNING:|BUG:", r"(?P<p>WARNING|BUG): lock held (?P<what>when "
        r"returning to user space|at task exit)", "{p}: lock held {what} in {fn}", _LOCK,
        trace=False),
    row("lockdep", "WARNING:|BUG:", r"(?P<p>WARNING|BUG): .{0,64}still has locks held",
        "{p}: still has locks held in {fn}", _LOCK),
    row("lockdep", "WARNING:|BUG:", r"(?P<p>WARNING|BUG): [Ii]nvalid wait context",
        "WARNING: locking bug in {fn}"),
    row("lockdep", "WARNING:|INFO:", r"(?P<p>WARNING|INFO): suspicious (?:RCU usage|rcu_\w+)",
        "{p}: suspicious RCU usage in {fn}"),
    row("lockdep", "WARNING:|BUG:", r"(?P<p>WARNING|BUG): Nested lock was not taken",
        "{p}: Nested lock was not taken in {fn}"),
    row("lockdep", "WARNING:|BUG:", r"(?P<p>WARNING|BUG): chain_key collision",
        "{p}: chain_key collision in {fn}"),
    row("lockdep", "INFO:", r"INFO: trying to register non-static key",
        "INFO: trying to register non-static key in {fn}"),
    row("lockdep", "BUG:", r"BUG: (?P<what>MAX_\w+) too low", "BUG: {what} too low!", _NOWHERE),
    row("lockdep", "BUG:", r"BUG: (?:looking up invalid subclass|key .{1,40} not in \.data|"
        r"key .{1,40} has not been registered)", "BUG: bad lock key in {fn}"),
    warning_at(r"kernel/locking/lockdep\.c|kernel/lockdep\.c", "lockdep",
               "WARNING: locking bug in {fn}"),
    # kernel/locking/spinlock_debug.c:spin_bug, rwlock_bug
    row("spinlock", "BUG:", r"BUG: (?P<lock>spinlock|rwlock) (?P<what>[a-zA-Z -]+?) on CPU",
        "BUG: {lock} {what} in {fn}"),
    # -- contexts ------------------------------------------------------------------------------
    # kernel/sched/core.c:__schedule_bug, schedule_debug, __might_resched, __cant_sleep,
    # __cant_migrate; lib/smp_processor_id.c:check_preemption_disabled
    row("scheduling-while-atomic", "BUG:", r"BUG: scheduling while atomic",
        "BUG: scheduling while atomic in {fn}"),
    row("scheduling-while-atomic", "BUG:", r"BUG: scheduling in a non-blocking section",
        "BUG: scheduling in a non-blocking section in {fn}"),
    row("preemptible", "BUG:", r"BUG: assuming (?P<what>atomic|non migratable) context at",
        "BUG: assuming {what} context in {fn}"),
    row("sleeping-function", "BUG:", r"BUG: sleeping function called from invalid context",
        "BUG: sleeping function called from invalid context in {fn}"),
    row("preemptible", "BUG:", r"BUG: using (?P<what>\w+)\(\) in preemptible",
        "BUG: using {what}() in preemptible code in {fn}", _NAMED),
    # kernel/workqueue.c:process_one_work, show_all_workqueues
    row("workqueue", "BUG:", r"BUG: workqueue leaked (?:lock or )?atomic|BUG: workqueue leaked",
        "BUG: workqueue leaked lock or atomic in {fn}", _NAMED),
    row("workqueue", "BUG:", r"BUG: workqueue lockup", "BUG: workqueue lockup", _NOWHERE,
        trace=False),
    # -- hangs ---------------------------------------------------------------------------------
    # kernel/rcu/tree_stall.h:print_other_cpu_stall, print_cpu_stall; kernel/rcu/tree_exp.h
    row("rcu-stall", "INFO:", r"INFO: \S{1,32} (?:self-)?detected (?:expedited )?stalls?",
        "INFO: rcu detected stall in {fn}", _STALL, absorbs=("rcu-stall", "warning")),
    # kernel/watchdog.c:watchdog_timer_fn; kernel/watchdog.c:watchdog_hardlockup_check;
    # arch/powerpc/kernel/watchdog.c:soft_nmi_interrupt, watchdog_smp_panic
    row("soft-lockup", "BUG:", r"BUG: soft lockup", "BUG: soft lockup in {fn}", _STALL),
    row("hard-lockup", "hard LOCKUP", r"self-detected hard LOCKUP @ {FN}",
        "BUG: hard lockup in {fn}", _HEADLINE, absorbs=("hard-lockup",)),
    row("hard-lockup", "hard LOCKUP", r"[Dd]etected hard LOCKUP\b", "BUG: hard lockup in {fn}",
        _STALL),
    # kernel/hung_task.c:check_hung_task
    row("hung-task", "INFO:|blocked for more", r"INFO: task .{1,64} blocked "
        r"(?:in I/O wait |on an? [\w-]+ )?for more than|"
        r":\d{1,8} blocked for more than \d+ seconds", "INFO: task hung in {fn}"),
    row("hung-task", "INFO:", r"INFO: task .{1,64} can't die for more than",
        "INFO: task can't die in {fn}"),
    # -- exceptions ----------------------------------------------------------------------------
    # arch/x86/kernel/dumpstack.c and traps.c:handle_stack_overflow, exc_double_fault
    row("stack-overflow", "BUG:", r"BUG: (?:(?:IRQ|NMI|TASK) )?stack guard page was hit",
        "BUG: stack guard page was hit in {fn}", _STALL, absorbs=(*OOPS, "stack-overflow")),
    row("stack-overflow", "stack overflow", r"kernel stack overflow|Kernel stack overflow",
        "kernel stack overflow in {fn}", _STALL, absorbs=(*OOPS, "stack-overflow")),
    # arch/powerpc/kernel/irq.c:check_stack_overflow
    row("stack-overflow", "stack overflow", r"^\w{1,40}: stack overflow: -?\d",
        "kernel stack overflow in {fn}", _STALL, absorbs=(*OOPS, "stack-overflow")),
    # arch/arm64/kernel/traps.c:panic_bad_stack; riscv's handle_bad_stack
    row("stack-overflow", "Insufficient stack", r"Insufficient stack space to handle exception",
        "kernel stack overflow in {fn}", _STALL, absorbs=(*OOPS, "stack-overflow")),
    row("double-fault", "double fault", r"double fault[,:] (?:error_code|0)",
        "PANIC: double fault in {fn}", absorbs=("double-fault", *OOPS)),
    # arch/x86/kernel/traps.c:exc_general_protection
    row("general-protection", "general protection",
        r"general protection fault\b.{0,90}(?::|\[#)|^general protection fault\s*$",
        "general protection fault in {fn}", absorbs=OOPS),
    row("divide-error", "divide", r"divide[ _]error:? ", "divide error in {fn}", absorbs=OOPS),
    row("oops", "stack segment", r"stack segment: 0", "stack segment fault in {fn}"),
    # arch/x86/mm/fault.c:show_fault_oops since 5.1 (ea2f8d606079), before that "unable to handle"
    row("page-fault", "BUG:", r"BUG: [Kk]ernel NULL pointer dereference|"
        r"[Uu]nable to handle kernel (?:NULL pointer|null pointer)",
        "BUG: unable to handle kernel NULL pointer dereference in {fn}", absorbs=OOPS),
    row("page-fault", "nable to handle", r"[Uu]nable to handle kernel NULL",
        "BUG: unable to handle kernel NULL pointer dereference in {fn}", absorbs=OOPS),
    row("page-fault", "nable to handle", r"[Uu]nable to handle (?:page fault for|kernel paging|"
        r"kernel access|kernel (?:data|instruction)|kernel execution|kernel pointer|"
        r"paging request|unknown FSC|kernel .{1,64} at virtual address)",
        "BUG: unable to handle kernel paging request in {fn}", absorbs=OOPS),
    row("page-fault", "nable to handle", r"[Uu]nable to handle kernel",
        "BUG: unable to handle kernel", _NOWHERE, absorbs=OOPS),
    row("page-fault", "Unhandled fault", r"Unhandled (?:prefetch )?(?:fault|abort)(?:: | at 0x)",
        "Unhandled fault in {fn}", absorbs=OOPS),
    # lib/bug.c:__report_bug, arch/*/kernel/traps.c
    row("kernel-bug", "panicked at", r"rust_kernel: panicked at", "{next} in {fn}",
        absorbs=CHECK),
    row("kernel-bug", "BUG ", r"[Kk]ernel BUG (?:at |\[)", "kernel BUG in {fn}",
        absorbs=(*OOPS, "kernel-bug")),
    # arch/arm64/kernel/traps.c:die
    row("oops", "Internal error:", r"Internal error: ", "Internal error in {fn}"),
    row("oops", "invalid opcode", r"invalid opcode: 0", "invalid opcode in {fn}"),
    row("oops", "[#", r"(?:^|: )(?P<what>invalid TSS|[a-z][a-z0-9 ]{2,40}): [0-9a-f]{1,8} "
        r"\[#\d", "{what} in {fn}"),
    row("oops", "Oops", r"(?<!syncing: )\bOops(?: - [\w ]+)?: |^Oops(?: ?\[#\d| - |[:.]|$)",
        "Oops in {fn}"),
    # arch/s390/kernel/dumpstack.c:die, with the interruption's code
    row("oops", " ilc:", r"^(?:.{0,40}: )?(?P<what>[a-z][\w ./-]{2,60}): [0-9a-f]{4} ilc:\d \[#\d",
        "{what} in {fn}"),
    # die() of any other architecture: what happened, and how many times the kernel has died.
    row("oops", "[#", r"^(?:[\w.-]{1,16}\(\d+\): )?(?P<what>[A-Z][A-Za-z .,/-]{3,60}?) ?"
        r"(?:: [0-9a-f]{1,16} ?)?\[#\d{1,3}\](?=:|\s*$| [A-Z]{3})", "{what} in {fn}"),
    # CONFIG_CFI_CLANG: kernel/cfi.c:report_cfi_failure
    row("cfi", "CFI failure", r"CFI failure at {FN}", "CFI failure in {fn}", _HEADLINE,
        absorbs=(*CHECK, "cfi")),
    row("cfi", "CFI failure", r"CFI failure \(target", "CFI failure in {fn}",
        absorbs=(*CHECK, "cfi")),
    # -- warnings ------------------------------------------------------------------------------
    # fs/dcache.c:umount_check, followed by WARN
    row("bug", "BUG:", r"BUG: Dentry .*still in use", "BUG: Dentry still in use in unmount",
        _NOWHERE, absorbs=("warning", *OOPS)),
    row("warning", "WARNING:", r"WARNING: .{0,200}\bmm/(?:slab_common|slub|util)\.c:\d+ (?:at )?"
        r"(?P<fn>\w*alloc_?(?:slab|node|order|array)\w*|__?kv?malloc\w*)",
        "WARNING: kmalloc bug in {fn}", _HEADLINE),
    warning_at(r"mm/vmalloc\.c", "warning", "WARNING: zero-size vmalloc in {fn}"),
    warning_at(r"fs/proc/generic\.c", "warning", "WARNING: proc registration bug in {fn}"),
    # kernel/panic.c:__warn: with a file, without one (no CONFIG_DEBUG_BUGVERBOSE), and since 6.18
    # "WARNING: mm/rmap.c:12 at foo+0x12/0x34, CPU#0: comm/123".
    row("warning", "WARNING:", r"WARNING: CPU: \d+ PID: -?\d+ at \S+:\d+ {FN}",
        "WARNING in {fn}", _HEADLINE),
    row("warning", "WARNING:", r"WARNING: (?:CPU: \d+ PID: -?\d+ )?at {FN}\+0x",
        "WARNING in {fn}", _HEADLINE),
    row("warning", "WARNING:", r"WARNING: (?:\[.{0,200}\] |at )?\S{1,200}:\d+ "
        r"(?:at )?(?=\S+\+0x){FN}",
        "WARNING in {fn}", _HEADLINE),
    row("warning", "WARNING:", r"WARNING: .{1,200}, CPU#\d+: ", "WARNING in {fn}"),
    row("warning", "WARNING:", r"WARNING: CPU: \d+", "WARNING in {fn}"),
    # before 2.6.28 a WARN() named the function without its offset; architectures without
    # HAVE_ARCH_BUG_FUNCTION named none (to 4.5 powerpc, s390, arm64)
    row("warning", "WARNING:", r"WARNING: at \S{1,200}:\d+[: ] ?{FN}\(\)", "WARNING in {fn}",
        _HEADLINE),
    row("warning", "WARNING:", r"WARNING: at \S{1,200}:\d+\s*$", "WARNING in {fn}"),
    # arch/x86/kernel/unwind_frame.c:unwind_next_frame
    row("unwinder", "WARNING:", r"WARNING: kernel stack (?P<what>regs|frame pointer) .*has bad",
        "WARNING: kernel stack {what} has bad value", _NOWHERE),
    row("unwinder", "WARNING:", r"WARNING: (?P<what>stack recursion|"
        r"stack going in the wrong direction|can't (?:dereference|access) registers)",
        "WARNING: {what}", _NOWHERE, trace=False),
    # kernel/irq/spurious.c:__report_bad_irq
    row("unhandled-irq", "nobody cared", r"\birq \d+: nobody cared", "irq NUM: nobody cared",
        _NOWHERE, trace=False),
    # fs/sysfs/dir.c:sysfs_warn_dup; lib/kobject.c: kobject_init, kobject_add_internal
    row("kobject", "cannot create duplicate", r"cannot create duplicate filename",
        "sysfs: cannot create duplicate filename in {fn}", absorbs=("kobject",), within=CHECK),
    row("kobject", "kobject", r"kobject '?.{0,80} ?\(\w+\): (?:tried to (?:init|add) an |"
        r"is not initialized)|kobject: attempted to be registered with empty name",
        "kobject: bad object in {fn}", absorbs=("kobject",), within=CHECK),
    row("kobject", "kobject_add_internal", r"kobject_add_internal failed for .{1,200} with",
        "kobject: kobject_add_internal failed", _NOWHERE, trace=False, within=CHECK),
    # fs/proc/proc_sysctl.c:sysctl_err, sysctl_check_table
    row("sysctl", "sysctl ", r"sysctl (?:table check failed|duplicate entry): ",
        "sysctl: bad table in {fn}", within=CHECK),
    # mm/slab_common.c:kmalloc_fix_flags; mm/userfaultfd.c:handle_userfault; kernel/resource.c:
    # reserve_region_with_split; kernel/time/sleep_timeout.c:schedule_timeout; kernel/workqueue.c:
    # __warn_flushing_systemwide_wq; kernel/sched/debug.c:resched_latency_warn: each with a stack
    row("warning", "Unexpected gfp", r"Unexpected gfp: .{1,80} Fixing up",
        "Unexpected gfp in {fn}"),
    row("warning", "ALLOW_RETRY missing", r"FAULT_FLAG_ALLOW_RETRY missing",
        "FAULT_FLAG_ALLOW_RETRY missing in {fn}"),
    row("warning", " not in root ", r"requested range \[.{1,60}\] not in root ",
        "resource: range not in root in {fn}"),
    row("warning", "wrong timeout", r"^\w{1,40}: wrong timeout value -?[0-9a-f]",
        "schedule_timeout: wrong timeout value in {fn}"),
    row("warning", "WARNING:", r"WARNING: Flushing system-wide workqueues",
        "WARNING: Flushing system-wide workqueues in {fn}"),
    row("warning", "need_resched set", r"CPU \d+ need_resched set for > \d+ ns",
        "sched: need_resched set too long in {fn}", _STALL),
    # kernel/sched/psi.c:psi_group_change, psi_flags_change
    row("warning", "psi: ", r"psi: (?P<what>task underflow|inconsistent task state)!",
        "psi: {what}", _NOWHERE, trace=False),
    # mm/zswap.c:zswap_decompress
    row("page-corruption", "Decompression error", r"zswap: Decompression error from zswap",
        "zswap: decompression error", _NOWHERE, trace=False),
    # kernel/smp.c:csd_lock_wait_toolong: a CPU does not answer another
    row("csd-lock", "CSD lock", r"csd: (?:Detected|Continued) non-responsive CSD lock",
        "csd: non-responsive CSD lock", _NOWHERE, absorbs=("csd-lock",)),
    # kernel/sched/idle.c:dequeue_task_idle
    row("scheduling-while-atomic", "scheduling from the idle", r"bad: scheduling from the idle",
        "bad: scheduling from the idle thread in {fn}"),
    # OpenZFS: module/os/linux/spl/spl-err.c:spl_panic
    row("kernel-bug", "PANIC at ", r"^PANIC at \S{1,200}:\d+:{FN}\(\)", "PANIC in {fn}",
        _HEADLINE),
    # net/core/dev.c:netdev_wait_allrefs_any; fs/super.c:generic_shutdown_super
    row("netdevice-leak", "unregister_netdevice:", r"unregister_netdevice: waiting for",
        "unregister_netdevice: waiting for DEV to become free", _NOWHERE, trace=False),
    row("busy-inodes", "VFS: Busy inodes", r"VFS: Busy inodes after unmount",
        "VFS: Busy inodes after unmount (use-after-free)", _NOWHERE, trace=False),
    # mm/oom_kill.c:__oom_kill_process, out_of_memory
    row("oom", "Out of memory: ", r"Out of memory: Kill(?:ed)? process",
        "Out of memory: Killed process", _NOWHERE, trace=False),
    # -- the machine ---------------------------------------------------------------------------
    # kernel/panic.c:panic
    row("panic", "Kernel panic", r"Kernel panic - not syncing: "
        r"(?:\S+ )?stack-protector: .*in: {FN}",
        "kernel panic: stack is corrupted in {fn}", _HEADLINE),
    row("panic", "Kernel panic", r"Kernel panic - not syncing: corrupted stack end",
        "kernel panic: corrupted stack end in {fn}", _STALL),
    row("panic", "Kernel panic", r"Kernel panic - not syncing:? ?(?:kernel: )?(?P<why>.{0,200})",
        "kernel panic: {why}", _NOWHERE),
    # arch/x86/boot/compressed/misc.c:error, arch/x86/mm/extable.c:early_fixup_exception
    row("boot-failure", "-- System halted", r"-- System halted", "boot failure: System halted",
        _NOWHERE, trace=False),
    row("boot-failure", "early exception", r"PANIC: early exception", "PANIC: early exception",
        _NOWHERE, trace=False),
    # init/version.c:linux_banner; a first one is a boot, a second one is not.
    row("unexpected-reboot", "Linux version ", r"^Linux version \d", "unexpected kernel reboot",
        _NOWHERE, trace=False),
    row("unexpected-reboot", "Booting the kernel", r"^Booting the kernel\b",
        "unexpected kernel reboot", _NOWHERE, trace=False),
    # -- others on the same console ------------------------------------------------------------
    # A trusted firmware's own assertion (Android's Trusty logs through the kernel).
    row("firmware", "trusty: panic", r"trusty: panic\b", "trusty: {trusty}", _NOWHERE,
        absorbs=("warning", "firmware"), trace=False),
    # A fuzzer's own last words (google/syzkaller).
    row("tool-failure", "SYZFA", r"(?P<what>SYZFA(?:IL|TAL): .{1,200})", "{what}", _NOWHERE,
        trace=False),
    # Any other "BUG:", which drivers print by convention.
    row("bug", "BUG:", r"^(?:\[ |\d{4}/\d\d/\d\d \S+ )?BUG: (?P<what>\w.{2,100})",
        "BUG: {what}", _NOWHERE),
    row("corrupted", "INFO:", r"^INFO:$", "INFO: corrupted", _NOWHERE),
    # include/asm-generic/bug.h:CUT_HERE, before a BUG or a WARNING
    row("warning", "[ cut here ]", r"-{4}\[ cut here \]-{4}", "WARNING (report lost)", _NOWHERE,
        prelude=True),
    # kernel/printk/printk.c:console_prepend_dropped; the console is slower than the kernel.
    row(CONSOLE_CUT, "printk messages dropped", r"\*\* (?:\d+ )?printk messages dropped ?\*\*",
        "printk messages dropped", _NOWHERE),
)  # fmt: skip


MAX_HEADLINE = 1000
"""Characters of a line in which a headline is looked for."""

# Lines of a test or of the lab's own agent are no complaints of the kernel, nor are a mail's
# headers, nor those that the kernel prints of a program's trap
# (arch/x86/kernel/traps.c:do_trap_no_signal, show_signal, arch/x86/mm/fault.c:show_signal_msg).
_NOT_THE_KERNEL = re.compile(
    r"\s*(?:# |(?:not )?ok \d)|rmaplab: |(?:Subject|References|Thread-Topic|X-[\w-]{1,40}): |"
    r"(?:traps: )?.{1,16}\[\d{1,8}\]:? .{1,80} ip[: ][0-9a-f]+ sp[: ][0-9a-f]+ error"
)
# A headline in quotes, or in a list of patterns, is one that somebody mentions.
_QUOTED = re.compile(r"(?:['\"`\\]|['\"`]\\*-*\\*\[? ?)$")


def _without_longer(signs: Iterable[str]) -> tuple[str, ...]:
    """Return the signs that contain no other one: a line without any of these has none at all."""
    found = set(signs)
    return tuple(sorted(s for s in found if not any(o in s and o != s for o in found)))


SIGNS = _without_longer(sign for rule in RULES for sign in rule.signs)
_ANY_SIGN = re.compile("|".join(map(re.escape, SIGNS)))


@lru_cache(maxsize=1024)
def _candidates(present: tuple[str, ...]) -> tuple[Rule, ...]:
    """Return the rows, in their order, that a line with these of the SIGNS may belong to."""
    return tuple(
        rule for rule in RULES if any(own in sign for sign in rule.signs for own in present)
    )


MANY_LINES = 512
"""Lines with a sign after which it pays to compile all the patterns into one."""
_lines = itertools.count()


@cache
def _prefilter() -> Prefilter:
    return Prefilter([rule.pattern.pattern for rule in RULES])


def _possible(text: str) -> Sequence[Rule]:
    """Return the rows, in their order, that a line with a sign may belong to."""
    if next(_lines) >= MANY_LINES and text.isascii():
        return [RULES[number] for number in _prefilter().candidates(text)]
    return _candidates(tuple(sign for sign in SIGNS if sign in text))


def match_rule(text: str) -> tuple[Rule, re.Match[str]] | None:
    """Return the row that a line is the headline of, with its match; None if there is none."""
    text = text[:MAX_HEADLINE]
    # Most lines of a report, let alone of chatter, have no sign.
    if _ANY_SIGN.search(text) is None or _NOT_THE_KERNEL.match(text):
        return None
    for rule in _possible(text):
        for sign in rule.signs:
            if sign in text and (match := rule.pattern.search(text)):
                head = text[: match.start()]
                mentioned = head and (MENTION.search(head) or _QUOTED.search(head))
                return None if mentioned else (rule, match)
    return None
