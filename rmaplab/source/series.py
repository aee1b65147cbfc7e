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
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rmaplab import proc
from rmaplab.errors import UserError
from rmaplab.model import Patch, Series
from rmaplab.store.cache import digest_of

FORMS = "a folder of patches, an mbox file, or git:REPO#A..B"
_COVER = re.compile(r"(^|[-_])0+[-_]cover|cover[-_]letter", re.I)
# What git mailinfo leaves around a diff: the diffstat before it, and git's version after it. A
# hunk's lines begin with a blank, +, - or a backslash, so the version's digit is no part of one.
_BEFORE_DIFF = re.compile(rb"\A.*?^(?=diff --git |--- \S)", re.M | re.S)
_SIGNATURE = re.compile(rb"^-- \n\d[^\n]*\s*\Z", re.M)
_DIFF = re.compile(rb"^(?:diff --git |--- \S)", re.M)
# "[PATCH v2 1/3]", also behind a list's own tag.
_NUMBERED = re.compile(r"^\s*(?:\[[^]]*\]\s*)*?\[(?:[^]]*\s)?0*(\d+)/0*(\d+)(?:\s[^]]*)?\]")
# A line that begins a mail of an mbox has an address and a date; git mailsplit asks for them too.
_FALSE_FROM = re.compile(rb"^(?=From (?!\S+ +\w{3} \w{3} +\d))", re.M)

Numbering = tuple[int, int]
"""A patch's place in its series and the series' length, as its subject has them."""

EMPTY = Series(name="", origin="", patches=())


def load(spec: str, root: Path) -> Series:
    """The series that ``spec`` names; relative paths are tried in the current folder, then in
    ``root``. The empty spec is the empty series.

    Raises UserError on a series that is not there, is empty, lacks one of its patches, or holds
    something else than patches.
    """
    if not spec:
        return EMPTY
    if spec.startswith("git:"):
        return _from_git(spec)
    path = next((p for p in (Path(spec).expanduser(), root / spec) if p.exists()), None)
    if path is None:
        raise UserError(f"there is no series {spec!r}", hint=f"a series is {FORMS}")
    path = path.resolve()
    if path.is_dir():
        return _from_folder(path)
    return _from_mbox(path, path.read_bytes())


def prefix(series: Series, length: int) -> Series:
    """The first ``length`` patches of a series."""
    return Series(series.name, series.origin, series.patches[:length], series.cover)


def _from_folder(path: Path) -> Series:
    files = sorted(p for p in path.iterdir() if p.suffix in {".patch", ".diff"})
    covers = [file for file in files if _COVER.search(file.name)]
    mails = [(file.name, file.read_bytes()) for file in files if file not in covers]
    patches = [_patch(name, mail) for name, mail in mails]
    if not patches:
        raise UserError(f"{path}: no *.patch file in this folder", hint=f"a series is {FORMS}")
    _check_whole(str(path), [_numbering(mail) for _, mail in mails])
    cover = covers[0].read_text(encoding="utf-8", errors="replace") if covers else ""
    return Series(path.name, str(path), tuple(patches), cover)


def _from_git(spec: str) -> Series:
    repo, hash_sign, commits = spec.removeprefix("git:").rpartition("#")
    if not hash_sign or ".." not in commits or commits.startswith("-"):
        raise UserError(f"not a git range: {spec!r}", hint="write git:REPO#A..B")
    place = Path(repo).expanduser().resolve()
    made = proc.run(
        ["git", "-C", place, "format-patch", "--stdout", "--signature=0", commits], check=False
    )
    if not made.ok:
        raise UserError(f"{spec}: {made.complaint}")
    if not made.stdout:
        raise UserError(f"{spec}: there is no commit in this range")
    return _split(re.sub(r"[^a-z0-9]+", "-", commits.lower()).strip("-"), spec, made.stdout)


def _from_mbox(path: Path, raw: bytes) -> Series:
    if not re.search(rb"^(From |From:|Subject:|diff --git |--- )", raw[:4096], re.M):
        raise UserError(f"{path} is neither an mbox nor a patch", hint=f"a series is {FORMS}")
    name = path.name.split(".")[0]
    cover = ""
    if raw.startswith(b"From ") and _is_thread(raw):
        raw, cover = _sorted_by_b4(path, raw)
    return _split(name, str(path), raw, cover)


def _is_thread(raw: bytes) -> bool:
    """Whether an mbox came from a list: replies, reordered patches and several versions."""
    return re.search(rb"^(In-Reply-To|References|List-Id):", raw, re.M | re.I) is not None


def _sorted_by_b4(path: Path, raw: bytes) -> tuple[bytes, str]:
    """The last version's patches as an mbox in their order, and its cover letter if it has one."""
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


def _split(name: str, origin: str, raw: bytes, cover: str = "") -> Series:
    with tempfile.TemporaryDirectory(prefix="rmaplab-mbox-") as scratch:
        box = Path(scratch, "mbox")
        box.write_bytes(raw)
        proc.run(["git", "mailsplit", "-b", f"-o{scratch}", box])
        mails = [(p.name, p.read_bytes()) for p in sorted(Path(scratch).glob("[0-9]*"))]
    patches: list[Patch] = []
    numbers: list[Numbering | None] = []
    for number, mail in mails:
        if b"\ndiff --git " not in mail and b"\n--- " not in mail:
            if not patches and not cover:
                cover = mail.decode("utf-8", "replace")
            continue
        patches.append(_patch(number, mail))
        numbers.append(_numbering(mail))
    if not patches:
        raise UserError(f"{origin}: no patch in it", hint=f"a series is {FORMS}")
    _check_whole(origin, numbers)
    known = [number for number in numbers if number is not None]
    if len(known) == len(patches) and len({length for _, length in known}) == 1:
        patches = [patch for _, patch in sorted(zip(known, patches, strict=True), key=_place)]
    return Series(name, origin, tuple(patches), cover)


def _place(numbered: tuple[Numbering, Patch]) -> int:
    return numbered[0][0]


def _numbering(mail: bytes) -> Numbering | None:
    """The ``n/m`` of a mail's own subject; git mailinfo takes it off."""
    raw = email.message_from_bytes(mail.lstrip())["Subject"]
    if raw is None:
        return None
    subject = re.sub(r"\s+", " ", str(raw))
    # One that cannot be decoded stays as it stands.
    with contextlib.suppress(email.errors.HeaderParseError, LookupError, UnicodeError):
        subject = str(email.header.make_header(email.header.decode_header(subject)))
    match = _NUMBERED.match(subject)
    return (int(match[1]), int(match[2])) if match else None


def _check_whole(origin: str, numbers: Sequence[Numbering | None]) -> None:
    """Part of a series, tested as if it were the whole, would give a wrong verdict."""
    for length in sorted({number[1] for number in numbers if number is not None}):
        places = [number[0] for number in numbers if number is not None and number[1] == length]
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


def _patch(name: str, mail: bytes) -> Patch:
    with tempfile.TemporaryDirectory(prefix="rmaplab-mail-") as scratch:
        diff_file = Path(scratch, "diff")
        info = proc.run(
            ["git", "mailinfo", "-u", Path(scratch, "message"), diff_file], stdin=mail, check=False
        )
        diff = _trimmed(diff_file.read_bytes()) if diff_file.exists() else b""
    if not info.ok or not _DIFF.search(diff):
        raise UserError(f"{name}: there is no patch in this file {info.complaint}".rstrip())
    said = dict(re.findall(r"^(\w+): (.*)$", info.text, re.M))
    author = f"{said['Author']} <{said['Email']}>" if "Author" in said else ""
    return Patch(
        name=name,
        subject=said.get("Subject", name),
        author=author,
        diff=diff,
        digest=digest_of(diff),
        files=_files(diff),
    )


def _trimmed(diff: bytes) -> bytes:
    """The diff alone, so that a patch is the same from a folder, an mbox and a git range."""
    return _SIGNATURE.sub(b"", _BEFORE_DIFF.sub(b"", diff))


def _files(diff: bytes) -> tuple[str, ...]:
    text = diff.decode("utf-8", "surrogateescape")
    pairs = re.findall(r"^--- (\S+).*\n\+\+\+ (\S+)", text, re.M)
    # The only place that names the file of a change of mode alone, or of an empty file.
    pairs += re.findall(r"^diff --git (\S+) (\S+)$", text, re.M)
    names = {
        name
        for pair in pairs
        for name in (side.partition("/")[2] for side in pair if side != "/dev/null")
    }
    names.update(re.findall(r"^(?:rename|copy) (?:from|to) (.+)$", text, re.M))
    return tuple(sorted(names))
