# SPDX-License-Identifier: GPL-2.0
"""Build the initramfs of a fast guest: the agent as /init, each workload under /bin.

Static musl binaries, so that the archive stays small and nothing of the host's userspace matters.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rmaplab import proc
from rmaplab.errors import InfraError
from rmaplab.log import log
from rmaplab.model import Architecture, Testcase
from rmaplab.model.digest import digest_of
from rmaplab.store.cache import Cache, file_sha256, remove

FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-s")
ARCHIVE = "initramfs.cpio"
CHECKSUM = f"{ARCHIVE}.sha256"


@dataclass(frozen=True, slots=True)
class Program:
    """One executable of the initramfs: its path in the guest, its C files, its header folders."""

    guest_path: str
    sources: tuple[Path, ...]
    includes: tuple[Path, ...]


def program_path(testcase: Testcase) -> str:
    """Return the path of a testcase's program in the guest."""
    if testcase.upstream is not None:
        # In the guest's working directory: a test that executes itself does so as ./NAME.
        return f"/{testcase.upstream.program}"
    return f"/bin/{testcase.name}"


def compiler(architecture: Architecture) -> tuple[str, ...]:
    """Return the command that links a program of a guest statically."""
    # musl-gcc hides the host's headers; the kernel's UAPI headers are needed behind musl's own.
    headers = ("/usr/include", f"/usr/include/{architecture.triplet}")
    behind = (word for folder in headers for word in ("-idirafter", folder))
    return (architecture.compiler, *FLAGS, *behind)


def build(
    root: Path,
    testcases: Iterable[Testcase],
    cache: Cache,
    architecture: Architecture,
) -> Path:
    """Return the initramfs with the agent of ``root/guests/agent`` and the testcases in C.

    Raises InfraError with the compiler's message if a program does not compile.
    """
    proc.require(architecture.compiler)
    command = compiler(architecture)
    proc.require("cpio")
    agent, library = root / "guests/agent", root / "testcases/lib"
    common = root / "guests/include"
    programs = [Program("/init", tuple(sorted(agent.glob("*.c"))), (agent, common))]
    shared = tuple(sorted(library.glob("*.c")))
    programs += [
        Program(program_path(testcase), (testcase.source, *shared), (library, common))
        for testcase in testcases
        if testcase.is_own and not testcase.is_script
    ]
    headers = [path for folder in (agent, library, common) for path in folder.glob("*.h")]
    sources = {path for program in programs for path in program.sources} | set(headers)
    version = proc.run([architecture.compiler, "--version"]).text.splitlines()[0]
    contents = [part for path in sorted(sources) for part in (_name(path, root), path.read_bytes())]
    paths = [program.guest_path for program in programs]
    key = digest_of("initramfs", version, *command, *paths, *contents)

    def make(folder: Path) -> None:
        with log.step(f"compiling the agent and {len(programs) - 1} workloads"):
            content = folder / "root"
            objects = _compile_shared(shared, [*command, *_include((library, common))], folder)
            for program in programs:
                _compile(program, content, objects, command)
            _seal(content, folder)

    return cache.entry("initramfs", key, make, is_whole=_is_whole) / ARCHIVE


def _name(path: Path, root: Path) -> str:
    """Return how a key names a source; one of a user's folder by what it is called there."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else "/".join(path.parts[-3:])


def with_programs(archive: Path, programs: Mapping[str, Path], cache: Cache) -> Path:
    """Add programs, by their paths in the guest, to an initramfs that ``build`` made.

    Returns the archive itself if there are no programs. Raises InfraError if a program would
    replace a file of the archive.
    """
    if not programs:
        return archive
    contents = [
        part for path, file in sorted(programs.items()) for part in (path, file_sha256(file))
    ]
    key = digest_of("initramfs+", file_sha256(archive), *contents)

    def make(folder: Path) -> None:
        content = folder / "root"
        content.mkdir()
        unpack(archive, content)
        for path, file in programs.items():
            target = content / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                raise InfraError(f"a program of the kernel tree would replace {path} in the guest")
            shutil.copyfile(file, target)
            target.chmod(0o755)
        _seal(content, folder)
        remove(content)

    return cache.entry("initramfs", key, make, is_whole=_is_whole) / ARCHIVE


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an initramfs. Raises InfraError if that is not possible."""
    words = ["cpio", "--quiet", "-idm", "--no-absolute-filenames"]
    proc.run(words, cwd=folder, stdin=archive.read_bytes())


def _seal(content: Path, folder: Path) -> None:
    pack(content, folder / ARCHIVE)
    checksum = f"{file_sha256(folder / ARCHIVE)}  {ARCHIVE}\n"
    (folder / CHECKSUM).write_text(checksum, encoding="ascii")


def _is_whole(folder: Path) -> bool:
    """Tell whether a cached archive is the one that was packed.

    An archive of an earlier version of the lab has no checksum and is believed.
    """
    archive = file_sha256(folder / ARCHIVE)
    checksum = folder / CHECKSUM
    if not checksum.exists():
        return archive != ""
    return archive != "" and checksum.read_bytes().startswith(f"{archive} ".encode())


def _compile_shared(
    sources: Iterable[Path], command: Sequence[str], folder: Path
) -> dict[Path, Path]:
    """Compile the files of the testcase library, each once, and return their objects."""
    objects: dict[Path, Path] = {}
    (folder / "lib").mkdir()
    for source in sources:
        objects[source] = folder / "lib" / f"{source.stem}.o"
        _run([*command, "-c", str(source), "-o", str(objects[source])])
    return objects


def _compile(
    program: Program, content: Path, objects: dict[Path, Path], command: Sequence[str]
) -> None:
    target = content / program.guest_path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    inputs = [str(objects.get(source, source)) for source in program.sources]
    _run([*command, *_include(program.includes), *inputs, "-o", str(target)])


def _include(folders: Iterable[Path]) -> list[str]:
    return [f"-I{folder}" for folder in folders]


def _run(argv: list[str]) -> None:
    done = proc.run(argv, check=False)
    if not done.ok:
        raise InfraError(f"a workload does not compile:\n{done.complaint}")


def pack(content: Path, archive: Path) -> None:
    """Pack a folder into a newc archive: sorted, owned by root, times zero, so reproducible."""
    names = []
    for where, folders, files in os.walk(content):
        for name in (*folders, *files):
            path = Path(where, name)
            os.utime(path, (0, 0))
            names.append(str(path.relative_to(content)))
    packed = proc.run(
        ["cpio", "--quiet", "-o", "-H", "newc", "--reproducible", "--owner=0:0"],
        cwd=content,
        stdin="".join(f"{name}\n" for name in sorted(names)).encode(),
    )
    archive.write_bytes(packed.stdout)
