# SPDX-License-Identifier: GPL-2.0
"""KVM only where it was seen to run a guest."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rmaplab import proc
from rmaplab.errors import ExitCode, InfraError, UserError
from rmaplab.guest import accel
from rmaplab.guest.accel import Probe, choose, probe
from rmaplab.guest.command import Accelerator
from rmaplab.store.cache import Cache


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> list[Probe]:
    """The answers of the next probes; a probe without one left is a failure."""
    answers: list[Probe] = []
    monkeypatch.setattr(accel, "probe", lambda accelerator: answers.pop(0))
    monkeypatch.setattr(proc, "require", Path)
    return answers


def qemu_ends(monkeypatch: pytest.MonkeyPatch, status: int, said: bytes = b"") -> None:
    def run(argv: list[str], **options: object) -> proc.Finished:
        return proc.Finished(tuple(argv), status, b"", said, 0.5)

    monkeypatch.setattr(proc, "require", Path)
    monkeypatch.setattr(proc, "run", run)
    monkeypatch.setattr(os, "access", lambda *words: True)


def test_the_boot_sector_is_one_sector_that_a_bios_takes() -> None:
    sector = accel.boot_sector()
    assert len(sector) >= 512
    assert sector[510:512] == b"\x55\xaa"


def test_a_guest_that_said_its_word_is_a_working_accelerator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    qemu_ends(monkeypatch, 0x2A << 1 | 1)
    assert probe(Accelerator.KVM).works


@pytest.mark.parametrize("status", [0, 1, -6])
def test_any_other_end_is_none(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    qemu_ends(monkeypatch, status, b"qemu: failed to initialize kvm: No such device")
    answer = probe(Accelerator.KVM)
    assert not answer.works
    assert "No such device" in answer.detail


def test_a_guest_that_hangs_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(argv: list[str], **options: object) -> proc.Finished:
        raise InfraError("took longer")

    qemu_ends(monkeypatch, 0)
    monkeypatch.setattr(proc, "run", hang)
    answer = probe(Accelerator.KVM)
    assert not answer.works
    assert "hung" in answer.detail


def test_without_permission_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "require", Path)
    monkeypatch.setattr(proc, "run", lambda *words, **options: pytest.fail("started"))
    monkeypatch.setattr(os, "access", lambda *words: False)
    assert probe(Accelerator.KVM).detail.startswith("/dev/kvm: ")


def boots(*answers: Probe) -> Callable[[], Probe]:
    """A kernel on KVM: its boots go like this; one that was not asked for is a failure."""
    left = list(answers)
    return lambda: left.pop(0)


GOOD = Probe(True, "ran")
never = boots()


def test_a_guest_that_crawls_is_no_working_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    qemu_ends(monkeypatch, 0x2A << 1 | 1)
    monkeypatch.setattr(accel, "FAST_S", 0.1)
    answer = probe(Accelerator.KVM)
    assert not answer.works
    assert "ran in 0.5 s" in answer.detail


def test_tcg_needs_no_probe(probes: list[Probe], tmp_path: Path) -> None:
    assert choose("tcg", Cache(tmp_path), never) is Accelerator.TCG


def test_auto_takes_kvm_where_a_kernel_boots_on_it_and_asks_once(
    probes: list[Probe], tmp_path: Path
) -> None:
    probes.append(GOOD)
    cache = Cache(tmp_path)
    boot = boots(GOOD)
    assert choose("auto", cache, boot) is Accelerator.KVM
    assert choose("kvm", cache, boot) is Accelerator.KVM
    assert probes == []


def test_where_a_sector_does_not_run_no_kernel_is_tried(
    probes: list[Probe], tmp_path: Path
) -> None:
    probes.append(Probe(False, "hung"))
    cache = Cache(tmp_path)
    assert choose("auto", cache, never) is Accelerator.TCG
    assert choose("auto", cache, never) is Accelerator.TCG


def test_a_sector_that_runs_is_not_enough(probes: list[Probe], tmp_path: Path) -> None:
    probes.append(GOOD)
    boot = boots(Probe(False, "a kernel did not boot"))
    assert choose("auto", Cache(tmp_path), boot) is Accelerator.TCG


def test_kvm_that_was_asked_for_and_does_not_work_is_the_users_mistake(
    probes: list[Probe], tmp_path: Path
) -> None:
    probes.append(Probe(False, "hung for 10 s"))
    with pytest.raises(UserError, match="hung for 10 s") as caught:
        choose("kvm", Cache(tmp_path), never)
    assert caught.value.exit_code is ExitCode.USAGE
    assert "--accel" in caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": "another boot", "works": true}'])
def test_an_answer_that_is_not_of_this_host_does_not_count(
    probes: list[Probe], tmp_path: Path, text: str
) -> None:
    (tmp_path / "kvm-probe.json").write_text(text, encoding="utf-8")
    probes.append(Probe(False, "no"))
    assert choose("auto", Cache(tmp_path), never) is Accelerator.TCG
    assert probes == []


def test_a_missing_qemu_names_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(proc, "which", lambda name: None)
    with pytest.raises(InfraError, match="qemu-system-x86_64 is not installed") as caught:
        choose("auto", Cache(tmp_path), never)
    assert "apt-get install qemu-system-x86" in caught.value.hint
