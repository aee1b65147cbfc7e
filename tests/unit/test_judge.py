# SPDX-License-Identifier: GPL-2.0
"""Verdicts: fail closed, told apart by whose fault it is, held against what was expected."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmaplab.judge import applies, due, judge, unmatched
from rmaplab.model import (
    Allowance,
    Allowlist,
    Expectation,
    Fault,
    Finding,
    FindingKind,
    Observation,
    Outcome,
    Subtest,
    Verdict,
)

from .builders import cell, expectation, failed, finding, observation, passed, splat


def verdict(seen: Observation) -> Verdict:
    return judge(cell(), seen, ()).verdict


def test_what_showed_nothing_is_an_error() -> None:
    assert verdict(Observation()) is Verdict.ERROR


def test_a_completed_cell_without_a_subtest_is_an_error() -> None:
    judged = judge(cell(), observation(), ())
    assert (judged.verdict, judged.as_expected) == (Verdict.ERROR, False)
    assert judged.reason == "the workload reported no test result"


def test_passed_subtests_are_a_pass() -> None:
    judged = judge(cell(), observation(passed(), passed("b")), ())
    assert (judged.verdict, judged.reason, judged.as_expected) == (Verdict.PASS, "", True)


def test_one_failed_subtest_is_enough_and_is_named_with_its_reason() -> None:
    seen = observation(passed(), failed("b", "noise\nFAILED: mapcount is 0\nmore"), failed("c"))
    judged = judge(cell(), seen, ())
    assert judged.verdict is Verdict.FAIL
    assert judged.reason == "b: mapcount is 0 (and 1 more)"


def test_a_failure_weighs_more_than_an_error_and_an_error_more_than_a_pass() -> None:
    broken = Subtest("KTAP output", Verdict.ERROR, "the plan says 2")
    assert verdict(observation(broken, failed())) is Verdict.FAIL
    assert verdict(observation(broken, passed())) is Verdict.ERROR


def test_only_skipped_subtests_are_a_skip_and_some_are_none() -> None:
    skipped = Subtest("a", Verdict.SKIP, "no device")
    assert verdict(observation(skipped)) is Verdict.SKIP
    assert verdict(observation(skipped, passed())) is Verdict.PASS


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.COMPLETED])
def test_no_outcome_but_completed_passes_whatever_the_test_said(outcome: Outcome) -> None:
    seen = observation(passed(), outcome=outcome)
    assert verdict(seen) is (Verdict.ERROR if outcome is Outcome.INFRA else Verdict.FAIL)


@pytest.mark.parametrize("fault", [Fault.LAB, Fault.USER])
def test_what_the_kernel_is_not_to_blame_for_is_an_error(fault: Fault) -> None:
    assert verdict(observation(passed(), outcome=Outcome.LOST, fault=fault)) is Verdict.ERROR


def test_a_splat_is_the_reason_by_its_title_and_not_by_one_that_follows_it() -> None:
    seen = observation(
        passed(),
        outcome=Outcome.PANIC,
        detail="pvpanic",
        splats=[splat("later", following=True), splat("kernel BUG in demo_dup")],
    )
    assert judge(cell(), seen, ()).reason == "panic: kernel BUG in demo_dup"


def test_a_skip_keeps_its_reason() -> None:
    judged = judge(cell(), observation(skip="needs swap"), ())
    assert (judged.verdict, judged.reason) == (Verdict.SKIP, "needs swap")
    assert judged.as_expected


@given(
    st.builds(
        Observation,
        ended=st.sampled_from(Outcome),
        fault=st.sampled_from(Fault),
        detail=st.text(max_size=5),
        skip=st.sampled_from(["", "why"]),
        subtests=st.lists(
            st.builds(Subtest, st.text(max_size=3), st.sampled_from(Verdict)), max_size=3
        ).map(tuple),
        findings=st.lists(
            st.builds(
                Finding, st.sampled_from(FindingKind), st.sampled_from(Verdict), st.just("text")
            ),
            max_size=2,
        ).map(tuple),
        splats=st.lists(st.just(splat()), max_size=1).map(tuple),
        tainted=st.sampled_from([0, 512]),
    )
)
def test_a_pass_always_has_a_completed_outcome_nobodys_fault_and_a_passed_subtest(
    seen: Observation,
) -> None:
    found = judge(cell(), seen, ())
    if found.verdict is Verdict.PASS:
        assert found.outcome is Outcome.COMPLETED
        assert (seen.ended, seen.splats, seen.tainted) == (Outcome.COMPLETED, (), 0)
        assert {one.verdict for one in seen.findings} <= {Verdict.PASS, Verdict.SKIP}
        assert seen.fault not in {Fault.LAB, Fault.USER}
        kinds = {subtest.verdict for subtest in seen.subtests}
        assert Verdict.PASS in kinds
        assert not kinds & {Verdict.FAIL, Verdict.ERROR}


# -- expectations ------------------------------------------------------------------------------


def test_a_known_failure_is_as_expected() -> None:
    judged = judge(cell(), observation(failed()), [expectation()])
    assert (judged.verdict, judged.expected) == (Verdict.FAIL, Verdict.FAIL)
    assert (judged.as_expected, judged.known) == (True, "known")


def test_an_expectation_that_no_longer_holds_is_reported_with_its_line() -> None:
    judged = judge(cell(), observation(passed()), [expectation()])
    assert (judged.verdict, judged.as_expected) == (Verdict.PASS, False)
    assert "no longer holds (expect, line 12: known)" in judged.reason


def test_a_panic_does_not_hide_behind_a_known_wrong_mapcount() -> None:
    seen = observation(failed(), outcome=Outcome.PANIC, detail="pvpanic")
    judged = judge(cell(), seen, [expectation()])
    assert not judged.as_expected
    assert "fails in another way than expected" in judged.reason


def test_a_known_panic_has_to_be_the_known_one() -> None:
    known = [expectation(outcome=Outcome.PANIC, splat="BUG in demo_dup")]
    same = observation(outcome=Outcome.PANIC, splats=[splat("kernel BUG in demo_dup")])
    other = observation(outcome=Outcome.PANIC, splats=[splat("kernel BUG in demo_swap")])
    both = observation(
        outcome=Outcome.PANIC,
        splats=[splat("kernel BUG in demo_dup"), splat("KASAN: bad access in demo_swap")],
    )
    follow = observation(
        outcome=Outcome.PANIC,
        splats=[splat("kernel BUG in demo_dup"), splat("soft lockup", following=True)],
    )
    answers = [judge(cell(), seen, known).as_expected for seen in (same, other, both, follow)]
    assert answers == [True, False, False, True]


def test_an_error_is_never_expected_and_a_skip_refutes_nothing() -> None:
    lost = observation(outcome=Outcome.LOST, fault=Fault.LAB, detail="gone")
    assert not judge(cell(), lost, [expectation(outcome=Outcome.LOST)]).as_expected
    assert judge(cell(), observation(skip="no device"), [expectation()]).as_expected


def test_one_of_several_matching_expectations_is_enough() -> None:
    known = [expectation(outcome=Outcome.PANIC, splat="x"), expectation()]
    assert judge(cell(), observation(failed()), known).as_expected


@pytest.mark.parametrize(
    ("known", "does"),
    [
        (expectation("exclusive/*"), True),
        (expectation("T1"), True),
        (expectation("T11"), False),
        (expectation(kernel="base"), True),
        (expectation(kernel="patched"), False),
        (expectation(guest="q35-*"), False),
        (expectation(settings="thp-*"), True),
        (expectation(settings="mthp-*"), False),
    ],
)
def test_an_expectation_applies_where_all_its_patterns_match(known: object, does: bool) -> None:
    assert applies(known, cell()) is does  # type: ignore[arg-type]


def test_a_kernel_built_on_the_expected_one_may_fail_so_and_may_be_mended() -> None:
    known = [replace(expectation(kernel="base"), heirs=("patched",))]
    on_it = cell(kernel="patched")
    fails = judge(on_it, observation(failed()), known)
    assert (fails.expected, fails.as_expected, fails.known) == (Verdict.FAIL, True, "known")
    mended = judge(on_it, observation(passed()), known)
    assert (mended.verdict, mended.reason, mended.as_expected) == (Verdict.PASS, "", True)
    dies = judge(on_it, observation(outcome=Outcome.PANIC, detail="x"), known)
    assert not dies.as_expected
    assert "fails in another way than expected" in dies.reason
    assert not judge(cell(), observation(passed()), known).as_expected
    other = judge(cell(kernel="other"), observation(failed()), known)
    assert not other.as_expected


def test_an_expectation_that_speaks_of_no_cell_is_found() -> None:
    stale = expectation("exclusive/gone")
    assert unmatched([expectation(), stale], [cell()]) == (stale,)


@pytest.mark.parametrize(
    "more",
    [
        finding(FindingKind.EXIT, "killed by signal 11"),
        finding(FindingKind.PROCESS_LEFT, "3 processes left behind"),
        finding(FindingKind.KTAP, "planned 3, saw 2", verdict=Verdict.ERROR),
    ],
)
def test_what_the_lab_saw_does_not_hide_behind_a_known_failure(more: Finding) -> None:
    known = [expectation()]
    assert judge(cell(), observation(failed()), known).as_expected
    assert not judge(cell(), observation(failed(), findings=[more]), known).as_expected


LEAK = finding(FindingKind.LEDGER, "vmstat.nr_mlock changed by +2", about="vmstat.nr_mlock")
COUNT = finding(FindingKind.AUDIT, "8 pages", mark="end", about="count", amount=8)


@pytest.mark.parametrize(
    ("pattern", "one"),
    [
        ("lab: ledger", LEAK),
        ("lab: ledger: vmstat.*", LEAK),
        ("lab: audit end: count", COUNT),
        ("lab: audit *: count", COUNT),
        ("lab: audit end", COUNT),
    ],
)
def test_a_finding_is_known_by_its_name_or_without_what_it_is_about(
    pattern: str, one: Finding
) -> None:
    seen = observation(passed(), findings=[one])
    assert judge(cell(), seen, [expectation(subtests=(pattern,))]).as_expected
    assert not judge(cell(), seen, [expectation(subtests=("lab: exit",))]).as_expected


def test_the_reason_names_the_first_finding_and_counts_the_others() -> None:
    assert judge(cell(), observation(passed(), findings=[COUNT, LEAK]), ()).reason == (
        "lab: audit end: count: 8 pages (and 1 more)"
    )
    assert judge(cell(), observation(passed(), findings=[LEAK]), ()).reason == (
        "lab: ledger: vmstat.nr_mlock changed by +2"
    )


def test_a_taint_without_a_splat_is_an_outcome_and_one_beneath_another_end_is_not() -> None:
    seen = replace(observation(passed()), tainted=512)
    found = judge(cell(), seen, ())
    assert (found.outcome, found.verdict) == (Outcome.SPLAT, Verdict.FAIL)
    assert "512" in found.reason
    died = replace(observation(outcome=Outcome.PANIC), tainted=512)
    assert judge(cell(), died, ()).outcome is Outcome.PANIC


def test_named_subtests_are_all_that_may_fail() -> None:
    known = [expectation(subtests=("a", "b*"))]
    assert judge(cell(), observation(failed("a"), failed("b2")), known).as_expected
    assert not judge(cell(), observation(failed("a"), failed("c")), known).as_expected


def test_a_known_death_is_known_although_the_guest_could_not_print_the_rest() -> None:
    known = [expectation(outcome=Outcome.PANIC, splat="demo", subtests=("a",))]
    unprinted = Subtest("b", Verdict.ERROR, "missing")
    death = [splat("kernel BUG in demo")]
    died = observation(failed("a"), unprinted, outcome=Outcome.PANIC, splats=death)
    assert judge(cell(), died, known).as_expected
    more = observation(failed("a"), failed("c"), outcome=Outcome.PANIC, splats=death)
    assert not judge(cell(), more, known).as_expected
    lived = [expectation(subtests=("a",))]
    assert not judge(cell(), observation(failed("a"), unprinted), lived).as_expected
    assert judge(cell(), observation(failed("a"), passed("b")), lived).as_expected
    # At its limit the guest lives: what it did not print is not known.
    late = [expectation(outcome=Outcome.TIMEOUT, subtests=("a",))]
    slow = observation(failed("a"), unprinted, outcome=Outcome.TIMEOUT)
    assert not judge(cell(), slow, late).as_expected


@pytest.mark.parametrize(
    ("seen", "known", "reason"),
    [
        (observation(failed("a", "FAILED: x")), (), "a: x"),
        (observation(failed("a", "FAILED: x"), failed("b")), (), "a: x (and 1 more)"),
        (observation(failed("a", "")), (), "a"),
        (observation(Subtest("a", Verdict.SKIP, "no", "no")), (), "a: no"),
        (observation(passed(), outcome=Outcome.HANG, detail="5 s"), (), "hang: 5 s"),
        (observation(passed(), outcome=Outcome.HANG), (), "hang"),
        (observation(passed(), outcome=Outcome.LOST, fault=Fault.LAB, detail="x"), (), "x"),
        (observation(findings=[finding(about="acc", text="changed by +1")]), (),
         "lab: ledger: changed by +1"),
        (observation(findings=[finding(FindingKind.AUDIT, "64 pages", mark="end", about="count")]),
         (), "lab: audit end: count: 64 pages"),
        (observation(passed()), (expectation(),),
         "was expected to fail, but passed: the expectation no longer holds "
         "(expect, line 12: known)"),
        (observation(failed("a", "FAILED: x"), outcome=Outcome.TIMEOUT, detail="10 s"),
         (expectation(),),
         "timeout: 10 s; fails in another way than expected (expect, line 12: known)"),
    ],
    ids=["failed", "two", "no reason", "skip", "hang", "no detail", "lost", "ledger", "audit",
         "no longer", "another way"],
)  # fmt: skip
def test_a_verdict_has_its_reason(
    seen: Observation, known: tuple[Expectation, ...], reason: str
) -> None:
    assert judge(cell(), seen, known).reason == reason


def test_a_splat_that_follows_an_allowed_one_is_a_cause_of_its_own() -> None:
    first, second, third = (
        splat("WARNING in known"), splat("WARNING in b", following=True),
        splat("WARNING in c", following=True),
    )  # fmt: skip
    allowed = Allowlist((Allowance("known", "", "seen everywhere", "", 7),), "2027-01-15")
    seen = observation(passed(), splats=[first, second, third])
    known = [expectation(outcome=Outcome.SPLAT, splat="in b")]
    found = judge(cell(), seen, known, allowed)
    assert (found.reason, found.as_expected) == ("splat: WARNING in b", True)
    assert judge(cell(), seen, [expectation(outcome=Outcome.SPLAT, splat="in c")],
                 allowed).as_expected is False  # fmt: skip
    assert judge(cell(), seen, known).reason == (
        "splat: WARNING in known; fails in another way than expected (expect, line 12: known)"
    )


def test_a_completed_cell_of_the_labs_fault_is_an_error_with_its_reason() -> None:
    for fault in (Fault.LAB, Fault.USER):
        found = judge(cell(), observation(passed(), fault=fault, detail="why"), ())
        assert (found.verdict, found.reason) == (Verdict.ERROR, "why")


def test_splats_that_all_follow_another_have_no_cause_among_them() -> None:
    seen = observation(passed(), splats=[splat("a", following=True), splat("b", following=True)])
    assert judge(cell(), seen, ()).reason == "splat: a"
    known = [expectation(outcome=Outcome.SPLAT, splat="a")]
    assert not judge(cell(), seen, known).as_expected


def test_a_judgement_says_what_was_expected() -> None:
    assert judge(cell(), observation(passed()), ()).expected is Verdict.PASS
    assert judge(cell(), observation(failed()), ()).expected is Verdict.PASS
    assert judge(cell(), observation(failed()), [expectation()]).expected is Verdict.FAIL
    assert judge(cell(), observation(passed()), [expectation()]).expected is Verdict.FAIL


# -- expectations for some kernels ---------------------------------------------------------------

OLD = {"base": "6.12.117"}
NEW = {"base": "6.15.0-rc2"}


@pytest.mark.parametrize(
    ("versions", "seen", "expected", "as_expected"),
    [
        (OLD, observation(failed()), Verdict.FAIL, True),
        (OLD, observation(passed()), Verdict.FAIL, False),
        (NEW, observation(passed()), Verdict.PASS, True),
        (NEW, observation(failed()), Verdict.PASS, False),
        ({}, observation(passed()), Verdict.FAIL, False),  # not known: the entry holds
        ({"base": "?"}, observation(passed()), Verdict.FAIL, False),
    ],
)
def test_an_expectation_is_due_on_the_kernels_in_its_range(
    versions: dict[str, str], seen: Observation, expected: Verdict, as_expected: bool
) -> None:
    known = due([expectation("*", tree="<6.15")], versions)
    judged = judge(cell(), seen, known)
    assert (judged.expected, judged.as_expected) == (expected, as_expected)
    assert known[0].demands("base") is (expected is Verdict.FAIL)


def test_an_expectation_for_other_kernels_than_the_runs_is_not_stale() -> None:
    known = due([expectation("*", tree="<6.15"), expectation("none/*", tree="<6.15")], NEW)
    assert [one.testcase for one in unmatched(known, [cell()])] == ["none/*"]


def test_two_kernels_of_a_run_have_their_own_expectations() -> None:
    known = due([expectation("*", tree="<6.15")], {"base": "6.12.1", "new": "7.3.4"})
    for name, fine in (("base", True), ("new", False)):
        assert judge(cell(kernel=name), observation(failed()), known).as_expected is fine
