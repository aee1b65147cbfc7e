# SPDX-License-Identifier: GPL-2.0
"""Find the tree that a series is for: the first of several on which all of its patches apply.

What the series says goes first: ``base-commit:``. Then trees whose files have the ids that the
diffs' index lines name are tried before others; where the files are the same, one is tried.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rmaplab.errors import PatchError, UserError
from rmaplab.model import Series
from rmaplab.source import diff, git, patched, repository
from rmaplab.source.repository import Repository

MAX_TRIED = 60
"""Different states of the touched files that are tried of one repository."""
_NAMED = 5
_INDEX = re.compile(
    rb"^diff --git a/([^\n\"]+) b/[^\n]+\n(?:(?!diff --git |--- )[^\n]*\n)*?"
    rb"index ([0-9a-f]{7,64})\.\.[0-9a-f]{7,64}",
    re.M,
)
_FIXES = re.compile(r"^Fixes: ([0-9a-f]{8,40})\b", re.M | re.I)


@dataclass(frozen=True, slots=True)
class Base:
    """A tree that was found: its spec, and lines that say why it is the one."""

    tree: str
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tree that may be the base: its spec, and why it is looked at.

    ``files`` are ids of the touched files, ``take`` writes them below a folder.
    """

    tree: str
    why: str
    files: Mapping[str, str]
    take: Callable[[Path], None]


def wanted_ids(series: Series) -> dict[str, str]:
    """Return the ids, often shortened, that the series' files have before it, by their paths."""
    found: dict[str, str] = {}
    for patch in series.patches:
        named = {
            match[1].decode("utf-8", "surrogateescape"): match[2].decode()
            for match in _INDEX.finditer(patch.diff)
        }
        for name in patch.files:
            # A file that an earlier patch changed has another id in the tree.
            found.setdefault(name, named.get(name, ""))
    return {name: one for name, one in found.items() if one.strip("0")}


def fixes(series: Series) -> tuple[str, ...]:
    """Return the commits that the patches say they fix."""
    said = (one for patch in series.patches for one in _FIXES.findall(patch.message))
    return tuple(dict.fromkeys(one.lower() for one in said))


def of_folder(tree: str, folder: Path, why: str, series: Series) -> Candidate:
    """Return an unpacked tree as a candidate."""
    there = {
        name: path.read_bytes()
        for name in series.files
        if (path := diff.regular(folder, name)) is not None
    }
    ids = {
        name: hashlib.sha1(b"blob %d\0" % len(text) + text, usedforsecurity=False).hexdigest()
        for name, text in there.items()
    }
    return Candidate(tree, why, ids, lambda target: _write(target, there))


def of_repository(spec: str, series: Series) -> Iterator[Candidate]:
    """Yield the commits of a repository that may be the base: what the series names, then tags.

    ``spec`` is ``git:REPO``, or ``git:REPO#PATTERN`` for the tags that a pattern matches.
    """
    place, _, pattern = spec.removeprefix("git:").partition("#")
    folder = Path(place).expanduser().resolve()
    repo = repository.find(folder)
    named = []
    if series.base_commit and repo.has(series.base_commit):
        named = [series.base_commit]
    tags = repo.tags(pattern or "*")
    if not named and not tags:
        raise UserError(
            f"{folder} has no tag that {pattern or '*'!r} matches",
            hint="fetch the tags, or name a commit with --tree git:REPO#COMMIT",
        )
    trees = repo.blobs([*named, *(f"refs/tags/{tag}" for tag in tags)], series.files)
    for ref, files in trees.items():
        tag = ref.removeprefix("refs/tags/")
        why = "the series' base-commit" if ref in named else "a tag"
        yield Candidate(f"git:{place}#{tag}", why, files, _taker(repo, files))


def _taker(repo: Repository, files: Mapping[str, str]) -> Callable[[Path], None]:
    def take(target: Path) -> None:
        contents = repo.contents(sorted(set(files.values()))) if files else {}
        _write(target, {name: contents[one] for name, one in files.items() if one in contents})

    return take


def _write(target: Path, files: Mapping[str, bytes]) -> None:
    for name, text in files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)


def choose(series: Series, candidates: Iterable[Candidate]) -> Base:
    """Return the first candidate on which the series applies.

    Raises PatchError that says of each candidate why not, and of the nearest one what stands in the
    way.
    """
    wanted = wanted_ids(series)
    found = list(candidates)
    order = sorted(
        range(len(found)),
        key=lambda n: (not found[n].why.startswith("the series'"), -_alike(found[n], wanted), n),
    )
    tried: dict[tuple[tuple[str, str], ...], PatchError] = {}
    failed: list[tuple[Candidate, PatchError]] = []
    for number in order:
        one = found[number]
        state = tuple(sorted(one.files.items()))
        error = tried.get(state)
        if error is None:
            if len(tried) == MAX_TRIED:
                break
            error = trial(series, one)
            if error is None:
                return Base(one.tree, tuple(_why(one, wanted, failed)))
            tried[state] = error
        failed.append((one, error))
    raise _nowhere(series, failed, wanted)


def trial(series: Series, candidate: Candidate) -> PatchError | None:
    """Return why a series does not apply to a tree; None if it does."""
    with tempfile.TemporaryDirectory(prefix="rmaplab-base-") as scratch:
        folder = Path(scratch)
        candidate.take(folder)
        try:
            for number, patch in enumerate(series.patches, start=1):
                patched.apply(patch, folder, f"patch {number}/{len(series.patches)}")
        except PatchError as error:
            return error
    return None


def _alike(one: Candidate, wanted: Mapping[str, str]) -> int:
    """Return how many files of a tree have the ids that the series names."""
    return sum(one.files.get(name, "").startswith(want) for name, want in wanted.items())


def _why(
    one: Candidate, wanted: Mapping[str, str], failed: Sequence[tuple[Candidate, PatchError]]
) -> Iterator[str]:
    alike = _alike(one, wanted)
    ids = f", {alike} of {len(wanted)} files are as its index lines say" if wanted else ""
    before = f"; it does not apply to {_names(failed)}" if failed else ""
    yield f"base: {one.tree}: {one.why} on which the series applies{ids}{before}"


def _names(failed: Sequence[tuple[Candidate, PatchError]]) -> str:
    names = ", ".join(one.tree.rpartition("#")[2] or one.tree for one, _ in failed[:_NAMED])
    return names + (f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else "")


def _nowhere(
    series: Series,
    failed: Sequence[tuple[Candidate, PatchError]],
    wanted: Mapping[str, str],
) -> PatchError:
    lines = [f"  {one.tree}: {error.message.splitlines()[0]}" for one, error in failed[:_NAMED]]
    lines += [f"  and {len(failed) - _NAMED} more"] if len(failed) > _NAMED else []
    nearest, error = max(failed, key=lambda pair: _alike(pair[0], wanted))
    return PatchError(
        f"{series.name} applies to no tree of {len(failed)}:\n"
        + "\n".join(lines)
        + f"\nnearest is {nearest.tree}: {error.message}",
        hint=_advice(series),
    )


def _advice(series: Series) -> str:
    if series.prerequisites:
        count = len(series.prerequisites)
        noun = "patch is" if count == 1 else "patches are"
        return f"its cover letter says that {count} other {noun} below it: put them there, --series"
    if series.base_commit:
        return (
            f"it is for commit {series.base_commit}: --base git:REPO with a repository that has it"
        )
    return "name a tree of another version, with --tree, or --base git:REPO for its tags"


def remarks(series: Series, below: Series, tree: str, repo: Repository | None) -> Iterator[str]:
    """Yield what of the series' own words does not fit to its base.

    ``below`` are the patches that it is on top of; ``tree`` is a commit of ``repo``, if there is
    one.
    """
    there = set(patch_ids(below)) if series.prerequisites else set()
    missing = [one for one in series.prerequisites if one not in there]
    if missing:
        noun = "patch" if len(missing) == 1 else "patches"
        yield (
            f"the series says that it needs {len(missing)} other {noun} first "
            f"(prerequisite-patch-id {missing[0][:12]}), which no --series before it has"
        )
    if repo is not None:
        for commit in fixes(series):
            if repo.has(commit) and not repo.is_ancestor(commit, tree):
                yield f"the series fixes commit {commit[:12]}, which {tree} does not have"


def patch_ids(series: Series) -> tuple[str, ...]:
    """Return the patches' ids as git format-patch --base writes them."""
    found = []
    for patch in series.patches:
        done = git.run(("patch-id", "--stable"), Path("/"), patch.diff)
        found.append(done.text.partition(" ")[0])
    return tuple(found)
