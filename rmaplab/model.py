# SPDX-License-Identifier: GPL-2.0
"""The nouns of the lab, one frozen dataclass each.

Nothing here does input or output. Paths are absolute unless a docstring says otherwise, times are
seconds, sizes carry their unit in the name.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


class Outcome(enum.StrEnum):
    """What happened to a cell. A cell starts out as LOST: silence is never a pass."""

    COMPLETED = "completed"
    SPLAT = "splat"
    PANIC = "panic"
    HANG = "hang"
    TIMEOUT = "timeout"
    BOOT_FAILED = "boot-failed"
    LOST = "lost"
    INFRA = "infra"

    @property
    def died(self) -> bool:
        """Whether the guest did not live to the end of the cell."""
        return self in {Outcome.PANIC, Outcome.HANG, Outcome.BOOT_FAILED, Outcome.LOST}


class Verdict(enum.StrEnum):
    """What we think of what happened."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"
    ERROR = "error"


class Change(enum.StrEnum):
    """How a row of an A/B comparison moved from A (base) to B (patched)."""

    FIXED = "fixed"
    REGRESSED = "regressed"
    SAME_PASS = "same-pass"
    SAME_FAIL = "same-fail"
    NEW_SPLAT = "new-splat"
    GONE_SPLAT = "gone-splat"
    UNSTABLE = "unstable"
    MISSING = "missing"

    @property
    def is_bad(self) -> bool:
        """Whether an A/B with such a row must not exit as good news."""
        return self in {Change.REGRESSED, Change.NEW_SPLAT, Change.UNSTABLE, Change.MISSING}


# -- kernels -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tree:
    """A kernel source, unpacked and read-only from here on.

    ``spec`` is how the user named it, ``version`` what its Makefile says (``6.12.117``),
    ``origin`` the package version, commit or archive digest, ``digest`` the hash of its content.
    """

    spec: str
    path: Path
    version: str
    origin: str
    digest: str


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch of a series: ``files`` are the paths it touches, relative to the tree."""

    name: str
    subject: str
    author: str
    diff: bytes
    digest: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """An ordered patch series. The empty series stands for the unpatched tree."""

    name: str
    origin: str
    patches: tuple[Patch, ...]
    cover: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """Every path that the series touches, once, sorted."""
        return tuple(sorted({name for patch in self.patches for name in patch.files}))


@dataclass(frozen=True, slots=True)
class ConfigSymbol:
    """One requested Kconfig symbol, ``value`` as .config spells it (``y``, ``n``, ``"text"``).

    ``since`` is the first kernel version that has the symbol, or empty: older trees do without.
    """

    name: str
    value: str
    fragment: str
    line: int
    since: str = ""


@dataclass(frozen=True, slots=True)
class LeftOutSymbol:
    """A symbol that a tool asked for and the lab did not request, with the reason."""

    name: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Kconfig:
    """The requested configuration: fragments over tinyconfig, later ones winning."""

    fragments: tuple[str, ...]
    symbols: tuple[ConfigSymbol, ...]
    digest: str
    left_out: tuple[LeftOutSymbol, ...] = ()


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that a lab asks for: a tree, a series on top of it, a configuration.

    ``onto`` is a series between the two, whose build the kernel's own starts from.
    """

    name: str
    tree: str
    series: str
    fragments: tuple[str, ...]
    onto: str = ""


@dataclass(frozen=True, slots=True)
class Build:
    """A built kernel. ``key`` is the content address of everything that went into it.

    ``duration_s`` is what it took now, ``made_s`` what it took to make it, maybe long ago; 0 if
    that is not known.
    """

    key: str
    kernel: str
    folder: Path
    image: Path
    config: Path
    log: Path
    release: str
    duration_s: float
    reused: bool
    made_s: float = 0.0


# -- guests ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NumaNode:
    """A NUMA node of a guest; ``cpus`` are vCPU numbers, maybe none.

    ``latency_ns`` and ``bandwidth_mb_s`` are what the firmware's HMAT says of its memory, seen from
    any CPU; 0 for nothing. Nodes that differ in them end up in different memory tiers.
    """

    memory_mb: int
    cpus: tuple[int, ...]
    latency_ns: int = 0
    bandwidth_mb_s: int = 0


@dataclass(frozen=True, slots=True)
class Dimm:
    """A module of hot-pluggable memory, there from boot, which the kernel onlines as movable."""

    memory_mb: int
    node: int


@dataclass(frozen=True, slots=True)
class Device:
    """An emulated device and the device nodes that prove that it is there."""

    name: str
    summary: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long each phase may last, in seconds on a host with KVM; TCG gets a multiple.

    ``boot_s`` until the kernel starts the agent, ``ready_s`` until the agent has answered and the
    settings are applied, ``silence_s`` without a heartbeat before a guest counts as hung.
    """

    boot_s: float
    ready_s: float
    silence_s: float


class Isolation(enum.StrEnum):
    """What a cell's guest shares with the others: the moment after boot, nothing, or all."""

    CLONE = "clone"
    BOOT = "boot"
    SHARED = "shared"


class Userspace(enum.StrEnum):
    """What a guest runs on: the lab's initramfs with the agent alone, or the host's userspace."""

    INITRAMFS = "initramfs"
    HOST = "host"

    @property
    def phrase(self) -> str:
        """How a sentence names it."""
        return "an initramfs" if self is Userspace.INITRAMFS else "the host's userspace"


@dataclass(frozen=True, slots=True)
class Guest:
    """The shape of a virtual machine.

    With ``icount`` guest time is the count of its instructions (QEMU's -icount): exact mode.
    ``reserved_mb`` is the memory that kernel parameters keep from the page allocator.
    """

    name: str
    summary: str
    machine: str
    cpu: str
    cpus: int
    nodes: tuple[NumaNode, ...]
    devices: tuple[Device, ...]
    swap_mb: int
    cmdline: tuple[str, ...]
    isolation: Isolation
    limits: Limits
    icount: bool = False
    userspace: Userspace = Userspace.INITRAMFS
    dimms: tuple[Dimm, ...] = ()
    reserved_mb: int = 0

    @property
    def memory_mb(self) -> int:
        """The guest's memory over all nodes and DIMMs, without what the profile reserves."""
        nodes = sum(node.memory_mb for node in self.nodes)
        return nodes + self.movable_mb - self.reserved_mb

    @property
    def movable_mb(self) -> int:
        """The memory of the guest's DIMMs, which is all movable."""
        return sum(dimm.memory_mb for dimm in self.dimms)

    @property
    def slow_nodes(self) -> int:
        """How many nodes are slower than the fastest one."""
        best = min(node.latency_ns for node in self.nodes)
        return sum(node.latency_ns > best for node in self.nodes)


@dataclass(frozen=True, slots=True)
class Write:
    """One guest file to write; ``expect`` is what reading it back has to give.

    For a file that marks its choice with brackets (``always [madvise] never``) that is the
    bracketed word.
    """

    path: str
    value: str
    expect: str


@dataclass(frozen=True, slots=True)
class HugepageSettings:
    """Named hugepage settings: the files to write in the guest, in order."""

    name: str
    summary: str
    writes: tuple[Write, ...]


# -- testcases and the matrix ------------------------------------------------------------------


class TestcaseKind(enum.StrEnum):
    """A control is expected to pass on every kernel: its failure points at the lab.

    A selftest misbehaves on purpose, to test the lab; only its full name selects it.
    """

    TEST = "test"
    CONTROL = "control"
    SELFTEST = "selftest"


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a testcase needs; a guest or kernel that lacks one of them makes it a skip."""

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


@dataclass(frozen=True, slots=True)
class Upstream:
    """What makes a testcase of a program of the tree's own mm selftests.

    ``program`` is its name there, ``uid`` whom it runs as, ``prepare`` the files that are written
    before it starts, as run_vmtests.sh does.
    """

    program: str
    uid: int = 0
    prepare: tuple[Write, ...] = ()


@dataclass(frozen=True, slots=True)
class Testcase:
    """An in-guest workload: ``walkers`` are the rmap walkers it drives.

    ``source`` is its C file, a script that a program of the host's userspace runs, or its YAML
    file if the program is the kernel tree's own (``upstream``).
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

    @property
    def is_script(self) -> bool:
        """Whether it is no C program, and so not for a guest with an initramfs."""
        return self.upstream is None and self.source.suffix != ".c"


@dataclass(frozen=True, slots=True)
class Vmtest:
    """A command of the kernel tree's run_vmtests.sh, as it stands there without ``./``.

    ``testcase`` runs it, empty for none; ``reason`` says why there is none, or what differs.
    """

    command: str
    testcase: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Walker:
    """A kernel function that walks a folio's mappings, or takes part in that.

    ``file`` is its place in the tree; ``part`` the part of ``testcases/walkers.yaml`` it is in;
    ``through`` the rmap_walk() callers that hand it to the walk. ``unreachable`` is the reason why
    no testcase can drive it, or empty.
    """

    name: str
    file: str
    part: str
    through: tuple[str, ...] = ()
    unreachable: str = ""


@dataclass(frozen=True, slots=True)
class Expectation:
    """A known failure: cells that match are expected to end like this.

    The name fields are shell patterns. ``outcome``, ``splat`` (a regular expression over splat
    titles) and ``subtests`` (patterns; empty means any of the workload's own) pin *how* the cell
    fails: a panic does not hide behind a known wrong mapcount.
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
class KeepMemory:
    """How many memories of guests that complained, hung or died a run keeps (docs/postmortem.md).

    ``run`` in all, ``testcase`` of one testcase on one kernel, none larger than ``max_mb`` when it
    is compressed. Unless it is ``asked`` for, only those of kernels with debug info are kept: no
    tool reads the others.
    """

    run: int = 4
    testcase: int = 1
    max_mb: int = 256
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Lab:
    """A resolved lab file: every name in it is known to exist.

    ``devices`` are the device sets to vary, as Cell.devices spells them; none if the guests keep
    what their profiles say. ``repeats`` are those of single testcases, by name, ``repeat`` those
    of the others. ``cap`` is how many cells a run may have, 0 for any number.
    ``audit`` and ``ledger`` say whether the reverse map is recounted in every cell, and whether
    what a workload took has to be given back (docs/audit.md).
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
    postmortem: KeepMemory = KeepMemory()

    @property
    def every_testcase(self) -> tuple[Testcase, ...]:
        """The lab's testcases, and those of its inclusions, each once."""
        more = (testcase for one in self.inclusions for testcase in one.testcases)
        return tuple({one.name: one for one in (*self.testcases, *more)}.values())

    def repeats_of(self, testcase: Testcase) -> int:
        """How often each cell of a testcase is run."""
        return self.repeats.get(testcase.name, self.repeat)


NO_DEVICE = "none"
"""The device set of a guest without devices."""


def place(guest: str, device: str) -> str:
    """``q35``, or ``q35.none`` where a lab varies the devices."""
    return f"{guest}.{device}" if device else guest


@dataclass(frozen=True, slots=True)
class Allowlist:
    """A lab's allowances on the day on which a run began: judging it later changes nothing."""

    entries: tuple[Allowance, ...] = ()
    day: str = ""


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
    def place(self) -> str:
        """The guest as the names of cells and suites have it."""
        return place(self.guest.name, self.device)


# -- evidence ----------------------------------------------------------------------------------


class Severity(enum.StrEnum):
    """How grave a kind of complaint is. It excuses nothing: a cell with any of them fails.

    FATAL: what was running did not survive it. ERROR: memory, locks or time are in doubt, and
    the kernel went on. WARNING: a check failed. NOTICE: an event that is a bug only where nobody
    asked for it; a testcase may declare that it does.
    """

    FATAL = "fatal"
    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


OWNER_BOOT = "boot"
OWNER_GAP = "gap"
"""Owners of splats that are no test's: before the agent was up, and between two tests."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where in the tree a place of a splat is.

    ``at`` is the place as the console has it (``foo+0x1b/0x40``), ``lines`` are ``function at
    file:line``, the innermost inlined function first and the one that ``at`` names last.
    """

    at: str
    lines: tuple[str, ...]

    @property
    def summary(self) -> str:
        """``mm/rmap.c:2133``, and what is inlined there."""
        own = self.lines[-1].rpartition(" at ")[2]
        inlined = ", ".join(self.lines[:-1])
        return f"{own}; inlined: {inlined}" if inlined else own


@dataclass(frozen=True, slots=True)
class Splat:
    """A kernel complaint found on a console.

    ``kind`` is a rule's name (``kernel-bug``, ``warning``, ``kasan``), ``title`` the normalised
    one-line name without addresses, CPU numbers or offsets, ``function`` the one that the title
    names or None. ``frames`` is the clean call trace, innermost first, without ``?`` frames.
    ``fingerprint`` is stable over addresses and configurations. ``corrupted`` means interleaved
    or cut text, ``tainted`` that the kernel had already complained before, ``following`` that an
    earlier splat of the same console is the likely cause. ``line`` counts from 1; ``fatal`` says
    that the kernel cannot have gone on. ``owner`` is the test that ran (or test/subtest),
    ``boot`` or ``gap``; empty on a console without the agent's marks. ``sources`` are the source
    lines of its places, for a kernel with debug info; then they are in ``excerpt``, too.
    """

    kind: str
    title: str
    function: str | None
    corrupted: bool
    tainted: bool
    frames: tuple[str, ...]
    fingerprint: str
    line: int
    excerpt: str
    task: str = ""
    rip: str = ""
    following: bool = False
    fatal: bool = False
    severity: Severity = Severity.ERROR
    owner: str = ""
    sources: tuple[Source, ...] = ()

    @property
    def at_boot(self) -> bool:
        """Whether the kernel complained before it had run anything of the lab's."""
        return self.owner == OWNER_BOOT


LAB_SUBTEST = "lab: "
"""What the names of the results begin with that the lab adds to the workload's own."""


@dataclass(frozen=True, slots=True)
class ExpectedSubtests:
    """What a selftest of a kernel tree of ``version`` is to print, to be judged by.

    ``section`` names the list, empty if there is none; ``names`` are the subtests, None if the exit
    status is all there is.
    """

    version: str
    section: str
    names: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Subtest:
    """One KTAP result; ``name`` joins nested levels with a slash, ``detail`` is its diagnostics."""

    name: str
    verdict: Verdict
    detail: str = ""

    @property
    def is_labs(self) -> bool:
        """Whether the lab added it: how the workload exited, what it left behind."""
        return self.name.startswith(LAB_SUBTEST)


FREE = "agent:free"
"""The name, among a sample's files, of the free pages that the agent counted: nr_free_pages and
those on the CPUs' lists."""


@dataclass(frozen=True, slots=True)
class CounterSample:
    """All counters of one moment, by name (``vmstat.nr_anon_pages``)."""

    values: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CounterChange:
    """One counter before and after a cell; None where the kernel did not show it."""

    before: int | None
    after: int | None

    @property
    def delta(self) -> int | None:
        """After minus before, or None if either is missing."""
        if self.before is None or self.after is None:
            return None
        return self.after - self.before


NO_REPORT = "no report: "
"""What a report begins with that only says why there is none."""


@dataclass(frozen=True, slots=True)
class SavedMemory:
    """What became of a guest's memory that was to be saved (docs/postmortem.md).

    ``why`` is ``complaint``, ``time`` or how the guest died; ``file`` is its name in the cell's
    folder, empty if it was not saved, and then ``error`` says why. ``report`` is the text that drgn
    made of it, empty if none.
    """

    why: str
    file: str
    size_mb: int
    error: str
    report: str = ""

    @property
    def was_read(self) -> bool:
        """Whether the report is one, and not why there is none."""
        return bool(self.report) and not self.report.startswith(NO_REPORT)

    @property
    def phrase(self) -> str:
        """Why, and what became of it."""
        why = {"complaint": "when the kernel complained", "time": "before its time was up"}
        when = why.get(self.why, f"after its end: {self.why}")
        if self.error:
            return f"memory not kept, {when}: {self.error}"
        return f"memory kept, {when}: {self.file}, {self.size_mb} MB"


class Fault(enum.StrEnum):
    """Whose fault it is that a cell did not complete."""

    NONE = "none"
    KERNEL = "kernel"
    LAB = "lab"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that a cell showed, read from its saved evidence.

    ``beneath`` is what the outcome would be if the console had been quiet: COMPLETED below a SPLAT
    means that there is nothing else against the cell.
    """

    outcome: Outcome = Outcome.LOST
    fault: Fault = Fault.LAB
    detail: str = "nothing was observed"
    skip: str = ""
    subtests: tuple[Subtest, ...] = ()
    splats: tuple[Splat, ...] = ()
    counters: Mapping[str, CounterChange] = field(default_factory=dict)
    settings_read: Mapping[str, str] = field(default_factory=dict)
    instructions: int | None = None
    duration_s: float = 0.0
    beneath: Outcome = Outcome.LOST
    memory: SavedMemory | None = None


# -- judgement ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and its reason, and whether the lab file expected it.

    ``expected`` is the verdict that the lab file led us to expect, ``as_expected`` whether the
    cell ended that way, in outcome and splats too. ``allowed`` says of each splat of the
    observation why it fails no cell, or is empty for one that does.
    """

    verdict: Verdict
    reason: str
    expected: Verdict
    as_expected: bool
    known: str = ""
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CellResult:
    """A cell with what it showed and what we think of it."""

    cell: Cell
    observation: Observation
    judgement: Judgement

    @property
    def splats(self) -> tuple[tuple[Splat, str], ...]:
        """Each splat with the reason why it is allowed, empty for one that is not."""
        allowed = self.judgement.allowed or ("",) * len(self.observation.splats)
        return tuple(zip(self.observation.splats, allowed, strict=True))


@dataclass(frozen=True, slots=True)
class Unstable:
    """A testcase whose repeats, all else alike, ended with different verdicts.

    ``counts`` are repeats by verdict, in Verdict's order; ``cells`` the ids of all of them, those
    that ended in the lab's error too.
    """

    kernel: str
    guest: str
    settings: str
    device: str
    testcase: str
    counts: Mapping[Verdict, int]
    cells: tuple[str, ...]

    @property
    def place(self) -> str:
        """The guest as the names of cells and suites have it."""
        return place(self.guest, self.device)

    @property
    def detail(self) -> str:
        """``4 pass, 1 fail``."""
        return ", ".join(f"{count} {verdict}" for verdict, count in self.counts.items())


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One testcase x settings x guest x device on both kernels.

    ``base`` and ``patched`` are the verdicts, ``mixed`` where repeats differ, empty where there
    is none.
    """

    testcase: str
    settings: str
    guest: str
    base: str
    patched: str
    change: Change
    detail: str
    device: str = ""

    @property
    def place(self) -> str:
        """The guest as the names of cells and suites have it."""
        return place(self.guest, self.device)


class SplatChange(enum.StrEnum):
    """How a splat moved from A (base) to B (patched)."""

    NEW = "new"
    GONE = "gone"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class ComparedSplat:
    """One fingerprint over all rows of a comparison; NEW if it is new in any of them.

    ``rows`` are the rows (testcase, settings, guest, device) where it moved that way. ``seen``
    counts the cells of these rows that show it, on B, or on A for one that is gone. ``allowed`` is
    the lab file's reason, empty for one that fails cells. ``excerpt`` is the text of the first.
    """

    fingerprint: str
    kind: str
    title: str
    change: SplatChange
    rows: tuple[tuple[str, str, str, str], ...]
    seen: int
    allowed: str
    excerpt: str

    @property
    def is_regression(self) -> bool:
        """Whether B complains as A does not, and nobody allowed it."""
        return self.change is SplatChange.NEW and not self.allowed


@dataclass(frozen=True, slots=True)
class Comparison:
    """A's and B's verdicts side by side."""

    a: str
    b: str
    rows: tuple[ComparisonRow, ...]
    splats: tuple[ComparedSplat, ...] = ()

    @property
    def new_splats(self) -> tuple[ComparedSplat, ...]:
        """The splats that are regressions."""
        return tuple(splat for splat in self.splats if splat.is_regression)

    def count(self, change: Change) -> int:
        """How many rows moved that way."""
        return sum(row.change is change for row in self.rows)
