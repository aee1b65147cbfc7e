# SPDX-License-Identifier: GPL-2.0
"""Which accelerator to use: KVM only where it was seen to run a guest.

A /dev/kvm that opens is not a working KVM: some hosts abort, others hang silently. The probe boots
a disk of one sector, whose code writes to QEMU's isa-debug-exit device, within a time limit.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rmaplab import proc
from rmaplab.errors import InfraError, UserError
from rmaplab.guest.command import QEMU, Accelerator
from rmaplab.store.cache import Cache

PROBE_LIMIT_S = 10.0
_PORT = 0x501
_VALUE = 0x2A
# isa-debug-exit ends QEMU with (value << 1) | 1.
_STATUS = (_VALUE << 1) | 1


def boot_sector() -> bytes:
    """512 bytes: ``mov dx, 0x501; mov al, 0x2a; out dx, al; hlt; jmp hlt`` and the signature."""
    code = bytes([0xBA, _PORT & 0xFF, _PORT >> 8, 0xB0, _VALUE, 0xEE, 0xF4, 0xEB, 0xFD])
    return code.ljust(510, b"\0") + b"\x55\xaa"


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether an accelerator ran a guest, and what was seen."""

    works: bool
    detail: str


def probe(accelerator: Accelerator) -> Probe:
    """Boot the sector on an accelerator. Raises InfraError if QEMU is missing."""
    proc.require(QEMU)
    if accelerator is Accelerator.KVM and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        why = "no permission" if Path("/dev/kvm").exists() else "there is none"
        return Probe(False, f"/dev/kvm: {why}")
    with tempfile.TemporaryDirectory(prefix="rmaplab-probe-") as scratch:
        disk = Path(scratch, "disk.img")
        disk.write_bytes(boot_sector())
        argv = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                "-machine", "q35", "-accel", str(accelerator), "-m", "16",
                "-drive", f"file={disk},format=raw,if=ide",
                "-device", f"isa-debug-exit,iobase={_PORT:#x},iosize=1"]  # fmt: skip
        try:
            done = proc.run(argv, check=False, timeout_s=PROBE_LIMIT_S)
        except InfraError:
            return Probe(False, f"a one-sector guest hung for {PROBE_LIMIT_S:g} s")
    if done.returncode == _STATUS:
        return Probe(True, f"a one-sector guest ran in {done.duration_s:.1f} s")
    return Probe(False, f"QEMU ended with status {done.returncode}: {done.complaint[-300:]}")


def choose(asked: str, cache: Cache) -> Accelerator:
    """The accelerator for ``auto``, ``kvm`` or ``tcg``; the probe's answer is kept per host boot.

    Raises UserError if ``kvm`` is asked for and does not work.
    """
    if asked == "tcg":
        return Accelerator.TCG
    answer = _remembered(cache)
    if answer.works:
        return Accelerator.KVM
    if asked == "kvm":
        raise UserError(f"KVM does not work here: {answer.detail}", hint="use --accel auto or tcg")
    return Accelerator.TCG


def _remembered(cache: Cache) -> Probe:
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    path = cache.root / "kvm-probe.json"
    key = f"{boot_id} {proc.require(QEMU)} {os.access('/dev/kvm', os.R_OK | os.W_OK)}"
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        if known["key"] == key:
            return Probe(bool(known["works"]), str(known["detail"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no answer yet, or not one of ours: probe
    answer = probe(Accelerator.KVM)
    cache.root.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"key": key, "works": answer.works, "detail": answer.detail}), encoding="utf-8"
    )
    return answer
