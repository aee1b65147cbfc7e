# SPDX-License-Identifier: GPL-2.0
"""Read the header of a mail: who sent it, what it answers, which patch of which series it is.

Whatever a stranger's mail says, this takes time linear in its size and raises nothing but
UserError. The patch in it is read by git alone (mailpatch.py).
"""

from __future__ import annotations

import contextlib
import dataclasses
import email
import email.errors
import email.header
import email.utils
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message

from rmaplab.errors import UserError
from rmaplab.source.mailaccept import FIRST, Version, version_of

MAX_HEADER = 1 << 20
"""Bytes of a mail's header: fifty times that of a mail to hundreds of people."""
MAX_SUBJECT = 2000
_MAX_REFERENCES = 1000
_MAX_PARTS = 50
# A line by which git mailinfo finds where a patch begins, or b4 sees that there is one.
_DIFF = re.compile(rb"^(?:diff --git |--- [^\n]*\n\+\+\+ |Index: )", re.M)
# The prefixes of an answer's subject in several languages.
_REPLY = re.compile(
    r"\s*(?:(?:re|aw|sv|vs|fwd?|antw|tr|rv|odp)\s*(?:\[\d+\])?|回复|答复|转发)\s*[:：]"
    r"|\s*\w{2,4}\s*[:：]\s*\[",
    re.I,
)
_COUNTED = re.compile(r"0*(\d+)/0*(\d+)")
_GLUED = re.compile(r"(?:patch|rfc)[-_]?(v\d[\d.]*)", re.I)
_ID = re.compile(r"<([^<>\s]{1,998})>")
# The line that git format-patch puts before each of its mails, also those of other authors.
_WRITTEN_BY_GIT = re.compile(rb"From [0-9a-f]{40,64} Mon Sep 17 00:00:00 2001\r?\n")
_HEADER_LINE = re.compile(rb"(?:From [^\n]*\n)?[!-9;-~]+:")


@dataclass(frozen=True, slots=True)
class Heading:
    """The marks of a subject: ``[PATCH v2 1/3] title``; number and length are None without n/m."""

    title: str
    version: Version = FIRST
    number: int | None = None
    length: int | None = None
    is_resent: bool = False
    is_reply: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Mail:
    """A mail of a box or a file.

    ``who`` is what its From says, ``sender`` the address in it; of what git format-patch wrote and
    nobody sent (``is_sent``) that is the author of the commit. ``references`` are the ids of mails
    that it answers, the nearest first; ``parent`` is that of the one that it answers directly.
    """

    name: str
    text: bytes
    heading: Heading
    sender: str
    who: str
    id: str
    parent: str
    references: tuple[str, ...]
    date: float | None
    has_diff: bool
    is_sent: bool = True

    @property
    def is_cover(self) -> bool:
        """True if the mail says of itself that it is a cover letter."""
        return self.heading.number == 0 and not self.has_diff

    @property
    def place(self) -> str:
        """The mail's own ``n/m``, else its name."""
        if self.heading.number is None:
            return self.name
        return f"{self.heading.number}/{self.heading.length}"


def put_together(mail: Mail) -> Mail:
    """Return a mail that somebody has chosen: it is meant, whoever sent it and why."""
    own = dataclasses.replace(mail.heading, is_reply=False)
    return dataclasses.replace(mail, sender="", id="", is_sent=False, heading=own)


def heading(subject: str) -> Heading:
    """Return the marks that stand in brackets at the beginning of a subject."""
    rest = subject[:MAX_SUBJECT].strip()
    is_reply = _REPLY.match(rest) is not None
    words: list[str] = []
    while rest.startswith("[") and (end := _closing(rest)):
        words += re.split(r"[\s\[\];,]+", rest[1:end])
        rest = rest[end + 1 :].lstrip()
    version, numbered, is_resent = FIRST, None, False
    for word in filter(None, words):
        glued = _GLUED.fullmatch(word)
        counted = _COUNTED.fullmatch(word)
        if counted and numbered is None:
            # More digits than any series has: as many as say that it is too long.
            numbered = int(counted[1][:9]), int(counted[2][:9])
        elif found := version_of(glued[1] if glued else word):
            version = found
        elif word.lower() == "resend":
            is_resent = True
    number, length = numbered or (None, None)
    return Heading(rest, version, number, length, is_resent, is_reply)


def _closing(text: str) -> int:
    """Return where the bracket that a text begins with is closed; 0 if it is not."""
    depth = 0
    for place, char in enumerate(text):
        depth += (char == "[") - (char == "]")
        if depth == 0:
            return place
    return 0


def read(name: str, text: bytes) -> Mail:
    """Read a mail's header. Raises UserError for a header of more than a megabyte."""
    head, body = _parts(name, text)
    header = email.message_from_bytes(head)
    one = _header(header, "Subject")
    subject = " ".join(_decoded(one).split())
    own = heading(subject)
    ids = _ids(header, "Message-ID")
    parents = _ids(header, "In-Reply-To")
    references = _ids(header, "References")[-_MAX_REFERENCES:]
    return Mail(
        name=name,
        text=text,
        heading=own,
        sender=_sender(header) if head else "",
        who=" ".join(_decoded(_header(header, "From")).split())[:200],
        id=ids[0] if ids else "",
        parent=parents[0] if parents else "",
        references=tuple(dict.fromkeys((*parents, *reversed(references)))),
        date=_date(_header(header, "Date")),
        has_diff=_has_diff(header, text, body),
        is_sent=bool(ids) and not _WRITTEN_BY_GIT.match(text),
    )


def _parts(name: str, text: bytes) -> tuple[bytes, int]:
    """Return a mail's header, and where its body begins; a bare diff has no header."""
    if not _HEADER_LINE.match(text.lstrip()[:2000]):
        return b"", 0
    start = len(text) - len(text.lstrip())
    if text.startswith(b"From ", start):
        start = text.find(b"\n", start) + 1
    ends = [e for e in (text.find(b"\n\n", start), text.find(b"\n\r\n", start)) if e >= 0]
    end = min(ends, default=len(text))
    if end - start > MAX_HEADER:
        raise UserError(f"{name}: the header of this mail has more than {MAX_HEADER >> 20} MB")
    return text[start : end + 1], end


def _header(header: Message, name: str) -> str:
    found = header.get(name)
    return "" if found is None else str(found)


def _decoded(raw: str) -> str:
    """Return a header's text; what cannot be decoded stays as it stands."""
    with contextlib.suppress(email.errors.HeaderParseError, LookupError, UnicodeError, ValueError):
        return str(email.header.make_header(email.header.decode_header(raw)))
    return raw


def _ids(header: Message, name: str) -> tuple[str, ...]:
    return tuple(_ID.findall(" ".join(str(one) for one in header.get_all(name, []))))


def _sender(header: Message) -> str:
    """Return by whom a mail was sent: the address, with the name where a list put in its own."""
    name, address = email.utils.parseaddr(_header(header, "From")[:MAX_SUBJECT])
    name = " ".join(_decoded(name).lower().split())
    own = address.lower() or _header(header, "From")[:200].lower().strip() or "nobody"
    return f"{name} <{own}>" if " via " in name else own


def _date(raw: str) -> float | None:
    try:
        parsed = email.utils.parsedate_tz(raw[:200])
        return float(email.utils.mktime_tz(parsed)) if parsed else None
    except (ValueError, OverflowError, TypeError):
        return None


def _has_diff(header: Message, text: bytes, body: int) -> bool:
    """Return whether a mail has lines as a diff has them, decoded as git mailinfo would."""
    encoding = _header(header, "Content-Transfer-Encoding").strip().lower()
    many = _header(header, "Content-Type").strip().lower().startswith("multipart/")
    if not many and encoding not in {"base64", "quoted-printable", "x-uuencode", "uuencode"}:
        return _DIFF.search(text, body) is not None
    return any(_DIFF.search(part) for part in _leaves(text))


def texts(mail: Mail) -> Iterator[str]:
    """Yield what a mail says, decoded: its parts one by one."""
    for part in _leaves(mail.text):
        yield part.decode("utf-8", "replace")


def _leaves(text: bytes) -> Iterator[bytes]:
    """Yield the decoded parts of a mail; one with very many parts as it stands.

    The standard library's parser holds each line against every part that is open.
    """
    if text.lower().count(b"boundary=") > _MAX_PARTS:
        yield text
        return
    try:
        start = text.find(b"\n") + 1 if text.lstrip().startswith(b"From ") else 0
        for part in email.message_from_bytes(text[start:]).walk():
            payload = None if part.is_multipart() else part.get_payload(decode=True)
            if isinstance(payload, bytes):
                yield payload.replace(b"\r\n", b"\n")
    except (ValueError, LookupError, RecursionError, AssertionError):
        # Not a mail that can be taken apart: git says so of a patch that is asked for.
        yield text
