# SPDX-License-Identifier: GPL-2.0
"""The coverage of a series on report.html, in a real browser, light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab.pipeline.evaluate import evaluate, write_reports
from tests.unit.test_coverage import A_AND_B, a_run

from .conftest import OpenBrowser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = a_run(tmp_path_factory.mktemp("run"), A_AND_B)
    write_reports(evaluate(folder))
    return folder.path / "report.html"


@pytest.mark.parametrize("dark", [False, True])
def test_a_line_that_was_not_run_stands_out_and_says_so(
    open_browser: OpenBrowser, page: Path, dark: bool
) -> None:
    browser = open_browser(dark=dark)
    browser.get(page.as_uri())
    assert [line["message"] for line in browser.get_log("browser")] == []
    section = browser.find_element("id", "coverage")
    assert "2 of 3 changed lines were run" in section.text
    missed = section.find_element("css selector", "pre.reach .not-run")
    assert missed.is_displayed()  # a file with lines that were not run is open
    assert missed.get_attribute("title") == "not run"
    colours = browser.execute_script(
        "return [...document.querySelectorAll('pre.reach .not-run, pre.reach .run')]"
        ".map((one) => getComputedStyle(one).backgroundColor)"
    )
    assert len(set(colours)) == 2


def test_a_line_that_was_run_says_by_which_testcases(open_browser: OpenBrowser, page: Path) -> None:
    browser = open_browser()
    browser.get(page.as_uri())
    titles = [
        one.get_attribute("title")
        for one in browser.find_elements("css selector", "pre.reach .run")
    ]
    assert titles == ["2 testcases: exclusive/a, migrate/b", "1 testcase: exclusive/a"]
