# SPDX-License-Identifier: GPL-2.0
"""From a lab file to a Lab: every name resolved, every mistake reported at once."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from rmaplab.collect import counters, ledger
from rmaplab.collect.splats import KINDS
from rmaplab.config import matrix, schema, yamlsource
from rmaplab.config.catalogue import Catalogue
from rmaplab.config.matrix import Axes
from rmaplab.config.yamlsource import Document, Location, items
from rmaplab.model import (
    FIELDS,
    INSTRUCTIONS,
    NO_DEVICE,
    Allowance,
    CoveragePolicy,
    CoverageScope,
    Expectation,
    Guest,
    Inclusion,
    Kernel,
    Lab,
    Limit,
    MemoryDumpPolicy,
    Outcome,
    QuarantineEntry,
    Verdict,
)
from rmaplab.model.regex import fault
from rmaplab.plan import inherit, plan
from rmaplab.text import near_miss

T = TypeVar("T")


def read(path: Path, catalogue: Catalogue) -> Lab:
    """Read and resolve a lab file.

    Raises UserError if it cannot be read, DiagnosticsError with all its mistakes, each with file,
    line and what was expected.
    """
    document = yamlsource.load(path)
    entry = schema.validate(document, schema.LabFile)
    # The names are checked in what the file says, valid or not: one mistake of shape must not
    # hide the others.
    _check_kernels(document, catalogue)
    guests = _pick(document, "guests", "guest", catalogue.guests)
    settings = _pick(document, "settings", "settings", catalogue.settings)
    picked = matrix.pick_testcases(document, ("testcases",), catalogue.testcases)
    chosen = {name for names in picked.values() for name in names}
    testcases = tuple(one for name, one in catalogue.testcases.items() if name in chosen)
    kernels = _kernel_names(document)
    axes = Axes(
        tuple(kernels) if all(kernels) else (),
        guests,
        settings,
        matrix.device_sets(document, ("devices",)),
        testcases,
    )
    matrix.check_exclusions(document, axes)
    inclusions = matrix.inclusions(document, axes, catalogue)
    _check_names(document, "expect", axes, inclusions)
    _check_splats(document)
    _check_names(document, "quarantine", axes, inclusions)
    _check_allowances(document)
    _check_days(document)
    _check_limits(document)
    if entry is None:
        document.check()
        raise AssertionError("a file that does not validate has mistakes")
    matrix.check_overlap(document, ("settings",), settings, testcases, "the matrix is empty")
    document.check()
    lab = Lab(
        name=entry.name,
        path=path.resolve(),
        kernels=tuple(
            Kernel(
                e.name,
                e.tree,
                e.series,
                tuple(e.config),
                arch=entry.arch,
                accept=tuple(e.accept),
                make_limit_s=entry.make_limit_s or 0,
            )
            for e in entry.kernels
        ),
        guests=guests,
        settings=settings,
        testcases=testcases,
        repeat=entry.repeat,
        expectations=_expectations(document, entry.expect),
        devices=axes.devices,
        repeats=_repeats(picked, entry.testcases),
        exclusions=matrix.exclusions(document, entry.exclude),
        inclusions=inclusions,
        cap=entry.cap or 0,
        audit=entry.audit,
        ledger=entry.ledger,
        allowances=_allowances(document, entry.allow),
        quarantine=_quarantine(document, entry.quarantine),
        postmortem=_keep_memory(entry.postmortem),
        limits=_limits(document, entry.limits),
        coverage=_coverage(entry.coverage),
    )
    _check_architectures(document, lab)
    _check_rows(document, lab)
    document.check()
    return replace(lab, expectations=inherit(lab.expectations, lab.kernels))


def _kernel_names(document: Document) -> list[str]:
    """Return the kernels' names; an empty one for a kernel whose name cannot be read."""
    names = [entry.get("name") for _, entry in items(document.value, "kernels", dict)]
    return [name if isinstance(name, str) else "" for name in names]


def _check_kernels(document: Document, catalogue: Catalogue) -> None:
    seen: set[str] = set()
    for number, entry in items(document.value, "kernels", dict):
        name = entry.get("name")
        if isinstance(name, str):
            if name in seen:
                document.complain(("kernels", number, "name"), f"two kernels are named {name!r}")
            seen.add(name)
        for place, fragment in items(entry, "config", str):
            if fragment not in catalogue.fragments:
                document.complain(
                    ("kernels", number, "config", place),
                    f"unknown Kconfig fragment {fragment!r}"
                    f"{near_miss(fragment, catalogue.fragments)}",
                )


def _pick(document: Document, key: str, noun: str, known: Mapping[str, T]) -> tuple[T, ...]:
    """Return the known things that match the patterns, in the catalogue's order, each once."""
    wanted = matrix.pick(document, (key,), noun, known)
    return tuple(thing for name, thing in known.items() if name in wanted)


def _repeats(
    picked: Mapping[int, Sequence[str]], entries: Sequence[schema.TestcaseEntry]
) -> dict[str, int]:
    """Return the repeats of the testcases that have their own: the last entry counts."""
    found: dict[str, int] = {}
    for number, names in picked.items():
        repeat = entries[number].repeat
        if repeat is not None:
            found.update(dict.fromkeys(names, repeat))
    return found


def _check_architectures(document: Document, lab: Lab) -> None:
    """Check that the kernels boot on every guest, also on those that the lab includes."""
    arch = lab.kernels[0].arch
    included = [guest for one in lab.inclusions for guest in one.guests]
    for guest in dict.fromkeys((*lab.guests, *included)):
        if guest.boots and guest.arch != arch:
            document.complain(
                ("guests",), f"the guest {guest.name} is {guest.arch}, the kernels are {arch}"
            )


def _check_rows(document: Document, lab: Lab) -> None:
    if lab.guests and lab.settings and lab.testcases and not plan(lab).rows:
        place = ("exclude",) if lab.exclusions else ("devices",)
        document.complain(place, "the matrix is empty: every combination is left out")


def _check_names(document: Document, key: str, axes: Axes, inclusions: Sequence[Inclusion]) -> None:
    """Complain of a pattern that matches nothing of the lab: its entry would say nothing."""
    guests = [*axes.guests, *(guest for one in inclusions for guest in one.guests)]
    testcases = [*axes.testcases, *(testcase for one in inclusions for testcase in one.testcases)]
    known = matrix.names(replace(axes, guests=tuple(guests), testcases=tuple(testcases)))
    known["settings"] += [s.name for one in inclusions for s in one.settings]
    known["device"] = [*_device_sets(axes, inclusions, guests)]
    for number, _ in items(document.value, key, dict):
        where: Location = (key, number)
        for field in FIELDS:
            # Without names there is another mistake, and all of them would be unknown.
            if known[field]:
                matrix.pick(document, (*where, field), f"{field} of this lab", known[field])


def _check_splats(document: Document) -> None:
    for number, entry in items(document.value, "expect", dict):
        splat = entry.get("splat")
        if isinstance(splat, str):
            _check_pattern(document, ("expect", number, "splat"), splat)


def _device_sets(
    axes: Axes, inclusions: Sequence[Inclusion], guests: Sequence[Guest]
) -> Iterator[str]:
    """Yield the device sets that cells of the lab may have, as Cell.devices spells them."""
    yield from filter(None, axes.devices)
    yield from (name for one in inclusions for name in one.devices if name)
    for guest in guests:
        yield "+".join(device.name for device in guest.devices) or NO_DEVICE


def _check_pattern(document: Document, where: Location, pattern: str) -> None:
    if why := fault(pattern):
        document.complain(where, why)


def _check_allowances(document: Document) -> None:
    for number, entry in items(document.value, "allow", dict):
        pattern, kind = entry.get("pattern"), entry.get("kind")
        if isinstance(pattern, str):
            _check_pattern(document, ("allow", number, "pattern"), pattern)
        if isinstance(kind, str) and kind and kind not in KINDS:
            document.complain(
                ("allow", number, "kind"), f"unknown kind {kind!r}{near_miss(kind, KINDS)}"
            )


def _check_days(document: Document) -> None:
    for key in ("allow", "quarantine"):
        for number, entry in items(document.value, key, dict):
            until = entry.get("until")
            if isinstance(until, str) and until and not _is_day(until):
                document.complain((key, number, "until"), f"not a date like 2027-01-31: {until!r}")


def _check_limits(document: Document) -> None:
    entries = document.value.get("limits") if isinstance(document.value, dict) else None
    for name in entries if isinstance(entries, dict) else ():
        if isinstance(name, str) and name != INSTRUCTIONS and not counters.may_be(name):
            known = (INSTRUCTIONS, *ledger.EXACT, *(one.partition(".")[2] for one in ledger.EXACT))
            document.complain(
                ("limits", name), f"no counter is named {name!r}{near_miss(name, known)}"
            )


def _limits(document: Document, entries: Mapping[str, int | str]) -> tuple[Limit, ...]:
    return tuple(
        Limit(
            name=name,
            more=float(value.rstrip("% ") if isinstance(value, str) else value),
            is_percent=isinstance(value, str),
            line=document.line(("limits", name)),
        )
        for name, value in entries.items()
    )


def _is_day(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _allowances(document: Document, entries: Sequence[schema.AllowEntry]) -> tuple[Allowance, ...]:
    return tuple(
        Allowance(
            pattern=entry.pattern,
            kind=entry.kind,
            reason=entry.reason,
            until=str(entry.until),
            line=document.line(("allow", number)),
        )
        for number, entry in enumerate(entries)
    )


def _quarantine(
    document: Document, entries: Sequence[schema.QuarantineEntry]
) -> tuple[QuarantineEntry, ...]:
    return tuple(
        QuarantineEntry(
            testcase=tuple(entry.testcase),
            guest=tuple(entry.guest),
            settings=tuple(entry.settings),
            device=tuple(entry.device),
            outcomes=tuple(Outcome(one) for one in entry.outcome),
            reason=entry.reason,
            owner=entry.owner,
            until=str(entry.until),
            line=document.line(("quarantine", number)),
        )
        for number, entry in enumerate(entries)
    )


def _keep_memory(entry: schema.PostmortemEntry | None) -> MemoryDumpPolicy:
    if entry is None:
        return MemoryDumpPolicy()
    return MemoryDumpPolicy(entry.run, entry.testcase, entry.max_mb, asked=True)


def _coverage(said: bool | None) -> CoveragePolicy:
    scope = CoverageScope.ALL if said else CoverageScope.NONE
    return CoveragePolicy(scope, asked=said is not None)


def _expectations(
    document: Document, entries: Sequence[schema.ExpectEntry]
) -> tuple[Expectation, ...]:
    found: list[Expectation] = []
    for number, entry in enumerate(entries):
        patterns = [entry.testcase] if isinstance(entry.testcase, str) else entry.testcase
        found += [
            Expectation(
                kernel=entry.kernel,
                testcase=pattern,
                guest=entry.guest,
                settings=entry.settings,
                device=entry.device,
                verdict=Verdict(entry.verdict),
                outcome=Outcome(entry.outcome),
                splat=entry.splat,
                subtests=tuple(entry.subtests),
                reason=entry.reason,
                line=document.line(("expect", number)),
                inherited=entry.inherited,
                tree=entry.tree,
            )
            for pattern in patterns
        ]
    return tuple(found)
