# SPDX-License-Identifier: GPL-2.0
"""Patch series: from a folder, an mbox or a git range to ordered patches.

Git reads the mails (git mailsplit, git mailinfo), so a patch here is what ``git am`` would have
applied. Which mails are the series is chosen in mailthread.py, with b4 where there are versions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rmaplab.errors import UserError
from rmaplab.log import log
from rmaplab.model import NO_PATCHES, Patch, Series
from rmaplab.source import mailaccept, mailbox, mailpatch, mailreroll, mailthread, repository
from rmaplab.source.mail import Mail
from rmaplab.source.mailaccept import NOTHING, Accepted
from rmaplab.source.mailbox import FORMS
from rmaplab.source.mailthread import Key, Thread, name_of

EMPTY = NO_PATCHES


def load(spec: str, root: Path, accept: Sequence[str] = ()) -> Series:
    """Return the series that ``spec`` names; the empty spec is the empty series.

    Relative paths are tried in the current folder, then in ``root``. ``accept`` are the words of
    --accept. Raises UserError on a series that is not there, is empty, lacks one of its patches,
    can be meant in two ways, holds something else than patches, or changes a file outside the tree.
    """
    accepted = mailaccept.read(accept) if accept else NOTHING
    if not spec:
        return EMPTY
    if spec.startswith("git:"):
        return _from_git(spec)
    path = next((p for p in (Path(spec).expanduser(), root / spec) if _exists(p)), None)
    if path is None:
        raise UserError(f"there is no series {spec!r}", hint=f"a series is {FORMS}")
    path = path.resolve()
    if not path.is_dir():
        return _chosen(path.name.split(".")[0], str(path), mailbox.of_file(path), accepted)
    if (files := mailbox.quilt_files(path)) is not None:
        return _series(path.name, str(path), mailbox.read_files(path, files), None)
    return _chosen(path.name, str(path), mailbox.of_folder(path), accepted)


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
    return _series(name, origin, patches, cover or _first_without_patch(mails, patches))


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
    return Series(name, origin, mailpatch.patches(found), text)


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
