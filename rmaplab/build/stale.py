# SPDX-License-Identifier: GPL-2.0
"""Delete what a kept build made of the files that a series touches, before the series' make runs.

make decides by modification times, and a series' Makefile can give any file any time. What is not
there cannot be taken for new, so the objects of the base go that were compiled from a touched file:
kbuild notes in a ``.cmd`` file what each was compiled from (scripts/basic/fixdep.c). So do the
archives above them and what was linked of all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from rmaplab.build import harvest, sandbox
from rmaplab.build.bubblewrap import Box
from rmaplab.errors import BuildError, InfraError
from rmaplab.model import Architecture

_LINKED = ("vmlinux", "vmlinux.o", "vmlinux.a")
_COMPRESSED = re.compile(r"(vmlinux|piggy)\b.*")
_ARCHIVES = ("built-in.a", "lib.a")
_COMMAND = re.compile(r"\.(.+)\.cmd")
# Names in one call: a command line has room for 2 MB.
_NAMES = 2000


def drop(objects: Path, names: Sequence[str], architecture: Architecture) -> frozenset[str]:
    """Delete from a copy of a build folder what was made of some files of the source.

    Returns the paths of the objects that are gone. Raises BuildError if the folder is odd.
    """
    gone = {name for name in map(object_of, names) if name is not None}
    gone |= set(made_of(objects, names))
    for name in gone:
        harvest.drop(objects, name)
    if gone:
        for name in _linked(objects, gone, architecture):
            harvest.drop(objects, name)
    return frozenset(gone)


def object_of(name: str) -> str | None:
    """Return the path of the object that make compiles from a file; None if it is no source."""
    return f"{name[:-2]}.o" if name.endswith((".c", ".S")) else None


def made_of(objects: Path, names: Sequence[str]) -> Iterable[str]:
    """Yield what was compiled from some files, by the ``.cmd`` files of a build folder."""
    said = bytearray()
    for first in range(0, len(names), _NAMES):
        # In the sandbox, for what is there was written by a tree's own programs.
        patterns = [f"--regexp=/{name}" for name in names[first : first + _NAMES]]
        words = ["grep", "-rlZF", "--include=.*.cmd", *patterns, "--", "."]
        box = Box({sandbox.BUILD: objects}, workdir=sandbox.BUILD)
        ended = sandbox.run_in(box, words, said.extend, limit_s=sandbox.TOOL_LIMIT_S)
        if ended.stopped or ended.status not in (0, 1):  # 1: it found nothing
            raise InfraError(
                f"grep in the build folder failed: {ended.stopped or f'status {ended.status}'}: "
                f"{bytes(said[-300:]).decode('utf-8', 'replace')}"
            )
    for found in bytes(said).decode("utf-8", "surrogateescape").split("\0"):
        path = PurePosixPath(found.removeprefix("./"))
        if match := _COMMAND.fullmatch(path.name):
            yield str(path.with_name(match[1]))


def _linked(objects: Path, gone: Iterable[str], architecture: Architecture) -> Iterable[str]:
    """Yield the products into which objects were linked."""
    yield from _LINKED
    yield architecture.image_path
    compressed = str(PurePosixPath(architecture.image_path).with_name("compressed"))
    try:
        for name in harvest.files(objects, compressed):
            if _COMPRESSED.fullmatch(name):
                yield f"{compressed}/{name}"
    except harvest.Absent:
        pass
    except BuildError as error:
        raise BuildError(f"the base's build folder is odd: {error.message}") from error
    above = {parent for name in gone for parent in PurePosixPath(name).parents}
    yield from (str(folder / name) for folder in sorted(above) for name in _ARCHIVES)
