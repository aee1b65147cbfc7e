# SPDX-License-Identifier: GPL-2.0
"""Resolve ``function+offset/size`` to file and line, by a tree's own scripts/faddr2line.

The script reads the symbol table of vmlinux anew for each place, which takes seconds on a busy
host. So it is called once for all places that are not known yet, and its answers are kept beside
the kernel.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from rmaplab.build import fragments, harvest, sandbox
from rmaplab.build.buildlog import BoundedLog
from rmaplab.errors import InfraError
from rmaplab.log import log
from rmaplab.store.files import write_whole

Lines = Mapping[str, tuple[str, ...]]
"""By place: ``function at file:line``, inlined functions first; empty if the script knows none."""

SCRIPT = "scripts/faddr2line"
VMLINUX = "vmlinux"
KNOWN = "lines.json"
LIMIT_S = sandbox.TOOL_LIMIT_S
MAX_PLACES = 500
"""The places in one call of the script: a guest can print as many as it likes."""

PLACE = re.compile(r"[A-Za-z_][\w.$]{0,199}\+0x[0-9a-f]{1,8}/0x[0-9a-f]{1,8}")
_LINE = re.compile(
    r"\s*(?:\(inlined by\) )?([\w.$]{1,200}) at ([\w./+-]{1,300}):(\d{1,7})(?: \(.*\))?"
)


def vmlinux_of(build: Path) -> Path | None:
    """Return the vmlinux of a built kernel with debug info; None if there is none.

    ``build`` is the kernel's folder in the cache.
    """
    try:
        config = fragments.parse_config((build / "config").read_text(encoding="utf-8"))
    except OSError:
        return None
    if config.get("DEBUG_INFO", "n") == "n":
        return None
    places = (VMLINUX, f"obj/{VMLINUX}")
    return next((build / name for name in places if harvest.is_file(build, name)), None)


def resolve(places: Iterable[str], build: Path, source: Path) -> Lines:
    """Return the source lines of each place: known ones, and those of one call of the script.

    ``build`` is the kernel's folder in the cache, ``source`` the tree that it was built from.
    Raises InfraError if the script cannot be run, or knows no place.
    """
    wanted = dict.fromkeys(place for place in places if PLACE.fullmatch(place))
    known = dict(_read(build / KNOWN))
    unknown = [place for place in wanted if place not in known][:MAX_PLACES]
    if unknown:
        vmlinux = vmlinux_of(build)
        if vmlinux is None:
            raise InfraError(f"{build} has no vmlinux with debug info")
        with log.step(f"looking up the source lines of {len(unknown)} places"):
            known |= _ask(unknown, vmlinux, source)
        _keep(build / KNOWN, known)
    return {place: known[place] for place in wanted if place in known}


def _ask(places: list[str], vmlinux: Path, source: Path) -> Lines:
    argv = ["bash", f"{sandbox.SOURCE}/{SCRIPT}", VMLINUX, *places]
    with tempfile.TemporaryFile() as said:
        with BoundedLog(said) as output:
            ended = sandbox.run(
                argv,
                output.write,
                source=source,
                build=vmlinux.parent,
                writable=False,
                limit_s=LIMIT_S,
            )
        said.seek(0)
        text = said.read().decode("utf-8", "replace")
    late = bool(ended.stopped)
    status = ended.stopped or f"status {ended.status}"
    found = parse(text, places)
    if not any(found.values()):
        last = (text.strip().splitlines() or ["it said nothing"])[-1]
        raise InfraError(f"{SCRIPT} of the tree finds no line ({status}): {last[:300]}")
    # An unknown place stays unknown; a place that the script had no time for is asked again.
    return found if late else {place: found.get(place, ()) for place in places}


def parse(text: str, places: Iterable[str]) -> Lines:
    """Parse the script's output into lines by place.

    A place that the script found in several functions of one name and size has no line: nobody
    knows which of the functions is meant.
    """
    wanted, found, twice = set(places), dict[str, tuple[str, ...]](), set[str]()
    place = ""
    for line in text.splitlines():
        if line.endswith(":") and line[:-1] in wanted:
            place = line[:-1]
            if place in found:
                twice.add(place)
            found.setdefault(place, ())
        elif place and (match := _LINE.fullmatch(line)):
            path = _in_tree(match[2])
            found[place] += (f"{match[1]} at {path}:{match[3]}",)
    return {place: () if place in twice else lines for place, lines in found.items()}


def _in_tree(path: str) -> str:
    return sandbox.tree_path(path).removeprefix("./")


def _read(path: Path) -> Lines:
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        return {str(place): tuple(map(str, lines)) for place, lines in saved.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _keep(path: Path, known: Lines) -> None:
    write_whole(path, json.dumps(known, indent=1) + "\n")
