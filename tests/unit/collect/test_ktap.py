# SPDX-License-Identifier: GPL-2.0
"""KTAP: every way to say what a test did, and every way to say it badly."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmaplab.collect import ktap as ktap_module
from rmaplab.collect.console import parse_log
from rmaplab.collect.ktap import KtapReport, parse_ktap
from rmaplab.model import Subtest, Verdict

# The example of Documentation/dev-tools/ktap.rst.
NESTED = """KTAP version 1
1..1
  KTAP version 1
  1..3
    KTAP version 1
    1..1
    # test_1: initializing test_1
    ok 1 test_1
  ok 1 example_test_1
    KTAP version 1
    1..2
    ok 1 test_1 # SKIP test_1 skipped
    ok 2 test_2
  ok 2 example_test_2
    KTAP version 1
    1..3
    ok 1 test_1
    # test_2: FAIL
    not ok 2 test_2
    ok 3 test_3 # SKIP test_3 skipped
  not ok 3 example_test_3
not ok 1 main_test"""


def ktap(text: str) -> KtapReport:
    """Parse a text."""
    return parse_ktap(text.splitlines())


def flat(body: str, plan: str = "1..1") -> KtapReport:
    """Parse results under a version line and a plan."""
    return ktap(f"TAP version 13\n{plan}\n{body}")


def verdicts(report: KtapReport) -> dict[str, str]:
    """Name -> verdict."""
    return {subtest.name: subtest.verdict.value for subtest in report.subtests}


def test_nested_names_are_joined_with_a_slash() -> None:
    report = ktap(NESTED)
    assert report.problems == ()
    assert report.planned == 1
    assert verdicts(report) == {
        "main_test/example_test_1/test_1": "pass",
        "main_test/example_test_1": "pass",
        "main_test/example_test_2/test_1": "skip",
        "main_test/example_test_2/test_2": "pass",
        "main_test/example_test_2": "pass",
        "main_test/example_test_3/test_1": "pass",
        "main_test/example_test_3/test_2": "fail",
        "main_test/example_test_3/test_3": "skip",
        "main_test/example_test_3": "fail",
        "main_test": "fail",
    }


def test_diagnostics_belong_to_the_result_that_follows() -> None:
    report = flat("# looking\nnoise in between\nok 1 a\n# other\nnot ok 2 b # rc=3", "1..2")
    assert report.subtests == (
        Subtest("a", Verdict.PASS, "looking\nnoise in between"),
        Subtest("b", Verdict.FAIL, "rc=3\nother"),
    )
    assert report.problems == ()


@pytest.mark.parametrize(
    ("line", "verdict", "name"),
    [
        ("ok 1 - a", "pass", "a"),
        ("ok 1 a", "pass", "a"),
        ("ok 1", "pass", "test 1"),
        ("not ok 1 a", "fail", "a"),
        ("ok 1 a # SKIP no device", "skip", "a"),
        ("not ok 1 a # SKIP no device", "skip", "a"),
        ("ok 1 # SKIP no_device", "skip", "no_device"),
        ("not ok 1 a # TODO known", "skip", "a"),
        ("ok 1 a # TODO known", "pass", "a"),
        ("ok 1 a # XFAIL known", "skip", "a"),
        ("not ok 1 a # TIMEOUT 30 seconds", "fail", "a"),
        ("not ok 1 a # ERROR no memory", "error", "a"),
        ("ok 1 a # ERROR no memory", "error", "a"),
        ("ok 1 a # rcode=0", "pass", "a"),
        ("[    1.234567][   T77] ok 1 a", "pass", "a"),
    ],
)
def test_a_result_line_is_read(line: str, verdict: str, name: str) -> None:
    report = flat(line)
    assert verdicts(report) == {name: verdict}
    assert report.problems == ()


@pytest.mark.parametrize(
    ("line", "known"),
    [("ok 1 a # XFAIL leaks", True), ("not ok 1 a # XFAIL leaks", True),
     ("not ok 1 a # TODO leaks", True), ("ok 1 a # TODO leaks", False),
     ("ok 1 a # SKIP leaks", False), ("not ok 1 a", False), ("ok 1 a # XPASS leaks", False)],
)  # fmt: skip
def test_a_failure_that_a_test_expects_is_a_known_one(line: str, known: bool) -> None:
    (one,) = flat(line).subtests
    assert one.known is known
    assert one.word == ("known failure" if known else one.verdict)


def test_a_known_failure_inside_of_a_test_stays_one() -> None:
    said = "KTAP version 1\n1..1\n    1..2\n    ok 1 a # XFAIL leaks\n    ok 2 b\nok 1 all\n"
    first, second, whole = ktap(said).subtests
    assert (first.name, first.known, second.known, whole.known) == ("all/a", True, False, False)
    assert whole.verdict is Verdict.PASS


def test_silence_is_a_problem() -> None:
    assert ktap("").problems == ("no KTAP output",)
    assert ktap("hello\nok then\n").problems == ("no KTAP output",)
    assert ktap("KTAP version 1").problems == ("no results",)


def test_a_result_that_never_came_is_an_error() -> None:
    report = flat("ok 1 a\nok 2 b", "1..3")
    assert "planned 3, saw 2" in report.problems
    assert report.subtests[-1] == Subtest("test 3", Verdict.ERROR, "missing")


def test_more_results_than_planned_is_a_problem() -> None:
    report = flat("ok 1 a\nok 2 b")
    assert "planned 1, saw 2" in report.problems
    assert len(report.subtests) == 2


def test_a_missing_plan_is_a_problem() -> None:
    assert ktap("KTAP version 1\nok 1 a").problems == ("no plan",)


def test_a_plan_at_the_end_counts() -> None:
    report = ktap("KTAP version 1\nok 1 a\nok 2 b\n1..2")
    assert report.problems == ()
    assert report.planned == 2


def test_numbers_out_of_order_and_twice_are_problems() -> None:
    assert flat("ok 2 b\nok 1 a", "1..2").problems
    assert any("twice" in text for text in flat("ok 1 a\nok 1 a", "1..2").problems)


def test_a_second_version_line_at_the_top_is_a_problem() -> None:
    assert flat("ok 1 a\nKTAP version 1").problems == ("a second version line at the top",)


def test_bailing_out_is_kept_with_its_reason() -> None:
    report = flat("ok 1 a\nBail out! no memory\nok 2 b", "1..3")
    assert report.bailed_out == "no memory"
    assert "bailed out: no memory" in report.problems
    assert verdicts(report) == {"a": "pass", "test 2": "error", "test 3": "error"}


def test_skipping_everything_is_no_problem() -> None:
    report = flat("", "1..0 # SKIP needs two nodes")
    assert report.skip_all == "needs two nodes"
    assert report.problems == ()
    assert report.subtests == ()


def test_a_parent_is_no_better_than_its_children() -> None:
    report = ktap("KTAP version 1\n1..1\n  KTAP version 1\n  1..1\n  not ok 1 a\nok 1 top")
    assert verdicts(report)["top"] == "fail"
    assert report.problems


def test_children_whose_parent_was_cut_are_kept() -> None:
    report = ktap("KTAP version 1\n1..1\n  KTAP version 1\n  # Subtest: suite\n  1..2\n  ok 1 a")
    assert verdicts(report) == {"suite/a": "pass", "suite/test 2": "error", "test 1": "error"}
    assert report.problems


def test_the_kernel_doc_example_with_an_unindented_diagnostic() -> None:
    report = ktap(
        "KTAP version 1\n1..1\n  KTAP version 1\n  1..2\n  ok 1 test_1\n  not ok 2 test_2\n"
        "# example failed\nnot ok 1 example"
    )
    assert report.problems == ()
    assert report.subtests[-1] == Subtest("example", Verdict.FAIL, "example failed")


LINES = st.one_of(
    st.text(max_size=40),
    st.builds(
        lambda indent, body: " " * indent + body,
        st.integers(0, 40),
        st.sampled_from(
            ["KTAP version 1", "TAP version 13", "1..3", "1..999999999", "1..0 # SKIP", "ok 1 a",
             "ok 2", "not ok 3 - c # TODO x", "ok", "ok - d", "Bail out!", "# x", "# Subtest: s",
             "ok 99999999999999999999 z", "not ok 1 a # SKIP"]
        ),
    ),
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(LINES, max_size=60))
def test_no_lines_raise_and_nothing_counts_as_a_pass_by_itself(lines: list[str]) -> None:
    report = parse_ktap(lines)
    passes = [subtest for subtest in report.subtests if subtest.verdict is Verdict.PASS]
    assert len(passes) <= sum("ok" in line for line in lines)
    assert report.subtests or report.problems or report.skip_all is not None
    assert all(subtest.name for subtest in report.subtests)


def test_a_flood_is_bounded() -> None:
    report = parse_ktap(f"{' ' * (n % 50)}1..999999999\n{' ' * (n % 50)}ok 1" for n in range(3000))
    assert len(report.subtests) <= 20_000
    many = parse_ktap(["KTAP version 1", *(f"ok {n} {'x' * 5000}" for n in range(1, 25_000))])
    assert len(many.subtests) == 20_000
    assert any("more than" in text for text in many.problems)


@pytest.mark.parametrize("line", ["KTAP version 2", "TAP version 99", "KTAP version 13"])
def test_an_unknown_version_is_a_problem(line: str) -> None:
    assert any("not known" in text for text in ktap(f"{line}\n1..1\nok 1 a").problems)


def test_results_without_a_version_line_are_a_problem() -> None:
    assert ktap("1..1\nok 1 a").problems == ("no version line",)


def test_ktap_on_a_console_is_read_between_what_the_kernel_says() -> None:
    log = (
        b"[    1.000000][    T1] KTAP version 1\r\n"
        b"[    1.000001][    T1] 1..1\r\n"
        b"[    1.000002][    T1]     KTAP version 1\r\n"
        b"[    1.000003][    T1]     # Subtest: rmap\r\n"
        b"[    1.000004][    T1]     1..2\r\n"
        b"[    1.000005][   T77] usb 1-1: a device\r\n"
        b"[    1.000006][    T1]     ok 1 walk\r\n"
        b"[    1.000007][    T1]     # a diagnostic\r\n"
        b"[    1.000008][    T1]     \x1b[31mnot ok 2 unmap\x1b[0m\r\n"
        b"[    1.000009][    T1] not ok 1 rmap\r\n"
    )
    report = parse_log([b"chatter\n" * 9, log, b"more chatter\n" * 9]).ktap
    assert report is not None
    assert report.problems == ()
    assert report.subtests == (
        Subtest("rmap/walk", Verdict.PASS, "usb 1-1: a device"),
        Subtest("rmap/unmap", Verdict.FAIL, "a diagnostic"),
        Subtest("rmap", Verdict.FAIL, ""),
    )


def test_a_log_without_ktap_has_none() -> None:
    assert parse_log([b"chatter\nit is ok\n"]).ktap is None


def test_diagnostics_across_long_stretches_of_chatter_are_the_last_ones() -> None:
    log = b"KTAP version 1\n1..1\n" + b"chatter\n" * 60_000 + b"# why\nnot ok 1 a\n"
    reads = [log[at : at + 4096] for at in range(0, len(log), 4096)]
    assert parse_log(reads) == parse_log([log])
    report = parse_log(reads).ktap
    assert report is not None
    assert report.subtests[0].detail.endswith("chatter\nwhy")


def test_memory_is_bounded_whatever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ktap_module, "MAX_DETAILS", 1 << 18)

    def peak(copies: int) -> int:
        block = b"# %s\n" % (b"x" * 4000) * 4 + b"ok 1 a\n  ok 2 b\n    # y\n"
        tracemalloc.start()
        parse_log(block for _ in range(copies))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(800) < 6 << 20  # of 13 MB that came as diagnostics
