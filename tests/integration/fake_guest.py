# SPDX-License-Identifier: GPL-2.0
"""Guests of one disk sector for the real QEMU: they print something and then misbehave."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rmaplab.guest import cell as guest_cell
from rmaplab.guest import command
from rmaplab.guest.cellsetup import CellSetup
from rmaplab.guest.command import Accelerator, Launch
from rmaplab.guest.postmortem import MemoryDumpPermit
from rmaplab.model import (
    Cell,
    Guest,
    HugepageSettings,
    Isolation,
    Limits,
    NumaNode,
    Requirements,
    Testcase,
    TestcaseKind,
)

_ORIGIN = 0x7C00  # where a BIOS puts the sector

HALT = bytes([0xFA, 0xF4, 0xEB, 0xFD])  # cli; hlt; jmp hlt
# lidt of an empty table, then int3: the fault has no handler, nor has that fault's.
TRIPLE_FAULT = bytes([0x0F, 0x01, 0x1E, 0xF0, 0x7D, 0xCC])
AGAIN = b"again"


def disk(text: bytes, then: bytes) -> bytes:
    """A disk that boots, prints ``text`` on the first serial port and goes on with ``then``."""
    print_it = bytearray([
        0x31, 0xC0, 0x8E, 0xD8, 0xFC,  # xor ax, ax; mov ds, ax; cld
        0xBE, 0, 0,                    # mov si, text
        0xAC, 0x84, 0xC0, 0x74, 0x12,  # next: lodsb; test al, al; jz then
        0x88, 0xC4, 0xBA, 0xFD, 0x03,  # mov ah, al; mov dx, 0x3fd
        0xEC, 0xA8, 0x20, 0x74, 0xFB,  # wait: in al, dx; test al, 0x20; jz wait
        0x88, 0xE0, 0xBA, 0xF8, 0x03,  # mov al, ah; mov dx, 0x3f8
        0xEE, 0xEB, 0xE9,              # out dx, al; jmp next
    ])  # fmt: skip
    if then is AGAIN:
        then = bytes([0xEB, 0x100 - len(print_it) - 2])  # jmp to the start
    code_size = len(print_it) + len(then)
    print_it[6:8] = (_ORIGIN + code_size).to_bytes(2, "little")
    return _with_boot_sector(bytes(print_it) + then, text)


def hasty_disk(text: bytes, times: int) -> bytes:
    """A disk that boots, prints ``text`` so many times whether the port has room or not, halts."""
    print_it = bytearray([
        0x31, 0xC0, 0x8E, 0xD8, 0xFC,        # xor ax, ax; mov ds, ax; cld
        0xBA, 0xF8, 0x03,                    # mov dx, 0x3f8
        0xB9, *times.to_bytes(2, "little"),  # mov cx, times
        0xBE, 0, 0,                          # again: mov si, text
        0xAC, 0x84, 0xC0, 0x74, 0x03,        # next: lodsb; test al, al; jz done
        0xEE, 0xEB, 0xF8,                    # out dx, al; jmp next
        0xE2, 0xF3,                          # done: loop again
        *HALT,
    ])  # fmt: skip
    print_it[12:14] = (_ORIGIN + len(print_it)).to_bytes(2, "little")
    return _with_boot_sector(bytes(print_it), text)


def _with_boot_sector(code: bytes, text: bytes) -> bytes:
    whole = code + text + b"\0"
    # TRIPLE_FAULT's table, at 0x7df0, has to be zero.
    assert len(whole) <= 0x1F0
    assert b"\0" not in text
    sector = whole.ljust(510, b"\0") + b"\x55\xaa"
    return sector.ljust(1 << 20, b"\0")  # SeaBIOS cannot read a disk of one sector


@dataclass(frozen=True)
class FakeGuest:
    """QEMU's real command line, but for what it boots; ``more`` are further arguments."""

    disk: Path
    more: tuple[str, ...] = ()

    def argv(self, *words: Any, **options: Any) -> list[str]:
        """In place of ``command.qemu``."""
        argv = _real_qemu(*words, **options)
        kernel = argv.index("-kernel")
        assert argv[kernel + 2] == "-initrd"
        assert argv[kernel + 4] == "-append"
        drive = ["-drive", f"file={self.disk},format=raw,if=virtio"]
        return [*argv[:kernel], *drive, *argv[kernel + 6 :], *self.more]


_real_qemu = command.qemu


def a_cell(boot_s: float) -> Cell:
    """A cell on a small guest that gets ``boot_s`` seconds to boot."""
    guest = Guest(
        name="tiny",
        summary="one sector",
        machine="q35",
        cpu="qemu64",
        cpus=1,
        nodes=(NumaNode(32, (0,)),),
        devices=(),
        swap_mb=0,
        cmdline=(),
        isolation=Isolation.BOOT,
        limits=Limits(boot_s / Accelerator.TCG.slowdown, 5, 5),
    )
    testcase = Testcase(
        name="fake/test",
        id="T1",
        summary="a testcase",
        kind=TestcaseKind.TEST,
        walkers=(),
        requires=Requirements(),
        settings=("none",),
        limit_s=5,
        args=(),
        source=Path("/nonexistent"),
    )
    settings = HugepageSettings("none", "nothing", ())
    return Cell("base.tiny.none.fake.test.1", "base", guest, settings, testcase, 1)


async def run(
    fake: FakeGuest, folder: Path, *, boot_s: float, memory_dump: MemoryDumpPermit | None = None
) -> None:
    """Run a cell on a fake guest; its evidence goes to ``folder``."""
    folder.mkdir(exist_ok=True)
    nowhere = Path("/nonexistent")
    launch = Launch(nowhere, nowhere, Accelerator.TCG)
    setup = CellSetup(launch, ("/proc/vmstat",), memory_dump=memory_dump)
    before, command.qemu = command.qemu, fake.argv
    try:
        await guest_cell.run(a_cell(boot_s), setup, folder, "/bin/fake")
    finally:
        command.qemu = before
