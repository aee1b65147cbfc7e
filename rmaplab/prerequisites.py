# SPDX-License-Identifier: GPL-2.0
"""The Debian packages that the lab needs, and why. Standard library only: this runs first.

``python3 -m rmaplab.prerequisites`` says what is missing; with ``--install`` it installs that with
apt-get, through sudo only if not root. With ``--tests`` it looks for what the tests use, too.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rmaplab.model.architecture import ARCHITECTURES, DEFAULT, Architecture, architecture_of


@dataclass(frozen=True)
class Package:
    """A Debian package; it is there if all its commands, files and Python modules are."""

    name: str
    why: str
    commands: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()

    def installed(self) -> bool:
        """Return whether everything that the lab needs of the package is there."""
        return (
            all(shutil.which(command, path=_PATH) for command in self.commands)
            and all(Path(file).exists() for file in self.files)
            and all(importlib.util.find_spec(module) for module in self.modules)
        )


_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

_COMMON = (
    Package("gcc", "compiles kernels", ("gcc",)),
    Package("make", "builds kernels", ("make",)),
    Package("libc6-dev", "headers for the kernel's host programs", (), ("/usr/include/stdio.h",)),
    Package(
        "linux-libc-dev", "kernel headers for the workloads", (), ("/usr/include/linux/mman.h",)
    ),
    Package("flex", "Kconfig's scanner", ("flex",)),
    Package("bison", "Kconfig's parser", ("bison",)),
    Package("bc", "the kernel's timeconst.h", ("bc",)),
    Package("libelf-dev", "the kernel's objtool", (), ("/usr/include/libelf.h",)),
    Package("perl", "checkpatch, and scripts of older kernels", ("perl",)),
    Package("cpio", "packs the guests' initramfs", ("cpio",)),
    Package("xz-utils", "unpacks the kernel source", ("xz",)),
    Package("git", "applies patch series", ("git",)),
    Package("bubblewrap", "keeps a series' Makefiles away from this host", ("bwrap",)),
    Package("util-linux", "ties child processes to the lab", ("setpriv", "prlimit")),
    Package("python3-venv", "the lab's virtual environment", (), (), ("venv", "ensurepip")),
)


def packages(architecture: Architecture) -> tuple[Package, ...]:
    """Return the packages that a lab with guests of an architecture needs."""
    own = (Package(one.name, one.why, one.commands) for one in architecture.packages)
    return (*_COMMON, *own)


PACKAGES = packages(architecture_of(DEFAULT))
"""The packages that the lab needs for guests that name no architecture."""


FOR_TESTS = (
    Package("public-inbox", "an archive of mails to fetch from", ("public-inbox-httpd",)),
    Package("sparse", "remarks of patchcheck", ("sparse",)),
)
"""The packages that tests use, beside those that the lab needs; without them they are skipped."""


def package_of(command: str) -> str:
    """Return the Debian package that brings a command; the command itself if none is known."""
    known = (package for row in ARCHITECTURES.values() for package in packages(row))
    return next((package.name for package in known if command in package.commands), command)


def missing(wanted: tuple[Package, ...] = PACKAGES) -> list[Package]:
    """Return the packages that are not installed."""
    return [package for package in wanted if not package.installed()]


def main(words: list[str]) -> int:
    """Print what is missing and, with ``--install``, install it. Returns 69 if that fails."""
    wanted = missing((*PACKAGES, *FOR_TESTS) if "--tests" in words else PACKAGES)
    if not wanted:
        return 0
    print("These Debian packages are missing:")
    for package in wanted:
        print(f"  {package.name:18} {package.why}")
    root = [] if os.geteuid() == 0 else ["sudo"]
    install = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y",
               "--no-install-recommends", *(package.name for package in wanted)]  # fmt: skip
    if "--install" not in words:
        print("Install them with:\n  " + " ".join(install))
        return 69
    if root and not shutil.which("sudo"):
        print(
            "Not root, and there is no sudo: ask an administrator to run\n  "
            + " ".join(install[1:])
        )
        return 69
    update = [*root, "apt-get", "update", "-qq"]
    for command in (update, install):
        print("+ " + " ".join(command), flush=True)
        if subprocess.call(command) != 0:
            print(f"error: {' '.join(command)} failed; see what apt-get said above")
            return 69
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
