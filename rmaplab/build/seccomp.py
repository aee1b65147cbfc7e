# SPDX-License-Identifier: GPL-2.0
"""The system calls that foreign code does not have, as a filter for bwrap (seccomp(2)).

A compiler needs none of them, and most have had bugs by which a process became root. The filter is
a program of the classic BPF, of 90 instructions; the kernel keeps which calls it lets pass
whatever their arguments are, so that they cost nothing.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Their numbers on x86_64 (arch/x86/entry/syscalls/syscall_64.tbl) and on the architectures of
# include/uapi/asm-generic/unistd.h; None: the architecture does not have it.
DENIED: Mapping[str, tuple[int | None, int | None]] = {
    # Other processes.
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "move_pages": (279, 239), "migrate_pages": (256, 238),
    # The kernel itself.
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "reboot": (169, 142),
    "syslog": (103, 116), "acct": (163, 89), "swapon": (167, 224), "swapoff": (168, 225),
    "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None),
    "lookup_dcookie": (212, 18), "nfsservctl": (180, 42), "uselib": (134, None),
    "_sysctl": (156, None), "ustat": (136, None), "sysfs": (139, None), "vhangup": (153, 58),
    # Much code behind one call.
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "fanotify_init": (300, 262), "fanotify_mark": (301, 263), "mbind": (237, 235),
    "set_mempolicy": (238, 237), "set_mempolicy_home_node": (450, 450),
    # Mounts, namespaces and files without a path.
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "unshare": (272, 97),
    "setns": (308, 268), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    # The host's clock and name.
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266),
    "adjtimex": (159, 171), "sethostname": (170, 161), "setdomainname": (171, 162),
}  # fmt: skip
EXAMINED: Mapping[str, tuple[int | None, int | None]] = {
    "clone": (56, 220), "clone3": (435, 435), "socket": (41, 198), "socketpair": (53, 199),
    "ioctl": (16, 29),
}  # fmt: skip
"""The calls that are denied with some arguments, or denied so that a library uses another one."""
FAMILIES = (1, 2, 10)
"""AF_UNIX, AF_INET, AF_INET6.

The others reach past a network namespace (AF_VSOCK), or the code of the kernel's rarest protocols.
"""
# linux/sched.h: a mount, cgroup, uts, ipc, user, pid, network namespace.
_NEW_NAMESPACES = 0x7E020000
# asm-generic/ioctls.h: they type on a terminal.
_TYPING = (0x5412, 0x541C)


@dataclass(frozen=True, slots=True)
class _Machine:
    """An architecture, as a filter knows it: ``audit`` is its number in linux/audit.h."""

    audit: int
    column: int
    x32: bool = False


MACHINES = {"x86_64": _Machine(0xC000003E, 0, x32=True), "aarch64": _Machine(0xC00000B7, 1),
             "riscv64": _Machine(0xC00000F3, 1)}  # fmt: skip
# linux/bpf_common.h, linux/seccomp.h.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _AUDIT, _FIRST, _SECOND = 0, 4, 16, 24
_X32_BIT = 0x40000000


def program(machine: str = os.uname().machine) -> bytes:
    """Return the filter for programs of a machine; empty bytes if the lab has none for it."""
    row = MACHINES.get(machine)
    if row is None:
        return b""
    code = [_op(_LOAD, _AUDIT), *_unless(_EQUAL, row.audit, errno.ENOSYS), _op(_LOAD, _NUMBER)]
    if row.x32:
        code += _if(_AT_LEAST, [_X32_BIT], errno.ENOSYS)
    numbers = [row_[row.column] for row_ in DENIED.values()]
    code += _if(_EQUAL, [number for number in numbers if number is not None], errno.EPERM)
    number_of = {name: numbers_[row.column] or 0 for name, numbers_ in EXAMINED.items()}
    # glibc then uses clone, whose flags a filter can see.
    code += _if(_EQUAL, [number_of["clone3"]], errno.ENOSYS)
    code += _call(number_of["clone"], _FIRST, _if(_ANY_BIT, [_NEW_NAMESPACES], errno.EPERM))
    for name in ("socket", "socketpair"):
        code += _call(number_of[name], _FIRST, _unless_any(FAMILIES, errno.EAFNOSUPPORT))
    code += _call(number_of["ioctl"], _SECOND, _if(_EQUAL, _TYPING, errno.EPERM))
    return b"".join([*code, _op(_RETURN, _ALLOW)])


def _op(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _fail(number: int) -> bytes:
    return _op(_RETURN, _ERRNO | number)


def _if(test: int, values: Sequence[int], error: int) -> list[bytes]:
    """Return the code that fails with an error if the loaded word passes the test of any value."""
    last = len(values) - 1
    tests = [_op(test, value, last - n, 1 if n == last else 0) for n, value in enumerate(values)]
    return [*tests, _fail(error)]


def _unless(test: int, value: int, error: int) -> list[bytes]:
    return [_op(test, value, 1, 0), _fail(error)]


def _unless_any(values: Sequence[int], error: int) -> list[bytes]:
    return [*(_op(_EQUAL, value, len(values) - n) for n, value in enumerate(values)), _fail(error)]


def _call(number: int, argument: int, code: Sequence[bytes]) -> list[bytes]:
    """Return the code that looks at an argument of a call, with the call's number loaded before.

    What it lets pass is allowed.
    """
    body = [_op(_LOAD, argument), *code, _op(_RETURN, _ALLOW)]
    return [_op(_EQUAL, number, 0, len(body)), *body]
