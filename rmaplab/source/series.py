# SPDX-License-Identifier: GPL-2.0
"""Patch series: from a folder, an mbox or a git range to ordered patches.

Git reads the mails (git mailsplit, git mailinfo) and b4 sorts a mailing-list thread, so a series
here is what ``git am`` would have applied.
"""

from __future__ import annotations

import contextlib
import email
import email.errors
import email.header
import gzip
import io
import lzma
import re
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rmaplab import proc
from rmaplab.errors import UserError
from rmaplab.log import log
from rmaplab.model import NO_PATCHES, Patch, Series
from rmaplab.model.digest import digest_of
from rmaplab.source import diff, git
from rmaplab.source.diff import DiffError

FORMS = "a folder of patches, an mbox file, or git:REPO#A..B"
MAX_UNPACKED = 256 << 20
"""Bytes of a compressed mbox when it is unpacked: ten times the largest series of lore."""
QUILT = "series"
"""The file by which quilt knows the order of a folder's patches (quilt(1))."""
_COVER = re.compile(r"(^|[-_])0+[-_]cover|cover[-_]letter", re.I)
# "[PATCH v2 1/3]", also behind a list's own tag.
_NUMBERED = re.compile(r"^\s*(?:\[[^]]*\]\s*)*?\[(?:[^]]*\s)?0*(\d+)/0*(\d+)(?:\s[^]]*)?\]")
# A line that begins a mail of an mbox has an address and a date; git mailsplit asks for them too.
_FALSE_FROM = re.compile(rb"^(?=From (?!\S+ +\w{3} \w{3} +\d))", re.M)
_GZIP = b"\x1f\x8b"  # RFC 1952, 2.3.1
_XZ = b"\xfd7zXZ\x00"  # The .xz File Format, 2.1.1.1

EMPTY = NO_PATCHES


class _Numbering(NamedTuple):
    """The ``n/m`` of a mail's subject; a cover letter is number 0."""

    number: int
    length: int


@dataclass(frozen=True, slots=True)
class _Mail:
    """A mail of a series; ``patch`` is None if it holds none."""

    name: str
    text: bytes
    numbering: _Numbering | None
    patch: Patch | None

    @property
    def is_cover(self) -> bool:
        """True if the mail says of itself that it is a cover letter."""
        numbered = self.numbering is not None and self.numbering.number == 0
        return self.patch is None and (numbered or _COVER.search(self.name) is not None)


def load(spec: str, root: Path) -> Series:
    """Return the series that ``spec`` names; the empty spec is the empty series.

    Relative paths are tried in the current folder, then in ``root``. Raises UserError on a series
    that is not there, is empty, lacks one of its patches, holds something else than patches, or
    changes a file outside the tree.
    """
    if not spec:
        return EMPTY
    if spec.startswith("git:"):
        return _from_git(spec)
    path = next((p for p in (Path(spec).expanduser(), root / spec) if _exists(p)), None)
    if path is None:
        raise UserError(f"there is no series {spec!r}", hint=f"a series is {FORMS}")
    path = path.resolve()
    if path.is_dir():
        return _from_folder(path)
    return _from_mbox(path, _content(path))


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


def _content(path: Path) -> bytes:
    """Return the bytes of an mbox, unpacked if it is compressed, as lore offers threads."""
    if not path.is_file():
        raise UserError(f"{path} is neither a folder nor a file", hint=f"a series is {FORMS}")
    try:
        raw = path.read_bytes()
        if raw.startswith(_GZIP):
            with gzip.open(io.BytesIO(raw)) as packed:
                raw = packed.read(MAX_UNPACKED + 1)
        elif raw.startswith(_XZ):
            with lzma.open(io.BytesIO(raw)) as unpacked:
                raw = unpacked.read(MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if len(raw) > MAX_UNPACKED:
        raise UserError(f"{path} has more than {MAX_UNPACKED >> 20} MB")
    return raw


def _from_folder(path: Path) -> Series:
    mails = [_mail(file.name, _content(file)) for file in _files_of(path)]
    if not mails:
        raise UserError(f"{path}: no *.patch file in this folder", hint=f"a series is {FORMS}")
    for mail in mails:
        if mail.patch is None and not mail.is_cover:
            raise UserError(f"{mail.name}: there is no patch in this file")
    covers = [mail for mail in mails if mail.is_cover]
    cover = covers[0].text.decode("utf-8", "replace") if covers else ""
    return _series(path.name, str(path), mails, cover)


def _files_of(path: Path) -> list[Path]:
    """Return the patches of a folder by their names, or in the order of its quilt series file."""
    quilt = path / QUILT
    if not quilt.is_file():
        return sorted(p for p in path.iterdir() if p.suffix in {".patch", ".diff"})
    found: list[Path] = []
    text = quilt.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        where = f"{quilt}:{number}"
        if words[1:] not in ([], ["-p1"]):
            raise UserError(f"{where}: patches are applied with -p1, not with {words[1:]}")
        file = (path / words[0]).resolve()
        if not file.is_relative_to(path) or not file.is_file():
            raise UserError(f"{where}: there is no patch {words[0]!r} in this folder")
        found.append(file)
    return found


def _from_git(spec: str) -> Series:
    repo, hash_sign, commits = spec.removeprefix("git:").rpartition("#")
    if not hash_sign or ".." not in commits or commits.startswith("-"):
        raise UserError(f"not a git range: {spec!r}", hint="write git:REPO#A..B")
    place = Path(repo).expanduser().resolve()
    made = proc.run(
        ["git", "-C", place, "format-patch", "--stdout", "--signature=0", "--src-prefix=a/",
         "--dst-prefix=b/", commits],
        check=False,
    )  # fmt: skip
    if not made.ok:
        raise UserError(f"{spec}: {made.complaint}")
    if not made.stdout:
        raise UserError(f"{spec}: there is no commit in this range")
    name = re.sub(r"[^a-z0-9]+", "-", commits.lower()).strip("-")
    return _split(name, spec, made.stdout, keep_cr=True)


def _from_mbox(path: Path, raw: bytes) -> Series:
    if not re.search(rb"^(From |From:|Subject:|diff --git |--- )", raw[:4096], re.M):
        raise UserError(f"{path} is neither an mbox nor a patch", hint=f"a series is {FORMS}")
    name = path.name.split(".")[0]
    cover = ""
    if raw.startswith(b"From ") and _is_thread(raw):
        raw, cover = _sorted_by_b4(path, raw)
    return _split(name, str(path), raw, cover)


def _is_thread(raw: bytes) -> bool:
    """Return whether an mbox came from a list: with replies, another order, several versions."""
    return re.search(rb"^(In-Reply-To|References|List-Id):", raw, re.M | re.I) is not None


def _sorted_by_b4(path: Path, raw: bytes) -> tuple[bytes, str]:
    """Return the last version's patches as an mbox in their order, and its cover letter if any."""
    with tempfile.TemporaryDirectory(prefix="rmaplab-b4-") as scratch:
        # b4 takes every line with "From " for a new mail; git format-patch does not escape them.
        box = Path(scratch, "thread")
        box.write_bytes(_FALSE_FROM.sub(b">", raw))
        done = proc.run(
            ["b4", "--offline-mode", "am", "--use-local-mbox", box, "--outdir", scratch,
             "--no-add-trailers", "--no-parent"],
            check=False,
            timeout_s=60,
            cwd=Path(scratch),
        )  # fmt: skip
        boxes = sorted(Path(scratch).glob("*.mbx"))
        if not boxes:
            raise UserError(f"{path}: b4 found no series in it:\n{done.complaint}")
        covers = sorted(Path(scratch).glob("*.cover"))
        cover = covers[0].read_text(encoding="utf-8", errors="replace") if covers else ""
        return boxes[0].read_bytes(), cover


def _split(name: str, origin: str, raw: bytes, cover: str = "", *, keep_cr: bool = False) -> Series:
    """Return the patches of an mbox; without ``keep_cr`` line ends are those of a mail's text."""
    with tempfile.TemporaryDirectory(prefix="rmaplab-mbox-") as scratch:
        box = Path(scratch, "mbox")
        box.write_bytes(raw)
        options = ["--keep-cr"] if keep_cr else []
        proc.run(["git", "mailsplit", "-b", *options, f"-o{scratch}", box])
        mails = [_mail(p.name, p.read_bytes()) for p in sorted(Path(scratch).glob("[0-9]*"))]
    if not any(mail.patch for mail in mails):
        raise UserError(f"{origin}: no patch in it", hint=f"a series is {FORMS}")
    if not cover and mails[0].patch is None:
        cover = mails[0].text.decode("utf-8", "replace")
    return _series(name, origin, mails, cover)


def _series(name: str, origin: str, mails: Sequence[_Mail], cover: str) -> Series:
    """Return the patches of mails as a series, in the order of their numbers if all have one."""
    _check_whole(origin, mails)
    patches = [(mail.numbering, mail.patch) for mail in mails if mail.patch is not None]
    if not patches:
        raise UserError(f"{origin}: no patch in it", hint=f"a series is {FORMS}")
    if len({number and number.length for number, _ in patches}) == 1:
        ordered = sorted(patches, key=lambda one: one[0].number if one[0] else 0)
        if ordered != patches:
            log.warn(f"{origin}: the patches are applied in the order of their numbers, n/m")
        patches = ordered
    return Series(name, origin, tuple(patch for _, patch in patches), cover)


def _numbering(mail: bytes) -> _Numbering | None:
    """Return the ``n/m`` of a mail's own subject; git mailinfo takes it off."""
    raw = email.message_from_bytes(mail.lstrip())["Subject"]
    if raw is None:
        return None
    subject = re.sub(r"\s+", " ", str(raw))
    # One that cannot be decoded stays as it stands.
    with contextlib.suppress(email.errors.HeaderParseError, LookupError, UnicodeError):
        subject = str(email.header.make_header(email.header.decode_header(subject)))
    match = _NUMBERED.match(subject)
    return _Numbering(int(match[1]), int(match[2])) if match else None


def _check_whole(origin: str, mails: Sequence[_Mail]) -> None:
    """Raise UserError for a part of a series: tested as the whole, it would give a wrong verdict.

    A cover letter says by its ``0/m`` how many patches there have to be.
    """
    numbers = [m.numbering for m in mails if m.numbering and (m.patch is not None or m.is_cover)]
    for length in sorted({one.length for one in numbers}):
        places = [one.number for one in numbers if one.length == length and one.number]
        wrong = {
            "missing": [n for n in range(1, length + 1) if n not in places],
            "here more than once": [n for n in sorted(set(places)) if places.count(n) > 1],
            "one too many": [n for n in places if not 1 <= n <= length],
        }
        for what, those in wrong.items():
            if those:
                named = ", ".join(f"{n}/{length}" for n in those)
                noun, verb = ("patch", "is") if len(those) == 1 else ("patches", "are")
                raise UserError(
                    f"{origin}: {noun} {named} of the series {verb} {what}",
                    hint="to test a part on purpose, take the numbers out of the subjects",
                )


def _mail(name: str, text: bytes) -> _Mail:
    """Read a mail by git mailinfo. Raises UserError for a patch that git does not read."""
    with tempfile.TemporaryDirectory(prefix="rmaplab-mail-") as scratch:
        folder = Path(scratch)
        info = git.run(("mailinfo", "-u", "message", "diff"), folder, text)
        message, raw = (_read(folder / part) for part in ("message", "diff"))
    numbering = _numbering(text)
    try:
        found = diff.trimmed(raw) if info.ok else b""
        if not found:
            return _Mail(name, text, numbering, None)
        said = dict(re.findall(r"^(\w+): (.*)$", info.text, re.M))
        author = f"{said['Author']} <{said['Email']}>" if "Author" in said else ""
        patch = Patch(
            name=name,
            subject=said.get("Subject", name),
            author=author,
            diff=found,
            digest=digest_of(found),
            files=diff.files(found),
            message=message.decode("utf-8", "replace"),
        )
    except DiffError as error:
        raise UserError(f"{name}: not a patch: {error}") from error
    return _Mail(name, text, numbering, patch)


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
