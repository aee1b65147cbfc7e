# SPDX-License-Identifier: GPL-2.0
"""KVM only where it runs the boot probe, and no answer about it that another host's load gave."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from rmaplab import proc
from rmaplab.errors import ExitCode, InfraError, UserError
from rmaplab.guest import accel
from rmaplab.guest.accel import choose, examine, probe
from rmaplab.guest.command import Accelerator
from rmaplab.model import X86_64
from rmaplab.store.cache import Cache

RAN = X86_64.boot_probe.status
HANGS = None


@dataclass
class Host:
    """A host's QEMU: how the next boots on each accelerator end, by status and seconds."""

    kvm: list[tuple[int | None, float]] = field(default_factory=list)
    tcg: list[tuple[int | None, float]] = field(default_factory=list)
    said: bytes = b""
    booted: list[str] = field(default_factory=list)

    def run(self, argv: Sequence[str], **options: object) -> proc.Finished:
        name = argv[list(argv).index("-accel") + 1]
        self.booted.append(name)
        boots = self.kvm if name == "kvm" else self.tcg
        assert boots, f"one boot too many on {name}"
        status, seconds = boots.pop(0)
        if status is HANGS:
            raise InfraError("took longer")
        return proc.Finished(tuple(argv), status, b"", self.said, seconds)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Host:
    """A host of the guests' architecture, with a /dev/kvm that opens."""
    made = Host()
    qemu = tmp_path / "qemu"
    qemu.write_bytes(b"version 1")
    monkeypatch.setattr(proc, "require", lambda command: qemu)
    monkeypatch.setattr(proc, "run", made.run)
    monkeypatch.setattr(os, "access", lambda *words: True)
    monkeypatch.setattr(platform, "machine", lambda: X86_64.name)
    return made


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_kvm_that_runs_the_probe_faster_than_tcg_works(host: Host) -> None:
    host.kvm, host.tcg = [(RAN, 0.2)], [(RAN, 0.7)]
    answer = probe(Accelerator.KVM, X86_64)
    assert answer.works
    assert "on KVM the boot probe ran in 0.2 s, on TCG the boot probe ran in 0.7 s" in answer.detail


def test_kvm_that_is_slower_than_tcg_accelerates_nothing(host: Host) -> None:
    host.kvm, host.tcg = [(RAN, 3.3), (RAN, 3.3)], [(RAN, 0.4), (RAN, 0.4)]
    answer = probe(Accelerator.KVM, X86_64)
    assert not answer.works
    assert answer.lasts


def test_a_busy_host_makes_kvm_slow_and_not_useless(host: Host) -> None:
    host.kvm, host.tcg = [(RAN, 6.0)], [(RAN, 9.0)]
    assert probe(Accelerator.KVM, X86_64).works


def test_kvm_that_was_slower_by_chance_is_tried_once_more(host: Host) -> None:
    host.kvm, host.tcg = [(RAN, 0.9), (RAN, 0.2)], [(RAN, 0.7), (RAN, 0.7)]
    assert probe(Accelerator.KVM, X86_64).works


def test_kvm_that_hangs_where_tcg_runs_does_not_work(host: Host) -> None:
    host.kvm, host.tcg = [(HANGS, 0)], [(RAN, 0.7)]
    answer = probe(Accelerator.KVM, X86_64)
    assert not answer.works
    assert "hung" in answer.detail
    assert answer.lasts


def test_a_host_on_which_tcg_hangs_too_says_nothing_that_lasts(host: Host) -> None:
    host.kvm, host.tcg = [(HANGS, 0)], [(HANGS, 0)]
    answer = probe(Accelerator.KVM, X86_64)
    assert not answer.works
    assert not answer.lasts


@pytest.mark.parametrize("status", [0, 1, -6])
def test_any_other_end_is_no_working_kvm_and_may_pass(host: Host, status: int) -> None:
    host.kvm, host.said = [(status, 0.1)], b"qemu: failed to initialize kvm: No such device"
    answer = probe(Accelerator.KVM, X86_64)
    assert not answer.works
    assert "No such device" in answer.detail
    assert not answer.lasts


def test_tcg_works_if_it_runs_the_probe(host: Host) -> None:
    host.tcg = [(RAN, 9.0), (1, 0.1)]
    assert probe(Accelerator.TCG, X86_64).works
    assert not probe(Accelerator.TCG, X86_64).works


def test_without_permission_nothing_is_started(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *words: False)
    assert probe(Accelerator.KVM, X86_64).detail.startswith("/dev/kvm: ")


def test_kvm_runs_guests_of_the_hosts_architecture_alone(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "toy64")
    answer = probe(Accelerator.KVM, X86_64)
    assert answer.detail == "a toy64 host has none for x86_64 guests"
    assert not answer.works


def test_tcg_needs_no_probe(host: Host, cache: Cache) -> None:
    assert choose("tcg", X86_64, cache) is Accelerator.TCG


def test_an_answer_that_lasts_is_asked_for_once(host: Host, cache: Cache) -> None:
    host.kvm, host.tcg = [(RAN, 0.2)], [(RAN, 0.7)]
    assert choose("auto", X86_64, cache) is Accelerator.KVM
    assert choose("kvm", X86_64, cache) is Accelerator.KVM
    assert host.booted == ["kvm", "tcg"]


def test_a_no_is_remembered_with_its_reason(
    host: Host, cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    host.kvm, host.tcg = [(HANGS, 0)], [(RAN, 0.7)]
    assert choose("auto", X86_64, cache) is Accelerator.TCG
    capsys.readouterr()
    assert choose("auto", X86_64, cache) is Accelerator.TCG
    said = " ".join(capsys.readouterr().err.split())
    assert "on KVM the boot probe hung for 10 s, on TCG the boot probe ran in 0.7 s" in said


def test_what_may_pass_is_asked_again(host: Host, cache: Cache) -> None:
    """Another program has KVM's hardware, or the host is too busy for TCG, too: not for ever."""
    host.kvm, host.tcg = [(1, 0.1), (HANGS, 0), (RAN, 0.2)], [(HANGS, 0), (RAN, 0.7)]
    assert choose("auto", X86_64, cache) is Accelerator.TCG
    assert choose("auto", X86_64, cache) is Accelerator.TCG
    assert choose("auto", X86_64, cache) is Accelerator.KVM


def test_only_the_boot_probe_is_booted(host: Host, cache: Cache) -> None:
    """A kernel under test that does not boot on KVM must not speak against KVM."""
    host.kvm, host.tcg = [(RAN, 0.2)], [(RAN, 0.7)]
    argvs: list[Sequence[str]] = []
    run = host.run

    def watched(argv: Sequence[str], **options: object) -> proc.Finished:
        argvs.append(argv)
        return run(argv, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proc, "run", watched)
        choose("auto", X86_64, cache)
    assert len(argvs) == 2
    assert not any("-kernel" in argv for argv in argvs)


def test_the_doctor_asks_again_and_mends_a_remembered_no(host: Host, cache: Cache) -> None:
    host.kvm, host.tcg = [(HANGS, 0), (RAN, 0.2)], [(RAN, 0.7), (RAN, 0.7)]
    assert choose("auto", X86_64, cache) is Accelerator.TCG
    assert examine(X86_64, cache).works
    assert choose("auto", X86_64, cache) is Accelerator.KVM


def test_an_answer_that_does_not_last_drops_the_one_before(host: Host, cache: Cache) -> None:
    host.kvm, host.tcg = [(RAN, 0.2), (1, 0.1), (1, 0.1)], [(RAN, 0.7)]
    assert choose("auto", X86_64, cache) is Accelerator.KVM
    assert not examine(X86_64, cache).works
    assert choose("auto", X86_64, cache) is Accelerator.TCG


def test_another_qemu_is_asked_anew(host: Host, cache: Cache, tmp_path: Path) -> None:
    host.kvm, host.tcg = [(HANGS, 0), (RAN, 0.2)], [(RAN, 0.7), (RAN, 0.7)]
    assert choose("auto", X86_64, cache) is Accelerator.TCG
    (tmp_path / "qemu").write_bytes(b"version 1.1")
    assert choose("auto", X86_64, cache) is Accelerator.KVM


def test_another_probe_is_asked_anew(host: Host, cache: Cache) -> None:
    host.kvm, host.tcg = [(HANGS, 0), (RAN, 0.2)], [(RAN, 0.7), (RAN, 0.7)]
    assert choose("auto", X86_64, cache) is Accelerator.TCG
    better = replace(X86_64, boot_probe=replace(X86_64.boot_probe, image=b"another"))
    assert choose("auto", better, cache) is Accelerator.KVM


def test_kvm_that_was_asked_for_and_does_not_work_is_the_users_mistake(
    host: Host, cache: Cache
) -> None:
    host.kvm, host.tcg = [(HANGS, 0)], [(RAN, 0.7)]
    with pytest.raises(UserError, match="hung for 10 s") as caught:
        choose("kvm", X86_64, cache)
    assert caught.value.exit_code is ExitCode.USAGE
    assert "--accel" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"key": "another boot", "works": true, "detail": ""}']
)
def test_an_answer_that_is_not_of_this_host_does_not_count(
    host: Host, cache: Cache, text: str
) -> None:
    cache.root.mkdir()
    (cache.root / "kvm-probe.json").write_text(text, encoding="utf-8")
    host.kvm, host.tcg = [(HANGS, 0)], [(RAN, 0.7)]
    assert choose("auto", X86_64, cache) is Accelerator.TCG
    assert host.booted == ["kvm", "tcg"]


def test_an_answer_counts_as_yes_only_if_it_says_so(host: Host, cache: Cache) -> None:
    host.kvm, host.tcg = [(RAN, 0.2)], [(RAN, 0.7)]
    examine(X86_64, cache)
    path = cache.root / "kvm-probe.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**facts, "works": "no"}), encoding="utf-8")
    assert choose("auto", X86_64, cache) is Accelerator.TCG


def test_a_missing_qemu_names_its_package(monkeypatch: pytest.MonkeyPatch, cache: Cache) -> None:
    monkeypatch.setattr(proc, "which", lambda name: None)
    with pytest.raises(InfraError, match="qemu-system-x86_64 is not installed") as caught:
        choose("auto", X86_64, cache)
    assert "apt-get install qemu-system-x86" in caught.value.hint


def test_a_probe_that_hangs_is_given_up_after_seconds_not_minutes() -> None:
    assert accel.PROBE_LIMIT_S <= 10
