# SPDX-License-Identifier: GPL-2.0
"""Which mails of a box are the series: authors, versions, counts, forms, limits."""

from __future__ import annotations

import base64
import quopri
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from rmaplab.errors import UserError
from rmaplab.model import Series
from rmaplab.source import git, mail, mailaccept, mailbox, mailthread
from rmaplab.source.series import load

ALICE, MALLORY = "Alice <alice@example.org>", "Mallory <mallory@example.com>"
DAY = 86400


def patch(name: str, line: str = "new", ending: str = "\n") -> str:
    """A patch that adds a file of one line."""
    return (
        f"Because.\n---\n mm/{name}.c | 1 +\n\ndiff --git a/mm/{name}.c b/mm/{name}.c\n"
        "new file mode 100644\nindex 0000000..1111111\n--- /dev/null\n"
        f"+++ b/mm/{name}.c\n@@ -0,0 +1 @@\n+{line}{ending}-- \n2.39.5\n\n"
    )


def letter(
    subject: str,
    body: str,
    name: str,
    to: str = "",
    *,
    sender: str = ALICE,
    day: int = 0,
    headers: Sequence[str] = (),
) -> bytes:
    """A mail as a list's archive has it; ``name`` is its id, ``to`` that of what it answers."""
    lines = [
        "From mboxrd@z Thu Jan  1 00:00:00 1970",
        f"From: {sender}",
        f"Subject: {subject}",
        f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S +0000', time.gmtime(1.7e9 + day * DAY))}",
        f"Message-ID: <{name}@example.org>",
        *([f"In-Reply-To: <{to}@example.org>"] if to else []),
        *headers,
        "",
        body,
        "",
    ]
    return "\n".join(lines).encode()


def series(
    version: str = "",
    length: int = 3,
    *,
    sender: str = ALICE,
    day: int = 0,
    to: str = "",
    title: str = "mm: a series",
    only: Sequence[int] | None = None,
) -> list[bytes]:
    """The mails of a series with a cover letter, threaded."""
    tag = f"[PATCH{' ' + version if version else ''} "
    who = f"{title}-{version}-{sender.split(maxsplit=1)[0]}".replace(" ", "")
    found = [letter(f"{tag}0/{length}] {title}", "Hello\n", f"{who}.0", to, sender=sender, day=day)]
    for number in only or range(1, length + 1):
        subject = f"{tag}{number}/{length}] {title}, part {number}"
        text = patch(f"{title[4:].replace(' ', '-')}-{number}", f"{version or 'v1'} by {sender}")
        found.append(letter(subject, text, f"{who}.{number}", f"{who}.0", sender=sender, day=day))
    return found


def root_of(mails: Sequence[bytes]) -> str:
    """The id of the cover letter of a series, without its domain."""
    return mails[0].split(b"Message-ID: <")[1].split(b"@")[0].decode()


def box(tmp_path: Path, *mails: bytes) -> Path:
    path = tmp_path / "thread.mbox"
    path.write_bytes(b"".join(mails))
    return path


def lines_of(loaded: Series) -> list[str]:
    """The line that each patch adds."""
    return [
        next(line[1:] for line in one.diff.decode().splitlines() if line.startswith("+v"))
        for one in loaded.patches
    ]


def refused(path: Path, accept: Sequence[str] = ()) -> UserError:
    with pytest.raises(UserError) as caught:
        load(str(path), path.parent, accept)
    return caught.value


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The warnings, with the lines that the terminal broke put together."""
    return " ".join(capsys.readouterr().err.split())


# -- authors -----------------------------------------------------------------------------------


def test_a_version_by_somebody_else_replaces_no_series(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = series()
    forged = series("v9", 1, sender=MALLORY, day=9, to=root_of(own))
    for mails in ([*own, *forged], [*forged, *own]):
        path = box(tmp_path, *mails)
        assert lines_of(load(str(path), tmp_path)) == [f"v1 by {ALICE}"] * 3
        told = said(capsys)
        assert "v9, by Mallory <mallory@example.com> is not taken" in told
        assert "--accept mallory@example.com" in told
    accepted = load(str(path), tmp_path, ["mallory@example.com"])
    assert lines_of(accepted) == [f"v9 by {MALLORY}"]


def test_a_single_patch_by_somebody_else_replaces_none(tmp_path: Path) -> None:
    own = letter("[PATCH] mm: x", patch("x", "v1"), "x")
    other = letter("[PATCH v9] mm: x", patch("x", "v9"), "y", "x", sender=MALLORY, day=1)
    reply = letter("Re: [PATCH] mm: x", "No.\n", "z", "x", sender=MALLORY)
    deep = letter("[PATCH v3] mm: x", patch("x", "v3"), "w", "z", sender=MALLORY, day=1)
    assert lines_of(load(str(box(tmp_path, own, other, reply, deep)), tmp_path)) == ["v1"]


def test_what_answers_through_a_mail_that_is_not_here_is_no_series_of_its_own(
    tmp_path: Path,
) -> None:
    own = letter("[PATCH] mm: x", patch("x", "v1"), "x")
    references = "References: <x@example.org> <gone@example.org>"
    other = letter(
        "[PATCH v9] mm: x", patch("x", "v9"), "y", "gone", sender=MALLORY, headers=[references]
    )
    assert lines_of(load(str(box(tmp_path, other, own)), tmp_path)) == ["v1"]


def test_a_cover_letter_alone_makes_nobody_elses_patch_its_series(tmp_path: Path) -> None:
    cover = series(length=1)[0]
    other = letter("[PATCH 1/1] x", patch("x", "v1"), "m", root_of([cover]), sender=MALLORY)
    error = refused(box(tmp_path, cover, other))
    assert "no patch of the series' author is in it" in error.message
    assert "--accept mallory@example.com" in error.message


def test_a_patch_by_somebody_else_completes_a_series_only_if_accepted(tmp_path: Path) -> None:
    own = series(only=[1, 3])
    other = letter("[PATCH 2/3] part 2", patch("p", "v1 other"), "m", root_of(own), sender=MALLORY)
    path = box(tmp_path, *own, other)
    assert "patch 2/3 of the series is missing" in refused(path).message
    loaded = load(str(path), tmp_path, ["mallory@example.com"])
    assert lines_of(loaded) == [f"v1 by {ALICE}", "v1 other", f"v1 by {ALICE}"]


def test_a_list_that_sends_in_its_own_name_does_not_make_two_people_one(tmp_path: Path) -> None:
    by_list = "{} via linux-foo <linux-foo@lists.example.org>"
    own = letter("[PATCH] x", patch("x", "v1"), "x", sender=by_list.format("Alice"))
    other = letter(
        "[PATCH v2] x", patch("x", "v2"), "y", "x", sender=by_list.format("Mallory"), day=1
    )
    assert lines_of(load(str(box(tmp_path, own, other)), tmp_path)) == ["v1"]


def test_two_mails_with_one_id_are_copies_or_forged(tmp_path: Path) -> None:
    own = letter("[PATCH] mm: x", patch("x", "v1"), "x")
    path = box(tmp_path, own, own + b"____\nthe list's own words\n")
    assert lines_of(load(str(path), tmp_path)) == ["v1"]
    path = box(tmp_path, own, letter("[PATCH] mm: x", patch("x", "v1 forged"), "x"))
    assert "have one Message-ID, <x@example.org>" in refused(path).message


def test_patches_of_several_authors_that_git_wrote_are_one_series(tmp_path: Path) -> None:
    own, other = series(length=2)[1], series(length=2, sender=MALLORY)[2]
    by_git = [
        one.replace(b"mboxrd@z Thu Jan  1 00:00:00 1970", b"a" * 40 + b" Mon Sep 17 00:00:00 2001")
        for one in (own, other)
    ]
    assert len(load(str(box(tmp_path, *by_git)), tmp_path).patches) == 2
    assert "2 series are in it" in refused(box(tmp_path, own, other)).message


# -- versions ----------------------------------------------------------------------------------


def test_the_newest_version_of_a_thread_is_taken_unless_another_is_accepted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = series()
    path = box(tmp_path, *first, *series("v2", 2, day=2, to=root_of(first)))
    assert lines_of(load(str(path), tmp_path)) == [f"v2 by {ALICE}"] * 2
    assert "v2 is taken, not v1" in said(capsys)
    assert lines_of(load(str(path), tmp_path, ["v1"])) == [f"v1 by {ALICE}"] * 3
    assert "there is no v7 in it: v1, v2" in refused(path, ["v7"]).message


def test_versions_that_were_not_sent_into_one_thread_are_versions_by_their_title(
    tmp_path: Path,
) -> None:
    path = box(tmp_path, *series(), *series("v2", day=2))
    assert lines_of(load(str(path), tmp_path)) == [f"v2 by {ALICE}"] * 3


def test_a_version_whose_date_contradicts_its_number_is_not_guessed(tmp_path: Path) -> None:
    first = series(day=5)
    path = box(tmp_path, *first, *series("v2", day=1, to=root_of(first)))
    error = refused(path)
    assert "v2 is the highest version, but v1 is the latest by its date" in error.message
    assert "--accept v2" in error.hint
    assert len(load(str(path), tmp_path, ["v2"]).patches) == 3


def test_a_partial_version_is_made_whole_as_b4_does_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = series()
    again = letter(
        "[PATCH v2 2/3] part 2", patch("p", "v2 alone"), "again", root_of(first)[:-1] + "2", day=1
    )
    path = box(tmp_path, *first, again)
    assert lines_of(load(str(path), tmp_path)) == [
        f"v1 by {ALICE}", "v2 alone", f"v1 by {ALICE}",
    ]  # fmt: skip
    assert "1/3, 3/3 of an older version are taken" in said(capsys)


def test_a_fix_without_a_number_is_told_and_not_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = series()
    fix = letter("[PATCH] fold this in", patch("fix", "v1 fix"), "fix", root_of(own), day=1)
    assert len(load(str(box(tmp_path, *own, fix)), tmp_path).patches) == 3
    assert "'fold this in' has no number of the series" in said(capsys)


# -- counts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [["4/7"], ["3-5/7"], ["1,4/7"], ["1/7", "4/7"]])
def test_a_lone_patch_of_a_series_is_taken_if_accepted(tmp_path: Path, accept: list[str]) -> None:
    path = box(tmp_path, letter("[PATCH 4/7] x", patch("x", "v1"), "x"))
    error = refused(path)
    assert "patches 1/7, 2/7, 3/7, 5/7, 6/7 and 1 more of the series are missing" in error.message
    assert "--accept 4/7" in error.hint
    assert lines_of(load(str(path), tmp_path, accept)) == ["v1"]
    assert "missing" in refused(path, ["3/7"]).message


@pytest.mark.parametrize("word", ["", "yes", "4", "4/", "/7", "4/7/9", "a-b/7", "1-999999/7", "v"])
def test_what_cannot_be_accepted_is_the_users_mistake(tmp_path: Path, word: str) -> None:
    assert "--accept" in refused(box(tmp_path, *series()), [word]).message


def test_numbers_of_what_is_here_are_given_as_they_are_accepted() -> None:
    assert mailaccept.ranges([5, 1, 2, 3, 9, 8]) == "1-3,5,8-9"
    accepted = mailaccept.read(["1-3,5,8-9/12"])
    assert accepted.part([1, 2, 3, 5, 8, 9], 12)
    assert not accepted.part([4], 12)


def test_two_series_in_one_box_are_refused(tmp_path: Path) -> None:
    one, other = series(title="mm: one"), series(title="mm: two", sender=MALLORY)
    mixed = [mail for pair in zip(one, other, strict=True) for mail in pair]
    path = box(tmp_path, *mixed)
    error = refused(path)
    assert "2 series are in it" in error.message
    assert "'mm: one': 3 patches by Alice" in error.message
    assert "'mm: two': 3 patches by Mallory" in error.message
    assert "--accept alice@example.org" in error.hint
    assert lines_of(load(str(path), tmp_path, ["alice@example.org"])) == [f"v1 by {ALICE}"] * 3


@pytest.mark.parametrize(("version", "length"), [("", 3), ("v2", 2), ("", 2)])
def test_two_series_of_one_author_are_refused(tmp_path: Path, version: str, length: int) -> None:
    path = box(tmp_path, *series(title="mm: one"), *series(version, length, title="mm: two"))
    assert "2 series are in it" in refused(path).message


def test_two_series_of_one_author_in_one_thread_are_refused(tmp_path: Path) -> None:
    one = series(title="mm: one")
    path = box(tmp_path, *one, *series(length=2, title="mm: two", to=root_of(one)))
    assert "2 series are in it" in refused(path).message
    path = box(tmp_path, *one, *series(title="mm: two", to=root_of(one)))
    assert "here more than once" in refused(path).message


def test_a_series_that_was_sent_without_threading_is_whole(tmp_path: Path) -> None:
    mails = [letter(f"[PATCH {n}/3] x {n}", patch(f"x{n}", f"v{n}"), f"x{n}") for n in (3, 1, 2)]
    assert lines_of(load(str(box(tmp_path, *mails)), tmp_path)) == ["v1", "v2", "v3"]


@pytest.mark.parametrize("digits", [20, 1900])
def test_a_number_of_many_digits_is_a_number(tmp_path: Path, digits: int) -> None:
    path = box(tmp_path, letter(f"[PATCH 1/{'9' * digits}] x", patch("x"), "x"))
    assert "too long" in refused(path).message


@pytest.mark.parametrize("total", ["10000", "999999", "9" * 9])
def test_a_number_of_patches_that_no_series_has_costs_nothing(tmp_path: Path, total: str) -> None:
    path = box(tmp_path, letter(f"[PATCH 0001/{total}] x", patch("x"), "x"))
    assert f"a series of {total} patches is too long" in refused(path).message


# -- no patches --------------------------------------------------------------------------------


def test_a_thread_of_answers_has_no_patch(tmp_path: Path) -> None:
    words = letter("Re: [PATCH 0/3] mm: x", "No.\n", "a", "gone")
    path = box(tmp_path, words, letter("Re: [PATCH 1/3] mm: x", "Yes.\n", "b", "a"))
    assert "no patch in it" in refused(path).message
    answer = letter("Re: [PATCH] x", "How about:\n\n" + patch("x", "v1"), "c", "b")
    path = box(tmp_path, words, answer)
    error = refused(path)
    assert "'Re: [PATCH] x' is an answer to a mail" in error.message
    assert "save that mail alone" in error.hint
    assert lines_of(load(str(box(tmp_path, answer)), tmp_path)) == ["v1"]


@pytest.mark.parametrize("mark", ["AW: ", "RE: ", "Re[2]: ", "回复：", "SV: ", "Fwd: ", "Ant: "])
def test_answers_of_other_mail_programs_are_answers(mark: str) -> None:
    assert mail.heading(f"{mark}[PATCH 1/2] x").is_reply
    assert not mail.heading("[PATCH 1/2] Re: x").is_reply


@pytest.mark.parametrize(
    ("subject", "version", "title"),
    [
        ("[PATCHv3 1/2] x", (3,), "x"),
        ("[PATCH v2.1 1/2] x", (2, 1), "x"),
        ("[RFC PATCH -next v4] x", (4,), "x"),
        ("[PATCH [v2] 1/2] x", (2,), "x"),
        ("[list] [PATCH] v2 of x", (1,), "v2 of x"),
        ("[[[[ 1/2] x", (1,), "[[[[ 1/2] x"),
    ],
)
def test_a_version_is_read_from_the_brackets(
    subject: str, version: tuple[int, ...], title: str
) -> None:
    heading = mail.heading(subject)
    assert (heading.version, heading.title) == (version, title)


# -- forms of a patch's text -------------------------------------------------------------------


def encoded(text: bytes, name: str) -> str:
    if name == "base64":
        return base64.encodebytes(text).decode()
    return quopri.encodestring(text).decode()


@pytest.mark.parametrize("name", ["base64", "quoted-printable"])
@pytest.mark.parametrize("crlf", [False, True])
def test_encoded_patches_are_what_was_encoded(tmp_path: Path, name: str, crlf: bool) -> None:
    text = patch("x", "v1 = \u00fc\u00fc").replace("\n", "\r\n" if crlf else "\n").encode()
    headers = ["MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
               f"Content-Transfer-Encoding: {name}"]  # fmt: skip
    path = box(tmp_path, letter("[PATCH] x", encoded(text, name), "x", headers=headers))
    loaded = load(str(path), tmp_path)
    assert lines_of(loaded) == ["v1 = \u00fc\u00fc"]
    assert b"\r" not in loaded.patches[0].diff
    assert loaded.patches[0].files == ("mm/x.c",)


def test_flowed_text_is_put_together(tmp_path: Path) -> None:
    text = patch("x", "v1 long \nline").replace("\n@@", "\n@@").replace("\n old", "\n  old")
    headers = ["MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8; format=flowed"]
    loaded = load(str(box(tmp_path, letter("[PATCH] x", text, "x", headers=headers))), tmp_path)
    assert lines_of(loaded) == ["v1 long line"]


def test_a_patch_in_an_attachment_is_taken(tmp_path: Path) -> None:
    body = (
        "--b\nContent-Type: text/plain\n\nSee below.\n\n--b\nContent-Type: text/x-patch\n"
        "Content-Transfer-Encoding: base64\n\n"
        f"{base64.encodebytes(patch('x', 'v1').encode()).decode()}\n--b--\n"
    )
    headers = ["MIME-Version: 1.0", 'Content-Type: multipart/mixed; boundary="b"']
    path = box(tmp_path, letter("[PATCH] x", body, "x", headers=headers))
    assert lines_of(load(str(path), tmp_path)) == ["v1"]


@pytest.mark.parametrize("form", ["mbox", "folder"])
def test_line_ends_that_the_way_has_added_are_taken_off(tmp_path: Path, form: str) -> None:
    text = letter("[PATCH] x", patch("x", "v1"), "x").replace(b"\n", b"\r\n")
    path = box(tmp_path, text)
    if form == "folder":
        (tmp_path / "folder").mkdir()
        path = path.rename(tmp_path / "folder" / "0001.patch")
    loaded = load(str(path.parent if form == "folder" else path), tmp_path)
    assert (lines_of(loaded), b"\r" in loaded.patches[0].diff) == (["v1"], False)


@pytest.mark.parametrize("form", ["mbox", "folder"])
def test_line_ends_of_the_file_that_is_patched_stay(tmp_path: Path, form: str) -> None:
    path = box(tmp_path, letter("[PATCH] x", patch("x", "v1", "\r\n"), "x"))
    if form == "folder":
        (tmp_path / "folder").mkdir()
        path = path.rename(tmp_path / "folder" / "0001.patch").parent
    assert b"+v1\r\n" in load(str(path), tmp_path).patches[0].diff


def test_a_charset_that_nobody_knows_leaves_out_no_patch(tmp_path: Path) -> None:
    headers = ["MIME-Version: 1.0", "Content-Type: text/plain; charset=x-unheard-of",
               "Content-Transfer-Encoding: 8bit"]  # fmt: skip
    odd = letter("[PATCH 2/2] y", "\u00fc\n" + patch("y", "v2"), "y", "x", headers=headers)
    path = box(tmp_path, letter("[PATCH 1/2] x", patch("x", "v1"), "x"), odd)
    try:
        loaded = load(str(path), tmp_path)
    except UserError as error:
        assert "git does not read this mail" in error.message
    else:
        assert lines_of(loaded) == ["v1", "v2"]


# -- folders -----------------------------------------------------------------------------------


def folder_of(tmp_path: Path, files: dict[str, bytes]) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_bytes(text)
    return folder


def test_numbers_of_file_names_are_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        f"{n}-x.patch": letter("[PATCH] x", patch(f"x{n}", f"v{n}"), f"x{n}") for n in (1, 2, 10)
    }
    loaded = load(str(folder_of(tmp_path, files)), tmp_path)
    assert lines_of(loaded) == ["v1", "v2", "v10"]
    assert "in the order of the numbers in their names" in said(capsys)


def test_two_versions_in_a_folder_are_refused(tmp_path: Path) -> None:
    files = {f"v{v}-000{n}-x.patch": letter(f"[PATCH v{v} {n}/2] x{n}", patch(f"x{n}", f"v{v}.{n}"),
             f"x{v}{n}") for v in (1, 2) for n in (1, 2)}  # fmt: skip
    folder = folder_of(tmp_path, files)
    error = refused(folder)
    assert "several versions of a series are in it: v1, v2" in error.message
    assert "--accept v2" in error.hint
    assert lines_of(load(str(folder), tmp_path, ["v2"])) == ["v2.1", "v2.2"]


def test_a_file_with_a_patch_that_is_not_taken_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = letter("[PATCH] x", patch("x", "v1"), "x")
    folder = folder_of(tmp_path, {"1.patch": one, "2.eml": one, "README": b"--- a\n"})
    assert len(load(str(folder), tmp_path).patches) == 1
    told = said(capsys)
    assert "2.eml: not taken" in told
    assert "README" not in told


def test_a_file_of_several_mails_is_taken_apart(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"all.patch": b"".join(series())})
    loaded = load(str(folder), tmp_path)
    assert [one.subject for one in loaded.patches][2] == "mm: a series, part 3"
    assert loaded.cover


@pytest.mark.parametrize(
    ("line", "said"),
    [("+suse x.patch", "has a guard"), ("x.patch #+stable", "has a guard"),
     ("-rt x.patch", "has a guard"), ("x.patch -p 0", "not with -p 0"),
     ("x.patch\nx.patch", "here twice"), ("x.patch --reverse", "not with")],
)  # fmt: skip
def test_quilts_other_words_are_refused(tmp_path: Path, line: str, said: str) -> None:
    one = letter("[PATCH] x", patch("x", "v1"), "x")
    folder = folder_of(tmp_path, {"x.patch": one, "series": f"# mine\n{line}\n".encode()})
    assert said in refused(folder).message


def test_quilts_series_file_decides_over_the_numbers(tmp_path: Path) -> None:
    two, one = (letter(f"[PATCH {n}/7] x", patch(f"x{n}", f"v{n}"), "x") for n in (2, 1))
    folder = folder_of(tmp_path, {"b": two, "a": one, "series": b"b\n\n#a\na  # last\n"})
    assert lines_of(load(str(folder), tmp_path)) == ["v2", "v1"]


# -- limits ------------------------------------------------------------------------------------


def test_what_is_more_than_a_series_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = box(tmp_path, *series(length=9))
    monkeypatch.setattr(mailthread, "MAX_PATCHES", 8)
    assert "a series of 9 patches is too long: the lab takes 8" in refused(path).message
    monkeypatch.setattr(mailbox, "MAX_MAILS", 5)
    assert "it has 10 mails, the lab takes 5" in refused(path).message
    monkeypatch.setattr(mailbox, "MAX_BYTES", 1000)
    error = refused(path)
    assert "at most 0 MB" in error.message
    assert "save the mails of one series alone" in error.hint


def test_a_sparse_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.mbox"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert "at most 64 MB" in refused(path).message


def test_a_header_without_an_end_is_refused(tmp_path: Path) -> None:
    text = b"From: x <x@example.org>\nSubject: [PATCH] x\n" + b"X-A: b\n" * 300_000
    path = box(tmp_path, text)
    assert "the header of this mail has more than 1 MB" in refused(path).message


def long_thread(patches: int, answers: int) -> list[bytes]:
    """A series with several answers to each of its patches, which quote it."""
    mails = series(length=patches)
    for number in range(1, patches + 1):
        for again in range(answers):
            to = root_of(mails)[:-1] + str(number)
            quote = "".join(f"> {line}\n" for line in patch("x").splitlines())
            mails.append(
                letter(f"Re: [PATCH {number}/{patches}] x", quote, f"r{number}.{again}", to)
            )
    return mails


def test_the_work_for_a_thread_grows_as_the_thread_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    run = git.run

    def counted(words: tuple[str | Path, ...], cwd: Path, stdin: bytes):  # type: ignore[no-untyped-def]
        calls.append(str(words[0]))
        return run(words, cwd, stdin)

    monkeypatch.setattr(git, "run", counted)
    for patches in (4, 8):
        calls.clear()
        loaded = load(str(box(tmp_path, *long_thread(patches, 20))), tmp_path)
        assert len(loaded.patches) == patches
        # One for each patch; answers cost none.
        assert sorted(calls) == ["apply", "apply", *["mailinfo"] * patches, "mailsplit"]


def instructions_run(action: Callable[[], object]) -> int:
    """Count the bytecodes that an action runs: other processes change the time, but not these."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return count


def test_the_work_for_answers_is_linear(tmp_path: Path) -> None:
    """Twice the mails run twice the bytecodes, and at most a twentieth more."""
    ran = {}
    for answers in (250, 500, 1000):
        path = box(tmp_path, *long_thread(1, answers))
        ran[answers] = instructions_run(partial(load, str(path), tmp_path))
    assert ran[500] < 2.1 * ran[250], ran
    assert ran[1000] < 2.1 * ran[500], ran


def test_answers_that_refer_to_all_before_them_are_linear_in_bytes(tmp_path: Path) -> None:
    own = letter("[PATCH] x", patch("x", "v1"), "r0")
    mails = [own]
    for number in range(1, 800):
        above = " ".join(f"<r{n}@example.org>" for n in range(number))
        mails.append(letter("Re: [PATCH] x", "no\n", f"r{number}", f"r{number - 1}",
                            headers=[f"References: {above}"]))  # fmt: skip
    began = time.process_time()
    assert len(load(str(box(tmp_path, *mails)), tmp_path).patches) == 1
    assert time.process_time() - began < 20


def test_mails_that_refer_to_one_another_in_a_ring_are_one_thread(tmp_path: Path) -> None:
    mails = [
        letter(f"[PATCH {n}/3] x", patch(f"x{n}", f"v{n}"), f"x{n}", f"x{n % 3 + 1}")
        for n in (1, 2, 3)
    ]
    assert lines_of(load(str(box(tmp_path, *mails)), tmp_path)) == ["v1", "v2", "v3"]
