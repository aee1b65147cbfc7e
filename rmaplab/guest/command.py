# SPDX-License-Identifier: GPL-2.0
"""The QEMU command line of a guest, as a pure function of its profile.

Each channel is one end of a pipe or socket pair that the lab made: there is no path in the file
system and nothing to poll for, and QEMU's end closes when QEMU ends.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rmaplab.evidence.names import CONSOLE_LOG
from rmaplab.evidence.protocol import AGENT_PORT
from rmaplab.model import Guest, Kernel

INIT = "/init"
RANDOM = "random.trust_cpu=on"
# The kernel stops at the first oops, so that a guest whose state is in doubt measures nothing
# more, and stays stopped after a panic, so that the lab decides when it ends.
CMDLINE = ("oops=panic", "panic=0", RANDOM, "ignore_loglevel")
"""The kernel parameters of every cell's guest; more come with its architecture and userspace."""

# A guest that panics goes on, one that resets or powers off is paused: its memory is still there
# then. vmcoreinfo hands over where the kernel's data is in it (docs/specs/vmcoreinfo.rst of QEMU).
POSTMORTEM = ("-device", "pvpanic-pci", "-action", "panic=none,shutdown=pause",
              "-device", "vmcoreinfo")  # fmt: skip


class Accelerator(enum.StrEnum):
    """An accelerator of QEMU, which runs the guest's instructions."""

    KVM = "kvm"
    TCG = "tcg"

    @property
    def slowdown(self) -> float:
        """The factor for time limits: TCG runs a kernel several times slower than KVM."""
        return 1.0 if self is Accelerator.KVM else 4.0


# The agent's port beside the one that QEMU reserves. With an ioeventfd QEMU's main loop looks into
# every queue when a guest starts or goes on (virtio_device_start_ioeventfd_impl()), and each ends
# in an interrupt, at a time that is chance: with the default of 31 ports, 31 of them.
_SERIAL = "virtio-serial-pci,max_ports=2,ioeventfd=off"

# Where a guest in exact mode finds its next request, as the kernel shows it and as QEMU names it.
REQUEST_PATH = "/sys/firmware/qemu_fw_cfg/by_name/opt/org.rmaplab/request/raw"
_REQUEST_NAME = "opt/org.rmaplab/request"

# Exact mode: an instruction is a nanosecond, and guest time jumps over idle times.
_ICOUNT = ("-icount", "shift=0,sleep=off")
# Host time leaks in through the real-time clock, too.
_EXACT_RTC = ("-rtc", "base=2025-01-01T00:00:00,clock=vm")
ICOUNT_SLOWDOWN = 3.0
_CONSOLE_SET = 1
CONSOLE = f"file,id=console,path=/dev/fdset/{_CONSOLE_SET},append=on"
"""The character device of the serial console, on the pipe that ``console_fd`` hands over."""


def slowdown(guest: Guest, accelerator: Accelerator) -> float:
    """Return the factor for a guest's time limits on an accelerator."""
    return accelerator.slowdown * (ICOUNT_SLOWDOWN if guest.icount else 1.0)


@dataclass(frozen=True, slots=True)
class Channels:
    """The file descriptors that QEMU inherits, by their numbers.

    ``console`` is the writing end of a pipe, ``agent`` and ``qmp`` are connected sockets,
    ``record`` is the memory of a plugin's record, -1 without one.
    """

    console: int
    agent: int
    qmp: int
    record: int = -1


@dataclass(frozen=True, slots=True)
class Launch:
    """The files from which a guest is started, and how.

    Without ``ram`` the guest boots on memory of its own. ``ram`` is a folder with one RAM file for
    each NUMA node and DIMM: the guest boots on these files, to be saved as a template. With
    ``state``, the devices' saved state, the guest goes on from there: as a clone on a private,
    copy-on-write map of the RAM files, or with ``keeps`` on the files themselves, to be saved once
    more. ``vng`` is the command that vng would start for a guest on the host's userspace, which has
    no initramfs (guest/virtme.py). ``request`` is the file of REQUEST_BYTES from which a guest in
    exact mode reads its next request. ``plugin`` is the plugin that records what the guest runs.
    """

    image: Path
    initramfs: Path
    accelerator: Accelerator
    ram: Path | None = None
    state: Path | None = None
    keeps: bool = False
    vng: tuple[str, ...] = ()
    request: Path | None = None
    plugin: Path | None = None

    @property
    def is_restored(self) -> bool:
        """Return whether the guest goes on from a saved state instead of booting."""
        return self.state is not None

    @property
    def boot_console(self) -> Path | None:
        """The console log of a clone's template, which holds the boot."""
        return self.state.with_name(CONSOLE_LOG) if self.state is not None else None


def ram_file(folder: Path, node: int) -> Path:
    """Return the path of a template's RAM file for a NUMA node."""
    return folder / f"node{node}.ram"


def dimm_file(folder: Path, number: int) -> Path:
    """Return the path of a template's RAM file for a DIMM."""
    return folder / f"dimm{number}.ram"


def ram_files(guest: Guest, folder: Path) -> list[tuple[Path, int]]:
    """Return each RAM file of a guest's template, with its size in MB."""
    return [
        *((ram_file(folder, n), node.memory_mb) for n, node in enumerate(guest.nodes)),
        *((dimm_file(folder, n), dimm.memory_mb) for n, dimm in enumerate(guest.dimms)),
    ]


def emulators(which: Iterable[Guest | Kernel]) -> tuple[str, ...]:
    """Return the QEMU binaries of guests or kernels, each once."""
    return tuple(dict.fromkeys(one.architecture.qemu for one in which))


def qemu(guest: Guest, launch: Launch, channels: Channels) -> list[str]:
    """Return the argument list that starts a guest."""
    return [
        guest.architecture.qemu,
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        *machine(guest, launch.accelerator),
        *memory(guest, launch),
        # Code in the guest that breaks out of QEMU finds no way to fork or to gain privileges.
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny",
        *console_fd(channels), "-chardev", CONSOLE, "-serial", "chardev:console",
        "-chardev", f"socket,id=qmp,fd={channels.qmp}", "-mon", "chardev=qmp,mode=control",
        "-device", _SERIAL,
        "-chardev", f"socket,id=agent,fd={channels.agent}",
        "-device", f"virtserialport,chardev=agent,name={AGENT_PORT}",
        *POSTMORTEM,
        *_plugin(launch, channels),
        *(["-fw_cfg", f"name={_REQUEST_NAME},file={launch.request}"] if launch.request else []),
        *_kernel(guest, launch),
        *(["-incoming", "defer"] if launch.is_restored else []),
    ]  # fmt: skip


def _plugin(launch: Launch, channels: Channels) -> list[str]:
    """Return the options that load the plugin, if there is one, with its record's memory."""
    return plugin_option(launch.plugin, f"record={channels.record}") if launch.plugin else []


def plugin_option(plugin: Path, argument: str) -> list[str]:
    """Return the options that load a plugin, with one argument for it."""
    return ["-plugin", f"file={str(plugin).replace(',', ',,')},{argument}"]


def console_fd(channels: Channels) -> list[str]:
    """Return the options that hand QEMU the pipe of CONSOLE."""
    return ["-add-fd", f"set={_CONSOLE_SET},fd={channels.console}"]


def environment(host: Mapping[str, str]) -> dict[str, str]:
    """Return QEMU's environment: one malloc arena for all threads of QEMU.

    A vCPU's thread translates code, and an arena of the thread's own would grow page by page
    (glibc's manual, Memory Allocation Tunables). Huge pages for the arena would cost a waiting
    clone 7 MB and make it no faster.
    """
    return {"GLIBC_TUNABLES": "glibc.malloc.arena_max=1", **host}


def machine(guest: Guest, accelerator: Accelerator) -> list[str]:
    """Return the options for machine, accelerator and vCPUs.

    Raises UserError if the guest's architecture has no such machine.
    """
    accel = str(accelerator)
    if accelerator is Accelerator.TCG:
        accel += ",thread=multi" if guest.cpus > 1 else ",thread=single"
    model = guest.architecture.machine(guest.machine)
    kind = ",".join([model.name, *model.options])
    if not _is_numa(guest):
        kind += ",memory-backend=node0"
    if _has_hmat(guest):
        kind += ",hmat=on"
    # A socket a vCPU: siblings of one package on different nodes make the kernel warn at boot.
    smp = f"{guest.cpus},sockets={guest.cpus},cores=1,threads=1"
    exact = [*_ICOUNT, *_EXACT_RTC] if guest.icount else []
    return ["-machine", kind, "-accel", accel, "-cpu", guest.cpu, "-smp", smp, *exact]


def memory(guest: Guest, launch: Launch) -> list[str]:
    """Return the options for memory and NUMA nodes."""
    size = sum(node.memory_mb for node in guest.nodes)
    slots = f",slots={len(guest.dimms)},maxmem={size + guest.movable_mb}M" if guest.dimms else ""
    words = ["-m", f"{size}M{slots}"]
    for number, node in enumerate(guest.nodes):
        path = ram_file(launch.ram, number) if launch.ram is not None else None
        words += ["-object", _backend(f"node{number}", node.memory_mb, path, launch)]
        if _is_numa(guest):
            words += ["-numa", _node(guest, number)]
    words += _hmat(guest)
    for number, dimm in enumerate(guest.dimms):
        path = dimm_file(launch.ram, number) if launch.ram is not None else None
        words += ["-object", _backend(f"dimm{number}", dimm.memory_mb, path, launch)]
        words += ["-device", f"pc-dimm,memdev=dimm{number},node={dimm.node}"]
    return words


def _backend(name: str, size_mb: int, path: Path | None, launch: Launch) -> str:
    if path is None:
        return f"memory-backend-ram,id={name},size={size_mb}M"
    share = "off" if launch.is_restored and not launch.keeps else "on"
    return f"memory-backend-file,id={name},size={size_mb}M,mem-path={path},share={share}"


def _node(guest: Guest, number: int) -> str:
    cpus = guest.nodes[number].cpus
    words = f"node,nodeid={number},memdev=node{number}" + "".join(f",cpus={cpu}" for cpu in cpus)
    # With an HMAT, QEMU wants to know which CPUs a node without any is nearest to.
    return words if cpus or not _has_hmat(guest) else f"{words},initiator={_initiators(guest)[0]}"


def _hmat(guest: Guest) -> list[str]:
    """Return the options for the latency and bandwidth of each node's memory.

    The HMAT has them for each pair of a node with CPUs and a node with memory.
    """
    if not _has_hmat(guest):
        return []
    words = []
    for initiator in _initiators(guest):
        for target, node in enumerate(guest.nodes):
            pair = f"hmat-lb,initiator={initiator},target={target},hierarchy=memory,data-type="
            words += ["-numa", f"{pair}access-latency,latency={node.latency_ns}"]
            words += ["-numa", f"{pair}access-bandwidth,bandwidth={node.bandwidth_mb_s}M"]
    return words


def _initiators(guest: Guest) -> list[int]:
    return [number for number, node in enumerate(guest.nodes) if node.cpus]


def _is_numa(guest: Guest) -> bool:
    # QEMU takes DIMMs only where nodes are described: the kernel learns a DIMM's node by ACPI.
    return len(guest.nodes) > 1 or bool(guest.dimms)


def _has_hmat(guest: Guest) -> bool:
    return any(node.latency_ns for node in guest.nodes)


def _kernel(guest: Guest, launch: Launch) -> list[str]:
    """Return the options for kernel, initramfs and kernel parameters.

    A restored guest has its kernel in its memory, so QEMU need not read the files again. In exact
    mode it does: fw_cfg numbers its files, and the number of the request must not change.
    """
    return [] if launch.is_restored and not launch.request else _boot(guest, launch)


def _boot(guest: Guest, launch: Launch) -> list[str]:
    # A DIMM in ZONE_MOVABLE can be offlined again.
    dimms = ["memhp_default_state=online_movable"] if guest.dimms else []
    architecture = guest.architecture
    line = " ".join(
        [
            f"console={architecture.console}", f"rdinit={INIT}",
            *CMDLINE, *architecture.cmdline, *dimms, *guest.cmdline,
        ]
    )  # fmt: skip
    return ["-kernel", str(launch.image), "-initrd", str(launch.initramfs), "-append", line]


def reproduce(guest: Guest, launch: Launch) -> list[str]:
    """Return the command line of a guest for a person at a terminal.

    The console is on standard output, the agent's channel is the socket agent.sock.
    """
    launch = replace(launch, ram=None, state=None)
    return [
        guest.architecture.qemu,
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        *machine(guest, launch.accelerator),
        *memory(guest, launch),
        "-serial", "stdio",
        "-device", _SERIAL,
        "-chardev", "socket,id=agent,path=agent.sock,server=on,wait=on",
        "-device", f"virtserialport,chardev=agent,name={AGENT_PORT}",
        *_boot(guest, launch),
    ]  # fmt: skip
