# SPDX-License-Identifier: GPL-2.0
"""The cache: whole entries or none, and labs that wait for each other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rmaplab.errors import InfraError
from rmaplab.model.digest import digest_of
from rmaplab.store import cache as cache_store
from rmaplab.store.cache import Cache, disk_usage

MAKER = """
import sys
from pathlib import Path
from rmaplab.store.cache import Cache

def make(folder):
    (folder / "part").write_text("x")
    print("making", flush=True)
    sys.stdin.readline()
    (folder / "whole").write_text(sys.argv[2])

Cache(Path(sys.argv[1])).entry("builds", "abc", make)
print("done", flush=True)
"""


def maker(root: Path, name: str) -> subprocess.Popen[str]:
    """Another process that makes the entry ``abc`` when it is told to go on."""
    return subprocess.Popen(
        [sys.executable, "-c", MAKER, str(root), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_an_entry_is_made_once(tmp_path: Path) -> None:
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text("x", encoding="utf-8")

    cache = Cache(tmp_path)
    first = cache.entry("builds", "abc", make)
    assert cache.entry("builds", "abc", make) == first == tmp_path / "builds/abc"
    assert (first / "file").read_text(encoding="utf-8") == "x"
    assert len(made) == 1


def test_a_maker_that_fails_leaves_no_entry_and_the_next_one_begins_afresh(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "part").write_text("x", encoding="utf-8")
        raise InfraError("no")

    with pytest.raises(InfraError):
        cache.entry("builds", "abc", fail)
    assert list(cache.entries()) == []
    entry = cache.entry("builds", "abc", lambda folder: None)
    assert list(entry.iterdir()) == []


def test_a_killed_maker_leaves_no_entry_and_the_next_one_begins_afresh(tmp_path: Path) -> None:
    with maker(tmp_path, "killed") as process:
        assert says(process) == "making"
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    cache = Cache(tmp_path)
    assert not cache.path("builds", "abc").exists()
    assert [entry.path.name for entry in cache.entries()] == [".abc.half"]
    entry = cache.entry("builds", "abc", lambda folder: None)
    assert list(entry.iterdir()) == []
    assert [one.path for one in cache.entries()] == [entry]


def test_two_labs_wait_for_each_other_and_the_second_reuses(tmp_path: Path) -> None:
    with maker(tmp_path, "first") as first:
        assert says(first) == "making"
        with maker(tmp_path, "second") as second:
            assert second.stderr is not None
            assert "waiting for another lab that makes builds/abc" in second.stderr.readline()
            assert not (tmp_path / "builds/abc").exists()
            assert first.communicate("go\n")[0] == "done\n"
            # No "making": the second one found what the first made.
            assert second.communicate()[0] == "done\n"
    assert (tmp_path / "builds/abc/whole").read_text(encoding="utf-8") == "first"


def test_threads_of_one_lab_wait_for_each_other_too(tmp_path: Path) -> None:
    began, go = threading.Event(), threading.Event()
    made: list[str] = []

    def slow(folder: Path) -> None:
        began.set()
        assert go.wait(30)
        made.append("slow")

    cache = Cache(tmp_path)
    first = threading.Thread(target=cache.entry, args=("builds", "abc", slow))
    first.start()
    assert began.wait(30)
    second = threading.Thread(
        target=cache.entry, args=("builds", "abc", lambda folder: made.append("second"))
    )
    second.start()
    go.set()
    first.join(30)
    second.join(30)
    assert made == ["slow"]


def test_whoever_frees_an_entry_waits_for_the_one_who_makes_it(tmp_path: Path) -> None:
    with maker(tmp_path, "maker") as process:
        assert says(process) == "making"
        (half,) = Cache(tmp_path).entries()
        assert half.path.name == ".abc.half"
        # clean takes the lock of Entry.name before it deletes.
        assert half.name == "abc"
        process.communicate("go\n")


def test_a_download_under_way_has_its_own_entrys_name(tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/.linux.tar.part").write_bytes(b"x")
    (entry,) = Cache(tmp_path).entries()
    assert (entry.name, entry.path.name) == ("linux.tar", ".linux.tar.part")


def test_locks_are_no_entries(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with cache.lock("trees", "abc"):
        assert list(cache.entries()) == []


def test_an_entry_that_is_damaged_is_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def make(folder: Path) -> None:
        (folder / "file").write_text("whole", encoding="utf-8")

    def is_whole(folder: Path) -> bool:
        return (folder / "file").read_text(encoding="utf-8") == "whole"

    cache = Cache(tmp_path)
    entry = cache.entry("builds", "abc", make, is_whole=is_whole)
    (entry / "file").write_text("who", encoding="utf-8")
    (entry / "more").touch()
    assert cache.entry("builds", "abc", make, is_whole=is_whole) == entry
    assert [path.read_text(encoding="utf-8") for path in entry.iterdir()] == ["whole"]
    assert capsys.readouterr().err.count("builds/abc in the cache is damaged") == 1
    cache.entry("builds", "abc", make, is_whole=is_whole)
    assert "damaged" not in capsys.readouterr().err


def test_a_file_that_cannot_be_read_has_no_checksum(tmp_path: Path) -> None:
    assert cache_store.file_sha256(tmp_path / "none") == ""
    (tmp_path / "file").write_bytes(b"x")
    assert cache_store.file_sha256(tmp_path / "file").startswith("2d711642")


def test_an_unknown_section_is_a_mistake_of_the_code(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no section 'kernels'"):
        Cache(tmp_path).path("kernels", "abc")


def test_a_cache_that_cannot_be_written_is_the_labs_fault_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(InfraError, match="cannot write to the cache") as caught:
        Cache(tmp_path / "file").entry("builds", "abc", lambda folder: None)
    assert "RMAPLAB_CACHE" in caught.value.hint


def test_the_place_of_the_cache_can_be_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RMAPLAB_CACHE", str(tmp_path / "mine"))
    assert Cache().root == tmp_path / "mine"
    monkeypatch.setenv("RMAPLAB_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert Cache().root == tmp_path / "xdg/rmaplab"


def test_removing_takes_read_only_folders_and_spares_what_links_point_at(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x", encoding="utf-8")
    locked = tmp_path / "entry/a/b"
    locked.mkdir(parents=True)
    (locked / "link").symlink_to(kept)
    (locked / "file").write_text("x", encoding="utf-8")
    for folder in (locked, locked.parent):
        folder.chmod(0o500)
    cache_store.remove(tmp_path / "entry")
    cache_store.remove(tmp_path / "entry")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    (tmp_path / "link").symlink_to(kept)
    cache_store.remove(tmp_path / "link")
    assert (kept / "file").exists()


def test_files_with_several_links_count_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    alone = disk_usage(tmp_path)
    os.link(tmp_path / "a", tmp_path / "b")
    assert disk_usage(tmp_path) == alone >= 100_000


def test_a_key_depends_on_the_parts_and_not_on_their_joint() -> None:
    assert digest_of("ab", "c") != digest_of("a", "bc")
    assert digest_of("a", b"b") == digest_of("a", "b")
    assert len(digest_of()) == 16
