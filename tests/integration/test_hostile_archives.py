# SPDX-License-Identifier: GPL-2.0
"""Archives of strangers: what tar would make of them as root is not made."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rmaplab.errors import UserError
from rmaplab.source import tree
from rmaplab.store.cache import Cache

MAKEFILE = b"VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\n"


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **more: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.mode = 0o644
    for key, value in more.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(content))


def packed(tmp_path: Path, fill: Callable[[tarfile.TarFile], None], **more: object) -> str:
    """A tree's archive, with more in it; returns what names it."""
    path = tmp_path / "linux.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        add(tar, "linux/Makefile", MAKEFILE, **more)
        fill(tar)
    return f"tar:{path}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_a_program_of_an_archive_changes_no_user(tmp_path: Path, cache: Cache) -> None:
    spec = packed(tmp_path, lambda tar: add(tar, "linux/sh", b"#!/bin/sh\n", mode=0o6777))
    (tmp_path / "plain").mkdir()
    words = ["tar", "-xpf", str(tmp_path / "linux.tar.gz"), "-C", str(tmp_path / "plain")]
    subprocess.run(words, check=True)  # the control
    assert (tmp_path / "plain/linux/sh").stat().st_mode & stat.S_ISUID
    found = (tree.fetch(spec, cache).path / "sh").stat()
    assert stat.S_IMODE(found.st_mode) == 0o755
    assert found.st_uid == os.geteuid()


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_an_archive_with_a_pipe_or_a_device_is_refused(
    tmp_path: Path, cache: Cache, kind: bytes
) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        add(tar, "linux/odd", type=kind, devmajor=1, devminor=5)

    with pytest.raises(UserError, match=r"cannot be unpacked|something else than files"):
        tree.fetch(packed(tmp_path, fill), cache)
    assert list(cache.entries(("trees",))) == []


def test_an_archive_writes_nothing_outside(tmp_path: Path, cache: Cache) -> None:
    outside = tmp_path / "outside"

    def fill(tar: tarfile.TarFile) -> None:
        add(tar, f"linux/../../../../../../..{outside}", b"evil")
        add(tar, str(outside), b"evil")
        add(tar, "linux/link", type=tarfile.SYMTYPE, linkname=str(tmp_path))
        add(tar, "linux/link/outside", b"evil")

    try:
        tree.fetch(packed(tmp_path, fill), cache)
    except UserError:
        assert list(cache.entries(("trees",))) == []
    assert not outside.exists()


@pytest.mark.parametrize("target", ["/dev/zero", "/etc/hostname"])
def test_a_makefile_that_is_a_link_is_not_followed(
    tmp_path: Path, cache: Cache, target: str
) -> None:
    spec = packed(tmp_path, lambda tar: None, type=tarfile.SYMTYPE, linkname=target, size=0)
    with pytest.raises(UserError, match="no kernel tree"):
        tree.fetch(spec, cache)


def test_a_makefile_that_is_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "Makefile")
    with pytest.raises(UserError, match="as a FIFO"):
        tree.kernel_version(tmp_path / "Makefile")


def test_something_else_than_an_archive_is_the_users_mistake(tmp_path: Path, cache: Cache) -> None:
    path = tmp_path / "linux.tar.gz"
    path.write_bytes(b"hello\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(UserError, match="cannot be unpacked"):
        tree.fetch(f"tar:{path}#sha256={digest}", cache)


@pytest.mark.parametrize("packer", ["gzip", "bzip2", "xz", "zstd"])
def test_each_packing_is_read(tmp_path: Path, cache: Cache, packer: str) -> None:
    packed(tmp_path, lambda tar: add(tar, "linux/mm/rmap.c", b"int rmap;\n"))
    plain, path = tmp_path / "linux.tar", tmp_path / "linux.tar.packed"
    subprocess.run(["gzip", "-d", tmp_path / "linux.tar.gz"], check=True)
    path.write_bytes(subprocess.run([packer, "-c", plain], capture_output=True, check=True).stdout)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    found = tree.fetch(f"tar:{path}#sha256={digest}", cache)
    assert (found.path / "mm/rmap.c").read_bytes() == b"int rmap;\n"
