# SPDX-License-Identifier: GPL-2.0
"""report.html: what is in the file. tests/browser/ has what a browser makes of it."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rmaplab.compare import compare
from rmaplab.model import CellResult, Outcome, Splat, Subtest, Verdict
from rmaplab.pipeline import pagesources
from rmaplab.pipeline.evaluate import evaluate, write_reports
from rmaplab.report import html as html_report
from rmaplab.report import htmldetails, htmlpool
from rmaplab.report.htmldata import rows_of
from rmaplab.report.htmlsources import PageSources, ShownPatch
from rmaplab.report.reported import ReportedRun
from rmaplab.store.runfolder import SavedPatch
from rmaplab.text import printable_lines
from tests.browser.large_run import large_run

from .builders import (
    KTAP_FAIL,
    cell,
    conversation,
    facts,
    failed,
    lab,
    observation,
    passed,
    reported,
    result,
    run_folder,
    splat,
    testcase,
)
from .generated_runs import runs

EVIL = (
    "</script><script>parent.x=1</script><!--<script>\x1b]0;t\x07\u202egnp\u2066\x00\ud800\u2028"
    "<img src=x onerror=alert(1)>&lt;b&gt;'\" {{ 7*7 }} </pre></style>]]>"
)
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|DOMParser|fetch\(|XMLHttp"
    r"|import\(|setHTML|srcdoc|\.style"
)
TEMPLATES = Path(html_report.__file__).parent / "templates"


class Page(html.parser.HTMLParser):
    """A page's elements with their attributes, and the text of its scripts and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in = tag
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in in self.raw:
            self.raw[self._in][-1] += data

    @property
    def data(self) -> Any:
        return json.loads(self.raw["script"][1])

    @property
    def policy(self) -> str:
        found = [a["content"] for _, a in self.elements if "http-equiv" in a]
        assert len(found) == 1
        return found[0] or ""


def an_ab(before: CellResult, after: CellResult, **changes: Any) -> ReportedRun:
    return reported([before, after], compare("base", "patched", [before], [after]), **changes)


def evil_run() -> tuple[ReportedRun, PageSources]:
    seen = observation(
        Subtest(EVIL, Verdict.FAIL, EVIL, EVIL),
        outcome=Outcome.SPLAT,
        splats=[splat(EVIL, excerpt=EVIL)],
    )
    run = an_ab(result(), result(seen, cell=cell(kernel="patched")), remarks=[EVIL])
    run.record.command = (EVIL,)
    run.record.host = {EVIL: EVIL}
    return run, PageSources(
        patches=(ShownPatch("patched", EVIL, "series/patched/" + EVIL, EVIL, EVIL),),
        covers={"patched": EVIL},
        again=lambda _: EVIL,
        evidence=lambda _: ("console.log", EVIL),
        counters=lambda _: {EVIL: {"before": 0, "after": 1, "delta": 1}},
    )


def strings(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, list | dict):
        for one in data.values() if isinstance(data, dict) else data:
            yield from strings(one)


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_policy_allows_this_style_and_these_scripts_alone() -> None:
    page = Page(html_report.render(*evil_run()))
    early, _, script = page.raw["script"]
    rules = dict(rule.strip().split(" ", 1) for rule in page.policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "script-src": f"{digest(early)} {digest(script)}",
        "style-src": digest(page.raw["style"][0]),
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_hostile_text_makes_no_element_and_no_attribute() -> None:
    evil, fine = (
        Page(html_report.render(*evil_run())),
        Page(html_report.render(an_ab(result(), result(cell=cell(kernel="patched"))))),
    )
    names = {name for _, attributes in evil.elements for name in attributes}
    assert not [name for name in names if name.startswith("on") or name in {"style", "src"}]
    tags = [tag for tag, _ in evil.elements]
    for tag in ("script", "style", "dialog", "html", "body", "form"):
        assert tags.count(tag) == [tag for tag, _ in fine.elements].count(tag), tag
    assert "img" not in tags
    for _, attributes in evil.elements:
        if href := attributes.get("href"):
            assert re.match(
                r"(#|\./|results\.json$|junit\.xml$|summary\.md$|run\.json$|events\.jsonl$)", href
            )


def test_hostile_text_is_on_the_page_as_escapes_that_can_be_read() -> None:
    text = html_report.render(*evil_run())
    assert text.encode("utf-8")
    for char in "\x1b\x07\x00\u202e\u2066\u2028":
        assert char not in text
    data = Page(text).data
    assert printable_lines(EVIL) in data["texts"]
    for one in strings(data):
        assert printable_lines(one) == one


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_data_in_a_script_ends_no_script_and_comes_back(data: Any) -> None:
    text = htmlpool.script_safe(data)
    assert not set("<>&") & set(text)
    assert json.loads(text) == data


def test_no_script_of_the_page_parses_markup() -> None:
    for path in TEMPLATES.glob("*.js"):
        text = path.read_text("utf-8")
        assert text.startswith("// SPDX-License-Identifier: GPL-2.0\n")
        assert len(text.splitlines()) < 300
        assert not FORBIDDEN.search(text), path.name


def test_every_script_of_the_templates_is_on_the_page() -> None:
    page = Page(html_report.render(reported([result()])))
    for path in TEMPLATES.glob("*.js"):
        assert any(path.read_text("utf-8") in one for one in page.raw["script"]), path.name


@hypothesis_settings(deadline=None, max_examples=80)
@given(runs())
def test_the_data_has_each_row_and_each_cell_with_the_summarys_standing(run: ReportedRun) -> None:
    data = Page(html_report.render(run)).data
    texts = data["texts"]
    assert [texts[one[0]] for one in data["cells"]] == [one.cell.id for one in run.results]
    assert [(texts[row["name"]], row["standing"]) for row in data["rows"]] == [
        (item.name, item.standing) for item in rows_of(run)
    ]
    # Every cell is in one row, and what is red is red.
    assert sorted(n for row in data["rows"] for n in row["cells"]) == [*range(len(run.results))]
    red = {row["standing"] for row in data["rows"]} & {"bad", "error"}
    if run.summary.exit_code == 0:
        assert not red


def test_the_row_that_is_worst_comes_first_and_repeats_are_one_row() -> None:
    results = [
        result(cell=cell(testcase=testcase("a/fine"))),
        result(cell=cell(testcase=testcase("b/bad"))),
        result(observation(failed()), cell=cell(testcase=testcase("b/bad"), repeat=2)),
    ]
    data = Page(html_report.render(reported(results))).data
    assert [data["texts"][row["name"]] for row in data["rows"]] == ["b/bad", "a/fine"]
    assert [row["cells"] for row in data["rows"]] == [[1, 2], [0]]
    assert data["rows"][0]["standing"] == "bad"


def test_a_page_of_10000_cells_is_small_and_has_every_cell() -> None:
    run, sources = large_run(10_000)
    text = html_report.render(run, sources)
    assert len(text.encode()) < 15_000_000
    data = Page(text).data
    assert len(data["cells"]) == 10_000
    assert sum(len(row["cells"]) for row in data["rows"]) == 10_000


def noisy(number: int, size: int) -> CellResult:
    text = "".join(f"{number}.{n} " for n in range(size // 8))
    return result(observation(passed(), failed("x", text)), cell=cell(repeat=number))


def test_details_are_bounded_and_those_of_the_gravest_cells_come_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(htmldetails, "DETAILS", 60_000)
    results = [result(cell=cell(repeat=n)) for n in range(1, 50)]
    results += [noisy(n, 20_000) for n in range(50, 90)]
    text = html_report.render(reported(results))
    cells = Page(text).data["cells"]
    shown = [bool(one[-1]) for one in cells]
    assert not any(shown[:49])
    assert 3 <= sum(shown) < 10
    assert shown[49]


@pytest.mark.parametrize("kind", ["splats", "subtests", "long"])
def test_one_cell_cannot_fill_the_page(kind: str) -> None:
    many = {
        "splats": observation(
            splats=[splat(f"BUG {n}", excerpt="y" * 9_999 + str(n)) for n in range(5_000)]
        ),
        "subtests": observation(*(failed(f"s{n}", f"{n}" * 500) for n in range(20_000))),
        "long": observation(failed("x", "z" * 30_000_000)),
    }[kind]
    text = html_report.render(reported([result(many)]))
    assert len(text) < 2_000_000
    data = Page(text).data
    (details, _) = data["cells"][0][-1]
    assert kind == "long" or data["blocks"][details]["cut"]
    assert kind != "long" or "more characters]" in text


def test_a_page_without_scripts_has_the_answer_the_rows_and_what_failed() -> None:
    seen = observation(failed("a", "detail of a"), outcome=Outcome.SPLAT, splats=[splat("BUG x")])
    run = an_ab(result(), result(seen, cell=cell(kernel="patched")))
    plain = html_report.render(run).partition('<script type="application/json"')[0]
    plain = re.sub(r"<script>.*?</script>", "", plain, flags=re.S)
    assert run.summary.headline in plain
    for said in ("exclusive/mapcount", "regressed", "detail of a", "BUG x"):
        assert said in plain


PATCH = """\
From: A <a@example.org>
Subject: [PATCH v2 1/1] mm/rmap: =?utf-8?q?caf=C3=A9?=
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: 8bit

Why.
---

diff --git a/mm/rmap.c b/mm/rmap.c
index 1bf83e9..0c83396 100644
--- a/mm/rmap.c
+++ b/mm/rmap.c
@@ -1,3 +1,4 @@
 a
-b
+c
+d
 e
"""


def folder_with(path: Path, mail: bytes) -> PageSources:
    wanted = lab()
    made = facts()
    made.patches, made.saved_patches = ["x"], [SavedPatch("0001-x.patch", "1234")]
    name = "base.q35.thp-never.exclusive.mapcount.1"
    folder = run_folder(
        path, wanted, {name: conversation(*KTAP_FAIL, status=1)}, kernels={"base": made}
    )
    place = path / "series/base"
    place.mkdir(parents=True)
    (place / "0001-x.patch").write_bytes(mail)
    (path / "cells" / name / "reproduce.sh").write_text(
        '#!/bin/sh\n[ -d "$series" ] || series=x.mbox\n'
        'exec ./lab.py ab x --series "$series" --filter guest=q35\n'
    )
    return pagesources.read(folder, folder.read_record())


def test_a_series_has_subject_message_diff_and_counts(tmp_path: Path) -> None:
    (patch,) = folder_with(tmp_path, PATCH.encode()).patches
    assert (patch.subject, patch.message) == ("mm/rmap: café", "Why.")
    assert patch.diff.startswith("diff --git a/mm/rmap.c")
    assert [(c.path, c.added, c.removed) for c in patch.changes] == [("mm/rmap.c", 2, 1)]


@pytest.mark.parametrize(
    "mail",
    [b"", b"\xff\x00", b"Subject: \xff\n\n@@ -1 +1 @@\n",
     b"Content-Type: text/plain; charset=no\n\nx",
     b"Content-Type: multipart/mixed; boundary=x\n\n--x\n", PATCH.replace("-1,3", "-1,9").encode()],
)  # fmt: skip
def test_a_patch_that_cannot_be_read_costs_its_diff_alone(tmp_path: Path, mail: bytes) -> None:
    sources = folder_with(tmp_path, mail)
    assert len(sources.patches) == 1
    assert html_report.render(reported([result()]), sources)


def test_evidence_and_the_command_are_those_of_the_folder(tmp_path: Path) -> None:
    sources = folder_with(tmp_path, PATCH.encode())
    name = "base.q35.thp-never.exclusive.mapcount.1"
    assert sources.again(name) == "./lab.py ab x --series x.mbox --filter guest=q35"
    assert sources.evidence(name) == ("console.log", "agent.jsonl", "reproduce.sh")
    assert sources.evidence("not-there") == ()
    assert [stage.name for stage in sources.stages] == ["cells", "after the cells"]


def test_the_page_of_a_folder_has_what_is_in_it(tmp_path: Path) -> None:
    name = "base.q35.thp-never.exclusive.mapcount.1"
    folder = run_folder(tmp_path, lab(), {name: conversation(*KTAP_FAIL, status=1)})
    write_reports(evaluate(folder))
    data = Page((tmp_path / "report.html").read_text("utf-8")).data
    assert [[data["texts"][n] for n in names] for names in data["files"]] == [
        ["console.log", "agent.jsonl", "counters.json", "splats.json"]
    ]


def test_an_allowed_splat_says_so() -> None:
    one: Splat = splat("WARNING x")
    run = reported([result(observation(passed(), splats=[one]))])
    data = Page(html_report.render(run)).data
    (details, _) = data["cells"][0][-1]
    assert data["texts"][data["blocks"][details]["splats"][0]["title"]] == "WARNING x"
