# SPDX-License-Identifier: GPL-2.0
"""Labs to which something happens: at any operation on a file of theirs, reproducibly."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rmaplab import proc
from rmaplab.config.paths import project

from ..unit.repositories import write
from ..unit.test_cli import MAKEFILE
from .scripted_lab import LAB

RUN = ("run", "faults.yaml", "--accel", "tcg", "--jobs", "2")
_SAME = ("id", "outcome", "verdict", "reason", "as_expected", "splats")


def shim(folder: Path) -> Path:
    """Compile the library that counts and fails operations; it is preloaded into labs."""
    library = folder / "shim.so"
    source = Path(__file__).with_name("shim.c")
    flags = ("-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror")
    proc.run(["gcc", *flags, str(source), "-o", str(library), "-ldl"])
    return library


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, or minus the signal, and what it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Both of its outputs on one line."""
        return " ".join(f"{self.out} {self.err}".split())


@dataclass
class Labs:
    """A server of scripted labs, with the library preloaded."""

    server: subprocess.Popen[str]

    @classmethod
    @contextlib.contextmanager
    def served(cls, library: Path) -> Iterator[Labs]:
        """Start a server for the block."""
        env = {**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": str(project())}
        words = [sys.executable, "-m", "tests.hostile.scripted_lab"]
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        ) as server:
            yield cls(server)
            assert server.stdin is not None
            server.stdin.close()

    def begin(self, place: Path, words: tuple[str, ...], env: Mapping[str, str]) -> int:
        """Start a command in a folder; return its process."""
        assert self.server.stdin is not None
        asked = {"words": words, "folder": str(place), "env": dict(env)}
        self.server.stdin.write(json.dumps(asked) + "\n")
        self.server.stdin.flush()
        return self._number()

    def end(self, place: Path) -> Ended:
        """Wait for the command, and return how it ended."""
        code = os.waitstatus_to_exitcode(self._number())
        said = [(place / name).read_text("utf-8", "replace") for name in ("out", "err")]
        return Ended(code, *said)

    def _number(self) -> int:
        assert self.server.stdout is not None
        line = self.server.stdout.readline()
        assert line, "the server of labs has ended"
        return int(line)


@dataclass
class Site:
    """A folder in which labs run, with a kernel tree, a cache and reports of its own."""

    place: Path
    labs: Labs
    env: dict[str, str] = field(default_factory=dict)

    @classmethod
    def made(cls, place: Path, labs: Labs) -> Site:
        """Make the folder."""
        place.mkdir(exist_ok=True)
        write(place, {"linux/Makefile": MAKEFILE, "linux/mm/rmap.c": "old\n", "initramfs": "",
                      "faults.yaml": LAB})  # fmt: skip
        return cls(place, labs)

    def command(self, *words: str, **shim: str) -> Ended:
        """Run a command to its end; ``shim`` are the library's variables without their prefix."""
        self.begin(*words, **shim)
        return self.labs.end(self.place)

    def begin(self, *words: str, **shim: str) -> int:
        """Start a command; return its process."""
        env = {
            "RMAPLAB_CACHE": str(self.place / "cache"),
            "SHIM_ROOT": str(self.place / "reports"),
            **self.env,
            **{f"SHIM_{name.upper()}": text for name, text in shim.items()},
        }
        return self.labs.begin(self.place, words, env)

    @property
    def folder(self) -> Path | None:
        """The run's folder, if there is one that can be gone on with."""
        found = sorted((self.place / "reports").glob("*/run.json"))
        return found[-1].parent if found else None

    def events(self) -> list[dict[str, Any]]:
        """Return the journal's whole lines."""
        found = []
        if self.folder is not None and (self.folder / "events.jsonl").exists():
            for line in (self.folder / "events.jsonl").read_bytes().split(b"\n")[:-1]:
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return found

    def journalled(self) -> Counter[str]:
        """Count the journal's whole lines of each cell."""
        return Counter(event["cell"] for event in self.events() if event["event"] == "cell")

    def results(self) -> list[dict[str, Any]]:
        """Return the results of the run's cells without times; none without results."""
        if self.folder is None or not (self.folder / "results.json").exists():
            return []
        cells = json.loads((self.folder / "results.json").read_bytes())["cells"]
        return sorted(({k: c[k] for k in _SAME} for c in cells), key=lambda c: str(c["id"]))

    def again(self, **shim: str) -> Ended:
        """Go on with the run, or run anew if it never began."""
        if self.folder is None:
            return self.command(*RUN, **shim)
        return self.command("resume", str(self.folder.relative_to(self.place)), **shim)


@dataclass
class Toll:
    """Count what faults cost: lost results, repeated work, failures that are none."""

    tried: int = 0
    lost: int = 0
    repeated: int = 0
    false_failures: int = 0
    notes: list[str] = field(default_factory=list)

    def held_against(self, site: Site, before: Counter[str], true: list[dict[str, Any]]) -> None:
        """Hold a run that has come to its end against ``true``, and what it had ``before``."""
        now, found = site.journalled(), site.results()
        lost = [cell for cell in before if not now[cell]]
        repeated = [cell for cell in before if now[cell] > 1]
        ids = [cell["id"] for cell in found]
        lost += [cell["id"] for cell in true if cell["id"] not in ids]
        wrong = [cell for cell in found if cell not in true]
        self.lost += len(lost)
        self.repeated += len(repeated)
        self.false_failures += len(wrong)
        self.notes += [f"{site.place.name}: lost {lost}"] if lost else []
        self.notes += [f"{site.place.name}: repeated {repeated}"] if repeated else []
        self.notes += [f"{site.place.name}: wrong {wrong}"] if wrong else []

    def note(self, record: Any) -> None:
        """Record the figures of the test, and fail it if there are any."""
        for name in ("tried", "lost", "repeated", "false_failures"):
            record(name, getattr(self, name))
        assert not self.notes, "\n\n".join(self.notes)
        assert (self.lost, self.repeated, self.false_failures) == (0, 0, 0)


def operations(log: Path) -> list[str]:
    """Return the operations of a record, in order."""
    content, at, found = log.read_bytes(), 0, []
    while at < len(content):
        end = content.index(b"\n", at)
        op, _, _, length, _ = content[at:end].split(b" ", 4)
        found.append(op.decode())
        at = end + 1 + int(length)
    return found


KILL = int(signal.SIGKILL)
