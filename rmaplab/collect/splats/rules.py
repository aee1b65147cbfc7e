# SPDX-License-Identifier: GPL-2.0
"""The table of kernel complaints: one row a headline, with the function that prints it.

Order matters: the first row whose pattern matches a line names the splat. ``docs/splats.md`` lists
the kinds and says how to add a row.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass


class Where(enum.Enum):
    """Where the title's function is looked for."""

    NOWHERE = enum.auto()  # the title names none
    HEADLINE = enum.auto()  # the headline's function, the instruction pointer, the trace
    TRACE = enum.auto()  # the instruction pointer, the trace
    LOCK = enum.auto()  # the first ", at: foo" of the held or wanted locks, then the trace
    STALL = enum.auto()  # the handler in which the CPU is stuck


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table.

    ``needle`` is a literal that every line of this kind contains: what has none of the needles is
    never looked at closer. ``pattern`` finds the headline; it may have a group ``fn`` (a function)
    and others that ``title`` uses. ``absorbs`` names kinds that the same event goes on to print,
    such as the BUG of a check that first says what it saw. A ``prelude`` is such a first word.
    """

    kind: str
    needle: str
    pattern: re.Pattern[str]
    title: str
    where: Where
    absorbs: frozenset[str]
    needs_trace: bool


_FN = (
    r"(?P<fn>(?:<[^<>+\n]{1,120}>(?:::\w+)+|[A-Za-z_$.][\w.$:]{0,199}))"
    r"(?:\+0x[0-9a-f]+/0x[0-9a-f]+)?"
)
_NOWHERE, _HEADLINE, _TRACE, _LOCK, _STALL = Where
_OOPS = ("oops",)
_CHECK = ("oops", "kernel-bug", "warning")


def _row(
    kind: str,
    needle: str,
    pattern: str,
    title: str,
    where: Where = Where.TRACE,
    absorbs: tuple[str, ...] = (),
    *,
    trace: bool = True,
) -> Rule:
    compiled = re.compile(pattern.replace("{FN}", _FN))
    return Rule(kind, needle, compiled, title, where, frozenset(absorbs), trace)


def _warning_at(files: str, kind: str, title: str) -> Rule:
    """A WARN() in one of the kernel's own checks: the caller is at fault, not the check."""
    pattern = rf"WARNING: .*\bat (?:\S*/)?(?:{files}):\d+(?:,? {{FN}})?"
    return _row(kind, "WARNING:", pattern, title, _HEADLINE)


def _bug_at(files: str, kind: str, title: str) -> Rule:
    """A BUG() in one of the kernel's own checks."""
    return _row(kind, "BUG at", rf"[Kk]ernel BUG at (?:\S*/)?(?:{files}):\d+", title, _TRACE, _OOPS)


RULES: tuple[Rule, ...] = (
    # -- sanitizers ----------------------------------------------------------------------------
    # mm/kasan/report.c:print_error_description; its "kasan: bad access detected" through
    # mm/slub.c:object_err (before 4.9) repeats what the KASAN line said.
    _row("kasan", "KASAN:", r"BUG: KASAN: double-free or invalid-free in {FN}",
         "KASAN: invalid-free in {fn}", _HEADLINE),
    _row("kasan", "KASAN:", r"BUG: KASAN: (?P<what>invalid-free|double-free) in {FN}",
         "KASAN: {what} in {fn}", _HEADLINE),
    _row("kasan", "KASAN:", r"BUG: KASAN: (?P<what>[\w -]+?) (?:in|on address|on) {FN}",
         "KASAN: {what} {access} in {fn}", _HEADLINE),
    _row("kasan", "KASAN:", r"BUG: KASAN: (?P<what>[\w-]+)",
         "KASAN: {what} {access} in {fn}", _HEADLINE),
    # mm/kfence/report.c:kfence_report_error
    _row("kfence", "KFENCE:", r"BUG: KFENCE: (?P<what>[\w -]+?) in {FN}",
         "KFENCE: {what} in {fn}", _HEADLINE),
    _row("kfence", "KFENCE:", r"BUG: KFENCE: (?P<what>[\w -]+)", "KFENCE: {what} in {fn}"),
    # mm/kmsan/report.c:kmsan_report
    _row("kmsan", "KMSAN:", r"BUG: KMSAN: (?P<what>[\w-]+) in {FN}",
         "KMSAN: {what} in {fn}", _HEADLINE),
    # kernel/kcsan/report.c:print_report
    _row("kcsan", "KCSAN:", r"BUG: KCSAN: (?P<what>(?:assert: )?[\w-]+) in "
         r"(?P<race>[\w.$]+(?:\+0x[0-9a-f/x]+)? / [\w.$]+)", "KCSAN: {what} in {race}", _NOWHERE),
    _row("kcsan", "KCSAN:", r"BUG: KCSAN: (?P<what>(?:assert: )?[\w-]+) in {FN}",
         "KCSAN: {what} in {fn}", _HEADLINE),
    # lib/ubsan.c:ubsan_prologue
    _row("ubsan", "UBSAN:", r"UBSAN: Undefined behaviour in ", "UBSAN: undefined-behaviour in {fn}"),
    _row("ubsan", "UBSAN:", r"UBSAN: (?P<what>[a-z][\w -]*?) in \S", "UBSAN: {what} in {fn}"),
    # mm/kmemleak.c:print_unreferenced; "BUG: memory leak" is what tools print before it.
    _row("memory-leak", "memory leak", r"BUG: memory leak", "memory leak in {fn}",
         absorbs=("memory-leak",)),
    _row("memory-leak", "unreferenced object", r"unreferenced object 0x[0-9a-f]+ \(size",
         "memory leak in {fn}"),
    # -- memory management ---------------------------------------------------------------------
    # mm/page_alloc.c:bad_page, mm/memory.c:print_bad_pte, kernel/fork.c:check_mm,
    # mm/filemap.c:filemap_unaccount_folio
    _row("bad-page-state", "BUG:", r"BUG: Bad page state ", "BUG: Bad page state in {fn}"),
    _row("bad-page-map", "BUG:", r"BUG: Bad page map ", "BUG: Bad page map", _NOWHERE),
    _row("bad-page-cache", "BUG:", r"BUG: Bad page cache ", "BUG: Bad page cache", _NOWHERE),
    _row("bad-rss-counter", "BUG:", r"BUG: Bad rss-counter state",
         "BUG: Bad rss-counter state", _NOWHERE, trace=False),
    _row("nonzero-nr-ptes", "BUG:", r"BUG: non-zero (?P<what>\w+) on freeing mm",
         "BUG: non-zero {what} on freeing mm: NUM", _NOWHERE, trace=False),
    # mm/page_table_check.c: BUG_ON() and a check of the folio's flags
    _bug_at(r"mm/page_table_check\.c", "page-table-check", "kernel BUG in {fn}"),
    # mm/slub.c:slab_bug, mm/slab.c
    _row("slab-corruption", "BUG ", r"\bBUG [\w.:-]{1,64} ?\((?:Not tainted|Tainted)[^)]*\): "
         r"(?!kasan: bad access)(?P<what>[A-Z][\w -]+)", "BUG: {what} in {fn}"),
    _row("slab-corruption", "Slab corruption", r"Slab corruption", "BUG: Slab corruption in {fn}"),
    _row("slab-corruption", "INFO: ", r"INFO: (?P<what>Allocated|Freed) in {FN}.*age=",
         "INFO: {what} in {fn0} age=NUM cpu=NUM pid=NUM", _NOWHERE),
    # mm/usercopy.c:usercopy_abort
    _row("usercopy", "usercopy:", r"usercopy: (?:[Kk]ernel memory )",
         "BUG: bad usercopy in {fn}", absorbs=_CHECK),
    _warning_at(r"mm/usercopy\.c", "usercopy", "WARNING: bad usercopy in {fn}"),
    _bug_at(r"mm/usercopy\.c", "usercopy", "BUG: bad usercopy in {fn}"),
    # -- data structures -----------------------------------------------------------------------
    # lib/list_debug.c:__list_add_valid_or_report, __list_del_entry_valid_or_report
    _row("list-corruption", " corruption", r"\blist_(?:add|del|debug)\w* corruption",
         "BUG: corrupted list in {fn}", absorbs=_CHECK),
    _warning_at(r"lib/list_debug\.c", "list-corruption", "BUG: corrupted list in {fn}"),
    _bug_at(r"lib/list_debug\.c", "list-corruption", "BUG: corrupted list in {fn}"),
    # lib/refcount.c:refcount_warn_saturate, through WARN_ONCE
    _warning_at(r"(?:lib|include/linux)/refcount\.[ch]", "refcount",
                "WARNING: refcount bug in {fn}"),
    # lib/debugobjects.c:debug_print_object, through WARN
    _warning_at(r"lib/debugobjects\.c", "debugobjects", "WARNING: ODEBUG bug in {fn}"),
    # kernel/dma/debug.c:err_printk, through WARN
    _warning_at(r"(?:kernel/dma|lib/dma)[/-]debug\.c", "dma-api", "WARNING: DMA-API bug in {fn}"),
    # -- locking -------------------------------------------------------------------------------
    # kernel/locking/lockdep.c: print_circular_bug_header, print_deadlock_bug,
    # print_irq_inversion_bug, print_bad_irq_dependency, print_usage_bug, print_unlock_imbalance_bug,
    # print_freed_lock_bug, print_held_locks_bug, lockdep_sys_exit, lockdep_rcu_suspicious,
    # print_lock_invalid_wait_context, print_collision, print_lock_nested_lock_not_held
    _row("lockdep", "possible ", r"(?:WARNING|INFO): possible (?:circular locking|recursive locking|"
         r"irq lock inversion)", "possible deadlock in {fn}", _LOCK),
    _row("lockdep", "-safe -> ", r"(?:WARNING|INFO): \S*IRQ-safe -> \S*IRQ-unsafe lock order",
         "possible deadlock in {fn}", _LOCK),
    _row("lockdep", "inconsistent lock state", r"(?:WARNING|INFO): inconsistent lock state",
         "inconsistent lock state in {fn}", _LOCK),
    _row("lockdep", "bad unlock balance", r"(?P<p>WARNING|BUG): bad unlock balance",
         "{p}: bad unlock balance in {fn}", _LOCK),
    _row("lockdep", "held lock freed", r"(?P<p>WARNING|BUG): held lock freed",
         "{p}: held lock freed in {fn}", _LOCK),
    _row("lockdep", "lock held", r"(?P<p>WARNING|BUG): lock held (?P<what>when returning to user "
         r"space|at task exit)", "{p}: lock held {what} in {fn}", _LOCK),
    _row("lockdep", "still has locks held", r"(?P<p>WARNING|BUG): .{0,64}still has locks held",
         "{p}: still has locks held in {fn}", _LOCK),
    _row("lockdep", "nvalid wait context", r"(?P<p>WARNING|BUG): [Ii]nvalid wait context",
         "{p}: Invalid wait context in {fn}"),
    _row("lockdep", "uspicious RCU", r"(?P<p>WARNING|INFO): suspicious RCU usage",
         "{p}: suspicious RCU usage in {fn}"),
    _row("lockdep", "Nested lock", r"(?P<p>WARNING|BUG): Nested lock was not taken",
         "{p}: Nested lock was not taken in {fn}"),
    _row("lockdep", "chain_key", r"(?P<p>WARNING|BUG): chain_key collision",
         "{p}: chain_key collision in {fn}"),
    _row("lockdep", "non-static key", r"INFO: trying to register non-static key",
         "INFO: trying to register non-static key in {fn}"),
    _row("lockdep", "BUG:", r"BUG: (?P<what>MAX_\w+) too low", "BUG: {what} too low!", _NOWHERE),
    _row("lockdep", "BUG:", r"BUG: (?:looking up invalid subclass|key .{1,40} not in \.data|"
         r"key .{1,40} has not been registered)", "BUG: bad lock key in {fn}"),
    _warning_at(r"kernel/locking/lockdep\.c|kernel/lockdep\.c", "lockdep",
                "WARNING: locking bug in {fn}"),
    # kernel/locking/spinlock_debug.c:spin_bug, rwlock_bug
    _row("spinlock", "BUG:", r"BUG: (?P<lock>spinlock|rwlock) (?P<what>[a-zA-Z -]+?) on CPU",
         "BUG: {lock} {what} in {fn}"),
    # -- contexts ------------------------------------------------------------------------------
    # kernel/sched/core.c:__schedule_bug, __might_resched; lib/smp_processor_id.c
    _row("scheduling-while-atomic", "BUG:", r"BUG: scheduling while atomic",
         "BUG: scheduling while atomic in {fn}"),
    _row("sleeping-function", "BUG:", r"BUG: sleeping function called from invalid context",
         "BUG: sleeping function called from invalid context in {fn}"),
    _row("preemptible", "BUG:", r"BUG: using (?P<what>\w+)\(\) in preemptible",
         "BUG: using {what}() in preemptible code in {fn}"),
    # kernel/workqueue.c:process_one_work, show_all_workqueues
    _row("workqueue", "BUG:", r"BUG: workqueue leaked (?:lock or )?atomic|BUG: workqueue leaked",
         "BUG: workqueue leaked lock or atomic in {fn}"),
    _row("workqueue", "BUG:", r"BUG: workqueue lockup", "BUG: workqueue lockup", _NOWHERE,
         trace=False),
    # -- hangs ---------------------------------------------------------------------------------
    # kernel/rcu/tree_stall.h:print_other_cpu_stall, print_cpu_stall; kernel/rcu/tree_exp.h
    _row("rcu-stall", "INFO: ", r"INFO: rcu_?\w* (?:self-)?detected (?:expedited )?stalls?",
         "INFO: rcu detected stall in {fn}", _STALL, ("rcu-stall", "warning")),
    # kernel/watchdog.c:watchdog_timer_fn; kernel/watchdog.c:watchdog_hardlockup_check
    _row("soft-lockup", "BUG:", r"BUG: soft lockup", "BUG: soft lockup in {fn}", _STALL),
    _row("hard-lockup", "hard LOCKUP", r"hard LOCKUP on cpu", "BUG: hard lockup in {fn}", _STALL),
    # kernel/hung_task.c:check_hung_task
    _row("hung-task", "blocked for more", r"INFO: task .{1,64} blocked (?:in I/O wait |on an? [\w-]+ )?"
         r"for more than", "INFO: task hung in {fn}"),
    _row("hung-task", "can't die for", r"INFO: task .{1,64} can't die for more than",
         "INFO: task can't die in {fn}"),
    # -- exceptions ----------------------------------------------------------------------------
    # arch/x86/kernel/dumpstack.c and traps.c:handle_stack_overflow, exc_double_fault
    _row("stack-overflow", "BUG:", r"BUG: (?:(?:IRQ|NMI|TASK) )?stack guard page was hit",
         "BUG: stack guard page was hit in {fn}", absorbs=(*_OOPS, "stack-overflow")),
    _row("stack-overflow", "stack overflow", r"kernel stack overflow|Kernel stack overflow",
         "kernel stack overflow in {fn}", absorbs=(*_OOPS, "stack-overflow")),
    _row("double-fault", "double fault", r"(?:PANIC: |traps: PANIC: )?double fault[,:] (?:error_code|0)",
         "PANIC: double fault in {fn}", absorbs=("double-fault", *_OOPS)),
    # arch/x86/kernel/traps.c:exc_general_protection
    _row("general-protection", "general protection", r"general protection fault\b.{0,90}(?::|\[#)",
         "general protection fault in {fn}", absorbs=_OOPS),
    _row("divide-error", "divide error", r"divide error:? ", "divide error in {fn}", absorbs=_OOPS),
    _row("oops", "stack segment", r"stack segment: 0", "stack segment fault in {fn}"),
    # arch/x86/mm/fault.c:show_fault_oops since 5.1 (ea2f8d606079), before that "unable to handle"
    _row("page-fault", "BUG:", r"BUG: kernel NULL pointer dereference|"
         r"[Uu]nable to handle kernel (?:NULL pointer|null pointer)",
         "BUG: unable to handle kernel NULL pointer dereference in {fn}", absorbs=_OOPS),
    _row("page-fault", "nable to handle", r"[Uu]nable to handle kernel NULL",
         "BUG: unable to handle kernel NULL pointer dereference in {fn}", absorbs=_OOPS),
    _row("page-fault", "nable to handle", r"[Uu]nable to handle (?:page fault for|kernel paging|"
         r"kernel access|kernel (?:data|instruction)|kernel execution|paging request|unknown FSC)",
         "BUG: unable to handle kernel paging request in {fn}", absorbs=_OOPS),
    _row("page-fault", "nable to handle", r"[Uu]nable to handle kernel",
         "BUG: unable to handle kernel", _NOWHERE, absorbs=_OOPS),
    _row("page-fault", "Unhandled fault", r"Unhandled (?:prefetch )?(?:fault|abort): ",
         "Unhandled fault in {fn}", absorbs=_OOPS),
    # lib/bug.c:__report_bug, arch/*/kernel/traps.c
    _row("kernel-bug", "panicked at", r"rust_kernel: panicked at", "{next} in {fn}", absorbs=_CHECK),
    _row("kernel-bug", "BUG at", r"[Kk]ernel BUG at ", "kernel BUG in {fn}", absorbs=_OOPS),
    # arch/arm64/kernel/traps.c:die
    _row("oops", "Internal error:", r"Internal error: ", "Internal error in {fn}"),
    _row("oops", "invalid opcode", r"invalid opcode: 0", "invalid opcode in {fn}"),
    _row("oops", "Oops", r"\bOops(?: - [\w ]+)?: |^Oops\b", "Oops in {fn}"),
    # -- warnings ------------------------------------------------------------------------------
    # fs/dcache.c:umount_check, followed by WARN
    _row("bug", "BUG:", r"BUG: Dentry .*still in use", "BUG: Dentry still in use in unmount",
         _NOWHERE, absorbs=("warning", *_OOPS)),
    _warning_at(r"mm/(?:slab_common|util|slub)\.c", "warning", "WARNING: kmalloc bug in {fn}"),
    _warning_at(r"mm/vmalloc\.c", "warning", "WARNING: zero-size vmalloc in {fn}"),
    _warning_at(r"fs/proc/generic\.c", "warning", "WARNING: proc registration bug in {fn}"),
    # kernel/panic.c:__warn: with a file, without one (no CONFIG_DEBUG_BUGVERBOSE), and since 6.18
    # "WARNING: mm/rmap.c:12 at foo+0x12/0x34, CPU#0: comm/123".
    _row("warning", "WARNING:", r"WARNING: CPU: \d+ PID: -?\d+ at \S+:\d+ {FN}",
         "WARNING in {fn}", _HEADLINE),
    _row("warning", "WARNING:", r"WARNING: (?:CPU: \d+ PID: -?\d+ )?at {FN}\+0x",
         "WARNING in {fn}", _HEADLINE),
    _row("warning", "WARNING:", r"WARNING: \S+:\d+ at {FN}", "WARNING in {fn}", _HEADLINE),
    _row("warning", "WARNING:", r"WARNING: CPU: \d+", "WARNING in {fn}"),
    # arch/x86/kernel/unwind_frame.c:unwind_next_frame
    _row("unwinder", "WARNING:", r"WARNING: kernel stack (?P<what>regs|frame pointer) .*has bad",
         "WARNING: kernel stack {what} has bad value", _NOWHERE),
    # net/core/dev.c:netdev_wait_allrefs_any; fs/super.c:generic_shutdown_super
    _row("netdevice-leak", "unregister_netdevice:", r"unregister_netdevice: waiting for",
         "unregister_netdevice: waiting for DEV to become free", _NOWHERE, trace=False),
    _row("busy-inodes", "VFS: Busy inodes", r"VFS: Busy inodes after unmount",
         "VFS: Busy inodes after unmount (use-after-free)", _NOWHERE, trace=False),
    # mm/oom_kill.c:__oom_kill_process, out_of_memory
    _row("oom", "Out of memory: ", r"Out of memory: Kill(?:ed)? process",
         "Out of memory: Killed process", _NOWHERE, trace=False),
    # -- the machine ---------------------------------------------------------------------------
    # kernel/panic.c:panic
    _row("panic", "Kernel panic", r"Kernel panic - not syncing: (?:\S+ )?stack-protector: .*in: {FN}",
         "kernel panic: stack is corrupted in {fn}", _HEADLINE),
    _row("panic", "Kernel panic", r"Kernel panic - not syncing: corrupted stack end",
         "kernel panic: corrupted stack end in {fn}"),
    _row("panic", "Kernel panic", r"Kernel panic - not syncing:? ?(?P<why>.{0,200})",
         "kernel panic: {why}", _NOWHERE),
    # arch/x86/boot/compressed/misc.c:error, arch/x86/mm/extable.c:early_fixup_exception
    _row("boot-failure", "-- System halted", r"-- System halted", "boot failure: System halted",
         _NOWHERE, trace=False),
    _row("boot-failure", "early exception", r"PANIC: early exception", "PANIC: early exception",
         _NOWHERE, trace=False),
    # init/version.c:linux_banner; a first one is a boot, a second one is not.
    _row("unexpected-reboot", "Linux version ", r"^Linux version \d", "unexpected kernel reboot",
         _NOWHERE, trace=False),
    _row("unexpected-reboot", "Booting the kernel", r"^Booting the kernel\b",
         "unexpected kernel reboot", _NOWHERE, trace=False),
    # -- others on the same console ------------------------------------------------------------
    # A trusted firmware's own assertion (Android's Trusty logs through the kernel).
    _row("firmware", "trusty: panic", r"trusty: panic\b", "trusty: {trusty}", _NOWHERE,
         ("warning", "firmware"), trace=False),
    # A fuzzer's own last words (google/syzkaller).
    _row("tool-failure", "SYZFA", r"(?P<what>SYZFA(?:IL|TAL): .{1,200})", "{what}", _NOWHERE,
         trace=False),
    # What prints "BUG:" by convention and is no row of its own.
    _row("bug", "BUG:", r"(?:^|\] |: |\[ )BUG: (?P<what>[\w].{2,100})", "BUG: {what}", _NOWHERE),
    _row("corrupted", "INFO:", r"^INFO:$", "INFO: corrupted", _NOWHERE),
)  # fmt: skip


def match_rule(text: str) -> tuple[Rule, re.Match[str]] | None:
    """The row that a line is the headline of, with its match."""
    for rule in RULES:
        if rule.needle in text and (match := rule.pattern.search(text)):
            return rule, match
    return None
