# SPDX-License-Identifier: GPL-2.0
"""The filter of system calls: its numbers are the kernel's, and its program does what it says."""

from __future__ import annotations

import errno
import re
import struct

import pytest

from rmaplab import proc
from rmaplab.build import seccomp

X86_64, AARCH64 = 0xC000003E, 0xC00000B7
ALLOWED = 0x7FFF0000


def verdict(program: bytes, audit: int, number: int, *arguments: int) -> int:
    """The verdict of a filter on a call, as the kernel's interpreter finds it (seccomp(2))."""
    words = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("=IIQ6Q", number, audit, 0, *words)
    loaded = at = 0
    while True:
        code, yes, no, value = struct.unpack_from("=HBBI", program, at * 8)
        at += 1
        if code == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
        elif code == 0x06:
            return int(value)
        else:
            test = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}
            at += yes if test[code] else no


def error(number: int) -> int:
    return 0x00050000 | number


CALLS = {**seccomp.DENIED, **seccomp.EXAMINED}


@pytest.mark.parametrize(
    ("header", "column"), [("asm/unistd_64.h", 0), ("asm-generic/unistd.h", 1)]
)
def test_the_numbers_are_those_of_the_kernels_headers(header: str, column: int) -> None:
    words = [
        "gcc",
        "-E",
        "-dM",
        "-D__ARCH_WANT_SYS_CLONE3",
        "-x",
        "c",
        "-include",
        header,
        "/dev/null",
    ]
    said = proc.run(words).text
    found = re.findall(r"^#define __NR(?:3264)?_(\w+) (\d+)$", said, re.M)
    kernels = {name: int(number) for name, number in found}
    ours = {name: numbers[column] for name, numbers in CALLS.items()}
    newer = {"set_mempolicy_home_node", "quotactl_fd", "process_mrelease"}
    assert {name: kernels.get(name) for name in ours if name not in newer} == {
        name: number for name, number in ours.items() if name not in newer
    }


@pytest.mark.parametrize(
    ("machine", "audit", "column"), [("x86_64", X86_64, 0), ("aarch64", AARCH64, 1)]
)
def test_each_call_that_is_denied_fails_and_the_others_do_not(
    machine: str, audit: int, column: int
) -> None:
    program = seccomp.program(machine)
    denied = {numbers[column] for numbers in seccomp.DENIED.values()} - {None}
    examined = {numbers[column] for numbers in seccomp.EXAMINED.values()}
    for number in range(500):
        said = verdict(program, audit, number)
        if number in denied:
            assert said == error(errno.EPERM), number
        elif number not in examined:
            assert said == ALLOWED, number


@pytest.mark.parametrize(
    ("call", "arguments", "said"),
    [
        ("clone3", (), errno.ENOSYS),
        ("clone", (0x1200011,), 0),  # fork of glibc
        ("clone", (0x3D0F00,), 0),  # a thread of glibc
        ("clone", (0x10000011,), errno.EPERM),  # a user namespace
        ("clone", (0x00020011,), errno.EPERM),  # a mount namespace
        ("socket", (1,), 0),
        ("socketpair", (1,), 0),
        ("socket", (2,), 0),
        ("socket", (10,), 0),
        ("socket", (16,), errno.EAFNOSUPPORT),
        ("socket", (38,), errno.EAFNOSUPPORT),  # AF_ALG
        ("socket", (40,), errno.EAFNOSUPPORT),  # AF_VSOCK
        ("socketpair", (40,), errno.EAFNOSUPPORT),
        ("ioctl", (0, 0x5401), 0),
        ("ioctl", (0, 0x5412), errno.EPERM),
        ("ioctl", (0, 0x100005412), errno.EPERM),  # the kernel takes 32 bits
        ("ioctl", (0, 0x541C), errno.EPERM),
    ],
)
def test_the_arguments_of_some_calls_decide(
    call: str, arguments: tuple[int, ...], said: int
) -> None:
    expected = error(said) if said else ALLOWED
    for machine, audit, column in (("x86_64", X86_64, 0), ("aarch64", AARCH64, 1)):
        number = seccomp.EXAMINED[call][column] or 0
        assert verdict(seccomp.program(machine), audit, number, *arguments) == expected


def test_calls_of_another_architecture_do_not_pass() -> None:
    """A 32-bit program has other numbers: there 26 is ptrace."""
    program = seccomp.program("x86_64")
    assert verdict(program, 0x40000003, 26) == error(errno.ENOSYS)
    assert verdict(program, X86_64, 0x40000000 | 1) == error(errno.ENOSYS)  # x32


def test_a_machine_that_the_lab_does_not_know_has_no_filter() -> None:
    assert seccomp.program("vax") == b""
