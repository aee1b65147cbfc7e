# SPDX-License-Identifier: GPL-2.0
"""doctor: every tool and ability that the lab needs, tried and not just looked at."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rmaplab import proc
from rmaplab.build import budget, cgroup, hosttests, sandbox, seccomp, trust
from rmaplab.errors import InfraError, RmaplabError
from rmaplab.guest import accel
from rmaplab.guest.command import Accelerator
from rmaplab.model.architecture import DEFAULT, architecture_of
from rmaplab.pipeline.hostmemory import available_mb
from rmaplab.prerequisites import PACKAGES
from rmaplab.store.cache import Cache

# A kernel tree, one base and a few variants.
DISK_GB = 6.0
MEMORY_MB = 2048


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: ``needed`` says whether the lab cannot do without."""

    name: str
    ok: bool
    needed: bool
    detail: str
    hint: str = ""


def examine(cache: Cache) -> list[Finding]:
    """Return the findings of all checks, in the order in which a user would mend them."""
    findings = list(_commands())
    findings.append(_try("build sandbox", _sandbox, "bubblewrap needs user namespaces: "
                         "sysctl user.max_user_namespaces"))  # fmt: skip
    findings += _protections()
    row = architecture_of(DEFAULT)
    findings.append(_try("QEMU with TCG", lambda: _works(accel.probe(Accelerator.TCG, row)), ""))
    kvm = _try(
        "QEMU with KVM", lambda: _works(accel.examine(row, cache)), "without KVM the lab uses TCG"
    )
    findings.append(Finding(kvm.name, kvm.ok, False, kvm.detail, kvm.hint))
    findings.append(_disk(cache))
    findings.append(_memory())
    findings.append(_drgn())
    findings.append(_urcu())
    return findings


def _urcu() -> Finding:
    """Look for liburcu, an extra: most host tests of a kernel tree are linked with it."""
    there = Path("/usr/include", hosttests.URCU).exists()
    detail = "host tests of vma and radix-tree" if there else "missing: such host tests are skips"
    return Finding("liburcu", there, False, detail, "apt-get install liburcu-dev")


def _drgn() -> Finding:
    """Look for drgn, an extra: the lab judges without it."""
    there = importlib.util.find_spec("drgn") is not None
    detail = "reads the memory of guests" if there else "not installed: no reports on memories"
    return Finding("drgn", there, False, detail, "pip install 'rmaplab[postmortem]'")


def _commands() -> Iterator[Finding]:
    for package in PACKAGES:
        missing = [name for name in package.commands if proc.which(name) is None]
        if not package.commands:
            continue
        yield Finding(
            package.name,
            not missing,
            True,
            f"missing: {', '.join(missing)}" if missing else ", ".join(package.commands),
            f"apt-get install {package.name}: {package.why}",
        )


def _try(name: str, check: Callable[[], str], hint: str) -> Finding:
    try:
        return Finding(name, True, True, check())
    except RmaplabError as error:
        return Finding(name, False, True, error.message, error.hint or hint)


def _sandbox() -> str:
    said = _in_sandbox("gcc --version")
    return f"runs {said.splitlines()[0]} as {sandbox.best_form().text}"


_MARK = "RMAPLAB_DOCTOR"
# Each line is the name of a protection and what it is tried by; nothing is written to the host.
_TRIES = """
echo user $(id -u)
echo sysctls $(grep -c ' /proc/sys ro[, ]' /proc/self/mountinfo)
unshare --user true 2>/dev/null && echo namespaces can || echo namespaces cannot
echo network $(tail -n +3 /proc/net/dev | grep -vc '^ *lo:')
echo processes $(prlimit --nproc --noheadings --output=SOFT)
echo memory $(prlimit --data --noheadings --output=SOFT) $(cat /proc/self/oom_score_adj)
echo calls $(sed -n 's/^Seccomp:[[:space:]]*//p' /proc/self/status)
echo files $(prlimit --fsize --noheadings --output=SOFT)
echo environment $(cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -c ^RMAPLAB_DOCTOR=)
"""


def _protections() -> Iterator[Finding]:
    """Yield what the sandbox keeps from foreign code on this host, each tried."""
    os.environ[_MARK] = "a secret of the lab's"
    try:
        said = dict(line.split(maxsplit=1) for line in _in_sandbox(_TRIES).splitlines())
    except (RmaplabError, ValueError) as error:
        yield Finding("sandbox", False, False, f"not tried: {error}")
        return
    finally:
        del os.environ[_MARK]
    form = sandbox.best_form()
    limited = said.get("processes", "unlimited") != "unlimited" and (
        form.userns or form.uid is not None
    )
    newer = "bubblewrap 0.8 or newer, and user namespaces, make it so"
    rows = (
        ("foreign user", said.get("user") != "0", f"foreign code runs as user {said.get('user')}",
         "root may use setpriv and chown where the container maps user "
         f"{sandbox.BUILD_UID}; an ordinary user needs neither"),
        ("settings of the host", said.get("sysctls") == "1", "/proc/sys is read-only", newer),
        ("user namespaces", said.get("namespaces") == "cannot",
         f"foreign code {said.get('namespaces')} make new ones", newer),
        ("network", said.get("network") == "0", "none but the sandbox's own", newer),
        ("processes", limited, f"at most {said['processes']}" if limited else "no limit", newer),
        ("environment", said.get("environment") == "0", "none of the lab's", ""),
        ("system calls", said.get("calls") == "2",
         "those that a compiler needs" if said.get("calls") == "2" else "all of them",
         f"the lab has a filter for {', '.join(seccomp.MACHINES)}, and the kernel needs "
         "CONFIG_SECCOMP_FILTER"),
        ("memory", not said.get("memory", "unlimited").startswith("unlimited"),
         f"a process has at most what the host has, and is the first to be killed; {_group()}", ""),
        ("disk", said.get("files", "unlimited") != "unlimited",
         f"at most {budget.BUILD_BYTES >> 30} GB a build folder, looked at once a second", ""),
    )  # fmt: skip
    for name, ok, detail, hint in rows:
        yield Finding(f"sandbox: {name}", ok, False, detail, hint)
    weak = trust.weaknesses()
    detail = "their series and trees are built"
    if weak:
        detail = f"their series and trees are refused: {'; '.join(weak)}"
    hint = f"the rule is in docs/threat-model.md; {trust.UNSAFE}=1 builds them all the same"
    yield Finding("sandbox: strangers", not weak, False, detail, hint)


def _group() -> str:
    """Return what limits the memory of a whole build."""
    with cgroup.limited() as group:
        if group is not None:
            return f"a cgroup limits a build to {group.memory >> 20} MB"
    return "a build as a whole is watched, for the lab may make no cgroup with a limit for memory"


def _in_sandbox(script: str) -> str:
    """Return what a script prints in the sandbox. Raises InfraError if it fails."""
    pieces: list[bytes] = []
    with tempfile.TemporaryDirectory(prefix="rmaplab-doctor-") as scratch:
        source, build = Path(scratch, "source"), Path(scratch, "build")
        source.mkdir()
        build.mkdir()
        ended = sandbox.run(
            ["sh", "-c", script],
            pieces.append,
            source=source,
            build=build,
            limit_s=sandbox.TOOL_LIMIT_S,
        )
    said = b"".join(pieces).decode("utf-8", "replace")
    if not ended.ok:
        raise InfraError(f"status {ended.status}: {said[-300:]}")
    return said


def _works(answer: accel.Probe) -> str:
    if not answer.works:
        raise RmaplabError(answer.detail)
    return answer.detail


def _disk(cache: Cache) -> Finding:
    place = cache.root
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    writable = os.access(place, os.W_OK)
    detail = f"{cache.root}: {free:.0f} GB free" + ("" if writable else ", not writable")
    hint = f"the lab wants {DISK_GB:g} GB; set RMAPLAB_CACHE to another place"
    return Finding("cache", writable and free >= DISK_GB, True, detail, hint)


def _memory() -> Finding:
    free = available_mb()
    if not free:
        return Finding("memory", False, False, "/proc/meminfo does not say")
    return Finding("memory", free >= MEMORY_MB, True, f"{free} MB available",
                   f"guests and compilers want {MEMORY_MB} MB")  # fmt: skip
