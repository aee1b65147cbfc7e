# SPDX-License-Identifier: GPL-2.0
"""Control groups of the sandbox, in a folder that looks like a file system of cgroups."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rmaplab.build import cgroup

CONTROLLERS = ("cgroup.procs", "memory.max", "memory.swap.max", "pids.max")


class Cgroups:
    """A file system of cgroups: a folder that is made in it has the kernel's files."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.controllers: tuple[str, ...] = CONTROLLERS
        self.removed: list[dict[str, str]] = []
        self._own, self._mounts = root.with_name("own"), root.with_name("mounts")
        monkeypatch.setattr(cgroup, "OWN", self._own)
        monkeypatch.setattr(cgroup, "MOUNTS", self._mounts)
        mkdir, rmdir = Path.mkdir, Path.rmdir

        def make(path: Path) -> None:
            mkdir(path)
            for name in self.controllers:
                (path / name).touch()

        def remove(path: Path) -> None:
            files = {one.name: one.read_text(encoding="ascii") for one in path.iterdir()}
            self.removed.append(files)
            for name in files:
                (path / name).unlink()
            rmdir(path)

        monkeypatch.setattr(Path, "mkdir", make)
        monkeypatch.setattr(Path, "rmdir", remove)

    def lab_is_in(self, inner: str, mounted: str = "/") -> Path:
        place = self.root
        for part in Path(inner).relative_to(mounted).parts:
            place /= part
            place.mkdir()
        self._own.write_text(f"4:memory:/x\n0::{inner}\n", encoding="ascii")
        line = f"24 1 0:2 {mounted} {self.root} rw,relatime shared:4 - cgroup2 cgroup2 rw"
        self._mounts.write_text(f"1 0 8:1 / / rw - ext4 /dev/sda rw\n{line}\n", encoding="ascii")
        return place


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cgroups:
    (tmp_path / "cgroup").mkdir()
    (tmp_path / "cgroup/cgroup.procs").touch()
    monkeypatch.setattr(cgroup, "memory_bytes", lambda: 16 << 30)
    return Cgroups(tmp_path / "cgroup", monkeypatch)


@pytest.mark.parametrize(("inner", "mounted"), [("/", "/"), ("/a/b", "/"), ("/a/b", "/a")])
def test_a_command_runs_in_a_group_with_limits_that_is_removed(
    cgroups: Cgroups, inner: str, mounted: str
) -> None:
    place = cgroups.lab_is_in(inner, mounted)
    with cgroup.limited() as group:
        assert group is not None
        assert group.path.parent == place
        subprocess.run(group.command(["true"]), check=True)
    assert not group.path.exists()
    (files,) = cgroups.removed
    assert files == {"cgroup.procs": "0\n", "memory.max": f"{12 << 30}\n", "pids.max": "5000\n",
                     "memory.swap.max": "0\n"}  # fmt: skip


def test_a_command_does_not_run_outside_of_its_group(cgroups: Cgroups) -> None:
    cgroups.lab_is_in("/a")
    with cgroup.limited() as group:
        assert group is not None
        words = group.command(["echo", "it ran"])
        (group.path / "cgroup.procs").unlink()
        (group.path / "cgroup.procs").symlink_to("/nonexistent/x")
        done = subprocess.run(words, capture_output=True, check=False)
        (group.path / "cgroup.procs").unlink()
    assert done.returncode != 0
    assert b"it ran" not in done.stdout


@pytest.mark.parametrize("controllers", [("cgroup.procs",), ("cgroup.procs", "pids.max")])
def test_a_group_without_a_limit_for_memory_is_none(
    cgroups: Cgroups, controllers: tuple[str, ...]
) -> None:
    place = cgroups.lab_is_in("/a/b")
    cgroups.controllers = controllers
    with cgroup.limited() as group:
        assert group is None
    assert list(place.rglob("rmaplab-*")) == []
    assert len(cgroups.removed) == 2  # it tried in its own and in the one above


def test_a_process_that_was_killed_for_memory_is_told(cgroups: Cgroups) -> None:
    cgroups.lab_is_in("/")
    with cgroup.limited() as group:
        assert group is not None
        assert group.complaint() == ""
        events = group.path / "memory.events"
        for count, said in ((0, ""), (2, "it needs more than 12288 MB of memory")):
            events.write_text(f"low 0\noom 3\noom_kill {count}\n", encoding="ascii")
            assert group.complaint() == said


@pytest.mark.parametrize("own", ["", "1:memory:/x\n", "0::/../escape\n"])
def test_without_a_place_there_is_no_group(cgroups: Cgroups, own: str) -> None:
    cgroups.lab_is_in("/")
    cgroup.OWN.write_text(own, encoding="ascii")
    with cgroup.limited() as group:
        assert group is None
