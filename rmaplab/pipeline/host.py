# SPDX-License-Identifier: GPL-2.0
"""How a run's guests are booted: those on the host's userspace as vng would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rmaplab.build import initramfs, userspace
from rmaplab.guest import command, virtme
from rmaplab.guest.command import Launch
from rmaplab.model import Cell, Guest, Testcase, Userspace
from rmaplab.pipeline.kernels import KernelBuilder


@dataclass(frozen=True, slots=True)
class Launches:
    """How a cell's guest is booted: by kernel, or on the host's userspace by kernel and guest."""

    by_kernel: Mapping[str, Launch]
    by_guest: Mapping[tuple[str, str], Launch]

    def of(self, cell: Cell) -> Launch:
        """How a cell's guest is booted."""
        key = (cell.kernel, cell.guest.name)
        return self.by_guest.get(key) or self.by_kernel[cell.kernel]


def launches(
    cells: Iterable[Cell], boots: Mapping[str, Launch], builder: KernelBuilder
) -> Launches:
    """How the guests of the cells are booted; ``boots`` is how those with an initramfs are.

    Raises InfraError if vng does not say how to start one.
    """
    found: dict[tuple[str, str], Launch] = {}
    for cell in cells:
        key = (cell.kernel, cell.guest.name)
        if cell.skip or cell.guest.userspace is not Userspace.HOST or key in found:
            continue
        boot = boots[cell.kernel]
        testcases = builder.catalogue.testcases.values()
        programs = userspace.build(boot.initramfs, testcases, builder.cache)
        found[key] = virtme.with_vng(boot, cell.guest, programs)
    return Launches(boots, found)


def lacks(guest: Guest, config: Mapping[str, str]) -> str:
    """Why a kernel cannot run a guest on the host's userspace, or an empty string."""
    if guest.userspace is Userspace.HOST:
        for symbol in virtme.NEEDS:
            if config.get(symbol, "n") != "y":
                return f"the guest {guest.name} needs CONFIG_{symbol}: the Kconfig fragment virtme"
    return ""


def program_path(guest: Guest, testcase: Testcase) -> str:
    """Where a testcase's program is in a guest."""
    prefix = virtme.PROGRAMS if guest.userspace is Userspace.HOST else ""
    return prefix + initramfs.program_path(testcase)


def reproduce(guest: Guest, launch: Launch) -> list[str]:
    """The command line of a guest alone, for a person."""
    return virtme.reproduce(guest, launch) if launch.vng else command.reproduce(guest, launch)
