# SPDX-License-Identifier: GPL-2.0
"""Mail, KTAP, KCIDB, and the checks of Patchwork and GitHub: valid, and of one answer."""

from __future__ import annotations

import http.server
import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kcidb_io.schema import LATEST

from rmaplab.collect.ktap import parse_ktap
from rmaplab.compare import compare
from rmaplab.errors import ExitCode
from rmaplab.model import Answer, Source, Standing, Subtest, Verdict
from rmaplab.report import checks, kcidb, ktap, mail
from rmaplab.report.reported import ReportedRun

from .builders import cell, facts, failed, judgement, observation, passed, reported, result, splat
from .generated_runs import TESTCASES, ended, runs

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
EVIL = "#1 <b>\x1b[2J\x00\ud800\u202e|`\r\n# SKIP \\ ' \" " + "w" * 300
TESTER = "Rev Iewer <rev@example.org>"


def hostile() -> ReportedRun:
    seen = observation(
        Subtest(EVIL, Verdict.FAIL, EVIL), splats=[splat(EVIL, excerpt=EVIL, fingerprint="1")]
    )
    after = [result(seen, judged=judgement(Verdict.FAIL, EVIL), cell=cell(kernel="patched"))]
    before = [result()]
    kernels = {name: replace(facts(), patches=[EVIL], origin=EVIL) for name in ("base", "patched")}
    comparison = compare("base", "patched", before, after)
    return reported([*before, *after], comparison, remarks=[EVIL], kernels=kernels)


ANY = st.one_of(runs(), st.builds(hostile))


@settings(deadline=None, max_examples=40)
@given(ANY)
def test_a_mail_is_plain_text_of_72_columns(run: ReportedRun) -> None:
    text = mail.render(run, TESTER)
    for line in text.splitlines():
        assert line.isprintable()
        assert len(line) <= mail.WIDTH or line.startswith("Tested-by: ")


@settings(deadline=None, max_examples=50)
@given(ANY)
def test_a_mail_is_signed_only_if_all_passed(run: ReportedRun) -> None:
    standings = {item.standing for item in run.summary.items}
    bad = standings & {Standing.BAD, Standing.ERROR, Standing.KNOWN}
    good = standings & {Standing.PASSED, Standing.FIXED}
    signed = f"\nTested-by: {TESTER}\n" in mail.render(run, TESTER)
    assert signed == bool(good and not bad)
    assert not signed or run.summary.answer is Answer.GOOD
    assert "Tested-by" not in mail.render(run)


def test_a_series_that_is_not_in_the_image_was_not_tested() -> None:
    run = reported([result()])
    assert "Tested-by" in mail.render(run, TESTER)
    same = replace(run, summary=replace(run.summary, notes=("patched's image is base's",)))
    assert "Tested-by" not in mail.render(same, TESTER)


def test_a_mail_shows_a_new_splat_with_its_frames() -> None:
    seen = observation(passed(), splats=[splat("WARNING in demo_unmap")])
    after = [result(seen, cell=cell(kernel="patched"))]
    text = mail.render(reported([result(), *after], compare("base", "patched", [result()], after)))
    assert "New splat: WARNING in demo_unmap" in text
    assert "    demo_walk" in text
    assert "exclusive/mapcount: pass -> fail, regressed" in text


@settings(deadline=None, max_examples=50)
@given(ANY)
def test_ktap_is_read_back_with_the_same_answer(run: ReportedRun) -> None:
    report = parse_ktap("".join(ktap.render(run)).splitlines())
    assert report.problems == ()
    assert report.planned == len(run.summary.items)
    tops = [one for one in report.subtests if _is_top(one.name, run)]
    assert len(tops) == len(run.summary.items)
    for item, one in zip(run.summary.items, tops, strict=True):
        wanted = {
            Standing.BAD: Verdict.FAIL,
            Standing.ERROR: Verdict.ERROR,
            Standing.KNOWN: Verdict.SKIP,
            Standing.SKIPPED: Verdict.SKIP,
            Standing.QUARANTINED: Verdict.SKIP,
        }.get(item.standing, Verdict.PASS)
        assert one.verdict is wanted


def _is_top(name: str, run: ReportedRun) -> bool:
    return name in {ktap._result(item, 1).partition(" 1 ")[2].partition(" # ")[0]
                    for item in run.summary.items}  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(ANY)
def test_kcidb_takes_the_file(run: ReportedRun) -> None:
    found = json.loads(kcidb.render(run))
    LATEST.validate(found)
    assert len(found["tests"]) == len(run.results)
    ids = [one["id"] for kind in ("checkouts", "builds", "tests") for one in found[kind]]
    assert len(ids) == len(set(ids))
    assert {one["build_id"] for one in found["tests"]} <= set(ids)
    assert {one["test_id"] for one in found["incidents"]} <= set(ids)
    issues = {one["id"] for one in found["issues"]}
    assert {one["issue_id"] for one in found["incidents"]} == issues


def test_a_known_failure_is_an_incident_of_an_issue() -> None:
    known = ended(cell(testcase=TESTCASES[1]), "fail")
    found = kcidb.facts(reported([known]))
    assert [one["status"] for one in found["tests"]] == ["FAIL"]
    assert [one["comment"] for one in found["issues"]] == ["known"]
    assert len(found["incidents"]) == 1


@settings(deadline=None, max_examples=40)
@given(ANY)
def test_checks_have_the_answer_of_the_run(run: ReportedRun) -> None:
    good = run.summary.answer is Answer.GOOD
    check = json.loads(checks.patchwork(run))
    assert (check["state"] == "success") is good
    assert (check["state"] == "fail") is (
        run.summary.exit_code in {ExitCode.REGRESSION, ExitCode.BUILD}
    )
    assert re.fullmatch(r"[A-Za-z0-9_-]+", check["context"])
    assert len(check["description"]) <= 255
    body = json.loads(checks.github(run))
    assert (body["conclusion"] == "success") is good
    assert len(body["output"]["summary"]) <= 65535
    assert len(body["output"]["annotations"]) <= 50


def test_a_splat_with_a_source_line_is_an_annotation_there() -> None:
    source = Source("demo_unmap+0x1b/0x40", ("demo_unmap at mm/rmap.c:2133",))
    seen = observation(passed(), splats=[replace(splat(), sources=(source,))])
    (one,) = json.loads(checks.github(reported([result(seen)])))["output"]["annotations"]
    assert (one["path"], one["start_line"], one["title"]) == (
        "mm/rmap.c", 2133, "WARNING in demo_unmap"
    )  # fmt: skip


# -- posting, as docs/ci.md says --------------------------------------------------------------


class _Server(http.server.BaseHTTPRequestHandler):
    """Take each request, and keep it."""

    seen: list[tuple[str, dict[str, str], Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, dict(self.headers), body))
        self.send_response(201)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, list[Any]]]:
    seen: list[Any] = []
    handler = type("Handler", (_Server,), {"seen": seen})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as one:
        thread = threading.Thread(target=one.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{one.server_port}", seen
        one.shutdown()
        thread.join()


def documented(word: str) -> str:
    """The commands of docs/ci.md that post a check, without the one that makes its file."""
    blocks = re.findall(r"```sh\n(.*?)```", (DOCS / "ci.md").read_text("utf-8"), re.DOTALL)
    (block,) = [one for one in blocks if word in one]
    lines = block.splitlines()
    return "\n".join(line for line in lines if not line.startswith("./lab.py"))


@pytest.mark.parametrize(
    ("format_", "path", "variables"),
    [
        ("patchwork", "/api/patches/77/checks/", {"PATCHWORK": "", "PATCH": "77"}),
        ("github", "/repos/a/b/check-runs", {"GITHUB_API_URL": "", "GITHUB_REPOSITORY": "a/b"}),
    ],
)
def test_a_check_is_posted_by_the_documented_command(
    tmp_path: Path,
    server: tuple[str, list[Any]],
    format_: str,
    path: str,
    variables: dict[str, str],
) -> None:
    url, seen = server
    render = getattr(checks, format_)
    (tmp_path / "check.json").write_text(render(hostile(), "https://ci.example.org/7"), "utf-8")
    env = {
        **os.environ,
        **{name: value or url for name, value in variables.items()},
        "TOKEN": "secret",
        "SHA": "a" * 40,
    }
    done = subprocess.run(
        ["sh", "-euc", documented(f"--format {format_}")],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ((where, headers, body),) = seen
    assert where == path
    assert "secret" in headers["Authorization"]
    if format_ == "github":
        assert (body["head_sha"], body["conclusion"]) == ("a" * 40, "failure")
        assert body["details_url"] == "https://ci.example.org/7"
    else:
        assert (body["state"], body["target_url"]) == ("fail", "https://ci.example.org/7")


def test_a_failing_run_is_no_success_in_any_format() -> None:
    run = reported([result(observation(failed()))])
    assert json.loads(checks.patchwork(run))["state"] == "fail"
    assert "not ok" in "".join(ktap.render(run))
