# SPDX-License-Identifier: GPL-2.0
"""The nouns of the history: how testcases went in earlier runs, and what people said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from rmaplab.model.verdicts import Outcome, Verdict


@dataclass(frozen=True, slots=True)
class PastKernel:
    """A kernel of earlier runs.

    ``identity`` stands for its tree's content, its patches and its configuration: other patches
    are another kernel. ``line`` is the same for kernels without patches that were asked for in the
    same words, so that one can be followed over its versions; with patches it is the identity.
    """

    identity: str
    line: str
    tree: str
    origin: str
    version: str
    series: str
    patches: int
    config: str

    @property
    def phrase(self) -> str:
        """Give the kernel in a few words: ``6.12.117 + 16 patches, 1f2e3d4c``."""
        number = f" + {self.patches} patch{'es' if self.patches > 1 else ''}"
        return f"{self.version}{number if self.patches else ''}, {self.identity[:8]}"


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that the history has.

    ``uid`` is the same however often the run is added, ``folder`` where it was then.
    """

    uid: str
    began: str
    lab: str
    folder: str
    mode: str
    host: str
    answer: str


@dataclass(frozen=True, slots=True)
class PastPlace:
    """A place in the matrix: what has to be the same for two results to be comparable.

    ``kind`` is the testcase's, ``mode`` how the guests ran: ``tcg``, ``kvm``, or ``exact`` where
    instructions are counted.
    """

    testcase: str
    kind: str
    kernel: str
    guest: str
    devices: str
    settings: str
    mode: str


@dataclass(frozen=True, slots=True)
class PastCell:
    """A cell of an earlier run.

    ``name`` is its kernel's in the lab file, ``program`` the digest of its workload's sources.
    ``alarm`` says that its failure spoke against the kernel, ``failure`` is the failure's
    fingerprint. ``instructions`` is None where they were not counted.
    """

    place: PastPlace
    name: str
    repeat: int
    program: str
    verdict: Verdict
    outcome: Outcome
    as_expected: bool
    alarm: bool
    seconds: float
    instructions: int | None
    reason: str = ""
    failure: str = ""


class HistoryPoint(NamedTuple):
    """The result of one run at one place: its repeats by verdict.

    ``program`` is the digest of the workload, ``cost`` the mean of what the repeats took.
    """

    run: int
    kernel: str
    program: str
    passed: int
    failed: int
    skipped: int
    errors: int
    alarms: int
    cost: float | None

    @property
    def trials(self) -> int:
        """The number of repeats with a verdict on the kernel."""
        return self.passed + self.failed

    @property
    def rate(self) -> float | None:
        """The part of the repeats that passed; None if none has a verdict on the kernel."""
        return self.passed / self.trials if self.trials else None


@dataclass(frozen=True, slots=True)
class Mark:
    """A failure that somebody looked at and called invalid: it is no bug of the kernel's.

    ``owner`` is who, ``at`` the day (ISO 8601). A mark is shown, and changes no verdict.
    """

    fingerprint: str
    reason: str
    owner: str
    at: str

    @property
    def phrase(self) -> str:
        """Give the mark as reports do."""
        who = f" by {self.owner}" if self.owner else ""
        return f"marked invalid on {self.at}{who}: {self.reason}"


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """How often the lab cried wolf.

    ``trials`` are cells that ended in pass or fail. ``alarms`` are failures that spoke against a
    kernel, and of these ``marked`` were called invalid, ``contradicted`` passed as well on the same
    kernel, workload, guest and settings, and ``controls`` are of testcases that pass on every
    kernel. ``false`` are those of the three kinds, each once. ``bound`` is the upper limit of their
    rate at ``confidence``; None without trials.
    """

    trials: int
    alarms: int
    marked: int
    contradicted: int
    controls: int
    false: int
    bound: float | None
    confidence: float


@dataclass(frozen=True, slots=True)
class RowHistory:
    """The earlier runs of one kernel's cells of a row, as the run's page shows them.

    ``kernel`` is its name in the run. Each of ``points`` is the number of a run among those that
    are shown, how many repeats passed, failed, and were neither, and the mean of their costs.
    """

    testcase: str
    kernel: str
    guest: str
    devices: str
    settings: str
    points: tuple[tuple[int, int, int, int, float | None], ...]


@dataclass(frozen=True, slots=True)
class RunHistory:
    """The history of a run's rows when it ended, the run itself being the last one.

    ``runs`` say when each began, the first first; ``alarms`` is the line on false alarms.
    """

    runs: tuple[str, ...] = ()
    rows: tuple[RowHistory, ...] = ()
    alarms: str = ""
