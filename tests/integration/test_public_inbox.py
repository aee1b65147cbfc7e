# SPDX-License-Identifier: GPL-2.0
"""Series from a real public-inbox, by Message-ID, and held against what b4 makes of the thread.

The inbox has the patches of patches/device-exclusive as v1 and as v2 of a series.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import requests

from rmaplab.errors import ExitCode, RmaplabError
from rmaplab.model import Series
from rmaplab.source import online, web
from rmaplab.source.series import load
from rmaplab.store.cache import Cache
from tests.unit.test_mail_threads import ALICE, MALLORY, letter, root_of, series

from . import fake_tree, public_inbox

ROOT = Path(__file__).resolve().parents[2]
OWN = "patches/device-exclusive"
BOB = "Bob <bob@example.net>"
TITLE = "mm/rmap: device-exclusive entries"

pytestmark = pytest.mark.skipif(
    not public_inbox.is_installed(), reason="Debian's package public-inbox is not installed"
)


def own(
    version: str, numbers: Sequence[int], to: str = "", *, cover: bool, day: int
) -> list[bytes]:
    """Some of our own patches as the mails of a version; numbers are places in the folder."""
    patches = load(OWN, ROOT).patches
    length, tag = len(numbers), f"PATCH {version}".strip()
    root = f"own-{version or 'v1'}.{0 if cover else 1}"
    mails = []
    if cover:
        text = f"What changed: everything.\n\nbase-commit: {'5' * 40}\n"
        mails.append(letter(f"[{tag} 0/{length}] {TITLE}", text, root, to, day=day))
    for place, number in enumerate(numbers, start=1):
        one = patches[number]
        name = f"own-{version or 'v1'}.{place}"
        body = f"{one.message.strip()}\n---\n\n{one.diff.decode()}-- \n2.39.5\n"
        above = to if name == root else root
        subject = f"[{tag} {place}/{length}] {one.subject}"
        mails.append(letter(subject, body, name, above, day=day))
    return mails


def thread() -> list[bytes]:
    """v1 without a cover letter, answers with trailers, v2 with one and a patch more."""
    return [
        *own("", range(3), cover=False, day=0),
        letter("Re: [PATCH 2/3] mm", f"Nice.\n\nReviewed-by: {BOB}\n", "bob", "own-v1.2",
               sender=BOB, day=1),
        letter("Re: [PATCH 1/3] mm", "> diff --git a/x b/x\n> --- a/x\n> +++ b/x\n\nWhy?\n",
               "why", "own-v1.1", sender=BOB, day=1),
        *own("v2", range(4), "own-v1.1", cover=True, day=3),
    ]  # fmt: skip


FIRST = series("", 2, title="mm: one thing")
SECOND = series("", 3, title="mm: another thing", to=root_of(FIRST))
HIJACK = series("v9", 2, title="mm: one thing", sender=MALLORY, to=root_of(FIRST))
RESENT = series("RESEND v2", 3, title="mm: sent in a hurry", only=(1, 2))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("public-inbox") / "site"
    public_inbox.make(folder, [*thread(), *FIRST, *SECOND, *HIJACK, *RESENT])
    with public_inbox.serving(folder) as url:
        yield url


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PAUSE_S", 0.0)
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def fetch(archive: str, name: str, tmp_path: Path, accept: tuple[str, ...] = ()) -> Series:
    spec = online.qualified(f"{name}@example.org", archive)
    return load(spec, ROOT, accept, Cache(tmp_path / "cache"))


def digests(found: Series) -> list[str]:
    return [patch.digest for patch in found.patches]


def ours(count: int) -> list[str]:
    return digests(load(OWN, ROOT))[:count]


@pytest.mark.parametrize("name", ["own-v1.1", "own-v2.0", "own-v2.3", "bob"])
def test_the_newest_version_of_the_thread_is_taken(name: str, archive: str, tmp_path: Path) -> None:
    found = fetch(archive, name, tmp_path)
    assert digests(found) == ours(4)
    assert (found.version, found.base_commit) == ("v2", "5" * 40)
    assert "What changed: everything." in found.cover


def test_an_older_version_is_taken_if_it_is_accepted(archive: str, tmp_path: Path) -> None:
    assert digests(fetch(archive, "own-v2.0", tmp_path, ("v1",))) == ours(3)


@pytest.mark.parametrize("view", ["", "T/#u", "t/", "raw", "t.mbox.gz"])
def test_each_address_of_a_mail_names_its_series(view: str, archive: str, tmp_path: Path) -> None:
    spec = f"{archive}/own-v1.1@example.org/{view}"
    assert digests(load(spec, ROOT, (), Cache(tmp_path / "cache"))) == ours(4)


def test_two_series_of_one_thread_are_told_apart(archive: str, tmp_path: Path) -> None:
    first = fetch(archive, root_of(FIRST), tmp_path)
    second = fetch(archive, root_of(SECOND), tmp_path)
    assert [patch.author for patch in first.patches] == [ALICE] * 2
    assert [patch.subject for patch in second.patches] == [
        f"mm: another thing, part {n}" for n in (1, 2, 3)
    ]
    hijack = fetch(archive, root_of(HIJACK), tmp_path)
    assert [patch.author for patch in hijack.patches] == [MALLORY] * 2


def test_a_broken_resend_is_refused(archive: str, tmp_path: Path) -> None:
    with pytest.raises(RmaplabError, match=r"patch 3/3 of the series is missing") as caught:
        fetch(archive, root_of(RESENT), tmp_path)
    assert caught.value.exit_code is ExitCode.USAGE
    assert "--accept 1-2/3" in caught.value.hint


def test_an_unknown_message_id_is_said(archive: str, tmp_path: Path) -> None:
    with pytest.raises(RmaplabError, match=r"linux-mm has no mail with the Message-ID") as caught:
        fetch(archive, "nobody", tmp_path)
    assert caught.value.exit_code is ExitCode.USAGE


def test_b4_makes_the_same_series_of_the_thread(archive: str, tmp_path: Path) -> None:
    """b4 am, as maintainers type it, adds trailers to the messages and leaves the diffs alone."""
    answer = requests.get(f"{archive}/own-v1.1@example.org/t.mbox.gz", timeout=60)
    (tmp_path / "thread.mbox").write_bytes(gzip.decompress(answer.content))
    b4 = shutil.which("b4", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert b4 is not None
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    for options, count in (([], 4), (["--use-version", "1"], 3)):
        out = tmp_path / f"b4-{count}"
        subprocess.run(
            [b4, "--offline-mode", "--no-stdin", "-c", "b4.attestation-policy=off", "am",
             "--use-local-mbox", str(tmp_path / "thread.mbox"), "--outdir", str(out), "--no-parent",
             *options],
            cwd=tmp_path, env=env, check=True, capture_output=True,
        )  # fmt: skip
        (box,) = out.glob("*.mbx")
        by_b4 = load(str(box), ROOT)
        accept = ("v1",) if options else ()
        by_us = fetch(archive, "own-v1.1", tmp_path, accept)
        assert digests(by_b4) == digests(by_us) == ours(count)
        assert [p.subject for p in by_b4.patches] == [p.subject for p in by_us.patches]


LAB = """\
name: fetched
kernels:
  - name: base
    tree: dir:{tree}
    config: [guest]
guests: [q35]
settings: [thp-never]
testcases: [control/empty]
"""


def typed(words: Sequence[str], folder: Path, archive: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "RMAPLAB_CACHE": str(folder / "cache"), online.VARIABLE: archive}
    return subprocess.run(
        [sys.executable, str(ROOT / "lab.py"), *words],
        cwd=folder, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_plans_a_series_of_the_archive(archive: str, tmp_path: Path) -> None:
    tree = fake_tree.make(tmp_path / "tree")
    lab = tmp_path / "lab.yaml"
    lab.write_text(LAB.format(tree=tree), encoding="utf-8")
    name = f"{root_of(FIRST)}@example.org"
    done = typed(["plan", str(lab), "--series", name], tmp_path, archive)
    assert (done.returncode, "2 cells" in done.stdout) == (ExitCode.OK, True), done.stderr
    wrong = typed(["plan", str(lab), "--series", "nobody@example.org"], tmp_path, archive)
    assert wrong.returncode == ExitCode.USAGE
    assert "Traceback" not in wrong.stderr
    option = ["--archive", archive, "--series", name]
    named = typed(["plan", str(lab), *option], tmp_path, "http://127.0.0.1:1/none")
    assert named.returncode == ExitCode.OK, named.stderr
