# SPDX-License-Identifier: GPL-2.0
"""From a lab to its cells: which there are, which are left out, and what a filter keeps."""

from __future__ import annotations

import pytest

from rmaplab.errors import UserError
from rmaplab.model import NumaNode, Requirements
from rmaplab.plan import Plan, plan, select

from .builders import guest, kernel, lab, settings, testcase

TWO_NODES = guest("numa", nodes=[NumaNode(512, (0,)), NumaNode(512, (1,))])
BARE = guest("bare", devices=(), swap_mb=0)


def names(whole: Plan) -> list[str]:
    return [cell.id for cell in whole.cells]


def big() -> Plan:
    return plan(
        lab(
            kernels=[kernel("base"), kernel("patched")],
            guests=[guest(), TWO_NODES],
            settings=[settings("thp-never"), settings("thp-always")],
            testcases=[testcase(), testcase("migrate/numa", id="T8")],
            repeat=3,
        )
    )


def test_a_plan_is_every_combination_with_every_repeat() -> None:
    assert len(big().cells) == 2 * 2 * 2 * 2 * 3


def test_every_cell_has_an_id_of_its_own_that_can_name_a_folder() -> None:
    ids = names(big())
    assert len(set(ids)) == len(ids)
    assert not any("/" in one for one in ids)
    assert ids[0] == "base.q35.thp-never.exclusive.mapcount.1"


def test_a_testcase_is_left_out_under_settings_that_make_no_sense_for_it() -> None:
    whole = plan(
        lab(
            settings=[settings("thp-never"), settings("hugetlb-2m")],
            testcases=[testcase(settings=["thp-never"])],
        )
    )
    assert names(whole) == ["base.q35.thp-never.exclusive.mapcount.1"]
    assert [(one.testcase, one.settings) for one in whole.left_out] == [
        ("exclusive/mapcount", "hugetlb-2m")
    ]


@pytest.mark.parametrize(
    ("needs", "on", "why"),
    [
        (Requirements(devices=("dmirror",)), BARE, "needs the device dmirror"),
        (Requirements(nodes=2), guest(), "needs 2 NUMA nodes; the guest q35 has 1"),
        (Requirements(cpus=2), guest(), "needs 2 vCPUs; the guest q35 has 1"),
        (Requirements(memory_mb=2048), guest(), "needs 2048 MB of memory; the guest q35 has 512"),
        (Requirements(swap=True), BARE, "needs swap; the guest bare has none"),
    ],
)
def test_an_unmet_requirement_stays_a_cell_that_says_why_it_is_skipped(
    needs: Requirements, on: object, why: str
) -> None:
    (cell,) = plan(lab(guests=[on], testcases=[testcase(requires=needs)])).cells  # type: ignore[list-item]
    assert cell.skip.startswith(why)


def test_a_requirement_that_is_just_met_is_no_skip() -> None:
    needs = Requirements(("dmirror",), nodes=2, cpus=2, memory_mb=1024, swap=True)
    (cell,) = plan(lab(guests=[TWO_NODES], testcases=[testcase(requires=needs)])).cells
    assert cell.skip == ""


@pytest.mark.parametrize(
    ("expression", "count"),
    [
        ("", 48),
        ("kernel=base", 24),
        ("kernel=base,guest=numa", 12),
        ("testcase=migrate/*", 24),
        ("testcase=T8", 24),
        ("migrate/numa", 24),
        ("T1|T8", 48),
        ("settings=thp-never|thp-always , kernel=patched", 24),
        ("testcase=T8,kernel=patched,guest=q35,settings=thp-always", 3),
    ],
)
def test_a_filter_keeps_the_cells_that_match_every_term(expression: str, count: int) -> None:
    assert len(select(big(), expression).cells) == count


def test_a_filter_that_matches_nothing_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match="no cell matches 'kernel=nope'"):
        select(big(), "kernel=nope")


def test_a_filter_with_an_unknown_field_names_the_fields() -> None:
    with pytest.raises(UserError, match="unknown field 'kernels'") as caught:
        select(big(), "kernels=base")
    assert "kernel, guest, settings, testcase" in caught.value.hint
