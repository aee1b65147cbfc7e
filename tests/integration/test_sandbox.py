# SPDX-License-Identifier: GPL-2.0
"""The real sandbox: what a hostile Makefile gets to see and to do."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rmaplab import proc
from rmaplab.build import sandbox


@dataclass
class Box:
    """A sandbox with a source and a build folder."""

    source: Path
    build: Path

    def run(self, script: str) -> proc.Finished:
        argv = sandbox.command(["sh", "-c", script], source=self.source, build=self.build)
        return proc.run(argv, check=False)

    def says(self, script: str) -> str:
        return self.run(script).text.strip()


@pytest.fixture
def box(tmp_path: Path) -> Box:
    made = Box(tmp_path / "source", tmp_path / "build")
    made.source.mkdir()
    made.build.mkdir()
    (made.source / "Makefile").write_text("all:\n", encoding="utf-8")
    return made


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_build_folder_is_where_it_runs_and_can_be_written(box: Box) -> None:
    assert box.says("pwd; touch made") == "/kernel/build"
    assert (box.build / "made").exists()


@pytest.mark.parametrize(
    "place", ["/kernel/source/evil", "/kernel/source/Makefile", "/usr/evil", "/bin/sh"]
)
def test_source_and_tools_cannot_be_written(box: Box, place: str) -> None:
    assert not box.run(f"echo evil >> {place}").ok
    assert (box.source / "Makefile").read_text(encoding="utf-8") == "all:\n"


def test_what_is_written_elsewhere_does_not_reach_the_host(box: Box, tmp_path: Path) -> None:
    """The sandbox's own root and /tmp are its memory and end with it."""
    name = f"evil-{tmp_path.name}"
    box.run(f"touch /{name} /etc/{name} /tmp/{name} /kernel/{name}")
    assert not [path for path in ("/", "/etc", "/tmp", tmp_path) if Path(path, name).exists()]
    assert box.says(f"ls -d /{name} /etc/{name} /tmp/{name} 2>/dev/null") == ""


def test_the_source_cannot_be_made_writable(box: Box) -> None:
    assert not box.run("mount -o remount,rw /kernel/source && touch /kernel/source/evil").ok
    assert not (box.source / "evil").exists()


def test_no_home_no_accounts_and_no_cache_are_visible(box: Box, tmp_path: Path) -> None:
    for place in ("/root", "/home", "/etc/passwd", "/etc/shadow", "/var", "/run", str(tmp_path)):
        assert not box.run(f"test -e {place}").ok, place


def test_nothing_of_the_environment_is_there(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    said = box.says("env")
    assert "hunter2" not in said
    assert "KBUILD_BUILD_USER=rmaplab" in said
    assert "HOME=/nonexistent" in said


def test_there_is_no_network_not_even_to_this_host(box: Box, listener: int) -> None:
    connect = f"exec 3<>/dev/tcp/127.0.0.1/{listener}"
    assert os.system(f"bash -c '{connect}'") == 0  # outside it works
    assert not box.run(f"bash -c '{connect}'").ok
    interfaces = box.says("tail -n +3 /proc/net/dev | cut -d: -f1").split()
    assert set(interfaces) <= {"lo"}


def test_no_process_of_the_host_can_be_seen_or_killed(box: Box) -> None:
    assert not box.run(f"test -e /proc/{os.getpid()}/cmdline && kill -0 {os.getpid()}").ok
    assert int(box.says("ls -d /proc/[0-9]* | wc -l")) < 10


def test_no_capability_is_left(box: Box) -> None:
    assert box.says("grep CapEff /proc/self/status").split()[1] == "0" * 16
