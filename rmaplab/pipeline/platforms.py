# SPDX-License-Identifier: GPL-2.0
"""CI platforms: the variables by which they tell a job its change, and how their logs fold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rmaplab.folds import Folds

_NOTHING = "0" * 40  # in the place of a commit that is none


@dataclass(frozen=True, slots=True)
class Refs:
    """The two ends of a change, as names of commits.

    ``bases`` are commits of the branch that it is for, of different times. ``head`` is its last
    commit. ``length`` is how many commits it has, 0 if nobody says.
    """

    bases: tuple[str, ...] = ()
    head: str = ""
    length: int = 0


@dataclass(frozen=True, slots=True)
class Platform:
    """A CI platform, and what it says of the job.

    ``workspace`` is where it checks out, ``history`` what to set for more of the history, ``url``
    where the job is to be seen, ``summary`` the file for its page.
    """

    name: str
    folds: Folds = Folds.NONE
    refs: Refs = field(default_factory=Refs)
    workspace: str = ""
    history: str = "fetch more of its history"
    url: str = ""
    summary: str = ""


def detect(environment: Mapping[str, str]) -> Platform:
    """Return the platform of a job, by the variables that it sets; one without a name for none."""
    if environment.get("GITHUB_ACTIONS") == "true":
        return _github(environment)
    if environment.get("GITLAB_CI") == "true":
        return _gitlab(environment)
    if environment.get("JENKINS_URL"):
        return _jenkins(environment)
    return Platform("")


def _github(said: Mapping[str, str]) -> Platform:
    run = said.get("GITHUB_RUN_ID", "")
    url = f"{said.get('GITHUB_SERVER_URL', '')}/{said.get('GITHUB_REPOSITORY', '')}"
    return Platform(
        "GitHub Actions",
        Folds.GITHUB,
        _of_event(said, _event(said.get("GITHUB_EVENT_PATH", ""))),
        said.get("GITHUB_WORKSPACE", ""),
        "set fetch-depth of actions/checkout to the number of commits and 2, or to 0",
        f"{url}/actions/runs/{run}" if run else "",
        said.get("GITHUB_STEP_SUMMARY", ""),
    )


def _event(path: str) -> Mapping[str, Any]:
    """Return what triggered a workflow; nothing if that cannot be read."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _of_event(said: Mapping[str, str], event: Mapping[str, Any]) -> Refs:
    """Return the change of an event: a pull request's, a merge queue's, a push's."""
    sha = said.get("GITHUB_SHA", "")
    if request := _part(event, "pull_request"):
        head = _word(_part(request, "head"), "sha")
        target = said.get("GITHUB_BASE_REF", "")
        commits = request.get("commits")
        # A merge's first parent is the branch of that moment; the event's own word may be older.
        bases = [f"{sha}^1" if sha else "", f"origin/{target}" if target else ""]
        return Refs(
            _given(*bases, _word(_part(request, "base"), "sha")),
            head or f"{sha}^2",
            commits if isinstance(commits, int) and commits > 0 else 0,
        )
    if group := _part(event, "merge_group"):
        return Refs(_given(_word(group, "base_sha")), _word(group, "head_sha") or sha)
    return Refs(_given(_word(event, "before")), _word(event, "after") or sha)


def _gitlab(said: Mapping[str, str]) -> Platform:
    head = said.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or said.get("CI_COMMIT_SHA", "")
    if said.get("CI_MERGE_REQUEST_IID"):
        target = said.get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "")
        bases = (
            said.get("CI_MERGE_REQUEST_DIFF_BASE_SHA", ""),
            said.get("CI_MERGE_REQUEST_TARGET_BRANCH_SHA", ""),
            f"origin/{target}" if target else "",
        )
    else:
        main = said.get("CI_DEFAULT_BRANCH", "")
        bases = (said.get("CI_COMMIT_BEFORE_SHA", ""), f"origin/{main}" if main else "", "")
    return Platform(
        "GitLab CI",
        Folds.GITLAB,
        Refs(_given(*bases), head),
        said.get("CI_PROJECT_DIR", ""),
        "set the job's variable GIT_DEPTH to more than the number of commits, or to 0",
        said.get("CI_JOB_URL", ""),
    )


def _jenkins(said: Mapping[str, str]) -> Platform:
    head = said.get("GIT_COMMIT") or "HEAD"
    if target := said.get("CHANGE_TARGET", ""):
        bases: tuple[str, ...] = (f"origin/{target}", target)
    else:
        bases = (
            said.get("GIT_PREVIOUS_SUCCESSFUL_COMMIT", ""),
            said.get("GIT_PREVIOUS_COMMIT", ""),
        )
    return Platform(
        "Jenkins",
        Folds.NONE,
        Refs(_given(*bases), head),
        said.get("WORKSPACE", ""),
        "fetch the branch that the change is for, too, and clone without a depth",
        said.get("BUILD_URL", ""),
    )


def _given(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name and name != _NOTHING))


def _part(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = facts.get(name)
    return found if isinstance(found, dict) else {}


def _word(facts: Mapping[str, Any], name: str) -> str:
    found = facts.get(name)
    return found if isinstance(found, str) else ""
