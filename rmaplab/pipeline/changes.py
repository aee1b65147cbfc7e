# SPDX-License-Identifier: GPL-2.0
"""After the cells: where a series' code is in its kernel, kept in the run's folder.

Judging a saved run needs neither kernel nor cache then. It cannot fail a run: where it does not
work, that is said in place of the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pydantic
import zstandard

from rmaplab.build import changedcode
from rmaplab.build.kernel import OBJECTS
from rmaplab.errors import RmaplabError
from rmaplab.evidence.names import BLOCKS
from rmaplab.log import log
from rmaplab.model import Build, Cell, ResolvedKernel
from rmaplab.model.coverage import KernelChange
from rmaplab.pipeline.kernels import Kernels
from rmaplab.store.cache import Cache
from rmaplab.store.files import write_whole
from rmaplab.store.runfolder import RunFolder, RunRecord

FILE = "change.json.zst"
# Part of the name beside a kernel: raise it when the way lines are found changes.
_RECIPE = "2"
_MAX_BYTES = 64 << 20
_ADAPTER = pydantic.TypeAdapter(KernelChange)


def look(
    folder: RunFolder,
    kernels: Kernels,
    builds: Mapping[str, Build],
    cache: Cache,
    cells: Sequence[Cell],
) -> None:
    """Find the code of each kernel's series of which a cell was recorded."""
    recorded = {cell.kernel for cell in cells if (folder.place(cell.id) / BLOCKS).exists()}
    for name, build in builds.items():
        if name not in recorded or not kernels[name].own.patches or _saved(folder, build.key):
            continue
        try:
            content = _content(kernels[name], build, cache)
        except (RmaplabError, OSError) as error:
            log.warn(f"kernel {name}: what was run of its series is not known: {error}")
            content = _packed(KernelChange(error=str(error)))
        folder.write(_name(build.key), content)


def _content(kernel: ResolvedKernel, build: Build, cache: Cache) -> bytes:
    """Return the file of a kernel's change; it is kept beside the kernel for other runs."""
    known = build.folder / f"change-{_RECIPE}-{len(kernel.onto.patches)}.json.zst"
    if not known.is_file() or _read(known).error:
        found = changedcode.of_kernel(kernel, build.folder / OBJECTS, cache)
        write_whole(known, _packed(found))
    return known.read_bytes()


def _packed(change: KernelChange) -> bytes:
    return zstandard.ZstdCompressor(level=9).compress(_ADAPTER.dump_json(change))


def read(folder: RunFolder, record: RunRecord) -> Iterator[tuple[str, KernelChange]]:
    """Yield the changes that a run's folder has, by kernel; one that is damaged says so."""
    for name, facts in record.kernels.items():
        path = folder.path / _name(facts.key)
        if facts.key and path.is_file():
            yield name, _read(path)


def _name(key: str) -> str:
    return f"builds/{key}/{FILE}"


def _saved(folder: RunFolder, key: str) -> bool:
    path = folder.path / _name(key)
    return path.is_file() and not _read(path).error


def _read(path: Path) -> KernelChange:
    try:
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
            path.read_bytes()
        )
        content = reader.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            return KernelChange(error=f"{path} is too large")
        return _ADAPTER.validate_json(content)
    except (OSError, ValueError, zstandard.ZstdError) as error:
        return KernelChange(error=f"{path} cannot be read: {str(error)[:300]}")
