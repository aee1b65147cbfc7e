# SPDX-License-Identifier: GPL-2.0
"""Run hostile commands in the real sandbox: what they get to see and to do."""

from __future__ import annotations

import contextlib
import errno
import os
import pty
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rmaplab import proc
from rmaplab.build import bubblewrap, budget, sandbox, seccomp
from rmaplab.build.bubblewrap import Form
from rmaplab.build.buildlog import BoundedLog
from rmaplab.build.sandbox import Answer, Ended
from rmaplab.errors import InfraError
from rmaplab.pipeline import doctor

from . import fake_tree


@dataclass
class Box:
    """A sandbox with a source and a build folder."""

    source: Path
    build: Path
    said: bytes = b""

    def run(self, script: str, limit_s: float = 60) -> Ended:
        pieces: list[bytes] = []
        ended = sandbox.run(
            ["sh", "-c", script], pieces.append,
            source=self.source, build=self.build, limit_s=limit_s,
        )  # fmt: skip
        self.said = b"".join(pieces)
        return ended

    def says(self, script: str) -> str:
        self.run(script)
        return self.said.decode().strip()


@pytest.fixture
def box(tmp_path: Path) -> Box:
    made = Box(tmp_path / "source", tmp_path / "build")
    made.source.mkdir()
    made.build.mkdir()
    (made.source / "Makefile").write_text("all:\n", encoding="utf-8")
    return made


@pytest.fixture
def host_socket(tmp_path: Path) -> Iterator[Path]:
    """The socket of a service of this host, such as an agent with keys."""
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield path


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
    assert box.says(f"ls -d /{name} /etc/{name} /tmp/{name} 2>/dev/null; true") == ""


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


# -- what the foreign code learns of the lab ---------------------------------------------------


def test_no_process_has_the_labs_environment(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of bwrap itself can be read, too, in some forms of the sandbox."""
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    assert "hunter2" not in box.says("cat /proc/[0-9]*/environ 2>/dev/null; env")


def connect_to(path: Path) -> str:
    return f"perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(q({path})) or exit 9'"


def test_no_socket_of_the_host_can_be_reached(box: Box, host_socket: Path) -> None:
    assert os.system(connect_to(host_socket)) == 0  # outside it works
    assert box.run(connect_to(host_socket)).status == 9


def test_a_foreign_process_is_never_root(box: Box) -> None:
    assert box.run("echo mine > owner").ok
    owner = (box.build / "owner").stat().st_uid
    assert owner == (sandbox.best_form().uid or os.geteuid())
    if os.geteuid() == 0:
        assert owner == sandbox.BUILD_UID


# -- what it may not do ------------------------------------------------------------------------

PROGRAM = "import os, sys; sys.exit(0 if os.statvfs('/proc/sys').f_flag & os.ST_RDONLY else 3)"


def test_the_hosts_settings_cannot_be_written(box: Box) -> None:
    """Nothing is written to see it: on a host without the protection that would be the harm."""
    if not Path("/usr/bin/python3").exists():
        pytest.skip("no Python outside the lab's own")
    assert box.run(f'/usr/bin/python3 -c "{PROGRAM}"').status == 0
    assert not box.run("test -w /proc/sys/kernel/core_pattern").ok


def test_no_other_user_namespace_can_be_made(box: Box) -> None:
    if not sandbox.best_form().userns:
        pytest.skip("this host allows no user namespaces to the lab either, or bwrap is old")
    assert not box.run("unshare --user true").ok
    assert not box.run("unshare --user --map-root-user --mount true").ok


def test_processes_are_limited(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "PROCESSES", 50)
    script = "n=0; while [ $n -lt 200 ]; do sleep 5 & n=$((n+1)); echo $n; done"
    ended = box.run(script)
    assert not ended.ok
    assert 10 < len(box.said.splitlines()) < 60
    assert b"ork" in box.said  # Cannot fork


def test_the_size_of_a_file_is_limited(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "FILE_BYTES", 1 << 16)
    assert not box.run("head -c 100000 /dev/zero > big").ok
    assert (box.build / "big").stat().st_size == 1 << 16


def test_no_core_is_dumped(box: Box) -> None:
    box.run("kill -SEGV $$")
    assert box.says("prlimit --core --noheadings --output=SOFT,HARD").split() == ["0", "0"]


CALLS = """
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/syscall.h>
#include <sys/socket.h>
static void said(const char *name, long status) {
	printf("%s %d\\n", name, status < 0 ? errno : 0);
}
int main(void) {
	said("ptrace", syscall(SYS_ptrace, 0, 0, 0, 0));
	said("bpf", syscall(SYS_bpf, 0, 0, 0));
	said("perf_event_open", syscall(SYS_perf_event_open, 0, 0, 0, 0, 0));
	said("userfaultfd", syscall(SYS_userfaultfd, 1));
	said("io_uring_setup", syscall(SYS_io_uring_setup, 1, 0));
	said("keyctl", syscall(SYS_keyctl, 0, -3, 0));
	said("process_vm_readv", syscall(SYS_process_vm_readv, getpid(), 0, 0, 0, 0, 0));
	said("open_by_handle_at", syscall(SYS_open_by_handle_at, -1, 0, 0));
	said("unshare", syscall(SYS_unshare, 0));
	said("vsock", socket(40, SOCK_STREAM, 0));
	said("unix", socket(AF_UNIX, SOCK_STREAM, 0));
	return 0;
}
"""


def errors_of_calls(box: Box) -> dict[str, int]:
    (box.source / "calls.c").write_text(CALLS, encoding="utf-8")
    said = box.says("gcc -o calls /kernel/source/calls.c && ./calls")
    return {name: int(number) for name, number in (line.split() for line in said.splitlines())}


@pytest.mark.parametrize("form", sandbox.forms())
def test_system_calls_that_no_compiler_needs_are_not_there(
    box: Box, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "best_form", lambda: form)
    try:
        found = errors_of_calls(box)
    except InfraError as error:
        pytest.skip(f"this host does not allow it: {error}")
    assert found.pop("unix") == 0
    assert found.pop("vsock") == errno.EAFNOSUPPORT
    assert set(found.values()) == {errno.EPERM}


def test_without_the_filter_the_calls_are_there(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above."""
    monkeypatch.setattr(seccomp, "program", lambda: b"")
    found = errors_of_calls(box)
    assert {found[name] for name in ("ptrace", "unshare", "keyctl", "unix")} == {0}
    assert errno.EPERM not in {found[name] for name in ("io_uring_setup", "process_vm_readv")}


# -- what it may use ---------------------------------------------------------------------------


@pytest.fixture
def quiet_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk on which nobody else makes or deletes files."""

    def free(disk: Path) -> tuple[int, int]:
        used, made = budget._used(disk)
        return (1 << 40) - used, (1 << 30) - made

    monkeypatch.setattr(budget, "_free", free)


def losing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk on which somebody, nobody says who, uses 30 MB a second."""
    free = iter(range(1 << 40, 0, -(30 << 20)))
    monkeypatch.setattr(budget, "_free", lambda disk: (next(free), 1 << 40))


def test_files_beyond_the_budget_are_the_commands_fault(
    box: Box, quiet_disk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "BUILD_BYTES", 20 << 20)
    ended = box.run("head -c 50000000 /dev/zero > big; sync big; sleep 100", 30)
    assert ended.stopped.startswith("it has 4")
    assert "MB of files, the limit is 20" in ended.stopped
    assert not ended.short


def test_deleted_files_that_are_open_count(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "BUILD_BYTES", 20 << 20)
    losing(monkeypatch)
    script = "exec 3>big; rm big; head -c 50000000 /dev/zero >&3; sync .; sleep 100"
    assert "MB of files, the limit is 20" in box.run(script, 30).stopped


def test_what_others_write_is_not_the_commands_fault(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "BUILD_BYTES", 20 << 20)
    losing(monkeypatch)
    assert box.run("sleep 2.5") == Ended(0)


def test_a_disk_that_others_filled_is_not_the_commands_fault(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "FULL_DISK_BYTES", 1 << 62)
    ended = box.run("sleep 100", 30)
    assert (ended.stopped, ended.short) == ("the disk is full", "the disk is full")


def test_files_without_end_are_the_commands_fault(
    box: Box, quiet_disk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "FILES", 200)
    ended = box.run("mkdir many; cd many; seq 300 | xargs touch; sleep 100", 30)
    assert ended.stopped == "it has 300 files, the limit is 200"


def test_memory_is_the_commands_fault_if_it_has_it(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "LOW_MEMORY_BYTES", 1 << 62)
    ended = box.run("sleep 100", 30)
    assert ended.short == "the host's memory is used up"
    monkeypatch.setattr(budget, "memory_bytes", lambda: 40 << 20)
    ended = box.run("perl -e '$x = q(x) x 60000000; sleep 100'", 30)
    assert ended.stopped.startswith("it uses ")
    assert not ended.short


def test_a_process_cannot_have_more_memory_than_the_host(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bubblewrap, "memory_bytes", lambda: 50 << 20)
    assert not box.run("perl -e '$x = q(x) x 60000000'").ok
    assert box.run("perl -e '$x = q(x) x 6000000'").ok


def test_the_sandboxs_own_memory_is_limited(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap, "TMP_BYTES", 1 << 20)
    assert not box.run("head -c 3000000 /dev/zero > /tmp/x").ok
    assert box.run("head -c 300000 /dev/zero > /tmp/x").ok
    assert not box.run(f"head -c {bubblewrap.SHARED_BYTES + 4096} /dev/zero > /dev/shm/x").ok
    for place in ("/x", "/dev/x", "/etc/x", "/kernel/x"):
        assert not box.run(f"touch {place}").ok, place


def test_it_is_killed_before_others_without_memory(box: Box) -> None:
    assert box.says("cat /proc/self/oom_score_adj") == "1000"


# -- how it ends -------------------------------------------------------------------------------


def test_a_command_that_does_not_end_is_ended_with_all_that_it_started(
    box: Box, tmp_path: Path
) -> None:
    began = time.monotonic()
    ended = box.run(f"setsid sleep 61.0625 & trap '' TERM; sleep 61.0625; : {tmp_path}", 1)
    assert ended.stopped == "no end within 1 s"
    assert not ended.ok
    assert time.monotonic() - began < 30
    assert not list(fake_tree.processes_with("sleep\00061.0625"))


def test_what_stays_behind_in_the_background_ends_with_the_command(box: Box) -> None:
    assert box.run("for n in $(seq 200); do setsid sleep 62.0625 & done; exit 3") == Ended(3)
    assert not list(fake_tree.processes_with("sleep\00062.0625"))


@pytest.mark.parametrize(
    "words", ["bwrap: setting up uid map: Permission denied", "bwrap: execvp make: gone",
              '{ "exit-code": 0 }']
)  # fmt: skip
def test_words_that_look_like_bwraps_are_the_commands(box: Box, words: str) -> None:
    assert box.run(f"echo '{words}' | tee /dev/stderr; exit 1") == Ended(1)


@pytest.mark.parametrize("victim", ["-1", "1", "2", "$PPID", "$$"])
def test_a_command_that_kills_the_sandbox_is_not_the_labs_fault(box: Box, victim: str) -> None:
    ended = box.run(f"kill -KILL {victim}; exit 7")
    assert ended.status in {7, 128 + 9}
    assert not ended.stopped


def test_a_sandbox_that_does_not_start_is_the_labs_fault(box: Box) -> None:
    nowhere = {"/proc/nowhere": box.build}
    with pytest.raises(InfraError, match=r"the build sandbox did not start: bwrap: .*nowhere"):
        sandbox.run(
            ["true"], lambda said: None,
            source=box.source, build=box.build, over=nowhere, limit_s=60,
        )  # fmt: skip


def test_a_log_without_end_is_kept_within_its_size(box: Box, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file, BoundedLog(file, 1 << 20) as log:
        ended = sandbox.run(
            ["sh", "-c", "echo first; yes x | head -c 30000000; echo last; exit 5"], log.write,
            source=box.source, build=box.build, limit_s=60,
        )  # fmt: skip
    said = (tmp_path / "log").read_bytes()
    assert ended.status == 5
    assert said.startswith(b"first\n")
    assert said.endswith(b"last\n")
    assert b"bytes are left out here" in said
    assert len(said) < (1 << 20) + (1 << 17)


@pytest.mark.parametrize("form", sandbox.forms())
def test_each_form_of_the_sandbox_hides_the_host(
    box: Box, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    monkeypatch.setattr(sandbox, "best_form", lambda: form)
    try:
        assert box.run("touch made").ok
    except InfraError as error:
        pytest.skip(f"this host does not allow it: {error}")
    assert "hunter2" not in box.says("cat /proc/[0-9]*/environ 2>/dev/null; env")
    assert not box.run("test -w /proc/sys/kernel/core_pattern").ok
    assert not box.run("touch /kernel/source/x").ok
    assert box.says("grep CapEff /proc/self/status").split()[1] == "0" * 16


# -- programs of the lab's own that read foreign files -----------------------------------------


def read(script: str, *files: Path) -> Answer:
    return sandbox.read(["sh", "-c", script], files, limit_s=60)


def test_a_reader_has_its_files_and_nothing_else_of_the_host(
    tmp_path: Path, host_socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    given, other = tmp_path / "memory", tmp_path / "secret"
    for path in (given, other):
        path.write_text(path.name, encoding="utf-8")
    assert read(f"cat {given}", given).text == "memory"
    assert not read(f"cat {other}", given).ended.ok
    assert not read(f"echo evil > {given}", given).ended.ok
    assert read(connect_to(host_socket), given).ended.status == 9
    assert "hunter2" not in read("cat /proc/[0-9]*/environ; env", given).text
    assert not read("test -e /etc/shadow", given).ended.ok


def test_a_reader_has_the_labs_python(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "import rmaplab.text, click; print('there')"]
    assert sandbox.read(words, [], limit_s=60).text == "there\n"


def test_a_program_on_this_terminal_has_its_files_alone(
    tmp_path: Path, host_socket: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given, other = tmp_path / "memory", tmp_path / "secret"
    for path in (given, other):
        path.write_text(path.name, encoding="utf-8")
    script = f"cat {given}; cat {other} 2>/dev/null; touch {given} 2>/dev/null; env; exit 7"
    assert sandbox.foreground(["sh", "-c", script], [given]) == 7
    said = capfd.readouterr().out
    assert said.startswith("memory")
    assert "secret" not in said
    assert "VIRTUAL_ENV" not in said
    assert sandbox.foreground(["sh", "-c", connect_to(host_socket)], []) == 9
    assert sandbox.foreground(["sh", "-c", "kill -9 $$"], []) == 137


@pytest.mark.parametrize("filtered", [True, False])
def test_a_program_on_this_terminal_cannot_type_on_it(
    monkeypatch: pytest.MonkeyPatch, filtered: bool
) -> None:
    """TIOCSTI puts a character where the user's shell would read it."""
    if not filtered:
        monkeypatch.setattr(seccomp, "program", lambda: b"")
    program = (
        "import fcntl, sys, termios\n"
        "try:\n    fcntl.ioctl(0, termios.TIOCSTI, b'x')\n"
        "except OSError as error: sys.exit(error.errno)\n"
    )
    child, terminal = pty.fork()
    if child == 0:
        os._exit(sandbox.foreground([sys.executable, "-c", program], []))
    with contextlib.suppress(OSError):
        while os.read(terminal, 1000):
            pass
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in ({errno.EPERM} if filtered else {errno.EPERM, errno.EIO, errno.ENOTTY})


# -- doctor ------------------------------------------------------------------------------------


def test_the_doctor_tries_each_protection(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {finding.name: finding for finding in doctor._protections()}
    assert len(found) == 10
    assert all(found[f"sandbox: {name}"].ok for name in ("system calls", "memory", "disk"))
    assert found["sandbox: strangers"].ok
    assert found["sandbox: settings of the host"].ok
    assert found["sandbox: environment"].ok
    assert found["sandbox: network"].ok
    assert found["sandbox: user namespaces"].ok is sandbox.best_form().userns


def test_the_doctor_sees_a_protection_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "best_form", lambda: Form(None, False))
    monkeypatch.setattr(bubblewrap, "READ_ONLY_SYSCTLS", [])
    stream = proc.stream

    def with_environment(*words: Any, **more: Any) -> proc.Streamed:
        return stream(*words, **{**more, "env": dict(os.environ)})

    monkeypatch.setattr(proc, "stream", with_environment)
    monkeypatch.setattr(seccomp, "program", lambda: b"")
    found = {finding.name: finding.ok for finding in doctor._protections()}
    assert not found["sandbox: settings of the host"]
    assert not found["sandbox: environment"]
    assert not found["sandbox: processes"]
    assert found["sandbox: foreign user"] is (os.geteuid() != 0)
    assert not found["sandbox: system calls"]
    assert not found["sandbox: strangers"]
