# SPDX-License-Identifier: GPL-2.0
"""The architectures of guests: one row of data each.

Everything else asks the row of a kernel or guest: a test (tests/unit/test_architecture.py) finds
the code that does not. Code that only one architecture has is in a module that the row names.
Standard library only: rmaplab/prerequisites.py reads the rows before anything is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rmaplab.errors import UserError


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine type of QEMU; ``options`` switch off the devices that no guest uses."""

    name: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BootProbe:
    """A program that QEMU boots instead of a kernel, to see whether an accelerator runs guests.

    ``image`` is the content of the file that it boots, and ``options`` are QEMU's for that; they
    write ``{image}`` for the file's path. The program computes in the kernel's own processor mode
    and then ends QEMU with ``status``, which QEMU gives in no other case.
    """

    machine: str
    image: bytes
    options: tuple[str, ...]
    status: int


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """A Debian package that the architecture's guests need, with the commands that it brings."""

    name: str
    why: str
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Architecture:
    """An architecture that guests can have.

    ``name`` is its machine name of uname(2); lab files, guest profiles and run.json use it.

    Guests: ``machines`` are the machine types that profiles may name, ``qemu`` is the emulator,
    ``console`` the serial console, ``cmdline`` the kernel parameters that only this architecture
    needs, ``memory_block_mb`` the unit in which memory is plugged, in MB.

    Kernels: ``make_arch`` and ``cross_compile`` are make's ARCH and CROSS_COMPILE (empty for the
    host's own compiler), ``kernel_folder`` the tree's folder for the architecture, ``image`` the
    target of make, ``image_folder`` the folder in the build where make leaves it,
    ``kconfig_folder`` the folder in ``configs/kconfig`` with the architecture's own lines of
    fragments.

    Memory: ``page_bytes`` and ``pmd_bytes`` are the sizes of a page and of what a PMD entry maps,
    ``page_tables`` the module that decodes page tables, ``drgn`` drgn's name of the architecture.

    Programs: ``compiler`` links them statically, ``triplet`` names the folder of the kernel's
    architecture-specific UAPI headers below ``/usr/include``, ``library_folders`` are the folders
    that a host of this architecture has its libraries in, ``word_suffixes`` what the kernel's mm
    selftests append to the name of a program that they build for each word size.

    ``vng`` is virtme-ng's name of the architecture, ``kvm_symbols`` are the Kconfig symbols of
    its KVM hosts.
    """

    name: str
    machines: tuple[Machine, ...]
    qemu: str
    console: str
    cmdline: tuple[str, ...]
    memory_block_mb: int
    boot_probe: BootProbe
    make_arch: str
    cross_compile: str
    kernel_folder: str
    image: str
    image_folder: str
    kconfig_folder: str
    page_bytes: int
    pmd_bytes: int
    page_tables: str
    drgn: str
    compiler: str
    triplet: str
    library_folders: tuple[str, ...]
    word_suffixes: tuple[str, ...]
    vng: str
    kvm_symbols: tuple[str, ...]
    packages: tuple[DebianPackage, ...]

    def machine(self, name: str) -> Machine:
        """Return a machine type by its name. Raises UserError if guests cannot have it."""
        for machine in self.machines:
            if machine.name == name:
                return machine
        names = ", ".join(machine.name for machine in self.machines)
        raise UserError(f"{self.name} guests have no machine {name!r}: {names}")

    @property
    def image_path(self) -> str:
        """The path of the kernel image in a build folder."""
        return f"{self.image_folder}/{self.image}"

    @property
    def page_kb(self) -> int:
        """The size of a page in KB."""
        return self.page_bytes >> 10

    @property
    def pmd_kb(self) -> int:
        """The size of what a PMD entry maps, in KB: the kernel names hugepage pools by it."""
        return self.pmd_bytes >> 10

    @property
    def pmd_pages(self) -> int:
        """The number of pages that a PMD entry maps, HPAGE_PMD_NR of the kernel."""
        return self.pmd_bytes // self.page_bytes


# Devices that QEMU would make, and restore for each clone, for nobody; and a PS/2 mouse that the
# kernel is still looking for while the first cell runs.
_PC_OPTIONS = ("sata=off", "smbus=off", "vmport=off", "i8042=off")

# isa-debug-exit ends QEMU with the status (value << 1) | 1.
_EXIT_PORT = 0x501
_EXIT_VALUE = 0x2A
_EXIT_STATUS = (_EXIT_VALUE << 1) | 1
_SECTOR_BYTES = 512
# SeaBIOS takes a disk without a whole cylinder for none.
_DISK_BYTES = 1 << 20

# Loaded at 0x7c00 in real mode. Some hosts' KVM runs real mode, at a crawl, and hangs in 64-bit
# code: so the program maps 4 MB by page tables of its own (PML4 at 0x1000, PDPT at 0x2000, PD at
# 0x3000), goes to long mode as the kernel does, waits for three interrupts of the BIOS's timer
# (vector 8, IDT at 0x4000) and adds up 2 MB a thousand times, a third of a second's work on TCG.
_LONG_MODE_PROBE = bytes.fromhex(
    "fa fc"                           # cli; cld
    "31c0 8ed8 8ec0"                  # xor ax, ax; mov ds, ax; mov es, ax
    "bf0010 b90020 f3ab"              # mov di, 0x1000; mov cx, 0x2000; rep stosw
    "c706 0010 0320"                  # mov word [0x1000], 0x2003: present, writable
    "c706 0020 0330"                  # mov word [0x2000], 0x3003
    "c706 0030 8300"                  # mov word [0x3000], 0x83: 2 MB from 0
    "66c706 0830 83002000"            # mov dword [0x3008], 0x200083: 2 MB from 2 MB
    "66c706 8040 d97c0800"            # mov dword [0x4080], 8 << 16 | tick
    "c706 8440 008e"                  # mov word [0x4084], 0x8e00: an interrupt gate
    "66b820000000 0f22e0"             # mov eax, 0x20; mov cr4, eax: PAE
    "66b800100000 0f22d8"             # mov eax, 0x1000; mov cr3, eax
    "66b9800000c0 0f32 80cc01 0f30"   # mov ecx, 0xc0000080; rdmsr; or ah, 1; wrmsr: EFER.LME
    "660f0116f17c 660f011ef77c"       # lgdt [gdtr]; lidt [idtr]
    "0f20c0 660d01000080 0f22c0"      # mov eax, cr0; or eax, 0x80000001; mov cr0, eax: PG, PE
    "ea767c0800"                      # jmp 8:long
    "bc007c0000 31c0 8ed0 31ed fb"    # long: mov esp, 0x7c00; mov ss, 0; xor ebp, ebp; sti
    "f4 83fd03 72fa fa"               # wait: hlt; cmp ebp, 3; jb wait; cli
    "bf00002000 b900000400"           # mov edi, 0x200000; mov ecx, 0x40000
    "48b8efcdab8967452301"            # mov rax, 0x0123456789abcdef
    "f348ab"                          # rep stosq
    "31db bae8030000"                 # xor ebx, ebx; mov edx, 1000
    "be00002000 b900000400"           # pass: mov esi, 0x200000; mov ecx, 0x40000
    "48031e 4883c608 ffc9 75f5"       # add: add rbx, [rsi]; add rsi, 8; dec ecx; jnz add
    "ffca 75e7"                       # dec edx; jnz pass
    "48b80000 60b6711cc771"           # mov rax, 0x0123456789abcdef * 0x40000 * 1000
    "4839c3 7507"                     # cmp rbx, rax; jne halt
    "66ba0105 b02a ee"                # mov dx, _EXIT_PORT; mov al, _EXIT_VALUE; out dx, al
    "f4 ebfd"                         # halt: hlt; jmp halt
    "ffc5 b020 e620 48cf"             # tick: inc ebp; mov al, 0x20; out 0x20, al; iretq
    "0000000000000000"                # gdt: nothing
    "00000000009a2000"                # 64-bit code
    "0f00 e17c0000"                   # gdtr: limit and address of the GDT
    "8f00 00400000"                   # idtr: limit and address of the IDT
)  # fmt: skip


def _disk(program: bytes) -> bytes:
    """Return a disk whose first sector, with the signature of one that boots, is a program."""
    sector = program.ljust(_SECTOR_BYTES - 2, b"\0") + b"\x55\xaa"
    return sector.ljust(_DISK_BYTES, b"\0")


X86_64 = Architecture(
    name="x86_64",
    machines=(Machine("q35", _PC_OPTIONS), Machine("pc", _PC_OPTIONS)),
    qemu="qemu-system-x86_64",
    console="ttyS0",
    # no_timer_check: the kernel counts timer interrupts against a calibrated delay at boot and
    # panics if too few came ("IO-APIC + timer doesn't work"), which under TCG on a busy host is
    # chance; KVM guests skip the check by themselves (arch/x86/kernel/kvm.c).
    cmdline=("no_timer_check",),
    memory_block_mb=128,
    boot_probe=BootProbe(
        machine="q35",
        image=_disk(_LONG_MODE_PROBE),
        options=(
            "-drive", "file={image},format=raw,if=ide",
            "-device", f"isa-debug-exit,iobase={_EXIT_PORT:#x},iosize=1",
        ),
        status=_EXIT_STATUS,
    ),
    make_arch="x86_64",
    cross_compile="",
    kernel_folder="arch/x86",
    image="bzImage",
    image_folder="arch/x86/boot",
    kconfig_folder="x86_64",
    page_bytes=4096,
    pmd_bytes=2 << 20,
    page_tables="rmaplab.postmortem.x86_64",
    drgn="X86_64",
    compiler="musl-gcc",
    triplet="x86_64-linux-gnu",
    library_folders=("lib", "lib32", "lib64", "libx32"),
    word_suffixes=("_32", "_64"),
    vng="x86_64",
    kvm_symbols=("KVM", "KVM_INTEL", "KVM_AMD"),
    packages=(
        DebianPackage("qemu-system-x86", "runs the guests", ("qemu-system-x86_64",)),
        DebianPackage("musl-tools", "small static binaries for the guests", ("musl-gcc",)),
    ),
)  # fmt: skip

ARCHITECTURES: Mapping[str, Architecture] = {row.name: row for row in (X86_64,)}
DEFAULT = X86_64.name
"""The architecture of kernels and guests that name none."""


def architecture_of(name: str) -> Architecture:
    """Return the row of an architecture. Raises UserError if the lab knows none of that name."""
    if name not in ARCHITECTURES:
        raise UserError(f"unknown architecture {name!r}: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]
