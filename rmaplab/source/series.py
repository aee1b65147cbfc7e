# SPDX-License-Identifier: GPL-2.0
"""Patch series: from a folder, an mbox, a git range or a server to ordered patches.

Git reads the mails (git mailsplit, git mailinfo), so a patch here is what ``git am`` would have
applied. Which mails are the series is chosen in mailthread.py, with b4 where there are versions.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rmaplab.errors import UserError
from rmaplab.log import log
from rmaplab.model import NO_PATCHES, Patch, Series
from rmaplab.source import (
    mailabout,
    mailaccept,
    mailbox,
    mailpatch,
    mailreroll,
    mailthread,
    online,
    repository,
)
from rmaplab.source.mail import Mail, texts
from rmaplab.source.mailaccept import NOTHING, Accepted
from rmaplab.source.mailbox import FORMS
from rmaplab.source.mailthread import Key, Thread, name_of
from rmaplab.store.cache import Cache

EMPTY = NO_PATCHES


def load(spec: str, root: Path, accept: Sequence[str] = (), cache: Cache | None = None) -> Series:
    """Return the series that ``spec`` names; the empty spec is the empty series.

    Relative paths are tried in the current folder, then in ``root``. ``accept`` are the words of
    --accept; what servers send is kept in ``cache``. Raises UserError on a series that is not
    there, is empty, lacks one of its patches, can be meant in two ways, holds something else than
    patches, or changes a file outside the tree; InfraError if a server cannot be reached.
    """
    accepted = mailaccept.read(accept) if accept else NOTHING
    if not spec:
        return EMPTY
    if spec.startswith("git:"):
        return _from_git(spec)
    if spec == STDIN:
        return _chosen("", "standard input", mailbox.of_text("standard input", _stdin()), accepted)
    path = next((p for p in (Path(spec).expanduser(), root / spec) if _exists(p)), None)
    if path is not None:
        return _from_path(path.resolve(), accepted)
    place = online.place_of(spec)
    if place is None:
        raise UserError(f"there is no series {spec!r}", hint=f"a series is {FORMS}")
    return _fetched(place, accepted, cache or Cache())


def _from_path(path: Path, accepted: Accepted) -> Series:
    """Return the series of a folder or a file."""
    if not path.is_dir():
        return _chosen(path.name.split(".")[0], str(path), mailbox.of_file(path), accepted)
    if (files := mailbox.quilt_files(path)) is not None:
        return _series(path.name, str(path), mailbox.read_files(path, files), None)
    return _chosen(path.name, str(path), mailbox.of_folder(path), accepted)


def stack(found: Sequence[Series]) -> Series:
    """Return several series, the lowest first, as one; none of them is the empty series."""
    if not found:
        return EMPTY
    return replace(
        found[0],
        name="+".join(one.name for one in found),
        origin=" + ".join(one.origin for one in found),
        patches=tuple(patch for one in found for patch in one.patches),
        cover="\n".join(filter(None, (one.cover for one in found))),
    )


STDIN = "-"
"""The spec of a series that comes on standard input."""


@functools.lru_cache(maxsize=1)
def _stdin() -> bytes:
    """Return what standard input has, which can be read once; raises UserError for a terminal."""
    if sys.stdin is None or sys.stdin.isatty():
        raise UserError(
            "--series -: standard input is a terminal", hint="write: ... --series - <series.mbox"
        )
    try:
        return sys.stdin.buffer.read(mailbox.MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"standard input cannot be read: {error}") from error


def _fetched(place: online.Place, accepted: Accepted, cache: Cache) -> Series:
    """Return the series of a place on a server."""
    mails = mailbox.of_text(place.url, online.mails(place, cache))
    remarks: tuple[str, ...] = ()
    if place.message_id:
        mails, remarks = mailabout.only(place.url, mails, place.message_id, accepted.senders)
    for remark in remarks:
        log.warn(f"{place.url}: {remark}")
    return _chosen("", place.url, mails, accepted)


def _chosen(name: str, origin: str, mails: Sequence[Mail], accepted: Accepted) -> Series:
    """Return the patches of mails that are a series, its newest version or the accepted one."""
    thread = mailthread.series_of(origin, mails, accepted)
    remarks = list(thread.remarks)
    key = _wanted(thread, accepted)
    patches, more = mailthread.in_order(thread, key)
    cover = next((m for m in thread.versions[key] if not m.has_diff), None)
    if len(thread.versions) > 1:
        others = ", ".join(name_of(one) for one in thread.versions if one != key)
        remarks.append(f"{name_of(key)} is taken, not {others}")
        if accepted.version is None:
            patches, more = _newest(thread, patches, more)
    for remark in (*remarks, *more):
        log.warn(f"{origin}: {remark}")
    mailthread.check_whole(origin, patches, cover, accepted)
    name = name or slug((cover or patches[0]).heading.title).lower() or "series"
    made = _series(name, origin, patches, cover or _first_without_patch(mails, patches))
    return replace(made, version=name_of(key))


def _wanted(thread: Thread, accepted: Accepted) -> Key:
    """Return the version that is accepted, else the newest. Raises UserError if it is not there."""
    if accepted.version is None:
        return thread.newest
    found = [key for key in thread.versions if key[0] == accepted.version]
    if not found:
        raise UserError(
            f"{thread.origin}: there is no {mailaccept.label(accepted.version)} in it: "
            + ", ".join(map(name_of, thread.versions))
        )
    return found[-1]


def _newest(
    thread: Thread, patches: tuple[Mail, ...], remarks: tuple[str, ...]
) -> tuple[tuple[Mail, ...], tuple[str, ...]]:
    """Return the patches that b4 chooses, and remarks: which of them are an older version's."""
    if any(not mail.sender for some in thread.versions.values() for mail in some):
        names = ", ".join(map(name_of, thread.versions))
        raise UserError(
            f"{thread.origin}: several versions of a series are in it: {names}",
            hint=f"name the one that is meant: --accept {mailaccept.label(thread.newest[0])}",
        )
    chosen = mailreroll.newest(thread)
    older = [m for m in chosen if m not in patches]
    if older:
        some = ", ".join(m.place for m in older)
        said = f"{name_of(thread.newest)} has not all of its patches: {some} of an older version"
        return chosen, (*remarks, f"{said} are taken (a partial reroll, as b4 reads it)")
    return patches, remarks


def _first_without_patch(mails: Sequence[Mail], patches: Sequence[Mail]) -> Mail | None:
    """Return the mail that a box of one author begins with, if it is no patch."""
    first = mails[0]
    return first if not first.has_diff and first.sender == patches[0].sender else None


def _series(name: str, origin: str, mails: Sequence[Mail], cover: Mail | None) -> Series:
    """Return the patches of mails, in their order, as a series."""
    found = [mail for mail in mails if mail.has_diff]
    if not found:
        raise UserError(f"{origin}: no patch in it", hint=f"a series is {FORMS}")
    if len(found) > mailthread.MAX_PATCHES:
        raise mailthread.too_many(origin, len(found))
    text = cover.text.decode("utf-8", "replace") if cover is not None else ""
    base, before = _base_of([cover, *found] if cover is not None else found)
    return Series(
        name, origin, mailpatch.patches(found), text, base_commit=base, prerequisites=before
    )


def _base_of(mails: Sequence[Mail]) -> tuple[str, tuple[str, ...]]:
    """Return the commit that a series is for, and the ids of the patches that come before it.

    Git format-patch --base writes them at the end of the first mail.
    """
    for mail in mails:
        said = "\n".join(texts(mail))
        if match := _BASE_COMMIT.search(said):
            return match[1].lower(), tuple(one.lower() for one in _PREREQUISITE.findall(said))
    return "", ()


_BASE_COMMIT = re.compile(r"^base-commit: ([0-9a-f]{40}(?:[0-9a-f]{24})?)\s*$", re.M | re.I)
_PREREQUISITE = re.compile(
    r"^prerequisite-patch-id: ([0-9a-f]{40}(?:[0-9a-f]{24})?)\s*$", re.M | re.I
)


def slug(subject: str) -> str:
    """Return a subject as a part of a file's name, as git format-patch makes one."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", subject).strip("-.")[:52]


def as_mail(patch: Patch, number: int, length: int) -> bytes:
    """Return a patch as a mail that load() and git am read back as the same patch."""
    subject = " ".join(patch.subject.split())
    head = (
        f"From: {patch.author or 'unknown <unknown@localhost>'}\n"
        f"Subject: [PATCH {number}/{length}] {subject}\n"
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n"
        "Content-Transfer-Encoding: 8bit\n\n"
        f"{patch.message.strip()}\n---\n\n"
    )
    # The signature is what a reader cuts off, so that one that the diff ends with stays.
    return head.encode("utf-8", "replace") + patch.diff + b"-- \n0\n"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _from_git(spec: str) -> Series:
    repo, hash_sign, commits = spec.removeprefix("git:").rpartition("#")
    if not hash_sign or ".." not in commits or commits.startswith("-"):
        raise UserError(f"not a git range: {spec!r}", hint="write git:REPO#A..B")
    place = Path(repo).expanduser().resolve()
    repo_there = repository.find(place)
    count = repo_there.count(commits, "--no-merges")
    if count > mailthread.MAX_PATCHES:
        raise mailthread.too_many(spec, count)
    if merges := repo_there.count(commits, "--merges"):
        log.warn(
            f"{spec}: {merges} merge commit{'s' if merges > 1 else ''} of the range {_are(merges)} "
            "no patch: what only a merge changed is not tested"
        )
    mails = repo_there.patches(commits)
    if not mails:
        raise UserError(f"{spec}: there is no commit in this range")
    name = re.sub(r"[^a-z0-9]+", "-", commits.lower()).strip("-")
    mailbox.check_size(spec, len(mails))
    return _series(name, spec, mailbox.split(spec, mails), None)
