# SPDX-License-Identifier: GPL-2.0
"""The QEMU command line of a guest, as a pure function of its profile.

Every channel is one end of a socket pair that the lab made: no path in the file system, nothing to
poll for, and QEMU's end closes with QEMU.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

from rmaplab.model import Guest

QEMU = "qemu-system-x86_64"
AGENT_PORT = "org.rmaplab.agent"

# The kernel stops at the first oops, so that a guest whose state is in doubt measures nothing
# more, and stays stopped after a panic, so that the lab decides when it ends.
# no_timer_check: the kernel counts timer interrupts against a calibrated delay at boot and panics
# if too few came ("IO-APIC + timer doesn't work"), which under TCG on a busy host is chance; KVM
# guests skip the check by themselves (arch/x86/kernel/kvm.c).
CMDLINE = ("console=ttyS0", "oops=panic", "panic=0", "rdinit=/init", "random.trust_cpu=on",
           "ignore_loglevel", "no_timer_check")  # fmt: skip


class Accelerator(enum.StrEnum):
    """What runs the guest's instructions."""

    KVM = "kvm"
    TCG = "tcg"

    @property
    def slowdown(self) -> float:
        """By how much limits are stretched: TCG runs a kernel several times slower than KVM."""
        return 1.0 if self is Accelerator.KVM else 4.0


@dataclass(frozen=True, slots=True)
class Channels:
    """QEMU's ends of the channels, as file descriptor numbers."""

    console: int
    agent: int
    qmp: int


def qemu(
    guest: Guest, *, image: Path, initramfs: Path, accelerator: Accelerator, channels: Channels
) -> list[str]:
    """The argument list that starts a guest."""
    return [
        QEMU,
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        *_machine(guest, accelerator),
        *_memory(guest),
        # Code in the guest that breaks out of QEMU finds no way to fork or to gain privileges.
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny",
        "-chardev", f"socket,id=console,fd={channels.console}", "-serial", "chardev:console",
        "-chardev", f"socket,id=qmp,fd={channels.qmp}", "-mon", "chardev=qmp,mode=control",
        "-device", "virtio-serial-pci",
        "-chardev", f"socket,id=agent,fd={channels.agent}",
        "-device", f"virtserialport,chardev=agent,name={AGENT_PORT}",
        "-device", "pvpanic-pci", "-action", "panic=none",
        *_boot(guest, image, initramfs),
    ]  # fmt: skip


def _machine(guest: Guest, accelerator: Accelerator) -> list[str]:
    accel = str(accelerator)
    if accelerator is Accelerator.TCG:
        accel += ",thread=multi" if guest.cpus > 1 else ",thread=single"
    return ["-machine", guest.machine, "-accel", accel, "-cpu", guest.cpu, "-smp", str(guest.cpus)]


def _memory(guest: Guest) -> list[str]:
    words = ["-m", f"{guest.memory_mb}M"]
    if len(guest.nodes) == 1:
        return words
    for number, node in enumerate(guest.nodes):
        words += ["-object", f"memory-backend-ram,id=node{number},size={node.memory_mb}M"]
        cpus = "".join(f",cpus={cpu}" for cpu in node.cpus)
        words += ["-numa", f"node,nodeid={number},memdev=node{number}{cpus}"]
    return words


def _boot(guest: Guest, image: Path, initramfs: Path) -> list[str]:
    line = " ".join([*CMDLINE, *guest.cmdline])
    return ["-kernel", str(image), "-initrd", str(initramfs), "-append", line]


def reproduce(guest: Guest, *, image: Path, initramfs: Path, accelerator: Accelerator) -> list[str]:
    """The same guest for a person at a terminal: console on standard output, agent on a socket."""
    return [
        QEMU,
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        *_machine(guest, accelerator),
        *_memory(guest),
        "-serial", "stdio",
        "-device", "virtio-serial-pci",
        "-chardev", "socket,id=agent,path=agent.sock,server=on,wait=on",
        "-device", f"virtserialport,chardev=agent,name={AGENT_PORT}",
        *_boot(guest, image, initramfs),
    ]  # fmt: skip
