# SPDX-License-Identifier: GPL-2.0
"""Hostile mails: headers, encodings, threads, packed files and folders that pass for a series.

A mail that is taken has to keep its meaning: the patches are those that a reader sees, in their
order, and what the lab saves of them is read back the same.
"""

from __future__ import annotations

import base64
import gzip
import lzma
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .patches import GOOD, new

FROM = "From: A U Thor <author@example.com>"
MARK = "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001"


@dataclass(frozen=True)
class HostileMails:
    """One attempt: the files of a folder, or the one file ``box``, as bytes.

    ``patches`` is how many patches the series has if it is taken; None for one that has to be
    refused, and ``says`` is in the message then. ``either`` is True if both are right.
    """

    name: str
    files: Mapping[str, bytes | Callable[[], bytes]]
    patches: int | None = 1
    says: str = ""
    either: bool = False


def mail(
    subject: str | bytes = "[PATCH] mm: x",
    diff: bytes = GOOD,
    sender: str | bytes = FROM,
    body: bytes = b"Because.\n",
    more: str = "",
) -> bytes:
    """Return a mail with a patch."""
    lines = [sender, "Date: Thu, 1 Jan 2026 00:00:00 +0000",
             b"Subject: " + subject if isinstance(subject, bytes) else f"Subject: {subject}",
             *more.splitlines()]  # fmt: skip
    head = b"\n".join(one if isinstance(one, bytes) else one.encode() for one in lines)
    return head + b"\n\n" + body + b"---\n\n" + diff + b"-- \n2.39.5\n"


def box(*mails: bytes) -> bytes:
    """Return an mbox of mails."""
    return b"".join(MARK.encode() + b"\n" + one + b"\n" for one in mails)


def thread(*mails: tuple[str, str, bytes], root: str = "<root@x>") -> bytes:
    """Return an mbox of a list's thread: subject, sender, and body with the diff."""
    return box(
        *(
            f"From: {sender}\nDate: Thu, 1 Jan 2026 00:00:{n:02} +0000\nSubject: {subject}\n"
            f"Message-ID: {root if n == 0 else f'<{n}@x>'}\n"
            f"{'' if n == 0 else f'In-Reply-To: {root}'}\n".replace("\n\n", "\n").encode()
            + b"\n" + body
            for n, (subject, sender, body) in enumerate(mails)
        )
    )  # fmt: skip


def one(name: str, content: bytes | Callable[[], bytes], patches: int | None = 1,
        says: str = "", *, either: bool = False) -> HostileMails:  # fmt: skip
    """Return an attempt of one file."""
    return HostileMails(name, {"box": content}, patches, says, either)


def folder(name: str, files: Mapping[str, bytes], patches: int | None = 1,
           says: str = "") -> HostileMails:  # fmt: skip
    """Return an attempt of a folder of patches."""
    return HostileMails(name, files, patches, says)


def part(number: int, length: int, version: str = "", path: str = "") -> bytes:
    """Return the body of a patch of a series; each makes a file of its own."""
    diff = new(path or f"mm/new{version}{number}.c")
    return f"Part {number} of {length}.\n---\n\n".encode() + diff + b"-- \n2.39.5\n"


A, B = "A U Thor <author@example.com>", "Mallory <m@example.org>"
_THREE = [(f"[PATCH {n}/3] mm: {n}", A, part(n, 3)) for n in (1, 2, 3)]
_COVER = ("[PATCH 0/3] mm: all", A, b"All of it.\n")

HEADERS: Sequence[HostileMails] = (
    one("an escape in From", mail(sender=b"From: \x1b[2JMallory <m@x.org>")),
    one("bidi controls in the subject", mail("[PATCH] mm: \u202eevil\u202c x")),
    one("NULs in the subject", mail(b"[PATCH] mm: a\0b"), either=True),
    one("a subject of many lines", mail("[PATCH] mm: a\n b\n\tc")),
    one(
        "a header in an encoded subject",
        mail("=?utf-8?q?[PATCH]_mm:_a=0AFrom:_Mallory_<m@x.org>=0A=0Adiff?="),
    ),
    one("an escape in an encoded subject", mail("=?utf-8?b?G1sySltQQVRDSF0gbW06IGE=?=")),
    one("a charset that there is not", mail("=?evil-8?q?[PATCH]_mm:_a?="), either=True),
    one("an encoded word without end", mail("=?utf-8?q?[PATCH]_mm:_a"), either=True),
    one("a subject of 1 MB", mail("[PATCH] mm: " + "x" * 1_000_000), either=True),
    one("a subject of 20000 lines", mail("[PATCH] mm: a" + "\n x" * 20_000), either=True),
    one("50000 headers", mail(more="\n".join(f"X-{n}: x" for n in range(50_000))), either=True),
    one("a reference of 1 MB", mail(more="References: " + "<a@b> " * 170_000), either=True),
    one("no author", mail(sender="X-None: x"), either=True),
    one("another author in the body", mail(body=b"From: Mallory <m@x.org>\n\nBecause.\n")),
    one("another subject in the body", mail(body=b"Subject: [PATCH 9/9] x\n\nBecause.\n")),
    one("scissors", mail(body=b"Hello\n-- >8 --\nSubject: other\n\nBecause.\n")),
    one("a number beyond all", mail("[PATCH 1/99999999999999999999] mm: x"), either=True),
    one("a number beyond most", mail("[PATCH 1/999999] mm: x"), None),
    one("number 1 of 0", mail("[PATCH 1/0] mm: x"), None),
    one("a number below one", mail("[PATCH -1/1] mm: x"), either=True),
    one("foreign digits", mail("[PATCH \u0661/\u0662] mm: x"), either=True),
)
"""Headers that could forge another, reach the terminal, or cost time."""

_BASE64 = base64.encodebytes(b"Because.\n---\n\n" + GOOD + b"-- \n2.39.5\n").decode()


def _mime(kind: str, encoding: str, body: str) -> bytes:
    head = f"{FROM}\nSubject: [PATCH] mm: x\nMIME-Version: 1.0\nContent-Type: {kind}\n"
    return f"{head}Content-Transfer-Encoding: {encoding}\n\n{body}\n".encode()


def _nested(levels: int) -> str:
    text = ""
    for n in range(levels):
        text += f"--b{n}\nContent-Type: multipart/mixed; boundary=b{n + 1}\n\n"
    return text


FORMS: Sequence[HostileMails] = (
    one("base64", _mime("text/plain", "base64", _BASE64)),
    one("base64 that is cut", _mime("text/plain", "base64", _BASE64[:40]), None),
    one("base64 of rubbish", _mime("text/plain", "base64", "!!!! not base64 ????\n" * 10), None),
    one("quoted-printable of rubbish", _mime("text/plain", "quoted-printable", "=ZZ=0\n=\n"), None),
    one("parts in parts, 2000 deep",
        _mime("multipart/mixed; boundary=b0", "7bit", _nested(2000)), None),
    one("a part without an end", _mime("multipart/mixed; boundary=b", "7bit", "--b\n\nx"), None),
    one("HTML", _mime("text/html", "7bit", "<script>alert(1)</script><pre>+x</pre>"), None),
    one("UTF-16", _mime("text/plain; charset=utf-16", "base64", _BASE64), either=True),
    one("a charset that is a program", _mime("text/plain; charset=|touch", "base64", _BASE64),
        either=True),
    one("no mail at all", b"\x7fELF" + bytes(range(256)) * 100, None),
    one("an empty file", b"", None),
    one("NULs", b"\0" * 100_000, None),
    one("one line of 10 MB", b"From " + b"x" * 10_000_000, None),
    one("a line that begins a mail in a body",
        box(mail(body=b"From here on\nFrom now on it is\n")), 1),
    one("20000 lines that begin a mail",
        b"From a@b Mon Sep 17 00:00:00 2001\n" * 20_000, None),
    one("gzip that is cut", gzip.compress(box(mail()))[:60], None),
    one("gzip of 1 GB", lambda: _bomb("gz"), None, "MB"),
    one("xz of 1 GB", lambda: _bomb("xz"), None, "MB"),
    one("gzip in gzip", gzip.compress(gzip.compress(box(mail()))), None),
)  # fmt: skip
"""Encodings and containers."""


def _bomb(kind: str) -> bytes:
    """Return 1 GB of blanks, packed, made a piece at a time."""
    piece = b" " * (64 << 20)
    packed = gzip.compress(piece) if kind == "gz" else lzma.compress(piece, preset=1)
    return packed * 16  # members one behind the other are one stream


THREADS: Sequence[HostileMails] = (
    one("the whole thread", thread(_COVER, *_THREE), 3),
    one("a cover that asks for more", thread(_COVER, *_THREE[:2]), None, "3/3"),
    one("a patch that is missing within", thread(_COVER, _THREE[0], _THREE[2]), None, "2/3"),
    one("a patch alone of a series", box(mail("[PATCH 4/7] mm: x")), None, "7"),
    one("a patch twice", thread(_COVER, *_THREE, _THREE[1]), either=True, patches=3),
    one("another's patch in the place of one",
        thread(_COVER, *_THREE, ("[PATCH 2/3] mm: 2", B, part(2, 3, "evil"))), 3, either=True),
    one("another's newer version",
        thread(_COVER, *_THREE, ("[PATCH v9] mm: all", B, part(1, 1, "evil"))), 3, either=True),
    one("another's newer series", thread(_COVER, *_THREE, *(
        (f"[PATCH v9 {n}/3] mm: {n}", B, part(n, 3, "evil")) for n in (1, 2, 3))), 3, either=True),
    one("another's diff in an answer",
        thread(_COVER, *_THREE, ("Re: [PATCH 2/3] mm: 2", B, b"Try this:\n\n" + new("mm/evil.c"))),
        3, either=True),
    one("another's fixup in an answer", thread(_COVER, *_THREE, (
        "[PATCH] fixup! mm: 2", B, part(1, 1, "evil"))), 3, either=True),
    one("answers alone", thread(("Re: [PATCH 1/3] mm: 1", B, b"Nice.\n")), None),
    one("in another order", thread(_COVER, *reversed(_THREE)), 3),
    one("a loop of references", thread(_COVER, *_THREE).replace(b"<root@x>", b"<1@x>"),
        either=True, patches=3),
)  # fmt: skip
"""Threads. Nobody else's patch is in the series, and none of it is left out."""

FOLDERS: Sequence[HostileMails] = (
    folder("a folder without patches", {"README": b"x"}, None),
    folder("a patch without a patch", {"0001-a.patch": b"Hello\n"}, None),
    folder("names with escapes", {"0001-\x1b[2J\u202e.patch": mail()}),
    folder("a name with a newline", {"0001\n0002.patch": mail()}),
    folder("names that disagree with the numbers", {
        "0001-b.patch": mail("[PATCH 2/2] b", new("b.h")),
        "0002-a.patch": mail("[PATCH 1/2] a", new("a.h"))}, 2),
    folder("a quilt series that leads out",
           {"series": b"../../home/.netrc\n", "x.patch": mail()}, None),
    folder("a quilt series of the host", {"series": b"/etc/passwd\n", "x.patch": mail()}, None),
    folder("a quilt series with an option",
           {"series": b"x.patch -p0 --directory=/\n", "x.patch": mail()}, None),
    folder("a quilt series with a NUL", {"series": b"x\0.patch\n", "x.patch": mail()}, None),
    folder("a quilt series without patches", {"series": b"# nothing\n", "x.patch": mail()}, None),
    folder("a quilt series that names one twice",
           {"series": b"x.patch\nx.patch\n", "x.patch": mail(diff=new("x.h"))}, None, "twice"),
    folder("150 patches", {f"{n:04}.patch": mail("[PATCH] x", new(f"f{n}")) for n in range(150)},
           150),
)  # fmt: skip
"""Folders of patches."""

FAMILIES: Mapping[str, Sequence[HostileMails]] = {
    "headers": HEADERS, "forms": FORMS, "threads": THREADS, "folders": FOLDERS,
}  # fmt: skip
