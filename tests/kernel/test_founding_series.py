# SPDX-License-Identifier: GPL-2.0
"""The case that the lab was founded on: what the bundled series changes, on a booted kernel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

from rmaplab.pipeline.evaluate import evaluate, write_reports
from rmaplab.store.runfolder import RunFolder

FIXED = (
    "exclusive/mapcount",
    "exclusive/thp-one-page",
    "exclusive/thp-tail-page",
    "reclaim/swapout-exclusive",
    "migrate/soft-offline-exclusive",
    "migrate/move-pages-partial-thp",
    "exclusive/soft-dirty-read",
    "exclusive/mprotect-writable",
    "exclusive/unsupported-mappings",
    "exclusive/mlock",
    "exclusive/entry-bits",
    "exclusive/swap-areas",
    "exclusive/contended",
    "exclusive/pagemap-scan-wp",
    "reclaim/pageout-partial-thp",
    "split/partial-thp",
    "collapse/madvise-exclusive",
    "poison/exclusive",
    "damon/mkold-partial-thp",
    "offline/movable-block",
    "demote/slow-node",
)
# These assert nothing of the mapcount: the audit finds by itself what is wrong on base.
AUDITED = ("exclusive/lifecycle", "control/rss")
UNCHANGED = (
    "control/pageout-exclusive",
    "control/empty",
    "idle/exclusive",
    "reclaim/swapoff-exclusive",
    "ksm/exclusive-skipped",
    "uprobe/exclusive-text",
)


def changes(run: Any, testcase: str) -> set[str]:
    """How the testcase's rows moved."""
    return {row["change"] for row in run.rows(testcase)}


@pytest.mark.parametrize("testcase", FIXED)
def test_the_series_fixes(founding_ab: Any, testcase: str) -> None:
    assert changes(founding_ab, testcase) == {"fixed"}


@pytest.mark.parametrize("testcase", AUDITED)
def test_the_audit_finds_the_founding_bug_without_being_told(
    founding_ab: Any, testcase: str
) -> None:
    assert changes(founding_ab, testcase) == {"fixed"}
    for cell in founding_ab.cells(testcase):
        wrong = [one["name"] for one in cell["subtests"] if one["verdict"] != "pass"]
        assert all(name.startswith("lab: audit ") for name in wrong)
        assert all(name.endswith(": exclusive") for name in wrong)
        assert bool(wrong) is (cell["kernel"] == "base")


@pytest.mark.parametrize("testcase", UNCHANGED)
def test_the_series_leaves_alone(founding_ab: Any, testcase: str) -> None:
    assert changes(founding_ab, testcase) == {"same-pass"}


def test_the_ab_is_good_news(founding_ab: Any) -> None:
    assert founding_ab.status == 0, founding_ab.stdout + founding_ab.stderr


def test_every_row_is_accounted_for(founding_ab: Any) -> None:
    rows = founding_ab.results["comparison"]["rows"]
    assert {row["testcase"] for row in rows} == {*FIXED, *AUDITED, *UNCHANGED}


def test_base_dies_in_try_to_migrate_one(founding_ab: Any) -> None:
    cells = founding_ab.cells("migrate/move-pages-partial-thp")
    base = [c for c in cells if c["kernel"] == "base" and c["verdict"] != "skip"]
    assert base
    for cell in base:
        assert cell["outcome"] == "panic"
        assert cell["splats"][0]["kind"] == "kernel-bug"
        assert cell["splats"][0]["function"] == "try_to_migrate_one"


def test_junit_is_read_back_by_another_parser(founding_ab: Any) -> None:
    suites = JUnitXml.fromfile(str(founding_ab.folder / "junit.xml"))
    rows = {tuple(cell[key] for key in ("testcase", "settings", "guest", "device"))
            for cell in founding_ab.results["cells"]}  # fmt: skip
    assert (suites.tests, suites.failures, suites.errors) == (len(rows), 0, 0)
    assert "exclusive/mapcount" in {suite.name for suite in suites}


def test_a_saved_run_gives_the_same_reports_again(founding_ab: Any) -> None:
    folder: Path = founding_ab.folder
    before = {name: (folder / name).read_bytes() for name in ("junit.xml", "results.json")}
    write_reports(evaluate(RunFolder.open(folder)))
    after = {name: (folder / name).read_bytes() for name in before}
    assert after == before


def test_the_run_says_what_it_ran(founding_ab: Any) -> None:
    record = json.loads((founding_ab.folder / "run.json").read_text("utf-8"))
    base, patched = record["kernels"]["base"], record["kernels"]["patched"]
    assert base["origin"].startswith("linux-source-6.12 6.12.")
    assert base["key"] != patched["key"]
    assert base["digest"] == patched["digest"]
    assert len(patched["patches"]) >= 10
    for cell in founding_ab.results["cells"]:
        if cell["verdict"] != "skip":
            script = founding_ab.folder / "cells" / cell["id"] / "reproduce.sh"
            assert f"testcase={cell['testcase']}" in script.read_text("utf-8")
