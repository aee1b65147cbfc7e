# SPDX-License-Identifier: GPL-2.0
"""The boot probe on the real QEMU: it says yes where a guest runs, and no where none does."""

from __future__ import annotations

import platform
from dataclasses import replace

import pytest

from rmaplab.guest import accel
from rmaplab.guest.command import Accelerator
from rmaplab.model import X86_64, Architecture


def with_code(code: bytes) -> Architecture:
    """The architecture with another program in the first sector of its probe's disk."""
    image = code.ljust(510, b"\0") + X86_64.boot_probe.image[510:]
    return replace(X86_64, boot_probe=replace(X86_64.boot_probe, image=image))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that a host which runs other tests at the same time keeps."""
    monkeypatch.setattr(accel, "PROBE_LIMIT_S", 60.0)


@pytest.mark.usefixtures("patient")
def test_a_guest_that_runs_is_seen_to_run() -> None:
    """TCG runs everywhere, so a probe that says no is broken, and would say no to KVM too."""
    answer = accel.probe(Accelerator.TCG, X86_64)
    assert answer.works, answer.detail


def test_a_machine_that_adds_wrongly_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program compares its sum before it ends QEMU: with another sum it halts."""
    monkeypatch.setattr(accel, "PROBE_LIMIT_S", 5.0)
    code = X86_64.boot_probe.image[:510]
    add = bytes.fromhex("48031e")  # add rbx, [rsi]
    assert code.count(add) == 1
    wrong = with_code(code.replace(add, bytes.fromhex("482b1e")))  # sub
    answer = accel.probe(Accelerator.TCG, wrong)
    assert not answer.works
    assert "hung" in answer.detail


def test_a_machine_without_timer_interrupts_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accel, "PROBE_LIMIT_S", 5.0)
    code = X86_64.boot_probe.image[:510]
    end_of_interrupt = bytes.fromhex("b020e620")
    assert code.count(end_of_interrupt) == 1
    answer = accel.probe(Accelerator.TCG, with_code(code.replace(end_of_interrupt, b"\x90" * 4)))
    assert not answer.works


def test_a_guest_that_never_ends_qemu_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accel, "PROBE_LIMIT_S", 1.0)
    answer = accel.probe(Accelerator.TCG, with_code(b"\xf4\xeb\xfd"))
    assert not answer.works
    assert "hung" in answer.detail


def test_kvm_is_judged_beside_tcg_on_this_host() -> None:
    """The answer says what was seen, on both if KVM ran at all, whatever this host's KVM is."""
    answer = accel.probe(Accelerator.KVM, X86_64)
    assert answer.detail
    assert not answer.works or platform.machine() == X86_64.name
    assert not answer.lasts or "on TCG the boot probe ran" in answer.detail
