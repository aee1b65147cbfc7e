# SPDX-License-Identifier: GPL-2.0
"""The one module that starts processes.

Argument lists only, no shell. Every child is in a session of its own, so that a Ctrl-C at the
terminal reaches the lab alone and the lab decides what ends when, and is tied to the lab by
PR_SET_PDEATHSIG, so that nothing outlives a lab that was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rmaplab.errors import InfraError
from rmaplab.prerequisites import package_of

TERMINATE_GRACE_S = 3.0


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that has ended. ``returncode`` is minus the signal that killed it, if one did."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes
    duration_s: float

    @property
    def ok(self) -> bool:
        """True if the process ended with status 0."""
        return self.returncode == 0

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 are replaced."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def complaint(self) -> str:
        """Standard error as text, stripped."""
        return self.stderr.decode("utf-8", "replace").strip()


class CommandFailed(InfraError):
    """A command of the lab's own ended with a status other than 0."""

    def __init__(self, finished: Finished, *, hint: str = "", evidence: Path | None = None) -> None:
        tail = finished.complaint.splitlines()[-5:]
        said = "".join(f"\n  {line}" for line in tail)
        super().__init__(
            f"{finished.argv[0]} ended with status {finished.returncode}: "
            f"{shlex.join(finished.argv)}{said}",
            hint=hint,
            evidence=evidence,
        )
        self.finished = finished


_found: dict[tuple[str, str], Path] = {}


def which(command: str) -> Path | None:
    """Return a command's path, or None; a virtual environment's own commands come first.

    A command that was found is not looked for again.
    """
    key = command, os.environ.get("PATH", "")
    if key not in _found:
        own = Path(sys.prefix) / "bin" / command
        found = str(own) if own.exists() else shutil.which(command)
        if found is None:
            return None
        _found[key] = Path(found).absolute()
    return _found[key]


def require(command: str) -> Path:
    """Return a command's path. Raises InfraError that names the package to install."""
    found = which(command)
    if found is None:
        package = package_of(command)
        raise InfraError(
            f"the command {command} is not installed",
            hint=f"install it: apt-get install {package} (or run: make setup)",
        )
    return found


def tied(program: Path, *words: str | Path) -> list[str]:
    """Return a command line under setpriv: the kernel kills the process when its parent dies.

    A parent thread that died before setpriv had asked for that signal would leave the process
    alive. So setpriv finds the program by a path below /proc/PID/root (proc(5)), which is there
    only while the lab lives, and ends with an error if it is gone.
    """
    path = f"/proc/{os.getpid()}/root{program}"
    return [str(require("setpriv")), "--pdeathsig", "KILL", "--", path, *map(str, words)]


def _tied_by_name(command: str | Path, *words: str | Path) -> list[str]:
    """Return a command line as ``tied`` does, for a program that looks at its own argv[0]."""
    return tied(require("env"), "--", require(str(command)), *words)


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    output: IO[bytes] | None = None,
    timeout_s: float | None = None,
    check: bool = True,
) -> Finished:
    """Run a command to its end and return what it said.

    With ``output``, standard output and error both go to that file and the result's are empty.
    ``env`` replaces the environment. Raises CommandFailed on a status other than 0 if ``check``,
    and InfraError if the command is missing or runs longer than ``timeout_s`` seconds.
    """
    words = tuple(map(str, argv))
    began = time.monotonic()
    with subprocess.Popen(
        _tied_by_name(*words),
        cwd=cwd,
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=output if output is not None else subprocess.PIPE,
        stderr=subprocess.STDOUT if output is not None else subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            stdout, stderr = process.communicate(stdin, timeout_s)
        except subprocess.TimeoutExpired as expired:
            raise InfraError(
                f"{words[0]} took longer than {timeout_s:g} s: {shlex.join(words)}"
            ) from expired
        finally:
            _end_group(process)
    finished = Finished(
        words, process.returncode, stdout or b"", stderr or b"", time.monotonic() - began
    )
    if check and not finished.ok:
        raise CommandFailed(finished)
    return finished


@dataclass(frozen=True, slots=True)
class Streamed:
    """A process that has ended, or was ended: ``stopped`` says why, empty if nobody ended it."""

    returncode: int
    stopped: str
    duration_s: float


def stream(
    argv: Sequence[str | Path],
    sink: Callable[[bytes], None],
    *,
    env: Mapping[str, str],
    pass_fds: Sequence[int] = (),
    owner: int | None = None,
    complaints: Callable[[bytes], None] | None = None,
    watch: Callable[[float], str],
) -> Streamed:
    """Run a command to its end and give all that the command prints to ``sink``, in pieces.

    ``complaints`` gets its standard error instead, if it is there. ``env`` is the whole
    environment. ``owner`` is the user who may open the command's output anew (/dev/stderr).
    ``watch`` is called about once in a second, with the seconds since the start, and
    ends the command and its group by returning why. Raises InfraError if the command is missing.
    """
    words = tuple(map(str, argv))
    began = time.monotonic()
    sinks = [sink] if complaints is None else [sink, complaints]
    with contextlib.ExitStack() as stack:
        pipes = [os.pipe() for _ in sinks]
        sources = [stack.enter_context(os.fdopen(out, "rb", buffering=0)) for out, _ in pipes]
        ends = [end for _, end in pipes]
        try:
            for end in ends:
                if owner is not None:
                    os.fchown(end, owner, owner)
            process = subprocess.Popen(
                _tied_by_name(*words),
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=ends[0],
                stderr=ends[-1],
                pass_fds=tuple(pass_fds),
                start_new_session=True,
            )
        finally:
            for end in ends:
                os.close(end)
        stack.enter_context(process)
        streams = list(zip(sources, sinks, strict=True))
        try:
            stopped = _pump(process, streams, lambda: watch(time.monotonic() - began))
        finally:
            _end_group(process)
        for source, into in streams:
            # The last output may be in the pipe still.
            os.set_blocking(source.fileno(), False)
            while chunk := source.read(_PIECE_BYTES):
                into(chunk)
    return Streamed(process.returncode, stopped, time.monotonic() - began)


_PIECE_BYTES = 1 << 16

_Stream = tuple[IO[bytes], Callable[[bytes], None]]


def _pump(
    process: subprocess.Popen[bytes], streams: Sequence[_Stream], watch: Callable[[], str]
) -> str:
    """Move what a process prints to sinks until the process ends or the watch says why not."""
    pidfd = os.pidfd_open(process.pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    by_number = {source.fileno(): (source, sink) for source, sink in streams}
    for number in by_number:
        poll.register(number, select.POLLIN)
    looked = time.monotonic()
    try:
        while True:
            ready = {number for number, _ in poll.poll(1000)}
            for number in ready & by_number.keys():
                source, sink = by_number[number]
                if chunk := source.read(_PIECE_BYTES):
                    sink(chunk)
                else:
                    poll.unregister(number)
            if ready == {pidfd}:
                return ""
            if time.monotonic() - looked >= 1 or not ready:
                looked = time.monotonic()
                if why := watch():
                    return why
    finally:
        os.close(pidfd)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that still runs and its group: SIGTERM first, SIGKILL for what is left."""
    if process.poll() is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(TERMINATE_GRACE_S)
    # Also when the leader is gone: a member of its group may have ignored SIGTERM.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def foreground(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> int:
    """Run a command that has this terminal, to its end; returns its status.

    ``env`` replaces the environment.

    It stays in the lab's session and process group, so that the terminal is its own; it is killed
    with the lab. The status is minus the signal that killed it, if one did. Raises InfraError if
    the command is missing.
    """
    words = _tied_by_name(*argv)
    environment = None if env is None else dict(env)
    with subprocess.Popen(words, env=environment, pass_fds=tuple(pass_fds)) as process:
        try:
            return process.wait()
        finally:
            if process.poll() is None:
                process.kill()


class Child:
    """A child process; a pidfd tells the event loop of its end (pidfd_open(2)).

    asyncio's own child watcher of Python 3.11 has a thread wait for each process.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self._process = process
        self._ended = asyncio.Event()
        self._pidfd = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self._process.wait()
        self._ended.set()

    async def wait(self) -> int:
        """Return the status of the ended process; minus the signal that killed it, if one did."""
        await self._ended.wait()
        return self._process.returncode

    def kill(self) -> None:
        """Kill the process if it still runs."""
        if not self._ended.is_set():
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def end(self) -> None:
        """Kill the process if it still runs, and wait until it is gone."""
        self.kill()
        try:
            await self._ended.wait()
        finally:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)


@contextlib.asynccontextmanager
async def started(
    argv: Sequence[str | Path],
    *,
    pass_fds: Sequence[int],
    stderr: IO[bytes],
    env: Mapping[str, str] | None = None,
) -> AsyncIterator[Child]:
    """Start a background process that lives as long as the ``async with`` block.

    ``env`` replaces the environment. Raises InfraError if the command is missing. The process is
    killed at the end of the block if it still runs, and always reaped.
    """
    child = Child(
        subprocess.Popen(
            tied(require(str(argv[0])), *argv[1:]),
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            pass_fds=tuple(pass_fds),
            env=None if env is None else dict(env),
            start_new_session=True,
        )
    )
    try:
        yield child
    finally:
        await child.end()
