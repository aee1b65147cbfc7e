# SPDX-License-Identifier: GPL-2.0
"""QEMU's plugin: compiled for the version that QEMU says, loaded by the real QEMU."""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path

import pytest

from rmaplab import proc
from rmaplab.errors import InfraError
from rmaplab.guest import plugin
from rmaplab.guest.command import Accelerator
from rmaplab.model import X86_64, Architecture, CoveragePolicy, CoverageScope
from rmaplab.pipeline import recorder
from rmaplab.store.cache import Cache

ROOT = Path(__file__).resolve().parents[2]
SAYS = 'echo "plugin API {}"'
REFUSES = """
if [ -e {mark} ]; then echo "plugin API {api}"; exit 0; fi
touch {mark}
echo "plugin requires API version 1, but this QEMU supports only a minimum version of {api}" >&2
exit 1
"""


def emulator(folder: Path, script: str) -> Architecture:
    """Return an architecture whose QEMU is a script."""
    path = folder / "qemu-system-fake"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return dataclasses.replace(X86_64, qemu=str(path))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_the_plugin_is_compiled_for_the_qemu_that_is_there(cache: Cache) -> None:
    found = plugin.build(ROOT, X86_64, cache)
    symbols = proc.run(["nm", "-D", found]).text
    assert " T qemu_plugin_install" in symbols
    assert " D qemu_plugin_version" in symbols
    assert plugin.build(ROOT, X86_64, cache) == found


def test_a_damaged_plugin_is_made_again(cache: Cache) -> None:
    found = plugin.build(ROOT, X86_64, cache)
    whole = found.read_bytes()
    found.write_bytes(b"x")
    assert plugin.build(ROOT, X86_64, cache).read_bytes() == whole


def test_each_version_of_the_interface_has_a_plugin_of_its_own(
    cache: Cache, tmp_path: Path
) -> None:
    made = {plugin.build(ROOT, emulator(tmp_path, SAYS.format(n)), cache) for n in (1, 6, 7)}
    assert len(made) == 3


def test_a_qemu_that_takes_no_old_plugin_is_asked_by_a_newer_one(
    cache: Cache, tmp_path: Path
) -> None:
    script = REFUSES.format(mark=tmp_path / "mark", api=2)
    assert plugin.build(ROOT, emulator(tmp_path, script), cache).exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (SAYS.format(8), "has version 8 of the plugin interface, and the lab knows those up to 7"),
        ("echo 'qemu: -plugin: invalid option' >&2; exit 1", "takes no plugin.*invalid option"),
        ("exit 0", "takes no plugin.*it says nothing"),
    ],
)
def test_a_qemu_without_a_plugin_that_fits_is_an_error(
    cache: Cache, tmp_path: Path, script: str, said: str
) -> None:
    with pytest.raises(InfraError, match=said):
        plugin.build(ROOT, emulator(tmp_path, script), cache)


def test_the_real_qemu_takes_the_plugin_and_its_memory(cache: Cache) -> None:
    found = plugin.build(ROOT, X86_64, cache)
    memory = os.memfd_create("x")
    words = [X86_64.qemu, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "none",
             "-accel", "tcg"]  # fmt: skip
    refused = proc.run([*words, "-plugin", f"file={found},record={memory}"], check=False)
    assert "is no record" in refused.complaint  # the descriptor was not inherited
    os.close(memory)


FIRST = CoveragePolicy(CoverageScope.FIRST)
ASKED = CoveragePolicy(CoverageScope.ALL, asked=True)


@pytest.mark.parametrize("policy", [FIRST, ASKED])
def test_on_kvm_nothing_is_recorded_and_it_is_said(
    cache: Cache, policy: CoveragePolicy, capsys: pytest.CaptureFixture[str]
) -> None:
    found, why = recorder.plugin_for(policy, Accelerator.KVM, ROOT, X86_64, cache)
    assert found is None
    assert "needs TCG" in why
    assert "needs TCG" in capsys.readouterr().err


def test_without_a_wish_nothing_is_recorded_and_nothing_is_said(
    cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    none = CoveragePolicy()
    assert recorder.plugin_for(none, Accelerator.TCG, ROOT, X86_64, cache) == (None, "")
    assert capsys.readouterr().err == ""


def test_a_qemu_without_plugins_ends_only_a_run_that_asked(cache: Cache, tmp_path: Path) -> None:
    without = emulator(tmp_path, "echo 'invalid option' >&2; exit 1")
    found, why = recorder.plugin_for(FIRST, Accelerator.TCG, ROOT, without, cache)
    assert found is None
    assert "takes no plugin" in why
    with pytest.raises(InfraError, match="takes no plugin"):
        recorder.plugin_for(ASKED, Accelerator.TCG, ROOT, without, cache)
