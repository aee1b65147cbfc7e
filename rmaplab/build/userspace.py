# SPDX-License-Identifier: GPL-2.0
"""Build the folder of programs that a guest on the host's userspace mounts.

The agent and the C workloads are the very files of the initramfs; the scripts, which need an
interpreter of the host's, come on top.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from rmaplab.build.initramfs import program_path, unpack
from rmaplab.model import Testcase
from rmaplab.model.digest import digest_of
from rmaplab.store.cache import Cache, file_sha256

_ROOT = "root"
_CHECKSUM = "root.sha256"


def build(archive: Path, testcases: Iterable[Testcase], cache: Cache) -> Path:
    """Return the folder with the files of an initramfs and the testcases' scripts.

    Raises InfraError if the archive cannot be unpacked.
    """
    scripts = [testcase for testcase in testcases if testcase.is_script]
    contents = [
        part for script in scripts for part in (program_path(script), script.source.read_bytes())
    ]
    key = digest_of("userspace", file_sha256(archive), *contents)

    def make(folder: Path) -> None:
        root = folder / _ROOT
        root.mkdir()
        unpack(archive, root)
        for script in scripts:
            place = root / program_path(script).lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(script.source, place)
            place.chmod(0o755)
        (folder / _CHECKSUM).write_text(_digest(root), encoding="ascii")

    return cache.entry("initramfs", key, make, is_whole=_is_whole) / _ROOT


def _is_whole(folder: Path) -> bool:
    checksum = folder / _CHECKSUM
    return checksum.is_file() and checksum.read_text("ascii") == _digest(folder / _ROOT)


def _digest(root: Path) -> str:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return digest_of(*(f"{path.relative_to(root)} {file_sha256(path)}" for path in files))
