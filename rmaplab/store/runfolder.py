# SPDX-License-Identifier: GPL-2.0
"""The folder of a run: the contract that other programs read (docs/run-folder.md).

run.json says what was asked and holds the resolved lab, so that a saved run can be judged again
without any file of the checkout.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import filelock
import pydantic

from rmaplab.errors import InfraError, UserError
from rmaplab.model import Allowlist, Cell, Lab
from rmaplab.store.files import write_whole

SCHEMA_VERSION = 1
CELLS = "cells"
"""The folder of a run that has one for each cell."""


@dataclass(slots=True)
class KernelFacts:
    """What run.json says of a kernel, built or not; ``error`` is empty if it was built."""

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
    error_kind: str = ""


@dataclass(slots=True)
class RunRecord:
    """The content of run.json.

    ``comparison`` names the kernels A and B of an A/B run; ``cells`` are the ids that were asked
    for, of the cells that the lab plans; ``accelerator`` is what was asked for until it is settled;
    ``interrupted`` says that not all of the cells were run. ``lab_cells`` is how many cells the
    whole lab has (0 in a record that does not say), ``narrowed`` the options that chose some.
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
    schema_version: int = SCHEMA_VERSION

    @property
    def is_whole(self) -> bool:
        """Whether every cell was run: not for an interrupted run, nor for one that was killed."""
        return bool(self.ended) and not self.interrupted

    @property
    def part(self) -> str:
        """What was not asked for, in a line; empty for a run of the whole lab."""
        others = self.lab_cells - len(self.cells)
        if others <= 0:
            return ""
        return f"{others} of the lab's {self.lab_cells} cells were not run: {self.narrowed}"

    @property
    def allowlist(self) -> Allowlist:
        """The lab's allowances on the day on which the run began, whenever it is judged."""
        return Allowlist(self.lab.allowances, self.began[: len("YYYY-MM-DD")])


_RECORD = pydantic.TypeAdapter(RunRecord)


def now() -> str:
    """The present time, UTC, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


class RunFolder:
    """One run on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, parent: Path, name: str) -> RunFolder:
        """A new folder below ``parent``, named by time and lab; InfraError if it cannot be made."""
        stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        for suffix in ("", *(f"-{number}" for number in range(2, 100))):
            path = parent / f"{stamp}-{name}{suffix}"
            try:
                path.mkdir(parents=True)
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
        """A saved run; UserError if there is none."""
        if not (path / "run.json").is_file():
            raise UserError(f"{path} is no run: it has no run.json")
        return cls(path)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run, so that no other lab works on it; UserError if one does.

        The lock ends with the process that holds it, also with one that was killed.
        """
        guard = filelock.FileLock(self.path / ".lock")
        try:
            guard.acquire(timeout=0)
        except filelock.Timeout as error:
            raise UserError(f"another lab works on {self.path}") from error
        try:
            yield
        finally:
            guard.release()

    def place(self, cell: str) -> Path:
        """Where the evidence of a cell is, or would be; ``cell`` is its id."""
        return self.path / CELLS / cell

    def cell(self, cell: Cell) -> Path:
        """The folder of a cell's evidence, made if need be."""
        path = self.place(cell.id)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def write_record(self, record: RunRecord) -> None:
        """Write run.json."""
        self.write("run.json", _RECORD.dump_json(record, indent=1).decode() + "\n")

    def read_record(self) -> RunRecord:
        """Read run.json; UserError if it is not whole or from another version of the lab."""
        path = self.path / "run.json"
        try:
            raw = json.loads(path.read_bytes())
            version = raw["schema_version"]
            if version != SCHEMA_VERSION:
                raise UserError(
                    f"{path}: schema_version {version}, this lab reads {SCHEMA_VERSION}"
                )
            return _RECORD.validate_json(path.read_bytes())
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} cannot be read as a run: {error}") from error

    def write(self, name: str, text: str | Iterable[str]) -> Path:
        """Write a file of the run, maybe in pieces, so that it is there whole or not at all."""
        path = self.path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text)
        except OSError as error:
            raise InfraError(f"cannot write {path}: {error.strerror}") from error
        return path

    def journal(self, event: str, **facts: Any) -> None:
        """Append a line to events.jsonl and bring it to the disk."""
        line = json.dumps({"time": now(), "event": event, **facts})
        try:
            with (self.path / "events.jsonl").open("a+b") as file:
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

    def events(self) -> Iterator[Mapping[str, Any]]:
        """The journal's whole lines; one that a killed lab left half written is passed over."""
        path = self.path / "events.jsonl"
        if not path.exists():
            return
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event

    def finished(self) -> set[str]:
        """The ids of the cells that the journal says were finished."""
        return {str(e["cell"]) for e in self.events() if e.get("event") == "cell"}


def _ends_whole(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def planned(record: RunRecord, cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The cells of a plan that a record asks for, in the plan's order."""
    wanted = set(record.cells)
    return tuple(cell for cell in cells if cell.id in wanted)
