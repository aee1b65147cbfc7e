# SPDX-License-Identifier: GPL-2.0
"""Ask sparse about the C files that a patch touches, in the sandbox: its answers are remarks.

Kbuild notes the compiler's command of each object; sparse gets the same options for the same file.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rmaplab import proc
from rmaplab.build import harvest, sandbox, warnings
from rmaplab.errors import BuildError

LIMIT_S = 120.0
MAX_NAMED = 5
_COMMAND = re.compile(r"^(?:saved)?cmd_\S+ := (.+)$", re.M)
# CHECKFLAGS of the kernel's Makefile and of arch/x86: other machines need others.
_FLAGS = (
    "-D__linux__", "-Dlinux", "-D__STDC__", "-Dunix", "-D__unix__", "-D__x86_64__", "-Wbitwise",
    "-Wno-return-void", "-Wno-unknown-attribute", "--arch=x86", "-m64",
)  # fmt: skip
_KEPT = re.compile(r"-(?:[ID].+|std=.+|nostdinc|funsigned-char)")


@dataclass(frozen=True, slots=True)
class Built:
    """A kernel as sparse needs it: its source, and the folder of its objects."""

    source: Path
    objects: Path


def is_there(arch: str) -> bool:
    """Return whether sparse is installed, for kernels of an architecture that it is asked about."""
    return arch == "x86_64" and proc.which("sparse") is not None


def remarks(before: Built, after: Built, names: Iterable[str]) -> tuple[str, ...]:
    """Return what sparse says of some C files after a patch and did not say before."""
    found: list[str] = []
    for name in names:
        if name.endswith(".c"):
            known = {one.key for one in _said(before, name)}
            found += [one.phrase for one in _said(after, name) if one.key not in known]
    more = len(found) - MAX_NAMED
    return (*(f"sparse: {one}" for one in found[:MAX_NAMED]),
            *([f"sparse: {more} more"] if more > 0 else []))  # fmt: skip


def _said(built: Built, name: str) -> tuple[warnings.Complaint, ...]:
    """Return what sparse says of a file; nothing if it is not compiled in this configuration."""
    path = PurePosixPath(name)
    noted = str(path.with_name(f".{path.stem}.o.cmd"))
    try:
        text = harvest.text(built.objects, noted)
    except BuildError:
        return ()
    words = command(text, name)
    if not words:
        return ()
    pieces: list[bytes] = []
    sandbox.run(
        words, pieces.append, source=built.source, build=built.objects, limit_s=LIMIT_S,
        writable=False,
    )  # fmt: skip
    return warnings.found(b"".join(pieces).decode("utf-8", "replace"))


def command(noted: str, name: str) -> list[str]:
    """Return sparse's command for a file, from kbuild's note; empty if that has another form."""
    match = _COMMAND.search(noted)
    if match is None:
        return []
    try:
        words = shlex.split(match[1])
    except ValueError:
        return []
    # Behind the compiler's command there may be others: objtool's.
    for number, word in enumerate(words):
        if word.rstrip(";").endswith(f"/{name}"):
            return ["sparse", *_FLAGS, *_options(words[:number]), word.rstrip(";")]
    return []


def _options(words: list[str]) -> Iterator[str]:
    waiting = iter(words)
    for word in waiting:
        if word == "-include":
            yield from (word, next(waiting, ""))
        elif _KEPT.fullmatch(word):
            yield word
