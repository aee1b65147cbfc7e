# SPDX-License-Identifier: GPL-2.0
"""From a Lab to its cells. Pure: no file is read, no process started."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rmaplab.errors import UserError
from rmaplab.model import (
    FIELDS,
    NO_DEVICE,
    Cell,
    Exclusion,
    Expectation,
    Guest,
    HugepageSettings,
    Inclusion,
    Kernel,
    Lab,
    Testcase,
    Userspace,
    matches,
    names_of,
    selects,
)
from rmaplab.text import near_miss

MAX_COMBINATIONS = 500_000
MAX_CELLS = 200_000
"""Cells of a plan: days of the fastest machine, and a hundred times the largest lab here."""
_MAX_COMPARED = 1_000_000


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A combination that is no cell, and why; ``device`` is empty if the lab does not vary it."""

    kernel: str
    guest: str
    settings: str
    device: str
    testcase: str
    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """One combination of a lab: the cell of its first repeat, and how many repeats it has."""

    first: Cell
    repeats: int

    def cells(self) -> Iterator[Cell]:
        """Yield the cells of all repeats."""
        stem = self.first.id.removesuffix("1")
        for number in range(1, self.repeats + 1):
            yield replace(self.first, id=f"{stem}{number}", repeat=number)

    def left_out(self, reason: str) -> LeftOut:
        """Return the row as one that is not run."""
        one = self.first
        return LeftOut(
            one.kernel, one.guest.name, one.settings.name, one.device, one.testcase.name, reason
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """The rows that a run would run, and what was left out."""

    rows: tuple[Row, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell, the repeats of a row one after the other."""
        return tuple(cell for row in self.rows for cell in row.cells())

    @property
    def size(self) -> int:
        """How many cells there are."""
        return sum(row.repeats for row in self.rows)

    def keep(self, rows: Iterable[Row], reason: str) -> Plan:
        """Return the plan with these of its rows only; the others are left out for that reason."""
        kept = {row.first.id: row for row in rows}
        dropped = [row.left_out(reason) for row in self.rows if row.first.id not in kept]
        return Plan(tuple(kept.values()), (*self.left_out, *dropped))


@dataclass(frozen=True, slots=True)
class _Combination:
    kernel: Kernel
    guest: Guest
    device: str
    settings: HugepageSettings
    testcase: Testcase


def plan(lab: Lab) -> Plan:
    """Return every cell of a lab: kernels x guests x devices x settings x testcases x repeats.

    The product less the exclusions, and then the rows of the inclusions, each row once. A
    testcase under settings that make no sense for it is left out. One whose requirements the guest
    cannot meet stays a cell with ``skip`` set, so that the report shows the gap. Raises UserError
    for a lab of more cells than can be run, before any is made.
    """
    _check_size(lab)
    rows: dict[str, Row] = {}
    left_out: dict[str, LeftOut] = {}
    for one in _product(lab):
        row = _row(lab, one)
        reason = _impossible(one) or _excluded(row.first, lab.exclusions)
        if reason:
            left_out[row.first.id] = row.left_out(reason)
        else:
            rows[row.first.id] = row
    for inclusion in lab.inclusions:
        for one in _included(lab, inclusion):
            row = _row(lab, one)
            if reason := _impossible(one):
                left_out.setdefault(row.first.id, row.left_out(reason))
            else:
                left_out.pop(row.first.id, None)
                rows.setdefault(row.first.id, row)
    return Plan(tuple(rows.values()), tuple(left_out.values()))


def _check_size(lab: Lab) -> None:
    """Raise UserError for a lab whose cells are too many to be listed."""
    axes = [
        (lab.kernels, lab.guests, lab.devices or ("",), lab.settings, lab.testcases),
        *(
            (lab.kernels, one.guests, one.devices, one.settings, one.testcases)
            for one in lab.inclusions
        ),
    ]
    combinations, rows, cells = 0, 0, 0
    for kernels, guests, devices, settings, testcases in axes:
        places = len(kernels) * len(guests) * len(devices)
        combinations += places * len(settings) * len(testcases)
        if combinations > MAX_COMBINATIONS:
            break
        chosen = [one.name for one in settings]
        for testcase in testcases:
            some = places * sum(name in testcase.settings for name in chosen)
            rows += some
            cells += some * max(1, lab.repeats_of(testcase))
    for count, most, noun in (
        (combinations, MAX_COMBINATIONS, "combinations"),
        (cells, MAX_CELLS, "cells"),
        (rows * len(lab.exclusions), _MAX_COMPARED, "comparisons of cells with exclude entries"),
    ):
        if count > most:
            raise UserError(
                f"{lab.path}: the lab has at least {count} {noun}: at most {most} can be run",
                hint="take fewer guests, settings, testcases or repeats, or make several labs",
            )


def on_kernels(lab: Lab, kernels: tuple[Kernel, ...]) -> Lab:
    """Return the lab on other kernels, to be compared: all get the rows of its first one.

    An exclusion or inclusion that names the first kernel, or one of the new ones, holds for all; an
    expectation for the first kernel is one for what it is called now, and for what is built on it.
    """
    names = [lab.kernels[0].name, *(kernel.name for kernel in kernels)]
    exclusions = [one for one in lab.exclusions if any(matches(n, one.kernel) for n in names)]
    inclusions = [one for one in lab.inclusions if any(matches(n, one.kernel) for n in names)]
    return replace(
        lab,
        kernels=kernels,
        exclusions=tuple(replace(one, kernel=("*",)) for one in exclusions),
        inclusions=tuple(replace(one, kernel=("*",)) for one in inclusions),
        expectations=inherit(lab.expectations, kernels, lab.kernels[0]),
    )


def inherit(
    expectations: Iterable[Expectation], kernels: Sequence[Kernel], renamed: Kernel | None = None
) -> tuple[Expectation, ...]:
    """Return the expectations with the kernels that inherit them.

    ``renamed`` is a kernel that is among ``kernels`` by another name, or that they are built on.
    """
    return tuple(_inherited(one, kernels, renamed) for one in expectations)


def _inherited(
    known: Expectation, kernels: Sequence[Kernel], renamed: Kernel | None
) -> Expectation:
    known = replace(known, heirs=())  # those of a lab whose kernels were others
    named = [kernel for kernel in kernels if known.demands(kernel.name)]
    parents = list(named)
    if renamed is not None and known.demands(renamed.name):
        parents.append(renamed)
        same = [one for one in kernels if replace(one, name=renamed.name) == renamed]
        if same and not named:
            known, named = replace(known, kernel=same[0].name), same[:1]
    if not known.inherited:
        return replace(known, heirs=())
    # A pattern such as * means the kernels that are there, not that each series mends nothing.
    heirs = [
        kernel.name
        for kernel in kernels
        if kernel.name != known.kernel and any(kernel.is_built_on(parent) for parent in parents)
    ]
    return replace(known, heirs=tuple(heirs))


def _product(lab: Lab) -> Iterator[_Combination]:
    devices = lab.devices or ("",)
    for combination in itertools.product(
        lab.kernels, lab.guests, devices, lab.settings, lab.testcases
    ):
        yield _Combination(*combination)


def _included(lab: Lab, inclusion: Inclusion) -> Iterator[_Combination]:
    kernels = [kernel for kernel in lab.kernels if matches(kernel.name, inclusion.kernel)]
    for combination in itertools.product(
        kernels, inclusion.guests, inclusion.devices, inclusion.settings, inclusion.testcases
    ):
        yield _Combination(*combination)


def _row(lab: Lab, one: _Combination) -> Row:
    guest = with_devices(one.guest, one.device)
    first = Cell(
        id="",
        kernel=one.kernel.name,
        guest=guest,
        settings=one.settings,
        testcase=one.testcase,
        repeat=1,
        skip=unmet(one.testcase, guest),
        device=one.device,
    )
    return Row(replace(first, id=cell_id(first)), lab.repeats_of(one.testcase))


def cell_id(cell: Cell) -> str:
    """Return a cell's id, unique in its run and usable as a folder's name."""
    testcase = cell.testcase.name.replace("/", ".")
    return f"{cell.kernel}.{cell.place}.{cell.settings.name}.{testcase}.{cell.repeat}"


def more_repeats(cell: Cell, count: int) -> tuple[Cell, ...]:
    """Return the repeats of a cell that follow on it."""
    found = (replace(cell, repeat=cell.repeat + number) for number in range(1, count + 1))
    return tuple(replace(one, id=cell_id(one)) for one in found)


def device_names(device_set: str) -> tuple[str, ...]:
    """Return the devices of a device set such as ``a+b`` or ``none``."""
    return () if device_set == NO_DEVICE else tuple(device_set.split("+"))


def with_devices(guest: Guest, device_set: str) -> Guest:
    """Return the guest with the devices of a set only; with its own if the set is empty."""
    if not device_set:
        return guest
    names = device_names(device_set)
    return replace(guest, devices=tuple(d for d in guest.devices if d.name in names))


def _impossible(one: _Combination) -> str:
    """Return why a combination cannot be a cell at all, or an empty string."""
    if one.settings.name not in one.testcase.settings:
        return "makes no sense under these settings"
    if one.guest.boots is (one.testcase.host is not None):
        return "a host test runs on the guest 'host', and nothing else does"
    has = {device.name for device in one.guest.devices}
    for name in device_names(one.device) if one.device else ():
        if name not in has:
            return f"the guest {one.guest.name} has no device {name}"
    return ""


def _excluded(cell: Cell, exclusions: Sequence[Exclusion]) -> str:
    """Return why the lab file excludes a cell, or an empty string."""
    for one in exclusions:
        if selects(one.patterns, cell):
            return f"excluded in line {one.line}: {one.reason}"
    return ""


def _inexact(testcase: Testcase, guest: Guest) -> str:
    """Return why a guest cannot count instructions, or an empty string if it can or need not."""
    if guest.icount and testcase.upstream is not None and testcase.upstream.prepare:
        return "exact mode: a clone has its request before it could be prepared"
    if guest.icount and guest.cpus > 1:
        return f"exact mode needs a guest with one vCPU; {guest.name} has {guest.cpus}"
    if guest.icount and guest.userspace is Userspace.HOST:
        return f"exact mode needs a guest of the lab's own initramfs; {guest.name} is none"
    return ""


def unmet(testcase: Testcase, guest: Guest) -> str:
    """Return the first requirement of a testcase that a guest cannot meet, or an empty string."""
    if why := _inexact(testcase, guest):
        return why
    needs = testcase.requires
    if needs.userspace is not None and needs.userspace is not guest.userspace:
        return (
            f"needs {needs.userspace.phrase}; the guest {guest.name} has {guest.userspace.phrase}"
        )
    have = {device.name for device in guest.devices}
    missing = [name for name in needs.devices if name not in have]
    if missing:
        return f"needs the device {missing[0]}; the guest {guest.name} has none"
    for noun, need, has in (
        ("NUMA nodes", needs.nodes, len(guest.nodes)),
        ("vCPUs", needs.cpus, guest.cpus),
        ("MB of memory", needs.memory_mb, guest.memory_mb),
        ("MB of movable memory", needs.movable_mb, guest.movable_mb),
        ("slow NUMA nodes", needs.slow_nodes, guest.slow_nodes),
    ):
        if has < need:
            return f"needs {need} {noun}; the guest {guest.name} has {has}"
    if needs.swap and not guest.swap_mb:
        return f"needs swap; the guest {guest.name} has none"
    return ""


def select(whole: Plan, expression: str) -> Plan:
    """Return the rows that match a filter such as ``testcase=migrate/*,guest=q35``.

    Each term is ``field=pattern`` or a bare pattern for the testcase; a row has to match every
    term, and a pattern may list alternatives with ``|``. Raises UserError on an unknown field, on
    an alternative that matches nothing of the plan, and when nothing is left.
    """
    if not expression:
        return whole
    rows = whole.rows
    for term in expression.split(","):
        field, equals, pattern = term.strip().partition("=")
        if not equals:
            field, pattern = "testcase", field
        if field not in FIELDS:
            raise UserError(
                f"--filter: unknown field {field!r} in {term.strip()!r}",
                hint=f"fields: {', '.join(FIELDS)}; e.g. 'testcase=migrate/*,guest=q35'",
            )
        alternatives = pattern.split("|")
        _check_alternatives(whole, field, alternatives)
        rows = tuple(row for row in rows if selects({field: alternatives}, row.first))
    if not rows:
        raise UserError(
            f"--filter: no cell matches {expression!r}", hint="see what there is with: plan LAB"
        )
    return whole.keep(rows, f"not in --filter {expression}")


def _check_alternatives(whole: Plan, field: str, alternatives: Iterable[str]) -> None:
    """Raise UserError for a pattern that no row matches: a typo would silently run less."""
    for pattern in alternatives:
        if not any(selects({field: (pattern,)}, row.first) for row in whole.rows):
            names = [names_of(row.first)[field] for row in whole.rows]
            aliases = {alias for _, *more in names for alias in more}
            known = near_miss(pattern, {name for name, *_ in names}, aliases)
            raise UserError(
                f"--filter: no cell matches {field} {pattern!r}{known}",
                hint="see what there is with: plan LAB",
            )
