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

import functools
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import rmaplab
from rmaplab import proc
from rmaplab.errors import InfraError
from rmaplab.model import ARCHITECTURES, Architecture

SOURCE = "/kernel/source"
BUILD = "/kernel/build"

# A fixed time and builder make two builds of one input byte-identical
# (Documentation/kbuild/reproducible-builds.rst).
ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970",
    "KBUILD_BUILD_USER": "rmaplab",
    "KBUILD_BUILD_HOST": "rmaplab",
    "KBUILD_BUILD_VERSION": "1",
}

# Folders with programs and libraries, on a host of any architecture; one that this host does not
# have is left out.
_ROOT_FOLDERS = tuple(
    dict.fromkeys(
        ["bin", "sbin", *(name for row in ARCHITECTURES.values() for name in row.library_folders)]
    )
)
_ETC = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "debian_version")


BUILD_UID = 61000
"""The user of foreign code if the lab is root: an id that neither Debian nor systemd gives away.

Debian Policy 9.2.2 has 60000 to 64999 for packages that ask for an id, systemd's UIDS-GIDS.md has
60578 to 61183 as unused.
"""
STEP_LIMIT_S = 2 * 3600.0
"""The time that a step of a build may take, in seconds."""
TOOL_LIMIT_S = 600.0
"""The time that a tool may take to read something, in seconds."""
PROCESSES = 5000
"""The processes at once of a command: make -j of the largest host needs a fifth."""
FILE_BYTES = 32 << 30
FULL_DISK_BYTES = 16 << 20
"""With less than this free a disk is full, and what runs is ended."""
BUILD_BYTES = 64 << 30
"""The size from which on a build folder fills the disk by its own fault."""


@dataclass(frozen=True, slots=True)
class Form:
    """A way to run foreign code, by what the host allows.

    ``uid`` is the user of the foreign code outside the sandbox, None for the lab's own. With
    ``userns`` the code is in a user namespace in which no other one can be made.
    """

    uid: int | None
    userns: bool

    @property
    def text(self) -> str:
        """The form in words, for ``doctor``."""
        user = "the lab's own user" if self.uid is None else f"user {self.uid}"
        spaces = "no new user namespaces" if self.userns else "user namespaces as the host allows"
        return f"{user}, {spaces}"


def forms() -> tuple[Form, ...]:
    """Return the ways to run foreign code for this user, the best first."""
    own = (Form(None, True), Form(None, False))
    return (Form(BUILD_UID, True), Form(BUILD_UID, False), *own) if os.geteuid() == 0 else own


@functools.cache
def best_form() -> Form:
    """Return the best form that works on this host, tried once. Raises InfraError if none does."""
    said = b""
    for one in forms():
        with tempfile.TemporaryDirectory(prefix="rmaplab-sandbox-") as scratch:
            pieces: list[bytes] = []
            source, build = Path(scratch, "source"), Path(scratch, "build")
            source.mkdir()
            build.mkdir()
            try:
                done = _run(
                    ["true"], pieces.append, form=one, source=source, build=build,
                    limit_s=TOOL_LIMIT_S, writable=True, over={},
                )  # fmt: skip
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


def command(
    argv: Sequence[str],
    *,
    source: Path,
    build: Path,
    writable: bool = True,
    root: Path = Path("/"),
    over: Mapping[str, Path] | None = None,
    form: Form = Form(None, True),
    status_fds: Sequence[int] = (),
) -> list[str]:
    """Return the bwrap command line that runs ``argv`` in the build folder of the sandbox.

    ``writable`` says whether the command may write to the build folder. ``over`` are writable
    folders by their paths in the sandbox, which hide the source's files there. ``root`` is the
    host's root folder, of which only the links of a merged /usr are read. ``form`` is the form, and
    ``status_fds`` are the descriptors to which the form's bwraps tell their status.
    """
    words = [*_begin(form, root, status_fds),
             "--perms", "0755", "--dir", str(Path(SOURCE).parent),
             "--ro-bind", str(source), SOURCE,
             "--bind" if writable else "--ro-bind", str(build), BUILD]  # fmt: skip
    for target, folder in (over or {}).items():
        words += ["--bind", str(folder), target]
    return [*words, "--chdir", BUILD, *_end(form, argv, status_fds)]


def reader(argv: Sequence[str], files: Sequence[Path], root: Path = Path("/")) -> list[str]:
    """Return the bwrap command line that runs a program of the lab's own on a few files, read-only.

    It is for programs that read files of a guest or a series: they have the lab's Python, the files
    at their own paths, no network and nothing to write to. They run as the lab's own user, who may
    read the files.
    """
    form = Form(None, best_form().userns)
    python = [sys.prefix, sys.base_prefix, str(Path(rmaplab.__file__).parent)]
    places = dict.fromkeys([*python, *(str(file.absolute()) for file in files)])
    words = _begin(form, root, ())
    for place in places:
        if not Path(place).is_relative_to("/usr"):
            words += ["--ro-bind", place, place]
    return [*words, "--chdir", "/", *_end(form, argv, ())]


def _begin(form: Form, root: Path, status_fds: Sequence[int]) -> list[str]:
    """Return the words that make a file system with the host's programs alone."""
    words = ["bwrap", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    if form.uid is not None:
        # Not --unshare-all: it makes a user namespace, which has no other user to change to.
        words += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts",
                  "--unshare-cgroup-try", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID",
                  "--cap-add", "CAP_SETPCAP"]  # fmt: skip
    elif form.userns:
        words += ["--unshare-all", "--unshare-user", "--disable-userns"]
    else:
        words += ["--unshare-all"]
    if status_fds:
        words += ["--json-status-fd", str(status_fds[0])]
    words += ["--ro-bind", "/usr", "/usr"]
    for name in _ROOT_FOLDERS:
        place = root / name
        if place.is_symlink():
            words += ["--symlink", f"usr/{name}", f"/{name}"]
        elif place.is_dir():
            words += ["--ro-bind", f"/{name}", f"/{name}"]
    # bwrap makes the folders that it is not asked for so that their owner alone may enter them.
    words += ["--perms", "0755", "--dir", "/etc"]
    for name in _ETC:
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    words += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp"]
    if not _is_nested(form):
        words += _READ_ONLY_SYSCTLS
    return words


# Root's user id alone may write most of them, whatever its capabilities.
_READ_ONLY_SYSCTLS = ["--ro-bind", "/proc/sys", "/proc/sys"]


def _is_nested(form: Form) -> bool:
    return form.uid is not None and form.userns


def _end(form: Form, argv: Sequence[str], status_fds: Sequence[int]) -> list[str]:
    """Return the words that change the user, make the environment and the limits, and run."""
    environment = ["--clearenv"]
    for key, value in ENVIRONMENT.items():
        environment += ["--setenv", key, value]
    words = [*environment, "--"]
    if form.uid is not None:
        user = str(form.uid)
        words += ["setpriv", "--reuid", user, "--regid", user, "--clear-groups",
                  "--inh-caps=-all", "--bounding-set=-all", "--"]  # fmt: skip
    if _is_nested(form):
        words += ["bwrap", "--die-with-parent", "--unshare-user", "--disable-userns",
                  "--cap-drop", "ALL", "--dev-bind", "/", "/", *_READ_ONLY_SYSCTLS]  # fmt: skip
        if status_fds:
            words += ["--json-status-fd", str(status_fds[1])]
        words += ["--"]
    limits = ["--core=0", f"--fsize={_at_most(resource.RLIMIT_FSIZE, FILE_BYTES)}"]
    if form.userns or form.uid is not None:
        # Without either, the processes that the user has elsewhere would count.
        limits += [f"--nproc={_at_most(resource.RLIMIT_NPROC, PROCESSES)}"]
    return [*words, "prlimit", *limits, "--", *argv]


def _at_most(limit: int, wanted: int) -> int:
    """Return a resource limit that the lab may set: not above its own hard limit."""
    hard = resource.getrlimit(limit)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


@dataclass(frozen=True, slots=True)
class Ended:
    """A command of the sandbox that ran and has ended.

    ``status`` is its exit status, 128 and the signal's number if a signal killed it. ``stopped``
    says why the lab ended it, empty if the lab did not. ``disk_full`` is True if the disk of the
    build folder was full at some time.
    """

    status: int
    stopped: str
    disk_full: bool

    @property
    def ok(self) -> bool:
        """True if the command ended by itself with status 0."""
        return self.status == 0 and not self.stopped


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
    """Run a command in the sandbox, with what it prints given to ``sink``, for ``limit_s`` seconds.

    The arguments are those of ``command``. Raises InfraError if bwrap itself failed: bwrap tells a
    descriptor that the command does not have whether the command was started, so that nothing that
    the command prints can pass for bwrap's word.
    """
    return _run(
        argv, sink, form=best_form(), source=source, build=build,
        limit_s=limit_s, writable=writable, over=over or {},
    )  # fmt: skip


def _run(
    argv: Sequence[str],
    sink: Callable[[bytes], None],
    *,
    form: Form,
    source: Path,
    build: Path,
    limit_s: float,
    writable: bool,
    over: Mapping[str, Path],
) -> Ended:
    if os.geteuid() == 0:
        _hand_over(source, build, [*over.values(), *([build] if writable else [])], form)
    full = False

    def watch(seconds: float) -> str:
        nonlocal full
        full = full or shutil.disk_usage(build).free < FULL_DISK_BYTES
        if full:
            return "the disk is full"
        return f"no end within {limit_s:g} s" if seconds > limit_s else ""

    tail = b""

    def keep(chunk: bytes) -> None:
        nonlocal tail
        tail = (tail + chunk)[-1000:]
        sink(chunk)

    with ExitStack() as stack:
        pipes = [_pipe(stack) for _ in range(2 if _is_nested(form) else 1)]
        ends = [end for _, end in pipes]
        words = command(argv, source=source, build=build, writable=writable, over=over,
                        form=form, status_fds=ends)  # fmt: skip
        done = proc.stream(words, keep, env={}, pass_fds=ends, owner=form.uid, watch=watch)
        facts = [_facts(begin) for begin, _ in pipes]
    _wait_for_init(facts[0])
    watch(0)
    if done.stopped:
        return Ended(128 + signal.SIGKILL, done.stopped, full)
    status = facts[-1].get("exit-code")
    if status is None and len(facts) == 2 and facts[0].get("exit-code", 0) > 128:
        status = facts[0]["exit-code"]  # what ran killed the inner bwrap, which has its user
    if status is None:
        last = tail.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise InfraError(
            f"the build sandbox did not start: {last[0]}",
            hint="bubblewrap needs user namespaces: see 'lab.py doctor'",
        )
    return Ended(status, "", full)


def _pipe(stack: ExitStack) -> tuple[int, int]:
    begin, end = os.pipe()
    os.set_blocking(begin, False)
    for descriptor in (begin, end):
        stack.callback(os.close, descriptor)
    return begin, end


def _facts(descriptor: int) -> Mapping[str, int]:
    """Return what a bwrap told; it has ``exit-code`` only if the bwrap started its command."""
    try:
        said = os.read(descriptor, 1 << 16).decode()
    except BlockingIOError:
        return {}
    facts: dict[str, int] = {}
    for line in said.splitlines():
        facts |= json.loads(line) if line.strip() else {}
    return facts


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


def _hand_over(source: Path, build: Path, writable: Sequence[Path], form: Form) -> None:
    """Give folders of the cache to the user of a form, and let that user read the others."""
    user = form.uid or 0
    for folder in writable:
        proc.run(["chown", "--recursive", "--no-dereference", f"{user}:{user}", folder])
    if form.uid is not None:
        _let_read_once(source)
        if build not in writable:
            _let_read(build)


def _let_read(folder: Path) -> None:
    """Let everybody read a folder of the cache, which a strict umask may have made unreadable."""
    unreadable = ["(", "-type", "d", "!", "-perm", "-005", "-o", "-type", "f", "!", "-perm", "-004",
                  ")"]  # fmt: skip
    proc.run(["find", folder, *unreadable, "-exec", "chmod", "go+rX", "{}", "+"])


_let_read_once = functools.cache(_let_read)


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
