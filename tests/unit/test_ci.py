# SPDX-License-Identifier: GPL-2.0
"""The verb of a CI job on real repositories: what is compared, what the log and the folder have.

Kernels and guests are faked as in test_cli.py.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import xmlschema

from rmaplab.errors import BuildError, UserError
from rmaplab.folds import Folds
from rmaplab.guest import cell as guest_cell
from rmaplab.log import log
from rmaplab.pipeline import mergerequest, platforms
from rmaplab.pipeline import run as run_pipeline
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.pipeline.platforms import Platform, Refs
from rmaplab.source import series as series_source
from rmaplab.source import tree as tree_source
from rmaplab.source.patched import source_of
from rmaplab.store import cache as cache_store
from rmaplab.store.cache import Cache

from .builders import console
from .repositories import commit, git, repository
from .test_cli import (
    FAIL,
    MAKEFILE,
    MAPCOUNT_ONLY,
    PASS,
    RSS,
    Command,
    Show,
    command,
    guests,
    lab_file,
)

__all__ = ["command", "guests", "lab_file"]  # fixtures

SCHEMA = xmlschema.XMLSchema(Path(__file__).parent.parent / "junit.xsd")
VARIABLES = ("GITHUB_", "GITLAB_", "CI_", "JENKINS_", "CHANGE_", "GIT_", "WORKSPACE", "BUILD_URL")


@pytest.fixture(autouse=True)
def no_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the platform on which these tests themselves run."""
    for name in [name for name in os.environ if name.startswith(VARIABLES)]:
        monkeypatch.delenv(name)


@pytest.fixture
def linux(tmp_path: Path) -> Path:
    """A tree on main with two commits, the branch ``topic`` with two more off the first."""
    root = repository(tmp_path / "linux", {"Makefile": MAKEFILE, "mm/rmap.c": "old\n"})
    git(root, "checkout", "--quiet", "-b", "topic")
    commit(root, "mm: one\n\n##[error]x\n::error::x", {"mm/rmap.c": "new\n"})
    commit(root, "mm: ##[error]two", {"mm/ksm.c": "new\n"})
    git(root, "checkout", "--quiet", "main")
    commit(root, "net: elsewhere", {"net/core.c": "x\n"})
    return root


def sha(repo: Path, name: str) -> str:
    return git(repo, "rev-parse", name).strip()


# -- what is compared ----------------------------------------------------------------------------


def github(repo: Path, event: Mapping[str, Any], **more: str) -> dict[str, str]:
    """The variables of a workflow on a repository, its event in a file."""
    path = repo.parent / "event.json"
    path.write_text(json.dumps(event), encoding="utf-8")
    return {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_PATH": str(path),
            "GITHUB_WORKSPACE": str(repo), **more}  # fmt: skip


def change(repo: Path, environment: Mapping[str, str], scratch: Path) -> mergerequest.MergeRequest:
    platform = platforms.detect(environment)
    assert platform.workspace == str(repo)
    return mergerequest.find(repo, platform.refs, platform, scratch)


def merged(repo: Path) -> str:
    """The commit that GitHub checks out: the branch merged into main."""
    git(repo, "checkout", "--quiet", "--detach", "main")
    git(repo, "merge", "--quiet", "--no-ff", "-m", "merge", "topic")
    merge = sha(repo, "HEAD")
    git(repo, "checkout", "--quiet", "main")
    return merge


def events(repo: Path) -> dict[str, dict[str, str]]:
    """A platform's variables for the change topic, or for the same as a push, by a name."""
    fork, head, main = sha(repo, "topic~2"), sha(repo, "topic"), sha(repo, "main")
    request = {"head": {"sha": head}, "base": {"sha": main}, "commits": 2}
    gitlab = {"GITLAB_CI": "true", "CI_PROJECT_DIR": str(repo), "CI_COMMIT_SHA": head}
    jenkins = {"JENKINS_URL": "x", "WORKSPACE": str(repo), "GIT_COMMIT": head}
    return {
        "pull_request": github(repo, {"pull_request": request}, GITHUB_SHA=merged(repo),
                               GITHUB_BASE_REF="main"),
        "merge_group": github(repo, {"merge_group": {"base_sha": main, "head_sha": head}}),
        "push": github(repo, {"before": fork, "after": head}, GITHUB_SHA=head),
        "merge request": {**gitlab, "CI_MERGE_REQUEST_IID": "7",
                          "CI_MERGE_REQUEST_DIFF_BASE_SHA": fork},
        "merged result": {**gitlab, "CI_MERGE_REQUEST_IID": "7",
                          "CI_COMMIT_SHA": merged(repo),
                          "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": head,
                          "CI_MERGE_REQUEST_TARGET_BRANCH_SHA": main},
        "pipeline": {**gitlab, "CI_COMMIT_BEFORE_SHA": fork},
        "jenkins": {**jenkins, "CHANGE_TARGET": "main"},
        "jenkins branch": {**jenkins, "GIT_PREVIOUS_COMMIT": fork},
    }  # fmt: skip


@pytest.mark.parametrize(
    "kind",
    ["pull_request", "merge_group", "push", "merge request", "merged result", "pipeline",
     "jenkins", "jenkins branch"],
)  # fmt: skip
def test_a_change_is_what_the_branch_has_since_it_left(
    linux: Path, tmp_path: Path, kind: str
) -> None:
    found = change(linux, events(linux)[kind], tmp_path)
    fork, head = sha(linux, "topic~2"), sha(linux, "topic")
    assert found.tree == f"git:{linux}#{fork}"
    assert found.series == f"git:{linux}#{fork}..{head}"
    assert "2 commits" in found.said


def test_a_base_that_is_older_than_the_fork_does_not_widen_the_change(
    linux: Path, tmp_path: Path
) -> None:
    """As the event of pull_request_target has it: GITHUB_SHA is no merge."""
    main = sha(linux, "main")
    git(linux, "checkout", "--quiet", "-b", "late", "main")
    head = commit(linux, "mm: late", {"mm/rmap.c": "late\n"})
    request = {"head": {"sha": head}, "base": {"sha": main}, "commits": 1}
    environment = github(linux, {"pull_request": request}, GITHUB_SHA=main)
    assert change(linux, environment, tmp_path).tree.endswith(f"#{main}")


def test_a_change_that_was_merged_meanwhile_is_found_again(linux: Path, tmp_path: Path) -> None:
    environment = events(linux)["pull_request"]
    git(linux, "merge", "--quiet", "--no-ff", "-m", "merge", "topic")
    git(linux, "update-ref", "refs/remotes/origin/main", "main")
    assert change(linux, environment, tmp_path).series.endswith(sha(linux, "topic"))


def shallow(repo: Path, ref: str, depth: int, target: Path) -> Path:
    git(repo.parent, "clone", "--quiet", "--no-local", f"--depth={depth}", f"--branch={ref}",
        repo.as_uri(), str(target))  # fmt: skip
    return target


def test_a_shallow_clone_with_the_changes_commits_is_enough(linux: Path, tmp_path: Path) -> None:
    """The later commits of main are not there: the platform's number of commits tells."""
    environment = events(linux)["pull_request"]
    clone = shallow(linux, "topic", 3, tmp_path / "clone")
    environment |= {"GITHUB_WORKSPACE": str(clone)}
    assert change(clone, environment, tmp_path).series.endswith(
        f"{sha(linux, 'topic~2')}..{sha(linux, 'topic')}"
    )


@pytest.mark.parametrize("kind", ["pull_request", "merge request", "pipeline"])
def test_too_shallow_a_clone_is_said_with_the_setting_of_the_platform(
    linux: Path, tmp_path: Path, kind: str
) -> None:
    environment = events(linux)[kind]
    clone = shallow(linux, "topic", 1, tmp_path / "clone")
    place = "GITHUB_WORKSPACE" if kind == "pull_request" else "CI_PROJECT_DIR"
    with pytest.raises(UserError) as caught:
        change(clone, {**environment, place: str(clone)}, tmp_path)
    assert ("fetch-depth" if kind == "pull_request" else "GIT_DEPTH") in caught.value.hint


def test_a_history_that_ends_within_the_change_is_refused(linux: Path, tmp_path: Path) -> None:
    """Its oldest commit would be a patch that makes all of the tree."""
    git(linux, "checkout", "--quiet", "topic")
    git(linux, "merge", "--quiet", "-m", "merge", "main")
    clone = shallow(linux, "topic", 2, tmp_path / "clone")
    refs = Refs((sha(linux, "topic^2"),), sha(linux, "topic"))
    with pytest.raises(UserError, match="its history ends between"):
        mergerequest.find(clone, refs, Platform(""), tmp_path)


def test_nothing_to_test_is_an_error_and_no_pass(linux: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to test"):
        mergerequest.find(linux, Refs(("topic",), "topic~1"), Platform(""), tmp_path)


def test_a_change_with_merges_is_one_patch_that_makes_head(linux: Path, tmp_path: Path) -> None:
    git(linux, "checkout", "--quiet", "topic")
    (linux / "mm/odd.c").write_bytes(b"\xe4\xf6 latin1\nFrom x\n\x00binary\n")
    (linux / "mm/tool.sh").write_text("#!/bin/sh\n")
    (linux / "mm/tool.sh").chmod(0o755)
    commit(linux, "mm: odd")
    git(linux, "merge", "--quiet", "-m", "merge", "main")
    (linux / "net/core.c").write_text("y\n")  # by the merge alone
    commit(linux, "net: more")
    git(linux, "mv", "mm/ksm.c", "mm/new.c")
    commit(linux, "mm: rename")
    found = mergerequest.find(linux, Refs(("main",), "topic"), Platform(""), tmp_path)
    assert found.series == str(tmp_path / mergerequest.PATCH)
    assert "1 of them merges: taken as one patch" in found.said
    cache = Cache(tmp_path / "cache")
    series = series_source.load(found.series, tmp_path)
    source = source_of(tree_source.fetch(found.tree, cache), series, cache)
    head = tree_source.fetch(f"git:{linux}#topic", cache).path
    names = sorted(str(path.relative_to(head)) for path in head.rglob("*") if path.is_file())
    there = sorted(str(path.relative_to(source)) for path in source.rglob("*") if path.is_file())
    assert there == names
    for name in names:
        assert (source / name).read_bytes() == (head / name).read_bytes(), name
        assert (source / name).stat().st_mode & 0o111 == (head / name).stat().st_mode & 0o111


def test_no_platform_is_known_without_its_variables() -> None:
    assert platforms.detect({"CI": "true", "GIT_COMMIT": "x"}) == Platform("")


@pytest.mark.parametrize("event", ["", "[]", "{", '{"pull_request": 7, "before": [], "after": 1}'])
def test_an_event_that_is_none_names_nothing(tmp_path: Path, event: str) -> None:
    path = tmp_path / "event.json"
    path.write_text(event, encoding="utf-8")
    said = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_PATH": str(path), "GITHUB_SHA": "a" * 40}
    assert platforms.detect(said).refs == Refs((), "a" * 40)


# -- the verb ------------------------------------------------------------------------------------


@pytest.fixture
def of_pull_request(linux: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The variables of a job for a pull request; returns the file of the job's page."""
    page = tmp_path / "page.md"
    page.write_text("of an earlier step\n", encoding="utf-8")
    request = {"head": {"sha": sha(linux, "topic")}, "base": {"sha": sha(linux, "main")}}
    for name, value in github(linux, {"pull_request": request}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    return page


def lines_of(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.lstrip().startswith("::") or "##[" in line]


def test_a_job_compares_base_and_head_and_shows_its_answer(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path, of_pull_request: Path
) -> None:
    guests({"patched": console(RSS)}, base=PASS, patched=FAIL)
    answer = command("ci", lab_file, "--accel", "tcg", "--confirm", "0")
    assert (answer.code, answer.err) == (1, "")
    folder = tmp_path / "rmaplab-report"
    results = json.loads((folder / "results.json").read_bytes())
    assert results["comparison"]["rows"][0]["change"] == "regressed"
    record = json.loads((folder / "run.json").read_bytes())
    assert record["kernels"]["patched"]["patches"] == ["mm: one", "mm: ##[error]two"]
    assert of_pull_request.read_text(encoding="utf-8") == (
        "of an earlier step\n" + (folder / "summary.md").read_text(encoding="utf-8")
    )
    commands = lines_of(answer.out)
    folds = [line for line in commands if "group" in line]
    assert folds == [
        "::group::trees and series", "::endgroup::",
        "::group::kernels and programs", "::endgroup::",
        "::group::guests", "::endgroup::",
        "::group::2 cells", "::endgroup::",
    ]  # fmt: skip
    others = [line for line in commands if "group" not in line]
    assert all(line.startswith("::error title=") for line in others)
    assert (
        "title=regressed%3A exclusive/mapcount::exclusive/mapcount [q35 thp-madvise]" in others[0]
    )
    assert "##\\[error]two" in answer.out


def test_what_is_known_is_said_to_be_known(
    command: Command, guests: Show, lab_file: Path, of_pull_request: Path
) -> None:
    known = "expect:\n  - {testcase: exclusive/mapcount, verdict: fail, reason: seen before}\n"
    lab_file.write_text(MAPCOUNT_ONLY + known, encoding="utf-8")
    guests(base=FAIL, patched=FAIL)
    answer = command("ci", lab_file, "--accel", "tcg", "--series", "x")
    assert answer.code == 0
    assert answer.out.count("] fail (known) ") == 2
    assert not [line for line in lines_of(answer.out) if "error" in line]


def test_gitlab_gets_sections_and_its_report_files(
    command: Command, guests: Show, lab_file: Path, linux: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name, value in events(linux)["merge request"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CI_JOB_URL", "https://gitlab.example.org/x/-/jobs/7")
    guests(base=PASS, patched=FAIL)
    answer = command("ci", lab_file, "--accel", "tcg", "--output", "linux/out/job")
    assert answer.code == 1
    begins = [line for line in answer.out.split("\n") if line.startswith("\x1b[0Ksection_start:")]
    assert len(begins) >= 4
    assert begins[0].endswith(":rmaplab_1[collapsed=true]\r\x1b[0Ktrees and series")
    ends = [line for line in answer.out.split("\n") if line.startswith("\x1b[0Ksection_end:")]
    assert len(ends) == len(begins)
    assert not lines_of(answer.out.replace("##[error]two", ""))
    folder = linux / "out/job"
    assert json.loads((folder / "codequality.json").read_bytes()) == []
    (link,) = json.loads((folder / "annotations.json").read_bytes())["rmaplab"]
    assert link["external_link"]["url"].endswith("/jobs/7/artifacts/file/out/job/report.html")


def test_flags_name_base_and_head_where_there_is_no_platform(
    command: Command, guests: Show, lab_file: Path, linux: Path, tmp_path: Path
) -> None:
    guests(base=PASS, patched=PASS)
    words = ("--repo", linux, "--base", "main", "--head", "topic")
    answer = command("ci", lab_file, "--accel", "tcg", *words)
    assert answer.code == 0
    assert "group::" not in answer.out
    record = json.loads((tmp_path / "rmaplab-report/run.json").read_bytes())
    fork, head = sha(linux, "topic~2"), sha(linux, "topic")
    assert record["command"] == [
        "rmaplab", "ab", str(lab_file), "--tree", f"git:linux#{fork}",
        "--series", f"git:linux#{fork}..{head}", "--accel", "tcg",
    ]  # fmt: skip
    (script, _) = (tmp_path / "rmaplab-report").glob("cells/*/reproduce.sh")
    assert "exec rmaplab ab " in script.read_text(encoding="utf-8")


def test_a_series_from_elsewhere_is_compared_on_a_tree(
    command: Command, guests: Show, lab_file: Path
) -> None:
    guests(base=PASS, patched=PASS)
    assert command("ci", lab_file, "--accel", "tcg", "--series", "x").code == 0
    assert command("ci", lab_file, "--series", "x", "--base", "y").code == 2


# -- a job that breaks -----------------------------------------------------------------------------


def case_of(folder: Path) -> str:
    """The message of the one case, an error, of a job without a run."""
    SCHEMA.validate(folder / "junit.xml")
    (error,) = ElementTree.parse(folder / "junit.xml").getroot().iter("error")
    return error.get("message", "")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--base", "nowhere"), 2, "no commit is known where the change up to"),
        (("--base", "main", "--tree", "dir:linux"), 2, "--tree goes with --series"),
        (("--series", "nowhere"), 2, "there is no series 'nowhere'"),
        (("--filter", "testcase=nothing"), 2, "no cell matches"),
    ],
)
def test_a_job_that_breaks_before_its_run_has_reports_that_say_why(
    command: Command, lab_file: Path, linux: Path, tmp_path: Path, of_pull_request: Path,
    words: tuple[str, ...], code: int, said: str,
) -> None:  # fmt: skip
    answer = command("ci", lab_file, *words)
    assert answer.code == code
    folder = tmp_path / "rmaplab-report"
    assert said in case_of(folder)
    assert said in (folder / "summary.md").read_text(encoding="utf-8")
    assert "nothing was measured" in of_pull_request.read_text(encoding="utf-8")
    (line,) = [line for line in lines_of(answer.out) if "error" in line]
    assert line.startswith("::error title=rmaplab tiny::")
    assert "Traceback" not in answer.out + answer.err


def test_a_lab_file_that_is_none_is_reported(
    command: Command, tmp_path: Path, of_pull_request: Path
) -> None:
    assert command("ci", "nowhere.yaml").code == 2
    assert "nowhere.yaml" in case_of(tmp_path / "rmaplab-report")


def test_a_kernel_that_does_not_build_has_the_runs_own_reports(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path, of_pull_request: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    guests(base=PASS)

    def build(self: KernelBuilder, kernels: Any, on_end: Any = None, **_: Any) -> Any:
        error = BuildError("make bzImage failed:\n  ::error::mm/rmap.c:3")
        on_end("patched", error)
        raise error

    monkeypatch.setattr(KernelBuilder, "build", build)
    answer = command("ci", lab_file, "--accel", "tcg", "--series", "x")
    assert answer.code == 3
    assert "make bzImage failed" in case_of(tmp_path / "rmaplab-report")
    assert "was not built" in of_pull_request.read_text(encoding="utf-8")
    assert [line for line in lines_of(answer.out) if "group" not in line] == [
        "::error title=rmaplab tiny::make bzImage failed:%0A  ::error::mm/rmap.c:3"
    ]


@pytest.mark.parametrize("when", ["trees", "cells"])
def test_a_job_that_is_cancelled_reports_what_was_measured(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path, of_pull_request: Path,
    monkeypatch: pytest.MonkeyPatch, when: str,
) -> None:  # fmt: skip
    def shown(cell: Any) -> Any:
        if cell.repeat > 1:
            signal.raise_signal(signal.SIGTERM)
        return PASS

    guests(base=shown, patched=shown)
    if when == "trees":
        monkeypatch.setattr(
            KernelBuilder, "resolve_all", lambda *_: signal.raise_signal(signal.SIGTERM)
        )
    words = ("--accel", "tcg", "--series", "x", "--repeat", "3", "--jobs", "1")
    answer = command("ci", lab_file, *words)
    assert answer.code == 130
    assert "Traceback" not in answer.out + answer.err
    folder = tmp_path / "rmaplab-report"
    said = {"trees": "interrupted before anything was measured", "cells": "interrupted after"}
    assert said[when] in case_of(folder)
    page = of_pull_request.read_text(encoding="utf-8")
    assert ("nothing was measured" if when == "trees" else "partial run") in page


def test_a_job_that_is_cancelled_while_it_builds_reports_before_it_cleans(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path, of_pull_request: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The half-made kernel is a matter for the next lab: a runner kills within ten seconds."""
    guests(base=PASS)
    removed: list[Path] = []

    def build(self: KernelBuilder, *_: Any, **__: Any) -> Any:
        def make(folder: Path) -> None:
            monkeypatch.setattr(cache_store, "remove", removed.append)
            signal.raise_signal(signal.SIGTERM)

        self.cache.entry("builds", "patched", make)

    monkeypatch.setattr(KernelBuilder, "build", build)
    answer = command("ci", lab_file, "--accel", "tcg", "--series", "x")
    assert answer.code == 130
    assert removed == []
    assert "interrupted after 0 of" in case_of(tmp_path / "rmaplab-report")


def test_a_bug_of_the_labs_is_reported_as_its_own(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path, of_pull_request: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(run_pipeline, "plan", lambda lab: 1 / 0)
    answer = command("ci", lab_file, "--accel", "tcg", "--series", "x")
    assert answer.code == 69
    assert "ZeroDivisionError" in case_of(tmp_path / "rmaplab-report")


def test_a_job_that_is_killed_leaves_an_error(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path, of_pull_request: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Nothing can be written then: what is there must not be green."""
    seen: list[str] = []

    async def killed(*_: Any) -> None:
        seen.append(case_of(tmp_path / "rmaplab-report"))
        signal.raise_signal(signal.SIGTERM)

    guests()
    monkeypatch.setattr(guest_cell, "run", killed)
    command("ci", lab_file, "--accel", "tcg", "--jobs", "1", "--series", "x")
    assert seen[0].startswith("The job ended without a word")


def test_the_folder_of_an_earlier_job_does_not_outlive_it(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path, of_pull_request: Path
) -> None:
    guests(base=PASS, patched=PASS)
    assert command("ci", lab_file, "--accel", "tcg", "--series", "x").code == 0
    folder = tmp_path / "rmaplab-report"
    assert (folder / "cells").is_dir()
    assert command("ci", lab_file, "--base", "nowhere").code == 2
    assert sorted(path.name for path in folder.iterdir()) == [
        ".rmaplab-job", "junit.xml", "summary.md",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["files", "link"])
def test_a_folder_that_is_somebody_elses_is_left_alone(
    command: Command, lab_file: Path, tmp_path: Path, of_pull_request: Path, kind: str
) -> None:
    place = tmp_path / "mine"
    if kind == "link":
        (tmp_path / "real").mkdir()
        place.symlink_to("real")
    else:
        place.mkdir()
        (place / "thesis.txt").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    answer = command("ci", lab_file, "--output", "mine")
    assert answer.code == 2
    assert "it is left alone" in answer.out
    assert sorted(tmp_path.rglob("*")) == before


def test_without_platform_and_flags_a_job_says_what_to_name(
    command: Command, lab_file: Path
) -> None:
    answer = command("ci", lab_file)
    assert answer.code == 2
    assert "--base" in answer.out


# -- the log ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["::error::x", "  \t::stop-commands::x", "x ##[group]y", "a\n::add-mask::b", "\xa0::x"]
)
def test_github_finds_no_command_in_a_strangers_words(text: str) -> None:
    said = Folds.GITHUB.harmless(text + "\n")
    assert not any(line.strip().startswith("::") for line in said.split("\n"))
    assert "##[" not in said
    assert Folds.GITLAB.harmless(text) == text


def test_a_command_that_is_written_in_pieces_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    log.begin_job(Folds.GITHUB)
    log.say(":", end="")
    log.say(":error::x", end="")
    with log.fold("a\nb%"):
        log.warn("inside")
        with log.fold("deeper"):
            log.say("::x")
    log.say("tail", end="")
    log.finish()
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.splitlines() == [
        "\\::error::x", "::group::a\\nb%25", "warning: inside", "\\::x", "::endgroup::", "tail",
    ]  # fmt: skip


def test_folds_are_nothing_outside_of_a_job(capsys: pytest.CaptureFixture[str]) -> None:
    with log.fold("x"):
        log.info("y")
    assert capsys.readouterr().err == "y\n"


# -- heartbeats ------------------------------------------------------------------------------------


def test_a_quiet_step_gets_a_line_that_says_what_it_is_and_how_far(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log.begin_job(Folds.NONE)
    monkeypatch.setattr(log, "progress", lambda: "7 of about 9 objects")
    said = ""
    with log.heartbeat(0.02), log.step("building kernel base"):
        while said.count("still") < 2:
            said += capsys.readouterr().out
    assert "still building kernel base, 7 of about 9 objects, 0 s\n" in said


def test_a_log_that_is_written_to_gets_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.begin_job(Folds.NONE)
    with log.heartbeat(3600):
        log.info("x")
    assert capsys.readouterr().out == "x\n"


def test_lines_put_the_next_sign_of_life_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock of the test's own: the thread looks again when the quiet time would be over."""
    waits: list[float] = []
    clock = iter([0.0, 60.0, 130.0])

    class Over:
        def wait(self, seconds: float) -> bool:
            waits.append(seconds)
            return len(waits) == 3

    monkeypatch.setattr("rmaplab.log.time.monotonic", lambda: next(clock, 130.0))
    log.begin_job(Folds.NONE)
    log.stdout.wrote = 20.0
    log._beat(Over(), 60.0)  # type: ignore[arg-type]
    assert waits == [60.0, 20.0, 60.0]
    assert capsys.readouterr().out.count("still at work") == 1
