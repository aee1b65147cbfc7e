# SPDX-License-Identifier: GPL-2.0
"""The folder of a run: the contract that other programs read (docs/run-folder.md).

run.json says what was asked and holds the resolved lab, so that a saved run can be judged again
without any file of the checkout. A run's folder may be somebody else's: whatever it says, nothing
outside of it is written.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import pydantic

from rmaplab.errors import ExitCode, InfraError, UserError
from rmaplab.evidence.names import MEMORY
from rmaplab.judge import due
from rmaplab.model import Allowlist, Cell, Expectation, Lab, LabOptions, Quarantine, regex
from rmaplab.model.prefixes import PatchFacts
from rmaplab.plan import more_repeats
from rmaplab.store import cellseal, foreign
from rmaplab.store.cache import remove
from rmaplab.store.files import half_of, make_folder, sync, write_whole
from rmaplab.text import json_printable

SCHEMA_VERSION = 1
JOURNAL = "events.jsonl"
RECORD = "run.json"
MAX_CELLS = 1_000_000
"""More cells than any lab has: a record that asks for more is damaged."""
# A name that is one part of a path.
_NAME = re.compile(r"[^./\x00-\x1f\x7f][^/\x00-\x1f\x7f]{0,199}")
CELLS = "cells"
"""The folder of a run that has one for each cell."""


RANGE_DIFF = "range-diff.txt"
"""The file of a run that compares two revisions of a series: what git range-diff says."""
SERIES = "series"
"""The folder of a run that has the patches of each kernel, in a folder by its name."""


@dataclass(slots=True)
class SavedPatch:
    """A patch in a run's folder: its file below ``series/<kernel>/``, its diff's digest."""

    file: str
    digest: str


@dataclass(slots=True)
class KernelFacts:
    """A kernel as run.json has it, built or not; ``error`` is empty if it was built.

    ``tree_entry`` is the tree's name in the cache, ``symbols`` the requested configuration,
    ``recipe`` and ``environment`` how the lab builds kernels, ``selftests`` the digest of the
    programs of the tree's own selftests, ``image`` the SHA-256 of what boots. Of ``saved_patches``
    the first ``onto`` are those of the series that the kernel's own is on top of. A run of an
    earlier version of the lab has none of these.
    """

    tree: str
    origin: str
    version: str
    digest: str
    series: str
    patches: list[str]
    config: list[str]
    toolchain: str
    key: str
    release: str = ""
    error: str = ""
    tree_entry: str = ""
    saved_patches: list[SavedPatch] = field(default_factory=list)
    onto: int = 0
    symbols: dict[str, str] = field(default_factory=dict)
    recipe: str = ""
    environment: str = ""
    selftests: str = ""
    image: str = ""


@dataclass(slots=True)
class Programs:
    """The programs of a run's guests: the SHA-256 of the initramfs, and of its sources.

    ``sources`` are digests by part: the agent, the testcase library, each testcase by its name.
    """

    initramfs: str
    sources: dict[str, str]


@dataclass(slots=True)
class RunRecord:
    """The content of run.json.

    ``comparison`` names the kernels A and B of an A/B run; ``cells`` are the ids that were asked
    for, of the cells that the lab plans; ``accelerator`` is what was asked for until it is settled;
    ``interrupted`` says that not all of the cells were run. ``lab_cells`` is how many cells the
    whole lab has (0 in a record that does not say), ``narrowed`` the options that chose some.
    ``options`` are those by which ``lab`` was made of the lab file, ``programs`` what its guests
    run; None in a record that does not say. ``directory`` is the folder where
    the command was given. ``failure`` is the error that ended the run before its end, with the exit
    code ``failure_code``; empty for an interruption, and for a kernel that was not built.
    ``confirm`` is how often a row of an A/B that is worse is run again, ``again`` the ids of these
    repeats, which are not among ``cells``. ``id`` is the run's own, empty in an older record.
    ``not_recorded`` says why it was not recorded what the cells run, although the lab wants it.
    ``notes`` are remarks for every report. ``patches`` are those of a series that was checked patch
    by patch, against the lab's first kernel. ``previous`` is the kernel of an A/B that has an older
    revision of the series.
    """

    lab: Lab
    cells: tuple[str, ...]
    command: tuple[str, ...]
    began: str
    ended: str = ""
    interrupted: bool = False
    comparison: tuple[str, str] | None = None
    kernels: dict[str, KernelFacts] = field(default_factory=dict)
    accelerator: str = ""
    host: dict[str, str] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)
    lab_cells: int = 0
    narrowed: str = ""
    options: LabOptions | None = None
    programs: Programs | None = None
    directory: str = ""
    failure: str = ""
    failure_code: ExitCode = ExitCode.INFRA
    confirm: int = 0
    again: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    patches: tuple[PatchFacts, ...] = ()
    previous: str = ""
    id: str = ""
    not_recorded: str = ""
    schema_version: int = SCHEMA_VERSION

    @property
    def is_whole(self) -> bool:
        """True if every cell was run: not for an interrupted run, nor for one that was killed."""
        return bool(self.ended) and not self.interrupted

    @property
    def part(self) -> str:
        """A line on the cells that were not asked for; empty for a run of the whole lab."""
        others = self.lab_cells - len(self.cells)
        if others <= 0:
            return ""
        return f"{others} of the lab's {self.lab_cells} cells were not run: {self.narrowed}"

    @property
    def not_built(self) -> dict[str, str]:
        """The kernels that were not built, and why."""
        return {name: facts.error for name, facts in self.kernels.items() if facts.error}

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the kernels, by name."""
        return {name: facts.version for name, facts in self.kernels.items()}

    @property
    def expectations(self) -> tuple[Expectation, ...]:
        """The lab's expectations, each for the kernels that are in its range."""
        return due(self.lab.expectations, self.versions)

    @property
    def quarantine(self) -> Quarantine:
        """The lab's quarantine on the day on which the run began, whenever it is judged."""
        return Quarantine(self.lab.quarantine, self.began[: len("YYYY-MM-DD")])

    @property
    def allowlist(self) -> Allowlist:
        """The lab's allowances on the day on which the run began, whenever it is judged."""
        return Allowlist(self.lab.allowances, self.began[: len("YYYY-MM-DD")])


_RECORD = pydantic.TypeAdapter(RunRecord)


@dataclass(frozen=True, slots=True)
class Journal:
    """The lines of events.jsonl that can be read, and the numbers of those that cannot."""

    events: tuple[Mapping[str, Any], ...] = ()
    damaged: tuple[int, ...] = ()

    @property
    def finished(self) -> frozenset[str]:
        """The ids of the cells that were finished."""
        return frozenset(e["cell"] for e in self.events if e["event"] == "cell")

    @property
    def sealed(self) -> Mapping[str, Mapping[str, str]]:
        """The digests of the evidence by file, by the cell's id; of a cell's lines the last counts.

        A run of an earlier version of the lab has none.
        """
        lines = [e for e in self.events if e["event"] == "cell"]
        return {e["cell"]: e["evidence"] for e in lines if "evidence" in e}

    @property
    def remarks(self) -> tuple[str, ...]:
        """A line for each damaged line of the journal."""
        return tuple(
            f"{JOURNAL}:{number}: the line is damaged; a cell that it told of counts as not run"
            for number in self.damaged
        )


def _event(line: bytes) -> Mapping[str, Any] | None:
    """Return the event that a line of the journal tells; None for a damaged line."""
    try:
        event = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        return None
    return event if event["event"] != "cell" or _is_of_cell(event) else None


def _is_of_cell(event: Mapping[str, Any]) -> bool:
    evidence = event.get("evidence", {})
    return (
        isinstance(event.get("cell"), str)
        and isinstance(evidence, dict)
        and all(isinstance(digest, str) for digest in evidence.values())
    )


def now() -> str:
    """Return the present time, UTC, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


class RunFolder:
    """One run on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = threading.Lock()

    @classmethod
    def create(cls, parent: Path, name: str) -> RunFolder:
        """Make a folder below ``parent``, named by time and lab; InfraError if that cannot be."""
        stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        for suffix in ("", *(f"-{number}" for number in range(2, 100))):
            path = parent / f"{stamp}-{name}{suffix}"
            try:
                make_folder(path, exist_ok=False)
            except FileExistsError:
                continue
            except OSError as error:
                raise InfraError(
                    f"cannot make the run's folder {path}: {error.strerror}",
                    hint="name another place with --output",
                ) from error
            return cls(path)
        raise InfraError(f"too many runs at once below {parent}")

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Return a saved run; UserError if there is none, or if it holds what the lab never writes.

        That is a link, a FIFO, a file of gigabytes: the folder may be somebody else's.
        """
        if not (path / RECORD).is_file():
            raise UserError(f"{path} is no run: it has no {RECORD}")
        foreign.check(path, "a run's folder", frozenset({MEMORY}))
        return cls(path)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run, so that no other lab works on it; UserError if one does.

        The lock ends with the process that holds it, also with one that was killed.
        """
        guard = filelock.FileLock(self.inside(".lock"))
        try:
            guard.acquire(timeout=0)
        except filelock.Timeout as error:
            raise UserError(f"another lab works on {self.path}") from error
        except OSError as error:
            raise InfraError(f"cannot write to {self.path}: {error.strerror}") from error
        try:
            self._begin_journal()
            yield
        finally:
            guard.release()

    def _begin_journal(self) -> None:
        """Make the journal if there is none, its name on the disk. Raises InfraError."""
        path = self.inside(JOURNAL)
        if path.exists():
            return
        try:
            path.touch()
            sync(self.path)
        except OSError as error:
            raise InfraError(f"cannot write {path}: {error.strerror}") from error

    def inside(self, name: str) -> Path:
        """Return the path of a file of the run.

        Raises UserError for a name that leads out of the folder, by itself or through a link.
        """
        parts = name.split("/")
        if any(part in {"", ".", ".."} or "\0" in part for part in parts):
            raise UserError(f"{self.path}: {name!r} is no file of a run")
        path = self.path
        for part in parts:
            path = path / part
            if path.is_symlink():
                raise UserError(f"{path} is a link: nothing is written through it")
        return path

    def place(self, cell: str) -> Path:
        """Return where the evidence of a cell is, or would be; ``cell`` is its id."""
        return self.path / CELLS / cell

    def cell(self, cell: Cell) -> Path:
        """Return the folder of a cell's evidence, empty: what an earlier attempt left goes."""
        path = self.inside(f"{CELLS}/{cell.id}")
        if path.exists():
            remove(path)
        make_folder(path)
        return path

    def seal(self, cell: str) -> Mapping[str, str]:
        """Bring a cell's evidence to the disk; return its digests by file. Raises InfraError."""
        place = self.place(cell)
        try:
            return cellseal.seal(place)
        except OSError as error:
            raise InfraError(
                f"cannot bring {error.filename or place} to the disk: {error.strerror}"
            ) from error

    def spoilt(self, journal: Journal, cells: Iterable[str]) -> dict[str, str]:
        """Return what is wrong with the evidence of finished cells, by id.

        Evidence that is as it was when its cell finished is not named, nor is that of a cell of
        which the journal has no digests.
        """
        sealed = journal.sealed
        found = {c: cellseal.difference(self.place(c), sealed[c]) for c in cells if c in sealed}
        return {cell: why for cell, why in found.items() if why}

    def write_record(self, record: RunRecord) -> None:
        """Write run.json."""
        self.write(RECORD, json_printable(_RECORD.dump_json(record, indent=1).decode()) + "\n")

    def read_record(self) -> RunRecord:
        """Read run.json.

        Raises UserError if it is damaged, names what could be no file of a run, or is from another
        version of the lab.
        """
        path = self.path / RECORD
        try:
            text = path.read_bytes()
            raw = json.loads(text)
            version = raw["schema_version"]
            if version != SCHEMA_VERSION:
                raise UserError(
                    f"{path}: schema_version {version!r}, this lab reads {SCHEMA_VERSION}"
                )
            record = _RECORD.validate_json(text)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f"{path} cannot be read as a run: {error}") from error
        _check_names(path, record)
        return record

    def write(self, name: str, text: str | bytes | Iterable[str], *, derived: bool = False) -> Path:
        """Write a file of the run, maybe in pieces, so that it is there whole or not at all.

        It is on the disk on return unless it is ``derived``, so that it can be made again from
        others. Raises UserError for a name outside the run, InfraError if the file cannot be
        written.
        """
        path = self.inside(name)
        self.inside(str(half_of(Path(name))))
        try:
            make_folder(path.parent)
            write_whole(path, text, durable=not derived)
        except OSError as error:
            raise InfraError(f"cannot write {path}: {error.strerror}") from error
        return path

    def journal(self, event: str, **facts: Any) -> None:
        """Append a line to events.jsonl and bring it to the disk."""
        line = json.dumps({"time": now(), "event": event, **facts})
        path = self.inside(JOURNAL)
        try:
            with self._journal, path.open("a+b") as file:
                if file.tell() and not _ends_whole(file):
                    file.write(b"\n")  # a killed lab's half line must not spoil this one
                file.write(f"{line}\n".encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InfraError(
                f"cannot write to {self.path}: {error.strerror}",
                hint="what was measured before is there: lab.py report " + str(self.path),
            ) from error

    def read_journal(self) -> Journal:
        """Read events.jsonl; UserError if it cannot be read.

        A damaged line, such as one that a killed lab left half written, costs no other line.
        """
        path = self.path / JOURNAL
        if not path.exists():
            return Journal()
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from error
        found = {n: _event(line) for n, line in enumerate(lines, start=1) if line.strip()}
        return Journal(
            tuple(event for event in found.values() if event is not None),
            tuple(number for number, event in found.items() if event is None),
        )

    def events(self) -> Iterator[Mapping[str, Any]]:
        """Yield the events of the journal."""
        yield from self.read_journal().events

    def finished(self) -> frozenset[str]:
        """Return the ids of the cells that the journal says were finished."""
        return self.read_journal().finished


def _check_names(path: Path, record: RunRecord) -> None:
    """Raise UserError for a name that a file of the run is called by and that is no file's name."""
    lab = record.lab
    inclusions = lab.inclusions
    names = {
        "kernel": [*(kernel.name for kernel in lab.kernels), *record.kernels],
        "key": [facts.key for facts in record.kernels.values()],
        "tree": [facts.tree_entry for facts in record.kernels.values() if facts.tree_entry],
        "patch": [one.file for facts in record.kernels.values() for one in facts.saved_patches],
        "guest": [g.name for g in (*lab.guests, *(g for i in inclusions for g in i.guests))],
        "settings": [s.name for s in (*lab.settings, *(s for i in inclusions for s in i.settings))],
        "device set": [*lab.devices, *(d for i in inclusions for d in i.devices if d)],
        "testcase": [t.name.replace("/", ".") for t in lab.every_testcase],
    }
    for noun, some in names.items():
        for name in some:
            if not _NAME.fullmatch(name):
                raise UserError(f"{path}: {name!r} can be no {noun} of a run")
    wanted = {kernel.name for kernel in lab.kernels if record.kernels} | {
        *(record.comparison or ())
    }
    if lacking := sorted(wanted - record.kernels.keys()):
        raise UserError(f"{path}: it does not say which kernel {lacking[0]!r} was")
    patterns = [
        *(one.pattern for one in lab.allowances),
        *(one.splat for one in lab.expectations),
    ]
    for pattern in patterns:
        if why := regex.fault(pattern):
            raise UserError(f"{path}: {pattern[:80]!r}: {why}")
    repeats = max([lab.repeat, record.confirm, *lab.repeats.values()])
    if repeats > MAX_CELLS or len(record.cells) + len(record.again) > MAX_CELLS:
        raise UserError(f"{path}: a run has no {max(repeats, len(record.cells))} cells")


def _ends_whole(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def planned(record: RunRecord, cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Return the cells of a plan that a record asks for, in the plan's order.

    Behind them are the repeats of those that were run again. Raises UserError if the record asks
    for one that its lab does not plan: it would be left out of every report without a word.
    """
    wanted = set(record.cells)
    found = [cell for cell in cells if cell.id in wanted]
    if record.again:
        more = {one.id: one for cell in found for one in more_repeats(cell, record.confirm)}
        found += [more[name] for name in record.again if name in more]
    if missing := sorted({*record.cells, *record.again} - {cell.id for cell in found}):
        raise UserError(
            f"{RECORD} asks for {len(missing)} cells that its lab does not have: {missing[0]!r}"
        )
    return tuple(found)
