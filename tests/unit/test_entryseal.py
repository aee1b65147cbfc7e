# SPDX-License-Identifier: GPL-2.0
"""The seal of a cache entry: a change is noticed, and what did not change is read once."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rmaplab.store import entryseal

FILE = "image"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose content is read from now on."""
    names: list[str] = []
    real = entryseal.digest

    def digest(path: Path) -> str:
        names.append(path.name)
        return real(path)

    monkeypatch.setattr(entryseal, "digest", digest)
    return names


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sealed entry that was made long before now."""
    (tmp_path / FILE).write_bytes(b"kernel" * 1000)
    entryseal.seal(tmp_path, [FILE])
    later = itertools.count(time.time_ns() + 60 * 1_000_000_000)
    monkeypatch.setattr(time, "time_ns", lambda: next(later))
    return tmp_path


def test_what_did_not_change_is_read_once(entry: Path, read: list[str]) -> None:
    assert [entryseal.broken(entry) for _ in range(3)] == [""] * 3
    assert read == [FILE]


def test_it_is_read_again_after_a_boot_of_the_host(
    entry: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert entryseal.broken(entry) == ""
    (entry / "boot_id").write_text("another", encoding="ascii")
    monkeypatch.setattr(entryseal, "_BOOT_ID", entry / "boot_id")
    assert entryseal.broken(entry) == ""
    assert read == [FILE, FILE]
    monkeypatch.setattr(entryseal, "_BOOT_ID", entry / "nowhere")
    assert [entryseal.broken(entry) for _ in range(2)] == ["", ""]
    assert read == [FILE] * 4


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def flipped_with_its_time(path: Path) -> None:
    before = path.stat()
    flipped(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced_with_its_time(path: Path) -> None:
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"Kernel" * 1000)
    other.replace(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize(
    "harm", [flipped, flipped_with_its_time, replaced_with_its_time, cut, zeroed]
)
@pytest.mark.parametrize("used", [False, True])
def test_a_file_that_changed_is_named(
    entry: Path, harm: Callable[[Path], None], used: bool
) -> None:
    if used:
        assert entryseal.broken(entry) == ""
    harm(entry / FILE)
    assert entryseal.broken(entry) == f"{FILE} is not as it was saved"
    assert entryseal.broken(entry) == f"{FILE} is not as it was saved"


def test_a_change_within_the_resolution_of_times_is_noticed(
    tmp_path: Path, read: list[str]
) -> None:
    (tmp_path / FILE).write_bytes(b"one")
    entryseal.seal(tmp_path, [FILE])
    read.clear()
    assert [entryseal.broken(tmp_path) for _ in range(3)] == [""] * 3
    assert read == [FILE] * 3


def test_a_file_that_is_gone_is_named(entry: Path) -> None:
    (entry / FILE).unlink()
    assert entryseal.broken(entry).startswith(f"{FILE} cannot be read")


def test_a_seal_that_was_changed_with_its_stamps_left_is_noticed(entry: Path) -> None:
    assert entryseal.broken(entry) == ""
    seal = entry / entryseal.SEAL
    seal.write_text(seal.read_text("utf-8").replace(': "', ': "0'), encoding="utf-8")
    assert entryseal.broken(entry) == f"{FILE} is not as it was saved"


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b'{"image": 7}', b"[" * 100_000])
def test_a_damaged_seal_is_said(entry: Path, text: bytes) -> None:
    (entry / entryseal.SEAL).write_bytes(text)
    assert entryseal.broken(entry).startswith("its seal cannot be read: ")


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"\xff", b'{"boot": 1, "files": 2}', b'{"boot": 1}', b"[" * 100_000]
)
def test_damaged_stamps_cost_a_reading(entry: Path, read: list[str], text: bytes) -> None:
    assert entryseal.broken(entry) == ""
    (entry / ".seal-stamps.json").write_bytes(text)
    assert entryseal.broken(entry) == ""
    assert read == [FILE, FILE]


def test_an_entry_on_a_read_only_file_system_can_be_used(
    entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_words: object, **_more: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(entryseal, "write_whole", refuse)
    assert entryseal.broken(entry) == ""
