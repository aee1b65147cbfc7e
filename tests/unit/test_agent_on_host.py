# SPDX-License-Identifier: GPL-2.0
"""Serve requests by the agent's own C code, without a guest: docs/protocol.md."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rmaplab import proc
from rmaplab.evidence.events import Garbled, decode_agent
from rmaplab.evidence.protocol import MAX_WORDS
from rmaplab.guest.agent import encode

from .c_programs import AGENT, compiled, needs_compiler

pytestmark = needs_compiler

_NOT_ON_A_HOST = {"main.c", "loop.c", "port.c"}

Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = [path for path in AGENT.glob("*.c") if path.name not in _NOT_ON_A_HOST]
    main = Path(__file__).with_name("agent_on_host.c")
    return compiled(tmp_path_factory.mktemp("agent") / "agent", [main, *sources], AGENT)


@pytest.fixture(scope="module")
def ask(program: Path) -> Ask:
    """Return a function that sends request lines and returns all events."""

    def send(*lines: bytes) -> list[dict[str, Any]]:
        answer = proc.run([program], stdin=b"".join(lines)).stdout
        said = answer.splitlines()
        assert not [one for one in map(decode_agent, said) if isinstance(one, Garbled)]
        return [json.loads(line) for line in said]

    return send


def stats(ask: Ask, *paths: Path | str) -> tuple[dict[str, str], dict[str, int]]:
    """Ask for the kinds of files, and return kinds and errors."""
    [event] = ask(encode(["7", "stat", *map(str, paths)]))
    assert (event["ev"], event["id"]) == ("stats", 7)
    return event["stats"], event["errors"]


def test_a_request_is_answered_with_its_number(ask: Ask) -> None:
    [event] = ask(b"12 ping\n")
    assert (event["ev"], event["id"]) == ("pong", 12)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"ping\n", "a request starts with its number"),
        (b"-1 ping\n", "a request starts with its number"),
        (b"1\n", "a request without a name"),
        (b"1 fly\n", "no such request"),
        (b"1 ping now\n", "wrong number of words"),
        (b"1 stat\n", "wrong number of words"),
        (b"1 stat %4\n", "a word that is not percent-encoded"),
        (b"1 stat  /a\n", "a word that is not percent-encoded"),
        (b"1 run 0 0 /bin/true\n", "run: LIMIT_MS or UID out of range"),
        (b"1 run 5x 0 /bin/true\n", "run: LIMIT_MS or UID out of range"),
        (b"1 run 86400001 0 /bin/true\n", "run: LIMIT_MS or UID out of range"),
        (b"1 run 5 65535 /bin/true\n", "run: LIMIT_MS or UID out of range"),
        (b"1 swap many\n", "swap: not a number of megabytes"),
        (b"1 write tmp/a 1\n", "write: not an absolute path"),
        (b"1 stop\n", "stop: nothing runs"),
    ],
)
def test_a_request_that_cannot_be_served_is_an_error(ask: Ask, line: bytes, message: str) -> None:
    [event] = ask(line)
    assert (event["ev"], event["message"]) == ("error", message)


def test_a_request_has_so_many_words_and_no_more(ask: Ask) -> None:
    paths = ["/dev/null"] * (MAX_WORDS - 1)
    assert stats(ask, *paths)[0] == {"/dev/null": "chr"}
    [event] = ask(encode(["1", "stat", *paths, "/dev/null"]))
    assert (event["ev"], event["message"]) == ("error", "too many words")


# -- stat --------------------------------------------------------------------------------------


def test_files_have_kinds(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    paths: list[Path | str] = [tmp_path / "file", tmp_path, tmp_path / "fifo", "/dev/null"]
    kinds, errors = stats(ask, *paths)
    assert [kinds[str(path)] for path in paths] == ["reg", "dir", "other", "chr"]
    assert errors == {}


@pytest.mark.parametrize("name", ["gone", "gone/below", "file/below"])
def test_a_file_is_missing_if_the_kernel_says_so(ask: Ask, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    path = str(tmp_path / name)
    assert stats(ask, path) == ({path: "missing"}, {})


def test_a_file_that_cannot_be_looked_at_is_an_error_and_not_missing(
    ask: Ask, tmp_path: Path
) -> None:
    loop, long = tmp_path / "loop", tmp_path / ("n" * 300)
    loop.symlink_to(loop)
    kinds, errors = stats(ask, loop, tmp_path, long)
    assert kinds == {str(loop): "error", str(tmp_path): "dir", str(long): "error"}
    assert errors == {str(loop): errno.ELOOP, str(long): errno.ENAMETOOLONG}


# -- files -------------------------------------------------------------------------------------


def test_a_file_is_read_byte_by_byte_and_a_missing_one_has_its_errno(
    ask: Ask, tmp_path: Path
) -> None:
    content = bytes(range(256))
    (tmp_path / "bytes").write_bytes(content)
    gone = str(tmp_path / "gone")
    events = ask(encode(["3", "read", str(tmp_path / "b*"), gone, str(tmp_path / "z*")]))
    files = {path: text for event in events for path, text in event["files"].items()}
    assert files == {str(tmp_path / "bytes"): content.decode("latin-1")}
    assert [event["errors"] for event in events if event["errors"]] == [{gone: errno.ENOENT}]
    assert [event["last"] for event in events] == [False] * (len(events) - 1) + [True]


def test_a_held_file_is_read_again_from_its_beginning(ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "counter"
    path.write_text("41\n", encoding="ascii")
    write = encode(["2", "write", str(path), "42"])
    events = ask(b"1 hold %s\n" % bytes(path), write, b"3 rehearse\n", b"4 sample\n", b"5 sample\n")
    contents = [event["files"][str(path)] for event in events if event.get("files")]
    assert contents == ["42\n", "42\n"]
    assert [event["id"] for event in events if event["ev"] == "rehearsed"] == [3]


def test_a_write_says_what_went_wrong(ask: Ask, tmp_path: Path) -> None:
    [event] = ask(encode(["1", "write", str(tmp_path / "gone"), "1"]))
    assert (event["ev"], event["errno"]) == ("wrote", errno.ENOENT)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_any_text_arrives_as_the_lab_sent_it(ask: Ask, tmp_path: Path, text: str) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"")
    [event] = ask(encode(["1", "write", str(path), text]))
    assert event["errno"] == 0
    assert path.read_bytes() == text.encode()
