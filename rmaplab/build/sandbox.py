# SPDX-License-Identifier: GPL-2.0
"""The build sandbox: a kernel's Makefiles run here, and a series may have rewritten them.

The source is read-only at one fixed path and the build folder at another, whatever their real
places are: so every variant has the same ``.cmd`` files, and base and patched differ by the patch
alone. No network, no home directory, nothing else of the host writable (bubblewrap, bwrap(1)).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

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
    """The bwrap command line that runs ``argv`` in the build folder of the sandbox.

    ``writable`` says whether it may write there. ``over`` are writable folders by their places in
    the sandbox, over what the source has there. ``root`` is the host's root folder, looked at for
    merged /usr only.
    """
    words = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
             "--ro-bind", "/usr", "/usr"]  # fmt: skip
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
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
    """The bwrap command line that runs ``argv`` on the host's files without writing any.

    For programs that read what a guest or a series made: without network, with nothing to write to.
    """
    return ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
            "--ro-bind", "/", "/", "--tmpfs", "/run", "--proc", "/proc", "--dev", "/dev",
            "--", *argv]  # fmt: skip


def make(targets: Sequence[str], *, jobs: int) -> list[str]:
    """The make command line for the sandbox's paths."""
    return ["make", "-C", SOURCE, f"O={BUILD}", "ARCH=x86_64", f"-j{jobs}", *targets]


def tree_path(text: str) -> str:
    """A path of the sandbox as a path relative to the tree."""
    return text.removeprefix(f"{SOURCE}/").removeprefix(f"{BUILD}/").removeprefix("../source/")
