# SPDX-License-Identifier: GPL-2.0
"""The command line of the sandbox: what a foreign process has, in bwrap's words (bwrap(1))."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rmaplab.model import ARCHITECTURES

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
"""Where programs are looked for in a sandbox."""

# Folders with programs and libraries, on a host of any architecture; one that this host does not
# have is left out.
_ROOT_FOLDERS = tuple(
    dict.fromkeys(
        ["bin", "sbin", *(name for row in ARCHITECTURES.values() for name in row.library_folders)]
    )
)
_ETC = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "debian_version")

PROCESSES = 5000
"""The processes at once of a command: make -j of the largest host needs a fifth."""
FILE_BYTES = 32 << 30
FILES = 4096
"""The files that a process may have open at once."""
TMP_BYTES = 4 << 30
"""The size of a sandbox's /tmp, which is memory: it has the intermediate files of compilers."""
SHARED_BYTES = 64 << 20
# Root's user id alone may write most of them, whatever its capabilities.
READ_ONLY_SYSCTLS = ["--ro-bind", "/proc/sys", "/proc/sys"]


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

    @property
    def is_nested(self) -> bool:
        """True if one bwrap makes the file system, and another one the user namespace."""
        return self.uid is not None and self.userns


@dataclass(frozen=True, slots=True)
class Box:
    """The places and the environment of a sandbox, beside the system's programs.

    ``readable`` and ``writable`` are files and folders of the host by their paths in the sandbox; a
    writable one hides what is readable there. ``workdir`` is where the command runs, with
    ``environment`` alone. With ``terminal`` the command has the lab's terminal. With ``shadow`` the
    size of a process's data has no limit: AddressSanitizer reserves terabytes, and uses few.
    """

    readable: Mapping[str, Path]
    writable: Mapping[str, Path] = field(default_factory=dict)
    workdir: str = "/"
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": PATH, "LC_ALL": "C"})
    terminal: bool = False
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Hands:
    """The descriptors that bwraps get.

    A form's bwraps tell their status to ``status``, one each; ``filter`` has the filter of system
    calls.
    """

    status: Sequence[int] = ()
    filter: int | None = None

    @property
    def all(self) -> tuple[int, ...]:
        """All of the descriptors."""
        return (*self.status, *(() if self.filter is None else (self.filter,)))


_NOTHING = Hands()


def command(
    argv: Sequence[str],
    box: Box,
    *,
    form: Form,
    root: Path = Path("/"),
    hands: Hands = _NOTHING,
) -> list[str]:
    """Return the command line that runs ``argv`` in a sandbox of a form.

    ``root`` is the host's root folder, of which only the links of a merged /usr are read.
    ``hands`` are the descriptors that the form's bwraps get.
    """
    words = _begin(form, root, hands)
    if not (box.terminal and hands.filter is not None):
        # A process could type on a terminal that it shares: the filter denies the call.
        words += ["--new-session"]
    for folder in _above([*box.readable, *box.writable]):
        words += ["--perms", "0755", "--dir", folder]
    for option, places in (("--ro-bind", box.readable), ("--bind", box.writable)):
        for target, place in places.items():
            words += [option, str(place), target]
    # The folders that bwrap made are memory: nobody fills them.
    words += ["--remount-ro", "/dev", "--remount-ro", "/"]
    return [*words, *_end(form, argv, box, root, hands)]


def _above(targets: Sequence[str]) -> list[str]:
    """Return the folders above paths of the sandbox, outermost first.

    bwrap makes the folders that it is not asked for so that their owner alone may enter them. What
    is below another one of the paths is there already.
    """
    found: dict[str, None] = {}
    for target in map(Path, targets):
        if not any(target != Path(other) and target.is_relative_to(other) for other in targets):
            found |= dict.fromkeys(str(above) for above in reversed(target.parents[:-1]))
    return list(found)


def _begin(form: Form, root: Path, hands: Hands) -> list[str]:
    """Return the words that make a file system with the host's programs alone."""
    words = ["bwrap", "--die-with-parent", "--cap-drop", "ALL"]
    if form.uid is not None:
        # Not --unshare-all: it makes a user namespace, which has no other user to change to.
        words += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts",
                  "--unshare-cgroup-try", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID",
                  "--cap-add", "CAP_SETPCAP"]  # fmt: skip
    elif form.userns:
        words += ["--unshare-all", "--unshare-user", "--disable-userns"]
    else:
        words += ["--unshare-all"]
    if hands.status:
        words += ["--json-status-fd", str(hands.status[0])]
    words += ["--ro-bind", "/usr", "/usr"]
    for name in _ROOT_FOLDERS:
        place = root / name
        if place.is_symlink():
            words += ["--symlink", f"usr/{name}", f"/{name}"]
        elif place.is_dir():
            words += ["--ro-bind", f"/{name}", f"/{name}"]
    words += ["--perms", "0755", "--dir", "/etc"]
    for name in _ETC:
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    words += ["--proc", "/proc", "--dev", "/dev"]
    for target, size in (("/tmp", TMP_BYTES), ("/dev/shm", SHARED_BYTES)):
        words += ["--perms", "1777", "--size", str(size), "--tmpfs", target]
    if not form.is_nested:
        words += READ_ONLY_SYSCTLS
    return words


def _end(
    form: Form,
    argv: Sequence[str],
    box: Box,
    root: Path,
    hands: Hands,
) -> list[str]:
    """Return the words that change the user, make the environment and the limits, and run."""
    words = ["--clearenv"]
    for key, value in box.environment.items():
        words += ["--setenv", key, value]
    # Another user's folder may be closed to a root without capabilities.
    words += ["--chdir", box.workdir] if form.uid is None else ["--chdir", "/"]
    # Of two bwraps the outer one still needs mounts.
    filtered = [] if hands.filter is None else ["--seccomp", str(hands.filter)]
    words += ["--"] if form.is_nested else [*filtered, "--"]
    if form.uid is not None:
        user = str(form.uid)
        words += ["setpriv", "--reuid", user, "--regid", user, "--clear-groups",
                  "--inh-caps=-all", "--bounding-set=-all", "--"]  # fmt: skip
    if form.is_nested:
        words += ["bwrap", "--die-with-parent", "--unshare-user", "--disable-userns",
                  "--cap-drop", "ALL", "--dev-bind", "/", "/", *READ_ONLY_SYSCTLS,
                  "--chdir", box.workdir, *filtered]  # fmt: skip
        if hands.status:
            words += ["--json-status-fd", str(hands.status[1])]
        words += ["--"]
    elif form.uid is not None:
        argv = ["env", f"--chdir={box.workdir}", "--", *argv]
    if (root / "usr/bin/choom").exists():
        argv = ["choom", "--adjust=1000", "--", *argv]  # the first to be killed without memory
    return [*words, "prlimit", *_limits(form, box), "--", *argv]


def _limits(form: Form, box: Box) -> list[str]:
    limits = [
        "--core=0",
        f"--fsize={_at_most(resource.RLIMIT_FSIZE, FILE_BYTES)}",
        f"--memlock={_at_most(resource.RLIMIT_MEMLOCK, 1 << 20)}",
        f"--nofile={_at_most(resource.RLIMIT_NOFILE, FILES)}",
    ]
    if not box.shadow:
        limits += [f"--data={_at_most(resource.RLIMIT_DATA, memory_bytes())}"]
    if form.userns or form.uid is not None:
        # Without either, the processes that the user has elsewhere would count.
        limits += [f"--nproc={_at_most(resource.RLIMIT_NPROC, PROCESSES)}"]
    return limits


def memory_bytes() -> int:
    """Return the bytes of memory that this host has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _at_most(limit: int, wanted: int) -> int:
    """Return a resource limit that the lab may set: not above its own hard limit."""
    hard = resource.getrlimit(limit)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def forms(uid: int) -> tuple[Form, ...]:
    """Return the ways to run foreign code for this user, the best first.

    ``uid`` is the user of the foreign code if the lab is root.
    """
    own = (Form(None, True), Form(None, False))
    return (Form(uid, True), Form(uid, False), *own) if os.geteuid() == 0 else own
