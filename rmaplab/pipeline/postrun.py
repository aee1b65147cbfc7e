# SPDX-License-Identifier: GPL-2.0
"""After the cells: source lines for what the kernels complained about, reports on memories.

Both are evidence, kept in the run's folder, so that judging it again needs neither kernel nor
cache. Neither can fail a run: what does not work is said once, and the rest stays as it is.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rmaplab.build import lines, sandbox
from rmaplab.build.lines import Lines
from rmaplab.collect import transcript
from rmaplab.collect.splats import places_of, with_sources
from rmaplab.errors import InfraError, RmaplabError, UserError
from rmaplab.evidence.events import MemoryNotSaved
from rmaplab.evidence.names import TRANSCRIPT
from rmaplab.log import log
from rmaplab.model import NO_REPORT, Build, Cell, Observation, ResolvedKernel
from rmaplab.pipeline.kernels import Kernels
from rmaplab.plan import plan
from rmaplab.source import patched
from rmaplab.store import memoryfile
from rmaplab.store.cache import Cache
from rmaplab.store.runfolder import CELLS, RunFolder, RunRecord
from rmaplab.text import near_miss

REPORT_LIMIT_S = 180.0
MAX_REPORT = 256 << 10
"""Characters of a report that other reports show; the file has all of it."""
MAX_RANGES = 64
_HOW_TO_KEEP = (
    "run it again with --postmortem 1; memories are kept of guests that complain, hang or die, "
    "by default of kernels with debug info alone (docs/postmortem.md)"
)


def look(
    folder: RunFolder,
    kernels: Kernels,
    builds: Mapping[str, Build],
    cache: Cache,
    seen: Sequence[tuple[Cell, Observation]],
) -> None:
    """Look up source lines and make reports, for the cells that were seen."""
    for name, build in builds.items():
        found = [one for cell, one in seen if cell.kernel == name]
        try:
            _look_up(folder, kernels[name], build, cache, found)
        except (RmaplabError, OSError) as error:
            log.warn(f"kernel {name}: no source lines: {error}")
            _write_lines(folder, build.key, {}, str(error))
    for cell, one in seen:
        if one.memory is not None and one.memory.file:
            _report_on(folder, cell, builds[cell.kernel].folder)


# -- source lines --------------------------------------------------------------------------------


def _look_up(
    folder: RunFolder,
    kernel: ResolvedKernel,
    build: Build,
    cache: Cache,
    seen: Sequence[Observation],
) -> None:
    if lines.vmlinux_of(build.folder) is None:
        return
    places = [place for one in seen for splat in one.splats for place in places_of(splat)]
    if not places:
        return
    source = patched.source_of(kernel.tree, kernel.series, cache)
    _write_lines(folder, build.key, lines.resolve(places, build.folder, source), "")


def _write_lines(folder: RunFolder, key: str, found: Lines, error: str) -> None:
    """Keep what is known of a kernel's places; what the run knew before stays known."""
    known = {**_saved_lines(folder, key)[0], **found}
    text = json.dumps({"error": error, "lines": known}, indent=1)
    folder.write(f"builds/{key}/{lines.KNOWN}", text + "\n")


def _saved_lines(folder: RunFolder, key: str) -> tuple[Lines, str]:
    """Return the lines that a run's folder has for a kernel, and why there are none, if so."""
    path = folder.path / "builds" / key / lines.KNOWN
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        found = {str(place): tuple(map(str, said)) for place, said in saved["lines"].items()}
        return found, str(saved["error"])
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}, ""


class PostRunEvidence:
    """Source lines and memory reports of a run's folder, to be put onto observations."""

    def __init__(self, folder: RunFolder, record: RunRecord) -> None:
        self._folder = folder
        saved = {name: _saved_lines(folder, f.key) for name, f in record.kernels.items()}
        self._lines = {name: found for name, (found, _) in saved.items()}
        self.remarks = tuple(
            f"kernel {name}: no source lines: {error}"
            for name, (_, error) in saved.items()
            if error
        )

    def onto(self, cell: Cell, seen: Observation) -> Observation:
        """Return the observation with source lines, and with the report on the cell's memory."""
        known = self._lines.get(cell.kernel)
        if known and seen.splats:
            splats = tuple(with_sources(splat, known) for splat in seen.splats)
            seen = replace(seen, splats=splats)
        if seen.memory is not None and seen.memory.file:
            path = memoryfile.of(self._folder, cell.id).with_name(memoryfile.REPORT)
            report = path.read_text("utf-8", "replace") if path.exists() else ""
            seen = replace(seen, memory=replace(seen.memory, report=report[:MAX_REPORT]))
        return seen


# -- memories ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SavedDump:
    """A saved memory of a cell's guest, and the folder of its kernel in the cache."""

    memory: Path
    build: Path


def find(cell: str, run: Path | None, cache: Cache, parent: Path = Path("reports")) -> SavedDump:
    """Find the saved memory of a cell, named by its id or its folder.

    Without ``run`` the latest run below ``parent`` that has the cell is taken. Raises UserError
    that says what is missing.
    """
    folder = _cell_folder(cell, run, parent)
    record = RunFolder.open(folder.parent.parent).read_record()
    memory = folder / memoryfile.NAME
    if not memory.exists():
        raise UserError(
            f"no memory was kept of {folder.name}{_why_none(folder)}", hint=_HOW_TO_KEEP
        )
    cells = {one.id: one for one in plan(record.lab).cells}
    if folder.name not in cells:
        raise UserError(f"{folder} is no cell of its run's lab")
    facts = record.kernels.get(cells[folder.name].kernel)
    if facts is None:
        raise UserError(f"{folder}: its run does not say which kernel that cell had")
    return SavedDump(memory, cache.path("builds", facts.key))


def _cell_folder(cell: str, run: Path | None, parent: Path) -> Path:
    given = Path(cell)
    if run is None and given.is_dir() and given.absolute().parent.name == CELLS:
        return given.absolute()
    name = given.name
    runs = [run] if run is not None else sorted(parent.glob("*"), reverse=True)
    for folder in runs:
        if (folder / CELLS / name).is_dir():
            return (folder / CELLS / name).absolute()
    where = f"{run}" if run is not None else f"no run below {parent}/"
    known = [path.name for folder in runs[:1] for path in (folder / CELLS).glob("*")]
    raise UserError(
        f"{where} has {'no' if run is not None else 'a'} cell {name}{near_miss(name, known)}",
        hint="the ids are in report.html and in results.json; --run names another run's folder",
    )


def _why_none(folder: Path) -> str:
    """Return why there is no memory, as far as the cell's evidence says it."""
    said = transcript.read(folder / TRANSCRIPT)
    if isinstance(said.memory, MemoryNotSaved):
        return f": {said.memory.detail}"
    if said.memory is not None:
        return ": it was removed since, or was that of a known failure"
    return f" (its guest ended with: {said.how or 'nothing'})"


def _report_on(folder: RunFolder, cell: Cell, build: Path) -> None:
    path = memoryfile.of(folder, cell.id)
    if path.with_name(memoryfile.REPORT).exists():
        return
    try:
        text = report(path, build)
    except (RmaplabError, OSError) as error:
        text = f"{NO_REPORT}{error}\n"
    folder.write(f"{CELLS}/{cell.id}/{memoryfile.REPORT}", text)


def report(memory: Path, build: Path) -> str:
    """Return drgn's report on a saved memory; ``build`` is the kernel's folder in the cache.

    Raises InfraError with what is missing if drgn says nothing.
    """
    vmlinux = vmlinux_for(build)
    require_drgn()
    with log.step(f"reading {memory}"), unpacked(memory) as dump:
        words = [sys.executable, "-m", "rmaplab.postmortem", str(dump), str(vmlinux)]
        words += _ranges(memory.with_name(TRANSCRIPT))
        said = sandbox.read(words, [dump, vmlinux], limit_s=REPORT_LIMIT_S)
    if not said.ended.ok:
        last = (said.complaint.splitlines() or ["it said nothing"])[-1]
        why = said.ended.stopped or f"status {said.ended.status}"
        raise InfraError(f"drgn ended: {why}: {last[:300]}")
    return said.text


def _ranges(path: Path) -> Iterator[str]:
    """Yield the registered pages as the program's arguments, the latest ones."""
    said = dict.fromkeys(transcript.read(path).pages)
    for pages in list(said)[-MAX_RANGES:]:
        yield f"{pages.pid}:{pages.address:x}:{min(pages.count, 4096)}:{pages.name}"


def vmlinux_for(build: Path) -> Path:
    """Return the vmlinux to read a memory with; InfraError says why there is none."""
    if not build.is_dir():
        raise InfraError(
            f"the kernel is not in the cache any more ({build})",
            hint="build it again: lab.py build LAB",
        )
    vmlinux = lines.vmlinux_of(build)
    if vmlinux is None:
        raise InfraError(
            "the kernel was built without debug info",
            hint="add the fragment debuginfo to its config in the lab file, and run the cell again",
        )
    return vmlinux


def require_drgn() -> None:
    """Raise InfraError if drgn is not installed."""
    if importlib.util.find_spec("drgn") is None:
        raise InfraError("drgn is not installed", hint="pip install 'rmaplab[postmortem]'")


@contextlib.contextmanager
def unpacked(memory: Path) -> Iterator[Path]:
    """Unpack a saved memory into the ELF core that drgn opens, for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="rmaplab-memory-") as scratch:
        dump = Path(scratch) / "memory.elf"
        memoryfile.unpack(memory, dump)
        yield dump
