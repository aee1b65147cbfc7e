# SPDX-License-Identifier: GPL-2.0
"""Kernel sources from Debian's packages, without root: apt downloads, dpkg-deb unpacks.

apt checks the archive's signature and the package's hash: against the host's own package lists, and
if those do not have the package, against lists of other suites that the lab keeps in its cache. The
host's apt is then asked with folders of the lab's own; nothing of its configuration changes.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from rmaplab import proc
from rmaplab.errors import InfraError, UserError
from rmaplab.log import log
from rmaplab.source import unpack
from rmaplab.store.cache import Cache, remove

ARCHIVE = "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SUITES = ("trixie-backports", "sid", "trixie", "bookworm")
"""The suites that a package is looked for in, after the host's own, in this order."""

_PACKAGE = re.compile(r"(linux-source-[0-9.]+)(?:=([0-9][0-9A-Za-z.+:~-]*)|/([a-z][a-z0-9-]*))?")
_ENVIRONMENT = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A source package as a user names it: ``version`` and ``suite`` may be empty."""

    package: str
    version: str = ""
    suite: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A version of a package, and the options that make apt find it."""

    package: str
    version: str
    options: tuple[str, ...] = ()


def wanted(text: str) -> Wanted:
    """Read ``linux-source-7.3``, ``linux-source-7.3=VERSION`` or ``linux-source-7.3/SUITE``.

    Raises UserError on a name that is no linux-source package.
    """
    match = _PACKAGE.fullmatch(text)
    if match is None:
        raise UserError(
            f"not a kernel source package: {text!r}",
            hint="e.g. debian:linux-source-6.12, debian:linux-source-7.3/sid, or with =VERSION",
        )
    return Wanted(match[1], match[2] or "", match[3] or "")


def known(source: Wanted, cache: Cache) -> Found | None:
    """Return the package if a list that is here has it: the host's, or one in the cache."""
    if not source.suite and (found := _in_lists(source, ())):
        return found
    for suite in _suites(source):
        options = _options(suite, _folder(suite, cache))
        if _folder(suite, cache).is_dir() and (found := _in_lists(source, options)):
            return found
    return None


def look_up(source: Wanted, cache: Cache) -> Found:
    """Return the package from the first suite that has it, by lists that are fetched now.

    Raises UserError if no suite has it, InfraError if the lists cannot be fetched.
    """
    if not source.suite and (found := _in_lists(source, ())):
        return found
    names: set[str] = set()
    for suite in _suites(source):
        options = _update(suite, cache)
        if found := _in_lists(source, options):
            return found
        names.update(_names(options))
    version = f" {source.version}" if source.version else ""
    raise UserError(
        f"neither this host's apt nor Debian's {', '.join(_suites(source))} has {source.package}"
        f"{version}",
        hint=f"they have {', '.join(sorted(names | set(_names(()))))}",
    )


def _suites(source: Wanted) -> tuple[str, ...]:
    return (source.suite,) if source.suite else SUITES


def _in_lists(source: Wanted, options: tuple[str, ...]) -> Found | None:
    """Return what the lists have of a package; apt's own candidate if no version is wanted."""
    policy = _apt_cache(options, "policy", source.package)
    if source.version:
        version = re.escape(source.version)
        listed = re.search(rf"^ (?:   |\*\*\*) *{version} -?\d+\n +-?\d+ (?!/)", policy, re.M)
        return Found(source.package, source.version, options) if listed else None
    match = re.search(r"^ *Candidate: (\S+)$", policy, re.M)
    if match is None or match[1] == "(none)":
        return None
    return Found(source.package, match[1], options)


def _names(options: tuple[str, ...]) -> list[str]:
    said = _apt_cache(options, "pkgnames", "linux-so")
    return re.findall(r"^linux-source-[0-9.]+$", said, re.M)


def _apt_cache(options: tuple[str, ...], *words: str) -> str:
    return proc.run(["apt-cache", *options, *words], env=_ENVIRONMENT, check=False).text


def _folder(suite: str, cache: Cache) -> Path:
    return cache.path("downloads", f"apt-{suite}")


def _options(suite: str, folder: Path) -> tuple[str, ...]:
    """Return the options that make apt use a folder of the lab's own, and one suite alone."""
    values = {
        "Dir::Etc::SourceList": folder / f"{suite}.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State": folder / "state",
        "Dir::State::Status": "/var/lib/dpkg/status",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Acquire::Languages": "none",
        "APT::Get::AllowUnauthenticated": "false",
    }
    return tuple(word for name, value in values.items() for word in ("-o", f"{name}={value}"))


def _update(suite: str, cache: Cache) -> tuple[str, ...]:
    """Fetch the lists of a suite into the cache, and return apt's options for them.

    Lists take the place of older ones when they are whole and their signature is good. Raises
    InfraError if they cannot be fetched or are not signed by Debian's archive.
    """
    if not KEYRING.is_file():
        raise InfraError(
            f"cannot check the signature of Debian's {suite}: there is no {KEYRING}",
            hint="install it: apt-get install debian-archive-keyring",
        )
    final = _folder(suite, cache)
    with cache.lock("downloads", final.name), log.step(f"fetching the lists of Debian's {suite}"):
        half = final.with_name(f".{final.name}.half")
        remove(half)
        try:
            _fetch_lists(suite, half)
            remove(final)
            half.rename(final)
        finally:
            remove(half)
    return _options(suite, final)


def _fetch_lists(suite: str, folder: Path) -> None:
    for name in ("state", "lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    line = f"deb [signed-by={KEYRING}] {ARCHIVE} {suite} main\n"
    (folder / f"{suite}.list").write_text(line, encoding="utf-8")
    strict = ("-o", "APT::Update::Error-Mode=any")
    words = ["apt-get", *_options(suite, folder), *strict, "update"]
    done = proc.run(words, env=_network(), check=False)
    if not done.ok:
        raise InfraError(
            f"apt-get update of Debian's {suite} failed: {done.complaint}",
            hint=f"is {ARCHIVE} in reach? apt says why above; or fetch the package elsewhere and "
            "name it: --tree deb:FILE",
        )


def _network() -> dict[str, str]:
    """Return the environment of an apt that fetches: a proxy may be named there alone."""
    return _ENVIRONMENT | {name: os.environ[name] for name in _PROXIES if name in os.environ}


def source_archive(found: Found, cache: Cache) -> Path:
    """Return the ``linux-source-*.tar.xz`` of a package, in the cache's downloads."""
    said = f"{found.package}={found.version}"

    def make(folder: Path) -> None:
        words = ["apt-get", *found.options, "download", said]
        fetched = proc.run(words, cwd=folder, env=_network(), check=False)
        debs = list(folder.glob("*.deb"))
        if not fetched.ok or not debs:
            raise InfraError(
                f"apt-get download {said} failed: {fetched.complaint}",
                hint="refresh the package lists: apt-get update (as root)",
            )
        _unpack(debs[0], folder)
        debs[0].unlink()

    name = f"{found.package}_{found.version.replace(':', '_')}"
    return _archive_in(cache.entry("downloads", name, make), said)


def archive_of(package: Path, name: str, cache: Cache) -> Path:
    """Return the kernel source archive of a package file, under a name in the downloads."""

    def make(folder: Path) -> None:
        _unpack(package, folder)

    return _archive_in(cache.entry("downloads", name, make), str(package))


def _unpack(package: Path, folder: Path) -> None:
    """Move the source archive of a package to a folder; a package may be a stranger's."""
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    try:
        unpack.package(package, unpacked)
    except UserError as error:
        raise UserError(f"{package} is no Debian package: {error.message}") from error
    for archive in _archives(unpacked / "usr/src"):
        if archive.is_file() and not archive.is_symlink():
            shutil.move(archive, folder / archive.name)
    remove(unpacked)


def _archive_in(folder: Path, package: str) -> Path:
    archives = _archives(folder)
    if not archives:
        raise UserError(
            f"the package {package} holds no kernel source archive",
            hint="a linux-source package has usr/src/linux-source-*.tar.xz",
        )
    return archives[0]


def _archives(folder: Path) -> list[Path]:
    return sorted(folder.glob("linux-source-*.tar.*"))
