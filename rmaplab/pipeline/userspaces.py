# SPDX-License-Identifier: GPL-2.0
"""Tell guests with the lab's initramfs from guests on the host's userspace (virtme-ng)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from rmaplab.build import initramfs, userspace
from rmaplab.guest import command, virtme
from rmaplab.guest.command import Launch
from rmaplab.model import Cell, Guest, Testcase, Userspace
from rmaplab.pipeline.kernels import KernelBuilder


class GuestUserspace(Protocol):
    """Describe what guests run on, for one kind of userspace."""

    is_quiet: bool
    """True if nothing but the workload runs in the guest, so that audit and ledger hold."""

    def launch(self, guest: Guest, boot: Launch, builder: KernelBuilder, /) -> Launch:
        """Return how a guest is booted; ``boot`` is how its kernel's guests with an initramfs are.

        Raises InfraError if that cannot be found out.
        """

    def lacks(self, guest: Guest, config: Mapping[str, str], /) -> str:
        """Return why a kernel of that configuration cannot run the guest, or an empty string."""

    def program_path(self, testcase: Testcase, /) -> str:
        """Return the path of a testcase's program in a guest."""

    def reproduce(self, guest: Guest, launch: Launch, /) -> list[str]:
        """Return the command line that starts a guest alone, for a person."""


class InitramfsUserspace:
    """Guests with the agent as init and the workloads, in an initramfs."""

    is_quiet = True

    def launch(self, _guest: Guest, boot: Launch, _builder: KernelBuilder, /) -> Launch:
        """Return ``boot``: all guests of a kernel have the same initramfs."""
        return boot

    def lacks(self, _guest: Guest, _config: Mapping[str, str], /) -> str:
        """Return an empty string: every kernel of the lab can mount an initramfs."""
        return ""

    def program_path(self, testcase: Testcase, /) -> str:
        """Return the path of a testcase's program in the initramfs."""
        return initramfs.program_path(testcase)

    def reproduce(self, guest: Guest, launch: Launch, /) -> list[str]:
        """Return QEMU's command line."""
        return command.reproduce(guest, launch)


class HostUserspace:
    """Guests on the host's root folder, booted as vng would boot them.

    A distribution's programs come and go in them.
    """

    is_quiet = False

    def launch(self, guest: Guest, boot: Launch, builder: KernelBuilder, /) -> Launch:
        """Return how vng would boot the guest. Raises InfraError if vng does not say."""
        testcases = builder.catalogue.testcases.values()
        programs = userspace.build(boot.initramfs, testcases, builder.cache)
        return virtme.with_vng(boot, guest, programs)

    def lacks(self, guest: Guest, config: Mapping[str, str], /) -> str:
        """Return which symbol the kernel lacks to mount the host's root folder."""
        for symbol in virtme.NEEDS:
            if config.get(symbol, "n") != "y":
                return f"the guest {guest.name} needs CONFIG_{symbol}: the Kconfig fragment virtme"
        return ""

    def program_path(self, testcase: Testcase, /) -> str:
        """Return the path of a testcase's program below virtme's folder of programs."""
        return virtme.PROGRAMS + initramfs.program_path(testcase)

    def reproduce(self, guest: Guest, launch: Launch, /) -> list[str]:
        """Return the command line of the QEMU that vng would start."""
        return virtme.reproduce(guest, launch)


USERSPACES: Mapping[Userspace, GuestUserspace] = {
    Userspace.INITRAMFS: InitramfsUserspace(),
    Userspace.HOST: HostUserspace(),
}
"""The userspaces that guests run on."""


def userspace_of(guest: Guest) -> GuestUserspace:
    """Return what a guest runs on."""
    return USERSPACES[guest.userspace]


@dataclass(frozen=True, slots=True)
class Launches:
    """Hold how guests are booted: by kernel with an initramfs, by kernel and guest otherwise."""

    by_kernel: Mapping[str, Launch]
    by_guest: Mapping[tuple[str, str], Launch]

    def of(self, cell: Cell) -> Launch:
        """Return how a cell's guest is booted."""
        return self.by_guest.get((cell.kernel, cell.guest.name)) or self.by_kernel[cell.kernel]


def launches(
    cells: Iterable[Cell], boots: Mapping[str, Launch], builder: KernelBuilder
) -> Launches:
    """Return how the guests of the cells are booted; ``boots`` is how those with an initramfs are.

    Raises InfraError if vng does not say how to start a guest.
    """
    found: dict[tuple[str, str], Launch] = {}
    for cell in cells:
        key = (cell.kernel, cell.guest.name)
        if not cell.skip and cell.guest.boots and key not in found:
            boot = boots[cell.kernel]
            found[key] = userspace_of(cell.guest).launch(cell.guest, boot, builder)
    return Launches(boots, found)
