# SPDX-License-Identifier: GPL-2.0
"""The real vng, asked how it would start a guest, and the programs that the guest would mount."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rmaplab.build import initramfs, userspace
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import InfraError
from rmaplab.guest import virtme
from rmaplab.guest.command import Accelerator, Channels, Launch
from rmaplab.model import X86_64
from rmaplab.store.cache import Cache


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "bzImage"
    path.write_bytes(bytes(4096))
    return path


def test_vng_says_how_to_start_a_guest_and_the_lab_makes_it_its_own(image: Path) -> None:
    guest = Catalogue().guests["virtme"]
    launch = virtme.with_vng(Launch(image, Path(), Accelerator.TCG), guest, image.parent)
    words = virtme.qemu(guest, launch, Channels(5, 6, 7))
    shares = [words[n + 1] for n, word in enumerate(words) if word == "-fsdev"]
    assert [share.split(",")[2] for share in shares] == ["path=/", f"path={image.parent}"]
    assert all("readonly=on" in share for share in shares)
    chardevs = [words[n + 1] for n, word in enumerate(words) if word == "-chardev"]
    assert {chardev.partition(",")[0] for chardev in chardevs} == {"null", "file", "socket"}
    line = words[words.index("-append") + 1]
    # The last of several wins (kernel/params.c).
    assert line.rindex("panic=0") > line.rindex("panic=-1")
    assert "virtme_initmount0=/run/rmaplab" in line


def test_a_kernel_that_is_not_there_is_named(tmp_path: Path) -> None:
    guest = Catalogue().guests["virtme"]
    with pytest.raises(InfraError, match="nowhere does not exist"):
        virtme.ask(guest, tmp_path / "nowhere", tmp_path)


def test_the_shells_guest_has_the_terminal(image: Path) -> None:
    guest = Catalogue().guests["virtme"]
    words = virtme.shell(guest, image, Accelerator.TCG, os.terminal_size((100, 40)))
    assert any(word.startswith("stdio,id=console") for word in words)
    assert '"virtme_stty_con=rows 40 cols 100 iutf8"' in words[words.index("-append") + 1]
    assert "1024M" in words


def test_a_mounted_folder_has_the_initramfs_and_the_scripts(tmp_path: Path) -> None:
    catalogue, cache = Catalogue(), Cache(tmp_path / "cache")
    testcases = [
        catalogue.testcases[name] for name in ("control/empty", "distribution/soft-offline-library")
    ]
    archive = initramfs.build(catalogue.root, testcases, cache, X86_64)
    root = userspace.build(archive, testcases, cache)
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()) == [
        "bin/control/empty", "bin/distribution/soft-offline-library", "init",
    ]  # fmt: skip
    assert all(os.access(path, os.X_OK) for path in root.rglob("*"))

    script = root / "bin/distribution/soft-offline-library"
    script.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    again = userspace.build(archive, testcases, cache)
    assert again == root
    assert script.read_bytes() == testcases[1].source.read_bytes()


def test_a_shell_without_a_terminal_is_the_users_mistake() -> None:
    words = [sys.executable, "-m", "rmaplab", "shell", "configs/virtme.yaml"]
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(words, cwd=root, capture_output=True, stdin=subprocess.DEVNULL,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 2
    assert "shell needs a terminal" in done.stderr
