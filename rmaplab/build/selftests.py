# SPDX-License-Identifier: GPL-2.0
"""The mm selftests of the tree under test, built by their own Makefile in the sandbox.

The programs are linked statically (USERCFLAGS, tools/testing/selftests/lib.mk): a guest with an
initramfs has no shared libraries. Their Makefile writes into its own folder, so the sandbox has a
copy of that in its place; the rest of the source is read-only as for a kernel.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rmaplab.build import harvest, makelog, sandbox, trust
from rmaplab.build.buildlog import BoundedLog
from rmaplab.build.kernel import OBJECTS, keep_failed_log
from rmaplab.build.makelog import first_errors
from rmaplab.errors import BuildError, RmaplabError
from rmaplab.log import log
from rmaplab.model import ARCHITECTURES, Architecture, ResolvedKernel
from rmaplab.model.digest import digest_of
from rmaplab.source import diff, patched
from rmaplab.store import entryseal
from rmaplab.store.cache import Cache, file_sha256, remove

# Part of every key: raise it when the way selftests are built changes.
RECIPE = "2"
FOLDERS = ("mm", "vm")  # vm until 6.2
PLACE = "tools/testing/selftests"
LINKING = "-static -s"
_LOG = "build.log"
HOST_NEEDS = {"cap": "libcap-dev", "numa": "libnuma-dev"}
"""Libraries that some programs are linked with, and the Debian packages that have them."""

_HEADERS = {"sys/capability.h": "cap", "numa.h": "numa", "numaif.h": "numa"}
# The guests' kernels have no io_uring, so whether this host has liburing must not matter: a header
# that is found before the host's, and that nothing compiles with (check_config.sh tries it).
_MASK = "rmaplab-masked"
_MASKED = ("liburing.h",)
_MASKING = '#error "masked: what a test does must not depend on the host\'s libraries"\n'
# A seed by the clock or a process number, as it is given to srand() or kept.
_SEED = re.compile(
    r"(\bsrand(?:om)?\s*\(|seed\s*=)\s*(?:\(\s*unsigned(?:\s+int)?\s*\)\s*)?"
    r"(?:time\s*\([^()\n]*\)|getpid\s*\(\s*\))"
)
_FAILED = re.compile(r"^make\S*: \*\*\* \[.*?/kselftest/\w+/(\S+)\] Error", re.M)
# A file that no selftest is built from; any file of tools/, scripts/ and usr/ may be one.
_FOREIGN = re.compile(r"(?!tools/|scripts/|usr/).*\.(?:c|S|rst|txt)|Documentation/.*")


@dataclass(frozen=True, slots=True)
class Selftests:
    """The selftests that a tree's Makefile built: ``programs`` are their files by name.

    ``folder`` is the tests' folder in the tree, empty if there is none, and ``sources`` are its C
    files. ``errors`` are the compiler's messages by program, ``lacks`` the Debian packages that the
    host lacks by program.
    """

    folder: str
    programs: Mapping[str, Path]
    sources: frozenset[str]
    errors: Mapping[str, str]
    lacks: Mapping[str, str]

    def missing(self, program: str) -> str:
        """Return why a program cannot be built; an empty string if it can.

        The tree has no source for it, or the host lacks a library.
        """
        if program in self.programs:
            return ""
        source = f"{_without_word_size(program)}.c"
        if source not in self.sources:
            return f"the tree has no {self.folder or f'{PLACE}/mm'}/{source}"
        if program in self.lacks:
            return f"{program} was not built: install {self.lacks[program]}"
        return ""

    def error(self, program: str) -> str:
        """Return why a program that can be built is not there; an empty string if it is."""
        if program in self.programs or self.missing(program):
            return ""
        return self.errors.get(program, f"{self.folder}/Makefile does not make it")


def _without_word_size(program: str) -> str:
    suffixes = [suffix for row in ARCHITECTURES.values() for suffix in row.word_suffixes]
    return next((program.removesuffix(s) for s in suffixes if program.endswith(s)), program)


def build(
    wanted: ResolvedKernel, cache: Cache, *, jobs: int, limit_s: float = sandbox.STEP_LIMIT_S
) -> Selftests:
    """Return the selftests of a kernel's tree from the cache, or build them.

    Each make may take ``limit_s`` seconds. A program that does not compile is no error here. Raises
    PatchError as a kernel's build does, BuildError if the tree's headers cannot be made, InfraError
    if the sandbox cannot run.
    """

    architecture = wanted.kernel.architecture
    source = patched.source_of(wanted.tree, wanted.series, cache)

    def make(entry: Path) -> None:
        trust.check(wanted)
        folders = (name for name in FOLDERS if harvest.is_folder(source, f"{PLACE}/{name}"))
        name = next(folders, "")
        (entry / "programs").mkdir()
        facts: dict[str, object] = {"folder": f"{PLACE}/{name}" if name else ""}
        if name:
            with log.step(f"building the {name} selftests of {wanted.tree.version}"):
                try:
                    facts |= _make(source, name, entry, architecture, jobs=jobs, limit_s=limit_s)
                except RmaplabError as error:
                    error.evidence = keep_failed_log(entry / _LOG, cache)
                    raise
        text = json.dumps({**facts, "sealed": True}, indent=1)
        (entry / "selftests.json").write_text(text, encoding="utf-8")
        entryseal.seal(entry, ["selftests.json"])

    entry = cache.entry("selftests", _key(wanted, source), make, is_whole=_is_whole)
    facts = json.loads((entry / "selftests.json").read_text(encoding="utf-8"))
    return Selftests(
        folder=facts["folder"],
        programs={name: entry / "programs" / name for name in facts.get("programs", ())},
        sources=frozenset(facts.get("sources", ())),
        errors=facts.get("errors", {}),
        lacks=facts.get("lacks", {}),
    )


def _key(wanted: ResolvedKernel, source: Path) -> str:
    """Return the content address of the selftests, of which ``source`` is the patched tree.

    A series counts by what it makes of the files that a selftest may be made of, so one that
    changes none of them has the selftests of its base.
    """
    libraries = [lib for lib, header in (("cap", "sys/capability.h"), ("numa", "numa.h"))
                 if Path("/usr/include", header).exists()]  # fmt: skip
    inputs: list[str | bytes] = []
    for name in filter(matters, wanted.series.files):
        path = diff.entry(source, name)
        kind, content = diff.content(path) if path is not None else (0, b"")
        inputs += [os.fsencode(name), oct(kind), content]
    return digest_of(
        "selftests", RECIPE, wanted.kernel.arch, LINKING, wanted.tree.digest, wanted.toolchain,
        str(sorted(sandbox.ENVIRONMENT.items())), *libraries, *inputs,
    )  # fmt: skip


def matters(name: str) -> bool:
    """Return whether a selftest may be built from a file: headers, scripts, tests."""
    return not _FOREIGN.fullmatch(name)


def _is_whole(entry: Path) -> bool:
    """Return whether cached selftests are as they were made.

    Those of an earlier version of the lab have no seal.
    """
    try:
        facts = json.loads((entry / "selftests.json").read_text(encoding="utf-8"))
        programs: dict[str, str] = facts.get("programs", {})
    except (OSError, ValueError, AttributeError):
        return False
    if facts.get("sealed") and entryseal.broken(entry):
        return False
    return all(file_sha256(entry / "programs" / name) == sha for name, sha in programs.items())


def _make(
    source: Path,
    name: str,
    entry: Path,
    architecture: Architecture,
    *,
    jobs: int,
    limit_s: float,
) -> dict[str, object]:
    objects, copy = entry / OBJECTS, entry / name
    objects.mkdir()
    harvest.copy_folder(source, f"{PLACE}/{name}", copy)
    mask = copy / _MASK
    harvest.drop(copy, _MASK)  # a series could have made it a link to anywhere
    mask.mkdir()
    for header in _MASKED:
        (mask / header).write_text(_MASKING, encoding="utf-8")
    pinned = pin_seeds(entry, name)
    place = f"{sandbox.SOURCE}/{PLACE}"
    headers = sandbox.make(["headers"], architecture, jobs=jobs)
    tests = [
        "make", "--keep-going", "--output-sync=target", "-C", place,
        *sandbox.variables(architecture),
        f"TARGETS={name}", f"USERCFLAGS={LINKING} -I{_MASK}", f"-j{jobs}",
    ]  # fmt: skip
    over = {f"{place}/{name}": copy}
    with (entry / _LOG).open("wb") as said:
        for argv, needed in ((headers, True), (tests, False)):
            with BoundedLog(said) as output:
                ended = sandbox.run(
                    argv,
                    output.write,
                    source=source,
                    build=objects,
                    over=over,
                    limit_s=limit_s,
                )
            if ended.stopped or (needed and not ended.ok):
                targets = ["headers" if needed else f"the {name} selftests"]
                raise makelog.failure(_log(entry), targets, ended)
    built = f"kselftest/{name}"
    errors = dict(errors_of(_log(entry)))
    try:
        programs = harvest.files(objects, built)
    except harvest.Absent:
        programs = []
    if not programs:
        raise BuildError(f"{place}: nothing was built:\n{_log(entry)[-2000:]}")
    for program in programs:
        kept = entry / "programs" / program
        harvest.take(objects, f"{built}/{program}", kept, limit=harvest.PROGRAM_BYTES)
    remove(objects)
    remove(copy)
    lacks = {program: package for program, said in errors.items() if (package := package_of(said))}
    return {
        "programs": {f: file_sha256(entry / "programs" / f) for f in programs},
        "sources": [f for f in harvest.files(source, f"{PLACE}/{name}") if f.endswith(".c")],
        "errors": {program: said for program, said in errors.items() if program not in lacks},
        "lacks": lacks,
        "pinned": pinned,
    }


def pin_seeds(entry: Path, folder: str) -> list[str]:
    """Give a folder's C files the seed 1 instead of one by the clock; return those that had such.

    Of a test that does something else in each run no failure could be repeated.
    """
    pinned = []
    for name in harvest.files(entry, folder):
        if not name.endswith(".c"):
            continue
        text = harvest.text(entry, f"{folder}/{name}")
        same = _SEED.sub(r"\1 1", text)
        if same != text:
            harvest.drop(entry, f"{folder}/{name}")
            (entry / folder / name).write_text(same, encoding="utf-8")
            pinned.append(name)
    return pinned


def _log(entry: Path) -> str:
    return (entry / _LOG).read_text(encoding="utf-8", errors="replace")


def errors_of(text: str) -> Iterator[tuple[str, str]]:
    """Yield each program that make failed to build, with its first errors."""
    begin = 0
    for match in _FAILED.finditer(text):
        said = text[begin : match.start()]
        begin = match.end()
        lacks = re.findall(r"^.*cannot find -l.*$", said, re.M)
        yield match[1], "\n".join(lacks or first_errors(said)) or match[0]


def package_of(said: str) -> str:
    """Return the package that is missing by a program's first error; an empty string if none is."""
    first = said.splitlines()[0]
    if match := re.search(r"error: (\S+): No such file or directory", first):
        return HOST_NEEDS.get(_HEADERS.get(match[1], ""), "")
    match = re.search(r"cannot find -l(\w+)", first)
    return HOST_NEEDS.get(match[1], "") if match else ""
