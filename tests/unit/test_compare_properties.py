# SPDX-License-Identifier: GPL-2.0
"""Comparison: laws that hold for every pair of results (docs/comparison.md)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from rmaplab.compare import compare
from rmaplab.judge import judge
from rmaplab.model import (
    Allowance,
    Allowlist,
    CellResult,
    Change,
    Comparison,
    Fault,
    Finding,
    FindingKind,
    Observation,
    Outcome,
    Splat,
    SplatChange,
    Subtest,
    Verdict,
)

from .builders import cell, finding, observation, splat

# Every run takes the same examples, so a broken law is broken for everybody. To look further:
# RMAPLAB_LAWS=20000 pytest tests/unit/test_compare_properties.py
EXAMPLES = int(os.environ.get("RMAPLAB_LAWS", "0"))
law = settings(
    max_examples=EXAMPLES or 100,
    derandomize=not EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)

ALLOWLIST = Allowlist((Allowance("^allowed", "", "known everywhere", "", 7),), "2027-01-15")
GOOD = {Change.FIXED, Change.SAME_PASS}
FAILING = {Verdict.FAIL}
NAMES = ("a", "b", "c")
FINDINGS = {
    one.name: one
    for one in (
        finding(FindingKind.AUDIT, mark="end", about="count"),
        finding(FindingKind.AUDIT, mark="a", about="exclusive"),
        finding(FindingKind.LEDGER, about="vmstat.nr_mapped"),
        finding(FindingKind.EXIT),
        finding(FindingKind.PROCESS_LEFT),
    )
}
"""Findings by their names."""
ALLOWED = "allowed WARNING in w"
TITLES = ("WARNING in x", "WARNING in y", "BUG in z", ALLOWED)

DEAD = (Outcome.PANIC, Outcome.HANG, Outcome.BOOT_FAILED, Outcome.LOST)
ENDS = (Outcome.COMPLETED, Outcome.TIMEOUT, *DEAD)


def ended(
    end: Outcome,
    subtests: Sequence[Subtest],
    splats: Sequence[Splat] = (),
    *,
    tainted: bool = False,
    findings: Sequence[Finding] = (),
) -> Observation:
    """Make the observation that the collectors make of such evidence."""
    seen = observation(*subtests, outcome=end, splats=splats, detail=str(end), findings=findings)
    return replace(seen, tainted=512 if tainted else 0)


LOST = observation(outcome=Outcome.LOST, fault=Fault.LAB, detail="the lab ended")
SKIP = observation(skip="needs swap")


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from([LOST, SKIP]))
    end = draw(st.sampled_from([Outcome.COMPLETED] * 5 + list(ENDS)))
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3).map(sorted))
    verdicts = [Verdict.PASS, Verdict.FAIL, Verdict.PASS, Verdict.SKIP, Verdict.ERROR]
    subtests = [Subtest(name, draw(st.sampled_from(verdicts))) for name in names]
    found: list[Finding] = []
    if end is Outcome.BOOT_FAILED:
        subtests = []
    elif end is Outcome.COMPLETED:
        chosen = st.lists(st.sampled_from(list(FINDINGS)), unique=True, max_size=2)
        found = [FINDINGS[name] for name in draw(chosen)]
    titles = draw(st.lists(st.sampled_from(TITLES), unique=True, max_size=2))
    following = draw(st.booleans())
    splats = [splat(t, following=following and n > 0) for n, t in enumerate(titles)]
    tainted = draw(st.integers(0, 7)) == 0
    return ended(end, subtests, splats, tainted=tainted, findings=found)


def cells(kernel: str, seen: Sequence[Observation]) -> list[CellResult]:
    found = []
    for number, one in enumerate(seen, start=1):
        where = cell(kernel=kernel, repeat=number)
        found.append(CellResult(where, one, judge(where, one, (), ALLOWLIST)))
    return found


Side = list[Observation]
repeats = st.integers(1, 3)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Side, Side]:
    """Give both sides as many repeats; mostly all alike, so that most rows are decided."""
    count = draw(repeats)

    def side() -> Side:
        if draw(st.booleans()):
            return [draw(observations())] * count
        return [draw(observations()) for _ in range(count)]

    before = side()
    return before, before if draw(st.integers(0, 3)) == 0 else side()


def comparison(before: Side, after: Side) -> Comparison:
    return compare("base", "patched", cells("base", before), cells("patched", after))


def change(before: Side, after: Side) -> Change | None:
    """Give the change of the one row; None if both sides skip it."""
    rows = comparison(before, after).rows
    assert len(rows) <= 1
    return rows[0].change if rows else None


def verdicts(side: Side) -> set[Verdict]:
    return {one.judgement.verdict for one in cells("base", side)}


def ran(side: Side) -> set[str]:
    return {
        subtest.name
        for one in side
        for subtest in one.subtests
        if subtest.verdict in {Verdict.PASS, Verdict.FAIL}
    }


def names(side: Side, wanted: set[Verdict]) -> set[str]:
    return {s.name for one in side for s in one.results if s.verdict in wanted}


# -- adding to patched ---------------------------------------------------------------------------


def with_failure(name: str) -> Callable[[Observation], Observation]:
    return lambda seen: _placed(seen, name, Verdict.FAIL)


def _placed(seen: Observation, name: str, verdict: Verdict) -> Observation:
    """Give a cell a result, in place of one of the same name."""
    if name in FINDINGS:
        others = tuple(one for one in seen.findings if one.name != name)
        return replace(seen, findings=(*others, replace(FINDINGS[name], verdict=verdict)))
    left = tuple(s for s in seen.subtests if s.name != name)
    return replace(seen, subtests=(*left, Subtest(name, verdict)))


def with_splat(title: str) -> Callable[[Observation], Observation]:
    def add(seen: Observation) -> Observation:
        return replace(seen, splats=(*seen.splats, splat(title)))

    return add


def with_panic(seen: Observation) -> Observation:
    if seen.ended is not Outcome.COMPLETED:
        return seen  # another death is no failure more
    return replace(seen, ended=Outcome.PANIC, fault=Fault.KERNEL, detail="panic")


ADDITIONS = [
    with_failure("new"),
    *map(with_failure, FINDINGS),
    with_splat("BUG in new"),
    with_splat("WARNING in x"),
    with_panic,
]


def allowed(seen: Observation) -> list[Splat]:
    return [one for one in seen.splats if one.title == ALLOWED]


def has_verdict(seen: Observation) -> bool:
    return verdicts([seen]) <= {Verdict.PASS, Verdict.FAIL}


W = [splat("WARNING in x")]
PASSES_A, FAILS_A = Subtest("a", Verdict.PASS), Subtest("a", Verdict.FAIL)
WARNS = ended(Outcome.COMPLETED, [PASSES_A], W)
PASSES_B = Subtest("b", Verdict.PASS)
FAILS = ended(Outcome.COMPLETED, [FAILS_A])
TIMES_OUT = ended(Outcome.TIMEOUT, [PASSES_A])


@law
@given(pairs(), st.sampled_from(ADDITIONS), st.sets(st.integers(0, 2), min_size=1))
@example(([WARNS], [WARNS]), with_failure("lab: audit end: count"), {0})
@example(([TIMES_OUT], [TIMES_OUT]), with_failure("lab: audit end: count"), {0})
def test_what_is_added_to_patched_makes_no_row_better(
    pair: tuple[Side, Side], add: Callable[[Observation], Observation], where: set[int]
) -> None:
    before, after = pair
    assume(any(n < len(after) and has_verdict(after[n]) for n in where))
    worse = [add(one) if n in where and has_verdict(one) else one for n, one in enumerate(after)]
    was, now = change(before, after), change(before, worse)
    assert was is not None
    assert now is not None
    if was is Change.UNSTABLE:
        # Repeats that now agree are no longer unstable; they are no good news either.
        assert now not in GOOD
    else:
        assert now.rank >= was.rank


@law
@given(pairs(), st.sampled_from(NAMES), st.sets(st.integers(0, 2), min_size=1))
def test_a_subtest_that_passed_and_now_fails_makes_no_row_better(
    pair: tuple[Side, Side], name: str, where: set[int]
) -> None:
    before, after = pair

    def fails(seen: Observation) -> Observation:
        known = {s.name: s.verdict for s in seen.subtests}
        passes = known.get(name) is Verdict.PASS and has_verdict(seen)
        return with_failure(name)(seen) if passes else seen

    worse = [fails(one) if n in where else one for n, one in enumerate(after)]
    was, now = change(before, after), change(before, worse)
    assert (was is None) == (now is None)
    if was is not None and now is not None:
        assert now.rank >= was.rank or (was is Change.UNSTABLE and now not in GOOD)


def showing(seen: Observation, name: str, verdict: Verdict) -> Observation:
    """Give a result its verdict, in a cell that has one itself."""
    return _placed(seen, name, verdict) if has_verdict(seen) else seen


@law
@given(pairs(), st.sampled_from(NAMES), st.sampled_from([Verdict.PASS, Verdict.SKIP]))
@example(([WARNS], [ended(Outcome.COMPLETED, [], W)]), "a", Verdict.PASS)
@example(([WARNS], [ended(Outcome.COMPLETED, [], W)]), "a", Verdict.SKIP)
def test_a_row_is_bad_if_a_name_fails_that_came_on_base_and_failed_in_no_repeat(
    pair: tuple[Side, Side], name: str, came: Verdict
) -> None:
    before, after = pair
    assume(any(map(has_verdict, before)) and any(map(has_verdict, after)))
    before = [showing(one, name, came) for one in before]
    after = [showing(one, name, Verdict.FAIL) for one in after]
    assume(any(map(has_verdict, before)))
    found = change(before, after)
    assert found is not None
    assert found.is_bad


@law
@given(pairs(), st.sampled_from(list(FINDINGS)))
def test_a_row_is_bad_if_a_check_fails_that_base_was_there_for(
    pair: tuple[Side, Side], finding: str
) -> None:
    before, after = pair
    assume(any(has_verdict(one) and one.ended is Outcome.COMPLETED for one in before))
    assume(any(map(has_verdict, after)) and finding not in names(before, FAILING))
    found = change(before, [showing(one, finding, Verdict.FAIL) for one in after])
    assert found is not None
    assert found.is_bad


@law
@given(pairs())
@example(([FAILS], [FAILS]))
@example(([FAILS], [ended(Outcome.COMPLETED, [FAILS_A], [splat(ALLOWED)])]))
def test_a_kernel_that_taints_itself_where_base_does_not_makes_a_row_bad(
    pair: tuple[Side, Side],
) -> None:
    before, after = ([one for one in side if has_verdict(one)] for side in pair)
    assume(before and after)
    completed = [ended(Outcome.COMPLETED, one.subtests) for one in before]
    assume(any(map(has_verdict, completed)))
    tainted = [ended(Outcome.COMPLETED, s.subtests, allowed(s), tainted=True) for s in after]
    found = change(completed, tainted)
    assert found is not None
    assert found.is_bad


# -- taking away ---------------------------------------------------------------------------------


@law
@given(pairs(), st.sampled_from(["drop", "lose", "skip"]), st.booleans(), st.integers(0, 2))
@example(([ended(Outcome.COMPLETED, [FAILS_A])] * 2, [ended(Outcome.COMPLETED, [PASSES_A])] * 2),
         "drop", False, 0)  # fmt: skip
def test_a_repeat_taken_away_makes_no_pass(
    pair: tuple[Side, Side], how: str, of_base: bool, which: int
) -> None:
    sides = [list(side) for side in pair]
    side = sides[0] if of_base else sides[1]
    assume(which < len(side) and has_verdict(side[which]))
    match how:
        case "drop":
            del side[which]
        case "lose":
            side[which] = LOST
        case "skip":
            side[which] = SKIP
    assert change(*sides) not in GOOD


@law
@given(pairs(), st.sampled_from(NAMES), st.sampled_from([None, Verdict.SKIP, Verdict.ERROR]))
@example(([FAILS], [ended(Outcome.COMPLETED, [FAILS_A, PASSES_B])]), "a", None)
def test_a_result_that_base_has_and_patched_loses_makes_no_pass(
    pair: tuple[Side, Side], name: str, left: Verdict | None
) -> None:
    before, after = pair
    kept = [one for one in before if has_verdict(one)]
    assume(name in ran(kept))

    def loses(seen: Observation) -> Observation:
        others = tuple(s for s in seen.subtests if s.name != name)
        more = () if left is None else (Subtest(name, left),)
        return (
            replace(seen, subtests=(*others, *more)) if len(others) < len(seen.subtests) else seen
        )

    assert change(before, [loses(one) for one in after]) not in GOOD


@law
@given(pairs(), st.sampled_from(NAMES), st.sampled_from([Verdict.PASS, Verdict.FAIL]))
@example(([FAILS] * 2, [ended(Outcome.COMPLETED, [FAILS_A, PASSES_B])] * 2), "a", Verdict.FAIL)
def test_a_row_is_bad_if_patched_did_not_run_what_base_ran(
    pair: tuple[Side, Side], name: str, verdict: Verdict
) -> None:
    before, after = pair
    after = [replace(o, subtests=tuple(s for s in o.subtests if s.name != name)) for o in after]
    before = [showing(one, name, verdict) for one in before]
    assume(name in ran([one for one in before if has_verdict(one)]))
    found = change(before, after)
    assert found is not None
    assert found.is_bad


# -- symmetry ------------------------------------------------------------------------------------


@law
@given(pairs())
def test_exchanging_the_sides_exchanges_fixed_and_regressed(pair: tuple[Side, Side]) -> None:
    before, after = pair
    there, back = change(before, after), change(after, before)
    if there is Change.FIXED:
        assert back is Change.REGRESSED
    if there is Change.GONE_SPLAT:
        assert back is Change.NEW_SPLAT
    if (verdicts(before), verdicts(after)) == ({Verdict.PASS}, {Verdict.FAIL}):
        assert there is Change.REGRESSED
        assert back in {Change.FIXED, Change.MISSING}
    if there in {Change.UNSTABLE, None}:
        assert back is there


@law
@given(pairs())
def test_exchanging_the_sides_exchanges_new_and_gone_splats(pair: tuple[Side, Side]) -> None:
    there = {s.fingerprint: s.change for s in comparison(*pair).splats}
    back = {s.fingerprint: s.change for s in comparison(*reversed(pair)).splats}
    other = {
        SplatChange.NEW: SplatChange.GONE,
        SplatChange.GONE: SplatChange.NEW,
        SplatChange.SAME: SplatChange.SAME,
    }
    assert {f: other[c] for f, c in there.items()} == back


@law
@given(pairs(), st.randoms(use_true_random=False))
def test_results_in_another_order_change_nothing(pair: tuple[Side, Side], random: Random) -> None:
    base, patched = cells("base", pair[0]), cells("patched", pair[1])
    whole = compare("base", "patched", base, patched)
    for results in (base, patched):
        random.shuffle(results)
    assert compare("base", "patched", base, patched) == whole


@law
@given(pairs(), st.randoms(use_true_random=False))
def test_evidence_of_repeats_in_another_order_gives_the_same_change(
    pair: tuple[Side, Side], random: Random
) -> None:
    found = change(*pair)
    before, after = list(pair[0]), list(pair[1])
    random.shuffle(before)
    random.shuffle(after)
    assert change(before, after) is found


@law
@given(pairs())
def test_a_row_with_itself_is_the_same(pair: tuple[Side, Side]) -> None:
    side, _ = pair
    assume(verdicts(side) in ({Verdict.PASS}, {Verdict.FAIL}))
    expected = Change.SAME_PASS if verdicts(side) == {Verdict.PASS} else Change.SAME_FAIL
    assert change(side, side) is expected


def test_the_order_of_changes_puts_every_bad_one_behind_every_other() -> None:
    good = {one for one in Change if not one.is_bad}
    assert good == {Change.FIXED, Change.SAME_PASS, Change.GONE_SPLAT, Change.SAME_FAIL}
    assert max(one.rank for one in good) < min(one.rank for one in set(Change) - good)
