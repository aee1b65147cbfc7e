# SPDX-License-Identifier: GPL-2.0
"""The command with faked kernels and scripted guests: a lab whose run takes a second.

Everything between is the real thing: conversation, transcript, console, judging, journal, reports.
As a program it is a server: a line of standard input is a command as JSON, ``words``, ``folder``,
``env``; the answers are the process that runs it, and that process's wait status. It forks, since
Python takes longer to start than a run to end. ``RMAPLAB_TEST_HOOK`` names misconduct of the second
guest: ``REQUEST:ACT``, as in ``sample:QEMU_EXIT``.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from rmaplab import cli
from rmaplab.build import initramfs
from rmaplab.guest import prepare
from rmaplab.guest.cellsetup import CellSetup
from rmaplab.guest.command import Launch
from rmaplab.model import Build, Cell
from rmaplab.pipeline import run as run_pipeline
from rmaplab.pipeline.kernels import KernelBuilder, Kernels

from ..unit import scripted_agent
from ..unit.builders import KTAP_FAIL, KTAP_PASS, TAINTED
from ..unit.scripted_agent import Act, Item, Script, ScriptedGuest

LAB = """\
name: faults
kernels:
  - name: base
    tree: dir:linux
    config: [guest]
guests: [q35]
settings: [thp-madvise, thp-never]
testcases: [control/empty, exclusive/mapcount, exclusive/lifecycle, control/rss]
expect:
  - {testcase: exclusive/lifecycle, reason: known}
"""
HOOK = "RMAPLAB_TEST_HOOK"


class Templates:
    """Every guest boots: nothing is saved."""

    names: tuple[str, ...] = ()

    def __init__(self, *words: object, **options: object) -> None:
        pass

    def prepare(self, *words: object) -> None:
        """Make nothing."""

    def setup(self, cell: Cell, boot: Launch) -> CellSetup:
        """Return how a cell runs on a guest that boots."""
        return CellSetup(boot, ())


def _builds(
    self: KernelBuilder, kernels: Kernels, on_end: Any = lambda *_: None, **_options: Any
) -> dict[str, Build]:
    builds = {}
    for name, kernel in kernels.items():
        folder = Path("built") / name
        folder.mkdir(parents=True, exist_ok=True)
        symbols = {
            one for case in self.catalogue.testcases.values() for one in case.requires.config
        }
        for file in ("bzImage", "config", "build.log", "fragments.diff"):
            (folder / file).write_text("".join(f"CONFIG_{one}=y\n" for one in sorted(symbols)))
        builds[name] = Build(
            kernel.key, name, folder, folder / "bzImage", folder / "config",
            folder / "build.log", "6.12.0", 0.0, True,
        )  # fmt: skip
        on_end(name, builds[name])
    return builds


def _run(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterable[Item]:
    fails = words[3].endswith("lifecycle")
    guest.script.said = KTAP_FAIL if fails else KTAP_PASS
    guest.script.exit = {"status": 1 if fails else 0}
    return scripted_agent.run(guest, number, words)


def _with_files_of_their_own(script: Script) -> None:
    """Give each guest its files: several run at once, with other settings."""
    files: dict[ScriptedGuest, dict[str, str]] = {}

    def apart(name: str) -> Any:
        usual = scripted_agent._ANSWERS[name]

        def answer(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterable[Item]:
            guest.script = dataclasses.replace(
                script, files=files.setdefault(guest, {TAINTED: "0\n"})
            )
            return usual(guest, number, words)

        return answer

    for name in ("write", "read", "sample"):
        script.answers[name] = apart(name)


def _hooked(script: Script, hook: str) -> None:
    """Let the second guest that has a request misbehave at it."""
    name, _, act = hook.partition(":")
    usual = script.answers.get(name) or scripted_agent._ANSWERS[name]
    guests: list[ScriptedGuest] = []

    def answer(guest: ScriptedGuest, number: int, words: Sequence[str]) -> Iterable[Item]:
        if guest not in guests:
            guests.append(guest)
        return [Act[act]] if guests.index(guest) == 1 else usual(guest, number, words)

    script.answers[name] = answer


def main() -> None:
    """Run the command."""
    patch = pytest.MonkeyPatch()
    script = scripted_agent.machine(patch)
    script.answers["run"] = _run
    _with_files_of_their_own(script)
    if hook := os.environ.get(HOOK):
        _hooked(script, hook)
    patch.setattr(KernelBuilder, "build", _builds)
    patch.setattr(run_pipeline, "Templates", Templates)
    patch.setattr(initramfs, "build", lambda *words: Path("initramfs"))
    patch.setattr(run_pipeline, "_tools", lambda emulators: {})
    patch.setattr(prepare, "check_memory", _nothing)
    cli.main()


async def _nothing(*words: object) -> None:
    """Find no fault."""


def serve() -> None:
    """Run the commands that come on standard input, one after the other."""
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if not pid:
            _become(asked)
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)


def _become(asked: Mapping[str, Any]) -> NoReturn:
    """Run a command in this process, its output in the files ``out`` and ``err``."""
    os.chdir(asked["folder"])
    os.environ.update(asked["env"])
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.argv = ["rmaplab", *asked["words"]]
    code = 70
    try:
        ctypes.CDLL(None).shim_begin()
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 70
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
