# SPDX-License-Identifier: GPL-2.0
"""Make a booting guest ready: check that it is what its profile says, and turn swap on.

Serves a guest that boots for one cell and one that is saved as a template.
"""

from __future__ import annotations

import re

from rmaplab.evidence.ends import EndCause
from rmaplab.evidence.events import Files, Ready, Stats, Swapped
from rmaplab.evidence.protocol import PROTOCOL
from rmaplab.guest.command import Accelerator, slowdown
from rmaplab.guest.transcript import Transcript
from rmaplab.guest.vm import Vm
from rmaplab.model import Guest

# A guest that runs at all has most of its memory; the kernel keeps some for itself.
MEMORY_SHARE = 0.75

_NODES = "/sys/devices/system/node"
_BLOCKS = "/sys/devices/system/memory"
_HEX = re.compile(r"[0-9a-fA-F]{1,16}")


class Unusable(Exception):
    """The guest is not what was asked for: the lab's fault, never a test result."""


async def boot(
    vm: Vm, accelerator: Accelerator, transcript: Transcript, held: tuple[str, ...]
) -> Ready:
    """Wait for the agent and make the guest ready; each phase within the profile's limit.

    Returns what the agent said. ``held`` are the files that it is to sample later. Raises
    GuestDied, LimitReached, and Unusable if the guest is not what the profile says.
    """
    limits = vm.guest.limits
    stretch = slowdown(vm.guest, accelerator)
    boot_s, ready_s = limits.boot_s * stretch, limits.ready_s * stretch
    phase(transcript, "boot", boot_s)
    ready = await vm.within(boot_s, EndCause.BOOT_LIMIT, _ready(vm))
    phase(transcript, "ready", ready_s)
    await vm.within(ready_s, EndCause.READY_LIMIT, _make_ready(vm, ready, held))
    return ready


def phase(transcript: Transcript, name: str, limit_s: float) -> None:
    """Note that a phase begins."""
    transcript.say("lab", "phase", phase=name, limit_s=round(limit_s, 1))


async def _ready(vm: Vm) -> Ready:
    while True:
        event = await vm.agent.event()
        if isinstance(event, Ready):
            return event


async def _make_ready(vm: Vm, ready: Ready, held: tuple[str, ...]) -> None:
    _check(vm.guest, ready)
    await _check_devices(vm)
    await check_memory(vm)
    if vm.guest.swap_mb:
        swapped = await vm.agent.ask_for(Swapped, "swap", str(vm.guest.swap_mb))
        if swapped.errno:
            raise Unusable(f"swap on zram: {swapped.step}: errno {swapped.errno}")
    await vm.agent.ask("hold", *held)


def _check(guest: Guest, ready: Ready) -> None:
    if ready.protocol != PROTOCOL:
        raise Unusable(f"the agent speaks protocol {ready.protocol}, not {PROTOCOL}")
    for noun, wanted, got in (
        ("vCPUs", guest.cpus, ready.cpus),
        ("NUMA nodes", list(range(len(guest.nodes))), list(ready.nodes)),
    ):
        if wanted != got:
            raise Unusable(f"the guest has {noun} {got}, the profile {guest.name} says {wanted}")
    least = int(guest.memory_mb * 1024 * MEMORY_SHARE)
    if ready.memory_kb < least:
        raise Unusable(f"the guest has {ready.memory_kb} KB of memory, less than {least}")


async def _check_devices(vm: Vm) -> None:
    nodes = [node for device in vm.guest.devices for node in device.nodes]
    if not nodes:
        return
    stats = (await vm.agent.ask_for(Stats, "stat", *nodes)).stats
    absent = [node for node in nodes if stats.get(node) != "chr"]
    if absent:
        raise Unusable(f"the device node {absent[0]} is not there")


async def check_memory(vm: Vm) -> None:
    """Check that slow nodes and DIMMs are as the profile says. Raises Unusable if not."""
    await _check_speed(vm)
    await _check_movable(vm)


async def _check_speed(vm: Vm) -> None:
    """Check that the kernel found what the HMAT says of each node (admin-guide/mm/numaperf.rst)."""
    for number, node in enumerate(vm.guest.nodes):
        for name, unit, wanted in (
            ("latency", "ns", node.latency_ns), ("bandwidth", "MB/s", node.bandwidth_mb_s),
        ):  # fmt: skip
            path = f"{_NODES}/node{number}/access0/initiators/read_{name}"
            if wanted and (got := await _read(vm, path)) != str(wanted):
                raise Unusable(
                    f"node {number} has a {name} of {got or 'nothing'} {unit}, "
                    f"the profile says {wanted}"
                )


async def _check_movable(vm: Vm) -> None:
    """Check that the DIMMs' memory is online and movable (admin-guide/mm/memory-hotplug.rst)."""
    if not vm.guest.dimms:
        return
    said = await _read(vm, f"{_BLOCKS}/block_size_bytes")
    block = int(said, 16) if _HEX.fullmatch(said) else 0
    zones = (await vm.agent.ask_for(Files, "read", f"{_BLOCKS}/memory*/valid_zones")).files
    got = sum(text.split()[:1] == ["Movable"] for text in zones.values()) * block >> 20
    if got != vm.guest.movable_mb:
        raise Unusable(f"the guest has {got} MB of movable memory, not {vm.guest.movable_mb}")


async def _read(vm: Vm, path: str) -> str:
    return (await vm.agent.ask_for(Files, "read", path)).files.get(path, "").strip()
