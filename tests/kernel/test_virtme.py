# SPDX-License-Identifier: GPL-2.0
"""Guests on the host's userspace: the real vng's command, the real kernel, this host's files."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LAB = "configs/virtme.yaml"
NAME = "distribution/soft-offline-library"
# Not meant to be reached: a boot takes some 5 s on an idle host without KVM.
BOOT_S = 180
BUILD_S = 40 * 60


@pytest.fixture(scope="session")
def virtme_run(run_lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The whole lab, once."""
    done = run_lab("run", LAB, output=tmp_path_factory.mktemp("virtme"))
    assert done.status == 0, done.stdout + done.stderr
    return done


def transcript(done: Any, testcase: str) -> list[dict[str, Any]]:
    (cell,) = done.cells(testcase)
    text = (done.folder / "cells" / cell["id"] / "agent.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_script_of_the_hosts_python_drives_the_rmap_walk(virtme_run: Any) -> None:
    (cell,) = virtme_run.cells(NAME)
    assert (cell["outcome"], cell["verdict"]) == ("completed", "pass"), cell["reason"]
    assert [subtest["name"] for subtest in cell["subtests"]] == [
        "mapcount", "soft-offline", "content", "one-other-frame",
    ]  # fmt: skip
    counters = cell["counters"]
    assert counters["vmstat.pgmigrate_success"]["delta"] > 0, "the library's page was migrated"


def test_a_cell_is_what_it_is_in_a_fast_guest(virtme_run: Any) -> None:
    (cell,) = virtme_run.cells("exclusive/mapcount")
    failed = {one["name"] for one in cell["subtests"] if one["verdict"] == "fail"}
    assert failed == {"mapcount", "memcg-anon"}
    said = transcript(virtme_run, "exclusive/mapcount")
    (ready,) = [event for event in said if event["ev"] == "ready"]
    assert ready["init"] is False, "virtme-ng's init is PID 1"
    settings = [event for event in said if event["ev"] == "setting"]
    assert settings
    assert all(event["got"] == event["wanted"] for event in settings)
    assert {event["label"] for event in said if event["ev"] == "sample"} == {"before", "after"}


def test_every_boot_is_on_its_console(virtme_run: Any) -> None:
    consoles = [path.read_bytes() for path in virtme_run.folder.glob("cells/*/console.log")]
    assert len(consoles) == len(virtme_run.results["cells"])
    for console in consoles:
        assert console.count(b"Linux version") == 1
        assert console.count(b"rmaplab: begin /run/rmaplab/bin/") == 1


def test_the_kernel_is_configured_as_the_tool_asked(virtme_run: Any) -> None:
    (path,) = virtme_run.folder.glob("builds/*/fragments.diff")
    text = path.read_text(encoding="utf-8")
    assert "\n CONFIG_NET_9P_VIRTIO=y\n" in text
    assert re.search(r"^-CONFIG_KVM=y # ", text, re.M)


# -- shell -------------------------------------------------------------------------------------


@pytest.fixture
def shell() -> Iterator[Any]:
    """The verb on a terminal of its own, at the prompt; ``release`` is what it announced."""
    # Below a shell that leads the session: no SIGHUP ends QEMU when the lab is killed.
    line = f"{sys.executable} -m rmaplab shell {LAB}; echo status=$?; read line"
    child = pexpect.spawn("/bin/sh", ["-c", line], cwd=str(ROOT), timeout=30,
                          dimensions=(30, 110), encoding="utf-8")  # fmt: skip
    child.expect(r"base (\S+) on virtme, \w+; Ctrl-a x ends the guest", timeout=BUILD_S)
    assert isinstance(child.match, re.Match)
    child.release = child.match[1]  # type: ignore[attr-defined]
    # What is typed before the guest's shell is there is lost. The answer is not what was typed.
    ends = time.monotonic() + BOOT_S
    answer = 1
    while answer:
        assert time.monotonic() < ends, child.before
        child.sendline("echo up-$((40 + 2))")
        answer = child.expect_exact(["up-42", pexpect.TIMEOUT], timeout=3)
    yield child
    child.close(force=True)


def test_a_shell_runs_on_the_kernel_and_ends_with_0(shell: Any) -> None:
    shell.sendline("uname -r; stty size")
    shell.expect_exact(shell.release)
    shell.expect_exact("30 110")
    shell.sendline("exit")
    shell.expect_exact("status=0")


def test_no_guest_outlives_a_shell_that_was_killed(shell: Any) -> None:
    (lab,) = _children(shell.pid)
    (qemu,) = [number for number in _children(lab) if "qemu-system" in _name(number)]
    os.kill(lab, signal.SIGKILL)
    ends = time.monotonic() + 10
    while "qemu-system" in _name(qemu):
        assert time.monotonic() < ends, "QEMU outlived the lab"
        time.sleep(0.02)


def _children(number: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if int(fields[1]) == number:
            found.append(int(path.parent.name))
    return found


def _name(number: int) -> str:
    try:
        return str(Path(f"/proc/{number}/exe").readlink())
    except OSError:
        return ""
