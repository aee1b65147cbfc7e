# SPDX-License-Identifier: GPL-2.0
"""The host tests of the tree under test: tools/testing/SUITE, built and run in the sandbox.

They compile code of mm/ and lib/ into programs of the host, most with AddressSanitizer. Their
Makefiles write into their own folder, so the sandbox has a copy of that in its place; the rest of
the source is read-only as for a kernel. A program runs in a sandbox that has the programs alone,
and nothing to write to.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rmaplab.build import harvest, makelog, sandbox, trust
from rmaplab.build.bubblewrap import Box
from rmaplab.build.buildlog import BoundedLog
from rmaplab.build.makelog import first_errors
from rmaplab.build.sandbox import Ended
from rmaplab.log import log
from rmaplab.model import ResolvedKernel
from rmaplab.model.digest import digest_of
from rmaplab.source import diff, patched
from rmaplab.store import entryseal
from rmaplab.store.cache import Cache, file_sha256, remove

# Part of every key: raise it when the way host tests are built changes.
RECIPE = "2"
PLACE = "tools/testing"
MAX_NAMES = 2000
"""Tests that are read from a program: the first ones."""
HOST_NEEDS = {"urcu": "liburcu-dev", "asan": "libasan8", "ubsan": "libubsan1"}
"""Libraries that the programs are linked with, and the Debian packages that have them."""

URCU = "urcu.h"
"""The header of the library that most suites need."""
_HEADERS = {URCU: "urcu", "urcu/uatomic.h": "urcu", "urcu-bp.h": "urcu"}
_LOG = "build.log"
_FACTS = "hosttests.json"
# TEST() of tools/testing/vma: fprintf(stderr, "Test " #name " FAILED\n")
_TEST = re.compile(rb"\0Test (\w{1,200}) FAILED\n", re.A)
# Leaks are looked for through ptrace, which the sandbox denies. A line is printed when it is
# written, or what stdout and stderr have would not be in their order.
_ENVIRONMENT = {
    **sandbox.ENVIRONMENT,
    "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0",
    "UBSAN_OPTIONS": "print_stacktrace=0",
}
# Without random addresses: the sanitizers of some compilers fail with many bits of them.
_BEFORE = ("setarch", "-R", "stdbuf", "-oL", "-eL")


@dataclass(frozen=True, slots=True)
class HostTests:
    """The programs of a suite: their files by name, and the tests that each would name.

    ``there`` says whether the tree has the suite. ``said`` is what the compiler said of programs
    that were not built, ``lacks`` the Debian package that this host lacks for them.
    """

    suite: str
    there: bool
    programs: Mapping[str, Path]
    tests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    said: str = ""
    lacks: str = ""

    def missing(self, program: str) -> str:
        """Return why a program cannot be there; an empty string if it can."""
        if not self.there:
            return f"the tree has no {PLACE}/{self.suite}"
        if program not in self.programs and self.lacks:
            return f"{PLACE}/{self.suite} was not built: install {self.lacks}"
        return ""

    def error(self, program: str) -> str:
        """Return why a program that can be built is not there; an empty string if it is."""
        if program in self.programs or self.missing(program):
            return ""
        return self.said or f"{PLACE}/{self.suite}/Makefile does not make {program}"


def build(
    wanted: ResolvedKernel,
    suite: str,
    make: Sequence[str],
    programs: Sequence[str],
    cache: Cache,
    *,
    jobs: int,
    limit_s: float = sandbox.STEP_LIMIT_S,
) -> HostTests:
    """Return the programs of a suite of a kernel's tree from the cache, or build them.

    ``make`` are more words for make, which may take ``limit_s`` seconds. A program that does not
    compile is no error here. Raises PatchError as a kernel's build does, BuildError if make does
    not end, InfraError if the sandbox cannot run.
    """
    source = patched.source_of(wanted.tree, wanted.series, cache)

    def fill(entry: Path) -> None:
        trust.check(wanted)
        facts: dict[str, object] = {"there": harvest.is_folder(source, f"{PLACE}/{suite}")}
        (entry / "programs").mkdir()
        if facts["there"]:
            with log.step(f"building {PLACE}/{suite} of {wanted.tree.version}"):
                words = [*make, f"-j{jobs}"]
                facts |= _make(source, suite, words, programs, entry=entry, limit_s=limit_s)
        (entry / _FACTS).write_text(json.dumps(facts, indent=1), encoding="utf-8")
        entryseal.seal(entry, [_FACTS])

    key = _key(wanted, source, suite, make, programs)
    entry = cache.entry("selftests", key, fill, is_whole=_is_whole)
    facts = json.loads((entry / _FACTS).read_text(encoding="utf-8"))
    return HostTests(
        suite=suite,
        there=facts["there"],
        programs={name: entry / "programs" / name for name in facts.get("programs", ())},
        tests={name: tuple(some) for name, some in facts.get("tests", {}).items()},
        said=facts.get("said", ""),
        lacks=facts.get("lacks", ""),
    )


def _key(
    wanted: ResolvedKernel,
    source: Path,
    suite: str,
    make: Sequence[str],
    programs: Sequence[str],
) -> str:
    """Return the content address of a suite's programs, of which ``source`` is the patched tree.

    A series counts by what it makes of any file that is no text: a Makefile can include all.
    """
    inputs: list[str | bytes] = []
    for name in wanted.series.files:
        if not name.startswith("Documentation/"):
            path = diff.entry(source, name)
            kind, content = diff.content(path) if path is not None else (0, b"")
            inputs += [os.fsencode(name), oct(kind), content]
    libraries = [name for name in _HEADERS if Path("/usr/include", name).exists()]
    return digest_of(
        "hosttests", RECIPE, suite, str([*make]), str([*programs]), wanted.tree.digest,
        wanted.toolchain, str(sorted(_ENVIRONMENT.items())), str(libraries), *inputs,
    )  # fmt: skip


def _is_whole(entry: Path) -> bool:
    try:
        facts = json.loads((entry / _FACTS).read_text(encoding="utf-8"))
        programs: dict[str, str] = facts.get("programs", {})
    except (OSError, ValueError, AttributeError):
        return False
    if entryseal.broken(entry):
        return False
    return all(file_sha256(entry / "programs" / name) == sha for name, sha in programs.items())


def _make(
    source: Path,
    suite: str,
    words: Sequence[str],
    programs: Sequence[str],
    *,
    entry: Path,
    limit_s: float,
) -> dict[str, object]:
    """Build a suite in a copy of its folder, keep its programs, and return the facts of it."""
    copy, nothing = entry / suite, entry / "empty"
    nothing.mkdir()
    harvest.copy_folder(source, f"{PLACE}/{suite}", copy)
    place = f"{sandbox.SOURCE}/{PLACE}/{suite}"
    argv = ["make", "--keep-going", "--output-sync=target", "-C", place, *words]
    with (entry / _LOG).open("wb") as file, BoundedLog(file) as output:
        ended = sandbox.run(
            argv, output.write, source=source, build=nothing, over={place: copy}, limit_s=limit_s
        )
    text = (entry / _LOG).read_text(encoding="utf-8", errors="replace")
    if ended.stopped:
        raise makelog.failure(text, [f"{PLACE}/{suite}"], ended)
    kept: dict[str, str] = {}
    tests: dict[str, list[str]] = {}
    for program in programs:
        if harvest.is_file(copy, program):
            target = entry / "programs" / program
            harvest.take(copy, program, target, limit=harvest.PROGRAM_BYTES)
            kept[program] = file_sha256(target)
            tests[program] = _tests(target.read_bytes())
    remove(copy)
    remove(nothing)
    if len(kept) == len(programs):
        return {"programs": kept, "tests": tests}
    said = "\n".join(first_errors(text)) or text[-500:]
    lacks = package_of(text)
    return {"programs": kept, "tests": tests, "said": "" if lacks else said, "lacks": lacks}


def _tests(program: bytes) -> list[str]:
    """Return the tests that a program would name if they failed.

    Its source may have more, behind an #if.
    """
    found = dict.fromkeys(match.decode("ascii") for match in _TEST.findall(program))
    return list(found)[:MAX_NAMES]


def package_of(said: str) -> str:
    """Return the package that a build lacked by its log; an empty string if none."""
    found = [_HEADERS.get(name, "") for name in
             re.findall(r"fatal error: (\S+): No such file or directory", said)]  # fmt: skip
    found += re.findall(r"cannot find (?:-l)?(?:lib)?(\w+?)(?:_preinit)?\b", said)
    return next((HOST_NEEDS[name] for name in found if name in HOST_NEEDS), "")


def argv(program: str, args: Sequence[str]) -> list[str]:
    """Return the words that run a program of a suite in its sandbox."""
    return [*_BEFORE, f"{sandbox.BUILD}/{program}", *args]


def run(
    program: Path,
    args: Sequence[str],
    sink: Callable[[bytes], None],
    *,
    limit_s: float,
    stop: Callable[[], str],
) -> Ended:
    """Run a program of a suite; what it prints goes to ``sink``, errors in their order with it.

    ``stop`` ends it as in ``sandbox.run_in``. Raises InfraError if the sandbox cannot run.
    """
    form = sandbox.best_form()
    if form.uid is not None:
        _let_read_once(program.parent)
    box = Box(
        readable={sandbox.BUILD: program.parent},
        workdir=sandbox.BUILD,
        environment=_ENVIRONMENT,
        shadow=True,
    )
    words = argv(program.name, args)
    return sandbox.run_in(box, words, sink, limit_s=limit_s, form=form, stop=stop)


_let_read_once = functools.cache(sandbox.let_read)
