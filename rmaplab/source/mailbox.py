# SPDX-License-Identifier: GPL-2.0
"""Read the mails of a file, a folder or a text, within limits that no series reaches.

git mailsplit finds where a mail of an mbox begins, as it does for git am.
"""

from __future__ import annotations

import gzip
import io
import lzma
import re
import stat
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from rmaplab.errors import UserError
from rmaplab.log import log
from rmaplab.source import git, mail
from rmaplab.source.mail import Mail

FORMS = (
    "a folder of patches, an mbox or patch file, - (standard input), git:REPO#A..B, a Message-ID, "
    "or the address of a public-inbox's thread, a Patchwork's series or an mbox"
)
MAX_BYTES = 64 << 20
"""Bytes of a series: more than twice the largest of lore."""
MAX_MAILS = 10_000
QUILT = "series"
"""The file by which quilt knows the order of a folder's patches (quilt(1))."""
_SUFFIXES = frozenset({".patch", ".diff"})
_MAX_NAMED = 5
_LOOKED_AT = 1 << 20
_GZIP = b"\x1f\x8b"  # RFC 1952, 2.3.1
_XZ = b"\xfd7zXZ\x00"  # The .xz File Format, 2.1.1.1
_PATCH = re.compile(rb"^(?:diff --git |--- [^\n]*\n\+\+\+ )", re.M)
_KNOWN = re.compile(rb"^(From |From:|Subject:|diff --git |--- |Index: )", re.M)
# mq's guards, and those of SUSE's series.conf: the patch is applied only sometimes.
_GUARD = re.compile(r"#[+-]\S")


def content(path: Path) -> bytes:
    """Return the bytes of a file, unpacked if it is compressed, as lore offers threads."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise UserError(f"{path} is neither a folder nor a file", hint=f"a series is {FORMS}")
        check_size(str(path), about.st_size)
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    return unpacked(str(path), raw)


def unpacked(origin: str, raw: bytes) -> bytes:
    """Return a text, unpacked if it is compressed by gzip or xz.

    Raises UserError if it is damaged or too large.
    """
    check_size(origin, len(raw))
    try:
        if raw.startswith(_GZIP):
            with gzip.open(io.BytesIO(raw)) as packed:
                raw = packed.read(MAX_BYTES + 1)
        elif raw.startswith(_XZ):
            with lzma.open(io.BytesIO(raw)) as packed_by_xz:
                raw = packed_by_xz.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UserError(
            f"{origin} cannot be read: {error}", hint="is it whole? fetch or save it again"
        ) from error
    check_size(origin, len(raw))
    return raw


def check_size(origin: str, size: int) -> None:
    """Raise UserError for more bytes than a series may have."""
    if size > MAX_BYTES:
        raise UserError(
            f"{origin}: a series has at most {MAX_BYTES >> 20} MB, this has more",
            hint="is it an archive of a list? save the mails of one series alone",
        )


def split(origin: str, raw: bytes) -> list[Mail]:
    """Return the mails of an mbox, or the one mail or diff that a text is.

    Raises UserError for more mails than a thread has.
    """
    with tempfile.TemporaryDirectory(prefix="rmaplab-mbox-") as scratch:
        folder = Path(scratch)
        done = git.run(("mailsplit", "-b", "--keep-cr", "-d6", f"-o{folder}"), folder, raw)
        if not done.ok:
            raise UserError(f"{origin}: git cannot split it into mails: {done.complaint}")
        files = sorted(p for p in folder.iterdir() if p.name.isdigit())
        if len(files) > MAX_MAILS:
            raise UserError(
                f"{origin}: it has {len(files)} mails, the lab takes {MAX_MAILS}",
                hint="save the mails of one series alone",
            )
        texts = [file.read_bytes() for file in files]
    name = Path(origin).name
    if len(texts) == 1:
        return [mail.read(name, texts[0])]
    return [mail.read(f"{name}, mail {n}", text) for n, text in enumerate(texts, start=1)]


def is_mail(raw: bytes) -> bool:
    """Return whether a text begins as an mbox, a mail or a diff does."""
    return _KNOWN.search(raw[:4000]) is not None


def of_file(path: Path) -> list[Mail]:
    """Return the mails of a file. Raises UserError if it is neither an mbox nor a patch."""
    return _mails(str(path), content(path))


def of_text(origin: str, raw: bytes) -> list[Mail]:
    """Return the mails of a text that may be compressed.

    Raises UserError if it is neither an mbox nor a patch.
    """
    return _mails(origin, unpacked(origin, raw))


def _mails(origin: str, raw: bytes) -> list[Mail]:
    if not is_mail(raw):
        raise UserError(f"{origin} is neither an mbox nor a patch", hint=f"a series is {FORMS}")
    return split(origin, raw)


def of_folder(path: Path) -> list[Mail]:
    """Return the mails of a folder's patches, by their names.

    They are what somebody has put together: whoever sent one, it is meant.
    """
    files = _by_name(path)
    if not files:
        raise UserError(f"{path}: no *.patch file in this folder", hint=f"a series is {FORMS}")
    return read_files(path, files)


def read_files(folder: Path, files: Sequence[Path]) -> list[Mail]:
    """Return the mails of files. Raises UserError for a file that has no patch."""
    if len(files) > MAX_MAILS:
        raise UserError(f"{folder}: it has {len(files)} patches, the lab takes {MAX_MAILS}")
    found: list[Mail] = []
    size = 0
    for file in files:
        raw = content(file)
        size += len(raw)
        check_size(str(folder), size)
        mails = split(str(file), raw) if raw.count(b"\nFrom ") else [mail.read(file.name, raw)]
        for one in mails:
            if not one.has_diff and not _is_cover(file, one):
                raise UserError(f"{one.name}: there is no patch in this file")
            found.append(mail.put_together(one))
    return found


def _is_cover(file: Path, one: Mail) -> bool:
    named = re.search(r"(^|[-_])0+[-_]cover|cover[-_]letter", file.name, re.I)
    return one.is_cover or named is not None


def _by_name(path: Path) -> list[Path]:
    """Return the patches of a folder; where all names begin with a number, in its order."""
    there = [p for p in path.iterdir() if p.name != QUILT]
    files = sorted(p for p in there if p.suffix in _SUFFIXES)
    _tell_left_out(path, [p for p in there if p.suffix not in _SUFFIXES])
    numbers = [re.match(r"\d{1,9}", p.name) for p in files]
    if not all(numbers):
        return files
    ordered = sorted(files, key=lambda p: int((re.match(r"\d{1,9}", p.name) or "0")[0]))
    if ordered != files:
        log.warn(f"{path}: the patches are taken in the order of the numbers in their names")
    return ordered


def _tell_left_out(path: Path, others: Sequence[Path]) -> None:
    """Name the files of a folder that have a diff and are not taken for a patch."""
    found = []
    for file in sorted(others):
        try:
            if stat.S_ISREG(file.stat().st_mode) and not file.name.endswith(("~", ".orig", ".rej")):
                with file.open("rb") as start:
                    if _PATCH.search(start.read(_LOOKED_AT)):
                        found.append(file.name)
        except OSError:
            continue
    if found:
        more = f" and {len(found) - _MAX_NAMED} more" if len(found) > _MAX_NAMED else ""
        log.warn(
            f"{path}: {', '.join(found[:_MAX_NAMED])}{more}: not taken, "
            "only *.patch and *.diff files of a folder are"
        )


def quilt_files(path: Path) -> list[Path] | None:
    """Return the patches that a folder's quilt series file names, in its order; None without one.

    Raises UserError for a line that names no patch, strips other than one part of the names, or
    has a guard.
    """
    quilt = path / QUILT
    if not quilt.is_file():
        return None
    found: list[Path] = []
    text = content(quilt).decode("utf-8", "replace")
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{quilt}:{number}"
        words = line.partition("#")[0].split()
        if not words:
            continue
        if _GUARD.search(line) or words[0].startswith(("+", "-")):
            raise UserError(
                f"{where}: this patch has a guard: {line.strip()[:80]}",
                hint="write a series file with the patches that are meant, and no guards",
            )
        if words[1:] not in ([], ["-p1"], ["-p", "1"]):
            raise UserError(
                f"{where}: patches are applied with -p1, not with {' '.join(words[1:])}",
                hint="write the patch anew: quilt refresh -p1",
            )
        try:
            file = (path / words[0]).resolve()
        except (RuntimeError, ValueError) as error:  # a loop of links, a NUL
            raise UserError(f"{where}: {words[0]!r} is no file: {error}") from error
        if not file.is_relative_to(path) or not file.is_file():
            raise UserError(f"{where}: there is no patch {words[0]!r} in this folder")
        if file in found:
            raise UserError(f"{where}: {words[0]!r} is here twice")
        found.append(file)
    return found
