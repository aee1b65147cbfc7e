# SPDX-License-Identifier: GPL-2.0
"""Functions that are in a trace because of how the kernel reports, not because of what broke.

A title and a fingerprint should name the code that misbehaved. The check that noticed
(``__list_del_entry_valid``), the helper that was handed a bad pointer (``memcpy``) and the
machinery that prints (``dump_stack``) are passed over. Which functions those are follows from the
files that define them: ``tests/make_machinery.py`` derives ``data/machinery.txt`` from the sources
of several kernels. What a stack begins with, and the switches that call a handler, are here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

DATA = "data/machinery.txt"
"""The derived table: ``[group]``, then names, and patterns (``= pattern  # reason``)."""


@dataclass(frozen=True, slots=True)
class Group:
    """Functions of one group: names, and patterns for those that no file gives."""

    names: frozenset[str]
    pattern: re.Pattern[str]

    def __contains__(self, function: str) -> bool:
        return function in self.names or self.pattern.fullmatch(function) is not None


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    for section in text.split("\n[")[1:]:
        group, _, body = section.partition("]\n")
        yield group, body.splitlines()


@cache
def groups() -> dict[str, Group]:
    """Return the groups of the derived table, by name."""
    text = resources.files("rmaplab.collect.splats").joinpath(DATA).read_text(encoding="utf-8")
    found = {}
    for group, lines in _sections(text):
        patterns = [line[2:].rpartition("  # ")[0] for line in lines if line.startswith("= ")]
        names = " ".join(line for line in lines if not line.startswith("= ")).split()
        found[group] = Group(frozenset(names), re.compile("|".join(patterns)))
    return found


# Copies of functions for other address spaces: arch/arm64/kernel/pi, arch/arm64/kvm/hyp/nvhe, x86's
# decompressor and EFI stub.
_COPY = re.compile(r"\.*(?:__pi_|__kvm_nvhe_|__efistub_)?(?=[a-z_])")


def _plain(function: str) -> str:
    """Return a name as the sources have it: without what a powerpc descriptor or a copy adds."""
    return _COPY.sub("", function, count=1)


def _family(*groups: str) -> re.Pattern[str]:
    """Return one pattern out of blank-separated ones, each for a whole function name."""
    return re.compile("|".join(f"(?:{part})" for group in groups for part in group.split()))


@lru_cache(maxsize=4096)
def _groups_of(function: str) -> frozenset[str]:
    name = _plain(function)
    return frozenset(group for group, functions in groups().items() if name in functions)


def is_machinery(function: str, passed: frozenset[str] | None = None) -> bool:
    """Tell if a title looks further out than this function: in any group, or in those passed.

    What prints the report is passed over in any case.
    """
    found = _groups_of(function)
    if passed is None:
        return bool(found)
    return bool(found & passed) or ("report" in found and not works(function))


def is_reporting(function: str) -> bool:
    """Tell if a function is part of printing the splat itself."""
    return bool(_groups_of(function) & {"report", "assert"})


# Functions of the report group that print for whoever called them.
_PRINTS = re.compile(
    r"\w*(?:print|dump|show|panic|oops|die|warn|report|backtrace|bug|_err|_info)\w*"
)


def works(function: str) -> bool:
    """Tell if a function of the report group may be at fault, if the report itself names it.

    Who unwinds a stack or handles a page fault is in the trace of many a report; where the kernel
    says that the fault is in there, it is.
    """
    return _groups_of(function) == {"report"} and _PRINTS.fullmatch(function) is None


_FAULT = frozenset(
    {"report", "assert", "check", "lock", "alloc", "help", "sleep", "finish", "defer"}
)
# Who is to blame is another question for each kind of complaint.
_PASSED = {
    # A check failed. The scheduler and whoever queues work check their own state; locks,
    # allocators, lists, references and whoever ends work check what they were handed.
    "warning": _FAULT - {"sleep", "defer"},
    # A lock: whoever took it, be it an allocator or a work queue.
    "lockdep": frozenset({"check", "lock", "sock"}),
    # A context in which one may not sleep: whoever can, and not what he does it with.
    "sleeping-function": _FAULT - {"help", "finish", "defer"},
    "scheduling-while-atomic": _FAULT - {"help", "finish", "defer"},
    # A task that waits reports nothing itself: a handler of page faults in its trace is at work.
    "hung-task": (_FAULT - {"report", "assert"}) | {"notify"},
}


def passed_over(kind: str, *, keyless: bool = False) -> frozenset[str]:
    """Return the groups of functions that a kind of complaint does not blame.

    ``keyless`` says that lockdep complains of an object that was handed in, not of an order.
    """
    if kind == "lockdep" and keyless:
        return _FAULT | {"sock"}
    return _PASSED.get(kind, _FAULT)


# The outermost functions of a stack: entries from user space, exceptions, starts of threads.
_ENTRY = _family(
    r"""
    entry_\w+ do_syscall_\w+ do_(fast|int80)_syscall\w* __do_fast_syscall\w* ret_from_\w+
    ret_fast_\w+ ret_to_\w+ el0\w* invoke_syscall do_el0_\w+
    syscall_(exit|enter|trace|return|call|slow\w*)\w* system_call\w* kthread kthread_worker_fn
    worker_thread x(64|32)_sys_call ia32_sys_call exit_to_user\w* work_pending tracesys\w*
    start_secondary secondary_startup\w* __libc\w* sysenter_\w+ kernel_thread_starter int_ret\w*
    el1_irq el1h\w* handle_exception\w* do_notify_resume
"""
)
_INTERRUPT = _family(
    r"""
    (smp_)?(apic_timer|reschedule|call_function\w*)_interrupt\w*
    (smp_)?(local_timer|thermal|trace_apic\w*)_interrupt\w* \w*hrtimer_(interrupt|run_queues)\w*
    tick_\w+ update_process_times rcu_\w+ print_cpu_stall check_cpu_stall print_other_cpu_stall
    irqentry_\w+ preempt_schedule_irq sysvec_\w+ __sysvec_\w+ asm_\w+ local_apic_timer\w*
    run_(local_)?timers\w* (__)?do_softirq\w* irq_exit\w* __irq_exit\w* invoke_softirq
    handle_softirqs gic_\w+ (__)?handle_(domain_)?irq\w* generic_handle\w* handle_percpu\w*
    arch_timer_\w+ (__)?do_(IRQ|irq)\w* common_interrupt interrupt_entry ret_from_intr
    call_on_(irq_)?stack\w* do_interrupt_handler scheduler_tick sched_tick timer_interrupt
    watchdog\w* perf_\w*nmi\w* default_do_nmi do_nmi end_repeat_nmi io_serial_\w+ serial\w*
    uart_\w+ univ8250\w* wait_for_\w*xmitr call_console_drivers\w* console_\w+ vprintk\w*
    __down_trylock_console_sem irq_work_run\w* restore_regs\w* notifier_call_chain hung_task\w*
    check_hung\w* dump_cpu_task dump_task\w* arch_trigger\w* csd_\w+ flush_smp_call\w*
"""
)
# The kernel's big switches: what one of them calls is the handler that a user, a packet or a
# timer asked for, and that is who a stall is named after.
_DISPATCHERS = _family(
    r"""
    (do_)?vfs_ioctl (__do_|__se_|__x64_|__arm64_|__ia32_|compat_)*(sys|SyS)_ioctl ksys_ioctl
    do_vfs_ioctl (__)?(compat_)?(do_)?(vfs|kernel)_(read|write)v? new_sync_(read|write)
    call_(read|write)_iter do_iter_\w+ do_loop_readv\w* __fput call_mmap mmap_region
    do_dentry_open vfs_open __do_fault do_(read|shared|cow)_fault (__)?netif_receive_skb\w*
    call_timer_fn process_one_work process_scheduled_works tasklet_action\w* rtnetlink_rcv_msg
    nfnetlink_rcv_\w*msg full_proxy_\w+ proc_reg_\w+ (__sys|do_sock|sock_common)_[gs]etsockopt
    genl_\w*rcv_msg\w* kthread
"""
)


def is_entry(function: str) -> bool:
    """Tell if a function is an entry into the kernel or the start of a thread."""
    return _ENTRY.fullmatch(function) is not None


_IDLE = _family("cpu_startup_entry do_idle default_idle\\w* cpu_idle\\w* arch_cpu_idle\\w*")
_CROSS_CPU = re.compile(r"smp_call_function\w*")
_ALLOCATING = re.compile(r"\w*alloc\w*|pcpu_\w+")


@lru_cache(maxsize=4096)
def is_checker(function: str) -> bool:
    """Tell if a function is a sanitizer or a debugging check."""
    return "check" in _groups_of(function)


@lru_cache(maxsize=4096)
def _passed_over(function: str) -> bool:
    """Tell if a function is there because a timer or an NMI found the CPU at work."""
    return is_reporting(function) or is_checker(function) or bool(_INTERRUPT.fullmatch(function))


@lru_cache(maxsize=4096)
def allocates(function: str) -> bool:
    """Tell if a function hands out memory: a leak is its caller's, or further out."""
    if _ALLOCATING.fullmatch(function):
        return True
    return bool(_groups_of(function) & {"alloc", "help", "check"})


def stall_handler(functions: Sequence[str]) -> str | None:
    """Return the handler in which a CPU was stuck: the innermost dispatcher had called it.

    ``functions`` is a trace, innermost first. Where in the handler a timer happened to find the
    CPU is chance, so a stall is not named after it.
    """
    candidates = [name for name in functions if not _passed_over(name)]
    outermost = None
    for number, inner in enumerate(candidates, start=1):
        outer = candidates[number] if number < len(candidates) else ""
        if is_entry(inner) or _IDLE.fullmatch(inner):
            break
        if _CROSS_CPU.fullmatch(inner):
            return inner
        if _DISPATCHERS.fullmatch(outer) and not _DISPATCHERS.fullmatch(inner):
            return inner
        outermost = inner
    return outermost
