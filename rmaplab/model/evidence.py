# SPDX-License-Identifier: GPL-2.0
"""The nouns of a cell's evidence: splats, subtests, findings, counters, an Observation of all."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from rmaplab.model.verdicts import Outcome, Verdict


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
    lines of its places, for a kernel with debug info; then they are in ``excerpt``, too. ``boot``
    counts the boots of the console from 1; ``count`` is how often the same complaint (kind, title,
    fingerprint, owner and boot) came: only the first is kept.
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
    boot: int = 1
    count: int = 1

    @property
    def at_boot(self) -> bool:
        """True of a complaint of the kernel's before it had run anything of the lab's."""
        return self.owner == OWNER_BOOT


@dataclass(frozen=True, slots=True)
class ExpectedSubtests:
    """The subtests that a selftest of a kernel tree of ``version`` is to print.

    ``section`` names the list, empty if there is none; ``names`` are the subtests, None if the exit
    status is all there is.
    """

    version: str
    section: str
    names: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Subtest:
    """One KTAP result; ``name`` joins nested levels with a slash.

    ``detail`` is its diagnostics, ``why`` the line of those that says why it ended so. ``known``
    says that the workload itself expects the failure (XFAIL, TODO): the verdict is a skip then,
    since nothing was shown to work, and reports call it a known failure.
    """

    name: str
    verdict: Verdict
    detail: str = ""
    why: str = ""
    known: bool = False

    @property
    def word(self) -> str:
        """Give the verdict as reports do."""
        return "known failure" if self.known else str(self.verdict)


@dataclass(frozen=True, slots=True)
class CheckedValue:
    """A number that a workload compared with the one that it expects (check_eq() of testcases/lib).

    ``subtest`` and ``what`` name it; ``number`` counts values of that name in the subtest, from 1.
    ``expected`` is None where the check passed: then ``got`` is what was expected.
    """

    subtest: str
    what: str
    number: int
    got: int
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class MeasuredCost:
    """Guest instructions of one operation, in exact mode (testcases/lib/measure.c).

    ``name`` is the workload's name of the operation, the subtest's if it gives none; ``number``
    counts costs of that name in the subtest, from 1.
    """

    subtest: str
    name: str
    number: int
    instructions: int


class FindingKind(enum.StrEnum):
    """Name a check of the lab's own, which knows no test."""

    AUDIT = "audit"
    """The agent's recount of the reverse map at a mark of the workload or at its end."""
    LEDGER = "ledger"
    """Things that the workload took and did not give back, one finding an account."""
    EXIT = "exit"
    """The workload's exit status or signal."""
    PROCESS_LEFT = "no process left"
    CGROUP = "cgroup removed"
    BAIL_OUT = "bail out"
    KTAP = "KTAP output"
    OUTPUT = "output within bounds"
    BUILD = "build"
    """The workload does not compile."""
    SANITIZER = "sanitizer"
    """A report of a sanitizer of the compiler's, in a host test."""
    NO_RESULT = "result"
    """A host test ended by itself, and nothing that it printed is a result."""
    NEW_SUBTESTS = "new subtests"
    """A selftest of the kernel tree printed subtests that its list does not have."""
    UNLISTED = "list of subtests"
    """There is no list of what a selftest of the kernel tree prints."""

    @property
    def prefix(self) -> str:
        """``lab: audit``: what the names of these findings begin with."""
        return f"{_LAB}{self}"


_LAB = "lab: "


@dataclass(frozen=True, slots=True)
class Finding:
    """A result that the lab adds to a workload's own.

    ``verdict`` is FAIL for what speaks against the kernel, ERROR for what could not be checked,
    PASS for what a reader should know. ``text`` says in a line what is wrong, ``more`` has what
    goes with it. ``mark`` is the mark of the audit (``end``), ``about`` what the finding is about
    within its kind: an audit's kind of mismatch (``count``), an account of the ledger; ``amount``
    is how many pages or subtests, or by how much the account changed, None where the kind has no
    number. ``names`` are the subtests that it is about.
    """

    kind: FindingKind
    verdict: Verdict
    text: str
    mark: str = ""
    about: str = ""
    amount: int | None = None
    more: str = ""
    names: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Its name without what it is about, ``lab: audit end``."""
        return f"{self.kind.prefix} {self.mark}" if self.mark else self.kind.prefix

    @property
    def name(self) -> str:
        """Its name among a cell's results, ``lab: audit end: count``."""
        return f"{self.title}: {self.about}" if self.about else self.title

    @property
    def detail(self) -> str:
        """All that it says, as reports show it."""
        if self.kind is FindingKind.EXIT:
            return "\n".join(filter(None, (self.more, self.text)))  # what a program said last
        counted = self.verdict is Verdict.FAIL and self.amount is not None
        text = f"FAILED: {self.text}" if counted else self.text
        return "\n".join(filter(None, (text, self.more)))


FREE = "agent:free"
"""The name, among a sample's files, of the free pages that the agent counted.

They are nr_free_pages and those on the CPUs' lists.
"""


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
"""The beginning of a report that only says why there is none."""


@dataclass(frozen=True, slots=True)
class SavedMemory:
    """A guest's memory that was to be saved, and was or was not (docs/postmortem.md).

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
        """True if the report is one, and not the reason why there is none."""
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
    """Everything that a cell showed, read from its saved evidence: data alone.

    ``ended`` is how the guest and the workload ended, with the console left out of account, and
    ``fault`` and ``detail`` go with that: what the outcome is, ``judge`` derives from it and the
    rest. ``tainted`` are the taint flags that came during the cell and that no splat explains.
    ``counters`` are there while a cell is observed; afterwards they are in its counters.json
    (``store.cellfiles``).
    """

    ended: Outcome = Outcome.LOST
    fault: Fault = Fault.LAB
    detail: str = "nothing was observed"
    skip: str = ""
    subtests: tuple[Subtest, ...] = ()
    findings: tuple[Finding, ...] = ()
    splats: tuple[Splat, ...] = ()
    tainted: int = 0
    counters: Mapping[str, CounterChange] = field(default_factory=dict)
    settings_read: Mapping[str, str] = field(default_factory=dict)
    instructions: int | None = None
    values: tuple[CheckedValue, ...] = ()
    costs: tuple[MeasuredCost, ...] = ()
    duration_s: float = 0.0
    memory: SavedMemory | None = None

    @property
    def results(self) -> tuple[Subtest, ...]:
        """The workload's results, then the lab's findings in the same form."""
        return (
            *self.subtests,
            *(Subtest(one.name, one.verdict, one.detail, one.text) for one in self.findings),
        )
