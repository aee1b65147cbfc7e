# SPDX-License-Identifier: GPL-2.0
"""The JSON Schemas: what the lab writes and reads is valid by them, and a mistake is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings

from rmaplab.report import reference, results, schemas
from rmaplab.report.reported import ReportedRun

from .builders import counters
from .generated_runs import runs

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = {"lab": "configs/*.yaml", "guest": "guests/*.yaml", "testcase": "testcases/*/*.yaml"}


def validator(kind: str) -> Any:
    return jsonschema.Draft202012Validator(json.loads(schemas.text(kind)))


def read(path: Path) -> Any:
    """A YAML file as JSON has it."""
    return json.loads(json.dumps(yaml.safe_load(path.read_text("utf-8")), default=str))


@pytest.mark.parametrize("kind", schemas.MODELS)
def test_the_shipped_schema_is_the_one_that_is_made_now(kind: str) -> None:
    assert schemas.file_of(kind).read_text("utf-8") == schemas.text(kind), "make schemas"
    jsonschema.Draft202012Validator.check_schema(json.loads(schemas.text(kind)))


def test_the_page_on_every_key_is_the_one_that_is_made_now() -> None:
    page = ROOT / "docs/file-reference.md"
    assert page.read_text("utf-8") == reference.text(), "make schemas"


@pytest.mark.parametrize("kind", reference.KINDS)
def test_each_key_of_a_file_says_what_it_means(kind: str) -> None:
    whole = schemas.MODELS[kind].model_json_schema()
    objects = [whole, *(one for one in whole.get("$defs", {}).values() if "properties" in one)]
    bare = [
        f"{one['title']}.{name}"
        for one in objects
        for name, field in one["properties"].items()
        if not field.get("description")
    ]
    assert bare == []


@pytest.mark.parametrize("kind", FILES)
def test_every_file_of_the_project_is_valid(kind: str) -> None:
    check, paths = validator(kind), sorted(ROOT.glob(FILES[kind]))
    assert len(paths) > 5
    for path in paths:
        assert [error.message for error in check.iter_errors(read(path))] == [], path


@pytest.mark.parametrize("kind", FILES)
def test_a_mistyped_key_is_no_valid_file(kind: str) -> None:
    path = sorted(ROOT.glob(FILES[kind]))[0]
    assert not validator(kind).is_valid({**read(path), "nosuchkey": 1})


@settings(deadline=None, max_examples=40)
@given(runs())
def test_results_of_any_run_are_valid(run: ReportedRun) -> None:
    found = json.loads("".join(results.render(run, counters(*run.results))))
    assert [error.message for error in validator("results").iter_errors(found)] == []
    found["summary"]["answer"] = "perhaps"
    assert not validator("results").is_valid(found)


def test_a_schema_and_a_completion_are_printed() -> None:
    for words, said in (
        (("schema", "lab"), schemas.text("lab")),
        (("completion", "bash"), "_LAB_PY_COMPLETE=bash_complete"),
    ):
        done = subprocess.run(
            [sys.executable, "lab.py", *words], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert said in done.stdout


def test_the_completion_completes() -> None:
    env = {"_LAB_PY_COMPLETE": "bash_complete", "COMP_WORDS": "lab.py re", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "lab.py"], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert set(done.stdout.split()) == {"plain,report", "plain,resume"}
