# SPDX-License-Identifier: GPL-2.0
"""KTAP as other people's logs have it: behind prefixes, nested by hash signs, with odd names.

The kernel's own reader, tools/testing/kunit/kunit_parser.py, is the second one, if the lab has
fetched a kernel tree.
"""

from __future__ import annotations

import importlib.util
import inspect
import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmaplab.collect.console import parse_log
from rmaplab.collect.ktap import KtapReport, parse_ktap
from rmaplab.store.cache import Cache

KUNIT = """\
KTAP version 1
1..2
    KTAP version 1
    # Subtest: gadget
    # module: gadget_test
    1..3
    ok 1 gadget_opens
    # gadget_closes: EXPECTATION FAILED at lib/gadget_test.c:12
    not ok 2 gadget_closes
    ok 3 gadget_sleeps # SKIP no hardware
# gadget: pass:1 fail:1 skip:1 total:3
not ok 1 gadget
    KTAP version 1
    # Subtest: widget
    1..1
    ok 1 widget_turns
ok 2 widget
"""
RUNNER = """\
TAP version 13
1..2
# timeout set to 45
# selftests: mm: gadget
# TAP version 13
# 1..3
# # a nested diagnostic
# ok 1 page #1
# not ok 2 page #2
# ok 3 page #3 # SKIP no page
# # Totals: pass:1 fail:1 xfail:0 xpass:0 skip:1 error:0
not ok 1 selftests: mm: gadget # exit=1
# timeout set to 45
# selftests: mm: widget
ok 2 selftests: mm: widget
"""

Prefix = Callable[[int], str]
PREFIXES: dict[str, Prefix] = {
    "printk": lambda n: f"[   12.{n:06}] ",
    "printk with callers": lambda n: f"[   12.{n:06}][  T{n % 3 + 77}] ",
    "GitHub Actions": lambda n: f"2031-02-03T10:00:00.{n:07}Z ",
    "GitHub Actions and printk": lambda n: f"2031-02-03T10:00:00.{n:07}Z [   12.{n:06}] ",
    "LAVA": lambda n: f"2031-02-03T10:00:00.{n:06} ",
    "journal": lambda n: f"Feb 03 10:00:{n % 60:02} sample kernel: ",
    "docker": lambda _: "web-1  | ",
    "an invented one": lambda n: f"<{n:04}|job> ",
    "quotes": lambda _: "> ",
}


def facts(report: KtapReport | None) -> tuple[Any, ...]:
    assert report is not None
    return (
        [(one.name, one.verdict.value, one.detail) for one in report.subtests],
        report.planned,
        report.problems,
    )


def in_log(text: str, prefix: Prefix) -> bytes:
    lines = ["sample: chatter", "sample: more of it", *text.splitlines(), "sample: the end"]
    return "".join(prefix(n) + line + "\n" for n, line in enumerate(lines)).encode()


@pytest.mark.parametrize("name", PREFIXES)
@pytest.mark.parametrize("text", [KUNIT, RUNNER], ids=["kunit", "kselftest"])
def test_a_prefix_changes_no_result(text: str, name: str) -> None:
    plain = parse_log([in_log(text, lambda _: "")]).ktap
    assert facts(parse_log([in_log(text, PREFIXES[name])]).ktap) == facts(plain)


WORDS = st.text("abcdefghijklmnopqrstuvwxyzABCDEF", min_size=2, max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(WORDS, min_size=1, max_size=3),
    st.sampled_from([" ", ": ", " | ", "] ", "> ", "\t", ";"]),
    st.booleans(),
)
def test_a_made_up_prefix_changes_no_result(words: list[str], end: str, counts: bool) -> None:
    def prefix(number: int) -> str:
        return " ".join([*words, *([str(1000 + number)] if counts else [])]) + end

    plain = parse_log([in_log(KUNIT, lambda _: "")]).ktap
    assert facts(parse_log([in_log(KUNIT, prefix)]).ktap) == facts(plain)


def test_what_a_runner_puts_behind_hash_signs_is_nested() -> None:
    report = parse_ktap(RUNNER.splitlines())
    names = {one.name: one.verdict.value for one in report.subtests}
    assert names == {
        "selftests: mm: gadget/page #1": "pass",
        "selftests: mm: gadget/page #2": "fail",
        "selftests: mm: gadget/page #3": "skip",
        "selftests: mm: gadget": "fail",
        "selftests: mm: widget": "pass",
    }
    assert report.problems == ()
    assert "a nested diagnostic" in report.subtests[0].detail


def test_a_comment_that_looks_like_a_result_is_none_without_a_version_of_its_own() -> None:
    report = parse_ktap(["TAP version 13", "1..1", "# ok 7 apples were counted", "ok 1 fruit"])
    assert [one.name for one in report.subtests] == ["fruit"]
    assert report.problems == ()


def test_a_nested_plan_that_is_not_kept_is_a_problem() -> None:
    report = parse_ktap([line for line in RUNNER.splitlines() if "page #2" not in line])
    assert any("planned 3" in problem for problem in report.problems)


def test_a_missing_plan_is_a_problem_and_its_results_are_kept() -> None:
    report = parse_ktap([line for line in KUNIT.splitlines() if "1..3" not in line])
    assert any("no plan" in problem for problem in report.problems)
    assert "gadget/gadget_closes" in {one.name for one in report.subtests}


@pytest.mark.parametrize(
    ("line", "name", "verdict", "problems"),
    [
        ("ok 1 page #1", "page #1", "pass", 0),
        ("ok 1 issue#12 is gone", "issue#12 is gone", "pass", 0),
        ("ok 1 C# and F#", "C# and F#", "pass", 0),
        ("ok 1 page #1 # SKIP no page", "page #1", "skip", 0),
        ("ok 1 page #1 #SKIP", "page #1", "skip", 0),
        ("ok 1 page # took 12 ms", "page", "pass", 0),
        ("not ok 1 #1 of 2", "#1 of 2", "fail", 0),
        ("ok 1 a #skip list", "a", "skip", 1),
        ("ok 1 #skipped pages", "#skipped pages", "pass", 0),
    ],
)
def test_a_hash_sign_in_a_name_is_a_part_of_it(
    line: str, name: str, verdict: str, problems: int
) -> None:
    report = parse_ktap(["TAP version 13", "1..1", line])
    (result,) = report.subtests
    assert (result.name, result.verdict.value) == (name, verdict)
    assert len(report.problems) == problems


def _kunit_parser() -> tuple[ModuleType, ModuleType]:
    """Load the kernel's reader from a tree that the lab has fetched."""
    folders = sorted(Path(Cache().root).glob("trees/*/tree/tools/testing/kunit"))
    if not folders:
        pytest.skip("the lab has fetched no kernel tree with tools/testing/kunit")
    modules = []
    for name in ("kunit_printer", "kunit_parser"):
        spec = importlib.util.spec_from_file_location(name, folders[-1] / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        modules.append(module)
    return modules[0], modules[1]


def _second_reading(text: str) -> dict[str, str]:
    """Return name -> status, as the kernel's reader has it."""
    printer, parser = _kunit_parser()
    quiet = printer.Printer(output=io.StringIO())
    # Before 6.15 it printed through a variable of its module.
    parser.stdout = quiet  # type: ignore[attr-defined]
    takes_printer = len(inspect.signature(parser.parse_run_tests).parameters) > 1
    arguments = [quiet] if takes_printer else []
    test = parser.parse_run_tests(text.splitlines(), *arguments)
    found: dict[str, str] = {}

    def walk(node: Any, path: str) -> None:
        for child in node.subtests:
            name = f"{path}/{child.name}" if path else child.name
            walk(child, name)
            found[name] = {"SUCCESS": "pass", "FAILURE": "fail", "SKIPPED": "skip"}[
                child.status.name
            ]

    walk(test, "")
    return found


@pytest.mark.parametrize("prefix", ["", "[   12.345678] "])
def test_the_kernels_own_reader_reads_the_same(prefix: str) -> None:
    text = "".join(f"{prefix}{line}\n" for line in KUNIT.splitlines())
    report = parse_log([text.encode()]).ktap
    assert report is not None
    assert {one.name: one.verdict.value for one in report.subtests} == _second_reading(text)


RESULTS = st.lists(
    st.tuples(st.booleans(), WORDS, st.sampled_from(["", " # SKIP not now"])),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(RESULTS, min_size=1, max_size=4))
def test_the_kernels_own_reader_reads_the_same_of_any_suites(
    suites: list[list[tuple[bool, str, str]]],
) -> None:
    lines = ["KTAP version 1", f"1..{len(suites)}"]
    for number, suite in enumerate(suites, start=1):
        lines += ["    KTAP version 1", f"    # Subtest: suite{number}", f"    1..{len(suite)}"]
        failed = False
        for index, (good, name, directive) in enumerate(suite, start=1):
            failed = failed or (not good and not directive)
            lines.append(f"    {'ok' if good or directive else 'not ok'} {index} "
                         f"t{index}_{name}{directive}")  # fmt: skip
        skipped = all(directive for _, _, directive in suite)
        end = " # SKIP" if skipped else ""
        lines.append(f"{'not ok' if failed else 'ok'} {number} suite{number}{end}")
    report = parse_ktap(lines)
    assert report.problems == ()
    assert {one.name: one.verdict.value for one in report.subtests} == _second_reading(
        "\n".join(lines)
    )
