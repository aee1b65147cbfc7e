# SPDX-License-Identifier: GPL-2.0
"""Whose a splat is: the marks of the agent and of the testcases, true and forged."""

from __future__ import annotations

import pytest

from rmaplab.collect.splats import SplatParser, parse_console
from rmaplab.model import OWNER_BOOT, OWNER_GAP

AGENT, TEST = "T1", "T77"
BANNER = b"[    0.000000][    T0] Linux version 6.12.0 (gcc) #1 SMP\n"


def said(text: str, caller: str = TEST) -> bytes:
    return f"[   12.000000][{caller:>6}] {text}\n".encode()


def mark(text: str, caller: str = AGENT) -> bytes:
    return said(f"rmaplab: {text}", caller)


WARNING = b"".join(
    said(line)
    for line in (
        "WARNING: CPU: 1 PID: 77 at mm/demo.c:1312 demo_unmap+0x88/0x1c0",
        "CPU: 1 UID: 0 PID: 77 Comm: demo Not tainted 6.12.0 #1",
        "Call Trace:",
        " demo_walk+0x1f/0x230",
        "---[ end trace 0000000000000000 ]---",
    )
)
READY, BEGIN, END = mark("ready"), mark("begin /bin/exclusive/mapcount"), mark(
    "end /bin/exclusive/mapcount"
)  # fmt: skip


def owner(console: bytes) -> str:
    (splat,) = parse_console(BANNER + console)
    return splat.owner


@pytest.mark.parametrize(
    ("console", "whose"),
    [
        (WARNING + READY + BEGIN + END, OWNER_BOOT),
        (READY + WARNING + BEGIN + END, OWNER_GAP),
        (READY + BEGIN + WARNING + END, "exclusive/mapcount"),
        (READY + BEGIN + END + WARNING, OWNER_GAP),
        (READY + BEGIN + END + mark("begin /bin/control/rss") + WARNING, "control/rss"),
        (WARNING, ""),
    ],
)
def test_a_splat_is_that_ones_whose_mark_came_last(console: bytes, whose: str) -> None:
    assert owner(console) == whose


def test_a_testcase_may_name_its_parts() -> None:
    one = mark("subtest one", TEST)
    assert owner(READY + BEGIN + one + WARNING + END) == "exclusive/mapcount/one"
    assert owner(READY + BEGIN + one + mark("subtest two", TEST) + WARNING) == (
        "exclusive/mapcount/two"
    )
    assert owner(READY + BEGIN + one + END + WARNING) == OWNER_GAP
    assert owner(READY + one + WARNING) == OWNER_GAP


@pytest.mark.parametrize("caller", [TEST, "C1", "T11", "T0"])
@pytest.mark.parametrize(
    "forged", ["end /bin/exclusive/mapcount", "begin /bin/control/rss", "ready"]
)
def test_a_mark_that_the_agent_did_not_print_is_none(caller: str, forged: str) -> None:
    console = READY + BEGIN + mark(forged, caller) + WARNING + END
    assert owner(console) == "exclusive/mapcount"


def test_what_has_no_caller_is_not_believed_once_there_were_callers() -> None:
    bare = b"rmaplab: end /bin/exclusive/mapcount\n"
    stamped = b"[   12.000000] rmaplab: end /bin/exclusive/mapcount\n"
    for forged in (bare, stamped):
        assert owner(READY + BEGIN + forged + WARNING + END) == "exclusive/mapcount"


def test_a_kernel_without_callers_has_marks_all_the_same() -> None:
    console = (READY + BEGIN + WARNING + END).replace(b"[    T1]", b"").replace(b"[   T77]", b"")
    assert owner(console) == "exclusive/mapcount"


def test_an_agent_beside_other_programs_is_known_by_having_been_ready_first() -> None:
    ready, begin, end = (line.replace(b"[    T1]", b"[  T321]") for line in (READY, BEGIN, END))
    assert owner(ready + begin + WARNING + end) == "exclusive/mapcount"
    assert owner(ready + begin + mark("end /bin/exclusive/mapcount") + WARNING) == (
        "exclusive/mapcount"
    )
    assert owner(ready + READY + begin + end + WARNING) == OWNER_GAP


def test_the_end_of_another_test_ends_nothing() -> None:
    assert owner(READY + BEGIN + mark("end /bin/control/rss") + WARNING) == "exclusive/mapcount"


def test_a_test_that_was_begun_and_not_ended_is_known() -> None:
    def within(console: bytes) -> bool:
        parser = SplatParser()
        parser.feed(console)
        parser.finish()
        return parser.within_test

    assert not within(READY)
    assert not within(BEGIN)  # an agent of before, whose end marks were never read
    assert within(READY + BEGIN)
    assert within(READY + BEGIN + mark("end /bin/exclusive/mapcount", TEST))
    assert not within(READY + BEGIN + END)
    assert not within(READY + BEGIN + WARNING * 200 + END)


def test_the_panic_behind_a_flood_of_splats_is_the_running_tests() -> None:
    panic = said("Kernel panic - not syncing: demo")
    flood = mark("begin /bin/control/rss") + WARNING * 200 + mark("end /bin/control/rss")
    splats = parse_console(READY + flood + BEGIN + panic)
    assert splats[-1].kind == "panic"
    assert splats[-1].owner == "exclusive/mapcount"
