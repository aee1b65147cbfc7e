# SPDX-License-Identifier: GPL-2.0
"""Run a tree's own scripts/faddr2line that is hostile, on a hostile vmlinux."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from rmaplab.build import lines
from rmaplab.errors import InfraError
from tests.integration import fake_tree

from . import kernels
from .world import World

PLACE = "try_to_unmap_one+0x10/0x20"
HONEST = f"echo '{PLACE}:'; echo 'try_to_unmap_one at mm/rmap.c:7'"


@dataclass(frozen=True)
class HostileTool:
    """One attempt: the script, and the lines that come of it; None if there have to be none."""

    name: str
    script: str
    found: tuple[str, ...] | None = None
    control: bool = False


ATTEMPTS = (
    HostileTool("print a password", "cat @home@/.netrc", control=True),
    HostileTool("print the environment", "env; cat /proc/[0-9]*/environ", control=True),
    HostileTool("a password as a line's place", f"echo '{PLACE}:'; "
                "echo \"f at $(cat @home@/.netrc | tr ' ' _):1\"", control=True),
    HostileTool("write into the build folder", "echo evil >> $PWD/vmlinux; touch $PWD/evil"),
    HostileTool("write into the source", "echo evil >> /kernel/source/mm/ksm.c"),
    HostileTool("leave a daemon", "WORD=@word@ setsid sleep 60.5 > /dev/null 2>&1 & true",
                control=True),
    HostileTool("connect to the host", "exec 3<>/dev/tcp/127.0.0.1/@port@", control=True),
    HostileTool("never end", "sleep 50"),
    HostileTool("print without end", "yes"),
    HostileTool("one line of 10 MB", "head -c 10000000 /dev/zero | tr '\\0' x"),
    HostileTool("bytes for a terminal", f"echo '{PLACE}:'; "
                "printf '\\033[2J at mm/rmap.c:7\\n'"),
    HostileTool("another place", "echo 'evil+0x1/0x2:'; echo 'evil at mm/evil.c:1'"),
    HostileTool("a place twice", f"{HONEST}; {HONEST}"),
    HostileTool("a line number of 20 digits", f"echo '{PLACE}:'; "
                "echo 'f at mm/rmap.c:99999999999999999999'"),
    HostileTool("honest", HONEST, ("try_to_unmap_one at mm/rmap.c:7",)),
)  # fmt: skip


def set_up(world: World, one: HostileTool) -> Path:
    """Make a tree with the script, and a build with a vmlinux; return the build."""
    text = f"echo {kernels.RAN}-{world.word} >&2\n{world.filled(one.script)}\n"
    fake_tree.make(world.tree, {lines.SCRIPT: text})
    build = world.root / "build"
    build.mkdir()
    (build / "config").write_text("CONFIG_DEBUG_INFO=y\n", encoding="utf-8")
    (build / lines.VMLINUX).write_bytes(b"\x7fELF" + b"\xff" * 100)
    return build


@pytest.mark.parametrize("one", ATTEMPTS, ids=lambda one: one.name)
def test_tool(
    world: World,
    one: HostileTool,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(lines, "LIMIT_S", 2.0)
    build = set_up(world, one)
    (build / "vmlinux").chmod(0o666)
    world.note(build)
    told, found = "", None
    try:
        found = lines.resolve([PLACE], build, world.tree)[PLACE]
    except InfraError as error:  # no lines: the report goes on without them
        told = error.message
    except KeyError:
        pass
    said = capfd.readouterr()
    (build / lines.KNOWN).unlink(missing_ok=True)
    harms = [text for text in world.harms(told, said.out, said.err) if f"{build} " not in text]
    assert harms == []
    assert len(told) < 1000
    assert not found if one.found is None else found == one.found


@pytest.mark.control
@pytest.mark.parametrize("one", [one for one in ATTEMPTS if one.control], ids=lambda one: one.name)
def test_without_a_sandbox_it_does_harm(world: World, one: HostileTool) -> None:
    build = set_up(world, one)
    world.note()
    said = kernels.on_this_host(world, ["bash", world.tree / lines.SCRIPT, "vmlinux", PLACE], build)
    assert f"{kernels.RAN}-{world.word}" in said
    assert world.harms(said)
