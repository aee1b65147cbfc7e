# SPDX-License-Identifier: GPL-2.0
"""The accelerator's probe on the real QEMU: it says yes where a guest runs."""

from __future__ import annotations

import pytest

from rmaplab.guest import accel
from rmaplab.guest.command import Accelerator


def test_a_guest_that_runs_is_seen_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """TCG runs everywhere, so a probe that says no is broken, and would say no to KVM too."""
    monkeypatch.setattr(accel, "FAST_S", 30.0)
    monkeypatch.setattr(accel, "PROBE_LIMIT_S", 30.0)
    answer = accel.probe(Accelerator.TCG)
    assert answer.works, answer.detail


def test_a_guest_that_never_says_its_word_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accel, "PROBE_LIMIT_S", 1.0)
    monkeypatch.setattr(accel, "boot_sector", lambda: b"\xf4\xeb\xfd")
    answer = accel.probe(Accelerator.TCG)
    assert not answer.works
    assert "hung" in answer.detail
