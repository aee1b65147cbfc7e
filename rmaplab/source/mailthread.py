# SPDX-License-Identifier: GPL-2.0
"""Choose the mails of a box that are the series.

What belongs to a series is for the one to say who began it: what somebody else sends into the
thread is told, and taken only if the user accepts its sender. Nothing is left out without a word,
and what can be meant in two ways is refused.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rmaplab.errors import UserError
from rmaplab.source import mailaccept
from rmaplab.source.mail import Mail
from rmaplab.source.mailaccept import Accepted, Version, label

MAX_PATCHES = 2000
"""Patches of a series: the longest of lore, reviews of stable trees, have some 1,300."""
_NAMED = 5
Key = tuple[Version, bool]
"""A version of a series, and whether it was sent again."""


@dataclass(frozen=True, slots=True)
class Thread:
    """The mails of one series: its versions, oldest first, and what is to be said of the rest."""

    origin: str
    versions: dict[Key, tuple[Mail, ...]]
    remarks: tuple[str, ...] = ()

    @property
    def newest(self) -> Key:
        """The highest version."""
        return next(reversed(self.versions))


def series_of(origin: str, mails: Sequence[Mail], accepted: Accepted) -> Thread:
    """Return the mails of the one series that is in a box.

    Raises UserError if there is none or more than one.
    """
    mails = _with_senders(_distinct(origin, mails))
    candidates = [m for m in mails if (m.has_diff or m.is_cover) and not m.heading.is_reply]
    if len(mails) == 1 and mails[0].has_diff:
        candidates = mails  # saved by itself, on purpose
    if not any(m.has_diff for m in candidates):
        raise _nothing(origin, mails)
    clusters = _clusters(mails, candidates)
    if accepted.senders:
        clusters = [s for s in clusters if accepted.senders & {m.sender for m in s}] or clusters
    own = [mail for some in clusters for mail in some]
    below = _answers(mails, candidates)
    authors = _authors(
        origin, clusters, [m for m in own if m.id not in below] or own, own, accepted
    )
    versions = _versions([m for m in own if m.sender in authors])
    others = [m for m in candidates if m.sender not in authors]
    if not versions:
        told = "".join(f"\n  {one}" for one in _told(others))
        raise UserError(f"{origin}: no patch of the series' author is in it:{told}")
    return Thread(origin, versions, tuple(_told(others)))


def in_order(thread: Thread, key: Key) -> tuple[tuple[Mail, ...], tuple[str, ...]]:
    """Return the patches of one version by their numbers, and remarks.

    Raises UserError if they are several series. They may lack some still: check_whole() says so.
    """
    patches = [m for m in thread.versions[key] if m.has_diff]
    numbered = [m for m in patches if m.heading.number is not None]
    bare = [m for m in patches if m.heading.number is None]
    lengths = {m.heading.length for m in numbered}
    if len(lengths) > 1 or (len(bare) > 1 and not numbered and all(m.is_sent for m in bare)):
        raise _several(thread.origin, [[m] for m in bare] or _by_length(numbered))
    remarks = []
    if numbered and bare:
        if not all(m.is_sent for m in bare):
            return tuple(patches), ()
        remarks += [f"{_shown(m)} has no number of the series: it is not taken" for m in bare]
    if not numbered:
        return tuple(bare), ()
    ordered = sorted(numbered, key=lambda m: m.heading.number or 0)
    if ordered != numbered and not all(m.is_sent for m in numbered):
        remarks.append("the patches are applied in the order of their numbers, n/m")
    return tuple(ordered), tuple(remarks)


def check_whole(
    origin: str, patches: Sequence[Mail], cover: Mail | None, accepted: Accepted
) -> None:
    """Raise UserError for a part of a series: tested as the whole, it would give a wrong verdict.

    A cover letter says by its ``0/m`` how many patches there have to be.
    """
    if len(patches) > MAX_PATCHES:
        raise too_many(origin, len(patches))
    mails = [*patches, *([cover] if cover is not None else [])]
    headings = [m.heading for m in mails if m.heading.length is not None]
    for length in sorted({one.length or 0 for one in headings}):
        if length > MAX_PATCHES:
            raise too_many(origin, length)
        present = [one.number or 0 for one in headings if one.length == length and one.number]
        once = set(present)
        twice = {n for n in once if present.count(n) > 1}
        if once and not twice and accepted.part(present, length):
            continue
        missing = set(range(1, length + 1)) - once
        beyond = {n for n in once if n > length}
        for what, numbers in (
            ("missing", missing),
            ("here more than once", twice),
            ("one too many", beyond),
        ):
            if numbers:
                raise _partial(origin, what, sorted(numbers), length, once)


def too_many(origin: str, count: int) -> UserError:
    """Return the error for a series that is longer than any that is reviewed."""
    return UserError(
        f"{origin}: a series of {count} patches is too long: the lab takes {MAX_PATCHES}",
        hint="take a git tree that has them, --tree git:REPO#REF, or test the series in parts",
    )


def name_of(key: Key) -> str:
    """Return what a version is called."""
    version, is_resent = key
    return label(version) + (" RESEND" if is_resent else "")


# -- which mails belong together ---------------------------------------------------------------


def _distinct(origin: str, mails: Iterable[Mail]) -> list[Mail]:
    """Return the mails without copies that came over several lists.

    Raises UserError for two different mails with one Message-ID: one of them is forged.
    """
    found: dict[str, Mail] = {}
    kept: list[Mail] = []
    for mail in mails:
        first = found.setdefault(mail.id, mail) if mail.id else mail
        if first is mail:
            kept.append(mail)
        elif not _is_copy(first, mail):
            raise UserError(
                f"{origin}: {_shown(first)} and {_shown(mail)} have one Message-ID, <{mail.id}>, "
                "and differ: one of them is not what it seems",
                hint="take one of them out",
            )
    return kept


def _is_copy(one: Mail, other: Mail) -> bool:
    """Return whether two mails say the same; a list may have added its own lines at the end."""
    if (one.sender, one.heading) != (other.sender, other.heading):
        return False
    short, long = sorted((_body(one.text), _body(other.text)), key=len)
    return long.startswith(short)


def _body(text: bytes) -> bytes:
    text = text.replace(b"\r\n", b"\n")
    return text[max(0, text.find(b"\n\n")) :].strip()


def _with_senders(mails: Sequence[Mail]) -> list[Mail]:
    """Return the mails, those that nobody sent with one sender for each version of a series.

    Git writes the author of each commit into From, and a series may have several.
    """
    first: dict[object, Mail] = {}
    for mail in mails:
        shape = (mail.heading.version, mail.heading.is_resent, mail.heading.length)
        known = first.setdefault(shape, mail)
        if not mail.is_sent and (mail.heading.number or 0) < (known.heading.number or 0):
            first[shape] = mail
    return [
        mail
        if mail.is_sent
        else dataclasses.replace(
            mail,
            sender=first[mail.heading.version, mail.heading.is_resent, mail.heading.length].sender,
        )
        for mail in mails
    ]


def _clusters(mails: Sequence[Mail], candidates: Sequence[Mail]) -> list[list[Mail]]:
    """Return the candidates by thread.

    Mails that refer to one another are in one thread, also through mails that are not here. What
    nobody sent is what somebody has put together: one thread. So are patches that were sent without
    threading.
    """
    parents: dict[str, str] = {}

    def root(one: str) -> str:
        while (up := parents.setdefault(one, one)) != one:
            parents[one] = parents[up]
            one = up
        return one

    for mail in mails:
        for reference in mail.references if mail.id else ():
            parents[root(mail.id)] = root(reference)
    found: dict[object, list[Mail]] = defaultdict(list)
    for mail in candidates:
        found[root(mail.id) if mail.id else ""].append(mail)
    joined: dict[object, list[Mail]] = defaultdict(list)
    for place, some in found.items():
        one = some[0]
        loose = len(some) == 1 and one.heading.number is not None
        shape = (one.sender, one.heading.version, one.heading.length, one.heading.is_resent)
        joined[shape if loose else place] += some
    return list(joined.values())


def _answers(mails: Sequence[Mail], candidates: Sequence[Mail]) -> set[str]:
    """Return the ids of the mails that are, directly or not, answers to a candidate."""
    children: dict[str, list[str]] = defaultdict(list)
    for mail in mails:
        for reference in mail.references if mail.id else ():
            children[reference].append(mail.id)
    below: set[str] = set()
    waiting = [one for mail in candidates if mail.id for one in children[mail.id]]
    while waiting:
        one = waiting.pop()
        if one not in below:
            below.add(one)
            waiting += children.get(one, ())
    return below


def _authors(
    origin: str,
    clusters: Sequence[Sequence[Mail]],
    first: Sequence[Mail],
    own: Sequence[Mail],
    accepted: Accepted,
) -> frozenset[str]:
    """Return the senders whose mails are the series: of the first mails, else who is accepted.

    An accepted sender whose mails are no whole series by themselves completes that of the author.
    Raises UserError if several have begun one.
    """
    allowed = accepted.senders & {m.sender for m in own}
    if allowed:
        alone = [m for m in own if m.sender in allowed]
        versions = _versions(alone)
        if versions and _is_whole(versions[next(reversed(versions))]):
            _one_title(origin, [s for some in clusters if (s := [m for m in some if m in alone])])
            return allowed
    begun = {mail.sender for mail in first}
    if len(begun) > 1 and not begun <= allowed:
        raise _several(origin, [[m for m in own if m.sender == one] for one in sorted(begun)])
    _one_title(origin, clusters)
    return frozenset(begun | allowed)


def _one_title(origin: str, clusters: Sequence[Sequence[Mail]]) -> None:
    """Raise UserError for threads of several titles: they are no versions of one series."""
    if len({_title(some) for some in clusters}) > 1:
        raise _several(origin, clusters)


def _title(mails: Sequence[Mail]) -> str:
    """Return what mails are about: the title of the cover letter, else of the first patch."""
    first = min(mails, key=lambda m: 1 if m.heading.number is None else m.heading.number)
    return first.heading.title.lower()


def _versions(mails: Sequence[Mail]) -> dict[Key, tuple[Mail, ...]]:
    """Return the versions that have a patch, oldest first; a cover letter alone is none."""
    found: dict[Key, list[Mail]] = defaultdict(list)
    for mail in mails:
        found[mail.heading.version, mail.heading.is_resent].append(mail)
    return {key: tuple(found[key]) for key in sorted(found) if any(m.has_diff for m in found[key])}


def _is_whole(mails: Sequence[Mail]) -> bool:
    headings = [m.heading for m in mails if m.has_diff]
    numbers = {one.number for one in headings}
    return headings[0].length is None or all(
        n in numbers for n in range(1, min(headings[0].length, MAX_PATCHES) + 1)
    )


# -- what is said --------------------------------------------------------------------------------


def _told(others: Sequence[Mail]) -> Iterable[str]:
    """Yield what others sent into the thread, and what to type to test it."""
    by: dict[tuple[str, Key], list[Mail]] = defaultdict(list)
    for mail in others:
        if mail.has_diff:
            by[mail.sender, (mail.heading.version, mail.heading.is_resent)].append(mail)
    for (sender, key), mails in list(by.items())[:_NAMED]:
        address = sender.rpartition("<")[2].rstrip(">")
        yield (
            f"{_counted(mails)}, {name_of(key)}, by {mails[0].who} {_verb(mails)} not taken: "
            f"somebody else began the series; to test it: --accept {address}"
        )
    if len(by) > _NAMED:
        yield f"and patches of {len(by) - _NAMED} more senders and versions are not taken"


def _verb(mails: Sequence[Mail]) -> str:
    return "is" if len(mails) == 1 else "are"


def _counted(mails: Sequence[Mail]) -> str:
    return _shown(mails[0]) if len(mails) == 1 else f"{_shown(mails[0])} and {len(mails) - 1} more"


def _shown(mail: Mail) -> str:
    return f"{mail.place} {mail.heading.title[:80]!r}"


def _by_length(mails: Sequence[Mail]) -> list[list[Mail]]:
    found: dict[int | None, list[Mail]] = defaultdict(list)
    for mail in mails:
        found[mail.heading.length].append(mail)
    return list(found.values())


def _several(origin: str, series: Sequence[Sequence[Mail]]) -> UserError:
    series = [some for some in series if some]
    lines = [
        f"  {_title(some)[:80]!r}: {sum(m.has_diff for m in some)} patches by {some[0].who}"
        for some in series[:_NAMED]
    ]
    lines += [f"  and {len(series) - _NAMED} more"] if len(series) > _NAMED else []
    senders = sorted({m.sender.rpartition("<")[2].rstrip(">") for some in series for m in some})
    way = f"name whose is meant, such as --accept {senders[0]}; or " if len(senders) > 1 else ""
    return UserError(
        f"{origin}: {len(series)} series are in it:\n" + "\n".join(lines),
        hint=f"{way}save the mails of one series alone",
    )


def _nothing(origin: str, mails: Sequence[Mail]) -> UserError:
    answers = [m for m in mails if m.has_diff]
    if answers:
        return UserError(
            f"{origin}: no patch in it; {_counted(answers)} {_verb(answers)} an answer to a mail",
            hint="to test the diff of an answer, save that mail alone",
        )
    return UserError(
        f"{origin}: no patch in it",
        hint="a series is made by git format-patch, git diff or git send-email; "
        "of a thread, save all of it",
    )


def _partial(
    origin: str, what: str, numbers: Sequence[int], length: int, present: Iterable[int]
) -> UserError:
    some = ", ".join(f"{n}/{length}" for n in numbers[:_NAMED])
    more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
    noun, verb = ("patch", "is") if len(numbers) == 1 else ("patches", "are")
    ranges = mailaccept.ranges(present)
    hint = "save the mails of one series alone, or take what is too much out"
    if what == "missing":
        hint = (
            f"to test a part on purpose: --accept {ranges}/{length}"
            if ranges
            else "is the cover letter that of another series? take it out"
        )
    return UserError(f"{origin}: {noun} {some}{more} of the series {verb} {what}", hint=hint)
