# SPDX-License-Identifier: GPL-2.0
"""From a lab to its cells: which there are, which are left out, and what a filter keeps."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from rmaplab.errors import UserError
from rmaplab.judge import applies
from rmaplab.model import Lab, NumaNode, Requirements, Userspace, selects
from rmaplab.pipeline.labs import ab_lab
from rmaplab.plan import Plan, plan, select

from .builders import exclusion, expectation, guest, inclusion, kernel, lab, settings, testcase

TWO_NODES = guest("numa", nodes=[NumaNode(512, (0,)), NumaNode(512, (1,))])
BARE = guest("bare", devices=(), swap_mb=0)

ON_HOST = dataclasses.replace(guest("virtme"), userspace=Userspace.HOST)


def names(whole: Plan) -> list[str]:
    return [cell.id for cell in whole.cells]


def big_lab() -> Lab:
    return lab(
        kernels=[kernel("base"), kernel("patched")],
        guests=[guest(), TWO_NODES],
        settings=[settings("thp-never"), settings("thp-always")],
        testcases=[testcase(), testcase("migrate/numa", id="T8")],
        repeat=3,
    )


def big() -> Plan:
    return plan(big_lab())


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
        (
            Requirements(userspace=Userspace.HOST),
            guest(),
            "needs the host's userspace; the guest q35 has an initramfs",
        ),
        (
            Requirements(userspace=Userspace.INITRAMFS),
            ON_HOST,
            "needs an initramfs; the guest virtme has the host's userspace",
        ),
        (
            Requirements(movable_mb=128),
            BARE,
            "needs 128 MB of movable memory; the guest bare has 0",
        ),
        (Requirements(slow_nodes=1), TWO_NODES, "needs 1 slow NUMA nodes; the guest numa has 0"),
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


def test_a_script_runs_where_its_interpreter_is_and_a_program_everywhere() -> None:
    script = testcase("distribution/x", id="D1", requires=Requirements(userspace=Userspace.HOST))
    whole = plan(lab(guests=[guest(), ON_HOST], testcases=[testcase(), script]))
    assert [cell.id.split(".")[1:4:2] for cell in whole.cells if not cell.skip] == [
        ["q35", "exclusive"], ["virtme", "exclusive"], ["virtme", "distribution"],
    ]  # fmt: skip


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
    with pytest.raises(UserError, match=r"no cell matches kernel 'nope'; known: base, patched"):
        select(big(), "kernel=nope")
    with pytest.raises(UserError, match="no cell matches 'T1,migrate/numa'"):
        select(big(), "T1,migrate/numa")


def test_an_alternative_that_matches_nothing_is_told_although_others_match() -> None:
    with pytest.raises(UserError, match=r"testcase 'migrate/num'; did you mean 'migrate/numa'\?"):
        select(big(), "T1|migrate/num,kernel=base")
    with pytest.raises(UserError, match="no cell matches testcase ''"):
        select(big(), "T1|")


def test_an_expectation_an_exclusion_and_a_filter_match_alike() -> None:
    one = big().rows[0].first
    for pattern, fits in (("T1", True), ("T?", True), (one.testcase.name, True), ("t1", False)):
        patterns = {"testcase": (pattern,)}
        assert selects(patterns, one) is fits
        assert applies(expectation(testcase=pattern, kernel="*"), one) is fits
        rest = plan(dataclasses.replace(big_lab(), exclusions=(exclusion(testcase=pattern),)))
        assert (one.id not in {cell.id for cell in rest.cells}) is fits


def test_a_filter_with_an_unknown_field_names_the_fields() -> None:
    with pytest.raises(UserError, match="unknown field 'kernels'") as caught:
        select(big(), "kernels=base")
    assert "kernel, guest, settings, device, testcase" in caught.value.hint


def test_what_a_filter_drops_is_left_out_for_that_reason() -> None:
    some = select(big(), "kernel=base")
    assert len(some.left_out) == 8
    assert {one.reason for one in some.left_out} == {"not in --filter kernel=base"}
    assert {one.kernel for one in some.left_out} == {"patched"}


# -- repeats -----------------------------------------------------------------------------------


def test_a_testcase_may_have_repeats_of_its_own() -> None:
    whole = plan(
        lab(
            testcases=[testcase(), testcase("migrate/numa", id="T8")],
            repeat=2,
            repeats={"migrate/numa": 3},
        )
    )
    assert [one.rpartition(".")[2] for one in names(whole)] == ["1", "2", "1", "2", "3"]
    assert [cell.repeat for cell in whole.cells] == [1, 2, 1, 2, 3]
    assert whole.size == 5
    assert len(set(names(whole))) == 5


# -- exclusions and inclusions -----------------------------------------------------------------


def matrix(**changes: Any) -> Plan:
    """Two kernels, guests, settings and testcases, and something about them."""
    return plan(
        lab(
            kernels=[kernel("base"), kernel("new")],
            guests=[guest(), TWO_NODES],
            settings=[settings("thp-never"), settings("thp-always")],
            testcases=[testcase(), testcase("migrate/numa", id="T8")],
            **changes,
        )
    )


@pytest.mark.parametrize(
    ("patterns", "count"),
    [
        ({"kernel": "new"}, 8),
        ({"guest": "numa", "settings": "thp-always"}, 4),
        ({"testcase": "migrate/*"}, 8),
        ({"testcase": "T8", "kernel": "base"}, 4),
        ({"testcase": "exclusive/mapcount", "guest": "q35", "settings": "*-never"}, 2),
        ({"device": "dmirror"}, 16),
        ({"device": "none"}, 0),
    ],
)
def test_an_exclusion_leaves_out_what_matches_all_of_it_and_says_why(
    patterns: dict[str, str], count: int
) -> None:
    whole = matrix(exclusions=(exclusion("no use", **patterns),))
    assert len(whole.cells) == 16 - count
    assert len(whole.left_out) == count
    assert {one.reason for one in whole.left_out} <= {"excluded in line 7: no use"}


def test_an_inclusion_adds_to_the_matrix_what_is_not_in_it() -> None:
    more = inclusion(guests=[BARE], testcases=[testcase("reclaim/x", id="T5")])
    whole = matrix(inclusions=(more,))
    assert len(whole.cells) == 18
    assert names(whole)[-2:] == [
        "base.bare.thp-never.reclaim.x.1", "new.bare.thp-never.reclaim.x.1"
    ]  # fmt: skip


def test_an_inclusion_of_what_is_there_already_adds_nothing() -> None:
    assert matrix(inclusions=(inclusion(),)) == matrix()


def test_an_inclusion_brings_back_what_was_excluded() -> None:
    whole = matrix(
        exclusions=(exclusion(guest="numa"),), inclusions=(inclusion(guests=[TWO_NODES]),)
    )
    assert len(whole.cells) == 10
    assert len(whole.left_out) == 6
    assert not {one.guest + one.settings + one.testcase for one in whole.left_out} & {
        "numathp-neverexclusive/mapcount"
    }


def test_an_inclusion_makes_no_sense_of_settings_either() -> None:
    whole = matrix(inclusions=(inclusion(settings=[settings("hugetlb-2m")]),))
    assert len(whole.cells) == 16
    assert {one.reason for one in whole.left_out} == {"makes no sense under these settings"}


def test_an_inclusion_may_be_for_one_kernel() -> None:
    whole = matrix(inclusions=(inclusion(kernel="new", guests=[BARE]),))
    assert names(whole)[16:] == ["new.bare.thp-never.exclusive.mapcount.1"]


@pytest.mark.parametrize("named", ["base", "v6", "patched"])
def test_both_sides_of_an_ab_have_the_same_rows_whichever_kernel_an_entry_names(
    named: str,
) -> None:
    asked = lab(
        kernels=[kernel("v6"), kernel("v5")],
        settings=[settings("thp-never"), settings("thp-always")],
        exclusions=(exclusion(kernel=named, settings="thp-never"),),
        inclusions=(inclusion(kernel=named, guests=[BARE]),),
    )
    assert names(plan(ab_lab(asked, "x"))) == [
        "base.q35.thp-always.exclusive.mapcount.1",
        "patched.q35.thp-always.exclusive.mapcount.1",
        "base.bare.thp-never.exclusive.mapcount.1",
        "patched.bare.thp-never.exclusive.mapcount.1",
    ]


def test_what_is_said_of_another_kernel_than_the_first_is_nothing_to_an_ab() -> None:
    asked = lab(
        kernels=[kernel("v6"), kernel("v5")],
        exclusions=(exclusion(kernel="v5"),),
        inclusions=(inclusion(kernel="v5", guests=[BARE]),),
    )
    assert [one.split(".")[1] for one in names(plan(ab_lab(asked, "x")))] == ["q35", "q35"]


# -- devices -----------------------------------------------------------------------------------


NEEDS_DMIRROR = testcase(requires=Requirements(devices=("dmirror",)))


def test_a_lab_without_devices_keeps_those_of_the_guests_and_the_ids_without_them() -> None:
    (cell,) = plan(lab()).cells
    assert (cell.id, cell.device, cell.devices) == (
        "base.q35.thp-never.exclusive.mapcount.1", "", "dmirror"
    )  # fmt: skip


def test_each_device_set_makes_a_cell_whose_guest_has_those_devices_only() -> None:
    two = guest(devices=("dmirror", "other"))
    cells = plan(lab(guests=[two], devices=("dmirror", "dmirror+other", "none"))).cells
    assert [cell.id.split(".")[2] for cell in cells] == ["dmirror", "dmirror+other", "none"]
    assert [cell.devices for cell in cells] == ["dmirror", "dmirror+other", "none"]
    assert [len(cell.guest.devices) for cell in cells] == [1, 2, 0]


def test_a_requirement_is_met_by_the_cells_devices_and_not_by_the_profiles() -> None:
    cells = plan(lab(testcases=[NEEDS_DMIRROR], devices=("dmirror", "none"))).cells
    assert [bool(cell.skip) for cell in cells] == [False, True]
    assert cells[1].skip == "needs the device dmirror; the guest q35 has none"


def test_a_device_that_a_guest_does_not_have_leaves_the_combination_out() -> None:
    whole = plan(lab(guests=[guest(), BARE], devices=("dmirror",)))
    assert [cell.guest.name for cell in whole.cells] == ["q35"]
    assert [one.reason for one in whole.left_out] == ["the guest bare has no device dmirror"]


def test_cells_are_filtered_and_excluded_by_device() -> None:
    asked = {"devices": ("dmirror", "none"), "exclusions": (exclusion(device="none"),)}
    assert len(plan(lab(**asked)).cells) == 1  # type: ignore[arg-type]
    assert len(select(plan(lab(devices=("dmirror", "none"))), "device=none").cells) == 1
