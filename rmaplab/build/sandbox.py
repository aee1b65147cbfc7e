# SPDX-License-Identifier: GPL-2.0
"""The build sandbox: a kernel's Makefiles run here, and a series may have rewritten them.

The source is read-only at one fixed path and the build folder at another, whatever their real
places are: so every variant has the same ``.cmd`` files, and base and patched differ by the patch
alone. No network, no home directory, no variable of the lab's environment, nothing else of the host
writable (bubblewrap, bwrap(1)). Processes, file sizes and time are limited (prlimit(1)).

If the lab is root, the foreign code is not: an outer bwrap makes the file system, setpriv(1)
changes to ``BUILD_UID``, and an inner bwrap makes a user namespace in which no other one can be
made. A host that allows less gets what it allows, see ``forms``; ``lab.py doctor`` says what that
is.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import select
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import rmaplab
from rmaplab import proc
from rmaplab.build import bubblewrap, cgroup, seccomp
from rmaplab.build.bubblewrap import Box, Form, Hands
from rmaplab.build.budget import Budget
from rmaplab.errors import InfraError
from rmaplab.model import Architecture

SOURCE = "/kernel/source"
BUILD = "/kernel/build"

# A fixed time and builder make two builds of one input byte-identical
# (Documentation/kbuild/reproducible-builds.rst).
ENVIRONMENT: Mapping[str, str] = {
    "PATH": bubblewrap.PATH,
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970",
    "KBUILD_BUILD_USER": "rmaplab",
    "KBUILD_BUILD_HOST": "rmaplab",
    "KBUILD_BUILD_VERSION": "1",
}

BUILD_UID = 61000
"""The user of foreign code if the lab is root: an id that neither Debian nor systemd gives away.

Debian Policy 9.2.2 has 60000 to 64999 for packages that ask for an id, systemd's UIDS-GIDS.md has
60578 to 61183 as unused.
"""
STEP_LIMIT_S = 2 * 3600.0
"""The time that a step of a build may take, in seconds."""
TOOL_LIMIT_S = 600.0
"""The time that a tool may take to read something, in seconds."""
ANSWER_BYTES = 64 << 20
"""The bytes that are kept of what a tool says."""


def forms() -> tuple[Form, ...]:
    """Return the ways to run foreign code for this user, the best first."""
    return bubblewrap.forms(BUILD_UID)


@functools.cache
def best_form() -> Form:
    """Return the best form that works on this host, tried once. Raises InfraError if none does."""
    said = b""
    for one in forms():
        with tempfile.TemporaryDirectory(prefix="rmaplab-sandbox-") as scratch:
            pieces: list[bytes] = []
            build = Path(scratch, "build")
            build.mkdir()
            box = Box({}, {BUILD: build}, BUILD)
            try:
                done = run_in(box, ["true"], pieces.append, limit_s=TOOL_LIMIT_S, form=one)
            except InfraError as error:
                said = error.message.encode()
                continue
            if done.status == 0:
                return one
            said = b"".join(pieces)
    raise InfraError(
        f"the build sandbox does not work: {said.decode('utf-8', 'replace')[-300:]}",
        hint="bubblewrap needs user namespaces: see 'lab.py doctor'",
    )


def box_of(
    source: Path, build: Path, *, writable: bool = True, over: Mapping[str, Path] | None = None
) -> Box:
    """Return the sandbox that has a source and a build folder, in which commands run.

    ``writable`` says whether commands may write to the build folder. ``over`` are writable folders
    by their paths in the sandbox, which hide the source's files there.
    """
    mounts = {BUILD: build}
    return Box(
        readable={SOURCE: source, **({} if writable else mounts)},
        writable={**(mounts if writable else {}), **(over or {})},
        workdir=BUILD,
        environment=ENVIRONMENT,
    )


def read(argv: Sequence[str], files: Sequence[Path], *, limit_s: float) -> Answer:
    """Run a program of the lab's own that reads a few files, and return what it said.

    It is for files of a guest or a series: the program has the lab's Python, the files at their own
    paths, and nothing to write to. Of what it says
    ``ANSWER_BYTES`` are kept.
    """
    box = _reading(files)
    said = {name: bytearray() for name in ("out", "err")}

    def keep(name: str) -> Callable[[bytes], None]:
        def sink(chunk: bytes) -> None:
            said[name].extend(chunk[: ANSWER_BYTES - len(said[name])])

        return sink

    form = form_for(list(box.readable.values()))
    ended = run_in(box, argv, keep("out"), limit_s=limit_s, form=form, complaints=keep("err"))
    texts = [bytes(one).decode("utf-8", "replace") for one in said.values()]
    return Answer(ended, *texts)


def foreground(argv: Sequence[str], files: Sequence[Path]) -> int:
    """Run a program that reads a few files, as ``read`` does, on this terminal.

    Returns its status, 128 and the signal's number if a signal killed it.
    """
    terms = {name: os.environ[name] for name in ("TERM", "LANG") if name in os.environ}
    box = _reading(files)
    environment = {**box.environment, "HOME": "/tmp", **terms}
    box = dataclasses.replace(box, environment=environment, terminal=True)
    with ExitStack() as stack:
        hands = Hands(filter=_filter(stack))
        form = form_for(list(box.readable.values()))
        words = bubblewrap.command(argv, box, form=form, hands=hands)
        return proc.foreground(words, env={}, pass_fds=hands.all)


def _reading(files: Sequence[Path]) -> Box:
    """Return the sandbox that has the lab's Python and some files, at their own paths."""
    python = [Path(sys.prefix), Path(sys.base_prefix), Path(rmaplab.__file__).parent]
    places = dict.fromkeys([*(file.absolute() for file in files), *python])
    seen = {str(place): place for place in places if not place.is_relative_to("/usr")}
    package = str(Path(rmaplab.__file__).parent.parent)
    return Box(seen, environment={**ENVIRONMENT, "PYTHONPATH": package})


@dataclass(frozen=True, slots=True)
class Ended:
    """A command of the sandbox that ran and has ended.

    ``status`` is its exit status, 128 and the signal's number if a signal killed it. ``stopped``
    says why the lab ended it, empty if the lab did not. ``short`` says what the host ran short of
    by no fault of the command, empty if of nothing.
    """

    status: int
    stopped: str = ""
    short: str = ""

    @property
    def ok(self) -> bool:
        """True if the command ended by itself with status 0."""
        return self.status == 0 and not self.stopped


@dataclass(frozen=True, slots=True)
class Answer:
    """The output and the complaints of a program that read files, as text."""

    ended: Ended
    text: str
    complaint: str


def run(
    argv: Sequence[str],
    sink: Callable[[bytes], None],
    *,
    source: Path,
    build: Path,
    limit_s: float,
    writable: bool = True,
    over: Mapping[str, Path] | None = None,
) -> Ended:
    """Run a command in a sandbox that has a source and a build folder, as ``run_in`` does.

    The places are those of ``box_of``. A source that a strict umask made unreadable is made
    readable first, for it is the lab's own.
    """
    form = best_form()
    if form.uid is not None:
        _let_read_once(source)
        if not writable:
            let_read(build)
    box = box_of(source, build, writable=writable, over=over)
    return run_in(box, argv, sink, limit_s=limit_s, form=form)


def run_in(
    box: Box,
    argv: Sequence[str],
    sink: Callable[[bytes], None],
    *,
    limit_s: float,
    form: Form | None = None,
    complaints: Callable[[bytes], None] | None = None,
    stop: Callable[[], str] = str,
) -> Ended:
    """Run a command in a sandbox, with what it prints given to ``sink``, for ``limit_s`` seconds.

    ``complaints`` gets its standard error instead, if it is there. What is writable becomes the
    foreign user's. ``form`` is the best one that works if none is given. ``stop`` is asked about
    once in a second, and ends the command by returning why. Raises InfraError if bwrap
    itself failed: bwrap tells a descriptor that the command does not have whether the command was
    started, so that nothing that the command prints can pass for bwrap's word.
    """
    form = form or best_form()
    disks = list(box.writable.values())
    if os.geteuid() == 0:
        _hand_over(disks, form)
    tail = b""

    def keep(chunk: bytes) -> None:
        nonlocal tail
        tail = (tail + chunk)[-1000:]
        (complaints or sink)(chunk)

    short = ""
    with ExitStack() as stack:
        pipes = [_pipe(stack) for _ in range(2 if form.is_nested else 1)]
        facts: list[dict[str, int]] = [{} for _ in pipes]

        def init() -> int | None:
            _listen(pipes, facts)
            return facts[0].get("child-pid")

        budget = Budget(disks, limit_s, init)

        def watch(seconds: float) -> str:
            nonlocal short
            ending = budget.ending(seconds)
            if ending is not None and ending.host:
                short = ending.why
            return ending.why if ending is not None else stop()

        hands = Hands([end for _, end in pipes], _filter(stack))
        words = bubblewrap.command(argv, box, form=form, hands=hands)
        group = stack.enter_context(cgroup.limited())
        if group is not None:
            words = group.command(words)
        done = proc.stream(
            words, keep if complaints is None else sink, env={}, pass_fds=hands.all,
            complaints=None if complaints is None else keep, owner=form.uid, watch=watch,
        )  # fmt: skip
        _listen(pipes, facts)
        _wait_for_init(facts[0])
        if not done.stopped:
            watch(0)
        starved = group.complaint() if group is not None else ""
    if done.stopped:
        return Ended(128 + signal.SIGKILL, done.stopped, short)
    status = facts[-1].get("exit-code")
    if status is None and len(facts) == 2 and facts[0].get("exit-code", 0) > 128:
        status = facts[0]["exit-code"]  # what ran killed the inner bwrap, which has its user
    if status is None:
        last = tail.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise InfraError(
            f"the build sandbox did not start: {last[0]}",
            hint="bubblewrap needs user namespaces: see 'lab.py doctor'",
        )
    return Ended(status, starved if status else "", short)


def _pipe(stack: ExitStack) -> tuple[int, int]:
    begin, end = os.pipe()
    os.set_blocking(begin, False)
    for descriptor in (begin, end):
        stack.callback(os.close, descriptor)
    return begin, end


def _listen(pipes: Sequence[tuple[int, int]], facts: Sequence[dict[str, int]]) -> None:
    """Add to each bwrap's facts what it told; ``exit-code`` only if it started its command."""
    for (begin, _), known in zip(pipes, facts, strict=True):
        with suppress(BlockingIOError):
            for line in os.read(begin, 1 << 16).decode().splitlines():
                known.update(json.loads(line) if line.strip() else {})


def _filter(stack: ExitStack) -> int | None:
    """Return a descriptor of the filter of system calls; None if there is none for this machine."""
    code = seccomp.program()
    if not code:
        return None
    memory = os.memfd_create("rmaplab-filter")
    stack.callback(os.close, memory)
    with os.fdopen(os.dup(memory), "wb") as file:
        file.write(code)
    os.lseek(memory, 0, os.SEEK_SET)
    return memory


def _wait_for_init(facts: Mapping[str, int]) -> None:
    """Wait until every process of a sandbox is gone, so that nothing changes what is harvested.

    bwrap ends when it knows the command's status, and the sandbox's init some time later. The end
    of an init comes after the end of all processes of its namespace (pid_namespaces(7)). Raises
    InfraError if it does not come.
    """
    pid, space = facts.get("child-pid"), facts.get("pid-namespace")
    if pid is None:
        return
    try:
        init = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with suppress(PermissionError):
            if Path(f"/proc/{pid}/ns/pid").stat().st_ino != space:
                return  # another process has its number by now
        poll = select.poll()
        poll.register(init, select.POLLIN)
        if not poll.poll(_INIT_LIMIT_S * 1000):
            raise InfraError(f"processes of the build sandbox do not end, see process {pid}")
    except FileNotFoundError:
        return
    finally:
        os.close(init)


_INIT_LIMIT_S = 60


def form_for(places: Sequence[Path]) -> Form:
    """Return the form in which files that are not the lab's own are read, as they are.

    It is the best one if everybody may read them. Otherwise it is their owner's, whose rights
    reach nothing else in a sandbox: root's without capabilities if they are root's.
    """
    form = best_form()
    if form.uid is None or not _unreadable(places):
        return form
    owner = places[0].stat().st_uid
    return dataclasses.replace(form, uid=owner or None)


def _unreadable(places: Sequence[Path]) -> bool:
    """Return whether anything in some places is not for everybody to read."""
    found = proc.run(["find", *places, *_UNREADABLE, "-print", "-quit"], check=False)
    return bool(found.stdout or found.stderr)


_UNREADABLE = ["(", "-type", "d", "!", "-perm", "-005", "-o", "-type", "f", "!", "-perm", "-004",
               ")"]  # fmt: skip


def _hand_over(writable: Sequence[Path], form: Form) -> None:
    """Give folders of the lab's own to the user of a form."""
    user = form.uid or 0
    for folder in writable:
        proc.run(["chown", "--recursive", "--no-dereference", f"{user}:{user}", folder])


def let_read(folder: Path) -> None:
    """Let everybody read a folder of the cache, which a strict umask may have made unreadable."""
    proc.run(["find", folder, *_UNREADABLE, "-exec", "chmod", "go+rX", "{}", "+"])


_let_read_once = functools.cache(let_read)


def make(targets: Sequence[str], architecture: Architecture, *, jobs: int) -> list[str]:
    """Return the make command line for the sandbox's paths; ``jobs`` compilers run at once."""
    return ["make", "-C", SOURCE, *variables(architecture), f"-j{jobs}", *targets]


def variables(architecture: Architecture) -> list[str]:
    """Return the variables that tell make where to build, and for which architecture."""
    cross = architecture.cross_compile
    return [
        f"O={BUILD}",
        f"ARCH={architecture.make_arch}",
        *([f"CROSS_COMPILE={cross}"] if cross else []),
    ]


def tree_path(text: str) -> str:
    """Return a path of the sandbox as a path relative to the tree."""
    return text.removeprefix(f"{SOURCE}/").removeprefix(f"{BUILD}/").removeprefix("../source/")
