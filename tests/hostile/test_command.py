# SPDX-License-Identifier: GPL-2.0
"""Type the command on a hostile tree or series: its exit code, and what it prints and leaves."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rmaplab.config.paths import project
from rmaplab.errors import ExitCode
from tests.integration import fake_tree

from . import kernels
from .builds import HostileBuild
from .mails import mail
from .patches import GOOD, link, new
from .test_workloads import UNSAFE
from .workloads import NASTY
from .world import TOKEN, World

LAB = """\
name: hostile
kernels:
  - name: base
    tree: dir:{tree}
    config: [guest]
guests: [q35]
settings: [thp-never]
testcases: [control/empty]
"""
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class HostileCommand:
    """One attempt: a script of the tree, or a series for it; and the exit code that is right."""

    name: str
    status: ExitCode
    script: str = ":"
    series: Mapping[str, bytes] = field(default_factory=dict)
    limit_s: str = "60"


_READ = "cat @home@/.netrc; env; cat /proc/[0-9]*/environ; true"
ATTEMPTS = (
    HostileCommand("read secrets and succeed", ExitCode.OK, _READ),
    HostileCommand("read secrets and fail", ExitCode.BUILD, f"{_READ}; false"),
    HostileCommand("never end", ExitCode.BUILD, "sleep 50", limit_s="1"),
    HostileCommand("bwrap's words", ExitCode.BUILD, "echo 'bwrap: no'; kill -9 $PPID"),
    HostileCommand("a full disk's words", ExitCode.BUILD,
                   "echo 'cc1: error: No space left on device'; false"),
    HostileCommand("errors for a terminal", ExitCode.BUILD,
                   "printf 'mm/x.c:1:1: error: \\033[2J\\342\\200\\256\\n'; false"),
    HostileCommand("status 69", ExitCode.BUILD, "exit 69"),
    HostileCommand("a subject for a terminal", ExitCode.BUILD, series={
        "0001-x.patch": mail(f"[PATCH] {NASTY[:20]}".encode(), new("mm/ksm.c"))}),
    HostileCommand("a name for a terminal", ExitCode.BUILD, series={
        "0001-\x1b[2J.patch": mail(diff=new("mm/ksm.c"))}),
    HostileCommand("a path for a terminal", ExitCode.BUILD, series={
        "0001-x.patch": mail(diff=link('\\033[2J"', "/home").replace(
            b"a/\\033[2J\" b/\\033[2J\"", b'"a/\\033[2J" "b/\\033[2J"').replace(
            b"+++ b/\\033", b'+++ "b/\\033'))}),
    HostileCommand("a path out of the tree", ExitCode.USAGE, series={
        "0001-x.patch": mail(diff=new("../evil"))}),
    HostileCommand("no series at all", ExitCode.USAGE, series={"0001-x.patch": b"\x1b[2J"}),
    HostileCommand("an honest series", ExitCode.OK, series={"0001-x.patch": mail(diff=GOOD)}),
)  # fmt: skip


@pytest.mark.parametrize("one", ATTEMPTS, ids=lambda one: one.name)
def test_command(world: World, one: HostileCommand) -> None:
    made = HostileBuild(one.name, one.script)
    files = {"Makefile": kernels.makefile(world, made).replace(" || true", ""),
             kernels.SCRIPT: world.filled(one.script) + "\n"}  # fmt: skip
    fake_tree.make(world.tree, files)
    lab = world.root / "lab.yaml"
    text = LAB.format(tree=world.tree)
    if one.series:
        folder = world.root / "series"
        folder.mkdir()
        for name, content in one.series.items():
            (folder / name).write_bytes(content)
        text = text.replace("name: base", f"name: patched\n    series: {folder}")
    lab.write_text(text, encoding="utf-8")
    words: list[str | Path] = [sys.executable, "-m", "rmaplab", "build", lab]
    world.note()
    done = subprocess.run(
        words, cwd=project(), capture_output=True, check=False, timeout=100,
        env={"PATH": os.environ["PATH"], "HOME": str(world.home), TOKEN: world.token,
             "RMAPLAB_CACHE": str(world.cache.root), "RMAPLAB_BUILD_LIMIT": one.limit_s},
    )  # fmt: skip
    out = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert done.returncode == one.status, out
    assert "Traceback" not in out
    assert not UNSAFE.search(COLOURS.sub("", out)), out
    assert world.harms(out) == []
    logs = [*world.cache.root.rglob("build.log"), *world.cache.root.rglob("failed-build.log")]
    ran = any(f"{kernels.RAN}-{world.word}".encode() in log.read_bytes() for log in logs)
    assert ran or one.series, "the attempt did not run"
