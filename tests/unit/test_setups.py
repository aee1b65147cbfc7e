# SPDX-License-Identifier: GPL-2.0
"""The setup of a cell: by its isolation, its userspace, its kernel's configuration."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rmaplab.collect import counters
from rmaplab.evidence.ends import EndCause
from rmaplab.guest import shared, virtme
from rmaplab.guest.cellsetup import CellSetup, CellTask, LedgerSetup, TemplateState
from rmaplab.guest.command import Accelerator, Launch
from rmaplab.guest.notrun import NotBooted, NotBuilt, Skip
from rmaplab.guest.postmortem import MemoryDumpPermit
from rmaplab.guest.settings import SetupResult
from rmaplab.guest.shared import SharedGuest
from rmaplab.guest.template import BootFailed
from rmaplab.guest.vm import GuestEnd
from rmaplab.model import Build, Cell, Isolation, MemoryDumpPolicy, Requirements, Userspace
from rmaplab.pipeline import setups, userspaces
from rmaplab.pipeline.hosttests import HostBuilds
from rmaplab.pipeline.memory_quota import MemoryQuota
from rmaplab.pipeline.setups import BootSetups, CellSetups
from rmaplab.pipeline.upstream import SelftestBuilds
from rmaplab.pipeline.userspaces import Launches

from . import builders
from .builders import cell, testcase

LAUNCH = Launch(Path("/cache/bzImage"), Path("/cache/cpio"), Accelerator.TCG)
VNG = replace(LAUNCH, vng=("qemu-system-x86_64",))
CLONE = CellSetup(
    replace(LAUNCH, ram=Path("/t"), state=Path("/t/state")),
    counters.FILES,
    TemplateState(SetupResult("", frozenset({"/sys/kernel/no"}), 7), b""),
)
HOST = replace(builders.guest("virtme"), userspace=Userspace.HOST)
CLONED = replace(builders.guest(), isolation=Isolation.CLONE)
NEEDS = testcase("a/a", requires=Requirements(config=("HMM",), files=("/sys/kernel/no",)))


class FakeTemplates:
    """A source whose every cell has one setup."""

    def __init__(self, found: CellSetup | BootFailed) -> None:
        self._found = found

    def prepare(self, cells: Any, launches: Any, jobs: int) -> None:
        pass

    def setup(self, _cell: Cell, _boot: Launch, /) -> CellSetup | BootFailed:
        return self._found


class FakeSelftests(SelftestBuilds):
    """Selftests that did not build."""

    def error(self, cell: Cell) -> str:
        return "no such header"


def setup_of(
    one: Cell,
    config: Mapping[str, str],
    templates: FakeTemplates | None = None,
    built: SelftestBuilds | None = None,
) -> Any:
    found = setups.sources(templates or FakeTemplates(CLONE), builders.lab(), frozenset())
    quota = MemoryQuota(MemoryDumpPolicy(max_mb=1), frozenset({"base"}))
    return CellSetups(
        {"base": config},
        Launches({"base": LAUNCH}, {("base", "virtme"): VNG}),
        found,
        selftest_builds=built or SelftestBuilds(),
        host_builds=HostBuilds(),
        quota=quota,
        versions={"base": "6.12.117"},
    ).of(one)


@pytest.mark.parametrize(
    ("tree", "lacks"),
    [
        ("", ""),
        (">=6.12", ""),
        (">=6.1,<6.13", ""),
        (">=7.2", "needs a kernel >=7.2, and this one is 6.12.117"),
        ("<6.12", "needs a kernel <6.12, and this one is 6.12.117"),
    ],
)
def test_a_testcase_for_other_kernels_is_a_skip_with_the_reason(tree: str, lacks: str) -> None:
    one = builders.cell()
    needs = replace(one.testcase.requires, tree=tree)
    one = replace(one, testcase=replace(one.testcase, requires=needs))
    found = setup_of(one, {})
    assert (found.reason if isinstance(found, Skip) else "") == lacks


def test_a_cell_that_runs_has_its_setup_its_program_and_its_permit() -> None:
    setup = setup_of(cell(guest=CLONED), {})
    assert setup == CellTask(
        cell(guest=CLONED),
        replace(CLONE, memory_dump=MemoryDumpPermit(1 << 20)),
        "/bin/exclusive/mapcount",
    )


def test_a_guest_on_the_hosts_userspace_has_its_program_elsewhere_and_no_ledger() -> None:
    config = dict.fromkeys(virtme.NEEDS, "y")
    task = setup_of(cell(guest=HOST), config)
    assert task.setup.launch == VNG
    assert (task.setup.audit, task.setup.ledger) == (None, None)
    assert task.program == virtme.PROGRAMS + "/bin/exclusive/mapcount"


@pytest.mark.parametrize(
    ("one", "config", "reason"),
    [
        (cell(skip="needs swap"), {}, "needs swap"),
        (cell(testcase=NEEDS), {"HMM": "n"}, "CONFIG_HMM"),
        (cell(guest=HOST), {virtme.NEEDS[0]: "m", virtme.NEEDS[1]: "y"}, virtme.NEEDS[0]),
        (cell(guest=CLONED, testcase=NEEDS), {"HMM": "y"}, "/sys/kernel/no"),
    ],
)
def test_a_cell_that_cannot_run_is_a_skip_that_says_why(
    one: Cell, config: Mapping[str, str], reason: str
) -> None:
    found = setup_of(one, config)
    assert isinstance(found, Skip)
    assert reason in found.reason


def test_a_cell_without_a_program_says_what_the_compiler_said() -> None:
    assert setup_of(cell(), {}, built=FakeSelftests()) == NotBuilt(cell(), "no such header")


def test_a_cell_whose_template_does_not_boot_has_that_boots_evidence() -> None:
    failed = FakeTemplates(BootFailed("no", Path("/run/boots/x")))
    one = cell(guest=CLONED)
    assert setup_of(one, {}, failed) == NotBooted(one, Path("/run/boots/x"), LAUNCH)


@pytest.mark.parametrize(
    ("changes", "exact", "audit", "ledger"),
    [
        ({}, False, ("no-page-mapcount",), LedgerSetup({})),
        ({"audit": False}, False, None, LedgerSetup({})),
        ({"ledger": False}, False, ("no-page-mapcount",), None),
        ({}, True, None, LedgerSetup({})),
    ],
)
def test_a_guest_that_boots_is_checked_as_the_lab_says_and_not_calibrated(
    changes: dict[str, Any], exact: bool, audit: Any, ledger: Any
) -> None:
    lab = replace(builders.lab(), **changes)
    one = cell(guest=replace(builders.guest(), icount=exact))
    setup = BootSetups(lab, frozenset({"base"})).setup(one, LAUNCH)
    assert setup == CellSetup(LAUNCH, counters.FILES, audit=audit, ledger=ledger)


def test_vng_is_asked_once_for_each_kernel_and_guest_and_not_for_skips(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []

    class Fake(userspaces.HostUserspace):
        def launch(self, guest: Any, boot: Launch, builder: Any, /) -> Launch:
            said.append(f"{boot.image.name} {guest.name}")
            return VNG

    monkeypatch.setitem(userspaces.USERSPACES, Userspace.HOST, Fake())
    boots = {name: replace(LAUNCH, image=Path(name)) for name in ("base", "patched")}
    some = [
        cell(guest=HOST), cell(guest=HOST, repeat=2), cell(),
        cell(kernel="patched", guest=HOST, skip="no"),
    ]  # fmt: skip
    builder: Any = None
    found = userspaces.launches(some, boots, builder)
    assert said == ["base virtme"]
    assert [found.of(one) for one in some] == [VNG, VNG, boots["base"], boots["patched"]]


class NoBoot:
    """A source of setups that must not be asked."""

    def prepare(self, cells: Any, launches: Any, jobs: int) -> None:
        assert not list(cells)

    def setup(self, one: Cell, boot: Launch, /) -> CellSetup:
        raise AssertionError(one.id)


def test_each_isolation_prepares_its_own_cells_and_no_skip() -> None:
    asked: dict[str, list[str]] = {}

    class Source(NoBoot):
        def __init__(self, name: str) -> None:
            self.name = name

        def prepare(self, cells: Any, launches: Any, jobs: int) -> None:
            asked[self.name] = [one.guest.name for one in cells]

    def on(isolation: Isolation, skip: str = "") -> Cell:
        return cell(guest=builders.guest(str(isolation), isolation=isolation), skip=skip)

    some = [on(Isolation.CLONE), on(Isolation.CLONE, "no"), on(Isolation.BOOT)]
    setups.prepare({i: Source(str(i)) for i in Isolation}, some, {}, 1)
    assert asked == {"clone": ["clone"], "boot": ["boot"], "shared": []}


@pytest.mark.parametrize(
    ("symbol", "found"),
    [("DEBUG_INFO", setups.readable), ("NO_PAGE_MAPCOUNT", setups.averaged)],
)
def test_kernels_are_told_apart_by_their_configuration(
    tmp_path: Path, symbol: str, found: Callable[[setups.Configs], frozenset[str]]
) -> None:
    builds = {}
    for name, text in {"a": f"CONFIG_{symbol}=y\n", "b": f"# CONFIG_{symbol} is not set\n"}.items():
        config = tmp_path / name
        config.write_text(text, encoding="utf-8")
        builds[name] = Build("k", name, tmp_path, config, config, config, "6.12", 0.0, True)
    assert found(setups.configs_of(builds)) == {"a"}


# -- a guest that cells share ----------------------------------------------------------------------


@pytest.mark.parametrize("end", [EndCause.BYE, EndCause.PANIC, KeyError("steady")])
def test_a_shared_guest_has_another_cell_only_after_one_that_ended_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: EndCause | KeyError
) -> None:
    said: list[str] = []

    @contextlib.asynccontextmanager
    async def running(*_words: Any, **_options: Any) -> AsyncIterator[Any]:
        said.append("boot")
        done = asyncio.Event()
        done.set()
        log = SimpleNamespace(size=24, go_on=lambda _file: None)
        yield SimpleNamespace(console=SimpleNamespace(expect=lambda _mark: done, log=log))
        said.append("end")

    class FakeSession:
        def __init__(self, one: Cell, *_words: Any, booted: bool) -> None:
            said.append(f"cell {one.repeat}{' in a guest that had one' if booted else ''}")

        async def to_the_end(self) -> GuestEnd:
            if isinstance(end, KeyError):
                raise end
            return GuestEnd(end, "")

    monkeypatch.setattr(shared, "running", running)
    monkeypatch.setattr(shared, "Session", FakeSession)

    async def play() -> None:
        guest = SharedGuest()
        for number in (1, 2):
            folder = tmp_path / str(number)
            folder.mkdir()
            (folder / "console.log").write_bytes(b"boot\nrmaplab: begin x\n")
            with contextlib.suppress(KeyError):
                await guest.run(cell(repeat=number), CellSetup(LAUNCH, ()), folder, "/bin/x")
        await guest.close()

    asyncio.run(play())
    if end is EndCause.BYE:
        assert said == ["boot", "cell 1", "cell 2 in a guest that had one", "end"]
    else:
        assert said == ["boot", "cell 1", "end", "boot", "cell 2", "end"]
