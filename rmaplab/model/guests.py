# SPDX-License-Identifier: GPL-2.0
"""The virtual machines that cells run on, and their hugepage settings."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from rmaplab.model.architecture import DEFAULT, Architecture, architecture_of


@dataclass(frozen=True, slots=True)
class NumaNode:
    """A NUMA node of a guest; ``cpus`` are vCPU numbers, maybe none.

    ``latency_ns`` and ``bandwidth_mb_s`` are what the firmware's HMAT says of its memory, seen from
    any CPU; 0 for nothing. Nodes that differ in them end up in different memory tiers.
    """

    memory_mb: int
    cpus: tuple[int, ...]
    latency_ns: int = 0
    bandwidth_mb_s: int = 0


@dataclass(frozen=True, slots=True)
class Dimm:
    """A module of hot-pluggable memory, there from boot, which the kernel onlines as movable."""

    memory_mb: int
    node: int


@dataclass(frozen=True, slots=True)
class Device:
    """An emulated device and the device nodes that prove that it is there."""

    name: str
    summary: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long each phase may last, in seconds on a host with KVM; TCG gets a multiple.

    ``boot_s`` until the kernel starts the agent, ``ready_s`` until the agent has answered and the
    settings are applied, ``silence_s`` without a heartbeat before a guest counts as hung.
    """

    boot_s: float
    ready_s: float
    silence_s: float


class Isolation(enum.StrEnum):
    """The state that a cell's guest shares with others: that after boot, none, or all."""

    CLONE = "clone"
    BOOT = "boot"
    SHARED = "shared"


class Userspace(enum.StrEnum):
    """The userspace of a guest: the lab's initramfs with the agent alone, or the host's.

    SANDBOX is that of no guest: programs run on the host, in the sandbox of the builds.
    """

    INITRAMFS = "initramfs"
    HOST = "host"
    SANDBOX = "sandbox"

    @property
    def phrase(self) -> str:
        """How a sentence names it."""
        return {"initramfs": "an initramfs", "host": "the host's userspace"}.get(
            self, "the sandbox of this host"
        )


@dataclass(frozen=True, slots=True)
class Guest:
    """The shape of a virtual machine.

    ``arch`` is the name of its architecture.
    With ``icount`` guest time is the count of its instructions (QEMU's -icount): exact mode.
    ``reserved_mb`` is the memory that kernel parameters keep from the page allocator.
    """

    name: str
    summary: str
    machine: str
    cpu: str
    cpus: int
    nodes: tuple[NumaNode, ...]
    devices: tuple[Device, ...]
    swap_mb: int
    cmdline: tuple[str, ...]
    isolation: Isolation
    limits: Limits
    icount: bool = False
    userspace: Userspace = Userspace.INITRAMFS
    dimms: tuple[Dimm, ...] = ()
    reserved_mb: int = 0
    arch: str = DEFAULT

    @property
    def boots(self) -> bool:
        """False for the one that is none: its programs run on the host."""
        return self.userspace is not Userspace.SANDBOX

    @property
    def architecture(self) -> Architecture:
        """The row of the guest's architecture. Raises UserError if there is none."""
        return architecture_of(self.arch)

    @property
    def memory_mb(self) -> int:
        """The guest's memory over all nodes and DIMMs, without what the profile reserves."""
        nodes = sum(node.memory_mb for node in self.nodes)
        return nodes + self.movable_mb - self.reserved_mb

    @property
    def movable_mb(self) -> int:
        """The memory of the guest's DIMMs, which is all movable."""
        return sum(dimm.memory_mb for dimm in self.dimms)

    @property
    def slow_nodes(self) -> int:
        """How many nodes are slower than the fastest one."""
        best = min(node.latency_ns for node in self.nodes)
        return sum(node.latency_ns > best for node in self.nodes)


@dataclass(frozen=True, slots=True)
class Write:
    """One guest file to write; ``expect`` is what reading it back has to give.

    For a file that marks its choice with brackets (``always [madvise] never``) that is the
    bracketed word.
    """

    path: str
    value: str
    expect: str


@dataclass(frozen=True, slots=True)
class HugepageSettings:
    """Named hugepage settings: the files to write in the guest, in order."""

    name: str
    summary: str
    writes: tuple[Write, ...]


HOST = Guest(
    name="host",
    summary="no guest: programs of the kernel tree run on this host, in the sandbox of the builds",
    machine="",
    cpu="",
    cpus=1,
    nodes=(NumaNode(memory_mb=512, cpus=(0,)),),
    devices=(),
    swap_mb=0,
    cmdline=(),
    isolation=Isolation.BOOT,
    limits=Limits(0, 0, 0),
    userspace=Userspace.SANDBOX,
)
"""Where the host tests of a kernel tree run; its memory is what one of them is taken to need."""
