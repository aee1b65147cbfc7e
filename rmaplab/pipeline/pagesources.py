# SPDX-License-Identifier: GPL-2.0
"""Read from a run's folder what report.html shows besides the results.

The folder may be somebody else's: what cannot be read is said on the page, or left out, and fails
nothing.
"""

from __future__ import annotations

import datetime
import email
import email.policy
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rmaplab.evidence import names
from rmaplab.report.htmlsources import FileChange, PageSources, ShownPatch, Stage
from rmaplab.source import diff
from rmaplab.source.diff import DiffError
from rmaplab.store import cellfiles, historyfile
from rmaplab.store.runfolder import SERIES, KernelFacts, RunFolder, RunRecord

_EVIDENCE = (
    names.CONSOLE_LOG, names.TRANSCRIPT, names.COUNTERS, names.SPLATS, names.QEMU_LOG,
    names.REPRODUCE, names.MEMORY, names.MEMORY_REPORT,
)  # fmt: skip
_OF_BUILD = ("build.log", ".config", "fragments.diff", "lines.json")
_MAX_MAIL = 2_000_000
"""Bytes of a patch, or of a cover letter, that are read."""
_MAX_SCRIPT = 64_000
_ALL_DIFFS = 1_500_000
"""Characters of all diffs on the page."""
_ONE_DIFF = 200_000
_COUNTED = 100
"""Patches whose lines git counts."""
# How reproduce.sh names a series that the run's folder has, and the command at its end.
_GIVEN = re.compile(r'^\[ -d "\$series" \] \|\| series=(.+)$', re.M)
_AGAIN = re.compile(r"^exec (.+)$", re.M)


def read(folder: RunFolder, record: RunRecord) -> PageSources:
    """Return what a run's folder has for its page."""
    return PageSources(
        patches=tuple(_patches(folder, record)),
        covers=dict(_covers(folder, record)),
        stages=_stages(record, folder.read_journal().events),
        links={name: _links(folder, facts) for name, facts in record.kernels.items()},
        evidence=lambda cell: _evidence(folder.place(cell)),
        again=lambda cell: _again(folder.place(cell) / names.REPRODUCE),
        counters=cellfiles.reader(folder),
        history=historyfile.read(folder),
    )


# -- the series ----------------------------------------------------------------------------------


def _patches(folder: RunFolder, record: RunRecord) -> Iterator[ShownPatch]:
    room = _ALL_DIFFS
    seen = 0
    for kernel, facts in record.kernels.items():
        for saved in facts.saved_patches:
            file = f"{SERIES}/{kernel}/{saved.file}"
            patch = _patch(kernel, file, folder.path / file, counted=seen < _COUNTED)
            seen += 1
            if len(patch.diff) > room:
                patch = ShownPatch(
                    kernel, patch.subject, file, patch.message, "", patch.changes,
                    "not shown here: the page has no room for it",
                )  # fmt: skip
            room -= len(patch.diff)
            yield patch
        if not facts.saved_patches:
            yield from (ShownPatch(kernel, subject, "") for subject in facts.patches)


def _patch(kernel: str, file: str, path: Path, *, counted: bool) -> ShownPatch:
    """Return a patch of the run's folder; one that cannot be read says why."""
    try:
        raw = _begin(path, _MAX_MAIL)
        changed = diff.trimmed(raw)
        subject, message = _mail(raw[: raw.find(changed)] if changed else raw)
        counts = diff.line_counts(changed) if counted and changed else ()
    except (OSError, DiffError) as error:
        return ShownPatch(kernel, path.name, file, error=f"cannot be read: {error}")
    text = changed.decode("utf-8", "replace")
    if len(text) > _ONE_DIFF:
        text = f"{text[:_ONE_DIFF]}\n[... {len(text) - _ONE_DIFF} more characters]\n"
    changes = tuple(FileChange(*one) for one in counts)
    return ShownPatch(kernel, subject or path.name, file, message, text, changes)


def _mail(raw: bytes) -> tuple[str, str]:
    """Return the subject without its brackets, and the text up to the three dashes."""
    try:
        parsed = email.message_from_bytes(raw, policy=email.policy.default)
        subject, text = str(parsed.get("Subject", "")), str(parsed.get_content())
    except (ValueError, LookupError, AttributeError, TypeError):  # a mail by somebody hostile
        return "", raw.decode("utf-8", "replace")
    subject = re.sub(r"^(\[[^]]*\]\s*)+", "", " ".join(subject.split()))
    return subject, re.split(r"^---$", text, maxsplit=1, flags=re.M)[0].strip()


def _covers(folder: RunFolder, record: RunRecord) -> Iterator[tuple[str, str]]:
    for kernel in record.kernels:
        path = folder.path / SERIES / kernel / "cover-letter.txt"
        if path.is_file():
            try:
                yield kernel, _begin(path, _ONE_DIFF).decode("utf-8", "replace").strip()
            except OSError:
                continue


# -- times and files -----------------------------------------------------------------------------


_PARTS = {"kernel": "kernel {}", "templates": "guests booted", "cell": "cells"}
"""The parts of a run by the event of the journal that each ends with."""


def _stages(record: RunRecord, events: tuple[Mapping[str, Any], ...]) -> tuple[Stage, ...]:
    """Return the parts of a run: each ends with an event of the journal."""
    begin = _time(record.began)
    if begin is None:
        return ()
    marks: dict[str, float] = {}
    for event in events:
        at = _time(event.get("time"))
        part = _PARTS.get(str(event["event"]), "")
        if at is None or not part:
            continue
        marks[part.format(event.get("kernel", ""))] = at
    if (end := _time(record.ended)) is not None:
        marks["after the cells"] = end
    found, last = [], 0.0
    for name, at in marks.items():
        after = max(at - begin, last)
        found.append(Stage(name, last, after))
        last = after
    return tuple(found)


def _time(value: object) -> float | None:
    try:
        return datetime.datetime.fromisoformat(str(value)).timestamp()
    except (ValueError, OverflowError):
        return None


def _links(folder: RunFolder, facts: KernelFacts) -> tuple[str, ...]:
    found = (f"builds/{facts.key}/{name}" for name in _OF_BUILD)
    return tuple(name for name in found if facts.key and (folder.path / name).is_file())


def _evidence(place: Path) -> tuple[str, ...]:
    try:
        there = {entry.name for entry in place.iterdir()}
    except OSError:
        return ()
    return tuple(name for name in _EVIDENCE if name in there)


def _again(path: Path) -> str:
    """Return the command of a cell's reproduce.sh, with the series as the run was given it."""
    try:
        text = _begin(path, _MAX_SCRIPT).decode("utf-8", "replace")
    except OSError:
        return ""
    command, given = _AGAIN.search(text), _GIVEN.search(text)
    if command is None:
        return ""
    return command[1].replace('"$series"', given[1] if given else '"$series"')


def _begin(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit)
