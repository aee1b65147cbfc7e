# SPDX-License-Identifier: GPL-2.0
"""The cached initramfs: reused if it is what was packed, else made again."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab import proc
from rmaplab.build import initramfs
from rmaplab.model import X86_64
from rmaplab.store.cache import Cache

INIT = "int main(void)\n{\n\treturn 0;\n}\n"

pytestmark = pytest.mark.skipif(
    proc.which(X86_64.compiler) is None or proc.which("cpio") is None,
    reason="needs musl-gcc and cpio",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with an agent and no workloads."""
    agent = tmp_path / "root/guests/agent"
    agent.mkdir(parents=True)
    (agent / "init.c").write_text(INIT, encoding="utf-8")
    return tmp_path / "root"


def test_the_archive_is_reused(root: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    archive = initramfs.build(root, [], cache, X86_64)
    made = archive.stat().st_ino
    assert initramfs.build(root, [], cache, X86_64).stat().st_ino == made


@pytest.mark.parametrize("name", [initramfs.ARCHIVE, initramfs.CHECKSUM])
def test_an_archive_that_is_damaged_is_made_again(
    root: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = Cache(tmp_path / "cache")
    archive = initramfs.build(root, [], cache, X86_64)
    whole = archive.read_bytes()
    (archive.parent / name).write_bytes(b"")
    assert initramfs.build(root, [], cache, X86_64).read_bytes() == whole
    assert "is damaged: making it again" in capsys.readouterr().err


def test_an_archive_that_is_gone_is_made_again(root: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    archive = initramfs.build(root, [], cache, X86_64)
    archive.unlink()
    assert initramfs.build(root, [], cache, X86_64).read_bytes()


def test_an_archive_without_a_checksum_is_believed(root: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    archive = initramfs.build(root, [], cache, X86_64)
    made = archive.stat().st_ino
    (archive.parent / initramfs.CHECKSUM).unlink()
    assert initramfs.build(root, [], cache, X86_64).stat().st_ino == made
