# SPDX-License-Identifier: GPL-2.0
"""Splats that fail no cell: what a lab file allows, what a testcase declares, what neither can."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rmaplab.judge import is_expired, judge, unused
from rmaplab.model import (
    OWNER_BOOT,
    OWNER_GAP,
    Allowance,
    Allowlist,
    JudgedSplat,
    Judgement,
    Observation,
    Outcome,
    Severity,
    Splat,
    Verdict,
)

from .builders import cell, expectation, failed, observation, passed, result, splat, testcase

DAY = "2027-01-15"
KNOWN = splat("WARNING in demo_known")
OTHER = splat("WARNING in demo_other", following=True)
NAME = "exclusive/mapcount"


def allow(
    pattern: str = "^WARNING in demo_known$", *, kind: str = "", until: str = ""
) -> Allowlist:
    return Allowlist((Allowance(pattern, kind, "seen on every kernel", until, 7),), DAY)


def splatted(*splats: Splat, outcome: Outcome = Outcome.COMPLETED) -> Observation:
    return observation(passed(), outcome=outcome, splats=splats)


def judged(seen: Observation, allowlist: Allowlist, **case: object) -> Judgement:
    where = cell(testcase=replace(testcase(), **case)) if case else cell()  # type: ignore[arg-type]
    return judge(where, seen, (), allowlist)


def test_an_allowed_splat_fails_no_cell_and_is_still_there() -> None:
    found = judged(splatted(KNOWN), allow())
    assert (found.verdict, found.as_expected) == (Verdict.PASS, True)
    assert found.splats == (JudgedSplat(KNOWN, "seen on every kernel"),)
    assert found.outcome is Outcome.COMPLETED


def test_what_nobody_allowed_beside_it_fails_the_cell_and_is_the_reason() -> None:
    found = judged(splatted(KNOWN, OTHER), allow())
    assert found.verdict is Verdict.FAIL
    assert found.reason == "splat: WARNING in demo_other"
    assert found.splats == ((KNOWN, "seen on every kernel"), (OTHER, ""))
    assert found.outcome is Outcome.SPLAT


def test_a_failed_subtest_below_an_allowed_splat_still_fails() -> None:
    seen = replace(splatted(KNOWN), subtests=(passed(), failed("b", "FAILED: it is 0")))
    assert judged(seen, allow()).reason == "b: it is 0"


@pytest.mark.parametrize("outcome", [o for o in Outcome if o not in {Outcome.COMPLETED}])
def test_what_else_is_against_a_cell_is_not_excused_with_its_splat(outcome: Outcome) -> None:
    seen = splatted(KNOWN, outcome=outcome)
    tainted = replace(seen, tainted=512) if outcome is Outcome.SPLAT else seen
    found = judged(tainted, allow())
    assert found.verdict is (Verdict.ERROR if outcome is Outcome.INFRA else Verdict.FAIL)
    assert found.outcome is outcome


@pytest.mark.parametrize(
    "grave",
    [
        replace(KNOWN, fatal=True),
        replace(KNOWN, corrupted=True),
        replace(KNOWN, kind="console-cut", corrupted=True),
    ],
)
def test_what_was_cut_or_killed_the_kernel_is_never_allowed(grave: Splat) -> None:
    assert judged(splatted(grave), allow(".")).verdict is Verdict.FAIL


def test_a_kind_narrows_an_entry() -> None:
    assert judged(splatted(KNOWN), allow(kind="warning")).verdict is Verdict.PASS
    assert judged(splatted(KNOWN), allow(kind="kasan")).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("until", "verdict"),
    [("", Verdict.PASS), (DAY, Verdict.PASS), ("2027-01-16", Verdict.PASS),
     ("2027-01-14", Verdict.FAIL), ("2026-12-31", Verdict.FAIL)],
)  # fmt: skip
def test_the_day_on_which_the_run_began_decides(until: str, verdict: Verdict) -> None:
    assert judged(splatted(KNOWN), allow(until=until)).verdict is verdict


def test_without_a_day_whatever_expires_has_expired() -> None:
    (entry,) = allow(until="2999-12-31").entries
    assert is_expired(entry, "")
    assert not is_expired(replace(entry, until=""), "")


def test_entries_that_matched_nothing_are_known_expired_or_not() -> None:
    used, idle = allow(".*known"), allow("demo_gone", until="2020-01-01")
    both = Allowlist(used.entries + idle.entries, DAY)
    assert unused(both, [result(splatted(KNOWN))]) == idle.entries
    assert unused(both, []) == both.entries


def test_a_known_failure_is_judged_by_what_is_not_allowed() -> None:
    known = expectation(outcome=Outcome.SPLAT, splat="demo_other")
    assert judge(cell(), splatted(KNOWN, OTHER), [known], allow()).as_expected
    assert not judge(cell(), splatted(KNOWN, OTHER), [known]).as_expected


def test_a_kernel_that_complains_at_boot_fails_and_says_when() -> None:
    found = judged(splatted(replace(KNOWN, owner=OWNER_BOOT)), Allowlist())
    assert (found.verdict, found.reason) == (
        Verdict.FAIL, "splat: WARNING in demo_known (at boot)",
    )  # fmt: skip


def test_a_skip_whose_only_splats_are_allowed_is_a_skip() -> None:
    seen = replace(splatted(KNOWN), skip="needs swap", subtests=())
    assert judged(seen, allow()).verdict is Verdict.SKIP
    assert judged(seen, Allowlist()).verdict is Verdict.FAIL


# -- notices -----------------------------------------------------------------------------------

OOM = replace(
    splat("Out of memory: Killed process", kind="oom"), severity=Severity.NOTICE, owner=NAME
)


def test_a_notice_fails_unless_the_testcase_declares_it() -> None:
    assert judged(splatted(OOM), Allowlist()).verdict is Verdict.FAIL
    assert judged(splatted(OOM), Allowlist(), notices=("oom",)).verdict is Verdict.PASS


@pytest.mark.parametrize("owner", ["", OWNER_BOOT, OWNER_GAP, "control/rss", f"{NAME}s", NAME[:-1]])
def test_a_declared_notice_has_to_be_the_testcases_own(owner: str) -> None:
    seen = splatted(replace(OOM, owner=owner))
    assert judged(seen, Allowlist(), notices=("oom",)).verdict is Verdict.FAIL
    own = splatted(replace(OOM, owner=f"{NAME}/a subtest"))
    assert judged(own, Allowlist(), notices=("oom",)).verdict is Verdict.PASS


def test_only_notices_can_be_declared() -> None:
    grave = replace(OOM, kind="kasan", severity=Severity.ERROR)
    assert judged(splatted(grave), Allowlist(), notices=("kasan",)).verdict is Verdict.FAIL


def test_a_declared_notice_is_allowed_for_the_testcases_sake() -> None:
    (one,) = judged(splatted(OOM), Allowlist(), notices=("oom",)).splats
    assert one.allowed == "the testcase brings it about"


def test_the_first_entry_that_holds_gives_the_reason() -> None:
    entries = (
        Allowance("demo_other", "", "another one", "", 1),
        Allowance("demo_known", "", "expired", "2020-01-01", 2),
        Allowance("demo_known", "kasan", "another kind", "", 3),
        Allowance("demo_known", "", "the one", "", 4),
        Allowance("demo", "", "later", "", 5),
    )
    (one,) = judged(splatted(KNOWN), Allowlist(entries, DAY)).splats
    assert one.allowed == "the one"
