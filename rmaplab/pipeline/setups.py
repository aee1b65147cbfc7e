# SPDX-License-Identifier: GPL-2.0
"""Say what each cell of a run runs on, as a task for an executor, or why it starts no guest."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rmaplab.build import fragments
from rmaplab.collect import counters
from rmaplab.guest.cellsetup import CellSetup, CellTask
from rmaplab.guest.command import Launch
from rmaplab.guest.notrun import NotBooted, NotBuilt, NotRun, Skip
from rmaplab.guest.template import BootFailed
from rmaplab.model import Build, Cell, CoveragePolicy, Isolation, Lab, version_range
from rmaplab.pipeline.calibration import UNCALIBRATED
from rmaplab.pipeline.hosttests import HostBuilds, HostTask
from rmaplab.pipeline.memory_quota import MemoryQuota
from rmaplab.pipeline.templates import audit_words
from rmaplab.pipeline.upstream import SelftestBuilds
from rmaplab.pipeline.userspaces import Launches, userspace_of

Configs = Mapping[str, Mapping[str, str]]
"""The configuration of each kernel, by name: the symbols' values."""


class SetupSource(Protocol):
    """Say what the guests of one isolation start from."""

    def prepare(self, cells: Iterable[Cell], launches: Mapping[str, Launch], jobs: int) -> None:
        """Make what the cells' guests start from; ``launches`` is by kernel.

        Raises InfraError if the lab cannot.
        """

    def setup(self, cell: Cell, boot: Launch, /) -> CellSetup | BootFailed:
        """Return how a cell is run; ``boot`` is how its guest is booted.

        The failed boot, if its guest does not come up.
        """


class BootSetups:
    """Say how cells run on guests that boot: nothing is made before, nothing is calibrated."""

    def __init__(self, lab: Lab, averaged: frozenset[str]) -> None:
        self._lab = lab
        self._averaged = averaged

    def prepare(self, cells: Iterable[Cell], launches: Mapping[str, Launch], jobs: int) -> None:
        """Make nothing."""

    def setup(self, cell: Cell, boot: Launch, /) -> CellSetup:
        """Return how a cell runs on a guest that boots."""
        if not userspace_of(cell.guest).is_quiet:
            return CellSetup(boot, counters.FILES)
        audit = audit_words(self._lab, cell.kernel, cell.guest, self._averaged)
        ledger = UNCALIBRATED.ledger(None) if self._lab.ledger else None
        return CellSetup(boot, counters.FILES, audit=audit, ledger=ledger)


def sources(
    templates: SetupSource, lab: Lab, averaged: frozenset[str]
) -> dict[Isolation, SetupSource]:
    """Return where the setups of each isolation come from; ``averaged`` as in ``audit_words``."""
    boots = BootSetups(lab, averaged)
    return {Isolation.CLONE: templates, Isolation.BOOT: boots, Isolation.SHARED: boots}


def prepare(
    found: Mapping[Isolation, SetupSource],
    cells: Iterable[Cell],
    launches: Mapping[str, Launch],
    jobs: int,
) -> None:
    """Make what the guests of the cells start from; raises as ``SetupSource.prepare`` does."""
    can_run = [cell for cell in cells if not cell.skip and cell.guest.boots]
    for isolation, source in found.items():
        own = [cell for cell in can_run if cell.guest.isolation is isolation]
        source.prepare(own, launches, jobs)


@dataclass(frozen=True, slots=True)
class Recorder:
    """Say of which cells it is recorded what they run, and by which plugin; None for none."""

    plugin: Path | None = None
    policy: CoveragePolicy = field(default_factory=CoveragePolicy)

    def onto(self, cell: Cell, launch: Launch) -> Launch:
        """Return how a cell's guest is started, with the plugin if the cell is recorded."""
        if self.plugin is None or not self.policy.covers(cell):
            return launch
        return dataclasses.replace(launch, plugin=self.plugin)


_NO_RECORDER = Recorder()


class CellSetups:
    """Say what each cell runs on, when it is handed out."""

    def __init__(
        self,
        configs: Configs,
        launches: Launches,
        found: Mapping[Isolation, SetupSource],
        *,
        selftest_builds: SelftestBuilds,
        host_builds: HostBuilds,
        quota: MemoryQuota,
        versions: Mapping[str, str],
        recorder: Recorder = _NO_RECORDER,
    ) -> None:
        self._recorder = recorder
        self._configs = configs
        self._launches = launches
        self._sources = found
        self._selftest_builds = selftest_builds
        self._host_builds = host_builds
        self._quota = quota
        self._versions = versions

    def of(self, cell: Cell) -> CellTask | HostTask | NotRun:
        """Return the task of a cell, or why there is none."""
        if cell.testcase.host is not None:
            return self._host_builds.of(cell, cell.testcase.host)
        if reason := cell.skip or self._lacks(cell):
            return Skip(cell, reason)
        if error := self._selftest_builds.error(cell):
            return NotBuilt(cell, error)
        boot = self._launches.of(cell)
        setup = self._sources[cell.guest.isolation].setup(cell, boot)
        if isinstance(setup, BootFailed):
            return NotBooted(cell, setup.folder, boot)
        template = setup.template
        if template and (reason := template.result.lacks(cell.testcase.requires.files)):
            return Skip(cell, reason)
        setup = dataclasses.replace(
            setup,
            launch=self._recorder.onto(cell, setup.launch),
            memory_dump=self._quota.permit(cell),
            expected=self._selftest_builds.expected(cell),
        )
        return CellTask(cell, setup, userspace_of(cell.guest).program_path(cell.testcase))

    def _lacks(self, cell: Cell) -> str:
        version, tree = self._versions.get(cell.kernel, ""), cell.testcase.requires.tree
        if version not in version_range(tree):
            return f"needs a kernel {tree}, and this one is {version}"
        config = self._configs[cell.kernel]
        for symbol in cell.testcase.requires.config:
            if config.get(symbol, "n") == "n":
                return f"needs CONFIG_{symbol}, which this kernel does not have"
        lacks = userspace_of(cell.guest).lacks(cell.guest, config)
        return lacks or self._selftest_builds.missing(cell)


def configs_of(builds: Mapping[str, Build]) -> dict[str, Mapping[str, str]]:
    """Return the configuration of each kernel, by name."""
    return {
        name: fragments.parse_config(build.config.read_text(encoding="utf-8"))
        for name, build in builds.items()
    }


def readable(configs: Configs) -> frozenset[str]:
    """Return the kernels with debug info, whose guests' memory tools can read."""
    return _having(configs, "DEBUG_INFO")


def averaged(configs: Configs) -> frozenset[str]:
    """Return the kernels whose kpagecount shows an average for the pages of a large folio."""
    return _having(configs, "NO_PAGE_MAPCOUNT")


def _having(configs: Configs, symbol: str) -> frozenset[str]:
    return frozenset(name for name, config in configs.items() if config.get(symbol, "n") != "n")
