# SPDX-License-Identifier: GPL-2.0
"""Surround an attempt with secrets, services and files, and say which of them it reached.

All of it is of the test's own: a made-up home folder, loopback ports, a process that sleeps. The
folder is open to every user of this host, so that no permission bit does the sandbox's work.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rmaplab.store.cache import Cache, file_sha256

TOKEN = "RMAPLAB_TEST_TOKEN"
_PLACES = ("/", "/etc", "/tmp", "/var/tmp", "/dev/shm", "/run", "/usr", "/root")
_DESCRIPTOR = 97


@dataclass
class World:
    """The world of one attempt; ``word`` is in no other one, nor elsewhere on this host."""

    root: Path
    word: str
    tcp: socket.socket
    udp: socket.socket
    unix: socket.socket
    abstract: socket.socket
    victim: subprocess.Popen[bytes]
    before: dict[str, str] = field(default_factory=dict)

    @classmethod
    @contextlib.contextmanager
    def made(cls, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
        """Make a world; the lab of this test has its home and its token."""
        root = Path(tempfile.mkdtemp(prefix="rmaplab-hostile-", dir="/tmp"))
        word = secrets.token_hex(6)
        try:
            with contextlib.ExitStack() as stack:
                found = cls(
                    root, word,
                    stack.enter_context(socket.create_server(("127.0.0.1", 0))),
                    stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
                    stack.enter_context(socket.socket(socket.AF_UNIX)),
                    stack.enter_context(socket.socket(socket.AF_UNIX)),
                    subprocess.Popen(["sleep", "300"]),
                )  # fmt: skip
                stack.callback(found._end_victim)
                found._fill(stack)
                monkeypatch.setenv("HOME", str(found.home))
                monkeypatch.setenv(TOKEN, found.token)
                monkeypatch.setenv("RMAPLAB_CACHE", str(found.root / "cache"))
                monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
                yield found
        finally:
            subprocess.run(["rm", "-rf", "--", root], check=True)

    # -- what is there -----------------------------------------------------------------------------

    @property
    def home(self) -> Path:
        """The user's home."""
        return self.root / "home"

    @property
    def tree(self) -> Path:
        """The user's kernel tree."""
        return self.root / "linux"

    @property
    def cache(self) -> Cache:
        """The lab's cache."""
        return Cache(self.root / "cache")

    @property
    def secret(self) -> str:
        """The text in the files of the home."""
        return f"hunter2-{self.word}"

    @property
    def token(self) -> str:
        """The value of a variable of the lab's environment."""
        return f"token-{self.word}"

    def filled(self, text: str) -> str:
        """Fill in the names that an attempt has for this world: ``@home@``, ``@port@``, ..."""
        names: Mapping[str, object] = {
            "home": self.home, "tree": self.tree, "root": self.root, "word": self.word,
            "cache": self.cache.root, "port": self.tcp.getsockname()[1],
            "udp": self.udp.getsockname()[1], "socket": self.root / "agent.sock",
            "lab": os.getpid(), "victim": self.victim.pid, "fd": _DESCRIPTOR,
        }  # fmt: skip
        for name, value in names.items():
            text = text.replace(f"@{name}@", str(value))
        return text

    def _fill(self, stack: contextlib.ExitStack) -> None:
        for name in (".netrc", ".ssh/id_rsa", ".bashrc", ".git-credentials", "mm/rmap.o"):
            path = self.home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"password {self.secret}\n", encoding="utf-8")
        for path in (self.root, self.home, *self.home.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        self.udp.bind(("127.0.0.1", 0))
        self.unix.bind(str(self.root / "agent.sock"))
        (self.root / "agent.sock").chmod(0o777)
        self.abstract.bind(f"\0{self.word}")
        for server in (self.unix, self.abstract):
            server.listen()
        for one in (self.tcp, self.udp, self.unix, self.abstract):
            one.setblocking(False)
        # A descriptor that the lab would hand down if it handed down what it has.
        at = os.open(self.home / ".netrc", os.O_RDONLY)
        os.dup2(at, _DESCRIPTOR, inheritable=True)
        os.close(at)
        stack.callback(os.close, _DESCRIPTOR)

    def _end_victim(self) -> None:
        self.victim.kill()
        self.victim.wait()
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for path in self._strays():
            if self.root not in path.parents:
                path.unlink()

    # -- what must not happen ----------------------------------------------------------------------

    def note(self, *more: Path) -> None:
        """Note what home, tree and ``more`` folders are now, for ``harms``."""
        self.before = self._state(more)
        self._more = more

    _more: tuple[Path, ...] = ()

    def _state(self, more: tuple[Path, ...]) -> dict[str, str]:
        return {
            str(path): _facts(path)
            for folder in (self.home, self.tree, *more)
            for path in (folder, *sorted(folder.rglob("*")))
        }

    def harms(self, *said: str, wait_s: float = 0.0) -> list[str]:
        """Return what an attempt did that it must not, in words; ``said`` is what the lab printed.

        ``wait_s`` is how long processes may take to end.
        """
        now = self._state(self._more)
        found = [
            f"{name} was {'changed' if name in now and name in self.before else 'made or removed'}"
            for name in sorted(now.keys() | self.before.keys())
            if now.get(name) != self.before.get(name)
        ]
        found += [f"{path} was left" for path in self._strays()]
        found += [f"{path} tells a secret" for path in self._tellers()]
        found += ["the output tells a secret" for one in said if self._tells(one.encode())]
        found += [f"the {name} port was spoken to" for name in self._spoken_to()]
        if self.victim.poll() is not None:
            found.append("another process was killed")
        ends = time.monotonic() + wait_s
        while (left := list(self.left())) and time.monotonic() < ends:
            time.sleep(0.02)
        found += [f"process {pid} was left" for pid in left]
        return found

    def _strays(self) -> Iterator[Path]:
        """Yield files with this world's word, and set-user-id programs, where none belong."""
        for place in map(Path, _PLACES):
            with contextlib.suppress(OSError):
                yield from (path for path in place.iterdir() if self.word in path.name)
        devices = ["-type", "b", "-o", "-type", "c"]
        powerful = ["-type", "f", "-uid", str(os.geteuid()), "-perm", "/6000"]
        yield from self._found("find", self.root, *devices, "-o", *powerful)

    def _found(self, *words: str | Path) -> list[Path]:
        """Return the paths that find or grep prints: they go as deep as a build can."""
        done = subprocess.run(words, capture_output=True, check=False)
        return [Path(os.fsdecode(line)) for line in done.stdout.splitlines()]

    def _tells(self, text: bytes) -> bool:
        return self.secret.encode() in text or self.token.encode() in text

    def _tellers(self) -> Iterator[Path]:
        small = ["-path", str(self.home), "-prune", "-o", "-type", "f", "-size", "-64M"]
        words = ["grep", "-laF", "-e", self.secret, "-e", self.token]
        yield from self._found("find", self.root, *small, "-exec", *words, "{}", "+")

    def _spoken_to(self) -> Iterator[str]:
        for name, server in (("TCP", self.tcp), ("unix", self.unix), ("abstract", self.abstract)):
            with contextlib.suppress(BlockingIOError):
                server.accept()[0].close()
                yield name
        with contextlib.suppress(BlockingIOError):
            self.udp.recv(100)
            yield "UDP"

    def left(self) -> Iterator[int]:
        """Yield the processes that have this world mounted, or in their environment or words.

        Those that the lab itself started for it end before it goes on.
        """
        own = {os.getpid(), self.victim.pid}
        for folder in Path("/proc").glob("[0-9]*"):
            if int(folder.name) in own:
                continue
            for name in ("mountinfo", "environ", "cmdline"):
                try:
                    text = (folder / name).read_bytes()
                except OSError:
                    continue
                if self.root.name.encode() in text or self.word.encode() in text:
                    yield int(folder.name)
                    break


def _facts(path: Path) -> str:
    """Return all that a change of a file would change; nothing of one that is not there."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return ""
    facts = f"{status.st_mode:o} {status.st_uid} {status.st_mtime_ns}"
    if stat.S_ISLNK(status.st_mode):
        return f"{facts} {path.readlink()}"
    return f"{facts} {file_sha256(path)}" if stat.S_ISREG(status.st_mode) else facts
