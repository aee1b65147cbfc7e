# SPDX-License-Identifier: GPL-2.0
"""Repositories of strangers: no program that they name is run, and no id has another content.

Each program makes a marker file. ``control`` is the plain git command that runs it, so that an
attempt that does nothing anywhere is seen.
"""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rmaplab.errors import RmaplabError, UserError
from rmaplab.source import series, tree
from rmaplab.store.cache import Cache
from tests.unit.repositories import ENVIRONMENT, commit, git, repository, write

FILES: dict[str, str | None] = {
    "Makefile": "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\n",
    "mm/rmap.c": "int rmap;\n",
}
ARCHIVE = ("archive", "--format=tar", "main")
SHOW = ("show", "main")


@dataclass
class Evil:
    """A repository that is going to be made hostile, and the program that it names."""

    repo: Path
    program: Path
    marker: Path

    def set(self, key: str, value: str = "") -> None:
        git(self.repo, "config", key, value or str(self.program))

    def attributes(self, text: str) -> None:
        commit(self.repo, "attributes", {".gitattributes": f"{text}\n"})

    def control(self, words: tuple[str, ...]) -> None:
        """Run plain git, and assert that the program ran."""
        subprocess.run(
            ["git", *words], cwd=self.repo, env=ENVIRONMENT, capture_output=True, check=False
        )
        assert self.marker.exists(), "the attempt does nothing, not even to plain git"
        self.marker.unlink()

    def lacks_a_file(self) -> None:
        """Make git ask the repository's remote for a file when it is read (partial clone)."""
        self.set("extensions.partialClone", "origin")
        self.set("remote.origin.promisor", "true")
        name = git(self.repo, "rev-parse", "main:mm/rmap.c").strip()
        (self.repo / ".git/objects" / name[:2] / name[2:]).unlink()
        # Or git would wait for the end of its input, and it for git's.
        self.program.write_text(f"#!/bin/sh\ntouch {self.marker}\n", encoding="utf-8")


@pytest.fixture
def evil(tmp_path: Path) -> Evil:
    repo = repository(tmp_path / "repo", FILES)
    commit(repo, "one", {"mm/ksm.c": "int ksm;\n"})
    program, marker = tmp_path / "program", tmp_path / "ran"
    program.write_text(f"#!/bin/sh\ntouch {marker}\ncat\n", encoding="utf-8")
    program.chmod(0o755)
    return Evil(repo, program, marker)


def fsmonitor(evil: Evil) -> None:
    evil.set("core.fsmonitor")


def smudge(evil: Evil) -> None:
    evil.attributes("*.c filter=evil")
    evil.set("filter.evil.smudge")


def process(evil: Evil) -> None:
    evil.attributes("*.c filter=evil")
    evil.set("filter.evil.process")
    evil.set("filter.evil.required", "true")


def own_attributes(evil: Evil) -> None:
    (evil.repo / ".git/info").mkdir(exist_ok=True)
    (evil.repo / ".git/info/attributes").write_text("* filter=evil\n", encoding="utf-8")
    evil.set("filter.evil.smudge")


def attributes_of_the_configuration(evil: Evil) -> None:
    attributes = evil.program.with_name("attributes")
    attributes.write_text("* filter=evil\n", encoding="utf-8")
    evil.set("core.attributesFile", str(attributes))
    evil.set("filter.evil.smudge")


def included(evil: Evil) -> None:
    evil.attributes("*.c filter=evil")
    (evil.repo / ".git/more").write_text(f'[filter "evil"]\nsmudge = {evil.program}\n', "utf-8")
    evil.set("include.path", "more")


def included_if(evil: Evil) -> None:
    included(evil)
    git(evil.repo, "config", "--unset", "include.path")
    evil.set(f"includeIf.gitdir:{evil.repo}/.path", "more")


def of_the_worktree(evil: Evil) -> None:
    evil.attributes("*.c filter=evil")
    evil.set("extensions.worktreeConfig", "true")
    git(evil.repo, "config", "--worktree", "filter.evil.smudge", str(evil.program))


def external_diff(evil: Evil) -> None:
    evil.set("diff.external")


def diff_driver(evil: Evil) -> None:
    evil.attributes("*.c diff=evil")
    commit(evil.repo, "two", {"mm/ksm.c": "int two;\n"})
    evil.set("diff.evil.command")


def text_conversion(evil: Evil) -> None:
    evil.attributes("*.c diff=evil")
    commit(evil.repo, "two", {"mm/ksm.c": "int two;\n"})
    evil.set("diff.evil.textconv")


def signature_program(evil: Evil) -> None:
    text = git(evil.repo, "cat-file", "commit", "main")
    head, _, message = text.partition("\n\n")
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----"
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"], cwd=evil.repo, env=ENVIRONMENT,
        input=f"{head}\n{signature}\n\n{message}".encode(), capture_output=True, check=True,
    )  # fmt: skip
    git(evil.repo, "update-ref", "refs/heads/main", made.stdout.decode().strip())
    evil.set("log.showSignature", "true")
    evil.set("gpg.program")


def ssh_command(evil: Evil) -> None:
    evil.set("remote.origin.url", "ssh://127.0.0.1:1/x")
    evil.set("core.sshCommand")
    evil.lacks_a_file()


def git_proxy(evil: Evil) -> None:
    evil.set("remote.origin.url", "git://127.0.0.1:1/x")
    evil.set("core.gitProxy")
    evil.lacks_a_file()


def remote_helper(evil: Evil) -> None:
    evil.set("remote.origin.url", f"ext::{evil.program}")
    evil.set("protocol.ext.allow", "always")
    evil.lacks_a_file()


def upload_pack(evil: Evil) -> None:
    evil.set("remote.origin.url", str(evil.repo))
    evil.set("remote.origin.uploadpack")
    evil.lacks_a_file()


ATTEMPTS: dict[Callable[[Evil], None], tuple[str, ...]] = {
    fsmonitor: ("status",),
    smudge: ARCHIVE,
    process: ARCHIVE,
    own_attributes: ARCHIVE,
    attributes_of_the_configuration: ARCHIVE,
    included: ARCHIVE,
    included_if: ARCHIVE,
    of_the_worktree: ARCHIVE,
    external_diff: ("diff", "main~1", "main"),
    diff_driver: ("diff", "main~1", "main"),
    text_conversion: SHOW,
    signature_program: SHOW,
    ssh_command: ARCHIVE,
    git_proxy: ARCHIVE,
    remote_helper: ARCHIVE,
    upload_pack: ARCHIVE,
}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def use(evil: Evil, cache: Cache) -> Iterator[str]:
    """Do all that the lab does with a repository; yields what it says of what it cannot do."""
    spec = f"git:{evil.repo}"
    for action in (
        lambda: tree.fetch(f"{spec}#main", cache),
        lambda: tree.fetch(f"git:file://{evil.repo}#main", cache),
        lambda: tree.fetch(f"dir:{evil.repo}", cache),
        lambda: series.load(f"{spec}#main~1..main", evil.repo),
    ):
        try:
            action()
        except RmaplabError as error:
            yield error.message


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_no_program_of_a_repository_is_run(
    evil: Evil, cache: Cache, attempt: Callable[[Evil], None]
) -> None:
    attempt(evil)
    evil.control(ATTEMPTS[attempt])
    said = list(use(evil, cache))
    assert not evil.marker.exists()
    if "origin" in git(evil.repo, "config", "--list"):
        assert said
        assert all("main" in one or "export" in one for one in said)
    else:
        assert said == []
        found = tree.fetch(f"git:{evil.repo}#main", cache).path / "mm/rmap.c"
        assert found.read_text(encoding="utf-8") == FILES["mm/rmap.c"]


@pytest.fixture
def asking() -> Iterator[int]:
    """A server that asks for a password."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("key", ["credential.helper", "core.askPass"])
def test_no_program_is_asked_for_a_password(
    evil: Evil, cache: Cache, asking: int, key: str
) -> None:
    evil.set("remote.origin.url", f"http://127.0.0.1:{asking}/x")
    evil.set(key)
    evil.lacks_a_file()
    evil.control(ARCHIVE)
    assert list(use(evil, cache))
    assert not evil.marker.exists()


def test_a_fetch_asks_no_program_of_the_user_either(
    evil: Evil, cache: Cache, asking: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_ASKPASS", str(evil.program))
    monkeypatch.setenv("SSH_ASKPASS", str(evil.program))
    with pytest.raises(RmaplabError, match="git fetch"):
        tree.fetch(f"git:http://127.0.0.1:{asking}/x#main", cache)
    assert not evil.marker.exists()


@pytest.mark.parametrize("form", ["ext::{program} ://x", "ext::{program}@x:y"])
def test_a_url_that_names_a_program_is_no_server(evil: Evil, cache: Cache, form: str) -> None:
    with pytest.raises(RmaplabError):
        tree.fetch(f"git:{form.format(program=evil.program)}#main", cache)
    assert not evil.marker.exists()


def test_attributes_change_and_hide_no_file(evil: Evil, cache: Cache) -> None:
    evil.attributes("*.c export-ignore ident text eol=crlf\nMakefile export-subst")
    commit(evil.repo, "more", {"Makefile": f"{FILES['Makefile']}# $Format:%H$\n",
                               "mm/x.c": "/* $Id$ */\n"})  # fmt: skip
    found = tree.fetch(f"git:{evil.repo}#main", cache).path
    assert (found / "mm/x.c").read_bytes() == b"/* $Id$ */\n"
    assert (found / "mm/rmap.c").exists()
    assert "$Format:%H$" in (found / "Makefile").read_text(encoding="utf-8")


def test_links_are_what_was_committed(evil: Evil, cache: Cache) -> None:
    targets = (".././mm//rmap.c", "nowhere", "/", "..")
    for number, target in enumerate(targets):
        os.symlink(target, evil.repo / f"mm/link{number}")  # noqa: PTH211 - a Path changes it
    commit(evil.repo, "links")
    found = tree.fetch(f"git:{evil.repo}#main", cache).path
    for number, target in enumerate(targets):
        assert os.readlink(found / f"mm/link{number}") == target  # noqa: PTH115


def test_a_commits_id_cannot_have_other_files(evil: Evil, cache: Cache) -> None:
    """Git reads what a repository has for an id and does not compute the id."""
    name = git(evil.repo, "rev-parse", "main:mm/rmap.c").strip()
    loose = evil.repo / ".git/objects" / name[:2] / name[2:]
    loose.chmod(0o644)
    loose.write_bytes(zlib.compress(b"blob 10\0int evil;\n"))
    assert "int evil" in git(evil.repo, *ARCHIVE)
    with pytest.raises(UserError, match=r"'mm/rmap.c' has another content"):
        tree.fetch(f"git:{evil.repo}#main", cache)
    assert list(cache.entries(("trees",))) == []


def test_a_checkout_is_of_its_own_folder(evil: Evil, cache: Cache, tmp_path: Path) -> None:
    write(tmp_path / "home", {"secret.c": "hunter2\n"})
    evil.set("core.worktree", str(tmp_path / "home"))
    assert "secret.c" in git(evil.repo, "ls-files", "--others")
    found = tree.fetch(f"dir:{evil.repo}", cache).path
    assert not list(found.rglob("secret.c"))
    assert (found / "mm/rmap.c").exists()


def test_a_checkout_of_git_worktree_is_read(evil: Evil, cache: Cache, tmp_path: Path) -> None:
    git(evil.repo, "worktree", "add", "--quiet", str(tmp_path / "other"), "-b", "topic")
    write(tmp_path / "other", {"mm/new.c": "int new;\n"})
    of_dir = tree.fetch(f"dir:{tmp_path / 'other'}", cache)
    of_git = tree.fetch(f"git:{tmp_path / 'other'}#topic", cache)
    assert (of_dir.path / "mm/new.c").exists()
    assert not (of_git.path / "mm/new.c").exists()


def test_a_file_dot_git_names_no_repository_of_the_users(
    evil: Evil, cache: Cache, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger"
    write(stranger, {**FILES, ".git": f"gitdir: {evil.repo}/.git\n"})
    for spec in (f"dir:{stranger}", f"git:{stranger}#main"):
        with pytest.raises(UserError, match="which does not name"):
            tree.fetch(spec, cache)
    (stranger / ".git").unlink()
    (stranger / ".git").symlink_to(evil.repo / ".git")
    for spec in (f"dir:{stranger}", f"git:{stranger}#main"):
        with pytest.raises(UserError, match="not a git repository"):
            tree.fetch(spec, cache)


def test_objects_of_another_repository_are_found_and_of_another_folder_refused(
    evil: Evil, cache: Cache, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "--quiet", "--shared", str(evil.repo), str(tmp_path / "clone"))
    clone = tmp_path / "clone"
    assert tree.fetch(f"git:{clone}#main", cache).path.exists()
    home = tmp_path / "home"
    home.mkdir()
    (clone / ".git/objects/info/alternates").write_text(f"{home}\n", encoding="utf-8")
    with pytest.raises(UserError, match="as a folder of git objects, and is none"):
        tree.fetch(f"git:{clone}#main", Cache(tmp_path / "other"))


@pytest.mark.parametrize("name", ["HEAD", "packed-refs", "shallow", "index", "config"])
def test_a_link_in_the_place_of_a_repositorys_file_is_not_followed(
    evil: Evil, cache: Cache, tmp_path: Path, name: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2 is a secret\n", encoding="utf-8")
    place = evil.repo / ".git" / name
    place.unlink(missing_ok=True)
    place.symlink_to(secret)
    assert "hunter2" not in "".join(use(evil, cache))


def test_a_repository_that_others_cannot_read_is_read_as_its_owner(
    evil: Evil, cache: Cache
) -> None:
    for path in (evil.repo, *evil.repo.rglob("*")):
        path.chmod(path.stat().st_mode & 0o700)
    assert list(use(evil, cache)) == []
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "65534", evil.repo], check=True)
        shutil.rmtree(cache.root)
        assert list(use(evil, cache)) == []


def test_the_upstream_of_a_branch_can_be_named(evil: Evil, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(evil.repo), str(tmp_path / "clone"))
    commit(tmp_path / "clone", "mine", {"mm/ksm.c": "int mine;\n"})
    found = series.load(f"git:{tmp_path / 'clone'}#@{{upstream}}..main", tmp_path)
    assert [patch.subject for patch in found.patches] == ["mine"]


def test_what_the_user_never_tracks_is_left_out(
    evil: Evil, cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write(tmp_path / "config", {"git/ignore": "TAGS\n"})
    write(evil.repo, {"TAGS": "x\n", "new.c": "x\n"})
    found = tree.fetch(f"dir:{evil.repo}", cache).path
    assert (found / "new.c").exists()
    assert not (found / "TAGS").exists()
