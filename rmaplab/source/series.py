# SPDX-License-Identifier: GPL-2.0
"""Patch series: from a folder, an mbox or a git range to ordered patches.

Git reads the mails (git mailsplit, git mailinfo) and b4 sorts a mailing-list thread, so a series
here is what ``git am`` would have applied.
"""

from __future__ import annotations

import re
import tempfile
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
# A line that begins a mail of an mbox has an address and a date; git mailsplit asks for them too.
_FALSE_FROM = re.compile(rb"^(?=From (?!\S+ +\w{3} \w{3} +\d))", re.M)

EMPTY = Series(name="", origin="", patches=())


def load(spec: str, root: Path) -> Series:
    """The series that ``spec`` names; relative paths are tried in the current folder, then in
    ``root``. The empty spec is the empty series.

    Raises UserError on a series that is not there, is empty, or holds something else than patches.
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
    patches = [_patch(file.name, file.read_bytes()) for file in files if file not in covers]
    if not patches:
        raise UserError(f"{path}: no *.patch file in this folder", hint=f"a series is {FORMS}")
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
    if raw.startswith(b"From ") and _is_thread(raw):
        raw = _sorted_by_b4(path, raw)
    return _split(name, str(path), raw)


def _is_thread(raw: bytes) -> bool:
    """Whether an mbox came from a list: replies, reordered patches and several versions."""
    return re.search(rb"^(In-Reply-To|References|List-Id):", raw, re.M | re.I) is not None


def _sorted_by_b4(path: Path, raw: bytes) -> bytes:
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
        return boxes[0].read_bytes()


def _split(name: str, origin: str, raw: bytes) -> Series:
    with tempfile.TemporaryDirectory(prefix="rmaplab-mbox-") as scratch:
        box = Path(scratch, "mbox")
        box.write_bytes(raw)
        proc.run(["git", "mailsplit", "-b", f"-o{scratch}", box])
        mails = [(p.name, p.read_bytes()) for p in sorted(Path(scratch).glob("[0-9]*"))]
    patches: list[Patch] = []
    cover = ""
    for number, mail in mails:
        if b"\ndiff --git " not in mail and b"\n--- " not in mail:
            if not patches and not cover:
                cover = mail.decode("utf-8", "replace")
            continue
        patches.append(_patch(number, mail))
    if not patches:
        raise UserError(f"{origin}: no patch in it", hint=f"a series is {FORMS}")
    return Series(name, origin, tuple(patches), cover)


def _patch(name: str, mail: bytes) -> Patch:
    with tempfile.TemporaryDirectory(prefix="rmaplab-mail-") as scratch:
        diff_file = Path(scratch, "diff")
        info = proc.run(
            ["git", "mailinfo", "-u", Path(scratch, "message"), diff_file], stdin=mail, check=False
        )
        diff = _trimmed(diff_file.read_bytes()) if diff_file.exists() else b""
    if not info.ok or b"--- " not in diff:
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
    names = {
        name
        for pair in re.findall(r"^--- (\S+).*\n\+\+\+ (\S+)", text, re.M)
        for name in (side.partition("/")[2] for side in pair if side != "/dev/null")
    }
    return tuple(sorted(names))
