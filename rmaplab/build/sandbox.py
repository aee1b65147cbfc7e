# SPDX-License-Identifier: GPL-2.0
"""The build sandbox: a kernel's Makefiles run here, and a series may have rewritten them.

The source is read-only at one fixed path and the build folder at another, whatever their real
places are: so every variant has the same ``.cmd`` files, and base and patched differ by the patch
alone. No network, no home directory, nothing else of the host writable (bubblewrap, bwrap(1)).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

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


def command(
    argv: Sequence[str],
    *,
    source: Path,
    build: Path,
    writable: bool = True,
    root: Path = Path("/"),
    over: Mapping[str, Path] | None = None,
) -> list[str]:
    """Return the bwrap command line that runs ``argv`` in the build folder of the sandbox.

    ``writable`` says whether the command may write to the build folder. ``over`` are writable
    folders by their paths in the sandbox, which hide the source's files there. ``root`` is the
    host's root folder, of which only the links of a merged /usr are read.
    """
    words = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
             "--ro-bind", "/usr", "/usr"]  # fmt: skip
    for name in _ROOT_FOLDERS:
        place = root / name
        if place.is_symlink():
            words += ["--symlink", f"usr/{name}", f"/{name}"]
        elif place.is_dir():
            words += ["--ro-bind", f"/{name}", f"/{name}"]
    for name in _ETC:
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
              "--ro-bind", str(source), SOURCE,
              "--bind" if writable else "--ro-bind", str(build), BUILD]  # fmt: skip
    for target, folder in (over or {}).items():
        words += ["--bind", str(folder), target]
    words += ["--chdir", BUILD, "--clearenv"]
    for key, value in ENVIRONMENT.items():
        words += ["--setenv", key, value]
    return [*words, "--", *argv]


def reader(argv: Sequence[str]) -> list[str]:
    """Return the bwrap command line that runs ``argv`` on the host's files, read-only.

    It is for programs that read files of a guest or a series. They have no network and nothing to
    write to.
    """
    return ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
            "--ro-bind", "/", "/", "--tmpfs", "/run", "--proc", "/proc", "--dev", "/dev",
            "--", *argv]  # fmt: skip


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
