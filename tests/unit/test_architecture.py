# SPDX-License-Identifier: GPL-2.0
"""An architecture is a row of data: nothing else knows one, and another row is enough."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

import rmaplab
from rmaplab import proc
from rmaplab.build import dependencies, fragments, initramfs, kernel, sandbox, selftests, virtme
from rmaplab.config import labfile
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import DiagnosticsError, UserError
from rmaplab.guest import accel, command, template
from rmaplab.guest import virtme as virtme_guest
from rmaplab.guest.command import Accelerator, Channels, Launch
from rmaplab.model import (
    ARCHITECTURES,
    X86_64,
    Architecture,
    BootProbe,
    DebianPackage,
    Guest,
    Kconfig,
    Kernel,
    Machine,
    NumaNode,
    Patch,
    ResolvedKernel,
    Series,
    Tree,
    architecture_of,
)
from rmaplab.pipeline import shell
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.prerequisites import PACKAGES, package_of, packages
from rmaplab.proc import Finished
from rmaplab.store.cache import Cache

from .builders import guest

ROOT = Path(rmaplab.__file__).parent
TOY = Architecture(
    name="toy64",
    machines=(Machine("breadboard", ("buzzer=off",)), Machine("rack")),
    qemu="qemu-system-toy64",
    console="ttyTOY0",
    cmdline=("toyclock=coarse",),
    memory_block_mb=512,
    boot_probe=BootProbe("rack", b"toy program", ("-bios", "{image}"), 9),
    make_arch="toy",
    cross_compile="toy64-linux-gnu-",
    kernel_folder="arch/toy",
    image="Image.toy",
    image_folder="arch/toy/boot",
    kconfig_folder="toy64",
    page_bytes=65536,
    pmd_bytes=512 << 20,
    page_tables="rmaplab.postmortem.toy64",
    drgn="TOY64",
    compiler="toy64-linux-musl-gcc",
    triplet="toy64-linux-gnu",
    library_folders=("lib", "libtoy"),
    word_suffixes=(),
    vng="toy64",
    kvm_symbols=("KVM", "KVM_TOY"),
    packages=(DebianPackage("gcc-toy64", "compiles kernels", ("toy64-linux-gnu-gcc",)),),
)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Architecture:
    """A second row, as if it stood beside the first."""
    monkeypatch.setitem(cast(dict[str, Architecture], ARCHITECTURES), TOY.name, TOY)
    return TOY


def toy_guest() -> Guest:
    return replace(guest("toy"), arch="toy64", machine="breadboard")


LAUNCH = Launch(Path("/k/Image.toy"), Path("/k/initramfs.cpio"), Accelerator.TCG)


# -- nothing outside the rows knows an architecture ---------------------------------------------

WORDS = re.compile(
    r"q35|microvm|ttyS\d|bzImage|x86|amd64|i[3456]86|qemu-system-\w|lib(?:32|64|x32)\b"
    r"|\d+kB\b|musl|linux-gnu"
)
NUMBERS = {4096, 2 << 20}
SIZES = {"2 << 20", "1 << 21", "1 << 12"}
ROWS = {Path("model/architecture.py"), Path("postmortem/x86_64.py")}
# Words and numbers that belong to no architecture: how often, at most, and why.
ALLOWED: dict[str, tuple[int, str]] = {
    "build/bubblewrap.py 4096": (1, "files that a process has open"),
    "build/seccomp.py x86": (1, "the machine that the lab itself runs on, beside others"),
    "build/sparse.py x86": (3, "the machine that sparse is asked about, and no other"),
    "build/progress.py 4096": (1, "the longest line"),
    "cli/examples.py q35": (2, "the name of a guest, in an example"),
    "cli/options.py q35": (1, "the name of a guest, in an example"),
    "plan.py q35": (1, "the name of a guest, in an example"),
    "collect/splats/machinery.py x86": (2, "names of kernel functions, beside arm64's"),
    "collect/splats/machinery.py 4096": (5, "sizes of caches"),
    "collect/splats/tally.py 4096": (1, "so many fingerprints are remembered"),
    "collect/splats/lines.py 4096": (1, "the longest line"),
    "config/settings.py 64kB": (1, "the size that the settings mthp-64k are about"),
    "pipeline/postrun.py 4096": (1, "so many pages are described, at most"),
    "source/series.py 4096": (1, "so much of a file says whether it is a mail"),
    "store/cellfiles.py 4096": (2, "sizes of caches"),
}


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for one in body if isinstance(body, list) else ():
            if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
                yield one.value


def literals(source: str) -> Iterator[str]:
    """The words and numbers of a module's code that belong to an architecture."""
    tree = ast.parse(source)
    docstrings = {id(text) for text in _docstrings(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and ast.unparse(node) in SIZES:
            yield ast.unparse(node)
        if not isinstance(node, ast.Constant) or id(node) in docstrings:
            continue
        value = node.value
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        if isinstance(value, str):
            yield from (match[0] for match in WORDS.finditer(value))
        elif isinstance(value, int) and value in NUMBERS:
            yield str(value)


def test_only_the_rows_know_an_architecture() -> None:
    found: Counter[str] = Counter()
    for path in ROOT.rglob("*.py"):
        name = path.relative_to(ROOT)
        if name not in ROWS:
            found.update(f"{name} {one}" for one in literals(path.read_text("utf-8")))
    extra = {one: n for one, n in found.items() if n > ALLOWED.get(one, (0, ""))[0]}
    assert not extra, "ask the architecture of the guest or kernel instead"


@pytest.mark.parametrize(
    "code",
    ['M = "q35"', 'f"/dev/ttyS0{x}"', "PAGE = 4096", "PAGE = 0x1000", "PMD = 2 << 20",
     'x = b"bzImage"', 'run("qemu-system-x86_64")', '("lib64",)', 'x = "hugepages-2048kB"'],
)  # fmt: skip
def test_such_code_is_found(code: str) -> None:
    assert list(literals(code))


def test_comments_docstrings_and_other_names_are_not() -> None:
    code = '"""A q35 guest."""\n# ttyS0\nx = "qemu-system-"\nY = 4095\n'
    assert not list(literals(code))


def test_a_row_is_used_by_its_name_in_no_module_but_its_own() -> None:
    users = {
        path.relative_to(ROOT)
        for path in ROOT.rglob("*.py")
        if re.search(r"\bX86_64\b", path.read_text("utf-8"))
    }
    assert users - ROWS <= {Path("model/__init__.py")}


# -- the row of x86-64 --------------------------------------------------------------------------


def test_the_probe_ends_qemu_as_its_program_says() -> None:
    row = X86_64.boot_probe
    assert len(row.image) >= 512
    assert row.image[510:512] == b"\x55\xaa"
    move_port_and_value = b"\x66\xba" + (0x501).to_bytes(2, "little") + b"\xb0\x2a\xee"
    assert move_port_and_value in row.image[:510]
    assert "isa-debug-exit,iobase=0x501,iosize=1" in row.options
    assert row.status == 0x2A << 1 | 1


def test_page_sizes_follow_from_each_other() -> None:
    assert (X86_64.page_kb, X86_64.pmd_kb, X86_64.pmd_pages) == (4, 2048, 512)
    assert (TOY.page_kb, TOY.pmd_kb, TOY.pmd_pages) == (64, 512 << 10, 8192)


def test_an_unknown_architecture_and_machine_are_the_users_mistake() -> None:
    with pytest.raises(UserError, match="unknown architecture 'vax': x86_64"):
        architecture_of("vax")
    with pytest.raises(UserError, match="x86_64 guests have no machine 'virt': q35, pc"):
        X86_64.machine("virt")


# -- another row is enough ----------------------------------------------------------------------


@pytest.mark.usefixtures("toy")
def test_another_rows_guest_is_this_qemu() -> None:
    argv = command.qemu(toy_guest(), LAUNCH, Channels(5, 6, 7))
    assert argv[0] == "qemu-system-toy64"
    assert argv[argv.index("-machine") + 1] == "breadboard,buzzer=off,memory-backend=node0"
    line = argv[argv.index("-append") + 1].split()
    assert line[:2] == ["console=ttyTOY0", "rdinit=/init"]
    assert line[-1] == "toyclock=coarse"
    assert not [word for word in argv if WORDS.search(word.replace("qemu-system-toy64", ""))]
    assert command.emulators([toy_guest(), guest()]) == ("qemu-system-toy64", X86_64.qemu)
    reproduced = command.reproduce(toy_guest(), LAUNCH)
    assert reproduced[0] == argv[0]


@pytest.mark.usefixtures("toy")
def test_a_machine_of_another_row_is_none_of_this_one() -> None:
    with pytest.raises(UserError, match="toy64 guests have no machine 'q35': breadboard, rack"):
        command.machine(replace(toy_guest(), machine="q35"), Accelerator.TCG)


def test_another_row_is_made_with_this_command(toy: Architecture) -> None:
    assert sandbox.make([toy.image], toy, jobs=2) == [
        "make", "-C", "/kernel/source", "O=/kernel/build", "ARCH=toy",
        "CROSS_COMPILE=toy64-linux-gnu-", "-j2", "Image.toy",
    ]  # fmt: skip
    assert toy.image_path == "arch/toy/boot/Image.toy"


def test_the_toolchain_is_the_rows_own(toy: Architecture, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def run(argv: list[str], **options: Any) -> Finished:
        asked.append(argv[0])
        return Finished(tuple(argv), 0, f"{argv[0]} 1.0\n".encode(), b"", 0.1)

    monkeypatch.setattr(proc, "run", run)
    monkeypatch.setattr(proc, "require", Path)
    assert kernel.toolchain(toy) == ("toy64-linux-gnu-gcc 1.0; toy64-linux-gnu-ld 1.0; make 1.0")
    assert kernel.toolchain(X86_64) == "gcc 1.0; ld 1.0; make 1.0"


def request(arch: str) -> ResolvedKernel:
    tree = Tree("dir:/t", Path("/t"), "6.12.1", "here", "1234")
    patch = Patch("1", "mm: x", "me", b"diff", "5678", ("mm/rmap.c",))
    asked = Kconfig(("guest",), (), "9abc")
    made = Kernel("base", "dir:/t", "", ("guest",), arch=arch)
    return ResolvedKernel(made, tree, Series("s", "s", (patch,)), asked, "gcc 12", "1", "")


@pytest.mark.usefixtures("toy")
def test_the_keys_of_two_architectures_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = request(X86_64.name), request(TOY.name)
    assert one.key != other.key
    assert one.key == request(X86_64.name).key
    answer = Finished(("qemu",), 0, b"QEMU 7\n", b"", 0.1)
    monkeypatch.setattr(proc, "run", lambda *words, **options: answer)
    # Even of machines that QEMU's command line does not tell apart.
    twin = replace(X86_64, name="twin")
    monkeypatch.setitem(cast(dict[str, Architecture], ARCHITECTURES), "twin", twin)
    keys = {template.key(replace(guest(), arch=arch), LAUNCH, ()) for arch in ("x86_64", "twin")}
    assert len(keys) == 2


def test_another_rows_probe_is_this_qemu(
    toy: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def run(argv: list[str], **options: Any) -> Finished:
        seen.append(argv)
        image = Path(argv[argv.index("-bios") + 1])
        assert image.read_bytes() == b"toy program"
        return Finished(tuple(argv), toy.boot_probe.status, b"", b"", 0.1)

    monkeypatch.setattr(proc, "run", run)
    monkeypatch.setattr(proc, "require", Path)
    assert accel.probe(Accelerator.TCG, toy).works
    assert seen[0][0] == "qemu-system-toy64"
    assert seen[0][seen[0].index("-machine") + 1] == "rack"


def test_kvm_of_this_host_runs_no_guest_of_another_row(
    toy: Architecture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(proc, "require", Path)
    with pytest.raises(UserError, match="has none for toy64 guests"):
        accel.choose("kvm", toy, Cache(tmp_path))


def test_the_workloads_are_linked_by_the_rows_compiler(toy: Architecture) -> None:
    words = initramfs.compiler(toy)
    assert words[0] == "toy64-linux-musl-gcc"
    assert words[-1] == "/usr/include/toy64-linux-gnu"


def test_a_fragment_has_lines_of_one_architecture(tmp_path: Path, toy: Architecture) -> None:
    base = tmp_path / "guest.config"
    base.write_text("CONFIG_SMP=y\nCONFIG_TTY=y\n", encoding="utf-8")
    for folder, text in (("toy64", "CONFIG_TOY=y\n# CONFIG_SMP is not set\n"), ("x86_64", "X=y\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "guest.config").write_text(text, encoding="utf-8")
    asked = fragments.read([base], "6.12", toy)
    assert asked.fragments == ("guest",)
    assert {one.name: one.value for one in asked.symbols} == {"SMP": "n", "TTY": "y", "TOY": "y"}
    assert {one.fragment for one in asked.symbols} == {"guest", "toy64/guest"}
    with pytest.raises(DiagnosticsError, match=r"x86_64/guest\.config:1: not a Kconfig request"):
        fragments.read([base], "6.12", X86_64)


def test_why_kconfig_dropped_a_symbol_is_looked_up_in_the_rows_folder(
    tmp_path: Path, toy: Architecture
) -> None:
    (tmp_path / "arch/toy").mkdir(parents=True)
    text = 'config TOY\n\tbool "toy"\n\tdepends on FUN\n'
    (tmp_path / "arch/toy/Kconfig").write_text(text, encoding="utf-8")
    assert "depends on FUN" in dependencies.explain("TOY", tmp_path, {}, toy)
    assert dependencies.explain("TOY", tmp_path, {}, X86_64) == "this tree has no such symbol"


def test_virtme_ng_is_asked_for_the_rows_architecture(toy: Architecture) -> None:
    assert virtme.command(toy)[-2:] == ["--arch", "toy64"]
    assert set(virtme.not_wanted(toy)) >= {"KVM", "KVM_TOY"}
    assert "KVM_INTEL" not in virtme.not_wanted(toy)


@pytest.mark.usefixtures("toy")
def test_a_guest_on_the_hosts_userspace_has_the_rows_console(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def run(argv: list[str], **options: Any) -> Finished:
        asked.extend(argv)
        return Finished(tuple(argv), 0, b"qemu-system-toy64 -append x\n", b"", 0.1)

    monkeypatch.setattr(proc, "run", run)
    virtme_guest.ask(toy_guest(), Path("/k/Image.toy"), Path("/p"))
    assert asked[-1].endswith(">/dev/ttyTOY0 2>&1")
    assert "toyclock=coarse" in asked[asked.index("--append") + 1]


def test_the_packages_of_a_row_are_its_own(toy: Architecture) -> None:
    assert "gcc-toy64" in [one.name for one in packages(toy)]
    assert "gcc-toy64" not in [one.name for one in PACKAGES]
    assert package_of("toy64-linux-gnu-gcc") == "gcc-toy64"
    assert package_of(X86_64.qemu) == "qemu-system-x86"
    assert package_of("no-such-command") == "no-such-command"


def test_the_prerequisites_need_no_package_of_python() -> None:
    """They run on a fresh Debian, before the virtual environment is there."""
    program = f"import sys; sys.path = [*sys.path, {str(ROOT.parent)!r}]\n"
    program += "import rmaplab.prerequisites as it; assert it.PACKAGES"
    done = proc.run([sys.executable, "-I", "-S", "-c", program], check=False)
    assert done.ok, done.complaint


def test_a_program_of_the_selftests_is_found_without_its_word_size() -> None:
    made = selftests.Selftests("mm", {}, frozenset({"mmap_32x.c", "keys.c"}), {}, {"keys_64": "p"})
    assert made.missing("keys_64") == "keys_64 was not built: install p"
    assert "has no" in made.missing("mmap_32")
    assert made.missing("keys_32") == ""


# -- lab files and guests -----------------------------------------------------------------------

LAB = """\
name: toys
arch: toy64
kernels:
  - {name: base, tree: "dir:/t", config: [guest]}
guests: [%s]
settings: [thp-never]
testcases: [control/empty]
"""
PROFILE = """\
summary: a toy
arch: toy64
machine: rack
cpu: toy
nodes:
  - memory_mb: 512
    cpus: [0]
dimms:
  - memory_mb: 512
"""


@pytest.fixture
def catalogue(toy: Architecture, tmp_path: Path) -> Catalogue:
    """The project's catalogue with one more guest."""
    project = Catalogue().root
    for name in ("configs", "testcases"):
        (tmp_path / name).symlink_to(project / name)
    (tmp_path / "guests").mkdir()
    (tmp_path / "guests/toy.yaml").write_text(PROFILE, encoding="utf-8")
    (tmp_path / "guests/q35.yaml").write_bytes((project / "guests/q35.yaml").read_bytes())
    return Catalogue(tmp_path)


def test_a_profile_and_a_lab_name_their_architecture(catalogue: Catalogue, tmp_path: Path) -> None:
    assert catalogue.guests["toy"].architecture is TOY
    assert catalogue.guests["q35"].architecture is X86_64
    path = tmp_path / "lab.yaml"
    path.write_text(LAB % "toy", encoding="utf-8")
    assert [one.architecture for one in labfile.read(path, catalogue).kernels] == [TOY]


def test_a_guest_of_another_architecture_than_the_kernels_is_a_mistake(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    path = tmp_path / "lab.yaml"
    said = r"lab\.yaml:5: the guest q35 is x86_64, the kernels are toy64"
    path.write_text(LAB % "toy, q35", encoding="utf-8")
    with pytest.raises(DiagnosticsError, match=said):
        labfile.read(path, catalogue)
    included = LAB % "toy" + "include:\n  - {guest: q35}\n"
    path.write_text(included, encoding="utf-8")
    with pytest.raises(DiagnosticsError, match=said):
        labfile.read(path, catalogue)


def test_a_dimm_is_a_number_of_the_rows_memory_blocks(toy: Architecture, tmp_path: Path) -> None:
    (tmp_path / "guests").mkdir()
    text = PROFILE.replace("memory_mb: 512\n    cpus", "memory_mb: 64\n    cpus")
    (tmp_path / "guests/toy.yaml").write_text(
        text.replace("- memory_mb: 512", "- memory_mb: 128"), encoding="utf-8"
    )
    with pytest.raises(DiagnosticsError, match="plugged in blocks of 512 MB, got 128"):
        _ = Catalogue(tmp_path).guests


def test_a_shell_on_another_architectures_guest_is_refused(catalogue: Catalogue) -> None:
    builder = KernelBuilder(catalogue, Cache(Path("/nonexistent")), 1)
    asked = Kernel("base", "dir:/t", "", ("guest",), arch="toy64")
    with pytest.raises(UserError, match="the guest q35 is x86_64, the kernel is toy64"):
        shell.run(asked, catalogue.guests["q35"], builder, "auto", cast(Any, (80, 24)))


def test_two_nodes_of_another_row_are_numa_all_the_same(toy: Architecture) -> None:
    nodes = (NumaNode(512, (0,)), NumaNode(512, (1,)))
    argv = command.machine(replace(toy_guest(), nodes=nodes, cpus=2), Accelerator.TCG)
    assert argv[1] == "breadboard,buzzer=off"
