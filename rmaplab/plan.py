# SPDX-License-Identifier: GPL-2.0
"""From a Lab to its cells. Pure: no file is read, no process started."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass, replace

from rmaplab.errors import UserError
from rmaplab.model import Cell, Guest, HugepageSettings, Kernel, Lab, Testcase

FILTER_FIELDS = ("kernel", "guest", "settings", "testcase")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A combination that is no cell, and why."""

    testcase: str
    settings: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The cells that a run would run, and what was left out."""

    cells: tuple[Cell, ...]
    left_out: tuple[LeftOut, ...]


def plan(lab: Lab) -> Plan:
    """Every cell of a lab: kernels x guests x settings x testcases x repeats.

    A testcase under settings that make no sense for it is left out. One whose requirements the
    guest cannot meet stays a cell with ``skip`` set, so that the report shows the gap.
    """
    cells = [
        Cell(
            id=cell_id(kernel, guest, settings, testcase, repeat),
            kernel=kernel.name,
            guest=guest,
            settings=settings,
            testcase=testcase,
            repeat=repeat,
            skip=unmet(testcase, guest),
        )
        for kernel, guest, settings, testcase in _combinations(lab)
        for repeat in range(1, lab.repeat + 1)
    ]
    left_out = [
        LeftOut(testcase.name, settings.name, "makes no sense under these settings")
        for settings in lab.settings
        for testcase in lab.testcases
        if settings.name not in testcase.settings
    ]
    return Plan(tuple(cells), tuple(left_out))


def _combinations(lab: Lab) -> Iterator[tuple[Kernel, Guest, HugepageSettings, Testcase]]:
    for kernel in lab.kernels:
        for guest in lab.guests:
            for settings in lab.settings:
                for testcase in lab.testcases:
                    if settings.name in testcase.settings:
                        yield kernel, guest, settings, testcase


def cell_id(
    kernel: Kernel, guest: Guest, settings: HugepageSettings, testcase: Testcase, repeat: int
) -> str:
    """A cell's name, unique in its run and usable as a folder's name."""
    parts = (kernel.name, guest.name, settings.name, testcase.name.replace("/", "."), str(repeat))
    return ".".join(parts)


def unmet(testcase: Testcase, guest: Guest) -> str:
    """The first requirement of a testcase that a guest cannot meet, or an empty string."""
    needs = testcase.requires
    have = {device.name for device in guest.devices}
    missing = [name for name in needs.devices if name not in have]
    if missing:
        return f"needs the device {missing[0]}; the guest {guest.name} has none"
    for noun, need, has in (
        ("NUMA nodes", needs.nodes, len(guest.nodes)),
        ("vCPUs", needs.cpus, guest.cpus),
        ("MB of memory", needs.memory_mb, guest.memory_mb),
    ):
        if has < need:
            return f"needs {need} {noun}; the guest {guest.name} has {has}"
    if needs.swap and not guest.swap_mb:
        return f"needs swap; the guest {guest.name} has none"
    return ""


def select(whole: Plan, expression: str) -> Plan:
    """The cells that match a filter such as ``testcase=migrate/*,guest=q35``.

    Each term is ``field=pattern`` or a bare pattern for the testcase; a cell has to match every
    term, and a pattern may list alternatives with ``|``. Raises UserError on an unknown field and
    when nothing is left.
    """
    if not expression:
        return whole
    cells = whole.cells
    for term in expression.split(","):
        field, equals, pattern = term.strip().partition("=")
        if not equals:
            field, pattern = "testcase", field
        if field not in FILTER_FIELDS:
            raise UserError(
                f"--filter: unknown field {field!r} in {term.strip()!r}",
                hint=f"fields: {', '.join(FILTER_FIELDS)}; e.g. 'testcase=migrate/*,guest=q35'",
            )
        cells = tuple(cell for cell in cells if _matches(cell, field, pattern.split("|")))
    if not cells:
        raise UserError(
            f"--filter: no cell matches {expression!r}", hint="see what there is with: plan LAB"
        )
    return replace(whole, cells=cells)


def _matches(cell: Cell, field: str, patterns: list[str]) -> bool:
    names = {
        "kernel": (cell.kernel,),
        "guest": (cell.guest.name,),
        "settings": (cell.settings.name,),
        "testcase": (cell.testcase.name, cell.testcase.id),
    }[field]
    return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)
