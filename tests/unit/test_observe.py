# SPDX-License-Identifier: GPL-2.0
"""From saved evidence to an Observation: nothing that is missing or cut becomes a pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rmaplab.collect.observe import observe
from rmaplab.collect.splats import SplatParser
from rmaplab.evidence.ends import EndCause
from rmaplab.judge import judge
from rmaplab.model import Fault, FindingKind, Observation, Outcome, Verdict

from .builders import (
    BEGIN,
    BOOTED,
    ENABLED,
    KTAP_FAIL,
    KTAP_PASS,
    READY,
    RUN,
    TAINTED,
    WHOLE,
    at,
    cell,
    console,
    conversation,
    from_agent,
    from_lab,
    save,
)

WARNING = b"""\
[    1.000000][   T77] ------------[ cut here ]------------
[    1.000001][   T77] WARNING: CPU: 0 PID: 77 at mm/demo.c:10 demo_unmap+0x1f/0x230
[    1.000002][   T77] CPU: 0 UID: 0 PID: 77 Comm: demo Not tainted 6.12.0 #1
[    1.000003][   T77] RIP: 0010:demo_unmap+0x1f/0x230
[    1.000004][   T77] Call Trace:
[    1.000005][   T77]  <TASK>
[    1.000006][   T77]  demo_walk+0x1f/0x230
[    1.000007][   T77]  </TASK>
[    1.000008][   T77] ---[ end trace 0000000000000000 ]---
"""


def seen(folder: Path, lines: list[dict[str, Any]], console: bytes = WHOLE) -> Observation:
    return observe(save(folder, lines, console))


def verdict(found: Observation) -> Verdict:
    return judge(cell(), found, ()).verdict


def outcome(found: Observation) -> Outcome:
    return judge(cell(), found, ()).outcome


def at_boot(how: str, detail: str = "why") -> list[dict[str, Any]]:
    return [from_lab("cell", cell="c"), from_lab("phase", phase="boot"),
            from_lab("end", how=how, detail=detail)]  # fmt: skip


def in_test(how: str, detail: str = "why") -> list[dict[str, Any]]:
    """The workload printed a pass, then the guest ended some way before the workload did."""
    whole = conversation(*KTAP_PASS)
    upto = next(n for n, line in enumerate(whole) if line["ev"] == "exit")
    return [*whole[:upto], from_lab("end", how=how, detail=detail)]


# -- a cell that lived -------------------------------------------------------------------------


def test_a_whole_cell_is_read_whole(tmp_path: Path) -> None:
    lines = conversation(
        *KTAP_PASS,
        before={"/proc/vmstat": "nr_anon_pages 7\n"},
        after={"/proc/vmstat": "nr_anon_pages 9\n"},
    )
    found = seen(tmp_path, lines)
    assert (found.ended, found.fault) == (Outcome.COMPLETED, Fault.NONE)
    assert [(one.name, one.verdict) for one in found.subtests] == [
        ("the mapcount stays", Verdict.PASS)
    ]
    assert found.counters["vmstat.nr_anon_pages"].delta == 2
    assert found.settings_read == {ENABLED: "never"}
    assert found.duration_s == 2.5
    assert verdict(found) is Verdict.PASS


def test_a_failed_result_is_a_failure_and_exit_status_1_goes_with_it(tmp_path: Path) -> None:
    found = seen(tmp_path, conversation(*KTAP_FAIL, status=1))
    assert [one.verdict for one in found.subtests] == [Verdict.FAIL]
    assert verdict(found) is Verdict.FAIL


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"status": 1}, "lab: exit"),
        ({"status": 2}, "lab: exit"),
        ({"status": -1, "signal": 11}, "lab: exit"),
        ({"left": 2}, "lab: no process left"),
        ({"rmdir": 16}, "lab: cgroup removed"),
    ],
)
def test_a_workload_that_ended_badly_fails_whatever_it_printed(
    tmp_path: Path, facts: dict[str, int], name: str
) -> None:
    lines = [{**line, **facts} if line["ev"] == "exit" else line
             for line in conversation(*KTAP_PASS)]  # fmt: skip
    found = seen(tmp_path, lines)
    assert [one.name for one in found.findings if one.verdict is Verdict.FAIL] == [name]
    assert verdict(found) is Verdict.FAIL


def test_what_a_dying_workload_said_last_is_kept(tmp_path: Path) -> None:
    lines = conversation(*KTAP_PASS, status=2)
    lines.insert(at(lines, "exit"), from_agent("err", id=RUN, text="mmap: out of memory"))
    (failed,) = seen(tmp_path, lines).findings
    assert (failed.kind, failed.text) == (FindingKind.EXIT, "exit status 2")
    assert "mmap: out of memory" in failed.detail


@pytest.mark.parametrize(
    "said",
    [
        (),
        ("hello",),
        ("KTAP version 1", "1..2", "ok 1 the mapcount stays"),
        ("KTAP version 1", "1..1", "Bail out! no device"),
    ],
)
def test_a_report_that_is_empty_or_cut_is_no_pass(tmp_path: Path, said: tuple[str, ...]) -> None:
    assert verdict(seen(tmp_path, conversation(*said))) in {Verdict.FAIL, Verdict.ERROR}


def test_output_that_was_dropped_is_no_pass(tmp_path: Path) -> None:
    lines = conversation(*KTAP_PASS)
    lines.insert(at(lines, "exit"), from_agent("flood", id=RUN, stream="out", dropped=1234))
    found = seen(tmp_path, lines)
    assert verdict(found) is Verdict.ERROR
    assert "1234 bytes" in next(
        one.text for one in found.findings if one.kind is FindingKind.OUTPUT
    )


def test_a_splat_fails_a_cell_whose_test_passed(tmp_path: Path) -> None:
    found = seen(tmp_path, conversation(*KTAP_PASS), console(WARNING))
    assert found.ended is Outcome.COMPLETED
    assert judge(cell(), found, ()).reason == "splat: WARNING in demo_unmap"
    assert outcome(found) is Outcome.SPLAT
    assert verdict(found) is Verdict.FAIL


def test_a_workload_at_its_limit_is_a_timeout_of_the_kernels(tmp_path: Path) -> None:
    lines = [{**line, "timeout": True} if line["ev"] == "exit" else line
             for line in conversation(*KTAP_PASS)]  # fmt: skip
    found = seen(tmp_path, lines)
    assert (found.ended, found.fault) == (Outcome.TIMEOUT, Fault.KERNEL)


def test_counters_without_an_after_have_no_delta(tmp_path: Path) -> None:
    lines = conversation(*KTAP_PASS, before={"/proc/vmstat": "nr_anon_pages 7\n"})
    upto = next(n for n, line in enumerate(lines) if line["ev"] == "exit")
    found = seen(tmp_path, [*lines[:upto], from_lab("end", how="panic", detail="x")])
    assert found.counters["vmstat.nr_anon_pages"].delta is None


# -- skips -------------------------------------------------------------------------------------


def test_a_cell_that_was_not_run_needs_no_console(tmp_path: Path) -> None:
    save(tmp_path, [from_lab("cell", cell="c"), from_lab("skip", reason="needs swap"),
                    from_lab("end", how="not-run", detail="needs swap")])  # fmt: skip
    (tmp_path / "console.log").unlink()
    assert observe(tmp_path).skip == "needs swap"


def test_a_skip_in_the_guest_is_one_if_the_guest_lived(tmp_path: Path) -> None:
    said = [from_lab("phase", phase="ready"), from_lab("skip", reason="no /proc/x")]
    lived = seen(tmp_path, [*said, from_lab("end", how="bye", detail="")])
    assert verdict(lived) is Verdict.SKIP
    died = seen(tmp_path, [*said, from_lab("end", how="panic", detail="")])
    assert verdict(died) is Verdict.FAIL


def test_a_splat_is_no_skip(tmp_path: Path) -> None:
    said = [from_lab("phase", phase="ready"), from_lab("skip", reason="no /proc/x"),
            from_lab("end", how="bye", detail="")]  # fmt: skip
    assert verdict(seen(tmp_path, said, console(WARNING))) is Verdict.FAIL


# -- deaths ------------------------------------------------------------------------------------

ENDS = {
    EndCause.PANIC: (Outcome.PANIC, Fault.KERNEL),
    EndCause.RESET: (Outcome.LOST, Fault.KERNEL),
    EndCause.POWEROFF: (Outcome.LOST, Fault.KERNEL),
    EndCause.QEMU_EXIT: (Outcome.INFRA, Fault.LAB),
    EndCause.CLOSED: (Outcome.LOST, Fault.LAB),
    EndCause.READY_LIMIT: (Outcome.HANG, Fault.KERNEL),
    EndCause.TEST_LIMIT: (Outcome.TIMEOUT, Fault.KERNEL),
    EndCause.SILENCE: (Outcome.HANG, Fault.KERNEL),
    EndCause.UNUSABLE: (Outcome.INFRA, Fault.LAB),
    EndCause.GARBLED: (Outcome.LOST, Fault.LAB),
    EndCause.LAB_ERROR: (Outcome.INFRA, Fault.LAB),
}


@pytest.mark.parametrize("how", ENDS)
def test_each_end_during_a_test_has_its_outcome_and_its_culprit(
    tmp_path: Path, how: EndCause
) -> None:
    found = seen(tmp_path, in_test(str(how)))
    assert (found.ended, found.fault) == ENDS[how]
    assert found.detail == "why"
    kernel = found.fault is Fault.KERNEL
    assert verdict(found) is (Verdict.FAIL if kernel else Verdict.ERROR)


@pytest.mark.parametrize(
    "how", [EndCause.PANIC, EndCause.RESET, EndCause.POWEROFF, EndCause.BOOT_LIMIT]
)
def test_a_kernel_that_dies_at_boot_failed_to_boot(tmp_path: Path, how: EndCause) -> None:
    found = seen(tmp_path, at_boot(str(how)))
    assert (found.ended, found.fault) == (Outcome.BOOT_FAILED, Fault.KERNEL)


def test_a_kernel_that_never_began_is_not_to_blame(tmp_path: Path) -> None:
    found = seen(tmp_path, at_boot("boot-limit"), b"SeaBIOS\n")
    assert (found.ended, found.fault) == (Outcome.INFRA, Fault.LAB)


@pytest.mark.parametrize("how", list(EndCause))
def test_no_end_without_a_workloads_end_is_a_pass(tmp_path: Path, how: EndCause) -> None:
    for lines in (in_test(str(how)), at_boot(str(how))):
        assert verdict(seen(tmp_path, lines)) is not Verdict.PASS


def test_an_end_that_is_not_known_is_lost(tmp_path: Path) -> None:
    found = seen(tmp_path, in_test("abducted"))
    assert (found.ended, found.fault) == (Outcome.LOST, Fault.LAB)


# -- evidence that is missing, cut or hostile --------------------------------------------------


def test_no_evidence_at_all_is_an_error(tmp_path: Path) -> None:
    assert verdict(observe(tmp_path)) is Verdict.ERROR
    assert verdict(observe(tmp_path / "nowhere")) is Verdict.ERROR


@pytest.mark.parametrize("missing", ["agent.jsonl", "console.log"])
def test_a_missing_file_is_an_error(tmp_path: Path, missing: str) -> None:
    save(tmp_path, conversation(*KTAP_PASS))
    (tmp_path / missing).unlink()
    assert verdict(observe(tmp_path)) is Verdict.ERROR


def test_a_transcript_cut_anywhere_is_never_a_pass(tmp_path: Path) -> None:
    save(tmp_path, conversation(*KTAP_PASS))
    path = tmp_path / "agent.jsonl"
    whole = path.read_bytes()
    assert verdict(observe(tmp_path)) is Verdict.PASS
    for size in range(0, len(whole) - 1, 11):
        path.write_bytes(whole[:size])
        assert verdict(observe(tmp_path)) is Verdict.ERROR, size


def test_a_transcript_that_lost_any_one_line_of_the_workload_is_never_a_pass(
    tmp_path: Path,
) -> None:
    lines = conversation("KTAP version 1", "1..2", "ok 1 a", "ok 2 b")
    for number, line in enumerate(lines):
        if line["ev"] in {"exit", "end"} or line.get("text", "").startswith("ok"):
            cut = [*lines[:number], *lines[number + 1 :]]
            assert verdict(seen(tmp_path, cut)) is not Verdict.PASS, line


@pytest.mark.parametrize("rubbish", [b"\xff\xfe\n", b"[]\n", b"null\n", b'"bye"\n', b"{\n"])
def test_rubbish_in_a_transcript_ends_it(tmp_path: Path, rubbish: bytes) -> None:
    save(tmp_path, conversation(*KTAP_PASS))
    path = tmp_path / "agent.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:-1], rubbish, lines[-1]]))
    assert verdict(observe(tmp_path)) is Verdict.ERROR


# A guest's root can write to the agent's port itself.
FORGED: list[dict[str, Any]] = [
    {"ev": "end"},
    {"ev": "end", "how": "bye", "detail": ""},
    {"ev": "phase"},
    {"ev": "skip"},
    {"ev": "skip", "reason": "please"},
    {"ev": "setting"},
    {"ev": "sample"},
    {"ev": "sample", "label": "before", "id": "x"},
    {"ev": "beat", "at": "soon"},
    {"ev": "files", "id": 5, "files": ["a"]},
    {"ev": "files", "id": 5, "files": {"/proc/vmstat": 7}},
    {"ev": "exit", "start_t": "x", "end_t": []},
    {"ev": "exit", "status": "0", "signal": "x", "left": "x"},
    {"ev": "out", "text": "\ud800"},
    {"ev": "flood"},
]
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
keys = st.sampled_from(
    ["id", "text", "files", "status", "signal", "timeout", "left", "rmdir", "start_t", "end_t",
     "stream", "dropped", "last"]
)  # fmt: skip
EVENTS = ["out", "err", "exit", "files", "flood", "beat", "ready", "start", "error"]


@pytest.mark.parametrize(
    "forged", FORGED, ids=[f"{one['ev']} {number}" for number, one in enumerate(FORGED)]
)
def test_an_agent_that_sends_nonsense_breaks_nothing(
    tmp_path: Path, forged: dict[str, Any]
) -> None:
    lines = conversation(*KTAP_PASS)
    lines.insert(at(lines, "exit"), {"at": 1.0, "from": "agent", **forged})
    assert isinstance(seen(tmp_path, lines), Observation)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(
    st.lists(
        st.tuples(st.sampled_from(EVENTS), st.dictionaries(keys, values, max_size=4)), max_size=4
    )
)
def test_no_event_of_an_agent_breaks_the_reading(
    tmp_path: Path, events: list[tuple[str, dict[str, Any]]]
) -> None:
    lines = conversation(*KTAP_PASS)
    where = at(lines, "exit")
    lines[where:where] = [from_agent(name) | facts for name, facts in events]
    assert isinstance(seen(tmp_path, lines), Observation)


def test_the_last_word_on_a_cells_end_is_the_labs(tmp_path: Path) -> None:
    lines = [*conversation(*KTAP_PASS), from_lab("end", how="panic", detail="x")]
    assert seen(tmp_path, lines).ended is Outcome.PANIC


# -- witnesses that need no console --------------------------------------------------------------


def test_a_kernel_that_tainted_itself_in_silence_is_no_pass(tmp_path: Path) -> None:
    lines = conversation(*KTAP_PASS, before={TAINTED: "0\n"}, after={TAINTED: "512\n"})
    found = seen(tmp_path, lines)
    assert (found.ended, found.tainted) == (Outcome.COMPLETED, 512)
    assert outcome(found) is Outcome.SPLAT
    assert verdict(found) is Verdict.FAIL


@pytest.mark.parametrize(
    ("event", "ended"),
    [
        ({"ev": "GUEST_PANICKED", "facts": {"action": "pause"}}, Outcome.PANIC),
        ({"ev": "SHUTDOWN", "facts": {"guest": True, "reason": "guest-reset"}}, Outcome.LOST),
        ({"ev": "SHUTDOWN", "facts": {"guest": True, "reason": "guest-shutdown"}}, Outcome.LOST),
    ],
)
def test_qemu_is_believed_when_it_says_that_the_guest_died(
    tmp_path: Path, event: dict[str, Any], ended: Outcome
) -> None:
    lines = conversation(*KTAP_PASS)
    found = seen(tmp_path, [*lines[:-1], {"from": "qemu", "at": 2.4, **event}, lines[-1]])
    assert (found.ended, found.fault) == (ended, Fault.KERNEL)
    assert verdict(found) is Verdict.FAIL


def test_a_console_that_was_not_kept_whole_is_no_pass(tmp_path: Path) -> None:
    lines = [*conversation(*KTAP_PASS), from_lab("console-cut", dropped=17)]
    found = seen(tmp_path, lines)
    assert (found.ended, found.fault) == (Outcome.LOST, Fault.LAB)
    assert "17 bytes" in found.detail


@pytest.mark.parametrize("console", [b"", b"[    1.0] only the end of a boot\n"])
def test_a_console_without_its_beginning_is_no_pass(tmp_path: Path, console: bytes) -> None:
    found = seen(tmp_path, conversation(*KTAP_PASS), console)
    assert (found.ended, found.fault) == (Outcome.LOST, Fault.LAB)


def test_what_kept_qemu_from_starting_is_said_though_there_is_no_console(tmp_path: Path) -> None:
    folder = save(tmp_path, at_boot("unusable", "QEMU did not start: no such option"), BOOTED)
    (folder / "console.log").unlink()
    found = observe(folder)
    assert found.ended is Outcome.INFRA
    assert "no such option" in found.detail


def test_a_plan_that_skips_all_is_a_skip(tmp_path: Path) -> None:
    lines = [
        {**line, "status": 4} if line["ev"] == "exit" else line
        for line in conversation("KTAP version 1", "1..0 # SKIP no device")
    ]
    assert verdict(seen(tmp_path, lines)) is Verdict.SKIP


# -- the console as a witness ------------------------------------------------------------------

MARKS = READY + BEGIN


def test_a_console_that_cannot_be_parsed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: SplatParser, _chunk: bytes) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr(SplatParser, "feed", broken)
    found = seen(tmp_path, conversation(*KTAP_PASS))
    assert found.ended is Outcome.INFRA
    assert "RecursionError: too deep" in found.detail
    assert verdict(found) is Verdict.ERROR


def test_a_console_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    folder = save(tmp_path, conversation(*KTAP_PASS))
    (folder / "console.log").unlink()
    (folder / "console.log").mkdir()
    found = observe(folder)
    assert (found.ended, verdict(found)) == (Outcome.INFRA, Verdict.ERROR)


def test_a_console_that_breaks_off_within_the_test_is_no_pass(tmp_path: Path) -> None:
    assert verdict(seen(tmp_path, conversation(*KTAP_PASS), WHOLE)) is Verdict.PASS
    found = seen(tmp_path, conversation(*KTAP_PASS), BOOTED + MARKS)
    assert (found.ended, found.fault) == (Outcome.LOST, Fault.LAB)
    assert "not whole" in found.detail


def test_on_a_console_without_marks_all_is_the_boots(tmp_path: Path) -> None:
    found = seen(tmp_path, conversation(*KTAP_PASS), BOOTED + WARNING)
    assert [splat.owner for splat in found.splats] == ["boot"]


def test_a_complaint_at_boot_is_said_to_be_one(tmp_path: Path) -> None:
    found = seen(tmp_path, conversation(*KTAP_PASS), console(boot=WARNING))
    assert judge(cell(), found, ()).reason == "splat: WARNING in demo_unmap (at boot)"


SPLATTED = console(WARNING)


def test_how_a_cell_ended_leaves_the_console_out_of_account(tmp_path: Path) -> None:
    def ended(lines: list[dict[str, Any]], shown: bytes = SPLATTED) -> Outcome:
        return seen(tmp_path, lines, shown).ended

    whole = conversation(*KTAP_PASS)
    assert ended(whole) is Outcome.COMPLETED
    no_exit = [line for line in whole if line["ev"] != "exit"]
    assert ended(no_exit) is Outcome.LOST
    late = [{**line, "timeout": True} if line["ev"] == "exit" else line for line in whole]
    assert ended(late) is Outcome.TIMEOUT
    assert ended(in_test("panic")) is Outcome.PANIC


def test_a_notice_and_a_complaint_at_boot_do_not_explain_a_taint(tmp_path: Path) -> None:
    lines = conversation(*KTAP_PASS, after={TAINTED: "512\n"}, before={TAINTED: "0\n"})
    oom = b"[    2.5][   T9] Out of memory: Killed process 77 (demo) total-vm:12kB\n"
    assert seen(tmp_path, lines, console(oom)).tainted == 512
    assert seen(tmp_path, lines, console(boot=WARNING)).tainted == 512
    assert seen(tmp_path, lines, console(WARNING)).tainted == 0
