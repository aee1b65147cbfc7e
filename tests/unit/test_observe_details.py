# SPDX-License-Identifier: GPL-2.0
"""Observations: the missing evidence by its name, and each result whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rmaplab.collect import observe as observing
from rmaplab.collect.ktap import NO_VERSION, parse_ktap
from rmaplab.collect.observe import observe, read_console, reason
from rmaplab.judge import judge
from rmaplab.model import (
    Fault,
    Finding,
    FindingKind,
    Observation,
    Outcome,
    SavedMemory,
    Subtest,
    Verdict,
)
from rmaplab.store import memoryfile

from .builders import (
    BOOTED,
    KTAP_FAIL,
    KTAP_PASS,
    PROGRAM,
    READY,
    RUN,
    TAINTED,
    WHOLE,
    at,
    cell,
    console,
    conversation,
    exited,
    from_agent,
    from_lab,
    save,
)

Lines = list[dict[str, Any]]
END = from_lab("end", how="bye", detail="")
WARNED = (
    b"[    1.000000][   T77] ------------[ cut here ]------------\n"
    b"[    1.000001][   T77] WARNING: CPU: 0 PID: 77 at mm/demo.c:10 demo_unmap+0x1f/0x230\n"
    b"[    1.000002][   T77] CPU: 0 UID: 0 PID: 77 Comm: demo Not tainted 6.12.0 #1\n"
    b"[    1.000003][   T77] RIP: 0010:demo_unmap+0x1f/0x230\n"
    b"[    1.000004][   T77] Call Trace:\n"
    b"[    1.000006][   T77]  demo_walk+0x1f/0x230\n"
    b"[    1.000008][   T77] ---[ end trace 0000000000000000 ]---\n"
)


def seen(folder: Path, lines: Lines, shown: bytes = WHOLE) -> Observation:
    return observe(save(folder, lines, shown))


def without(*events: str) -> Lines:
    return [line for line in conversation(*KTAP_PASS) if line["ev"] not in events]


def ended(**facts: Any) -> Lines:
    return [exited(**facts) if line["ev"] == "exit" else line for line in conversation(*KTAP_PASS)]


# -- what a pass lacks -----------------------------------------------------------------------------


def taintless(lines: Lines, label: str) -> Lines:
    """The lines without the taint flags in a sample."""
    number = {"before": 5, "after": 7}[label]
    return [
        {**line, "files": {"/a": "1"}}
        if line.get("id") == number and line["ev"] == "files" and not line["last"]
        else line
        for line in lines
    ]


@pytest.mark.parametrize(
    ("lines", "shown", "why"),
    [
        ([*without(), from_lab("transcript-cut", dropped=7)], WHOLE,
         "7 bytes of the transcript were not kept"),
        ([*without(), from_lab("transcript-cut", dropped=1)], WHOLE,
         "1 bytes of the transcript were not kept"),
        ([*without(), from_lab("phase", phase=1)], WHOLE,
         "the transcript makes no sense: phase.phase: "),
        ([*without(), from_lab("console-cut", dropped=1)], WHOLE,
         "1 bytes of console were not kept"),
        (without(), WHOLE[len(BOOTED):], "the console does not begin with the boot"),
        ([line for line in without("exit") if line.get("id") != 7], WHOLE,
         "the agent said nothing about the workload's end"),
        (without(), WHOLE[: WHOLE.index(b"rmaplab: end") - 20],
         "the console does not show the test's end: it is not whole"),
        (without(), BOOTED + READY,
         f"the console does not show where {PROGRAM} began and ended"),
        (without(), WHOLE.replace(PROGRAM.encode(), b"/bin/exclusive/other"),
         f"the console does not show where {PROGRAM} began and ended"),
        ([line for line in without() if line.get("label") != "before"], WHOLE,
         "the sample before the workload is missing"),
        ([line for line in without() if line.get("label") != "after"], WHOLE,
         "the sample after the workload is missing"),
        (taintless(without(), "before"), WHOLE,
         "the sample before the workload does not have the kernel's taint flags"),
        (taintless(without(), "after"), WHOLE,
         "the sample after the workload does not have the kernel's taint flags"),
        (conversation(*KTAP_PASS, before={"/b": "1", "/a": "1"}, after={"/b": "1"}), WHOLE,
         "one of the two samples does not have /a"),
        (conversation(*KTAP_PASS, before={"/b": "1"}, after={"/b": "1", "/c": "1", "/d": ""}),
         WHOLE, "one of the two samples does not have /c"),
        (conversation(*KTAP_PASS, before={"/b": "1", "agent:free": "1"}, after={"/b": "1"}), WHOLE,
         ""),
    ],
    ids=["cut", "cut by a byte", "garbled", "console cut", "no beginning",
         "no exit", "no end mark", "no marks", "another program's marks", "no before", "no after",
         "no taint before", "no taint after", "file gone", "file new", "not at rest"],
)  # fmt: skip
def test_what_a_whole_cell_lacks_is_said(
    tmp_path: Path, lines: Lines, shown: bytes, why: str
) -> None:
    found = seen(tmp_path, lines, shown)
    if why:
        assert (found.ended, found.fault) == (Outcome.LOST, Fault.LAB)
        assert found.detail.startswith(why)
    else:
        assert (found.ended, found.fault, found.detail) == (
            Outcome.COMPLETED, Fault.NONE, "",
        )  # fmt: skip


def test_a_file_that_could_not_be_read_in_both_samples_is_no_difference(tmp_path: Path) -> None:
    lines = [
        {**line, "errors": {"/x": 13}} if line["ev"] == "files" and line["last"] else line
        for line in conversation(*KTAP_PASS)
    ]
    assert seen(tmp_path, lines).ended is Outcome.COMPLETED
    once = [{**line, "errors": {}} if line.get("id") == 7 and line["ev"] == "files" else line
            for line in lines]  # fmt: skip
    assert seen(tmp_path, once).detail == "one of the two samples does not have /x"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text[: text.rindex('{"at": 1.0, "from": "lab", "ev": "sealed"')],
         "the transcript has no last line: it is not whole"),
        (lambda text: "".join(
            line + "\n" for line in text.splitlines() if '"ev": "console"' not in line
        ).replace('"n": 28', '"n": 27'), "the transcript makes no sense"),
    ],
    ids=["no seal", "no console's size"],
)  # fmt: skip
def test_a_transcript_that_is_cut_is_said_to_be(
    tmp_path: Path, change: Callable[[str], str], why: str
) -> None:
    save(tmp_path, conversation(*KTAP_PASS))
    path = tmp_path / "agent.jsonl"
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    found = observe(tmp_path)
    assert (found.ended, found.fault) == (Outcome.LOST, Fault.LAB)
    assert found.detail.startswith(why)


def test_the_size_of_the_console_is_held_against_what_was_noted(tmp_path: Path) -> None:
    save(tmp_path, conversation(*KTAP_PASS))
    (tmp_path / "console.log").write_bytes(WHOLE[:-1])
    found = observe(tmp_path)
    assert found.detail == (
        f"the console has {len(WHOLE) - 1} of {len(WHOLE)} bytes: it is not whole"
    )
    (tmp_path / "console.log").write_bytes(WHOLE + b"x")
    assert observe(tmp_path).ended is Outcome.COMPLETED


def test_a_numbered_transcript_has_to_note_the_consoles_size(tmp_path: Path) -> None:
    lines = [*conversation(*KTAP_PASS), from_lab("sealed")]
    save(tmp_path, [])
    path = tmp_path / "agent.jsonl"
    text = "".join(json.dumps({**line, "n": n}) + "\n" for n, line in enumerate(lines))
    path.write_text(text, encoding="utf-8")
    assert observe(tmp_path).detail == "nobody noted how large the console is"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert observe(tmp_path).ended is Outcome.COMPLETED


def test_a_skip_in_the_guest_needs_no_workload(tmp_path: Path) -> None:
    lines = [from_lab("phase", phase="ready"), from_lab("skip", reason="no /x"), END]
    found = seen(tmp_path, lines, BOOTED + READY)
    assert (found.ended, found.skip, found.subtests, found.findings) == (
        Outcome.COMPLETED, "no /x", (), (),
    )  # fmt: skip
    assert seen(tmp_path, lines, READY).detail == (
        "the console does not begin with the boot: it is not whole"
    )


# -- ends ------------------------------------------------------------------------------------------


def test_a_cell_that_was_not_run_says_why(tmp_path: Path) -> None:
    end = from_lab("end", how="not-run", detail="d")
    assert seen(tmp_path, [from_lab("skip", reason="needs swap"), end]) == Observation(
        Outcome.COMPLETED, Fault.NONE, "", skip="needs swap"
    )
    broken = seen(tmp_path, [from_lab("not-built", error="no header"), end])
    assert broken == Observation(
        Outcome.COMPLETED,
        Fault.NONE,
        "",
        findings=(Finding(FindingKind.BUILD, Verdict.FAIL, "no header"),),
    )
    assert judge(cell(), broken, ()).verdict is Verdict.FAIL
    neither = seen(tmp_path, [end])
    assert (neither.ended, neither.fault) == (Outcome.LOST, Fault.LAB)
    run = seen(tmp_path, [from_lab("not-built", error="no header"), *conversation(*KTAP_PASS)])
    assert run.subtests


@pytest.mark.parametrize(
    ("lines", "shown", "expected"),
    [
        ([], WHOLE, (Outcome.LOST, Fault.LAB, "the lab ended before the cell did")),
        ([from_lab("phase", phase="boot"), from_lab("end", how="boot-limit", detail="15 s")],
         b"SeaBIOS\n", (Outcome.INFRA, Fault.LAB, "the kernel never began: 15 s")),
        ([from_lab("phase", phase="boot"), from_lab("end", how="boot-limit", detail="15 s")],
         BOOTED, (Outcome.BOOT_FAILED, Fault.KERNEL, "15 s")),
        ([from_lab("phase", phase="boot"), from_lab("end", how="panic", detail="p")],
         b"", (Outcome.BOOT_FAILED, Fault.KERNEL, "p")),
        ([from_lab("phase", phase="boot"), from_lab("end", how="silence", detail="s")],
         BOOTED, (Outcome.HANG, Fault.KERNEL, "s")),
        ([from_lab("phase", phase="ready"), from_lab("end", how="panic", detail="p")],
         BOOTED, (Outcome.PANIC, Fault.KERNEL, "p")),
        ([from_lab("phase", phase="test"), from_lab("end", how="boot-limit", detail="x")],
         BOOTED, (Outcome.LOST, Fault.LAB, "x")),
        ([from_lab("phase", phase="test"), from_lab("end", how="abducted", detail="x")],
         BOOTED, (Outcome.LOST, Fault.LAB, "x")),
        (ended(timeout=True), WHOLE,
         (Outcome.TIMEOUT, Fault.KERNEL, "the workload was still running at its limit")),
    ],
    ids=["no end", "never began", "boot limit", "panic at boot", "silence at boot", "ready panics",
         "late boot limit", "unknown", "timeout"],
)  # fmt: skip
def test_an_end_has_its_outcome_its_culprit_and_its_reason(
    tmp_path: Path, lines: Lines, shown: bytes, expected: tuple[Outcome, Fault, str]
) -> None:
    found = seen(tmp_path, lines, shown)
    assert (found.ended, found.fault, found.detail) == expected


def test_evidence_that_cannot_be_read_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert seen(tmp_path, without()).ended is Outcome.COMPLETED
    (tmp_path / "console.log").unlink()
    lost = observe(tmp_path)
    assert (lost.ended, lost.fault, lost.detail) == (
        Outcome.INFRA, Observation().fault, "there is no console",
    )  # fmt: skip
    (tmp_path / "console.log").mkdir()
    odd = observe(tmp_path)
    assert (odd.ended, odd.detail) == (
        Outcome.INFRA,
        f"the evidence cannot be read: {tmp_path / 'console.log'}: Is a directory",
    )

    def broken(*words: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr(observing, "read_console", broken)
    assert observe(tmp_path).detail == "the evidence cannot be read: RecursionError: too deep"


# -- results ---------------------------------------------------------------------------------------


def findings(folder: Path, lines: Lines) -> dict[str, str]:
    return {one.name: one.text for one in seen(folder, lines).findings}


def test_what_is_wrong_with_a_workloads_end_is_a_finding(tmp_path: Path) -> None:
    assert findings(tmp_path, ended()) == {}
    assert findings(tmp_path, ended(status=2)) == {"lab: exit": "exit status 2"}
    assert findings(tmp_path, ended(signal=11)) == {"lab: exit": "killed by signal 11"}
    assert findings(tmp_path, ended(status=2, signal=9)) == {"lab: exit": "killed by signal 9"}
    assert findings(tmp_path, ended(left=2)) == {"lab: no process left": "2 processes left behind"}
    assert findings(tmp_path, ended(rmdir=16)) == {"lab: cgroup removed": "rmdir: errno 16"}
    assert findings(tmp_path, ended(timeout=True, status=-1, signal=9, left=3, rmdir=16)) == {}


@pytest.mark.parametrize(
    ("said", "status", "wrong"),
    [
        (KTAP_PASS, 0, False), (KTAP_PASS, 1, True), (KTAP_PASS, 4, True),
        (KTAP_FAIL, 0, False), (KTAP_FAIL, 1, False), (KTAP_FAIL, 2, True), (KTAP_FAIL, 4, True),
        (("KTAP version 1", "1..1", "ok 1 a # SKIP no"), 4, True),
        (("KTAP version 1", "1..0 # SKIP no"), 0, False),
        (("KTAP version 1", "1..0 # SKIP no"), 4, False),
        (("KTAP version 1", "1..0 # SKIP no"), 1, True),
    ],
)  # fmt: skip
def test_an_exit_status_fits_the_results(
    tmp_path: Path, said: tuple[str, ...], status: int, wrong: bool
) -> None:
    found = findings(tmp_path, conversation(*said, status=status))
    assert ("lab: exit" in found) is wrong


def test_a_plan_that_skips_all_is_one_skipped_result(tmp_path: Path) -> None:
    found = seen(tmp_path, conversation("KTAP version 1", "1..0 # SKIP no device"))
    assert [(one.name, one.verdict, one.detail) for one in found.subtests] == [
        ("plan", Verdict.SKIP, "no device"),
    ]  # fmt: skip
    died = conversation("KTAP version 1", "1..0 # SKIP no device")
    died = [*died[: at(died, "exit")], from_lab("end", how="panic", detail="x")]
    assert seen(tmp_path, died).subtests == ()


def test_what_a_dying_workload_printed_is_read(tmp_path: Path) -> None:
    lines = conversation(*KTAP_FAIL)
    died = [*lines[: at(lines, "exit")], from_lab("end", how="panic", detail="x")]
    found = seen(tmp_path, died)
    assert [(one.name, one.verdict) for one in found.subtests] == [
        ("the mapcount stays", Verdict.FAIL),
    ]  # fmt: skip
    assert found.findings == ()
    silent = conversation()
    died = [*silent[: at(silent, "exit")], from_lab("end", how="panic", detail="x")]
    assert (seen(tmp_path, died).subtests, seen(tmp_path, died).findings) == ((), ())


def test_the_last_ten_lines_of_standard_error_are_kept(tmp_path: Path) -> None:
    lines = conversation(*KTAP_PASS, status=2)
    where = at(lines, "exit")
    said = [from_agent("err", id=RUN, text=f"line {n}") for n in range(12)]
    (found,) = seen(tmp_path, [*lines[:where], *said, *lines[where:]]).findings
    assert found.more.splitlines() == [f"line {n}" for n in range(2, 12)]


def test_output_that_is_wrong_as_a_whole_is_a_finding(tmp_path: Path) -> None:
    bailed = seen(tmp_path, conversation("KTAP version 1", "1..1", "Bail out! no device"))
    assert (FindingKind.BAIL_OUT, Verdict.FAIL, "no device") in [
        (one.kind, one.verdict, one.text) for one in bailed.findings
    ]
    odd = seen(tmp_path, conversation("hello"))
    (ktap,) = [one for one in odd.findings if one.kind is FindingKind.KTAP]
    assert ktap.verdict is Verdict.ERROR
    lines = conversation(*KTAP_PASS)
    where = at(lines, "exit")
    floods = [from_agent("flood", id=RUN, stream=stream, dropped=n)
              for stream, n in (("out", 5), ("err", 7))]  # fmt: skip
    (flood,) = seen(tmp_path, [*lines[:where], *floods, *lines[where:]]).findings
    assert (flood.kind, flood.verdict, flood.text) == (
        FindingKind.OUTPUT, Verdict.ERROR, "dropped out: 5 bytes, err: 7 bytes",
    )  # fmt: skip


def of_tree(*said: str, names: list[str] | None, section: str = "6.12", status: int = 0) -> Lines:
    due = from_lab("expected", version="6.12.1", section=section, names=names)
    whole = conversation(*said, status=status)
    return [whole[0], due, *whole[1:]]


def test_a_selftest_of_the_tree_is_held_against_its_list(tmp_path: Path) -> None:
    two = ("TAP version 13", "1..2", "ok 1 one", "ok 2 two")
    assert findings(tmp_path, of_tree(*two, names=["one", "two"])) == {}
    short = seen(tmp_path, of_tree(*two, names=["one", "two", "three"], status=1))
    assert [(one.name, one.verdict) for one in short.subtests] == [
        ("one", Verdict.PASS), ("two", Verdict.PASS), ("three", Verdict.FAIL),
    ]  # fmt: skip
    # The missing one is a failure, and status 1 goes with it.
    assert short.findings == ()
    assert "lab: exit" in findings(tmp_path, of_tree(*two, names=["one", "two"], status=4))
    skips = ("TAP version 13", "1..1", "ok 1 one # SKIP no device")
    assert findings(tmp_path, of_tree(*skips, names=["one"], status=4)) == {}
    assert "lab: new subtests" in findings(tmp_path, of_tree(*two, names=["one"]))
    unlisted = seen(tmp_path, of_tree(*two, names=[], section=""))
    assert (FindingKind.UNLISTED, Verdict.ERROR) in [
        (one.kind, one.verdict) for one in unlisted.findings
    ]


def test_a_selftest_that_breaks_the_format_fails_by_its_own_fault(tmp_path: Path) -> None:
    cut = ("TAP version 13", "1..3", "ok 1 one", "ok 3 three", "ok 4 four")
    whose = {
        section: [one.verdict for one in seen(tmp_path, of_tree(
            *cut, names=["one"], section=section)).findings if one.kind is FindingKind.KTAP]
        for section in ("6.12", "")
    }  # fmt: skip
    assert whose == {"6.12": [Verdict.FAIL], "": [Verdict.ERROR]}


@pytest.mark.parametrize(
    ("status", "verdict"), [(0, Verdict.PASS), (4, Verdict.SKIP), (1, Verdict.FAIL)]
)
def test_a_selftest_without_a_list_of_names_is_judged_by_its_status(
    tmp_path: Path, status: int, verdict: Verdict
) -> None:
    lines = of_tree("all is well", names=None, status=status)
    lines = [{**line, "left": 1} if line["ev"] == "exit" else line for line in lines]
    found = seen(tmp_path, lines)
    assert [(one.name, one.verdict) for one in found.subtests] == [("exit status", verdict)]
    assert [one.name for one in found.findings] == ["lab: no process left"]
    audited = [lines[0], from_lab("audit"), *lines[1:]]
    assert [one.name for one in seen(tmp_path, audited).findings] == [
        "lab: no process left", "lab: audit end",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("detail", "why"),
    [
        ("", ""),
        ("\n \n", ""),
        ("a", "a"),
        ("a\nb\n\n", "b"),
        ("a\nFAILED: b\nc", "b"),
        ("FAILED: a\nFAILED: b", "a"),
        ("  FAILED:  a  \nb", "a"),
        ("a FAILED: b", "a FAILED: b"),
    ],
)
def test_the_reason_is_the_marked_line_or_the_last(detail: str, why: str) -> None:
    assert reason(detail) == why


def test_a_reason_that_a_result_has_is_kept() -> None:
    one = Subtest("a", Verdict.FAIL, "x\ny", "own")
    assert observing._with_reason(one).why == "own"
    assert observing._with_reason(Subtest("a", Verdict.FAIL, "x\ny")).why == "y"


# -- numbers, memory, taint ------------------------------------------------------------------------


def test_instructions_are_summed_over_the_subtests(tmp_path: Path) -> None:
    said = ("KTAP version 1", "1..2", "# rmaplab: instructions 120", "ok 1 a",
            "# rmaplab: instructions 7 fork", "# rmaplab: instructions x", "ok 2 b")  # fmt: skip
    found = seen(tmp_path, conversation(*said))
    assert found.instructions == 127
    assert [one.instructions for one in found.costs] == [120, 7]
    assert seen(tmp_path, conversation(*KTAP_PASS)).instructions is None
    checks = ("KTAP version 1", "1..1", "# read: 8", "ok 1 a")
    assert [(one.what, one.got) for one in seen(tmp_path, conversation(*checks)).values] == [
        ("read", 8),
    ]  # fmt: skip


def test_a_cells_time_is_rounded_to_milliseconds(tmp_path: Path) -> None:
    lines = [*conversation(*KTAP_PASS)[:-1], {**END, "at": 2.34567}]
    assert seen(tmp_path, lines).duration_s == 2.346


def test_the_memory_of_a_guest_is_there_as_long_as_its_file(tmp_path: Path) -> None:
    kept = from_lab("memory", why="panic", seconds=0.5)
    lost = from_lab("memory-not-saved", why="hang", detail="disk full")
    quiet = from_lab("memory-not-saved", why="hang")
    assert seen(tmp_path, conversation(*KTAP_PASS)).memory is None
    assert seen(tmp_path, [*conversation(*KTAP_PASS), lost]).memory == SavedMemory(
        "hang", "", 0, "disk full"
    )
    assert seen(tmp_path, [*conversation(*KTAP_PASS), quiet]).memory == SavedMemory(
        "hang", "", 0, "it is not known why"
    )
    folder = save(tmp_path, [*conversation(*KTAP_PASS), kept])
    assert observe(folder).memory is None
    for size, size_mb in ((1, 1), (1 << 20, 1), ((1 << 20) + 1, 2)):
        (folder / memoryfile.NAME).write_bytes(b"\0" * size)
        assert observe(folder).memory == SavedMemory("panic", memoryfile.NAME, size_mb, "")


@pytest.mark.parametrize(
    ("before", "after", "tainted"),
    [("0", "512", 512), ("512", "512", 0), ("512", "0", 0), ("4", "516", 512), ("512", "640", 128)],
)
def test_a_taint_is_the_flags_that_came(
    tmp_path: Path, before: str, after: str, tainted: int
) -> None:
    lines = conversation(*KTAP_PASS, before={TAINTED: before}, after={TAINTED: after})
    assert seen(tmp_path, lines).tainted == tainted
    assert seen(tmp_path, lines, console(WARNED)).tainted == 0
    half = [line for line in lines if line.get("label") != "after"]
    assert seen(tmp_path, half).tainted == 0


def test_counters_are_those_of_both_samples(tmp_path: Path) -> None:
    vmstat = "/proc/vmstat"
    lines = conversation(*KTAP_PASS, before={vmstat: "nr_mapped 7\n"},
                         after={vmstat: "nr_mapped 9\n"})  # fmt: skip
    change = seen(tmp_path, lines).counters["vmstat.nr_mapped"]
    assert (change.before, change.after) == (7, 9)
    first = [line for line in lines if line.get("label") != "after"]
    change = seen(tmp_path, first).counters["vmstat.nr_mapped"]
    assert (change.before, change.after) == (7, None)
    assert seen(tmp_path, [line for line in lines if line.get("label") != "before"]).counters == {}


# -- the console -----------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [13, 64, 4096])
def test_a_console_is_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(observing, "CHUNK", chunk)
    path = tmp_path / "console.log"
    path.write_bytes(console(WARNED))
    found = read_console(path)
    assert (found.begins, found.within_test, found.size) == (True, False, len(console(WARNED)))
    assert [splat.title for splat in found.splats] == ["WARNING in demo_unmap"]
    path.write_bytes(b"Linux versio" + b"x" * 20 + b"n")
    assert not read_console(path).begins
    path.write_bytes(b"")
    assert (read_console(path).begins, read_console(path).size) == (False, 0)


def test_what_does_not_add_up_in_the_output_is_said_line_by_line(tmp_path: Path) -> None:
    bare = ("1..1", "ok 1 one")
    (ktap,) = seen(tmp_path, conversation(*bare)).findings
    assert (ktap.kind, ktap.verdict, ktap.text, ktap.more) == (
        FindingKind.KTAP, Verdict.ERROR, NO_VERSION, "",
    )  # fmt: skip
    # A selftest of an old tree prints no version, and is excused.
    assert findings(tmp_path, of_tree(*bare, names=["one"])) == {}
    odd = ("KTAP version 1", "1..2", "ok 7 one", "ok 9 two", "ok 11 three")
    problems = parse_ktap(odd).problems
    assert len(problems) > 2
    (ktap,) = [
        one for one in seen(tmp_path, conversation(*odd)).findings if one.kind is FindingKind.KTAP
    ]
    assert [ktap.text, *ktap.more.splitlines()] == list(problems)
