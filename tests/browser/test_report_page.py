# SPDX-License-Identifier: GPL-2.0
"""report.html in a real browser: what it shows, how fast, by keyboard, and that nothing runs."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from rmaplab.model import RowHistory, RunHistory
from rmaplab.pipeline.evaluate import evaluate, write_reports
from rmaplab.plan import plan
from rmaplab.report import html as html_report
from rmaplab.store import historyfile
from rmaplab.store.runfolder import RunFolder
from tests.unit.builders import KTAP_FAIL, KTAP_PASS, conversation, kernel, lab, run_folder
from tests.unit.builders import testcase as a_testcase
from tests.unit.test_html import evil_run

from .conftest import OpenBrowser
from .large_run import large_run

AXE = Path(__file__).parent / "node_modules/axe-core/axe.min.js"
ROW = "#row=split%2Fthp%40q35+thp-never"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an A/B: one row is fixed, one worse, one passes."""
    path = tmp_path_factory.mktemp("run")
    wanted = lab(
        kernels=[kernel("base"), kernel("patched", series="patches/x")],
        testcases=[a_testcase(), a_testcase("split/thp", id="T2"), a_testcase("fork/cow", id="T3")],
    )
    failing = ("base.q35.thp-never.exclusive.mapcount.1", "patched.q35.thp-never.split.thp.1")
    evidence = {
        one.id: conversation(*KTAP_FAIL, status=1)
        if one.id in failing
        else conversation(*KTAP_PASS)
        for one in plan(wanted).cells
    }
    made = run_folder(path, wanted, evidence, comparison=("base", "patched"))
    write_reports(evaluate(made))
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "report.html"
    path.write_text(html_report.render(*large_run(10_000)), "utf-8")
    return path


def shows(browser: Any, path: Path, address: str = "") -> None:
    browser.get(path.as_uri() + address)
    said = [line["message"] for line in browser.get_log("browser")]
    assert said == []
    assert browser.execute_script("return document.documentElement.dataset.ready") == "1"


def run(browser: Any, script: str) -> Any:
    return browser.execute_script(f"return {script}")


def press(browser: Any, *keys: str) -> None:
    ActionChains(browser).send_keys(*keys).perform()


def serious(browser: Any) -> list[Any]:
    """The complaints of axe-core, put in past the page's policy as an extension would be."""
    browser.execute_script(AXE.read_text("utf-8"))
    found = browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    assert len(found["passes"]) > 10
    return [
        (one["id"], one["impact"], [node["html"] for node in one["nodes"]][:3])
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
    ]


@pytest.fixture
def earlier(tmp_path: Path, folder: Path) -> Path:
    """That run with earlier ones: a row flipped on base, another was skipped once."""
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    place = ("q35", "dmirror", "thp-never")
    history = RunHistory(
        ("2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00", "<b>\u202e3"),
        (
            RowHistory("split/thp", "base", *place, ((0, 1, 0, 0, 1.5), (1, 0, 2, 0, 2.0),
                                                     (2, 3, 1, 0, None))),
            RowHistory("split/thp", "patched", *place, ((2, 0, 1, 0, 1.0),)),
            RowHistory("fork/cow", "base", *place, ((0, 0, 0, 1, None), (2, 1, 0, 0, 1.0))),
        ),
        "false alarms: 1 of 9 trials",
    )  # fmt: skip
    historyfile.write(RunFolder(copy), history)
    write_reports(evaluate(RunFolder(copy)))
    return copy


def test_earlier_runs_are_drawn_and_told(open_browser: OpenBrowser, earlier: Path) -> None:
    browser = open_browser()
    shows(browser, earlier / "report.html", ROW)
    drawer = browser.find_element("id", "drawer")
    assert "Earlier runs" in drawer.text
    assert "2 flips" in drawer.text
    bars = "[...document.querySelectorAll('#drawer svg {}')].map(one => {})"
    titles = run(browser, bars.format("title", "one.textContent"))
    assert "2026-01-01 00:00:00 UTC: 1 of 1 passed" in titles
    assert "2026-01-02 00:00:00 UTC: 0 of 2 passed" in titles
    heights = run(browser, bars.format("rect.bar-b", "+one.getAttribute('height')"))
    assert heights == [22, 1, 16.5]
    press(browser, Keys.ESCAPE)
    plots = browser.find_element("id", "plots")
    assert "Earlier runs" in plots.text
    assert "split/thp on base" in plots.text
    assert "4 of 7" in plots.text
    assert "false alarms: 1 of 9 trials" in plots.text
    assert "fork/cow on base" not in plots.text
    shows(browser, earlier / "report.html", "#row=fork%2Fcow%40q35+thp-never")
    assert "1 without a verdict" in run(
        browser, "document.querySelector('#drawer svg title').textContent"
    )


def test_a_page_with_earlier_runs_has_nothing_that_axe_complains_of(
    open_browser: OpenBrowser, earlier: Path
) -> None:
    for dark in (False, True):
        browser = open_browser(dark=dark)
        for address in ("", ROW):
            shows(browser, earlier / "report.html", address)
            assert serious(browser) == []


def test_the_answer_is_first_and_nothing_is_loaded(open_browser: OpenBrowser, folder: Path) -> None:
    browser = open_browser()
    shows(browser, folder / "report.html")
    answer = browser.find_element("id", "answer")
    assert answer.is_displayed()
    assert answer.text.startswith("bad: 1 row regressed; 3 rows:")
    assert answer.rect["y"] < 200
    assert run(browser, "performance.getEntriesByType('resource').length") == 0


def test_the_grid_has_a_square_for_each_row_with_its_standing(
    open_browser: OpenBrowser, folder: Path
) -> None:
    browser = open_browser()
    shows(browser, folder / "report.html")
    squares = browser.find_elements("css selector", "td.s")
    found = {one.get_attribute("aria-label").split(",")[0]: one for one in squares}
    assert {name: one.get_attribute("class") for name, one in found.items()} == {
        "split/thp": "s bad", "exclusive/mapcount": "s fixed", "fork/cow": "s passed"
    }  # fmt: skip
    assert all(one.is_displayed() for one in squares)


def test_10000_cells_are_there_within_two_seconds_of_the_browsers_time(
    open_browser: OpenBrowser, large: Path
) -> None:
    """The main thread's own time counts, so that a busy host makes no failure."""
    assert large.stat().st_size < 15_000_000
    browser = open_browser()
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    shows(browser, large)
    assert run(browser, "CELLS.length") == 10_000
    assert run(browser, "document.querySelectorAll('td.s').length") == 5_000
    press(browser, "/")
    press(browser, *"migrate/case-049")
    run(browser, "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert run(browser, "document.querySelectorAll('td.s').length") == 50
    metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    spent = {one["name"]: one["value"] for one in metrics}["TaskDuration"]
    print(f"main thread: {spent:.2f} s")
    assert 0 < spent < 2.0


def test_a_search_and_filters_narrow_and_their_address_opens_the_same(
    open_browser: OpenBrowser, folder: Path
) -> None:
    browser = open_browser()
    shows(browser, folder / "report.html")
    browser.find_element("css selector", "[data-standing=bad]").click()
    assert browser.find_element("id", "shown").text == "1 of 3 rows, 2 cells"
    press(browser, "/")
    press(browser, *"nothing has this")
    run(browser, "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert "No row matches" in browser.find_element("id", "grid").text
    browser.find_element("id", "reset").click()
    assert browser.find_element("id", "shown").text == "3 rows, 6 cells"
    browser.find_element("id", "as-list").click()
    browser.find_element("xpath", "//th/button[text()='why']").click()
    shown = browser.find_element("id", "list").text
    address = run(browser, "location.hash")
    assert address == "#sort=why&view=list"
    again = open_browser()
    shows(again, folder / "report.html", address)
    assert again.find_element("id", "list").text == shown
    assert again.find_element("css selector", "th[aria-sort=ascending]").text.startswith("why")


@pytest.mark.parametrize("address", [ROW, "#cell=patched.q35.thp-never.split.thp.1"])
def test_a_deep_link_opens_the_row_with_reason_subtests_and_evidence(
    open_browser: OpenBrowser, folder: Path, address: str
) -> None:
    browser = open_browser()
    shows(browser, folder / "report.html", address)
    drawer = browser.find_element("id", "drawer")
    assert drawer.is_displayed()
    text = drawer.text
    assert text.startswith("split/thp q35 thp-never")
    assert "base pass → patched fail: regressed" in text
    assert "did not pass" in text
    links = [
        one.get_attribute("href") for one in drawer.find_elements("css selector", ".evidence a")
    ]
    assert len(links) >= 4
    for link in links:
        assert Path(unquote(link.removeprefix("file://"))).is_file(), link


def test_a_link_to_what_is_not_there_says_so(open_browser: OpenBrowser, folder: Path) -> None:
    browser = open_browser()
    shows(browser, folder / "report.html", "#cell=no.such.cell")
    assert "this run has no no.such.cell" in browser.find_element("id", "shown").text


def test_all_works_by_keyboard(open_browser: OpenBrowser, folder: Path) -> None:
    browser = open_browser()
    shows(browser, folder / "report.html")
    focused = "document.activeElement.getAttribute('aria-label') || document.activeElement.id"
    for _ in range(40):
        press(browser, Keys.TAB)
        if run(browser, "document.activeElement.matches('td.s')"):
            break
    first = run(browser, focused)
    assert first.startswith("split/thp")
    press(browser, Keys.ARROW_DOWN)
    second = run(browser, focused)
    assert second.startswith("exclusive/mapcount")
    press(browser, Keys.ENTER)
    assert run(browser, "$('drawer').contains(document.activeElement)")
    assert "exclusive/mapcount" in browser.find_element("id", "drawer-title").text
    press(browser, "p")
    assert "split/thp" in browser.find_element("id", "drawer-title").text
    press(browser, Keys.ESCAPE)
    assert not run(browser, "$('drawer').open")
    assert run(browser, focused) == second
    assert run(browser, "location.hash") == ""


def test_nothing_that_a_guest_wrote_runs(open_browser: OpenBrowser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html_report.render(*evil_run()), "utf-8")
    browser = open_browser()
    shows(browser, path)
    assert run(browser, "[typeof window.x, document.images.length, document.scripts.length]") == [
        "undefined", 0, 3
    ]  # fmt: skip
    browser.find_element("css selector", "td.s").click()
    for one in browser.find_elements("css selector", "#drawer details"):
        browser.execute_script("arguments[0].open = true", one)
    text = browser.find_element("id", "drawer").text
    assert "</script><script>parent.x=1</script>" in text
    assert "\\u202egnp" in text
    assert browser.get_log("browser") == []
    assert run(browser, "[typeof window.x, document.images.length, document.scripts.length]") == [
        "undefined", 0, 3
    ]  # fmt: skip


def test_the_policy_stops_a_script_that_got_in(
    open_browser: OpenBrowser, folder: Path, tmp_path: Path
) -> None:
    """The second line of defence, tried by putting in what the first one escapes."""
    text = (folder / "report.html").read_text("utf-8")
    attack = (
        "<script>window.x=1</script><img src='data:,' onerror='window.x=1'><p style='color:red'>"
    )
    path = tmp_path / "report.html"
    path.write_text(text.replace("<main>", f"<main>{attack}"), "utf-8")
    browser = open_browser()
    browser.get(path.as_uri())
    assert run(browser, "typeof window.x") == "undefined"
    said = " ".join(line["message"] for line in browser.get_log("browser"))
    assert said.count("Content Security Policy") >= 3
    assert run(browser, "document.documentElement.dataset.ready") == "1"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("address", ["", "#view=list", ROW])
def test_axe_finds_nothing_serious(
    open_browser: OpenBrowser, folder: Path, address: str, dark: bool
) -> None:
    browser = open_browser(dark=dark)
    shows(browser, folder / "report.html", address)
    assert serious(browser) == []


@pytest.mark.parametrize("how", ["none", "broken"])
def test_without_scripts_the_answer_rows_and_failed_cells_are_there(
    open_browser: OpenBrowser, folder: Path, tmp_path: Path, how: str
) -> None:
    path = tmp_path / "report.html"
    text = (folder / "report.html").read_text("utf-8")
    if how == "broken":
        text = text.replace('id="data">{', 'id="data">{{')
    path.write_text(text, "utf-8")
    browser = open_browser(js=how == "broken")
    browser.get(path.as_uri())
    shown = browser.find_element("tag name", "body").text
    for said in ("bad: 1 row regressed", "Rows", "fork/cow", "Cells that failed", "split.thp.1"):
        assert said in shown
    assert not browser.find_element("id", "app").is_displayed()


@pytest.mark.parametrize("address", ["", "#view=grid", ROW])
def test_a_phone_needs_no_scrolling_to_the_side(
    open_browser: OpenBrowser, folder: Path, address: str
) -> None:
    browser = open_browser(390, 844)
    shows(browser, folder / "report.html", address)
    assert run(browser, "document.documentElement.scrollWidth") <= 390
    assert browser.find_element("id", "grid" if "grid" in address else "list").is_displayed() or (
        address == ROW
    )
    assert run(browser, "$('drawer').scrollWidth <= $('drawer').clientWidth")


def test_paper_has_the_grid_and_what_did_not_pass(open_browser: OpenBrowser, folder: Path) -> None:
    browser = open_browser()
    shows(browser, folder / "report.html")
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not browser.find_element("id", "filters").is_displayed()
    assert browser.find_element("css selector", "td.s").is_displayed()
    listed = browser.find_element("id", "list").text
    assert "split/thp" in listed
    assert "fork/cow" not in listed
