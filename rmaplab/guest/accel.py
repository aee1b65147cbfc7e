# SPDX-License-Identifier: GPL-2.0
"""The accelerator of guests: KVM only where it runs the architecture's boot probe faster than TCG.

A /dev/kvm that opens is not a working KVM: some hosts abort, others hang silently, and some run
real-mode code at a crawl and hang in 64-bit code. The boot probe (model/architecture.py) is a
program that is known to be good. A kernel under test is not: one that does not boot on KVM says
nothing about KVM. TCG runs the probe as well: on a busy host both are slow, and only what KVM is
worse at speaks against KVM.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rmaplab import proc
from rmaplab.errors import InfraError, UserError
from rmaplab.guest.command import Accelerator
from rmaplab.log import log
from rmaplab.model import Architecture
from rmaplab.store.cache import Cache
from rmaplab.store.files import write_whole

PROBE_LIMIT_S = 10.0
"""Seconds after which a guest with the boot probe counts as hung."""
ROUNDS = 2
"""How often KVM may be slower than TCG before it is given up: a busy host's clock is chance."""
_KVM = Path("/dev/kvm")
_MEMORY = "kvm-probe.json"
_IMAGE = "probe.img"


@dataclass(frozen=True, slots=True)
class Probe:
    """The answer of a probe: whether an accelerator runs guests, and the times that show it.

    ``lasts`` says that the answer holds until the host boots again: TCG ran the probe beside it,
    so neither a busy host nor a broken QEMU was the reason.
    """

    works: bool
    detail: str
    lasts: bool = False


@dataclass(frozen=True, slots=True)
class _Boot:
    """One boot of the probe: ``seconds`` to its end; None if it hung or ended in another way."""

    seconds: float | None
    detail: str
    hung: bool = False


def probe(accelerator: Accelerator, architecture: Architecture) -> Probe:
    """Boot an architecture's probe on an accelerator. Raises InfraError if QEMU is missing."""
    proc.require(architecture.qemu)
    if accelerator is Accelerator.TCG:
        boot = _boot(accelerator, architecture)
        return Probe(boot.seconds is not None, boot.detail)
    if architecture.name != platform.machine():
        return Probe(False, f"a {platform.machine()} host has none for {architecture.name} guests")
    if not os.access(_KVM, os.R_OK | os.W_OK):
        why = "no permission" if _KVM.exists() else "there is none"
        return Probe(False, f"{_KVM}: {why}")
    return _against_tcg(architecture)


def _against_tcg(architecture: Architecture) -> Probe:
    for _ in range(ROUNDS):
        kvm = _boot(Accelerator.KVM, architecture)
        if kvm.seconds is None and not kvm.hung:
            return Probe(False, kvm.detail)  # QEMU says why, and at once: it is asked again
        tcg = _boot(Accelerator.TCG, architecture)
        detail = f"on KVM {kvm.detail}, on TCG {tcg.detail}"
        if tcg.seconds is None:
            return Probe(False, detail)
        if kvm.seconds is None:
            break
        if kvm.seconds <= tcg.seconds:
            return Probe(True, detail, lasts=True)
    return Probe(False, detail, lasts=True)


def _boot(accelerator: Accelerator, architecture: Architecture) -> _Boot:
    wanted = architecture.boot_probe
    with tempfile.TemporaryDirectory(prefix="rmaplab-probe-") as scratch:
        image = Path(scratch, _IMAGE)
        image.write_bytes(wanted.image)
        argv = [architecture.qemu, "-nodefaults", "-no-user-config", "-display", "none",
                "-no-reboot", "-machine", wanted.machine, "-accel", str(accelerator), "-m", "16",
                *(word.replace("{image}", str(image)) for word in wanted.options)]  # fmt: skip
        try:
            done = proc.run(argv, check=False, timeout_s=PROBE_LIMIT_S)
        except InfraError:
            return _Boot(None, f"the boot probe hung for {PROBE_LIMIT_S:g} s", hung=True)
    if done.returncode != wanted.status:
        said = done.complaint[-300:]
        return _Boot(None, f"QEMU ended with status {done.returncode}: {said}")
    return _Boot(done.duration_s, f"the boot probe ran in {done.duration_s:.1f} s")


def choose(asked: str, architecture: Architecture, cache: Cache) -> Accelerator:
    """Return the accelerator for ``auto``, ``kvm`` or ``tcg``.

    An answer that lasts is kept in the cache. Raises UserError if ``kvm`` is asked for and does
    not work, InfraError if QEMU is missing.
    """
    if asked == "tcg":
        return Accelerator.TCG
    answer = _remembered(architecture, cache) or examine(architecture, cache)
    if answer.works:
        return Accelerator.KVM
    if asked == "kvm":
        raise UserError(
            f"KVM does not work here: {answer.detail}",
            hint="use --accel auto or tcg; lab.py doctor asks KVM again",
        )
    log.info(f"KVM is not used: {answer.detail}")
    return Accelerator.TCG


def examine(architecture: Architecture, cache: Cache) -> Probe:
    """Probe KVM now, whatever the cache says, and remember the answer if it lasts.

    Raises InfraError if QEMU is missing.
    """
    answer = probe(Accelerator.KVM, architecture)
    path = cache.root / _MEMORY
    if not answer.lasts:
        path.unlink(missing_ok=True)
        return answer
    cache.root.mkdir(parents=True, exist_ok=True)
    facts = {"key": _key(architecture), "works": answer.works, "detail": answer.detail}
    write_whole(path, json.dumps(facts))
    return answer


def _remembered(architecture: Architecture, cache: Cache) -> Probe | None:
    try:
        known = json.loads((cache.root / _MEMORY).read_text(encoding="utf-8"))
        if known["key"] == _key(architecture):
            return Probe(known["works"] is True, str(known["detail"]), lasts=True)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no answer yet, or not one of ours
    return None


def _key(architecture: Architecture) -> str:
    """Return what an answer depends on: the host since its boot, QEMU, the probe, the rights."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    qemu = proc.require(architecture.qemu)
    status = qemu.stat()
    wanted = hashlib.sha256(repr(architecture.boot_probe).encode()).hexdigest()[:16]
    access = os.access(_KVM, os.R_OK | os.W_OK)
    return f"{boot_id} {qemu} {status.st_size} {status.st_mtime_ns} {wanted} {access}"
