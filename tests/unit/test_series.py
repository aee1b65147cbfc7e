# SPDX-License-Identifier: GPL-2.0
"""Series from a folder, an mbox and a git range: the patches that git am would apply."""

from __future__ import annotations

import base64
import gzip
import io
import lzma
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rmaplab.errors import UserError
from rmaplab.model import Series
from rmaplab.source import mail, mailbox, mailthread
from rmaplab.source import series as series_source
from rmaplab.source.repository import Repository
from rmaplab.source.series import load

from .repositories import commit, git, repository

RMAP = "".join(f"line {n}\n" for n in range(1, 21))


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """Two commits on top of a tree: one changes a file, one adds and deletes."""
    repo = repository(tmp_path / "repo", {"mm/rmap.c": RMAP, "mm/old.c": "int old;\n"})
    git(repo, "tag", "base")
    commit(
        repo,
        "mm/rmap: change a line\n\nBecause.\n\nFrom here on it is better.",
        {"mm/rmap.c": RMAP.replace("line 5\n", "line five\n")},
    )
    commit(
        repo,
        "mm: replace old by new\n\nWith ümlauts.",
        {"mm/new.c": "int new;\n", "mm/old.c": None},
    )
    return repo


def subjects(series: Series) -> list[str]:
    return [patch.subject for patch in series.patches]


SUBJECTS = ["mm/rmap: change a line", "mm: replace old by new"]


def as_folder(repo: Path, *options: str) -> Path:
    folder = repo.parent / "my-series"
    git(repo, "format-patch", "--quiet", "-o", str(folder), *options, "base")
    return folder


def as_mbox(repo: Path, *options: str) -> Path:
    path = repo.parent / "series.mbox"
    path.write_text(git(repo, "format-patch", "--stdout", *options, "base"), encoding="utf-8")
    return path


def test_no_name_is_the_empty_series(tmp_path: Path) -> None:
    assert load("", tmp_path) == series_source.EMPTY


def test_a_folder_is_a_series_in_the_order_of_its_names(repo: Path, tmp_path: Path) -> None:
    series = load(str(as_folder(repo)), tmp_path)
    assert (series.name, subjects(series)) == ("my-series", SUBJECTS)
    assert series.patches[0].author == "A U Thor <author@example.com>"
    assert series.patches[0].files == ("mm/rmap.c",)
    assert series.files == ("mm/new.c", "mm/old.c", "mm/rmap.c")


def test_a_cover_letter_is_kept_and_is_no_patch(repo: Path, tmp_path: Path) -> None:
    series = load(str(as_folder(repo, "--cover-letter")), tmp_path)
    assert subjects(series) == SUBJECTS
    assert "*** SUBJECT HERE ***" in series.cover


def test_other_files_in_the_folder_are_no_patches(repo: Path, tmp_path: Path) -> None:
    folder = as_folder(repo)
    (folder / "README").write_text("about\n", encoding="utf-8")
    (folder / "0001-x.patch~").write_text("rubbish\n", encoding="utf-8")
    assert len(load(str(folder), tmp_path).patches) == 2


def test_a_relative_name_is_looked_up_in_the_project_too(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_folder(repo)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert subjects(load("my-series", tmp_path)) == SUBJECTS


def test_folder_mbox_and_git_range_are_the_same_patches(repo: Path, tmp_path: Path) -> None:
    folder, mbox = as_folder(repo), as_mbox(repo)
    from_folder = load(str(folder), tmp_path)
    from_mbox = load(str(mbox), tmp_path)
    from_git = load(f"git:{repo}#base..main", tmp_path)
    digests = [
        [patch.digest for patch in one.patches] for one in (from_folder, from_mbox, from_git)
    ]
    assert digests[0] == digests[1] == digests[2]
    assert subjects(from_mbox) == subjects(from_git) == SUBJECTS
    assert from_git.name == "base-main"


def test_a_threaded_mbox_with_a_cover_letter_is_the_same_patches(
    repo: Path, tmp_path: Path
) -> None:
    mbox = as_mbox(repo, "--cover-letter", "--thread")
    plain = load(str(as_folder(repo)), tmp_path)
    threaded = load(str(mbox), tmp_path)
    assert subjects(threaded) == SUBJECTS
    assert [p.digest for p in threaded.patches] == [p.digest for p in plain.patches]


def test_the_order_of_a_list_archive_is_that_of_the_numbers(repo: Path, tmp_path: Path) -> None:
    mails = git(repo, "format-patch", "--stdout", "--thread", "--cover-letter", "base")
    cover, first, second = re.split(r"^(?=From [0-9a-f]{40} )", mails, flags=re.M)[1:]
    path = tmp_path / "archive.mbox"
    path.write_text("".join([second, cover, first]), encoding="utf-8")
    assert subjects(load(str(path), tmp_path)) == SUBJECTS


def test_standard_input_is_a_series_and_is_read_once(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series_source._stdin.cache_clear()
    raw = gzip.compress(as_mbox(repo, "--cover-letter").read_bytes())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
    assert subjects(load("-", tmp_path)) == subjects(load("-", tmp_path)) == SUBJECTS
    series_source._stdin.cache_clear()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(UserError, match="standard input is neither an mbox nor a patch"):
        load("-", tmp_path)
    series_source._stdin.cache_clear()


def test_a_plain_diff_on_standard_input_is_a_series_of_one(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series_source._stdin.cache_clear()
    raw = git(repo, "diff", "base", "main").encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
    assert load("-", tmp_path).files == ("mm/new.c", "mm/old.c", "mm/rmap.c")
    series_source._stdin.cache_clear()


def test_stacked_series_are_one_with_the_patches_of_all(repo: Path, tmp_path: Path) -> None:
    first = load(f"git:{repo}#base..main~1", tmp_path)
    second = load(f"git:{repo}#main~1..main", tmp_path)
    both = series_source.stack([first, second])
    assert subjects(both) == SUBJECTS
    whole = load(f"git:{repo}#base..main", tmp_path)
    assert [one.digest for one in both.patches] == [one.digest for one in whole.patches]
    assert series_source.stack([]) == series_source.EMPTY


@pytest.mark.parametrize("form", ["folder", "mbox", "one"])
def test_what_git_says_of_the_base_is_read(form: str, repo: Path, tmp_path: Path) -> None:
    base = git(repo, "rev-parse", "base").strip()
    if form == "folder":
        found = load(str(as_folder(repo, "--cover-letter", "--base=base")), tmp_path)
    elif form == "mbox":
        found = load(str(as_mbox(repo, "--base=base")), tmp_path)
    else:
        path = tmp_path / "one.patch"
        path.write_text(
            git(repo, "format-patch", "--stdout", "--base=base", "-1", "main"), encoding="utf-8"
        )
        found = load(str(path), tmp_path)
        assert len(found.prerequisites) == 1  # the commit between
    assert found.base_commit == base


def test_a_plain_diff_is_a_series_of_one(repo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "0001-change.diff").write_text(git(repo, "diff", "base", "main"), encoding="utf-8")
    series = load(str(folder), tmp_path)
    assert len(series.patches) == 1
    assert series.files == ("mm/new.c", "mm/old.c", "mm/rmap.c")
    single = load(str(folder / "0001-change.diff"), tmp_path)
    assert single.patches[0].digest == series.patches[0].digest


def test_a_patchs_identity_is_its_diff_and_not_its_words(repo: Path, tmp_path: Path) -> None:
    before = load(str(as_folder(repo)), tmp_path).patches[1].digest
    git(repo, "commit", "--quiet", "--amend", "--no-gpg-sign", "-m", "other words")
    assert load(f"git:{repo}#main~1..main", tmp_path).patches[0].digest == before


def test_what_is_no_series_is_the_users_mistake(repo: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    text = tmp_path / "notes.txt"
    text.write_text("hello\n", encoding="utf-8")
    letter = tmp_path / "letter.mbox"
    letter.write_text("From: me <m@example.com>\nSubject: hello\n\nno patch\n", encoding="utf-8")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\x00" * 99)
    for spec, said in (
        ("nowhere", "there is no series 'nowhere'"),
        (str(empty), "no *.patch file"),
        (str(text), "neither an mbox nor a patch"),
        (str(binary), "neither an mbox nor a patch"),
        (str(letter), "no patch in it"),
        (f"git:{repo}", "not a git range"),
        (f"git:{repo}#main", "not a git range"),
        (f"git:{repo}#--output=x..y", "not a git range"),
        (f"git:{repo}#main..main", "no commit in this range"),
        (f"git:{repo}#base..nope", "nope"),
    ):
        with pytest.raises(UserError) as caught:
            load(spec, tmp_path)
        assert said in caught.value.message


def test_a_file_that_is_no_patch_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "series"
    folder.mkdir()
    (folder / "0001-bad.patch").write_text("Subject: x\n\nnothing\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"^0001-bad\.patch: there is no patch in this file"):
        load(str(folder), tmp_path)


def mails_of(repo: Path, *options: str) -> list[str]:
    """The mails of the series, as in an mbox."""
    text = git(repo, "format-patch", "--stdout", *options, "base")
    return re.split(r"^(?=From [0-9a-f]{40} )", text, flags=re.M)[1:]


@pytest.mark.parametrize("options", [("--cover-letter", "--thread"), ("--cover-letter",)])
def test_a_part_of_a_series_is_not_taken_for_the_whole(
    repo: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    cover, first, second = mails_of(repo, "-v2", *options)
    path = tmp_path / "part.mbox"
    for mails, said in (
        ([cover, second], "patch 1/2 of the series is missing"),
        ([second], "patch 1/2 of the series is missing"),
        ([first], "patch 2/2 of the series is missing"),
    ):
        path.write_text("".join(mails), encoding="utf-8")
        with pytest.raises(UserError, match=said):
            load(str(path), tmp_path)


def test_a_patch_that_is_here_twice_is_named(repo: Path, tmp_path: Path) -> None:
    first, second = mails_of(repo)
    path = tmp_path / "twice.mbox"
    path.write_text(first + second + second, encoding="utf-8")
    with pytest.raises(UserError, match=r"patch 2/2 of the series is here more than once"):
        load(str(path), tmp_path)


def test_a_folder_that_lacks_a_patch_is_refused(repo: Path, tmp_path: Path) -> None:
    folder = as_folder(repo)
    next(folder.glob("0001-*")).unlink()
    with pytest.raises(UserError, match=r"my-series: patch 1/2 of the series is missing"):
        load(str(folder), tmp_path)


def test_the_numbers_order_the_patches_of_a_plain_mbox(repo: Path, tmp_path: Path) -> None:
    path = tmp_path / "plain.mbox"
    path.write_text("".join(reversed(mails_of(repo))), encoding="utf-8")
    assert subjects(load(str(path), tmp_path)) == SUBJECTS


@pytest.mark.parametrize(
    ("subject", "number"),
    [
        ("[PATCH 1/2] x", (1, 2)),
        ("[PATCH v2 03/17] x", (3, 17)),
        ("[RFC PATCH\n v3 1/2] x", (1, 2)),
        ("[PATCH v2 2/3 RESEND] x", (2, 3)),
        ("[linux-mm] [PATCH 2/2] x", (2, 2)),
        ("=?UTF-8?q?[PATCH=201/2]=20=C3=BCml?=", (1, 2)),
        ("=?nonsense?q?x?= [PATCH 1/2]", None),
        ("[PATCH] support 1/2 of it", None),
        ("[PATCH] x [1/2]", None),
        ("[PATCH 6.12/stable] x", None),
    ],
)
def test_a_patchs_number_is_read_from_its_own_subject(
    subject: str, number: tuple[int, int] | None
) -> None:
    text = f"From: x <x@example.com>\nSubject: {subject}\n\nbody\n".encode()
    heading = mail.read("x", text).heading
    assert (heading.number, heading.length) == (number or (None, None))


def test_patches_without_numbers_are_a_series(repo: Path, tmp_path: Path) -> None:
    folder = as_folder(repo, "--no-numbered")
    next(folder.glob("0001-*")).unlink()
    assert subjects(load(str(folder), tmp_path)) == SUBJECTS[1:]


def test_the_cover_letter_of_a_thread_is_kept(repo: Path, tmp_path: Path) -> None:
    series = load(str(as_mbox(repo, "--cover-letter", "--thread")), tmp_path)
    assert "*** SUBJECT HERE ***" in series.cover
    assert "*** BLURB HERE ***" in series.cover


@pytest.mark.parametrize("form", [as_folder, as_mbox])
def test_a_patch_that_only_renames_or_changes_a_mode_is_a_patch(
    tmp_path: Path, form: Callable[..., Path]
) -> None:
    repo = repository(tmp_path / "repo", {"mm/a.c": RMAP, "mm/b.sh": "true\n", "mm/c.c": RMAP})
    git(repo, "tag", "base")
    git(repo, "mv", "mm/a.c", "mm/z.c")
    commit(repo, "rename")
    (repo / "mm/b.sh").chmod(0o755)
    commit(repo, "mode")
    commit(repo, "empty", {"mm/empty.h": ""})
    series = load(str(form(repo, "-M")), tmp_path)
    assert [patch.files for patch in series.patches] == [
        ("mm/a.c", "mm/z.c"),
        ("mm/b.sh",),
        ("mm/empty.h",),
    ]


# -- forms in which series come ----------------------------------------------------------------


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_a_compressed_mbox_is_unpacked(
    repo: Path, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "thread.mbox.gz"
    path.write_bytes(pack(as_mbox(repo).read_bytes()))
    series = load(str(path), tmp_path)
    assert (series.name, subjects(series)) == ("thread", SUBJECTS)


@pytest.mark.parametrize("damage", [lambda raw: raw[:-9], lambda raw: raw[:20] + b"x" * 99])
def test_a_damaged_archive_is_the_users_mistake(
    repo: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "thread.mbox.gz"
    path.write_bytes(damage(gzip.compress(as_mbox(repo).read_bytes())))
    with pytest.raises(UserError, match="cannot be read"):
        load(str(path), tmp_path)


def test_an_archive_that_grows_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "MAX_BYTES", 1 << 20)
    path = tmp_path / "bomb.mbox.gz"
    path.write_bytes(gzip.compress(b"From \n" + b"x" * (2 << 20)))
    with pytest.raises(UserError, match="at most 1 MB"):
        load(str(path), tmp_path)


def test_a_fifo_is_no_series(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "0001-x.patch")
    with pytest.raises(UserError, match="neither a folder nor a file"):
        load(str(tmp_path / "0001-x.patch"), tmp_path)
    with pytest.raises(UserError, match="neither a folder nor a file"):
        load(str(tmp_path), tmp_path)


def test_quilts_series_file_says_which_patches_in_which_order(repo: Path, tmp_path: Path) -> None:
    folder = as_folder(repo, "--no-numbered")
    first, second = sorted(folder.iterdir())
    second.rename(folder / "a-second.patch")
    first.rename(folder / "z-first")
    (folder / "stray.patch").write_text("no patch\n", encoding="utf-8")
    (folder / "series").write_text("# mm\nz-first -p1\n\na-second.patch # last\n", "utf-8")
    assert subjects(load(str(folder), tmp_path)) == SUBJECTS


@pytest.mark.parametrize(
    ("line", "said"),
    [("z-first -p0", "not with"), ("gone.patch", "no patch 'gone.patch'"),
     ("../secret", "no patch '../secret'"), ("/etc/passwd", "no patch '/etc/passwd'")],
)  # fmt: skip
def test_a_quilt_series_file_that_is_wrong_is_named_with_its_line(
    repo: Path, tmp_path: Path, line: str, said: str
) -> None:
    folder = as_folder(repo)
    next(folder.glob("0001-*")).rename(folder / "z-first")
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    (folder / "series").write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match=rf"series:2: .*{re.escape(said)}"):
        load(str(folder), tmp_path)


def test_a_diff_without_git_headers_is_a_patch(repo: Path, tmp_path: Path) -> None:
    path = tmp_path / "plain.diff"
    hunks = git(repo, "diff", "base", "main~1").partition("--- ")
    path.write_text("".join(hunks[1:]), encoding="utf-8")
    assert load(str(path), tmp_path).files == ("mm/rmap.c",)


def test_the_numbers_of_a_folders_subjects_order_it(
    repo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = as_folder(repo)
    next(folder.glob("0001-*")).rename(folder / "9-first.patch")
    assert subjects(load(str(folder), tmp_path)) == SUBJECTS
    assert "in the order of their numbers" in capsys.readouterr().err


def test_a_cover_letter_that_says_three_needs_three(repo: Path, tmp_path: Path) -> None:
    cover, first, second = mails_of(repo, "--cover-letter")
    path = tmp_path / "part.mbox"
    mails = [cover.replace("0/2", "0/3"), first, second]
    path.write_text("".join(mails), encoding="utf-8")
    with pytest.raises(UserError, match=r"patches 1/3, 2/3, 3/3 of the series are missing"):
        load(str(path), tmp_path)


def test_a_patch_whose_mail_is_encoded_is_not_left_out(repo: Path, tmp_path: Path) -> None:
    first, second = mails_of(repo, "--no-numbered")
    head, _, body = second.partition("\n\n")
    kept = [line for line in head.splitlines() if not line.startswith(("Content-", "MIME-"))]
    packed = base64.encodebytes(body.encode()).decode()
    header = "\n".join([*kept, "MIME-Version: 1.0", "Content-Type: text/plain; charset=UTF-8",
                        "Content-Transfer-Encoding: base64"])  # fmt: skip
    path = tmp_path / "encoded.mbox"
    path.write_text(f"{first}{header}\n\n{packed}\n", encoding="utf-8")
    series = load(str(path), tmp_path)
    assert subjects(series) == SUBJECTS
    assert series.patches[1].digest == load(str(as_folder(repo)), tmp_path).patches[1].digest


def test_a_patch_about_cover_letters_is_a_patch(repo: Path, tmp_path: Path) -> None:
    folder = as_folder(repo, "--no-numbered", "--cover-letter")
    next(folder.glob("0002-*")).rename(folder / "0002-send-a-cover-letter.patch")
    assert subjects(load(str(folder), tmp_path)) == SUBJECTS


def test_the_users_git_settings_change_no_patch(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(repo, "commit", "--quiet", "--amend", "-m", "subject\n\nbefore\n\n-- >8 --\n\nafter")
    folder = as_folder(repo)
    wanted = [patch.digest for patch in load(str(folder), tmp_path).patches]
    config = tmp_path / ".gitconfig"
    config.write_text("[diff]\nnoprefix = true\n[mailinfo]\nscissors = true\n", encoding="utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    patches = load(str(folder), tmp_path).patches
    assert [patch.digest for patch in patches] == wanted
    assert patches[1].message.startswith("before")
    from_git = load(f"git:{repo}#base..main", tmp_path)
    assert [patch.digest for patch in from_git.patches] == wanted


def test_what_a_mail_says_below_its_subject_is_kept(repo: Path, tmp_path: Path) -> None:
    patches = load(str(as_folder(repo)), tmp_path).patches
    assert patches[0].message == "Because.\n\nFrom here on it is better.\n"
    assert "ümlauts" in patches[1].message


def test_a_merge_in_a_range_is_told(
    repo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(repo, "checkout", "--quiet", "-b", "side", "base")
    commit(repo, "mm: on the side", {"mm/side.c": "int side;\n"})
    git(repo, "checkout", "--quiet", "main")
    git(repo, "merge", "--quiet", "--no-edit", "--no-gpg-sign", "side")
    assert len(load(f"git:{repo}#base..main", tmp_path).patches) == 3
    said = " ".join(capsys.readouterr().err.split())
    assert "1 merge commit of the range is no patch" in said


def test_a_range_that_is_longer_than_a_series_is_refused_before_it_is_read(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailthread, "MAX_PATCHES", 1)
    monkeypatch.delattr(Repository, "patches")
    with pytest.raises(UserError, match="a series of 2 patches is too long: the lab takes 1"):
        load(f"git:{repo}#base..main", tmp_path)
