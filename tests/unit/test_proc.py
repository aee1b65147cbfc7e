# SPDX-License-Identifier: GPL-2.0
"""Processes: what they said, and that none outlives the lab."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rmaplab import proc
from rmaplab.errors import InfraError
from rmaplab.proc import CommandFailed, run


def ended(number: int) -> bool:
    """Return whether a process ends within a generous time."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{number}/stat").read_text(encoding="ascii").rsplit(")", 1)[1]
        except OSError:
            return True
        if state.split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


def test_what_a_command_said_is_kept_apart() -> None:
    done = run(["sh", "-c", "echo out; echo err >&2"])
    assert (done.ok, done.text, done.complaint) == (True, "out\n", "err")


def test_a_command_gets_its_words_as_they_are(tmp_path: Path) -> None:
    assert run(["printf", "%s|", "a b", "$HOME", "*", "'"]).text == "a b|$HOME|*|'|"


def test_input_environment_and_folder_are_given(tmp_path: Path) -> None:
    done = run(
        ["sh", "-c", "cat; pwd; echo $X$USER"],
        stdin=b"in\n", cwd=tmp_path, env={"X": "y", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.text == f"in\n{tmp_path}\ny\n"


def test_without_input_there_is_none() -> None:
    assert run(["cat"]).stdout == b""


def test_a_failure_is_an_error_that_can_be_pasted_and_shows_the_last_words() -> None:
    with pytest.raises(CommandFailed) as caught:
        run(["sh", "-c", "echo no luck >&2; exit 3"])
    assert "sh -c 'echo no luck >&2; exit 3'" in caught.value.message
    assert caught.value.message.endswith("no luck")
    assert caught.value.finished.returncode == 3


def test_a_failure_can_be_the_answer() -> None:
    assert run(["false"], check=False).returncode == 1
    assert run(["sh", "-c", "kill -9 $$"], check=False).returncode == -signal.SIGKILL


def test_output_can_go_to_a_file(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as log:
        done = run(["sh", "-c", "echo out; echo err >&2"], output=log)
    assert done.stdout == b""
    assert sorted((tmp_path / "log").read_text(encoding="utf-8").split()) == ["err", "out"]


def test_a_command_that_is_not_there_names_its_package() -> None:
    with pytest.raises(InfraError, match="no-such-command is not installed") as caught:
        run(["no-such-command"])
    assert "make setup" in caught.value.hint


@pytest.mark.parametrize(
    ("command", "package"),
    [
        ("bwrap", "bubblewrap"),
        ("musl-gcc", "musl-tools"),
        ("qemu-system-x86_64", "qemu-system-x86"),
    ],
)
def test_a_commands_package_is_not_always_its_name(
    monkeypatch: pytest.MonkeyPatch, command: str, package: str
) -> None:
    monkeypatch.setattr(proc, "which", lambda name: None)
    with pytest.raises(InfraError) as caught:
        proc.require(command)
    assert f"apt-get install {package} " in caught.value.hint


def test_a_command_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    script = "sleep 1000 & echo $! > child; wait"
    with pytest.raises(InfraError, match=r"took longer than 0\.3 s"):
        run(["sh", "-c", script], timeout_s=0.3, cwd=tmp_path)
    assert ended(int((tmp_path / "child").read_text(encoding="ascii")))


def test_a_child_dies_with_a_lab_that_was_killed(tmp_path: Path) -> None:
    script = f"echo $$ > {tmp_path}/child; exec sleep 1000"
    lab = f"from rmaplab import proc; proc.run(['sh', '-c', {script!r}])"
    with subprocess.Popen([sys.executable, "-c", lab]) as process:
        child = tmp_path / "child"
        while not child.exists() or not child.read_text(encoding="ascii").strip():
            time.sleep(0.01)
        process.kill()
        process.wait()
    assert ended(int(child.read_text(encoding="ascii")))


_RUN = "proc.run(['sleep', '1000'])"
_START = """
import asyncio
async def main():
    async with proc.started(['sleep', '1000'], pass_fds=[], stderr=open('/dev/null', 'wb')) as one:
        await one.wait()
asyncio.run(main())
"""


@pytest.mark.parametrize("how", [_RUN, _START], ids=["run", "started"])
def test_a_child_ends_with_a_lab_that_was_killed_before_it_was_tied(
    tmp_path: Path, how: str
) -> None:
    slow, child = tmp_path / "setpriv", tmp_path / "child"
    killed = tmp_path / "killed"
    slow.write_text(
        f"#!/bin/sh\necho $$ > {child}.half && mv {child}.half {child}\n"
        f"until [ -e {killed} ]; do sleep 0.01; done\n"
        f'exec {shutil.which("setpriv")} "$@"\n'
    )
    slow.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with subprocess.Popen(
        [sys.executable, "-c", f"from rmaplab import proc\n{how}"], env=env
    ) as lab:
        while not child.exists():
            time.sleep(0.01)
        lab.kill()
        lab.wait()
    killed.touch()
    assert ended(int(child.read_text(encoding="ascii")))


def test_a_background_process_lives_as_long_as_its_block(tmp_path: Path) -> None:
    async def block() -> tuple[int, int]:
        with (tmp_path / "log").open("wb") as log:
            async with proc.started(["sleep", "1000"], pass_fds=[], stderr=log) as process:
                os.kill(process.pid, 0)  # it is there
        return process.pid, await process.wait()

    number, status = asyncio.run(block())
    assert status == -signal.SIGKILL
    assert ended(number)


def test_a_background_process_that_ends_by_itself_says_how(tmp_path: Path) -> None:
    async def block() -> list[int]:
        with (tmp_path / "log").open("wb") as log:
            argv = ["sh", "-c", "echo oops; exit 3"]
            async with proc.started(argv, pass_fds=[], stderr=log) as process:
                return list(await asyncio.gather(process.wait(), process.wait()))

    assert asyncio.run(block()) == [3, 3]
    assert (tmp_path / "log").read_text(encoding="ascii") == "oops\n"


def test_a_background_process_ends_with_a_block_that_fails(tmp_path: Path) -> None:
    numbers = []

    async def block() -> None:
        with (tmp_path / "log").open("wb") as log:
            async with proc.started(["sleep", "1000"], pass_fds=[], stderr=log) as process:
                numbers.append(process.pid)
                raise RuntimeError("oops")

    with pytest.raises(RuntimeError, match="oops"):
        asyncio.run(block())
    assert ended(numbers[0])
