# SPDX-License-Identifier: GPL-2.0
"""A person's shell on a kernel: built if need be, with what virtme-ng needs."""

from __future__ import annotations

import contextlib
import os
import sys
import termios
from collections.abc import Iterator
from dataclasses import replace

from rmaplab import proc
from rmaplab.build import kernel as build_kernel
from rmaplab.build import virtme as virtme_config
from rmaplab.errors import InfraError, UserError
from rmaplab.guest import accel, virtme
from rmaplab.guest.command import Accelerator
from rmaplab.log import log
from rmaplab.model import Build, Guest, Kernel
from rmaplab.pipeline.kernels import KernelBuilder


def run(
    kernel: Kernel, guest: Guest, builder: KernelBuilder, asked: str, terminal: os.terminal_size
) -> int:
    """Bring the kernel up on the terminal, on the guest's machine; 0 when the person ended it.

    Raises KernelError if the kernel cannot be built, InfraError if QEMU did not end by itself.
    """
    if guest.arch != kernel.arch:
        raise UserError(f"the guest {guest.name} is {guest.arch}, the kernel is {kernel.arch}")
    proc.require(guest.architecture.qemu)
    resolved = builder.resolve(with_virtme(kernel))
    built = build_kernel.build(
        resolved, builder.cache, jobs=builder.jobs, limit_s=builder.limit_of(resolved)
    )
    accelerator = accel.choose(asked, guest.architecture, builder.cache)
    argv = virtme.shell(guest, built.image, accelerator, terminal)
    log.info(_greeting(built, guest, accelerator))
    with _terminal_restored():
        status = proc.foreground(argv)
    if status:
        raise InfraError(f"QEMU ended with status {status}")
    return 0


def with_virtme(kernel: Kernel) -> Kernel:
    """Return the kernel with the Kconfig fragment that its guest needs."""
    if virtme_config.FRAGMENT in kernel.fragments:
        return kernel
    return replace(kernel, fragments=(*kernel.fragments, virtme_config.FRAGMENT))


def _greeting(built: Build, guest: Guest, accelerator: Accelerator) -> str:
    return f"{built.kernel} {built.release} on {guest.name}, {accelerator}; Ctrl-a x ends the guest"


@contextlib.contextmanager
def _terminal_restored() -> Iterator[None]:
    """Restore the terminal's mode: a QEMU that was killed leaves it raw."""
    settings = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, settings)
