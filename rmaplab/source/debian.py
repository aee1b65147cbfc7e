# SPDX-License-Identifier: GPL-2.0
"""Kernel sources from Debian's packages, without root: apt downloads, dpkg-deb unpacks.

apt checks the archive's signature and the package's hash against the host's own package lists.
"""

from __future__ import annotations

import re
from pathlib import Path

from rmaplab import proc
from rmaplab.errors import InfraError, UserError
from rmaplab.store.cache import Cache, remove


def candidate(package: str) -> str:
    """Return the version of a package that apt would install.

    Raises UserError on a name that is no linux-source package or that apt does not know although
    it knows others, InfraError if apt knows none.
    """
    if not re.fullmatch(r"linux-source-[0-9.]+", package):
        raise UserError(
            f"not a kernel source package: {package!r}", hint="e.g. debian:linux-source-6.12"
        )
    match = re.search(r"^ *Candidate: (\S+)$", _apt_cache("policy", package), re.M)
    if match is not None and match[1] != "(none)":
        return match[1]
    known = sorted(re.findall(r"^linux-source-[0-9.]+$", _apt_cache("pkgnames", "linux-so"), re.M))
    refresh = "refresh its lists: apt-get update (as root)"
    if not known:
        raise InfraError(f"apt does not know the package {package}", hint=refresh)
    raise UserError(
        f"apt does not know the package {package}",
        hint=f"it knows {', '.join(known)}; for a new one {refresh}",
    )


def _apt_cache(*words: str) -> str:
    return proc.run(["apt-cache", *words], env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}).text


def source_archive(package: str, version: str, cache: Cache) -> Path:
    """Return the ``linux-source-*.tar.xz`` of a package, in the cache's downloads."""

    def make(folder: Path) -> None:
        fetched = proc.run(["apt-get", "download", f"{package}={version}"], cwd=folder, check=False)
        debs = list(folder.glob("*.deb"))
        if not fetched.ok or not debs:
            raise InfraError(
                f"apt-get download {package}={version} failed: {fetched.complaint}",
                hint="refresh the package lists: apt-get update (as root)",
            )
        proc.run(["dpkg-deb", "-x", debs[0], folder / "unpacked"])
        for archive in (folder / "unpacked/usr/src").glob("linux-source-*.tar.*"):
            archive.rename(folder / archive.name)
        debs[0].unlink()
        remove(folder / "unpacked")

    folder = cache.entry("downloads", f"{package}_{version.replace(':', '_')}", make)
    archives = sorted(folder.glob("linux-source-*.tar.*"))
    if not archives:
        raise InfraError(f"the package {package} {version} holds no kernel source archive")
    return archives[0]
