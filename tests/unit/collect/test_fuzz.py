# SPDX-License-Identifier: GPL-2.0
"""Golden logs, spoilt: no bytes raise, reads may cut anywhere, and time stays linear.

The seed is fixed, so that a failure comes back; RMAPLAB_FUZZ=N makes N rounds of it.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmaplab.collect.console import parse_log
from rmaplab.collect.ktap import parse_ktap
from rmaplab.collect.splats import SplatParser, parse_console
from rmaplab.collect.splats.parser import MAX_SPLATS
from rmaplab.model import Splat

GOLDEN = Path(__file__).resolve().parents[2] / "golden/console"
LOGS = [path.read_bytes() for path in sorted(GOLDEN.glob("*.log"))]
ROUNDS = int(os.environ.get("RMAPLAB_FUZZ", "150"))
KTAP = b"""\
KTAP version 1
1..3
  KTAP version 1
  # Subtest: suite
  1..2
  # a diagnostic
  ok 1 first # SKIP no device
  not ok 2 second # TODO later
ok 1 suite
[   12.345678][   T77] not ok 2 other # rc=3
Bail out! enough
ok 3 last # XFAIL known
"""
WORDS = [b"\n", b"\r\n", b"\x00", b"\x1b[31m", b"BUG: ", b"------------[ cut here ]------------",
         b"[   12.345678][   T77] ", b"rmaplab: begin x\n", b"rmaplab: end x\n", b"ok 1 ",
         b"Call Trace:\n", b" foo+0x1/0x2\n", b"\xff\xfe", b"1..999999999\n", b"\xe2\x80\xa8",
         b"o\x00k 1 a\n"]  # fmt: skip


def spoilt(rng: random.Random) -> bytes:
    """A golden log, or two cut together, with bytes flipped, removed, repeated and put in."""
    data = bytearray(rng.choice(LOGS)[: 1 << 14])
    if rng.random() < 0.3:
        data += rng.choice(LOGS)[rng.randrange(1 << 12) :][: 1 << 13]
    if rng.random() < 0.3:
        data += KTAP
    for _ in range(rng.randrange(1, 30)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del data[at : at + rng.randrange(1, 400)]
            case 2:
                data[at:at] = data[at : at + rng.randrange(1, 2000)]
            case 3:
                data[at:at] = rng.choice(WORDS)
            case _:
                data[at:at] = rng.randbytes(rng.randrange(1, 40))
    return bytes(data)


def in_pieces(data: bytes, rng: random.Random) -> list[bytes]:
    pieces, at = [], 0
    while at < len(data):
        size = rng.choice([1, 2, 7, 64, 1000, 5000])
        pieces.append(data[at : at + size])
        at += size
    return pieces


def check(splats: tuple[Splat, ...], data: bytes) -> None:
    assert len(splats) <= MAX_SPLATS + 2
    assert sum(not splat.following for splat in splats) == min(len(splats), 1)
    for splat in splats:
        assert splat.title
        assert len(splat.fingerprint) == 12
        assert 1 <= splat.line <= data.count(b"\n") + 1


def test_no_spoilt_log_raises_and_reads_do_not_matter() -> None:
    rng = random.Random(4711)
    for _ in range(ROUNDS):
        data = spoilt(rng)
        whole = parse_log([data])
        check(whole.splats, data)
        assert parse_log(in_pieces(data, rng)) == whole, data


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_golden_log_may_be_cut_anywhere(data: st.DataObject) -> None:
    log = data.draw(st.sampled_from(LOGS))[: 1 << 14]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=8)))
    parser = SplatParser()
    for start, end in zip([0, *cuts], [*cuts, len(log)], strict=True):
        parser.feed(log[start:end])
    assert parser.finish() == parse_console(log)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(KTAP.decode().splitlines()),
                          st.text(max_size=6)), max_size=40))  # fmt: skip
def test_no_ktap_raises_and_a_failure_is_never_lost(lines: list[tuple[int, str, str]]) -> None:
    text = [" " * 2 * indent + line + tail for indent, line, tail in lines]
    report = parse_ktap(text)
    bad = sum(subtest.verdict.value in {"fail", "error"} for subtest in report.subtests)
    if report.bailed_out is None and any(
        line.lstrip().startswith("not ok 2 other # rc=3") for line in text
    ):
        assert bad or report.problems


def _steps(parse: Callable[[], object]) -> int:
    """How many calls of Python the parser needs: what a stopwatch would measure, without noise."""
    count = 0

    def tracer(_frame: object, _event: str, _argument: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(tracer)
    try:
        parse()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "unit",
    [KTAP, KTAP.replace(b"Bail out", b"# Bail"), b"ok 1 a\n", b"  not ok 1 a\n", b"# x\n",
     b"1..3\n", b" " * 40 + b"ok 1\n", LOGS[0][-2000:]],
    ids=range(8),
)  # fmt: skip
def test_eight_times_the_input_takes_eight_times_the_work(unit: bytes) -> None:
    unit *= max(1, 4000 // len(unit))
    short = _steps(lambda: parse_log([unit * 4]))
    long = _steps(lambda: parse_log([unit * 32]))
    assert long <= short * 12, (short, long)


def test_a_flood_of_headlines_takes_time_that_is_linear_in_it() -> None:
    reads = [b"[   12.000000][   T77] BUG: INFO: WARNING: refcount: what next\n" * 500] * 8
    assert _steps(lambda: parse_log(reads)) < 12 * _steps(lambda: parse_log(reads[:1]))
