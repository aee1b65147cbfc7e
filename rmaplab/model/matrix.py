# SPDX-License-Identifier: GPL-2.0
"""Testcases, labs, and the cells that a lab is made of."""

from __future__ import annotations

import enum
import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rmaplab.model.guests import Guest, HugepageSettings, Isolation, Userspace, Write
from rmaplab.model.kernels import Kernel
from rmaplab.model.verdicts import Outcome, Verdict
from rmaplab.model.version import version_range


class TestcaseKind(enum.StrEnum):
    """A control is expected to pass on every kernel: its failure points at the lab.

    A selftest misbehaves on purpose, to test the lab; only its full name selects it.
    """

    TEST = "test"
    CONTROL = "control"
    SELFTEST = "selftest"


@dataclass(frozen=True, slots=True)
class Requirements:
    """The requirements of a testcase; a guest or kernel that lacks one makes it a skip.

    ``tree`` is a range of kernel versions.
    """

    devices: tuple[str, ...] = ()
    nodes: int = 1
    cpus: int = 1
    memory_mb: int = 0
    swap: bool = False
    movable_mb: int = 0
    slow_nodes: int = 0
    config: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    userspace: Userspace | None = None
    tree: str = ""


@dataclass(frozen=True, slots=True)
class Upstream:
    """The program of the tree's own mm selftests that a testcase runs.

    ``program`` is its name there, ``uid`` whom it runs as, ``prepare`` the files that are written
    before it starts, as run_vmtests.sh does.
    """

    program: str
    uid: int = 0
    prepare: tuple[Write, ...] = ()


@dataclass(frozen=True, slots=True)
class HostTest:
    """A program of ``tools/testing/SUITE`` of the kernel tree, which runs on the host.

    ``make`` are the words that its Makefile gets; ``says`` is how lines begin that a whole run
    of the program prints, in that order.
    """

    suite: str
    program: str
    make: tuple[str, ...] = ()
    says: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Testcase:
    """An in-guest workload: ``walkers`` are the rmap walkers it drives.

    ``source`` is its C file, a script that a program of the host's userspace runs, or its YAML
    file if the program is the kernel tree's own (``upstream``, or ``host`` for one of no guest).
    ``leaves`` are the ledger's accounts (or patterns of some) that it does not give back: by how
    much exactly, or None for any amount.
    ``notices`` are kinds of splats of severity notice that it brings about on purpose.
    """

    name: str
    id: str
    summary: str
    kind: TestcaseKind
    walkers: tuple[str, ...]
    requires: Requirements
    settings: tuple[str, ...]
    limit_s: float
    args: tuple[str, ...]
    source: Path
    leaves: Mapping[str, int | None] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    upstream: Upstream | None = None
    host: HostTest | None = None

    @property
    def is_own(self) -> bool:
        """True if the program is the lab's own, and not the kernel tree's."""
        return self.upstream is None and self.host is None

    @property
    def is_script(self) -> bool:
        """True if the testcase is no C program, and so not for a guest with an initramfs."""
        return self.is_own and self.source.suffix != ".c"


@dataclass(frozen=True, slots=True)
class Vmtest:
    """A command of the kernel tree's run_vmtests.sh, as it stands there without ``./``.

    ``testcase`` runs it, empty for none; ``reason`` says why there is none, or what differs.
    ``tree`` is the range of kernels whose script has it.
    """

    command: str
    testcase: str
    reason: str = ""
    tree: str = ""

    def is_in(self, version: str) -> bool:
        """Return whether the script of a version has it."""
        return version in version_range(self.tree)


@dataclass(frozen=True, slots=True)
class Walker:
    """A kernel function that walks a folio's mappings, or takes part in that.

    ``file`` is its place in the trees of the range ``tree``; ``part`` the part of
    ``testcases/walkers.yaml`` it is in; ``through`` the rmap_walk() callers that hand it to the
    walk. ``unreachable`` is the reason why no testcase can drive it, or empty. A function that
    moved is there once for each range.
    """

    name: str
    file: str
    part: str
    through: tuple[str, ...] = ()
    unreachable: str = ""
    tree: str = ""

    def is_in(self, version: str) -> bool:
        """Return whether trees of a version have it there."""
        return version in version_range(self.tree)


@dataclass(frozen=True, slots=True)
class Expectation:
    """A known failure: cells that match are expected to end like this.

    The name fields are shell patterns. ``outcome``, ``splat`` (a regular expression over splat
    titles) and ``subtests`` (patterns; empty means any of the workload's own) pin *how* the cell
    fails: a panic does not hide behind a known wrong mapcount.

    ``heirs`` are the kernels that are built on one that ``kernel`` matches: they may fail as well,
    and need not. There are none if the entry is not ``inherited``.

    ``tree`` is the range of kernel versions that the entry is for; ``outside`` are the kernels of a
    run that are not in it, of which the entry says nothing.
    """

    kernel: str
    testcase: str
    guest: str
    settings: str
    verdict: Verdict
    outcome: Outcome
    splat: str
    subtests: tuple[str, ...]
    reason: str
    line: int
    device: str = "*"
    inherited: bool = True
    heirs: tuple[str, ...] = ()
    tree: str = ""
    outside: tuple[str, ...] = ()

    @property
    def patterns(self) -> dict[str, tuple[str, ...]]:
        """The shell patterns by field, for ``selects``."""
        return {
            "kernel": (self.kernel, *self.heirs),
            "guest": (self.guest,),
            "settings": (self.settings,),
            "device": (self.device,),
            "testcase": (self.testcase,),
        }

    def demands(self, kernel: str) -> bool:
        """Return whether a kernel has to fail like that: not one that is built on another."""
        if kernel in self.heirs or kernel in self.outside:
            return False
        return fnmatch.fnmatchcase(kernel, self.kernel)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Combinations that are no cells: those whose every name matches one of its shell patterns."""

    kernel: tuple[str, ...]
    guest: tuple[str, ...]
    settings: tuple[str, ...]
    device: tuple[str, ...]
    testcase: tuple[str, ...]
    reason: str
    line: int

    @property
    def patterns(self) -> dict[str, tuple[str, ...]]:
        """The shell patterns by field, for ``selects``."""
        return {
            "kernel": self.kernel,
            "guest": self.guest,
            "settings": self.settings,
            "device": self.device,
            "testcase": self.testcase,
        }


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A small matrix besides the lab's own; ``kernel`` are patterns for the lab's kernels.

    ``devices`` are device sets, or one empty name for what the guests have.
    """

    kernel: tuple[str, ...]
    guests: tuple[Guest, ...]
    settings: tuple[HugepageSettings, ...]
    devices: tuple[str, ...]
    testcases: tuple[Testcase, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """A known complaint that fails no cell: an ``allow`` entry of a lab file.

    ``pattern`` is a regular expression over splat titles, ``kind`` a splat's kind or empty for
    any, ``until`` the last day (ISO 8601, UTC) on which it holds, or empty.
    """

    pattern: str
    kind: str
    reason: str
    until: str
    line: int


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """A place of the matrix whose failures fail no run for a while: a ``quarantine`` entry.

    The name fields are shell patterns. ``outcomes`` are the ends that it is about: a cell that ends
    otherwise fails the run. ``until`` is the last day (ISO 8601, UTC) on which it holds, ``owner``
    who looks after it.
    """

    testcase: tuple[str, ...]
    guest: tuple[str, ...]
    settings: tuple[str, ...]
    device: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    reason: str
    owner: str
    until: str
    line: int

    @property
    def patterns(self) -> dict[str, tuple[str, ...]]:
        """The shell patterns by field, for ``selects``."""
        return {
            "guest": self.guest,
            "settings": self.settings,
            "device": self.device,
            "testcase": self.testcase,
        }

    def holds(self, day: str) -> bool:
        """Return whether the entry holds on a day; ISO 8601 sorts by time."""
        return bool(day) and day <= self.until


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A lab's quarantine on the day on which a run began: judging it later changes nothing."""

    entries: tuple[QuarantineEntry, ...] = ()
    day: str = ""


@dataclass(frozen=True, slots=True)
class MemoryDumpPolicy:
    """How many memories of guests that complained, hung or died a run keeps (docs/postmortem.md).

    ``run`` in all, ``testcase`` of one testcase on one kernel, none larger than ``max_mb`` when it
    is compressed. Unless it is ``asked`` for, only those of kernels with debug info are kept: no
    tool reads the others.
    """

    run: int = 4
    testcase: int = 1
    max_mb: int = 256
    asked: bool = False


class CoverageScope(enum.StrEnum):
    """Say of which cells it is recorded what they run of the kernel."""

    NONE = "none"
    FIRST = "first"
    """The first repeat of each row."""
    ALL = "all"


@dataclass(frozen=True, slots=True)
class CoveragePolicy:
    """Say of which cells it is recorded what they run, and whether that was ``asked`` for.

    What was asked for and cannot be is an error; else the run goes on without it, and says so.
    """

    scope: CoverageScope = CoverageScope.NONE
    asked: bool = False

    def covers(self, cell: Cell) -> bool:
        """Return whether it is recorded what a cell runs: only a clone starts without a past."""
        if cell.guest.isolation is not Isolation.CLONE:
            return False
        first = self.scope is CoverageScope.FIRST and cell.repeat == 1
        return first or self.scope is CoverageScope.ALL


INSTRUCTIONS = "instructions"
"""Name of the limit on every operation that a workload measures in exact mode."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How much more of something B may show in a row than A.

    ``name`` is INSTRUCTIONS, or a counter's name or pattern, with or without its file
    (``thp_split_page``, ``mthp.*.split``). ``more`` is in the counter's unit, or in percent of A's
    if ``is_percent``; below 0, B has to show less. ``line`` is the lab file's.
    """

    name: str
    more: float
    is_percent: bool
    line: int

    def covers(self, counter: str) -> bool:
        """Say whether the limit is about a counter."""
        return any(
            fnmatch.fnmatchcase(name, self.name) for name in (counter, counter.partition(".")[2])
        )

    def allows(self, base: int, patched: int) -> bool:
        """Say whether B's number is within the limit, given A's."""
        more = abs(base) * self.more / 100 if self.is_percent else self.more
        return patched <= base + more

    @property
    def phrase(self) -> str:
        """Give the limit as a lab file does: ``+2 %``, ``+0``."""
        return f"{self.more:+g} %" if self.is_percent else f"{self.more:+g}"


@dataclass(frozen=True, slots=True)
class Lab:
    """A resolved lab file: every name in it is known to exist.

    ``devices`` are the device sets to vary, as Cell.devices spells them; none if the guests keep
    what their profiles say. ``repeats`` are those of single testcases, by name, ``repeat`` those
    of the others. ``cap`` is how many cells a run may have, 0 for any number.
    ``audit`` and ``ledger`` say whether the reverse map is recounted in every cell, and whether
    what a workload took has to be given back (docs/audit.md). ``coverage`` says of which cells it
    is recorded what they run of the kernel (docs/coverage.md).
    """

    name: str
    path: Path
    kernels: tuple[Kernel, ...]
    guests: tuple[Guest, ...]
    settings: tuple[HugepageSettings, ...]
    testcases: tuple[Testcase, ...]
    repeat: int
    expectations: tuple[Expectation, ...]
    devices: tuple[str, ...] = ()
    repeats: Mapping[str, int] = field(default_factory=dict)
    exclusions: tuple[Exclusion, ...] = ()
    inclusions: tuple[Inclusion, ...] = ()
    cap: int = 0
    audit: bool = True
    ledger: bool = True
    allowances: tuple[Allowance, ...] = ()
    quarantine: tuple[QuarantineEntry, ...] = ()
    postmortem: MemoryDumpPolicy = MemoryDumpPolicy()
    limits: tuple[Limit, ...] = ()
    coverage: CoveragePolicy = CoveragePolicy()

    @property
    def every_testcase(self) -> tuple[Testcase, ...]:
        """The lab's testcases, and those of its inclusions, each once."""
        more = (testcase for one in self.inclusions for testcase in one.testcases)
        return tuple({one.name: one for one in (*self.testcases, *more)}.values())

    def repeats_of(self, testcase: Testcase) -> int:
        """Return the number of repeats of each cell of a testcase."""
        return self.repeats.get(testcase.name, self.repeat)


NO_DEVICE = "none"
"""The device set of a guest without devices."""


def place(guest: str, device: str) -> str:
    """Return a guest's name in ids: ``q35``, or ``q35.none`` where a lab varies the devices."""
    return f"{guest}.{device}" if device else guest


@dataclass(frozen=True, slots=True)
class Allowlist:
    """A lab's allowances on the day on which a run began: judging it later changes nothing."""

    entries: tuple[Allowance, ...] = ()
    day: str = ""


RowKey = tuple[str, str, str, str]
"""A row of a comparison: testcase, settings, guest, device."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One kernel x guest x settings x device x testcase x repeat.

    ``skip`` is why it cannot run, if so. ``device`` is one of the lab's device sets, which
    ``guest`` has already; empty if the lab does not vary the devices.
    """

    id: str
    kernel: str
    guest: Guest
    settings: HugepageSettings
    testcase: Testcase
    repeat: int
    skip: str = ""
    device: str = ""

    @property
    def devices(self) -> str:
        """The devices that the cell's guest has: ``dmirror``, ``a+b``, ``none``."""
        return "+".join(device.name for device in self.guest.devices) or NO_DEVICE

    @property
    def row(self) -> RowKey:
        """Give the row of the cell: its coordinates without kernel and repeat."""
        return self.testcase.name, self.settings.name, self.guest.name, self.device

    @property
    def place(self) -> str:
        """The guest as the names of cells and suites have it."""
        return place(self.guest.name, self.device)
