# SPDX-License-Identifier: GPL-2.0
"""Runs of several trees: a skip of what passes elsewhere is lost coverage, and is shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rmaplab.compare.trees import (
    FAIL,
    KNOWN,
    LOST,
    PASS,
    SKIP,
    OnTree,
    TreesComparison,
    compare_trees,
)
from rmaplab.model import CellResult, Outcome, Requirements, Subtest, Verdict
from rmaplab.plan import plan

from .builders import (
    KTAP_FAIL,
    KTAP_PASS,
    cell,
    conversation,
    facts,
    failed,
    judgement,
    lab,
    observation,
    passed,
    result,
    run_folder,
    settings,
    testcase,
)
from .test_cli import Command, command

__all__ = ["command"]

OLD, NEW = "6.12.117", "7.3.4"
SKIPPED = observation(skip="inconclusive: no page stays in the swap cache")
BIT = Subtest("the bit stays", Verdict.PASS)
NO_BIT = Subtest("the bit stays", Verdict.SKIP, why="inconclusive: no swap")


def on(version: str, *results: CellResult) -> OnTree:
    return OnTree(version, version, results)


def compared(old: CellResult, new: CellResult) -> TreesComparison:
    return compare_trees([on(OLD, old), on(NEW, new)])


def test_a_skip_of_what_passes_on_another_tree_is_lost() -> None:
    found = compared(result(), result(SKIPPED))
    (row,) = found.rows
    assert row.counts == ({PASS: 1}, {LOST: 1})
    (lost,) = found.lost
    assert (lost.tree, lost.elsewhere, lost.subtest) == (NEW, (OLD,), "")
    assert "inconclusive: no page stays" in lost.why


def test_a_skip_on_every_tree_is_no_loss() -> None:
    found = compared(result(SKIPPED), result(SKIPPED))
    assert found.lost == ()
    assert found.rows[0].counts == ({SKIP: 1}, {SKIP: 1})
    assert not found.rows[0].differs


def test_a_skip_where_the_other_fails_is_no_loss() -> None:
    assert compared(result(observation(failed())), result(SKIPPED)).lost == ()


def test_only_the_same_guest_and_settings_are_held_against_each_other() -> None:
    elsewhere = cell(settings=settings("thp-always"))
    assert compared(result(), result(SKIPPED, cell=elsewhere)).lost == ()


@pytest.mark.parametrize(("wanted", "lost"), [("<7.2", 0), (">=7.2", 1), ("", 1)])
def test_a_testcase_that_is_not_for_a_tree_is_not_lost_there(wanted: str, lost: int) -> None:
    one = testcase(requires=Requirements((), tree=wanted))
    found = compared(result(cell=cell(testcase=one)), result(SKIPPED, cell=cell(testcase=one)))
    assert len(found.lost) == lost


def test_what_the_plan_skips_is_not_lost() -> None:
    planned = cell(skip="needs 2 NUMA nodes")
    assert compared(result(), result(SKIPPED, cell=planned)).lost == ()


@pytest.mark.parametrize("gone", [(), (NO_BIT,)])
def test_a_subtest_that_is_skipped_or_does_not_come_is_lost(gone: tuple[Subtest, ...]) -> None:
    found = compared(result(observation(passed(), BIT)), result(observation(passed(), *gone)))
    (lost,) = found.lost
    assert (lost.subtest, lost.tree) == (BIT.name, NEW)
    assert lost.why == ("inconclusive: no swap" if gone else "it does not come")
    assert found.rows[0].counts == ({PASS: 1}, {PASS: 1})


def test_what_a_cell_that_died_did_not_show_is_not_called_lost() -> None:
    died = result(observation(passed(), outcome=Outcome.PANIC, detail="Kernel panic"))
    found = compared(result(observation(passed(), BIT)), died)
    assert found.lost == ()
    assert found.rows[0].counts == ({PASS: 1}, {FAIL: 1})
    assert found.rows[0].differs


def test_a_known_failure_is_told_from_another_one() -> None:
    known = result(judged=judgement(Verdict.FAIL, as_expected=True))
    found = compared(known, result(judged=judgement(Verdict.FAIL)))
    assert found.rows[0].counts == ({KNOWN: 1}, {FAIL: 1})


def test_a_testcase_that_was_not_run_on_a_tree_has_nothing_there() -> None:
    other = result(cell=cell(testcase=testcase("control/empty")))
    found = compared(result(), other)
    assert [(row.testcase, row.counts) for row in found.rows] == [
        ("control/empty", (None, {PASS: 1})),
        ("exclusive/mapcount", ({PASS: 1}, None)),
    ]
    assert not any(row.differs for row in found.rows)


# -- the verb --------------------------------------------------------------------------------------


def run(path: Path, version: str, *said: str, status: int = 0) -> Path:
    wanted = lab()
    names = [one.id for one in plan(wanted).cells]
    kernels = {one.name: replace(facts(), version=version) for one in wanted.kernels}
    lines = conversation(*said, status=status)
    return run_folder(path, wanted, dict.fromkeys(names, lines), kernels=kernels).path


INCONCLUSIVE = ("TAP version 13", "1..0 # SKIP inconclusive: nothing was reclaimed")


def test_the_verb_names_what_was_lost(tmp_path: Path, command: Command) -> None:
    runs = (
        run(tmp_path / "a", OLD, *KTAP_PASS),
        run(tmp_path / "b", NEW, *INCONCLUSIVE),
    )
    answer = command("trees", *runs)
    assert answer.code == 0, answer.err
    assert f"lost on {NEW}: " in answer.out
    assert f"{NEW}: " in answer.out.splitlines()[-1]
    said = json.loads(command("trees", *runs, "--format", "json").out)
    assert said["trees"] == [OLD, NEW]
    assert all(one["tree"] == NEW for one in said["lost"])
    assert set(said["testcases"][0]["standings"]) == {OLD, NEW}
    page = command("trees", *runs, "--format", "markdown").out
    assert page.splitlines()[0] == f"| testcase | {OLD} | {NEW} |"


def test_what_went_alike_is_shown_if_it_is_asked_for(tmp_path: Path, command: Command) -> None:
    runs = (run(tmp_path / "a", OLD, *KTAP_PASS), run(tmp_path / "b", NEW, *KTAP_PASS))
    assert "exclusive/mapcount" not in command("trees", *runs).out
    assert "exclusive/mapcount" in command("trees", *runs, "--all").out


def test_two_runs_of_one_version_are_told_apart(tmp_path: Path, command: Command) -> None:
    runs = (
        run(tmp_path / "a", OLD, *KTAP_PASS),
        run(tmp_path / "b", OLD, *KTAP_FAIL, status=1),
    )
    said = json.loads(command("trees", *runs, "--format", "json").out)
    assert said["trees"] == [f"{OLD} (a: base)", f"{OLD} (b: base)"]


def test_one_run_is_not_enough_and_none_may_be_there_twice(
    tmp_path: Path, command: Command
) -> None:
    one = run(tmp_path / "a", OLD, *KTAP_PASS)
    assert "one kernel is not enough" in command("trees", one).err
    assert command("trees", one).code == 2
    twice = command("trees", one, one)
    assert (twice.code, "named twice" in twice.err) == (2, True)
    assert command("trees", one, tmp_path / "none").code == 2
