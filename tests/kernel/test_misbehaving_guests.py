# SPDX-License-Identifier: GPL-2.0
"""Workloads that misbehave on purpose, each told apart from the others."""

from __future__ import annotations

from typing import Any

import pytest
from junitparser import Error, Failure, JUnitXml

# testcase -> (outcome, verdict)
KNOWN = {
    "control/empty": ("completed", "pass"),
    "selftest/crash": ("completed", "fail"),
    "selftest/fail": ("completed", "fail"),
    "selftest/flood": ("completed", "error"),
    "selftest/hang": ("timeout", "fail"),
    "selftest/leak": ("completed", "fail"),
    "selftest/oom": ("completed", "pass"),
    "selftest/panic": ("panic", "fail"),
    "selftest/reach": ("completed", "pass"),
    "selftest/rebind": ("lost", "fail"),
    "selftest/reset": ("lost", "fail"),
    "selftest/silent": ("completed", "error"),
    "selftest/stuck": ("hang", "fail"),
}


@pytest.mark.parametrize("testcase", KNOWN)
def test_ends_as_it_should(selftest_run: Any, testcase: str) -> None:
    (cell,) = selftest_run.cells(testcase)
    assert (cell["outcome"], cell["verdict"]) == KNOWN[testcase], cell["reason"]


def test_hostile_output_forges_no_result(selftest_run: Any) -> None:
    (cell,) = selftest_run.cells("selftest/hostile")
    assert cell["verdict"] != "pass"


def test_a_notice_that_a_testcase_declared_is_its_own_and_is_listed(selftest_run: Any) -> None:
    (cell,) = selftest_run.cells("selftest/oom")
    (splat,) = cell["splats"]
    assert (splat["kind"], splat["owner"]) == ("oom", "selftest/oom/oom")
    assert splat["allowed"]
    assert "allowed splat in 1 cell: Out of memory" in selftest_run.stdout


def test_a_panic_is_known_long_before_its_limit(selftest_run: Any) -> None:
    (cell,) = selftest_run.cells("selftest/panic")
    assert cell["splats"][0]["kind"] == "panic"
    assert cell["splats"][0]["owner"] == "selftest/panic"
    assert cell["duration_s"] < 30


def test_the_command_says_that_not_all_is_well(selftest_run: Any) -> None:
    assert selftest_run.status == 1


def test_junit_has_failures_for_the_kernel_and_errors_for_the_lab(selftest_run: Any) -> None:
    suites = JUnitXml.fromfile(str(selftest_run.folder / "junit.xml"))
    forms = {
        case.name.split(" ")[0]: {type(r) for r in case.result}
        for suite in suites
        for case in suite
    }
    assert forms["selftest/panic"] == {Failure}
    assert forms["selftest/silent"] == {Error}
    assert forms["control/empty"] == set()
