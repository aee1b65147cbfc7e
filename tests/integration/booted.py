# SPDX-License-Identifier: GPL-2.0
"""Guests that follow a script above kernels that are really built."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rmaplab import proc
from rmaplab.build import initramfs
from rmaplab.guest import prepare
from rmaplab.pipeline import run as run_pipeline
from tests.hostile.scripted_lab import Templates
from tests.unit import scripted_agent
from tests.unit.builders import KTAP_FAIL, KTAP_PASS
from tests.unit.scripted_agent import Item, Script, ScriptedGuest


def follow(monkeypatch: pytest.MonkeyPatch, word: str) -> list[str]:
    """From now on a testcase fails if its kernel's image has a word in it.

    Returns the builds that guests are started with, as they are.
    """
    images: dict[ScriptedGuest, bytes] = {}
    started: list[str] = []

    @contextlib.asynccontextmanager
    async def start(
        argv: Sequence[str], *, pass_fds: Sequence[int], **more: Any
    ) -> AsyncIterator[ScriptedGuest]:
        guest = ScriptedGuest(Script(answers={"run": run}), pass_fds, restored=False)
        image = Path(argv[list(argv).index("-kernel") + 1])
        images[guest] = image.read_bytes()
        started.append(image.parent.name)
        try:
            yield guest
        finally:
            await guest.end()

    def run(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterable[Item]:
        fails = word.encode() in images[guest]
        guest.script.said = KTAP_FAIL if fails else KTAP_PASS
        guest.script.exit = {"status": 1 if fails else 0}
        return scripted_agent.run(guest, number, words)

    async def nothing(*words: object) -> None:
        """Find no fault."""

    monkeypatch.setattr(proc, "started", start)
    monkeypatch.setattr(run_pipeline, "Templates", Templates)
    monkeypatch.setattr(initramfs, "build", lambda *words: Path("initramfs"))
    monkeypatch.setattr(run_pipeline, "_tools", lambda emulators: {})
    monkeypatch.setattr(prepare, "check_memory", nothing)
    return started
