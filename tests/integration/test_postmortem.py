# SPDX-License-Identifier: GPL-2.0
"""The memory of real QEMU's guests, and source lines by a script in the real sandbox."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from rmaplab.build import lines, sandbox
from rmaplab.collect.observe import observe
from rmaplab.errors import InfraError
from rmaplab.guest.postmortem import MemoryDumpPermit
from rmaplab.model import Observation
from rmaplab.store import memoryfile

from . import fake_guest
from .fake_guest import HALT, TRIPLE_FAULT, FakeGuest

BANNER = b"Linux version 6.12.0 (rmaplab@rmaplab) #1\n"
PANIC = b"Kernel panic - not syncing: x\n---[ end Kernel panic - x ]---\n"
WARNING = b"WARNING: CPU: 0 PID: 1 at mm/demo.c:1 demo+0x1/0x2\n---[ end trace 0 ]---\n"
LONG_S = 40.0
SHORT_S = 2.0
MEMORY_MB = 32


def ended(
    tmp_path: Path, text: bytes, then: bytes, *, boot_s: float = LONG_S, max_mb: int = 64
) -> tuple[Observation, list[dict[str, Any]]]:
    """The guest's observation, and what the transcript says of its memory."""
    disk, folder = tmp_path / "disk.img", tmp_path / "cell"
    disk.write_bytes(fake_guest.disk(text, then))
    permit = MemoryDumpPermit(max_mb << 20)
    asyncio.run(fake_guest.run(FakeGuest(disk), folder, boot_s=boot_s, memory_dump=permit))
    text_lines = (folder / "agent.jsonl").read_text(encoding="utf-8").splitlines()
    said = [json.loads(line) for line in text_lines]
    return observe(folder), [line for line in said if line["ev"].startswith("memory")]


def memory(tmp_path: Path) -> bytes:
    memoryfile.unpack(tmp_path / "cell" / memoryfile.NAME, tmp_path / "elf")
    return (tmp_path / "elf").read_bytes()


@pytest.mark.parametrize(
    ("text", "then", "why", "boot_s"),
    [
        (BANNER + PANIC, HALT, "panic", LONG_S),
        (BANNER, TRIPLE_FAULT, "reset", LONG_S),
        (BANNER + b"and nothing more\n", HALT, "boot-limit", SHORT_S),
    ],
)
def test_a_guest_that_died_leaves_its_memory(
    tmp_path: Path, text: bytes, then: bytes, why: str, boot_s: float
) -> None:
    seen, (said,) = ended(tmp_path, text, then, boot_s=boot_s)
    assert seen.memory is not None
    assert (seen.memory.why, seen.memory.file) == (why, memoryfile.NAME)
    content = memory(tmp_path)
    assert content.startswith(b"\x7fELF")
    assert said["memory_bytes"] == len(content) > MEMORY_MB << 20
    # The sector that it booted from is still there, with what it printed.
    assert text in content


def test_a_guest_that_complains_is_looked_at_while_it_lives(tmp_path: Path) -> None:
    seen, (said,) = ended(tmp_path, BANNER + WARNING, HALT, boot_s=SHORT_S)
    assert (said["ev"], said["why"], said["complaint"]) == ("memory", "complaint", "warning")
    assert seen.ended == "boot-failed"
    assert BANNER + WARNING in memory(tmp_path)


def test_a_memory_that_is_too_large_is_said_and_changes_nothing(tmp_path: Path) -> None:
    seen, (said,) = ended(tmp_path, BANNER + PANIC, HALT, max_mb=0)
    assert said["ev"] == "memory-not-saved"
    assert "larger than 0 MB" in said["detail"]
    assert seen.ended == "boot-failed"
    assert not (tmp_path / "cell" / memoryfile.NAME).exists()


def test_nobody_looks_at_a_guest_that_is_not_watched(tmp_path: Path) -> None:
    disk, folder = tmp_path / "disk.img", tmp_path / "cell"
    disk.write_bytes(fake_guest.disk(BANNER + PANIC, HALT))
    asyncio.run(fake_guest.run(FakeGuest(disk), folder, boot_s=LONG_S))
    assert observe(folder).memory is None
    assert not (folder / memoryfile.NAME).exists()


# -- source lines ---------------------------------------------------------------------------------

SCRIPT = """\
[ "$1" = vmlinux ] && [ -f "$1" ] || exit 1
touch called 2>/dev/null && echo evil
shift
for place; do
    case $place in
    unknown*) echo "no match for $place" >&2;;
    *) printf '%s:\\n%s at mm/demo.c:%d\\n\\n' "$place" "${place%%+*}" "$#";;
    esac
done
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree/scripts").mkdir(parents=True)
    (tmp_path / "tree" / lines.SCRIPT).write_text(SCRIPT, encoding="utf-8")
    return tmp_path / "tree"


@pytest.fixture
def build(tmp_path: Path) -> Path:
    folder = tmp_path / "build"
    (folder / "obj").mkdir(parents=True)
    (folder / "config").write_text("CONFIG_DEBUG_INFO=y\n", encoding="utf-8")
    (folder / "obj/vmlinux").write_bytes(b"\x7fELF")
    return folder


def test_all_places_are_asked_for_in_one_call_and_once(tree: Path, build: Path) -> None:
    places = ["a+0x1/0x2", "b+0x1/0x2", "a+0x1/0x2", "unknown+0x1/0x2", "no place", "-evil"]
    expected = {
        "a+0x1/0x2": ("a at mm/demo.c:3",),
        "b+0x1/0x2": ("b at mm/demo.c:3",),
        "unknown+0x1/0x2": (),
    }
    assert lines.resolve(places, build, tree) == expected
    (tree / lines.SCRIPT).write_text("exit 1\n", encoding="utf-8")
    assert lines.resolve(places, build, tree) == expected
    assert not (build / "obj/called").exists()


def test_what_is_known_is_not_asked_for_again(tree: Path, build: Path) -> None:
    lines.resolve(["a+0x1/0x2", "b+0x1/0x2"], build, tree)
    found = lines.resolve(["b+0x1/0x2", "c+0x1/0x2"], build, tree)
    assert found == {"b+0x1/0x2": ("b at mm/demo.c:2",), "c+0x1/0x2": ("c at mm/demo.c:1",)}


@pytest.mark.parametrize(
    ("script", "why"),
    [("echo no awk here; exit 3\n", r"status 3\): no awk here"), ("sleep 60\n", "no end within")],
)
def test_a_script_that_fails_says_so(
    tree: Path, build: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    monkeypatch.setattr(lines, "LIMIT_S", 2.0)
    (tree / lines.SCRIPT).write_text(script, encoding="utf-8")
    with pytest.raises(InfraError, match=why):
        lines.resolve(["a+0x1/0x2"], build, tree)
    assert not (build / lines.KNOWN).exists()


def test_what_a_script_found_before_it_was_ended_is_kept_and_the_rest_asked_again(
    tree: Path, build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "LIMIT_S", 3.0)
    slow = SCRIPT.replace("*) printf", "slow*) sleep 60;;\n    *) printf")
    (tree / lines.SCRIPT).write_text(slow, encoding="utf-8")
    assert lines.resolve(["a+0x1/0x2", "slow+0x1/0x2"], build, tree) == {
        "a+0x1/0x2": ("a at mm/demo.c:2",)
    }
    (tree / lines.SCRIPT).write_text(SCRIPT, encoding="utf-8")
    again = lines.resolve(["a+0x1/0x2", "slow+0x1/0x2"], build, tree)
    assert again["slow+0x1/0x2"] == ("slow at mm/demo.c:1",)


def test_a_reader_writes_nothing_and_has_no_network(tmp_path: Path) -> None:
    (tmp_path / "memory").write_text("here", encoding="utf-8")
    script = f"cat {tmp_path}/memory; echo evil > {tmp_path}/memory; tail -n +3 /proc/net/dev"
    done = sandbox.read(["sh", "-c", script], [tmp_path / "memory"], limit_s=60)
    assert done.text.replace("here", "").split(":")[0].strip() in {"", "lo"}
    assert len(done.text.splitlines()) <= 1
    assert (tmp_path / "memory").read_text(encoding="utf-8") == "here"
