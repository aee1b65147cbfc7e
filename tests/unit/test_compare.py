# SPDX-License-Identifier: GPL-2.0
"""A/B rows: what counts as fixed, as regressed, and what must not hide what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rmaplab.compare import compare
from rmaplab.compare.news import is_worse
from rmaplab.judge import judge
from rmaplab.model import (
    Allowance,
    Allowlist,
    CellResult,
    Change,
    ComparisonRow,
    Fault,
    Finding,
    FindingKind,
    Observation,
    Outcome,
    Severity,
    Splat,
    SplatChange,
    Subtest,
    Verdict,
)

from .builders import cell, expectation, failed, observation, passed, result, splat, testcase

PASS = observation(passed())
FAIL = observation(failed())
LOST = observation(outcome=Outcome.LOST, fault=Fault.LAB, detail="the lab ended")
SKIP = observation(skip="needs swap")
PANIC = observation(outcome=Outcome.PANIC, splats=[splat("kernel BUG in demo_dup")])


def results(kernel: str, *seen: Observation) -> list[CellResult]:
    return [
        result(one, cell=cell(kernel=kernel, repeat=number))
        for number, one in enumerate(seen, start=1)
    ]


def row(before: list[Observation], after: list[Observation]) -> ComparisonRow:
    comparison = compare("base", "patched", results("base", *before), results("patched", *after))
    (only,) = comparison.rows
    return only


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ([PASS], [PASS], Change.SAME_PASS),
        ([FAIL], [PASS], Change.FIXED),
        ([PANIC], [PASS], Change.FIXED),
        ([PASS], [FAIL], Change.REGRESSED),
        ([PASS], [PANIC], Change.REGRESSED),
        ([FAIL], [FAIL], Change.SAME_FAIL),
        ([PANIC], [PANIC], Change.SAME_FAIL),
        ([PANIC], [FAIL], Change.GONE_SPLAT),
        ([FAIL], [PANIC], Change.NEW_SPLAT),
        ([PASS, FAIL], [PASS, PASS], Change.UNSTABLE),
        ([PASS, PASS], [PASS, FAIL], Change.UNSTABLE),
        ([PASS], [LOST], Change.MISSING),
        ([LOST], [PASS], Change.MISSING),
        ([SKIP], [PASS], Change.MISSING),
        ([PASS], [SKIP], Change.MISSING),
        ([PASS], [], Change.MISSING),
        ([], [FAIL], Change.MISSING),
    ],
)
def test_a_row_changes_as_its_verdicts_say(
    before: list[Observation], after: list[Observation], change: Change
) -> None:
    assert row(before, after).change is change


def audited(about: str = "exclusive", mark: str = "end", amount: int = 64) -> Finding:
    text = f"{amount} pages have another mapcount than entries that map them"
    return Finding(FindingKind.AUDIT, Verdict.FAIL, text, mark=mark, about=about, amount=amount)


INCONCLUSIVE = Subtest("swapoff", Verdict.SKIP, "", "inconclusive: reclaim does not swap")
SWAPPED = observation(passed("swapoff"))
NOT_SWAPPED = observation(INCONCLUSIVE, findings=[audited()])


def uncovering(
    after: Observation, before: Observation = SWAPPED, *, shows: bool = True, known: bool = False
) -> ComparisonRow:
    """The row of a testcase, where base shows a failure in another testcase, or is known for it."""
    other = cell(testcase=testcase("exclusive/mapcount"))
    seen = observation(failed("touch"), findings=[audited(mark="touch")])
    place = cell(testcase=testcase("reclaim/swapoff", id="T7"))
    base = [result(before, cell=place)] + ([result(seen, cell=other)] if shows else [])
    patched = [result(after, cell=replace(place, kernel="patched"))]
    expectations = [expectation(kernel="base", subtests=("lab: audit *: exclusive",))]
    comparison = compare(
        "base", "patched", base, patched, expectations=expectations if known else ()
    )
    return comparison.rows[0]


def test_a_failure_of_base_that_a_lost_precondition_uncovers_is_no_regression() -> None:
    found = uncovering(NOT_SWAPPED)
    assert found.change is Change.MISSING
    assert found.detail == (
        "precondition lost on patched: swapoff: inconclusive: reclaim does not swap; "
        "seen without it: lab: audit end: exclusive; "
        "base shows lab: audit touch: exclusive in exclusive/mapcount"
    )
    expected = uncovering(NOT_SWAPPED, shows=False, known=True)
    assert expected.change is Change.MISSING
    assert "base is known for lab: audit end: exclusive (known)" in expected.detail


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(observation(passed("swapoff"), findings=[audited()]), id="nothing lost"),
        pytest.param(
            observation(INCONCLUSIVE, findings=[audited(about="count")]), id="unlike base's"
        ),
        pytest.param(
            observation(INCONCLUSIVE, failed("data"), findings=[audited()]), id="a subtest fails"
        ),
        pytest.param(
            observation(INCONCLUSIVE, passed("touch"), findings=[audited(mark="touch")]),
            id="an audit of a subtest that ran",
        ),
        pytest.param(replace(NOT_SWAPPED, ended=Outcome.PANIC, fault=Fault.KERNEL), id="dies"),
        pytest.param(replace(NOT_SWAPPED, tainted=512), id="taints itself"),
    ],
)
def test_a_lost_precondition_excuses_nothing_else(after: Observation) -> None:
    before = observation(passed("swapoff"), passed("data"), passed("touch"))
    assert uncovering(after, before).change is Change.REGRESSED


def test_a_lost_precondition_does_not_excuse_what_base_is_not_known_for() -> None:
    assert uncovering(NOT_SWAPPED, shows=False).change is Change.REGRESSED


def test_good_and_bad_changes_are_told_apart() -> None:
    bad = {change for change in Change if change.is_bad}
    assert bad == {Change.REGRESSED, Change.NEW_SPLAT, Change.UNSTABLE, Change.MISSING}


def test_what_both_sides_skip_is_no_row() -> None:
    assert compare("a", "b", results("base", SKIP), results("patched", SKIP)).rows == ()


def test_repeats_that_differ_are_counted_on_the_side_where_they_do() -> None:
    only = row([PASS, PASS], [PASS, FAIL, FAIL])
    assert (only.base, only.patched) == ("pass", "mixed")
    assert only.detail == "patched: 1 pass, 2 fail"


def test_a_side_without_a_verdict_says_why() -> None:
    assert row([PASS], []).detail == "no verdict on patched: was not run"
    assert row([LOST], [PASS]).detail == "no verdict on base: the lab ended"


@pytest.mark.parametrize(
    ("before", "after", "change", "shown"),
    [
        ([PASS, LOST], [PASS, PASS], Change.MISSING, ("error", "pass")),
        ([PASS, PASS], [LOST, PASS], Change.MISSING, ("pass", "error")),
        ([FAIL, FAIL], [PASS, LOST], Change.MISSING, ("fail", "error")),
        ([PASS, PASS], [FAIL, LOST], Change.REGRESSED, ("pass", "fail")),
        ([FAIL, LOST], [PANIC, PANIC], Change.NEW_SPLAT, ("fail", "fail")),
        ([PASS, LOST], [PASS, FAIL], Change.UNSTABLE, ("pass", "mixed")),
        ([LOST, LOST], [PASS, FAIL], Change.MISSING, ("error", "mixed")),
    ],
)
def test_a_repeat_that_the_lab_lost_hides_nothing_and_blames_no_kernel(
    before: list[Observation],
    after: list[Observation],
    change: Change,
    shown: tuple[str, str],
) -> None:
    only = row(before, after)
    assert (only.change, (only.base, only.patched)) == (change, shown)


def test_how_many_repeats_were_lost_is_said() -> None:
    told = row([PASS, PASS, PASS], [PASS, LOST, PASS]).detail
    assert told == "no verdict on patched in 1 of 3 repeats: the lab ended"


def test_a_subtest_that_no_longer_passes_is_a_regression_inside_a_failure() -> None:
    before = observation(failed("a"), passed("b"))
    after = observation(failed("a"), failed("b"))
    only = row([before], [after])
    assert only.change is Change.REGRESSED
    assert only.detail == "fails on patched only: b"


def test_a_subtest_that_vanished_is_missing_although_the_rest_passes() -> None:
    only = row([observation(passed("a"), passed("b"))], [observation(passed("a"))])
    assert only.change is Change.MISSING
    assert only.detail == "ran on base, not on patched: b"


def test_a_hang_where_base_only_failed_is_a_regression() -> None:
    hang = observation(failed(), outcome=Outcome.HANG, detail="no heartbeat")
    only = row([FAIL], [hang])
    assert only.change is Change.REGRESSED
    assert only.detail.startswith("completed -> hang")


def test_another_panic_is_a_new_splat_and_not_the_same_failure() -> None:
    other = observation(outcome=Outcome.PANIC, splats=[splat("KASAN in demo_get")])
    only = row([PANIC], [other])
    assert (only.change, only.detail) == (Change.NEW_SPLAT, "KASAN in demo_get")


def test_a_splat_that_follows_another_is_no_news() -> None:
    def panicked(*more: Splat) -> Observation:
        return observation(outcome=Outcome.PANIC, splats=[splat("first"), *more])

    assert row([panicked()], [panicked(splat("x", following=True))]).change is Change.SAME_FAIL


def test_a_new_splat_behind_a_known_one_is_news_where_base_lived_on() -> None:
    def warned(*more: Splat) -> Observation:
        return observation(failed(), outcome=Outcome.SPLAT, splats=[splat("first"), *more])

    only = row([warned()], [warned(splat("second", following=True))])
    assert (only.change, only.detail) == (Change.NEW_SPLAT, "second")


# -- splats as sets ----------------------------------------------------------------------------


def moved(before: list[Observation], after: list[Observation]) -> dict[str, SplatChange]:
    comparison = compare("base", "patched", results("base", *before), results("patched", *after))
    return {one.title: one.change for one in comparison.splats}


def splatted(*titles: str) -> Observation:
    return observation(
        failed(),
        outcome=Outcome.SPLAT,
        splats=[splat(title, excerpt=f"{title}!") for title in titles],
    )


def test_splats_are_new_gone_or_the_same() -> None:
    assert moved([splatted("old", "both")], [splatted("both", "new")]) == {
        "new": SplatChange.NEW,
        "old": SplatChange.GONE,
        "both": SplatChange.SAME,
    }


def test_a_splat_of_one_repeat_does_not_vanish() -> None:
    before, after = [FAIL] * 3, [FAIL, splatted("once"), FAIL]
    comparison = compare("base", "patched", results("base", *before), results("patched", *after))
    (only,) = comparison.splats
    assert (only.change, only.seen, only.excerpt) == (SplatChange.NEW, 1, "once!")
    assert only.is_regression
    assert comparison.rows[0].change is Change.NEW_SPLAT
    assert moved(after, before) == {"once": SplatChange.GONE}


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ([PASS], [splatted("new")], Change.REGRESSED),
        ([FAIL], [splatted("new")], Change.NEW_SPLAT),
        ([PASS], [PASS, splatted("new")], Change.UNSTABLE),
        ([PASS, FAIL], [splatted("new")], Change.UNSTABLE),
    ],
)
def test_a_new_splat_is_said_whatever_else_the_row_says(
    before: list[Observation], after: list[Observation], change: Change
) -> None:
    assert moved(before, after) == {"new": SplatChange.NEW}
    only = row(before, after)
    assert only.change is change
    assert "new" in only.detail


def test_nothing_is_new_against_a_side_that_has_no_verdict() -> None:
    for silent in ([LOST], [SKIP], []):
        assert moved(silent, [splatted("known")]) == {}
        assert moved([splatted("known")], silent) == {}
    lost = observation(outcome=Outcome.LOST, fault=Fault.LAB, detail="x", splats=[splat("new")])
    assert moved([FAIL], [lost]) == {"new": SplatChange.NEW}
    assert row([FAIL], [lost]).detail == "no verdict on patched: x; new splat: new"


def test_an_allowed_splat_is_listed_and_is_no_regression() -> None:
    allowlist = Allowlist((Allowance("^known$", "", "seen everywhere", "", 7),), "2027-01-15")
    seen = observation(passed(), outcome=Outcome.SPLAT, splats=[splat("known")])
    where = cell(kernel="patched")
    after = [CellResult(where, seen, judge(where, seen, (), allowlist))]
    comparison = compare("base", "patched", results("base", PASS), after)
    (only,) = comparison.splats
    assert (only.change, only.allowed, only.is_regression) == (
        SplatChange.NEW, "seen everywhere", False,
    )  # fmt: skip
    assert comparison.new_splats == ()
    assert comparison.rows[0].change is Change.SAME_PASS


def test_a_splat_that_is_allowed_in_one_cell_alone_is_not_allowed() -> None:
    notice = replace(
        splat("Out of memory", kind="oom"), severity=Severity.NOTICE, owner="exclusive/mapcount"
    )
    declared = cell(kernel="patched", testcase=replace(testcase(), notices=("oom",)))
    after = []
    for owner in ("exclusive/mapcount", "gap"):
        seen = observation(outcome=Outcome.SPLAT, splats=[replace(notice, owner=owner)])
        after.append(CellResult(declared, seen, judge(declared, seen, ())))
    assert [bool(one.splats[0].allowed) for one in after] == [True, False]
    for results_ in (after, after[::-1]):
        (only,) = compare("base", "patched", results("base", FAIL), results_).splats
        assert only.is_regression


def test_a_splat_that_is_new_in_one_row_is_new() -> None:
    def both(kernel: str, *seen: Observation) -> list[CellResult]:
        return [
            result(one, cell=cell(kernel=kernel, testcase=testcase(f"exclusive/t{number}")))
            for number, one in enumerate(seen)
        ]

    before = both("base", splatted("x"), FAIL)
    after = both("patched", splatted("x"), splatted("x"))
    (only,) = compare("base", "patched", before, after).splats
    assert only.change is SplatChange.NEW
    assert [key[0] for key in only.rows] == ["exclusive/t1"]


def test_rows_are_told_apart_by_testcase_settings_and_guest() -> None:
    def both(kernel: str, *seen: Observation) -> list[CellResult]:
        return [
            result(one, cell=cell(kernel=kernel, testcase=testcase(f"exclusive/t{number}")))
            for number, one in enumerate(seen)
        ]

    comparison = compare("base", "patched", both("base", PASS, FAIL), both("patched", PASS, PASS))
    assert [(one.testcase, one.change) for one in comparison.rows] == [
        ("exclusive/t0", Change.SAME_PASS),
        ("exclusive/t1", Change.FIXED),
    ]
    assert comparison.count(Change.FIXED) == 1


@pytest.mark.parametrize(
    ("after", "change"),
    [
        ([failed("a")], Change.MISSING),
        ([failed("a"), Subtest("b", Verdict.SKIP)], Change.MISSING),
        ([failed("a"), Subtest("b", Verdict.ERROR)], Change.MISSING),
        ([failed("a"), passed("b"), failed("c")], Change.REGRESSED),
        ([failed("a"), passed("b"), failed("c")], Change.REGRESSED),
        ([failed("a"), passed("b")], Change.SAME_FAIL),
    ],
)
def test_two_failures_are_the_same_only_if_they_fail_alike(
    after: list[Subtest], change: Change
) -> None:
    before = observation(failed("a"), passed("b"))
    assert row([before], [observation(*after)]).change is change


def test_a_subtest_lost_in_one_repeat_is_lost() -> None:
    before = observation(failed("a"), passed("b"))
    assert row([before, before], [before, observation(failed("a"))]).change is Change.MISSING


def test_what_base_died_before_is_no_news() -> None:
    died = observation(outcome=Outcome.PANIC, splats=[splat("kernel BUG in demo_walk")])
    assert row([died], [observation(failed("b"))]).change is Change.GONE_SPLAT


# -- what base got to see: the table of docs/comparison.md -----------------------------------------

BUG = splat("kernel BUG in demo_dup")
STATES = {
    "completed": observation(failed("a")),
    "splat": observation(failed("a"), outcome=Outcome.SPLAT, splats=[splat()]),
    "taint": observation(failed("a"), outcome=Outcome.SPLAT, detail="the kernel tainted itself"),
    "timeout": observation(failed("a"), outcome=Outcome.TIMEOUT),
    "hang": observation(failed("a"), outcome=Outcome.HANG),
    "panic": observation(failed("a"), outcome=Outcome.PANIC, splats=[BUG]),
    "boot": observation(outcome=Outcome.BOOT_FAILED, detail="no init"),
}
SAME, GONE, NEW, WORSE = (
    Change.SAME_FAIL, Change.GONE_SPLAT, Change.NEW_SPLAT, Change.REGRESSED,
)  # fmt: skip
TABLE = {
    # on patched:  completed, splat, taint, timeout, hang, panic, boot
    "completed": (SAME, NEW, WORSE, WORSE, WORSE, NEW, WORSE),
    "splat": (GONE, SAME, WORSE, WORSE, WORSE, NEW, WORSE),
    "taint": (SAME, NEW, SAME, WORSE, WORSE, NEW, WORSE),
    "timeout": (SAME, NEW, WORSE, SAME, WORSE, NEW, WORSE),
    "hang": (SAME, NEW, SAME, SAME, SAME, NEW, WORSE),
    "panic": (GONE, NEW, GONE, GONE, WORSE, SAME, WORSE),
    "boot": (SAME, NEW, SAME, SAME, SAME, NEW, SAME),
}


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("after", STATES)
def test_two_failures_are_compared_as_the_table_says(before: str, after: str) -> None:
    expected = TABLE[before][list(STATES).index(after)]
    assert row([STATES[before]], [STATES[after]]).change is expected


def lab_finds(kind: FindingKind, seen: Observation, **facts: object) -> Observation:
    """Add a finding of the lab's to a cell."""
    one = Finding(kind, Verdict.FAIL, "text", **facts)  # type: ignore[arg-type]
    return replace(seen, findings=(*seen.findings, one))


@pytest.mark.parametrize(
    ("base", "kind", "mark", "news"),
    [
        ("completed", FindingKind.PROCESS_LEFT, "", True),
        ("splat", FindingKind.PROCESS_LEFT, "", True),
        ("taint", FindingKind.LEDGER, "", True),
        ("splat", FindingKind.AUDIT, "end", True),
        ("timeout", FindingKind.AUDIT, "end", True),
        ("timeout", FindingKind.AUDIT, "a", True),
        ("timeout", FindingKind.AUDIT, "b", False),
        ("timeout", FindingKind.LEDGER, "", False),
        ("timeout", FindingKind.EXIT, "", False),
        ("hang", FindingKind.AUDIT, "end", False),
        ("panic", FindingKind.AUDIT, "a", True),
        ("panic", FindingKind.AUDIT, "end", False),
        ("panic", FindingKind.PROCESS_LEFT, "", False),
        ("boot", FindingKind.AUDIT, "a", False),
    ],
)
def test_a_finding_is_news_if_base_was_there_for_its_check(
    base: str, kind: FindingKind, mark: str, news: bool
) -> None:
    after = lab_finds(kind, STATES["completed"], mark=mark, about="x")
    only = row([STATES[base]], [after])
    if news:
        assert only.change is Change.REGRESSED
        assert "fails on patched only: lab: " in only.detail
    else:
        assert not only.change.is_bad
        assert f"lab: {kind}" in only.detail.partition("; base did not get there: ")[2]


def test_a_finding_of_one_repeat_of_base_that_got_there_is_enough() -> None:
    before = [STATES["panic"], STATES["completed"]]
    after = lab_finds(FindingKind.PROCESS_LEFT, STATES["completed"])
    assert row(before, [after, after]).change is Change.REGRESSED


@pytest.mark.parametrize("common", [Outcome.SPLAT, Outcome.TIMEOUT])
@pytest.mark.parametrize("result_of_base", [passed("b"), Subtest("b", Verdict.SKIP)])
def test_a_common_splat_or_timeout_hides_no_new_failure(
    common: Outcome, result_of_base: Subtest
) -> None:
    splats = [splat()] if common is Outcome.SPLAT else []
    before = observation(failed("a"), result_of_base, outcome=common, splats=splats)
    after = observation(failed("a"), failed("b"), outcome=common, splats=splats)
    only = row([before], [after])
    assert (only.change, only.detail) == (Change.REGRESSED, "fails on patched only: b")


def test_an_allowed_splat_of_base_hides_no_new_failure_either() -> None:
    allowlist = Allowlist((Allowance("^WARNING in demo", "", "known", "", 7),), "2027-01-15")

    def judged(kernel: str, *subtests: Subtest) -> CellResult:
        seen = observation(*subtests, outcome=Outcome.SPLAT, splats=[splat()])
        where = cell(kernel=kernel)
        return CellResult(where, seen, judge(where, seen, (), allowlist))

    before = judged("base", failed("a"), passed("b"))
    after = judged("patched", failed("a"), passed("b"), failed("c"))
    (only,) = compare("base", "patched", [before], [after]).rows
    assert (only.change, only.detail) == (Change.REGRESSED, "fails on patched only: c")


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ([8], [8000], Change.REGRESSED),
        ([8], [8], Change.SAME_FAIL),
        ([8000], [8], Change.SAME_FAIL),
        ([8], [-1], Change.REGRESSED),
        ([-8], [-9], Change.REGRESSED),
        ([8, 12], [9, 12], Change.SAME_FAIL),
        ([8, 12], [9, 13], Change.REGRESSED),
    ],
)
def test_a_finding_by_more_than_base_ever_shows_is_a_regression(
    before: list[int], after: list[int], change: Change
) -> None:
    def leaks(pages: int) -> Observation:
        return lab_finds(FindingKind.LEDGER, observation(failed("a")), about="x", amount=pages)

    only = row([leaks(n) for n in before], [leaks(n) for n in after])
    assert only.change is change
    if change is Change.REGRESSED:
        assert "worse: lab: ledger: x: " in only.detail


def test_a_second_result_of_a_name_is_not_hidden_by_the_first() -> None:
    before = observation(failed("page"), passed("page"))
    after = observation(failed("page"), failed("page"))
    only = row([before], [after])
    assert (only.change, only.detail) == (Change.REGRESSED, "fails on patched only: page #2")


def test_a_failure_that_the_lab_could_not_check_on_base_is_missing() -> None:
    before = observation(failed("a"), Subtest("b", Verdict.ERROR))
    only = row([before], [observation(failed("a"), failed("b"))])
    assert only.change is Change.MISSING
    assert only.detail == "fails on patched, could not be checked on base: b"


def test_a_result_that_could_not_be_checked_on_patched_alone_is_missing() -> None:
    after = observation(failed("a"), Subtest("b", Verdict.ERROR))
    only = row([observation(failed("a"))], [after])
    assert (only.change, only.detail) == (Change.MISSING, "could not be checked on patched: b")
    assert row([after], [after]).change is Change.SAME_FAIL
    # Base died before it, so there is nothing that patched lost.
    assert row([STATES["hang"]], [after]).change is Change.SAME_FAIL


def test_a_fix_is_none_if_patched_did_not_run_what_base_failed() -> None:
    for left in ([], [Subtest("a", Verdict.SKIP)]):
        only = row([observation(failed("a"), passed("b"))], [observation(passed("b"), *left)])
        assert (only.change, only.detail) == (Change.MISSING, "ran on base, not on patched: a")


def test_another_taint_flag_than_that_of_base_is_a_regression() -> None:
    before = STATES["taint"]
    assert before.tainted
    after = replace(before, tainted=before.tainted | 32)
    only = row([before], [after])
    assert only.change is Change.REGRESSED
    assert "the kernel tainted itself (32)" in only.detail
    assert row([after], [before]).change is Change.SAME_FAIL


def test_a_repeat_that_was_not_run_on_one_side_is_missing() -> None:
    only = row([FAIL, FAIL], [PASS])
    assert only.change is Change.MISSING
    assert only.detail == "no verdict on patched in 1 of 2 repeats: was not run"
    assert row([PASS], [FAIL, FAIL]).change is Change.REGRESSED


def test_a_repeat_that_was_not_run_on_base_is_missing_too() -> None:
    only = row([PASS], [PASS, PASS])
    assert only.change is Change.MISSING
    assert only.detail == "no verdict on base in 1 of 2 repeats: was not run"


def test_results_that_a_dead_guest_could_not_print_are_no_lost_evidence() -> None:
    early = observation(outcome=Outcome.PANIC, splats=[BUG])
    late = replace(early, subtests=(Subtest("test 1", Verdict.ERROR),))
    assert row([early], [late]).change is Change.SAME_FAIL


def test_an_end_is_worse_if_one_repeat_of_base_ended_better() -> None:
    slow = STATES["timeout"]
    assert row([STATES["panic"]] * 2, [slow] * 2).change is Change.GONE_SPLAT
    only = row([STATES["panic"], STATES["completed"]], [slow] * 2)
    assert only.change is Change.REGRESSED
    assert only.detail.startswith("2 of 2 against 0 of 2: completed/panic -> timeout: ")


def test_a_subtest_that_one_repeat_of_base_ran_and_none_of_patched_is_missing() -> None:
    both, one = observation(failed("a"), passed("b")), observation(failed("a"))
    assert row([both, one], [one, one]).change is Change.MISSING
    assert row([both, one], [both, one]).change is Change.SAME_FAIL
    assert row([both, one], [one, both]).change is Change.SAME_FAIL


def test_the_detail_of_many_names_counts_those_that_it_does_not_list() -> None:
    before = observation(failed("a"))
    after = observation(failed("a"), *(failed(f"n{number}") for number in range(9)))
    assert row([before], [after]).detail == (
        "fails on patched only: n0, n1, n2, n3, n4 (and 4 more)"
    )


@pytest.mark.parametrize(
    ("known", "amount", "worse"),
    [
        ([8], 8, False),
        ([8], 9, True),
        ([8], 0, False),
        ([8], -1, True),
        ([-8], -8, False),
        ([-8], -9, True),
        ([-8], 0, False),
        ([-8], 1, True),
        ([0], 0, False),
        ([0], 1, True),
        ([0], -1, True),
        ([3, 8], 1, False),
        ([-2, 3], -2, False),
        ([-2, 3], -3, True),
    ],
)
def test_an_amount_is_worse_beyond_the_known_ones_or_on_the_other_side_of_nothing(
    known: list[int], amount: int, worse: bool
) -> None:
    assert is_worse(known, amount) is worse


@pytest.mark.parametrize(
    ("own", "mark", "shows"),
    [
        (Finding(FindingKind.AUDIT, Verdict.FAIL, "x", "b", "count", 1), "b", True),
        (Finding(FindingKind.AUDIT, Verdict.FAIL, "x", "b", "count", 1), "c", False),
        (Finding(FindingKind.LEDGER, Verdict.FAIL, "x", "b", "count", 1), "b", False),
        (None, "a", True),
        (None, "b", False),
    ],
    ids=["same mark", "another mark", "another kind", "its subtest came", "its subtest did not"],
)
def test_a_dead_base_could_show_an_audit_whose_mark_it_came_to(
    own: Finding | None, mark: str, shows: bool
) -> None:
    """An audit that failed at a mark is one that was made at it, whatever it found."""
    audits = [] if own is None else [own]
    splats = [splat("kernel BUG in demo_dup")]
    base = observation(failed("x/a"), outcome=Outcome.PANIC, splats=splats, findings=audits)
    fresh = Finding(FindingKind.AUDIT, Verdict.FAIL, "y", mark, "flags", 1)
    after = observation(
        failed("x/a"), outcome=Outcome.PANIC, splats=splats, findings=[*audits, fresh]
    )
    only = row([base], [after])
    assert (only.change is Change.REGRESSED) is shows, only.detail
    assert ("base did not get there" in only.detail) is not shows


@pytest.mark.parametrize(
    ("error", "checked"),
    [
        (Finding(FindingKind.AUDIT, Verdict.ERROR, "no", "end"), False),
        (Finding(FindingKind.AUDIT, Verdict.ERROR, "no", "touch"), True),
        (Finding(FindingKind.LEDGER, Verdict.ERROR, "no", "end"), True),
    ],
    ids=["the same check", "another mark", "another kind"],
)
def test_a_finding_is_no_news_if_its_check_is_an_error_on_base(
    error: Finding, checked: bool
) -> None:
    before = observation(failed("a"), findings=[error])
    fresh = Finding(FindingKind.AUDIT, Verdict.FAIL, "y", "end", "count", 1)
    only = row([before], [observation(failed("a"), findings=[error, fresh])])
    said = "fails on patched, could not be checked on base: lab: audit end: count"
    assert (only.change is Change.MISSING) is not checked, only.detail
    assert (said in only.detail) is not checked
    # A subtest that fails is checked by no audit.
    only = row([before], [observation(failed("a"), failed("b"), findings=[error])])
    assert only.change is Change.REGRESSED


def test_many_new_splats_are_one_list() -> None:
    new = [splat(f"WARNING in demo_{name}") for name in "ab"]
    after = observation(failed(), outcome=Outcome.SPLAT, splats=new)
    only = row([FAIL], [after])
    assert only.change is Change.NEW_SPLAT
    assert only.detail.startswith("WARNING in demo_a; WARNING in demo_b")


def test_a_splats_rows_and_cells_are_counted_once_each() -> None:
    def in_rows(kernel: str, *rows: list[Observation]) -> list[CellResult]:
        return [
            result(one, cell=cell(kernel=kernel, testcase=testcase(name), repeat=repeat))
            for name, seen in zip("abcd", rows, strict=False)
            for repeat, one in enumerate(seen, start=1)
        ]

    after = in_rows("patched", [splatted("x"), splatted("x")], [FAIL], [splatted("x")],
                    [FAIL, splatted("x"), splatted("x", "x")])  # fmt: skip
    before = in_rows("base", [FAIL] * 2, [FAIL], [FAIL], [FAIL] * 3)
    (only,) = compare("base", "patched", before, after).splats
    assert [key[0] for key in only.rows] == ["a", "c", "d"]
    assert only.seen == 5


def test_the_splats_that_are_gone_are_one_list() -> None:
    assert row([splatted("one", "two")], [FAIL]).detail == "one; two"
    dead = observation(outcome=Outcome.PANIC, splats=[splat("b"), splat("a")])
    only = row([dead], [FAIL])
    assert (only.change, only.detail.partition("; base")[0]) == (Change.GONE_SPLAT, "a; b")


def test_news_of_several_kinds_are_said_in_the_order_that_decides() -> None:
    after = observation(failed("a"), failed("b"), outcome=Outcome.SPLAT, splats=[splat("new")])
    only = row([observation(failed("a"), passed("b"))], [after])
    assert (only.change, only.detail) == (Change.NEW_SPLAT, "new; fails on patched only: b")


@pytest.mark.parametrize(
    ("base", "patched", "said"),
    [
        ("panic", "taint", "; base did not get there: kernel taint"),
        ("timeout", "taint", "the kernel tainted itself"),
        ("completed", "taint", "the kernel tainted itself"),
    ],
)
def test_a_taint_is_news_where_base_lived_to_its_flags(base: str, patched: str, said: str) -> None:
    only = row([STATES[base]], [STATES[patched]])
    assert said in only.detail
    assert ("did not get there" in only.detail) is ("did not get there" in said)
    tainted = row([STATES["taint"]], [STATES["taint"]])
    assert (tainted.change, "taint" in tainted.detail.partition("; base")[2]) == (
        Change.SAME_FAIL, False,
    )  # fmt: skip


def test_a_worse_end_says_how_patched_ended() -> None:
    after = observation(outcome=Outcome.HANG, fault=Fault.KERNEL, detail="no answer for 5 s")
    only = row([FAIL], [after])
    assert only.change is Change.REGRESSED
    assert only.detail.startswith("completed -> hang: ")
    assert "no answer for 5 s" in only.detail


def test_five_names_are_listed_without_a_count() -> None:
    after = observation(failed("a"), *(failed(f"n{number}") for number in range(5)))
    assert row([observation(failed("a"))], [after]).detail == (
        "fails on patched only: n0, n1, n2, n3, n4"
    )


def test_a_row_without_a_verdict_has_no_numbers() -> None:
    only = row([PASS], [LOST])
    assert (only.counters, only.costs, only.values) == ((), (), ())


def test_a_side_without_a_repeat_shows_no_verdict() -> None:
    only = row([PASS], [])
    assert (only.base, only.patched) == ("pass", "")
    only = row([], [FAIL])
    assert (only.base, only.patched) == ("", "fail")


def test_the_new_splats_of_an_unstable_row_are_one_list() -> None:
    only = row([PASS], [PASS, splatted("x", "y")])
    assert only.change is Change.UNSTABLE
    assert only.detail.endswith("; new splat: x; y")


def test_a_comparison_names_its_kernels() -> None:
    found = compare("one", "two", results("base", PASS), results("patched", PASS))
    assert (found.a, found.b) == ("one", "two")


def test_a_row_of_which_one_repeat_is_no_skip_is_one() -> None:
    assert row([SKIP, PASS], [SKIP, SKIP]).change.is_bad
    assert row([SKIP, SKIP], [SKIP, FAIL]).change.is_bad
    assert compare("a", "b", results("base", SKIP), []).rows == ()


def test_a_side_that_skips_says_why() -> None:
    assert row([PASS], [SKIP]).detail == "no verdict on patched: needs swap"
    assert row([SKIP], [FAIL]).detail == "no verdict on base: needs swap"


@pytest.mark.parametrize("flags", [1, 512, 1 << 18])
def test_any_taint_flag_of_patched_alone_is_a_regression(flags: int) -> None:
    tainted = replace(observation(failed("a")), tainted=flags)
    only = row([observation(failed("a"))], [tainted])
    assert only.change is Change.REGRESSED
    assert f"tainted itself ({flags})" in only.detail


def test_only_a_cause_that_nobody_allowed_can_be_gone() -> None:
    allowlist = Allowlist((Allowance("^known$", "", "known everywhere", "", 7),), "2027-01-15")

    def judged(kernel: str, *splats: Splat) -> CellResult:
        seen = observation(failed("a"), splats=splats)
        where = cell(kernel=kernel)
        return CellResult(where, seen, judge(where, seen, (), allowlist))

    cause, known = splat("cause"), splat("known")
    follows = splat("follows", following=True)
    for before, change in (
        ((cause,), Change.SAME_FAIL), ((cause, known), Change.SAME_FAIL),
        ((cause, follows), Change.SAME_FAIL), ((cause, splat("gone")), Change.GONE_SPLAT),
    ):  # fmt: skip
        (only,) = compare("a", "b", [judged("base", *before)], [judged("patched", cause)]).rows
        assert only.change is change, before


def test_a_second_finding_of_a_name_is_not_hidden_by_the_first() -> None:
    leak = Finding(FindingKind.LEDGER, Verdict.FAIL, "changed", about="x", amount=8)
    before = observation(failed("a"), findings=[leak])
    only = row([before], [observation(failed("a"), findings=[leak, leak])])
    assert (only.change, only.detail) == (
        Change.REGRESSED, "fails on patched only: lab: ledger: x #2",
    )  # fmt: skip


def test_the_greatest_amount_of_any_repeat_of_base_is_known() -> None:
    def leaks(pages: int) -> Observation:
        return lab_finds(FindingKind.LEDGER, observation(failed("a")), about="x", amount=pages)

    assert row([leaks(12), leaks(8)], [leaks(9), leaks(9)]).change is Change.SAME_FAIL
    assert row([leaks(12), leaks(8)], [leaks(13), leaks(9)]).change is Change.REGRESSED


def test_a_splat_is_listed_with_its_rows_kind_and_fingerprint() -> None:
    def in_rows(kernel: str, *rows: Observation) -> list[CellResult]:
        return [
            result(seen, cell=cell(kernel=kernel, testcase=testcase(name)))
            for name, seen in zip("abc", rows, strict=True)
        ]

    def shows(*splats: Splat) -> Observation:
        return observation(failed(), splats=splats)

    same, gone, new = (
        splat(name, kind=f"{name}-kind", fingerprint=f"{name}-print")
        for name in ("same", "gone", "new")
    )
    before = in_rows("base", shows(same), shows(same, gone), FAIL)
    after = in_rows("patched", shows(same, new), shows(same), shows(gone))
    found = compare("base", "patched", before, after).splats
    # A splat that is gone from one row and new in another is new.
    assert [(one.title, one.kind, one.fingerprint, one.change) for one in found] == [
        ("gone", "gone-kind", "gone-print", SplatChange.NEW),
        ("new", "new-kind", "new-print", SplatChange.NEW),
        ("same", "same-kind", "same-print", SplatChange.SAME),
    ]
    assert [[key[0] for key in one.rows] for one in found] == [["c"], ["a"], ["a", "b"]]
    (only,) = compare("a", "b", before[:2], after[1:2] + in_rows("patched", FAIL, FAIL, FAIL)[:1]
                      ).splats[:1]  # fmt: skip
    assert (only.title, only.change, [key[0] for key in only.rows]) == (
        "gone", SplatChange.GONE, ["b"],
    )  # fmt: skip
