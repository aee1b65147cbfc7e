# SPDX-License-Identifier: GPL-2.0
"""Call traces: which function a line of a trace names.

The formats are those of arch/*/kernel/{dumpstack,stacktrace,
traps,process}.c, kernel/stacktrace.c, and of the tools that add source lines afterwards.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from functools import lru_cache

MAX_CACHED = 512
"""Characters of a line that is remembered."""


class FrameKind(enum.Enum):
    """How a line names its function."""

    CALL = enum.auto()
    POINTER = enum.auto()  # the instruction pointer: RIP, PC, NIP, epc
    INLINE = enum.auto()  # known from debug info alone
    GUESS = enum.auto()  # "? foo": found on the stack, maybe stale


@dataclass(frozen=True, slots=True)
class Frame:
    """A function as a trace names it, already normalised."""

    function: str
    kind: FrameKind


_SYMBOL = r"(?P<{}>(?:<[^<>+\n]{{1,120}}>(?:::\w+)+|[A-Za-z_$.][\w.$:]{{0,199}}))"
_OFFSET = r"\+0x[0-9a-f]{1,8}(?:/0x[0-9a-f]{1,8})?"
# scripts/decode_stacktrace.sh puts "(file:line)", all the inlined places first, for the offset.
_PLACE = r"(?:[\w./+~-]{1,200}:(?:\d{1,7}|\?)|\?\?:\?)(?: \(discriminator \d{1,9}\))?"
_AT = rf"(?:{_OFFSET}(?=$|[^\w+])|(?= \({_PLACE}[ )]))"
# arch/x86/kernel/dumpstack.c:printk_stack_address, arch/arm64/kernel/stacktrace.c:dump_backtrace,
# older "[<address>] foo", s390's "([<address>] foo)", powerpc's two columns of addresses;
# mm/kmemleak.c since 6.9 puts its name before every line.
_CALL = re.compile(
    r"(?:kmemleak: )?\s{0,12}(?:#\d+ )?(?:<[/A-Z#0-9]{3,12}>\s{1,4}){0,2}"
    r"(?:\(?\[<?[0-9a-f]{8,16}>?\]\)?\s{1,4}){0,2}(?P<guess>\? )?" + _SYMBOL.format("call") + _AT
)
# arch/arm/kernel/traps.c:dump_backtrace_entry, with and without addresses: "callee from caller".
# After a tail call the next line's callee is not this line's caller.
_ARM = re.compile(
    r"\s{0,4}(?:\[<[0-9a-f]{8}>\] \((?P<callee>[^()+]{1,200})(?:\+0x[0-9a-f/x]+)?\) "
    r"from \[<[0-9a-f]{8}>\] \(|"
    r"(?P<callee2>[\w.$]{1,200}) from )" + _SYMBOL.format("caller") + _OFFSET
)
_INLINE = re.compile(
    r"\s{0,12}(?:RIP: (?:[0-9a-f]{4}:)?|pc : )?(?:\[< {1,8}inline {1,8}>\] )?"
    + _SYMBOL.format("inline")
    + r" [\w./+-]{2,200}:\d{1,7}(?: \[inline\])?\s*$"
)
# arch/x86/kernel/process_64.c:__show_regs and dumpstack.c:show_ip, arm64 process.c:__show_regs,
# arm's "PC is at", powerpc's NIP, riscv's and mips's epc, s390's PSW.
_POINTER = re.compile(
    r"\s{0,4}(?:EIP is at |E?IP: (?:[0-9a-f]{4}:)?(?:\[<[0-9a-f]+>\]\s{1,4}){0,2}|"
    r"RIP: (?:[0-9a-f]{4}:)?(?:\[<[0-9a-f]+>\]\s{1,4}){0,2}|"
    r"pc : (?:\[<[0-9a-f]+>\] )?|PC is at |NIP \[[0-9a-f]+\] |"
    r"epc\s{0,3}: (?:[0-9a-f]+ |\[<[0-9a-f]+>\] )?|(?:--- )?(?:interrupt|Exception): \w+ at |"
    r"ERA ?: [0-9a-f]+ |TPC: <|IAOQ\[0\]: |"
    r"Krnl PSW : [0-9a-f]+ [0-9a-f]+ \()" + _SYMBOL.format("pointer") + _AT
)
# The suffixes of a clone of a function: gcc's and clang's optimisation passes append them.
_CLONE = re.compile(r"\.(?:isra|constprop|part|cold|llvm|lto_priv|localalias|irqentry)\b.*")
_RENAMED = (
    (re.compile(r"(?:__se_sys_|SyS_|ksys_|compat_SyS_|C_SYSC_|SYSC_)(\w+)"), r"\1"),
    (re.compile(r"__(?:do_|x64_|ia32_|arm64_|s390x?_|riscv_|powerpc_|ia32_compat_)sys_(\w+)"),
     r"sys_\1"),
    # Old names of what 5.0 merged into one (45975c7d21a1 "rcu: Define RCU-sched API in terms
    # of RCU for Tree RCU PREEMPT builds"), so that a title survives it.
    (re.compile(r"synchronize_(?:sched|rcu_expedited|sched_expedited|rcu_bh)"),
     "synchronize_rcu"),
    (re.compile(r"smp_call_function_(?:single|many|many_cond|any|cond)|on_each_cpu\w*"),
     "smp_call_function"),
)  # fmt: skip


def strip_clone(symbol: str) -> str:
    """Return a symbol without the suffixes of a compiler's pass (``.isra.0``, ``.cold``)."""
    return _CLONE.sub("", symbol)


def display_name(function: str) -> str:
    """Return the name that a title uses: one name for a system call's many entry points."""
    for pattern, replacement in _RENAMED:
        if pattern.fullmatch(function):
            return pattern.sub(replacement, function)
    return function


@lru_cache(maxsize=2048)
def _parse(text: str) -> tuple[Frame, ...]:
    if match := _CALL.match(text):
        guess = match["guess"] or "(unreliable)" in text
        kind = FrameKind.GUESS if guess else FrameKind.CALL
        return (Frame(strip_clone(match["call"]), kind),)
    if match := _ARM.match(text):
        names = (match["callee"] or match["callee2"], match["caller"])
        return tuple(Frame(strip_clone(name), FrameKind.CALL) for name in names)
    if match := _POINTER.match(text):
        return (Frame(strip_clone(match["pointer"]), FrameKind.POINTER),)
    if "inline" in text and (match := _INLINE.match(text)):
        return (Frame(strip_clone(match["inline"]), FrameKind.INLINE),)
    return ()


def parse_frames(text: str) -> tuple[Frame, ...]:
    """Return the functions that a line of a trace names, innermost first; none for any other."""
    if "+0x" not in text and ":" not in text:
        return ()
    # Each line of a report is looked at several times.
    return _parse(text) if len(text) <= MAX_CACHED else _parse.__wrapped__(text)
