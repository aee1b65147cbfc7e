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
from rmaplab.build import sandbox
from rmaplab.errors import RmaplabError
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
    row = architecture_of(DEFAULT)
    findings.append(_try("QEMU with TCG", lambda: _works(accel.probe(Accelerator.TCG, row)), ""))
    kvm = _try(
        "QEMU with KVM", lambda: _works(accel.examine(row, cache)), "without KVM the lab uses TCG"
    )
    findings.append(Finding(kvm.name, kvm.ok, False, kvm.detail, kvm.hint))
    findings.append(_disk(cache))
    findings.append(_memory())
    findings.append(_drgn())
    return findings


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
    with tempfile.TemporaryDirectory(prefix="rmaplab-doctor-") as scratch:
        place = Path(scratch)
        done = proc.run(sandbox.command(["gcc", "--version"], source=place, build=place))
    return f"runs {done.text.splitlines()[0]}"


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
