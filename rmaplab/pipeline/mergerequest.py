# SPDX-License-Identifier: GPL-2.0
"""A merge request as an A/B: the commit where it begins, and its commits as a series on that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rmaplab.errors import UserError
from rmaplab.pipeline.platforms import Platform, Refs
from rmaplab.source import mailthread, repository
from rmaplab.source.repository import Repository

PATCH = "merge-request.patch"
"""The file of a change that is no plain row of commits, in the job's folder."""


@dataclass(frozen=True, slots=True)
class MergeRequest:
    """A change of a repository: a tree, and a series on it, in the words of the command line.

    ``said`` tells a reader of the log what is compared.
    """

    tree: str
    series: str
    said: str


def find(place: Path, refs: Refs, platform: Platform, folder: Path) -> MergeRequest:
    """Return the change between two ends in a repository.

    It begins at the newest commit that both ends have. Commits in a row are a series; a change with
    merges in it is one patch, which is written to ``folder``: so what is tested is head as it is.
    Raises UserError if the repository has not enough of the history, or if there is no change.
    """
    repo = repository.find(place)
    try:
        head = repo.commit(refs.head)
    except UserError as error:
        raise UserError(error.message, hint=platform.history) from error
    base = _begin(repo, refs, head)
    if not base:
        named = ", ".join(refs.bases) or "nothing"
        raise UserError(
            f"{place}: no commit is known where the change up to {refs.head} begins: {named} "
            "is not there, or has no commit with it in common",
            hint=f"{platform.history}, or name one with --base",
        )
    commits = repo.count(f"{base}..{head}")
    if base == head or not commits:
        raise UserError(
            f"{place}: {refs.head} has nothing that {', '.join(refs.bases)} has not: there is "
            "nothing to test"
        )
    # In a shallow clone the oldest commits look as if a history began with them.
    if repo.count(f"{base}..{head}", "--max-parents=0"):
        raise UserError(
            f"{place}: its history ends between {base[:12]} and {head[:12]}", hint=platform.history
        )
    said = f"{commits} commit{'s' if commits > 1 else ''}, {base[:12]}..{head[:12]}"
    tree = f"git:{place}#{base}"
    merges = repo.count(f"{base}..{head}", "--merges")
    if not merges and commits <= mailthread.MAX_PATCHES:
        return MergeRequest(tree, f"git:{place}#{base}..{head}", said)
    why = f"{merges} of them merges" if merges else "too many to be a series"
    patch = folder / PATCH
    patch.write_bytes(_as_one(repo, base, head, commits))
    return MergeRequest(tree, str(patch), f"{said}; {why}: taken as one patch")


def _begin(repo: Repository, refs: Refs, head: str) -> str:
    """Return the commit where a change begins; head if nothing is before it, empty if unknown.

    Each base is a commit that the branch has or had: the newest one that the change has, too, is
    where it left the branch. One that has all of the change has taken it in meanwhile.
    """
    lengths = {fork: repo.count(f"{fork}..{head}") for fork in set(_forks(repo, refs, head))}
    left = {fork: length for fork, length in lengths.items() if length}
    return min(left, key=lambda fork: left[fork], default=head if lengths else "")


def _forks(repo: Repository, refs: Refs, head: str) -> Iterator[str]:
    for name in refs.bases:
        if (tip := _commit(repo, name)) and (fork := repo.fork(tip, head)):
            yield fork
    # A shallow clone may lack what base has since; in a row of commits they can be counted.
    if refs.length and (fork := _commit(repo, f"{head}~{refs.length}")):
        between = f"{fork}..{head}"
        if repo.count(between) == refs.length and not repo.count(between, "--merges"):
            yield fork


def _commit(repo: Repository, name: str) -> str:
    """Return the commit of a name; an empty string if the repository has none."""
    try:
        return repo.commit(name)
    except UserError:
        return ""


def _as_one(repo: Repository, base: str, head: str, commits: int) -> bytes:
    """Return all of a change as a mail with one patch."""
    mail = (
        "From: rmaplab <rmaplab@localhost>\n"
        f"Subject: [PATCH] {commits} commits as one: {base[:12]}..{head[:12]}\n"
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n"
        "Content-Transfer-Encoding: 8bit\n\n"
        f"All that differs between {base} and\n{head}.\n---\n\n"
    )
    return mail.encode() + repo.difference(base, head) + b"-- \n0\n"
