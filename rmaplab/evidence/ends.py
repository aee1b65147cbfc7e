# SPDX-License-Identifier: GPL-2.0
"""The words of the lab's own lines in a transcript: how a guest ended, phases, sample labels."""

from __future__ import annotations

import enum


class EndCause(enum.StrEnum):
    """Say how a cell's guest ended, as the transcript's ``end`` line has it."""

    BYE = "bye"
    PANIC = "panic"
    RESET = "reset"
    POWEROFF = "poweroff"
    QEMU_EXIT = "qemu-exit"
    CLOSED = "closed"
    BOOT_LIMIT = "boot-limit"
    READY_LIMIT = "ready-limit"
    TEST_LIMIT = "test-limit"
    SILENCE = "silence"
    UNUSABLE = "unusable"
    GARBLED = "garbled"
    LAB_ERROR = "lab-error"
    NOT_RUN = "not-run"
    PROGRAM_ENDED = "program-ended"


class Phase(enum.StrEnum):
    """Name a phase of a cell, as the transcript's ``phase`` line has it."""

    BOOT = "boot"
    READY = "ready"
    SETTINGS = "settings"
    PREPARE = "prepare"
    TEST = "test"
    AFTER = "after"


class SampleLabel(enum.StrEnum):
    """Name a sample of the counters: before or after the workload."""

    BEFORE = "before"
    AFTER = "after"
