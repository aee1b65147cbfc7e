# SPDX-License-Identifier: GPL-2.0
"""The history of durations: learnt, shared, and never in the way."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rmaplab.log import log
from rmaplab.model import Cell, CellResult, Fault, Observation, Outcome
from rmaplab.store import history as history_module
from rmaplab.store.cache import Cache
from rmaplab.store.history import History

from .builders import cell, failed, guest, observation, passed, result, settings, testcase

HERE = cell()
ELSEWHERE = cell(settings=settings("thp-always"))
OTHER = cell(testcase=testcase("exclusive/other"))


@pytest.fixture(autouse=True)
def plain() -> None:
    log.configure(color="never", verbose=0)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(Cache(tmp_path))


def ended(where: Cell, seconds: float, seen: Observation | None = None) -> CellResult:
    shown = seen or observation(passed())
    return result(
        Observation(
            ended=shown.ended, fault=shown.fault, detail=shown.detail, skip=shown.skip,
            subtests=shown.subtests, duration_s=seconds,
        ),
        cell=where,
    )  # fmt: skip


def test_nothing_is_known_and_nothing_made_before_the_first_run(history: History) -> None:
    assert history.expected([HERE]) == {}
    assert not history.path.parent.exists()


def test_what_a_cell_took_is_expected_of_it(history: History) -> None:
    history.learn([ended(HERE, 2.0), ended(cell(repeat=2), 4.0)], "tcg")
    assert history.expected([HERE, cell(repeat=7)], "tcg") == {HERE.id: 3.0, cell(repeat=7).id: 3.0}


def test_any_kernel_is_expected_to_take_as_long(history: History) -> None:
    history.learn([ended(HERE, 2.0)], "tcg")
    patched = cell(kernel="patched")
    assert history.expected([patched], "tcg") == {patched.id: 2.0}


def test_a_cell_that_never_ran_is_expected_to_be_as_its_testcase_elsewhere(
    history: History,
) -> None:
    history.learn([ended(HERE, 2.0), ended(cell(guest=guest("numa")), 4.0)], "tcg")
    assert history.expected([ELSEWHERE, OTHER], "tcg") == {ELSEWHERE.id: 3.0}


def test_accelerators_are_apart_and_the_last_one_stands_for_an_unnamed(history: History) -> None:
    history.learn([ended(HERE, 8.0)], "tcg")
    history.learn([ended(HERE, 1.0)], "kvm")
    assert history.expected([HERE], "tcg") == {HERE.id: 8.0}
    assert history.expected([HERE]) == {HERE.id: 1.0}


def test_what_was_measured_long_ago_fades(history: History) -> None:
    history.learn([ended(HERE, 100.0)] * 50, "tcg")
    for _ in range(40):
        history.learn([ended(HERE, 1.0)], "tcg")
    assert history.expected([HERE], "tcg")[HERE.id] < 3.0


def test_a_failure_is_learnt_but_neither_a_skip_nor_an_error(history: History) -> None:
    lost = observation(outcome=Outcome.LOST, fault=Fault.LAB, detail="the lab ended")
    history.learn(
        [
            ended(HERE, 5.0, observation(failed())),
            ended(ELSEWHERE, 0.0, observation(skip="needs swap")),
            ended(OTHER, 90.0, lost),
        ],
        "tcg",
    )
    assert history.expected([OTHER], "tcg") == {}
    assert history.expected([ELSEWHERE], "tcg") == {ELSEWHERE.id: 5.0}


def test_a_cell_that_will_be_skipped_takes_no_time(history: History) -> None:
    history.learn([ended(HERE, 5.0)], "tcg")
    skipped = cell(skip="needs swap")
    assert history.expected([skipped], "tcg") == {skipped.id: 0.0}


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:3000])


def _other_shape(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE durations (other)")
        base.execute("PRAGMA user_version = 1")
    base.close()


@pytest.mark.parametrize(
    "damage",
    [lambda path: path.write_bytes(b"not a database, but long enough to be one" * 99),
     _cut, _other_shape],
)  # fmt: skip
def test_a_damaged_history_is_dropped_with_one_line_and_begun_again(
    history: History, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    history.learn([ended(HERE, 5.0)], "tcg")
    damage(history.path)
    log.configure(color="never", verbose=0)
    capsys.readouterr()
    assert history.expected([HERE], "tcg") == {}
    said = capsys.readouterr().err
    assert said.count("history of durations is damaged") == 1
    history.learn([ended(HERE, 2.0)], "tcg")
    assert history.expected([HERE], "tcg") == {HERE.id: 2.0}


def test_values_that_make_no_sense_are_passed_over(history: History) -> None:
    history.learn([ended(HERE, 5.0), ended(ELSEWHERE, 5.0), ended(OTHER, 5.0)], "tcg")
    base = sqlite3.connect(history.path)
    base.execute("UPDATE durations SET seconds = 'much' WHERE settings = 'thp-always'")
    base.execute("UPDATE durations SET seconds = -1e999 WHERE testcase = 'exclusive/other'")
    base.commit()
    base.close()
    assert history.expected([HERE, OTHER], "tcg") == {HERE.id: 5.0}
    history.learn([ended(ELSEWHERE, 7.0), ended(OTHER, 7.0)], "tcg")
    assert history.expected([OTHER], "tcg") == {OTHER.id: 7.0}


def test_a_history_that_cannot_be_written_ends_no_run(tmp_path: Path) -> None:
    (tmp_path / "history").write_text("a file, not a folder", encoding="utf-8")
    blocked = History(Cache(tmp_path))
    blocked.learn([ended(HERE, 5.0)], "tcg")
    assert blocked.expected([HERE], "tcg") == {}


def test_labs_at_once_lose_nothing(tmp_path: Path) -> None:
    places = [cell(testcase=testcase(f"exclusive/t{number}")) for number in range(16)]
    together = threading.Barrier(len(places))

    def one_lab(where: Cell) -> None:
        together.wait()
        History(Cache(tmp_path)).learn([ended(where, 3.0)], "tcg")

    labs = [threading.Thread(target=one_lab, args=(where,)) for where in places]
    for one in labs:
        one.start()
    for one in labs:
        one.join()
    assert History(Cache(tmp_path)).expected(places, "tcg") == {one.id: 3.0 for one in places}


def test_a_lab_that_was_quicker_to_make_the_history_loses_nothing(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.learn([ended(HERE, 5.0)], "tcg")
    looks = iter([0])
    look = history_module._version
    monkeypatch.setattr(history_module, "_version", lambda base: next(looks, look(base)))
    history.learn([ended(OTHER, 5.0)], "tcg")
    assert history.expected([HERE, OTHER], "tcg") == {HERE.id: 5.0, OTHER.id: 5.0}
