# SPDX-License-Identifier: GPL-2.0
"""A run's cells with fake guests: whose turn it is, what goes on beside it, and what fails."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from rmaplab.errors import InfraError, is_fatal
from rmaplab.guest import cell as guest_cell
from rmaplab.guest import isolation as guest_isolation
from rmaplab.guest.cellsetup import CellSetup, CellTask
from rmaplab.guest.command import Accelerator, Launch
from rmaplab.guest.isolation import BootPerCell, ClonePerCell, SharedGuests, Turn
from rmaplab.model import Cell, Fault, Isolation, MemoryDumpPolicy, Observation, Outcome
from rmaplab.model import Requirements as Needs
from rmaplab.pipeline import executor as pipeline_executor
from rmaplab.pipeline import setups
from rmaplab.pipeline.evaluate import Observations
from rmaplab.pipeline.executor import Executor, LocalExecutor
from rmaplab.pipeline.hosttests import HostBuilds
from rmaplab.pipeline.memory_quota import MemoryQuota
from rmaplab.pipeline.runner import Runner
from rmaplab.pipeline.setups import BootSetups, CellSetups
from rmaplab.pipeline.turns import Turns
from rmaplab.pipeline.upstream import SelftestBuilds
from rmaplab.pipeline.userspaces import Launches
from rmaplab.schedule import Remaining
from rmaplab.store.runfolder import RunFolder

from . import builders
from .builders import KTAP_FAIL, KTAP_PASS, cell, conversation, from_lab, save, testcase
from .process_executor import ProcessExecutor

LAUNCH = Launch(Path("/nonexistent/bzImage"), Path("/nonexistent/cpio"), Accelerator.TCG)
FULL = OSError(errno.ENOSPC, "No space left on device")

Act = Callable[[Cell], Awaitable[None]]


def number(one: Cell) -> int:
    return one.repeat - 1


def cells(*widths: int, **facts: Any) -> list[Cell]:
    """Cells that need so many CPUs, numbered from 0."""
    return [
        cell(repeat=n, testcase=testcase("a/a", requires=Needs(cpus=width)), **facts)
        for n, width in enumerate(widths, start=1)
    ]


async def nothing(_cell: Cell) -> None:
    """Take no time."""


async def other_tasks_run() -> None:
    """Let all other tasks of the loop go on until each waits for something."""
    for _ in range(50):
        await asyncio.sleep(0)


@dataclass
class FakeGuests:
    """Guests that start, work and end as they are told; each leaves a cell that passes."""

    start: Act = nothing
    work: Act = nothing
    end: Act = nothing
    lines: Sequence[Any] = field(default_factory=lambda: conversation(*KTAP_PASS))
    memory: bool = False
    closed: int = 0

    async def carry_out(self, task: CellTask, folder: Path, turn: Turn) -> None:
        save(folder, conversation()[:2])
        await self.start(task.cell)
        try:
            async with turn:
                await self.work(task.cell)
                save(folder, self.lines)
                if self.memory:
                    (folder / "memory.elf.zst").write_bytes(b"ELF")
        finally:
            await self.end(task.cell)

    async def close(self) -> None:
        self.closed += 1


@dataclass
class Run:
    """A run on disk."""

    folder: RunFolder
    seen: Observations
    runner: Runner
    cells: Sequence[Cell]

    async def carry_out(self, jobs: int) -> None:
        await self.runner.run_all(self.cells, jobs, Remaining(self.cells, {}, jobs))

    @property
    def journal(self) -> list[int]:
        """The numbers of the finished cells, in the journal's order."""
        by_id = {one.id: number(one) for one in self.cells}
        return [by_id[e["cell"]] for e in self.folder.events() if e["event"] == "cell"]

    def observed(self, n: int) -> Observation:
        return self.seen.observations[self.cells[n].id]


def a_run(
    path: Path, some: Sequence[Cell], executor: Executor, policy: MemoryDumpPolicy | None = None
) -> Run:
    path.mkdir(exist_ok=True)
    lab = replace(builders.lab(), postmortem=policy or MemoryDumpPolicy())
    folder = RunFolder(path)
    record = builders.record(lab, [one.id for one in some])
    folder.write_record(record)
    seen = Observations(some)
    quota = MemoryQuota(lab.postmortem, frozenset())
    boots = BootSetups(lab, frozenset())
    found = setups.sources(boots, lab, frozenset())
    launches = Launches({"base": LAUNCH}, {})
    cell_setups = CellSetups(
        {"base": {}},
        launches,
        found,
        selftest_builds=SelftestBuilds(),
        host_builds=HostBuilds(),
        quota=quota,
        versions=record.versions,
    )
    runner = Runner(folder, record, cell_setups, executor, quota=quota, seen=seen)
    return Run(folder, seen, runner, some)


def local(jobs: int, guests: FakeGuests, isolation: Isolation = Isolation.BOOT) -> LocalExecutor:
    return LocalExecutor(jobs, {isolation: guests})


def carried_out(path: Path, some: Sequence[Cell], jobs: int, guests: FakeGuests) -> Run:
    run = a_run(path, some, local(jobs, guests))
    asyncio.run(asyncio.wait_for(run.carry_out(jobs), 60))
    return run


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with memory for as many waiting guests as there are jobs."""
    monkeypatch.setattr(pipeline_executor, "available_mb", lambda: 1 << 20)


# -- turns -----------------------------------------------------------------------------------------


def test_the_next_cell_does_not_wait_for_the_last_ones_guest_but_the_one_after_does(
    tmp_path: Path,
) -> None:
    said: list[str] = []

    async def play() -> None:
        may_end = [asyncio.Event() for _ in range(3)]

        async def work(one: Cell) -> None:
            said.append(f"cell {number(one)}")

        async def end(one: Cell) -> None:
            await may_end[number(one)].wait()
            said.append(f"end {number(one)}")

        run = a_run(tmp_path, cells(1, 1, 1), local(1, FakeGuests(work=work, end=end)))
        going = asyncio.ensure_future(run.carry_out(1))
        for n, event in enumerate(may_end):
            await other_tasks_run()
            assert run.journal == list(range(n))
            said.append(f"let {n}")
            event.set()
        await going
        assert run.journal == [0, 1, 2]

    asyncio.run(asyncio.wait_for(play(), 60))
    assert said == [
        "cell 0", "cell 1", "let 0", "end 0", "cell 2", "let 1", "end 1", "let 2", "end 2",
    ]  # fmt: skip


def test_the_next_cells_guests_start_while_one_works_and_no_more_than_may_wait(
    tmp_path: Path,
) -> None:
    said: list[str] = []

    async def play() -> None:
        go_on = asyncio.Event()

        async def start(one: Cell) -> None:
            said.append(f"start {number(one)}")

        async def work(one: Cell) -> None:
            said.append(f"work {number(one)}")
            await go_on.wait()

        guests = FakeGuests(start=start, work=work)
        run = a_run(tmp_path, cells(*[1] * 8), local(2, guests))
        going = asyncio.ensure_future(run.carry_out(2))
        await other_tasks_run()
        assert said == ["start 0", "work 0", "start 1", "work 1", "start 2", "start 3"]
        go_on.set()
        await going
        assert guests.closed == 1

    asyncio.run(asyncio.wait_for(play(), 60))


def test_the_next_workload_begins_before_the_last_ones_guest_is_ended(tmp_path: Path) -> None:
    said: list[str] = []

    async def work(one: Cell) -> None:
        said.append(f"work {number(one)}")
        await other_tasks_run()

    async def end(one: Cell) -> None:
        said.append(f"end {number(one)}")

    carried_out(tmp_path, cells(1, 1, 1), 1, FakeGuests(work=work, end=end))
    assert said == ["work 0", "work 1", "end 0", "work 2", "end 1", "end 2"]


def test_on_a_host_without_memory_one_guest_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for megabytes, ahead in ((0, 1), (500, 3), (1 << 20, 4)):
        monkeypatch.setattr(pipeline_executor, "available_mb", lambda mb=megabytes: mb)
        assert LocalExecutor(4).ahead == ahead


def working_together(path: Path, jobs: int, some: Sequence[Cell]) -> list[set[int]]:
    """Which cells work at each beginning of one, in its order."""
    now: set[int] = set()
    seen: list[set[int]] = []

    async def work(one: Cell) -> None:
        now.add(number(one))
        seen.append(set(now))
        await other_tasks_run()
        now.remove(number(one))

    carried_out(path, some, jobs, FakeGuests(work=work))
    return seen


def test_a_cell_that_needs_two_cpus_works_alone_on_two_and_nobody_overtakes_it(
    tmp_path: Path,
) -> None:
    assert working_together(tmp_path, 2, cells(1, 2, 1, 1)) == [{0}, {1}, {2}, {2, 3}]


def test_two_cells_that_need_two_cpus_do_not_wait_for_each_other(tmp_path: Path) -> None:
    assert working_together(tmp_path, 2, cells(2, 2, 2)) == [{0}, {1}, {2}]


def test_with_one_slot_a_wide_cell_has_that_and_with_three_another_works_beside_it(
    tmp_path: Path,
) -> None:
    assert working_together(tmp_path / "one", 1, cells(2, 1)) == [{0}, {1}]
    assert working_together(tmp_path / "three", 3, cells(2, 1)) == [{0}, {0, 1}]


def test_a_cell_that_has_nothing_to_run_waits_for_nobody(tmp_path: Path) -> None:
    async def play() -> None:
        go_on = asyncio.Event()

        async def work(_cell: Cell) -> None:
            await go_on.wait()

        some = [*cells(2), *cells(1, 1, skip="needs swap")[1:]]
        run = a_run(tmp_path, some, local(1, FakeGuests(work=work)))
        going = asyncio.ensure_future(run.carry_out(1))
        await other_tasks_run()
        assert run.journal == [1]
        assert run.observed(1).skip == "needs swap"
        go_on.set()
        await going

    asyncio.run(asyncio.wait_for(play(), 60))


def test_a_cell_whose_guest_starts_slowly_is_not_overtaken(tmp_path: Path) -> None:
    said: list[int] = []

    async def start(one: Cell) -> None:
        if number(one) == 0:
            await other_tasks_run()

    async def work(one: Cell) -> None:
        said.append(number(one))

    some = cells(1, 1, 1, 1)
    some[1] = replace(some[1], skip="needs swap")
    carried_out(tmp_path, some, 2, FakeGuests(start=start, work=work))
    assert said == [0, 2, 3]


def test_a_turn_comes_once_and_a_cell_that_gave_up_holds_nobody_up() -> None:
    async def play() -> None:
        turns = Turns(1, 3)
        first, second, third = [await turns.hand_out(one) for one in cells(1, 1, 1)]
        async with first:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    async with second:
                        raise AssertionError
            with pytest.raises(RuntimeError, match="one turn"):
                async with first:
                    raise AssertionError
        second.close()
        first.close()
        fourth = await turns.hand_out(cells(1)[0])
        for one in (third, fourth):  # as many may be unfinished as before
            async with one:
                pass
        third.close()
        fourth.close()
        for one in [await turns.hand_out(one) for one in cells(1, 1, 1)]:  # and may wait
            one.close()

    asyncio.run(asyncio.wait_for(play(), 10))


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["start", "work", "end"])
@pytest.mark.parametrize(
    "error",
    [
        InfraError("QEMU is gone"),
        KeyError("steady"),
        ExceptionGroup("x", [ValueError()]),
        ValueError(os.fsdecode(b"no file caf\xe9")),
        ValueError("\0\x1b[2J\n" + "long " * 100_000),
    ],
)
def test_an_error_of_one_cell_is_that_cells_end_and_the_others_pass(
    tmp_path: Path, when: str, error: Exception
) -> None:
    async def fails(one: Cell) -> None:
        if number(one) in {1, 2}:
            raise error

    acts: dict[str, Any] = {when: fails}
    run = carried_out(tmp_path, cells(1, 2, 1, 1, 2), 2, FakeGuests(**acts))
    assert sorted(run.journal) == [0, 1, 2, 3, 4]
    for n in range(5):
        seen = run.observed(n)
        failed = n in {1, 2}
        assert (seen.ended is Outcome.COMPLETED) is not failed
        if failed:
            assert (seen.ended, seen.fault) == (Outcome.INFRA, Fault.LAB)
            assert type(error).__name__ in seen.detail
            assert len(seen.detail) < 3000


def test_an_error_behind_a_line_that_is_half_written_is_no_pass(tmp_path: Path) -> None:
    async def fails(one: Cell) -> None:
        path = tmp_path / "cells" / one.id / "agent.jsonl"
        path.write_bytes(path.read_bytes()[:-20])
        raise ValueError

    run = carried_out(tmp_path, cells(1), 1, FakeGuests(end=fails))
    assert (run.observed(0).ended, run.observed(0).fault) == (Outcome.INFRA, Fault.LAB)
    last = (tmp_path / "cells" / run.cells[0].id / "agent.jsonl").read_bytes().splitlines()[-1]
    assert json.loads(last)["how"] == "unusable"


@pytest.mark.parametrize(
    ("number_of_error", "fatal"),
    [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EROFS, True), (errno.EMFILE, False)],
)
def test_what_every_cell_would_meet_is_fatal_however_it_is_wrapped(
    number_of_error: int, fatal: bool
) -> None:
    error = OSError(number_of_error, "no")
    caused = InfraError("cannot write")
    caused.__cause__ = error
    assert is_fatal(error) is fatal
    assert is_fatal(caused) is fatal
    assert is_fatal(ExceptionGroup("x", [ValueError(), ExceptionGroup("y", [caused])])) is fatal
    assert not is_fatal(ValueError("no space"))


@pytest.mark.parametrize("when", ["start", "work", "end"])
def test_a_full_disk_ends_the_run_and_every_guest(tmp_path: Path, when: str) -> None:
    started: set[int] = set()
    ended: set[int] = set()

    def fail(one: Cell, now: str) -> None:
        if (number(one), now) == (1, when):
            raise InfraError("cannot write x") from FULL

    async def start(one: Cell) -> None:
        fail(one, "start")
        started.add(number(one))

    async def work(one: Cell) -> None:
        fail(one, "work")

    async def end(one: Cell) -> None:
        ended.add(number(one))
        fail(one, "end")

    guests = FakeGuests(start=start, work=work, end=end)
    run = a_run(tmp_path, cells(1, 1, 1, 1, 1), local(1, guests))
    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(asyncio.wait_for(run.carry_out(1), 60))
    assert raised.group_contains(InfraError)
    assert 1 not in run.journal
    assert 4 not in run.journal
    assert started == ended
    assert guests.closed == 1


def test_an_interruption_ends_every_guest_and_starts_no_other(tmp_path: Path) -> None:
    started: list[int] = []
    ended: list[int] = []

    async def play() -> None:
        async def start(one: Cell) -> None:
            started.append(number(one))

        async def work(one: Cell) -> None:
            if number(one) == 1:
                await asyncio.Event().wait()

        async def end(one: Cell) -> None:
            ended.append(number(one))

        guests = FakeGuests(start=start, work=work, end=end)
        run = a_run(tmp_path, cells(*[1] * 9), local(1, guests))
        going = asyncio.ensure_future(run.carry_out(1))
        await other_tasks_run()
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        assert run.journal == [0]
        assert guests.closed == 1

    asyncio.run(asyncio.wait_for(play(), 60))
    assert started == [0, 1, 2]
    assert sorted(ended) == started


STEPS = st.integers(0, 3)
ACTS = st.fixed_dictionaries(
    {
        "width": st.integers(1, 3),
        "skip": st.booleans(),
        "start": STEPS,
        "work": STEPS,
        "end": STEPS,
        "fails": st.sampled_from(["", "", "", "start", "work", "end"]),
    }
)


@effort(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTS, min_size=1, max_size=12), st.integers(1, 3))
def test_every_cell_is_carried_out_once_in_order_within_the_slots(
    tmp_path_factory: pytest.TempPathFactory, acts: list[dict[str, Any]], jobs: int
) -> None:
    worked: list[int] = []
    slots = waiting = 0
    most = [0, 0]

    def act(when: str) -> Act:
        async def go_on(one: Cell) -> None:
            nonlocal slots, waiting
            wide = min(jobs, acts[number(one)]["width"])
            if when == "start":
                waiting += 1
                most[1] = max(most[1], waiting)
            if when == "work":
                worked.append(number(one))
                waiting -= 1
                slots += wide
                most[0] = max(most[0], slots)
            for _ in range(acts[number(one)][when]):
                await asyncio.sleep(0)
            fails = acts[number(one)]["fails"] == when
            if when == "start" and fails:
                waiting -= 1
            if when == "work":
                slots -= wide
            if fails:
                raise ValueError

        return go_on

    some = [
        replace(one, skip="no" if a["skip"] else "")
        for one, a in zip(cells(*[a["width"] for a in acts]), acts, strict=True)
    ]
    guests = FakeGuests(start=act("start"), work=act("work"), end=act("end"))
    run = carried_out(tmp_path_factory.mktemp("run"), some, jobs, guests)
    assert sorted(run.journal) == list(range(len(some)))
    can_work = [n for n, a in enumerate(acts) if not a["skip"] and a["fails"] != "start"]
    assert worked == can_work
    assert most[0] <= jobs
    assert most[1] <= jobs
    for n, a in enumerate(acts):
        seen = run.observed(n)
        if a["skip"]:
            assert seen.skip == "no"
        else:
            assert (seen.ended is Outcome.COMPLETED) is (not a["fails"])


# -- memories --------------------------------------------------------------------------------------


def test_more_memories_than_the_run_keeps_are_deleted_and_no_report_speaks_of_them(
    tmp_path: Path,
) -> None:
    said = from_lab("memory", why="complaint", file="memory.elf.zst", seconds=0.1)
    guests = FakeGuests(lines=[*conversation(*KTAP_FAIL, status=1), said], memory=True)
    some = cells(1, 1, 1, 1)
    policy = MemoryDumpPolicy(run=2, testcase=2, asked=True)
    run = a_run(tmp_path, some, local(2, guests), policy)
    asyncio.run(asyncio.wait_for(run.carry_out(2), 60))
    kept = [n for n in range(4) if (tmp_path / "cells" / some[n].id / "memory.elf.zst").exists()]
    assert kept == run.journal[:2]
    assert [n for n in range(4) if run.observed(n).memory is not None] == kept


# -- the isolations --------------------------------------------------------------------------------


class FakeRunning:
    """A guest of ``cell.start`` that only says what is done to it."""

    def __init__(self, n: int, said: list[str], error: Exception | None) -> None:
        self._n = n
        self._said = said
        self._error = error

    async def carry_out(self) -> None:
        self._said.append(f"work {self._n}")
        await asyncio.sleep(0)
        if self._error is not None:
            raise self._error

    async def aclose(self) -> None:
        self._said.append(f"end {self._n}")


class FakeTurn:
    """A turn that says when it comes and goes; it does not come for the numbers in ``never``."""

    def __init__(self, n: int, said: list[str], never: set[int]) -> None:
        self._n = n
        self._said = said
        self._never = never

    async def __aenter__(self) -> None:
        if self._n in self._never:
            await asyncio.Event().wait()
        self._said.append(f"turn {self._n}")

    async def __aexit__(self, *_error: object) -> None:
        self._said.append(f"free {self._n}")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note what is done to the guests that ``cell.start`` starts; number 7 fails at its work."""
    done: list[str] = []
    starting = 0

    async def start(
        one: Cell, _setup: CellSetup, _folder: Path, _program: str, *, rehearse: bool = False
    ) -> FakeRunning:
        nonlocal starting
        starting += 1
        assert starting == 1, "two guests start at once"
        await other_tasks_run()
        starting -= 1
        done.append(f"start {number(one)}{' and rehearse' if rehearse else ''}")
        return FakeRunning(number(one), done, ValueError() if number(one) == 7 else None)

    monkeypatch.setattr(guest_cell, "start", start)
    return done


def task(one: Cell) -> CellTask:
    return CellTask(one, CellSetup(LAUNCH, ()), "/bin/x")


def conduct(strategy: Any, numbers: Sequence[int], said: list[str], never: set[int]) -> None:
    """Carry out cells at once, until all that do not wait for ever are over."""

    async def play() -> None:
        some = cells(*[1] * (max(numbers) + 1))
        running = [
            asyncio.ensure_future(
                strategy.carry_out(task(some[n]), Path(), FakeTurn(n, said, never))
            )
            for n in numbers
        ]
        await asyncio.wait(running, timeout=0.2 if never else None)
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await strategy.close()

    asyncio.run(play())


@pytest.mark.parametrize("rehearse", [False, True])
def test_clones_start_one_by_one_before_their_turn_and_end_after_it(
    said: list[str], rehearse: bool
) -> None:
    conduct(ClonePerCell(rehearse=rehearse), [0, 1], said, set())
    more = " and rehearse" if rehearse else ""
    for n in (0, 1):
        own = [line for line in said if line.split()[1] == str(n)]
        assert own == [f"start {n}{more}", f"turn {n}", f"work {n}", f"free {n}", f"end {n}"]
    assert said.index(f"start 0{more}") < said.index(f"start 1{more}")


def test_a_clone_ends_if_its_work_fails_or_it_is_cancelled_while_it_waits(said: list[str]) -> None:
    conduct(ClonePerCell(rehearse=False), [1, 7], said, {1})
    assert said[-1] == "end 1"
    assert [line for line in said if line.endswith("7")] == [
        "start 7", "turn 7", "work 7", "free 7", "end 7",
    ]  # fmt: skip


def test_a_guest_that_boots_does_so_in_its_turn_and_ends_after_it(said: list[str]) -> None:
    conduct(BootPerCell(), [0], said, set())
    assert said == ["turn 0", "start 0", "work 0", "free 0", "end 0"]
    said.clear()
    conduct(BootPerCell(), [7], said, set())
    assert said == ["turn 7", "start 7", "work 7", "free 7", "end 7"]


def test_cells_of_one_kernel_and_profile_share_a_guest_and_it_ends_with_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []

    class FakeShared:
        def __init__(self) -> None:
            said.append("new")

        async def run(self, one: Cell, _setup: CellSetup, _folder: Path, _program: str) -> None:
            said.append(f"run {one.kernel} {one.place}")

        async def close(self) -> None:
            said.append("close")

    monkeypatch.setattr(guest_isolation, "SharedGuest", FakeShared)

    async def play() -> None:
        guests = SharedGuests()
        for one in (cell(), cell(repeat=2), cell(kernel="patched"), cell(device="none")):
            await guests.carry_out(task(one), Path(), FakeTurn(0, [], set()))
        await guests.close()

    asyncio.run(play())
    assert said == [
        "new", "run base q35", "run base q35", "new", "run patched q35", "new", "run base q35.none",
        "close", "close", "close",
    ]  # fmt: skip


# -- another executor ------------------------------------------------------------------------------

CHILD = """\
import sys
from pathlib import Path
from rmaplab.guest.cellsetup import CellTask
from tests.unit.builders import KTAP_FAIL, KTAP_PASS, conversation, save

task = CellTask.from_json(sys.stdin.buffer.read())
assert task.setup.launch.image == Path("/nonexistent/bzImage"), task
n = task.cell.repeat - 1
if n == 2:
    sys.exit("worker lost")
save(Path(sys.argv[1]), conversation(*KTAP_PASS) if n else conversation(*KTAP_FAIL, status=1))
"""


def test_another_executor_carries_cells_out_elsewhere_and_the_run_is_the_same(
    tmp_path: Path,
) -> None:
    some = cells(1, 2, 1, 1)
    some.append(replace(cells(*[1] * 5)[4], skip="needs swap"))

    async def work(one: Cell) -> None:
        if number(one) == 2:
            raise RuntimeError("worker lost")

    class Mixed(FakeGuests):
        async def carry_out(self, task: CellTask, folder: Path, turn: Turn) -> None:
            await super().carry_out(task, folder, turn)
            if number(task.cell) == 0:
                save(folder, conversation(*KTAP_FAIL, status=1))

    here = a_run(tmp_path / "here", some, local(2, Mixed(work=work)))
    other = ProcessExecutor(2, CHILD)
    there = a_run(tmp_path / "there", some, other)
    for run in (here, there):
        asyncio.run(asyncio.wait_for(run.carry_out(2), 100))
    assert sorted(other.done) == sorted(some[n].id for n in (0, 1, 3))
    assert sorted(here.journal) == sorted(there.journal) == [0, 1, 2, 3, 4]
    for n in range(5):
        a, b = here.observed(n), there.observed(n)
        assert (a.ended, a.fault, a.detail, a.skip, a.subtests) == (
            b.ended, b.fault, b.detail, b.skip, b.subtests,
        )  # fmt: skip
        script = f"cells/{some[n].id}/reproduce.sh"
        assert (tmp_path / "here" / script).exists() is (n != 4)
        assert (tmp_path / "there" / script).exists() is (n != 4)
