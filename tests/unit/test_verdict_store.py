# SPDX-License-Identifier: GPL-2.0
"""The store of verdicts: nothing lost, nothing doubled, and never in a run's way."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rmaplab.log import log
from rmaplab.model import Mark, Outcome, PastCell, PastKernel, PastPlace, PastRun, Verdict
from rmaplab.store import verdicts
from rmaplab.store.cache import Cache
from rmaplab.store.verdicts import VerdictStore

ROOT = Path(__file__).resolve().parent.parent.parent
BASE = PastKernel("b" * 16, "line", "git:linux#master", "commit 1", "6.12.0", "", 0, "guest")
PATCHED = replace(BASE, identity="f" * 16, line="f" * 16, series="x.mbox", patches=3)
PLACE = PastPlace("exclusive/mapcount", "test", BASE.identity, "q35", "dmirror", "thp-never", "tcg")
RUN = PastRun("1" * 16, "2026-01-01T00:00:00+00:00", "rmap", "/run", "tcg", "host", "good")
CELL = PastCell(PLACE, "base", 1, "p", Verdict.PASS, Outcome.COMPLETED, True, False, 2.0, None)


@pytest.fixture
def store(tmp_path: Path) -> VerdictStore:
    log.configure(color="never", verbose=0)
    return VerdictStore(Cache(tmp_path), wait_s=0.2)


def failed(cell: PastCell = CELL, *, alarm: bool = True) -> PastCell:
    return replace(cell, verdict=Verdict.FAIL, as_expected=not alarm, alarm=alarm, failure="a" * 16)


def run(number: int) -> PastRun:
    return replace(RUN, uid=f"{number:016x}", began=f"2026-01-{number:02}T00:00:00+00:00")


def counted(store: VerdictStore) -> list[tuple[int, int, int, int]]:
    """The counts of each point of all places."""
    points = store.points(store.places())
    return [(p.passed, p.failed, p.skipped, p.errors) for some in points.values() for p in some]


def test_nothing_is_there_and_nothing_made_before_the_first_run(store: VerdictStore) -> None:
    assert (store.runs(), store.kernels(), store.places(), store.marks()) == ({}, {}, {}, ())
    assert not store.path.parent.exists()


def test_a_run_is_read_back_as_it_was(store: VerdictStore) -> None:
    several = [
        CELL,
        replace(CELL, repeat=2, verdict=Verdict.SKIP),
        replace(CELL, repeat=3, verdict=Verdict.ERROR, outcome=Outcome.LOST, reason="\ud800"),
        failed(replace(CELL, repeat=4, seconds=4.0)),
    ]
    assert store.add(RUN, [BASE, PATCHED], several) == ""
    assert list(store.runs().values()) == [RUN]
    assert store.kernels() == {BASE.identity: BASE, PATCHED.identity: PATCHED}
    ((number, place),) = store.places().items()
    assert place == PLACE
    (point,) = store.points([number])[number]
    assert (point.passed, point.failed, point.skipped, point.errors, point.alarms) == (
        1, 1, 1, 1, 1,
    )  # fmt: skip
    assert (point.kernel, point.program, point.cost) == (BASE.identity, "p", 3.0)
    assert store.alarms([number]) == [(number, "a" * 16, True)]


def test_a_run_that_is_added_again_replaces_itself(store: VerdictStore) -> None:
    store.add(RUN, [BASE], [CELL, replace(CELL, repeat=2)])
    store.add(RUN, [BASE], [failed()])
    assert counted(store) == [(0, 1, 0, 0)]
    assert len(store.runs()) == 1


def test_two_kernels_of_one_run_that_are_the_same_are_both_there(store: VerdictStore) -> None:
    store.add(RUN, [BASE], [CELL, replace(CELL, name="other")])
    assert counted(store) == [(2, 0, 0, 0)]


def test_instructions_are_the_cost_where_they_were_counted(store: VerdictStore) -> None:
    store.add(RUN, [BASE], [replace(CELL, instructions=1000)])
    (points,) = store.points(store.places()).values()
    assert points[0].cost == 1000


def test_points_are_in_the_order_in_which_the_runs_began(store: VerdictStore) -> None:
    for number in (3, 1, 2):
        store.add(run(number), [BASE], [CELL if number != 1 else failed()])
    assert counted(store) == [(0, 1, 0, 0), (1, 0, 0, 0), (1, 0, 0, 0)]


def test_a_workload_that_changed_does_not_contradict(store: VerdictStore) -> None:
    store.add(run(1), [BASE], [failed()])
    store.add(run(2), [BASE], [replace(CELL, program="other")])
    assert [also for _, _, also in store.alarms(store.places())] == [False]


def test_the_kernels_of_the_last_run_are_told(store: VerdictStore) -> None:
    patched = replace(CELL, name="patched", place=replace(PLACE, kernel=PATCHED.identity))
    store.add(run(1), [BASE], [CELL])
    store.add(run(2), [BASE, PATCHED], [patched])
    backwards = tuple(reversed(store.runs()))
    assert store.last_kernels(store.places(), backwards) == {PATCHED.identity}


def test_a_mark_stays_and_can_be_taken_back(store: VerdictStore) -> None:
    mark = Mark("a" * 16, "the test was wrong", "me", "2026-01-01")
    assert store.mark(replace(mark, reason="hm")) == store.mark(mark) == ""
    store.add(RUN, [BASE], [failed()])
    assert store.marks() == (mark,)
    assert store.knows("a" * 16)
    assert not store.knows("b" * 16)
    assert store.unmark("a" * 16)
    assert not store.unmark("a" * 16)
    assert store.marks() == ()


# -- what may happen to it -------------------------------------------------------------------------


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:3000])


def _flipped(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    for place in range(4096, len(raw), 64):
        raw[place] ^= 0xFF
    path.write_bytes(raw)


def _other_shape(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE cells (other)")
        base.execute(f"PRAGMA user_version = {verdicts.VERSION}")
    base.close()


@pytest.mark.parametrize(
    "damage", [lambda path: path.write_bytes(b"no database " * 99), _cut, _flipped, _other_shape]
)
def test_a_damaged_store_is_set_aside_and_a_new_one_begun(
    store: VerdictStore, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    store.add(run(1), [BASE], [CELL])
    damage(store.path)
    damaged = store.path.read_bytes()
    log.configure(color="never", verbose=0)
    assert store.add(run(2), [BASE], [CELL]) == ""
    assert capsys.readouterr().err.count("history is damaged") == 1
    assert [one.uid for one in store.runs().values()] == [run(2).uid]
    assert store.path.with_name("damaged-1.sqlite").read_bytes() == damaged


def test_a_store_of_a_newer_lab_is_left_alone(
    store: VerdictStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.add(RUN, [BASE], [CELL])
    with sqlite3.connect(store.path) as base:
        base.execute(f"PRAGMA user_version = {verdicts.VERSION + 1}")
    base.close()
    before = store.path.read_bytes()
    log.configure(color="never", verbose=0)
    assert "newer version" in store.add(run(2), [BASE], [CELL])
    assert "newer version" in " ".join(capsys.readouterr().err.split())
    assert store.runs() == {}
    assert store.path.read_bytes() == before


def test_a_locked_store_is_said_and_waited_for_no_longer_than_told(
    store: VerdictStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.add(run(1), [BASE], [CELL])
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    log.configure(color="never", verbose=0)
    assert "locked" in store.add(run(2), [BASE], [CELL])
    assert store.runs() == {}
    assert "locked" in capsys.readouterr().err
    other.execute("ROLLBACK")
    other.close()
    assert store.add(run(2), [BASE], [CELL]) == ""
    assert len(store.runs()) == 2


def test_a_full_disk_leaves_the_store_as_it_was(
    store: VerdictStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(run(1), [BASE], [CELL])
    prepare = verdicts._prepare

    def full(base: sqlite3.Connection) -> None:
        prepare(base)
        (pages,) = base.execute("PRAGMA page_count").fetchone()
        base.execute(f"PRAGMA max_page_count = {pages}")

    many = [replace(CELL, repeat=n, reason=f"why {n}") for n in range(1, 2000)]
    with monkeypatch.context() as patch:
        patch.setattr(verdicts, "_prepare", full)
        assert "full" in store.add(run(2), [BASE], many)
    assert counted(store) == [(1, 0, 0, 0)]
    assert store.add(run(2), [BASE], many) == ""
    assert counted(store) == [(1, 0, 0, 0), (1999, 0, 0, 0)]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "history").write_text("a file", encoding="utf-8")
    assert "history" in VerdictStore(Cache(tmp_path)).add(RUN, [BASE], [CELL])


def test_a_path_that_cannot_even_be_looked_at_is_said_and_raises_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure(color="never", verbose=0)
    store = VerdictStore(Cache(tmp_path / ("x" * 300)))
    assert store.add(RUN, [BASE], [CELL])
    assert (store.runs(), store.marks()) == ({}, ())
    assert "the history is not used" in capsys.readouterr().err


def test_labs_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    many = [replace(CELL, repeat=n) for n in range(1, 50)]
    together = threading.Barrier(8)

    def one_lab(number: int) -> None:
        together.wait()
        for _ in range(3):  # the same run again and again
            assert VerdictStore(Cache(tmp_path), 60).add(run(number), [BASE], many) == ""

    labs = [threading.Thread(target=one_lab, args=(number,)) for number in range(1, 9)]
    for one in labs:
        one.start()
    for one in labs:
        one.join()
    assert counted(VerdictStore(Cache(tmp_path))) == [(49, 0, 0, 0)] * 8


_WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.unit.test_verdict_store import BASE, CELL, Cache, VerdictStore, run
many = [replace(CELL, repeat=n, reason=f"why {n}") for n in range(1, 4001)]
number = 0
while True:
    number = number % 28 + 1
    assert VerdictStore(Cache(Path(sys.argv[1]))).add(run(number), [BASE], many) == ""
    print(number, flush=True)
"""


@pytest.mark.parametrize("delay_ms", [0, 7, 23, 61])
def test_a_killed_writer_leaves_whole_runs(tmp_path: Path, delay_ms: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)],
        cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as writer:  # fmt: skip
        assert writer.stdout is not None
        writer.stdout.readline()
        threading.Event().wait(delay_ms / 1000)  # any moment of the next transaction
        writer.send_signal(signal.SIGKILL)
    store = VerdictStore(Cache(tmp_path))
    runs = store.runs()
    assert runs
    assert counted(store) == [(4000, 0, 0, 0)] * len(runs)
    assert store.add(run(28), [BASE], [CELL]) == ""
