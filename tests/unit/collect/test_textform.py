# SPDX-License-Identifier: GPL-2.0
"""Log files in every packing: read, or refused with a reason, and never an empty log."""

from __future__ import annotations

import base64
import bz2
import gzip
import lzma
import os
import quopri
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from rmaplab import cli
from rmaplab.collect.splats import parse_console
from rmaplab.collect.textform import readable
from rmaplab.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests/golden/console"
LOG = (GOLDEN / "lockdep-order.log").read_bytes()
TEXT = LOG.decode()


def read(data: bytes, size: int = 1000) -> bytes:
    """Read a file that comes in pieces."""
    return b"".join(readable(data[at : at + size] for at in range(0, len(data), size)))


def mail(how: str, body: bytes) -> bytes:
    header = f"From: a@b\nSubject: demo\nContent-Transfer-Encoding: {how}\n\n"
    return header.encode() + body


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "two gzip files": lambda log: gzip.compress(log[:5000]) + gzip.compress(log[5000:]),
    "xz": lzma.compress,
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
    "gzip in xz": lambda log: lzma.compress(gzip.compress(log)),
    "UTF-16": lambda log: log.decode().encode("utf-16"),
    "UTF-16 without a mark": lambda log: log.decode().encode("utf-16-le"),
    "UTF-16, the other side": lambda log: log.decode().encode("utf-16-be"),
    "UTF-32": lambda log: log.decode().encode("utf-32"),
    "a byte order mark": lambda log: b"\xef\xbb\xbf" + log,
    "UTF-16 in gzip": lambda log: gzip.compress(log.decode().encode("utf-16")),
}


@pytest.mark.parametrize("name", PACKINGS)
@pytest.mark.parametrize("size", [1, 77, 100_000])
def test_a_packed_log_is_the_log(name: str, size: int) -> None:
    assert read(PACKINGS[name](LOG), size) == LOG


@pytest.mark.parametrize("how", ["quoted-printable", "Base64"])
def test_a_mails_splats_are_those_of_the_log(how: str) -> None:
    encode = quopri.encodestring if how == "quoted-printable" else base64.encodebytes
    log = LOG.replace(b"\r", b"")
    found = parse_console(read(mail(how, encode(log))))
    expected = parse_console(log)
    assert [(s.title, s.frames, s.fingerprint) for s in found] == [
        (s.title, s.frames, s.fingerprint) for s in expected
    ]


def test_a_quoted_printable_text_is_known_without_its_headers() -> None:
    log = LOG.replace(b"\r", b"")
    assert parse_console(read(quopri.encodestring(log)))[0].frames == parse_console(log)[0].frames


@pytest.mark.parametrize("packing", ["gzip", "xz", "zstd", "bzip2"])
def test_a_file_that_was_cut_is_refused(packing: str) -> None:
    data = PACKINGS[packing](LOG)
    with pytest.raises(UserError, match=packing):
        read(data[: len(data) // 2])


NO_TEXTS = {
    "random bytes": random.Random(1).randbytes(100_000),
    "zeros": bytes(5000),
    "a program": b"\x7fELF\x02\x01\x01" + bytes(100),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "random bytes, compressed": gzip.compress(random.Random(2).randbytes(50_000)),
    "an archive": b"PK\x03\x04" + bytes(100),
}


@pytest.mark.parametrize("name", NO_TEXTS)
def test_a_file_that_is_no_text_is_refused(name: str) -> None:
    with pytest.raises(UserError):
        read(NO_TEXTS[name])


@pytest.mark.parametrize("name", NO_TEXTS)
def test_the_command_says_so_and_exits_with_2(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log"
    path.write_bytes(NO_TEXTS[name])
    monkeypatch.setattr(sys, "argv", ["rmaplab", "parse", str(path)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert f"error: {path}" in said.err


def test_garbage_of_a_serial_line_is_still_a_log() -> None:
    spoilt = LOG[:2000] + b"\xff\xfe\x80\x00" * 200 + LOG[2000:]
    assert read(spoilt) == spoilt
    assert read("caf\u00e9 ".encode("latin-1") * 100) == "caf\u00e9 ".encode("latin-1") * 100


def test_an_empty_file_is_an_empty_log() -> None:
    assert read(b"") == b""


@settings(max_examples=int(os.environ.get("RMAPLAB_FUZZ", "100")), deadline=None)
@given(st.binary(max_size=300), st.sampled_from(sorted(PACKINGS)), st.integers(0, 400))
def test_any_bytes_are_read_or_refused(data: bytes, name: str, cut: int) -> None:
    for attempt in (data, PACKINGS["gzip"](data)[:cut], gzip.compress(LOG[:500])[:cut] + data):
        try:
            read(attempt)
        except UserError as error:
            assert str(error)
