# SPDX-License-Identifier: GPL-2.0
"""Which accelerator to use: KVM only where it was seen to boot a kernel.

A /dev/kvm that opens is not a working KVM: some hosts abort, others hang silently, and some run
real-mode code at a crawl and hang in 64-bit code. So there are two probes: a disk of one sector,
whose code writes to QEMU's isa-debug-exit device, needs no kernel and rules out most; then the
kernel under test has to boot to its agent.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rmaplab import proc
from rmaplab.errors import InfraError, UserError
from rmaplab.guest.command import QEMU, Accelerator
from rmaplab.log import log
from rmaplab.store.cache import Cache
from rmaplab.store.files import write_whole

PROBE_LIMIT_S = 10.0
# TCG needs half a second; an accelerator that is slower than this accelerates nothing.
FAST_S = 3.0
DISK_BYTES = 1 << 20
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
        # SeaBIOS takes a disk without a whole cylinder for none.
        disk.write_bytes(boot_sector().ljust(DISK_BYTES, b"\0"))
        argv = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                "-machine", "q35", "-accel", str(accelerator), "-m", "16",
                "-drive", f"file={disk},format=raw,if=ide",
                "-device", f"isa-debug-exit,iobase={_PORT:#x},iosize=1"]  # fmt: skip
        try:
            done = proc.run(argv, check=False, timeout_s=PROBE_LIMIT_S)
        except InfraError:
            return Probe(False, f"a one-sector guest hung for {PROBE_LIMIT_S:g} s")
    if done.returncode == _STATUS:
        fast = done.duration_s <= FAST_S
        slow = "" if fast else f", which should take less than {FAST_S:g} s"
        return Probe(fast, f"a one-sector guest ran in {done.duration_s:.1f} s{slow}")
    return Probe(False, f"QEMU ended with status {done.returncode}: {done.complaint[-300:]}")


def choose(asked: str, cache: Cache, boot: Callable[[], Probe]) -> Accelerator:
    """The accelerator for ``auto``, ``kvm`` or ``tcg``.

    ``boot`` boots a kernel on KVM; it is called only if the one-sector probe found nothing wrong,
    and its answer is kept for as long as the host is up. Raises UserError if ``kvm`` is asked for
    and does not work.
    """
    if asked == "tcg":
        return Accelerator.TCG
    answer = _remembered(cache, boot)
    if answer.works:
        return Accelerator.KVM
    if asked == "kvm":
        raise UserError(f"KVM does not work here: {answer.detail}", hint="use --accel auto or tcg")
    log.info(f"KVM is not used: {answer.detail}")
    return Accelerator.TCG


def _remembered(cache: Cache, boot: Callable[[], Probe]) -> Probe:
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
    if answer.works:
        answer = boot()
    cache.root.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps({"key": key, "works": answer.works, "detail": answer.detail}))
    return answer
