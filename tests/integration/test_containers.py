# SPDX-License-Identifier: GPL-2.0
"""The lab as root of a container: a user namespace in which no other one can be made.

The limit is that namespace's own (user_namespaces(7)); nothing of the host is set.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import rmaplab

PROJECT = Path(rmaplab.__file__).parent.parent
ENTER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def unshare(flags):
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")
ready, go = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    unshare(0x10000000)  # CLONE_NEWUSER
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    os.setgid(0)
    os.setuid(0)
    unshare(0x00020000)  # CLONE_NEWNS
    with open("/proc/sys/user/max_user_namespaces", "w") as limit:
        limit.write("0")
    os.execv(sys.executable, [sys.executable, "-m", "rmaplab", *sys.argv[2:]])
os.read(ready[0], 1)
with open(f"/proc/{child}/setgroups", "w") as file:
    file.write(sys.argv[1].split()[2] == "1" and "deny" or "allow")
for name in ("uid_map", "gid_map"):
    with open(f"/proc/{child}/{name}", "w") as file:
        file.write(sys.argv[1])
os.write(go[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 255)
"""


def doctor(users: str) -> dict[str, bool]:
    """The doctor's findings about the sandbox, in a namespace with a map of users."""
    before = Path("/proc/sys/user/max_user_namespaces").read_text(encoding="ascii")
    done = subprocess.run(
        [sys.executable, "-c", ENTER, users, "doctor", "--format", "json"],
        env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, check=False,
    )  # fmt: skip
    assert Path("/proc/sys/user/max_user_namespaces").read_text(encoding="ascii") == before
    checks = json.loads(done.stdout or b'{"checks": []}')["checks"]
    assert checks, done.stderr.decode()
    return {one["name"].removeprefix("sandbox: "): one["ok"] for one in checks}


def test_root_of_a_container_without_nested_namespaces_has_the_whole_sandbox() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may map many users; an ordinary user's lab is no container's root")
    found = doctor("0 0 65536")
    names = ("foreign user", "settings of the host", "user namespaces", "network", "processes",
             "environment", "system calls", "memory", "disk", "strangers")  # fmt: skip
    assert found["build sandbox"]
    assert [name for name in names if not found[name]] == []


def test_root_of_a_container_with_one_user_is_told_what_is_weak() -> None:
    found = doctor(f"0 {os.geteuid()} 1")
    assert found["build sandbox"]
    assert not found["foreign user"]
    assert not found["strangers"]
    assert found["user namespaces"]  # by the filter of system calls
    assert found["network"]
