# SPDX-License-Identifier: GPL-2.0
"""Build a hostile kernel as the lab does, and once without the sandbox as a control."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rmaplab.build import kernel as build_kernel
from rmaplab.errors import RmaplabError
from rmaplab.model import Build, Kernel, ResolvedKernel
from rmaplab.source import series as series_source
from rmaplab.source import tree as tree_source
from tests.integration import fake_tree

from .builds import End, HostileBuild
from .world import TOKEN, World

RAN = "it-ran"
SCRIPT = "hostile.sh"


def makefile(world: World, one: HostileBuild) -> str:
    """Return the fake tree's Makefile with the attempt in it."""
    rules = fake_tree.MAKEFILE.split("\n\n")
    number = next(n for n, rule in enumerate(rules) if f"{one.at}:" in rule)
    run = f"echo {RAN}-{world.word}; O=$(O) MAKE=$(MAKE) sh {SCRIPT}"
    if one.end is End.BUILT:
        run += " || true"
    rules[number] = rules[number].rstrip("\n") + f"\n\t@{run}"
    text = "\n\n".join(rules) + "\n"
    if one.makefile:
        text += world.filled(f"$(info {RAN}-@word@)\n{one.makefile}")
    return text


def tree(world: World, one: HostileBuild) -> Path:
    """Make the user's tree with the attempt in it."""
    script = world.filled(one.script)
    files = {name: world.filled(text) for name, text in one.files.items()}
    own = {"Makefile": makefile(world, one), SCRIPT: script + "\n"}
    return fake_tree.make(world.tree, {**own, **files})


def request(world: World, series: str = "") -> ResolvedKernel:
    """Resolve the kernel of the user's tree, or of it and a series."""
    fragment = world.root / "fake.config"
    fragment.write_text("CONFIG_FAKE=y\n# CONFIG_MODULES is not set\n", encoding="utf-8")
    spec = f"dir:{world.tree}"
    return build_kernel.resolve(
        Kernel("patched" if series else "base", spec, series, ("fake",)),
        tree_source.fetch(spec, world.cache),
        series_source.load(series, world.tree),
        [fragment],
    )


@dataclass(frozen=True)
class Tried:
    """A build that was tried: what came of it, and its log."""

    built: Build | None
    error: RmaplabError | None
    log: str

    @property
    def message(self) -> str:
        """The words for the user, empty if the kernel was built."""
        return "" if self.error is None else f"{self.error.message}\n{self.error.hint}"


def tried(world: World, *, series: str = "", limit_s: float = 60.0) -> Tried:
    """Build a kernel; what is no error of the lab's three kinds is raised."""
    built, error = None, None
    try:
        built = build_kernel.build(request(world, series), world.cache, jobs=1, limit_s=limit_s)
        log = built.log
    except RmaplabError as caught:
        error = caught
        log = caught.evidence or Path("/nonexistent")
    text = log.read_bytes().decode("utf-8", "replace") if log.exists() else ""
    return Tried(built, error, text)


def without_sandbox(world: World, one: HostileBuild) -> str:
    """Run the attempt's target on this host, in the test's own folders, and return what it said.

    Of the lab's protections none is left. The process is in a session of its own.
    """
    source, build = tree(world, one), world.root / "control"
    world.note()
    build.mkdir()
    return on_this_host(world, ["make", "-C", source, f"O={build}", one.at], build)


def on_this_host(world: World, words: Sequence[str | Path], cwd: Path) -> str:
    """Run a command of an attempt without any protection, and return what it said."""
    done = subprocess.run(
        words, cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(world.home), TOKEN: world.token},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        pass_fds=(97,), start_new_session=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stdout.decode("utf-8", "replace")
