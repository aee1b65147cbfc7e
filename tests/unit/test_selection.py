# SPDX-License-Identifier: GPL-2.0
"""A sample covers every pair of values that can run, the same way each time; the cap holds."""

from __future__ import annotations

import itertools

import covertable
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from rmaplab.errors import ExitCode, InfraError, UserError
from rmaplab.model import Lab, NumaNode, Requirements
from rmaplab.pipeline.labs import ab_lab
from rmaplab.plan import Plan, plan
from rmaplab.selection import Pair, Point, choose, covering, narrowing, pairs, pairwise

from .builders import exclusion, guest, inclusion, kernel, lab, settings, testcase

SETTINGS = ("thp-never", "thp-madvise", "thp-always", "mthp-64k")
POINTS = st.lists(st.sampled_from("abcd"), min_size=5, max_size=5).map(tuple)


def named(whole: Plan, *, kernels: bool) -> list[Point]:
    """Kernel, guest, device, settings and testcase of each row that can run."""
    cells = [row.first for row in whole.rows if not row.first.skip]
    return [
        (c.kernel if kernels else "", c.guest.name, c.devices, c.settings.name, c.testcase.name)
        for c in cells
    ]


@st.composite
def labs(draw: st.DrawFn) -> Lab:
    """Labs in which some combinations make no sense, some are excluded, some cannot run."""
    two = [NumaNode(512, (0,)), NumaNode(512, (1,))]
    guests = [guest("one"), guest("two", nodes=two), guest("bare", devices=())]
    testcases = [
        testcase(
            f"exclusive/t{number}",
            id=f"T{number}",
            settings=draw(st.lists(st.sampled_from(SETTINGS), min_size=1, unique=True)),
            requires=draw(
                st.sampled_from(
                    [Requirements(), Requirements(nodes=2), Requirements(devices=("dmirror",))]
                )
            ),
        )
        for number in range(draw(st.integers(1, 6)))
    ]
    patterns = st.fixed_dictionaries(
        {"settings": st.sampled_from(SETTINGS)},
        optional={
            "kernel": st.sampled_from(["k0", "k1", "base"]),
            "guest": st.sampled_from(["one", "two"]),
            "testcase": st.sampled_from(["T0", "*/t1"]),
        },
    )
    return lab(
        kernels=[kernel(f"k{number}") for number in range(draw(st.integers(1, 3)))],
        guests=guests[: draw(st.integers(1, 3))],
        settings=[settings(name) for name in SETTINGS[: draw(st.integers(1, 4))]],
        testcases=testcases,
        repeat=draw(st.integers(1, 2)),
        devices=draw(st.sampled_from([(), ("dmirror", "none")])),
        exclusions=[exclusion(**one) for one in draw(st.lists(patterns, max_size=2))],
        inclusions=draw(
            st.sampled_from([(), (inclusion(kernel="k0", testcases=[testcase("migrate/more")]),)])
        ),
    )


@effort(deadline=None, max_examples=40)
@given(st.lists(POINTS, min_size=1, max_size=40))
def test_the_chosen_points_have_every_pair_of_values_and_are_allowed(points: list[Point]) -> None:
    chosen = covering(points)
    assert chosen <= set(points)
    wanted: set[Pair] = set()
    for point in points:
        for i, j in itertools.combinations(range(5), 2):
            wanted.add((i, point[i], j, point[j]))
    assert pairs(chosen) == wanted


@effort(deadline=None, max_examples=40)
@given(labs())
def test_a_sample_of_a_run_has_every_pair_of_values_that_can_run(wanted: Lab) -> None:
    whole = plan(wanted)
    some = pairwise(whole)
    assert pairs(named(some, kernels=True)) == pairs(named(whole, kernels=True))
    assert {row.first.id for row in some.rows} <= {row.first.id for row in whole.rows}
    assert len(some.rows) + len(some.left_out) == len(whole.rows) + len(whole.left_out)
    assert pairwise(whole) == some


@effort(deadline=None, max_examples=40)
@given(labs())
def test_a_sample_of_an_ab_has_the_same_rows_on_both_sides(wanted: Lab) -> None:
    whole = plan(ab_lab(wanted, "x"))
    some = pairwise(whole, alike=True)
    assert pairs(named(some, kernels=False)) == pairs(named(whole, kernels=False))
    sides = {
        name: {row.first.id.split(".", 1)[1] for row in some.rows if row.first.kernel == name}
        for name in ("base", "patched")
    }
    assert sides["base"] == sides["patched"]


def test_a_sample_is_smaller_than_the_product_and_keeps_the_repeats() -> None:
    wanted = lab(
        guests=[guest("one"), guest("two"), guest("three")],
        settings=[settings(name) for name in SETTINGS],
        testcases=[testcase(f"exclusive/t{n}", id=f"T{n}", settings=SETTINGS) for n in range(5)],
        repeat=2,
    )
    whole, some = plan(wanted), choose(wanted, sample="pairwise")
    assert len(whole.rows) == 60
    assert 20 <= len(some.rows) <= 30
    assert some.size == 2 * len(some.rows)
    assert {one.reason for one in some.left_out} == {
        "its pairs are in other cells (--sample pairwise)"
    }


def test_a_row_that_would_be_skipped_covers_nothing() -> None:
    needs = testcase("migrate/numa", id="T8", requires=Requirements(nodes=2))
    numa = guest("numa", nodes=[NumaNode(512, (0,)), NumaNode(512, (1,))])
    some = pairwise(plan(lab(guests=[guest(), numa], testcases=[testcase(), needs])))
    assert not any(row.first.skip for row in some.rows)
    assert ("numa", "migrate/numa") in {
        (row.first.guest.name, row.first.testcase.name) for row in some.rows
    }
    assert "needs 2 NUMA nodes; the guest q35 has 1" in {one.reason for one in some.left_out}


def test_where_nothing_can_run_the_gap_is_shown_as_it_is() -> None:
    whole = plan(lab(testcases=[testcase(requires=Requirements(nodes=2))]))
    assert pairwise(whole) == whole


def test_a_pair_that_the_library_forgot_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = covertable.make
    monkeypatch.setattr(covertable, "make", lambda *args, **more: made(*args, **more)[1:])
    points = [tuple(point) for point in itertools.product("ab", "cd", "ef")]
    with pytest.raises(InfraError, match="left a pair out"):
        covering(points)


def test_a_sample_is_taken_of_what_the_filter_keeps() -> None:
    wanted = lab(
        guests=[guest("one"), guest("two")],
        settings=[settings(name) for name in SETTINGS],
        testcases=[testcase("exclusive/a", settings=SETTINGS), testcase("exclusive/b", id="T2")],
    )
    some = choose(wanted, filter="guest=two,testcase=exclusive/a", sample="pairwise")
    assert [row.first.settings.name for row in some.rows] == list(SETTINGS)


# -- the cap -----------------------------------------------------------------------------------


def capped(cap: int) -> Lab:
    return lab(
        guests=[guest("one"), guest("two")],
        settings=[settings("thp-never"), settings("thp-always")],
        testcases=[testcase("exclusive/a"), testcase("exclusive/b", id="T2")],
        repeat=2,
        cap=cap,
    )


def test_more_cells_than_the_cap_are_refused_with_both_figures() -> None:
    with pytest.raises(UserError, match="16 cells are more than the cap of 15") as caught:
        choose(capped(15))
    assert caught.value.exit_code is ExitCode.USAGE
    assert "--sample" in caught.value.hint


def test_as_many_cells_as_the_cap_or_a_part_of_the_lab_are_run() -> None:
    assert choose(capped(16)).size == 16
    assert choose(capped(8), filter="guest=one").size == 8
    assert choose(capped(8), sample="pairwise").size == 8
    assert choose(capped(0)).size == 16


def test_how_a_run_was_narrowed_is_said_as_it_was_typed() -> None:
    assert narrowing("T1", "pairwise") == "--filter T1 --sample pairwise"
    assert narrowing("", "") == ""
