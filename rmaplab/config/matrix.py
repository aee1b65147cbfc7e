# SPDX-License-Identifier: GPL-2.0
"""The matrix of a lab file: device sets, exclusions, inclusions.

Names are looked up in the document as it stands, valid or not, so that a mistake of shape elsewhere
hides no mistake of a name here.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rmaplab.config.catalogue import DEVICES, Catalogue
from rmaplab.config.schema import ANY, ExcludeEntry
from rmaplab.config.yamlsource import Document, Location, items, words
from rmaplab.model import (
    FIELDS,
    NO_DEVICE,
    Exclusion,
    Guest,
    HugepageSettings,
    Inclusion,
    Testcase,
    TestcaseKind,
)
from rmaplab.text import near_miss

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Axes:
    """The dimensions of a lab; ``kernels`` are names, and none where one cannot be read."""

    kernels: tuple[str, ...]
    guests: tuple[Guest, ...]
    settings: tuple[HugepageSettings, ...]
    devices: tuple[str, ...]
    testcases: tuple[Testcase, ...]


def pick_testcases(
    document: Document, location: Location, known: Mapping[str, Testcase]
) -> dict[int, list[str]]:
    """Return the testcases that each pattern or id at a location matches, by its list index.

    A pattern never takes in the lab's selftests; only a full name or an id does.
    """
    ids = {testcase.id: testcase.name for testcase in known.values()}
    found: dict[int, list[str]] = {}
    for where, pattern in words(document.value, location):
        exact = ids.get(pattern, pattern)
        matches = [
            name
            for name in fnmatch.filter(known, exact)
            if name == exact or known[name].kind is not TestcaseKind.SELFTEST
        ]
        if not matches:
            hint = near_miss(pattern, known, ids)
            document.complain(where, f"unknown testcase {pattern!r}{hint}")
        place = where[len(location)] if len(where) > len(location) else 0
        assert isinstance(place, int)
        found[place] = matches
    return found


def pick(document: Document, location: Location, noun: str, known: Iterable[str]) -> frozenset[str]:
    """Return the known names that match the patterns at a location."""
    candidates = list(known)
    found: set[str] = set()
    for where, pattern in words(document.value, location):
        matches = fnmatch.filter(candidates, pattern)
        if not matches:
            document.complain(where, f"unknown {noun} {pattern!r}{near_miss(pattern, candidates)}")
        found.update(matches)
    return frozenset(found)


def device_sets(document: Document, location: Location) -> tuple[str, ...]:
    """Return the device sets at a location: ``none``, a device, or several joined by ``+``."""
    known = [device.name for device in DEVICES]
    found: list[str] = []
    for where, text in words(document.value, location):
        parts = text.split("+")
        unknown = [name for name in parts if name not in known and text != NO_DEVICE]
        for name in unknown:
            hint = near_miss(name, [*known, NO_DEVICE])
            document.complain(where, f"unknown device {name!r}{hint}")
        if not unknown:
            found.append("+".join(name for name in known if name in parts) or NO_DEVICE)
    return tuple(dict.fromkeys(found))


def names(axes: Axes) -> dict[str, list[str]]:
    """Return the names that a pattern may match, by field; none where they cannot be read."""
    return {
        "kernel": [*axes.kernels, "base", "patched"] if axes.kernels else [],
        "guest": [guest.name for guest in axes.guests],
        "settings": [settings.name for settings in axes.settings],
        "device": list(axes.devices),
        "testcase": [n for t in axes.testcases for n in (t.name, t.id)],
    }


def check_exclusions(document: Document, axes: Axes) -> None:
    """Complain of ``exclude`` entries with a pattern that matches nothing of the lab."""
    known = names(axes)
    for number, entry in items(document.value, "exclude", dict):
        where: Location = ("exclude", number)
        if not any(field in entry for field in FIELDS):
            document.complain(where, f"an exclude entry has to name one of: {', '.join(FIELDS)}")
        if "device" in entry and not axes.devices:
            document.complain((*where, "device"), "the lab does not vary the devices: no `devices`")
        for field in FIELDS:
            # Without names there is another mistake, and all of them would be unknown.
            if known[field]:
                pick(document, (*where, field), f"{field} of this lab", known[field])


def exclusions(document: Document, entries: Sequence[ExcludeEntry]) -> tuple[Exclusion, ...]:
    """Return the exclusions of a lab file that is valid."""
    return tuple(
        Exclusion(
            kernel=tuple(entry.kernel),
            guest=tuple(entry.guest),
            settings=tuple(entry.settings),
            device=tuple(entry.device),
            testcase=tuple(entry.testcase),
            reason=entry.reason,
            line=document.line(("exclude", number)),
        )
        for number, entry in enumerate(entries)
    )


def inclusions(document: Document, axes: Axes, catalogue: Catalogue) -> tuple[Inclusion, ...]:
    """Return the ``include`` entries; complain of one that adds no combination."""
    found = []
    for number, entry in items(document.value, "include", dict):
        where: Location = ("include", number)
        if not any(field in entry for field in FIELDS):
            document.complain(where, f"an include entry has to name one of: {', '.join(FIELDS)}")
        if axes.kernels:
            known = [*axes.kernels, "base", "patched"]
            pick(document, (*where, "kernel"), "kernel of this lab", known)
        guests = pick(document, (*where, "guest"), "guest", catalogue.guests)
        settings = pick(document, (*where, "settings"), "settings", catalogue.settings)
        testcases = pick_testcases(document, (*where, "testcase"), catalogue.testcases)
        picked = {name for matches in testcases.values() for name in matches}
        one = Inclusion(
            kernel=tuple(w for _, w in words(document.value, (*where, "kernel"))) or ANY,
            guests=_named(catalogue.guests, guests) if "guest" in entry else axes.guests,
            settings=(
                _named(catalogue.settings, settings) if "settings" in entry else axes.settings
            ),
            devices=(
                device_sets(document, (*where, "device"))
                if "device" in entry
                else axes.devices or ("",)
            ),
            testcases=(
                _named(catalogue.testcases, picked) if "testcase" in entry else axes.testcases
            ),
            line=document.line(where),
        )
        check_overlap(document, where, one.settings, one.testcases, "this adds no cell")
        found.append(one)
    return tuple(found)


def check_overlap(
    document: Document,
    where: Location,
    settings: Sequence[HugepageSettings],
    testcases: Sequence[Testcase],
    complaint: str,
) -> None:
    """Complain if no testcase makes sense under any of some settings."""
    chosen = {one.name for one in settings}
    if settings and testcases and not any(chosen & set(t.settings) for t in testcases):
        makes_sense = sorted({name for testcase in testcases for name in testcase.settings})
        document.complain(
            where,
            f"{complaint}: none of these testcases makes sense under these settings; "
            f"they run under {', '.join(makes_sense)}",
        )


def _named(known: Mapping[str, T], names: Iterable[str]) -> tuple[T, ...]:
    chosen = set(names)
    return tuple(thing for name, thing in known.items() if name in chosen)
