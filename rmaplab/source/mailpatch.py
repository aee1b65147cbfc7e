# SPDX-License-Identifier: GPL-2.0
"""Make patches of mails: git mailinfo reads them, as it does for git am."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rmaplab.errors import UserError
from rmaplab.model import Patch
from rmaplab.model.digest import digest_of
from rmaplab.source import diff, git
from rmaplab.source.diff import DiffError
from rmaplab.source.mail import Mail

_SAID = re.compile(r"^(\w+): (.*)$", re.M)


def patches(mails: Sequence[Mail]) -> tuple[Patch, ...]:
    """Return the patches in mails. Raises UserError for a mail without one that git reads."""
    read = [_read(mail) for mail in mails]
    texts = [text for text, _, _ in read]
    try:
        names = diff.files_of(texts)
    except DiffError:
        names = [_files(mail, text) for mail, text in zip(mails, texts, strict=True)]
    return tuple(
        Patch(
            name=mail.name,
            subject=said.get("Subject", mail.name),
            author=f"{said['Author']} <{said['Email']}>" if "Author" in said else "",
            diff=text,
            digest=digest_of(text),
            files=files,
            message=message,
        )
        for mail, (text, said, message), files in zip(mails, read, names, strict=True)
    )


def _read(mail: Mail) -> tuple[bytes, dict[str, str], str]:
    """Return the diff of a mail, what git says of its header, and its message."""
    with tempfile.TemporaryDirectory(prefix="rmaplab-mail-") as scratch:
        folder = Path(scratch)
        info = git.run(("mailinfo", "-u", "message", "diff"), folder, unix_lines(mail.text))
        if not info.ok:
            raise UserError(f"{mail.name}: git does not read this mail: {info.complaint}")
        message, raw = ((folder / part).read_bytes() for part in ("message", "diff"))
    try:
        found = diff.trimmed(raw)
        if found[: found.find(b"\n") + 1].endswith(b"\r\n"):
            found = diff.trimmed(raw.replace(b"\r\n", b"\n"))
    except DiffError as error:
        raise UserError(f"{mail.name}: not a patch: {error}") from error
    if not found:
        raise UserError(f"{mail.name}: there is no patch in this file")
    return (
        found,
        dict(_SAID.findall(info.text)),
        message.decode("utf-8", "replace").replace("\r\n", "\n"),
    )


def _files(mail: Mail, text: bytes) -> tuple[str, ...]:
    try:
        return diff.files(text)
    except DiffError as error:
        raise UserError(f"{mail.name}: not a patch: {error}") from error


def unix_lines(text: bytes) -> bytes:
    """Return a mail without the CRs that its way has added: where its header's lines end in CRLF.

    In any other mail a CR belongs to the file that is patched.
    """
    first = text[: text.find(b"\n") + 1]
    return text.replace(b"\r\n", b"\n") if first.endswith(b"\r\n") else text
