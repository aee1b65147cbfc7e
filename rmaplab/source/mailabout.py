# SPDX-License-Identifier: GPL-2.0
"""Choose the mails of a thread that belong to one of its mails, which somebody named.

A thread of an archive has whatever people sent into it, other series too. Who names a mail says
which of them is meant: the series that the mail is of, or answers, and its other versions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from rmaplab.errors import UserError
from rmaplab.source.mail import Mail

_NAMED = 5


def only(
    origin: str, mails: Sequence[Mail], message_id: str, senders: Collection[str] = ()
) -> tuple[list[Mail], tuple[str, ...]]:
    """Return the mails without other series than that of a mail, and remarks on those.

    Mails of the accepted ``senders`` stay. Raises UserError if the mail is not among them.
    """
    by_id = {mail.id: mail for mail in reversed(mails) if mail.id}
    named = by_id.get(message_id)
    if named is None:
        raise UserError(
            f"{origin}: there is no mail <{message_id}> in this thread",
            hint="is it the address of a public-inbox? or save the mails of the series in a file",
        )
    groups = _groups(mails, by_id)
    meant = _series_of(named, by_id, groups)
    if meant is None:
        return list(mails), ()
    titles = {mail.heading.title.lower() for mail in meant}
    kept: set[str] = set()
    others: list[Sequence[Mail]] = []
    for group in groups.values():
        sender = group[0].sender
        is_own = sender == meant[0].sender
        is_version = is_own and titles & {mail.heading.title.lower() for mail in group}
        if is_version or sender in senders:
            kept |= {mail.id for mail in group}
        else:
            others.append(group)
    of_series = {mail.id for group in groups.values() for mail in group}
    found = [mail for mail in mails if mail.id not in of_series or mail.id in kept]
    return found, tuple(_told(others))


def _is_of_series(mail: Mail) -> bool:
    return bool(mail.id) and (mail.has_diff or mail.is_cover) and not mail.heading.is_reply


def _groups(mails: Sequence[Mail], by_id: Mapping[str, Mail]) -> dict[str, list[Mail]]:
    """Return the mails of each series, by the id of the one that it begins with."""
    roots: dict[str, str] = {}
    ordered = sorted(
        (mail for mail in mails if _is_of_series(mail)), key=lambda m: m.heading.number or 0
    )
    found: dict[str, list[Mail]] = defaultdict(list)
    for mail in ordered:
        above = by_id.get(mail.parent)
        # The mail above has a smaller number, so its root is known.
        root = roots.get(mail.parent) if above is not None and _is_below(mail, above) else None
        roots[mail.id] = root or mail.id
        found[root or mail.id].append(mail)
    return found


def _is_below(mail: Mail, above: Mail) -> bool:
    """Return whether a mail is of the same series as the one that it answers."""
    own, other = mail.heading, above.heading
    if own.number is None or other.number is None or not _is_of_series(above):
        return False
    shape = (own.version, own.is_resent, own.length, mail.sender)
    same = shape == (other.version, other.is_resent, other.length, above.sender)
    return same and other.number < own.number


def _series_of(
    named: Mail, by_id: Mapping[str, Mail], groups: Mapping[str, list[Mail]]
) -> list[Mail] | None:
    """Return the series of a mail, or of the nearest mail above it that has one."""
    of = {mail.id: group for group in groups.values() for mail in group}
    seen: set[str] = set()
    waiting = [named]
    while waiting:
        mail = waiting.pop(0)
        if mail.id in of:
            return of[mail.id]
        seen.add(mail.id)
        above = (mail.parent, *mail.references)
        waiting += [by_id[one] for one in above if one in by_id and one not in seen][:1]
    return None


def _told(others: Sequence[Sequence[Mail]]) -> list[str]:
    """Return what is to be said of the series that are left out."""
    told = []
    for group in others[:_NAMED]:
        first, count = group[0], sum(mail.has_diff for mail in group)
        if not count:
            continue
        patches = "a patch" if count == 1 else f"{count} patches"
        told.append(
            f"{first.heading.title[:80]!r}, {patches} by {first.who}, is not taken: it is another "
            f"series of the thread; to test it: --series '<{first.id}>'"
        )
    if len(others) > _NAMED:
        told.append(f"and {len(others) - _NAMED} more series of the thread are not taken")
    return told
