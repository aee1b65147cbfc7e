# SPDX-License-Identifier: GPL-2.0
"""Spoil boxes of mails as a stranger might, and load a series from what is left of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from rmaplab.errors import UserError
from rmaplab.model import Series
from rmaplab.source.series import load

from .test_mail_threads import ALICE, MALLORY, letter, patch, root_of, series

_LINES = (
    b"From x@y Thu Jan  1 00:00:00 1970", b"From ", b"Subject: [PATCH v9 1/1] x", b"Subject:",
    b"Subject: =?utf-8?b?////?=", b"Subject: =?x?q?=5BPATCH 1/3=5D?=", b"Message-ID: <>",
    b"Message-ID: <a@b", b"In-Reply-To: <a@example.org>", b"References: " + b"<x@y> " * 500,
    b"Date: Mon, 99 Foo 99999 99:99:99 +9999", b"Date: Thu, 1 Jan 1970 00:00:00 -9900",
    b"Content-Type: multipart/mixed; boundary=b", b"--b", b"--b--", b"", b"\xff\xfe\x00",
    b"Content-Type: text/plain; charset=utf-7", b"Content-Transfer-Encoding: base64",
    b"Content-Transfer-Encoding: quoted-printable", b"diff --git a/x b/x", b"--- a/mm/x.c",
    b"+++ b/../../x", b"@@ -1,99999999999999999999 +1 @@", b"-- ", b"GIT binary patch",
    b"rename from a", b"rename to ../b", b"new file mode 120000", b"X" * 5000, b">From x",
    b"-----BEGIN PGP SIGNED MESSAGE-----", b"Content-Type: text/plain; format=flowed; delsp=yes",
)  # fmt: skip


def spoilt(rng: random.Random) -> bytes:
    """A box with a series of Alice's, mails of Mallory's, and some of its bytes changed."""
    own = series(rng.choice(("", "v2")), rng.randrange(1, 4))
    mails = list(own)
    for _ in range(rng.randrange(3)):
        mails += rng.choice((
            series("v9", 1, sender=MALLORY, to=root_of(own)),
            [letter("Re: [PATCH 1/3] x", "No\n", f"r{rng.random()}", root_of(own))],
            [letter("[PATCH] x", patch("x", "v1 fix"), f"f{rng.random()}", root_of(own))],
            [rng.choice(mails)],
        ))  # fmt: skip
    if rng.random() < 0.3:
        rng.shuffle(mails)
    raw = b"".join(mails)
    for _ in range(rng.randrange(4)):
        raw = _changed(rng, raw)
    return raw


def _changed(rng: random.Random, raw: bytes) -> bytes:
    lines = raw.split(b"\n")
    place = rng.randrange(len(lines))
    match rng.randrange(7):
        case 0:
            lines.insert(place, rng.choice(_LINES))
        case 1:
            lines[place] = rng.choice(_LINES)
        case 2:
            del lines[place]
        case 3:
            lines[place:place] = lines[max(0, place - 9) : place]
        case 4:
            at = rng.randrange(len(raw) + 1)
            return raw[:at] + rng.randbytes(rng.randrange(5)) + raw[at + rng.randrange(9) :]
        case 5:
            return raw.replace(b"\n", b"\r\n")
        case _:
            return raw[: rng.randrange(len(raw) + 1)]
    return b"\n".join(lines)


def attempt(rng: random.Random, parent: Path, accept: Sequence[str] = ()) -> Series | None:
    """Load a spoilt box; None if it is refused. AssertionError if it is not borne."""
    path = parent / "thread.mbox"
    box = spoilt(rng)
    path.write_bytes(box)
    try:
        found = load(str(path), parent, accept)
    except UserError as error:
        assert "thread" in error.message, box
        return None
    except Exception as error:
        raise AssertionError(f"{error!r}: {box!r}") from error
    assert found.patches, box
    senders = {name for one in found.patches for name in (ALICE, MALLORY) if one.author == name}
    assert len(senders) < 2, f"patches of two senders are one series: {box!r}"
    return found
