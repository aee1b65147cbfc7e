# SPDX-License-Identifier: GPL-2.0
"""The example files of docs/ci: valid by their platforms' schemas, with calls that parse."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tree_sitter import Language, Node, Parser

from rmaplab.report import beside

from .command_lines import parse, words_of

ROOT = Path(__file__).resolve().parent.parent.parent
PLACE = ROOT / "docs/ci"
GITHUB = sorted(PLACE.glob("github-*.yml"))
GITLAB = PLACE / "gitlab-ci.yml"
JENKINS = PLACE / "Jenkinsfile"
CONTAINER = PLACE / "Containerfile"
EXAMPLES = [*GITHUB, GITLAB, JENKINS]
_CALL = re.compile(r"(?:[\w./-]*/)?(?:lab\.py|rmaplab)\s+(?P<words>(?:ci|clean|doctor|build)\b.*)")


def check(schema: str, path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *more, str(path)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: path.name)
def test_a_workflow_of_github_is_valid(path: Path) -> None:
    done = check("vendor.github-workflows", path)
    assert done.returncode == 0, done.stdout


def test_the_pipeline_of_gitlab_is_valid() -> None:
    done = check("vendor.gitlab-ci", GITLAB, "--data-transform", "gitlab-ci")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("path", "schema", "old", "new"),
    [(GITHUB[0], "vendor.github-workflows", "runs-on:", "run-on:"),
     (GITLAB, "vendor.gitlab-ci", "when: always", "when: sometimes")],
)  # fmt: skip
def test_a_file_that_is_not_valid_is_noticed(
    tmp_path: Path, path: Path, schema: str, old: str, new: str
) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    spoilt = tmp_path / path.name
    spoilt.write_text(text.replace(old, new), encoding="utf-8")
    assert check(schema, spoilt).returncode == 1


def groovy(text: str) -> Node:
    language = Language(importlib.import_module("tree_sitter_groovy").language())
    return Parser(language).parse(text.encode()).root_node


def test_the_pipeline_of_jenkins_parses() -> None:
    text = JENKINS.read_text(encoding="utf-8")
    assert not groovy(text).has_error
    assert groovy(text.replace("stages {", "stages")).has_error
    assert groovy(text.replace("steps {", "steps (")).has_error


def test_the_container_file_is_as_hadolint_wants_it(tmp_path: Path) -> None:
    tool = Path(sys.prefix, "bin", "hadolint")
    done = subprocess.run([tool, CONTAINER], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    spoilt = tmp_path / "Containerfile"
    spoilt.write_text(CONTAINER.read_text("utf-8").replace("apt-get install -y", "apt install"))
    assert subprocess.run([tool, spoilt], capture_output=True, check=False).returncode == 1


def test_the_container_gets_all_that_the_package_needs() -> None:
    copied = set(re.findall(r"^COPY (.*) \S+$", CONTAINER.read_text("utf-8"), re.M))
    names = {name.rstrip("/") for line in copied for name in line.split()}
    assert {"rmaplab", "configs", "guests", "patches", "testcases", "pyproject.toml"} <= names
    assert all((ROOT / name).exists() for name in names)


# -- the lab's part --------------------------------------------------------------------------------


def calls() -> Iterator[tuple[Path, str]]:
    """Yield each call of the lab in the examples and in the page about them."""
    for path in (*EXAMPLES, ROOT / "docs/ci.md"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.lstrip().startswith(("#", "//")) and (found := _CALL.search(line)):
                words = re.sub(r"\$\{\{.*?\}\}", "x", found["words"])
                yield path, words.rstrip("'`,").partition("`")[0]


@pytest.mark.parametrize(
    ("path", "words"), list(calls()), ids=lambda value: getattr(value, "name", value)
)
def test_each_call_of_the_lab_parses(path: Path, words: str) -> None:
    parse(words_of(words))


def test_each_platform_calls_the_verb_of_jobs() -> None:
    called = {path for path, words in calls() if words.startswith("ci ")}
    assert called >= set(EXAMPLES)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_each_lab_of_an_example_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    listed = re.findall(r"\b(?:lab|LAB): \[(.*)\]", text)
    labs = [name for names in listed for name in names.split(", ")]
    labs += re.findall(r"configs/([\w-]+)\.yaml", text)
    assert labs
    assert [name for name in labs if not (ROOT / f"configs/{name}.yaml").is_file()] == []


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from strings(one)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: path.name)
def test_no_strangers_word_is_part_of_a_script(path: Path) -> None:
    """A title or a branch in ``run:`` is run: only the matrix of the file itself may be there."""
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    scripts = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert scripts
    for script in scripts:
        assert set(re.findall(r"\$\{\{ *([\w.]+)", script)) <= {"matrix.lab"}


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: path.name)
def test_a_workflow_has_no_more_rights_than_it_needs(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in path.read_text(encoding="utf-8")
    checkouts = [
        step for job in workflow["jobs"].values() for step in job["steps"]
        if step.get("uses", "").startswith("actions/checkout@")
    ]  # fmt: skip
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: path.name)
def test_the_reports_are_kept_whatever_happens(path: Path) -> None:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    for job in jobs.values():
        kept = [s for s in job["steps"] if s.get("uses", "").startswith("actions/upload-artifact@")]
        assert [step["if"] for step in kept] == ["always()"]
        assert kept[0]["with"]["path"] == "rmaplab-report"
        runs = " ".join(step.get("run", "") for step in job["steps"])
        assert "exec " in runs  # or a cancelled job's signal ends with the shell


def test_gitlab_gets_the_files_that_the_lab_writes() -> None:
    kept = yaml.safe_load(GITLAB.read_text(encoding="utf-8"))["rmaplab"]["artifacts"]
    assert kept["when"] == "always"
    names = {Path(name).name for name in strings(kept["reports"])}
    assert names == {"junit.xml", beside.CODE_QUALITY, beside.LINKS}


def test_the_page_names_each_example() -> None:
    page = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    for path in PLACE.iterdir():
        assert f"(ci/{path.name})" in page


def test_each_example_has_its_licence() -> None:
    assert all("SPDX-License-Identifier: GPL-2.0" in path.read_text("utf-8").splitlines()[0]
               for path in PLACE.iterdir())  # fmt: skip
    assert not any(os.access(path, os.X_OK) for path in PLACE.iterdir())
