# SPDX-License-Identifier: GPL-2.0
"""Lines of a transcript that make no sense together: each is said, and none is believed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rmaplab.collect import transcript
from rmaplab.collect.transcript import Pages, Saved, first_sample, read, registered
from rmaplab.evidence import events
from rmaplab.model import FREE, ExpectedSubtests

from .builders import KTAP_PASS, RUN, at, conversation, exited, from_agent, from_lab, sampled
from .scripted_agent import audit_event

Line = Mapping[str, Any]


def saved(folder: Path, *lines: Line, numbered: bool = True, sealed: bool = True) -> Saved:
    folder.mkdir(exist_ok=True)
    whole = [*lines, from_lab("sealed")] if sealed else list(lines)
    path = folder / "agent.jsonl"
    path.write_text("".join(
        json.dumps({**line, "n": n} if numbered else line) + "\n" for n, line in enumerate(whole)
    ), encoding="utf-8")  # fmt: skip
    return read(path)


def audit(name: str = "end") -> dict[str, Any]:
    said = {key: value for key, value in audit_event(name).items() if key != "ev"}
    return from_agent("audit", id=RUN, **said)


WHOLE = conversation(*KTAP_PASS)


def before(event: str, *more: Line, lines: list[dict[str, Any]] = WHOLE) -> list[Line]:
    """A whole conversation with more lines before its first one of an event."""
    where = at(lines, event)
    return [*lines[:where], *more, *lines[where:]]


# -- one line after the other ----------------------------------------------------------------------


def test_a_whole_transcript_makes_sense(tmp_path: Path) -> None:
    found = saved(tmp_path, *WHOLE)
    assert (found.garbled, found.sealed, found.numbered, found.how) == ("", True, True, "bye")
    assert (found.program, found.stdout) == ("/bin/exclusive/mapcount", list(KTAP_PASS))
    assert found.settings == {"/sys/kernel/mm/transparent_hugepage/enabled": "never"}


@pytest.mark.parametrize(
    ("numbers", "why"),
    [
        ([0, 1, 2], ""),
        ([1, 2, 3], "a line has the number 1, not 0"),
        ([0, 2, 3], "a line has the number 2, not 1"),
        ([0, 1, 1], "a line has the number 1, not 2"),
        ([0, None, 2], "a line has the number None, not 1"),
        ([None, 1, 2], "a line has the number 1, not None"),
        ([None, None, None], ""),
    ],
    ids=["whole", "first gone", "one gone", "twice", "one without", "first without", "none"],
)
def test_lines_are_numbered_one_by_one(tmp_path: Path, numbers: list[int | None], why: str) -> None:
    lines = [from_lab("phase", phase="boot"), from_lab("cell", cell="c"), from_lab("sealed")]
    found = saved(tmp_path, *(
        line if n is None else {**line, "n": n} for line, n in zip(lines, numbers, strict=True)
    ), numbered=False, sealed=False)  # fmt: skip
    assert found.garbled == why


def test_an_old_transcript_without_numbers_needs_no_seal(tmp_path: Path) -> None:
    old = saved(tmp_path, *WHOLE, numbered=False, sealed=False)
    assert (old.garbled, old.sealed, old.numbered) == ("", True, False)
    cut = saved(tmp_path, *WHOLE, sealed=False)
    assert (cut.garbled, cut.sealed, cut.numbered) == ("", False, True)


def test_nothing_comes_after_the_seal(tmp_path: Path) -> None:
    found = saved(tmp_path, *WHOLE, from_lab("sealed"), from_lab("phase", phase="late"))
    assert found.garbled == "a line comes after the last one"


def test_the_first_thing_that_makes_no_sense_is_said(tmp_path: Path) -> None:
    found = saved(tmp_path, {"ev": "x"}, {"ev": "y"}, from_lab("sealed"), from_lab("sealed"))
    assert found.garbled.startswith("Unable to extract tag")


def test_a_garbled_line_counts_among_the_numbers(tmp_path: Path) -> None:
    path = tmp_path / "agent.jsonl"
    path.write_bytes(b'garbage\n{"at": 1, "from": "lab", "n": 1, "ev": "sealed"}\n')
    found = read(path)
    assert found.garbled.startswith("Invalid JSON")
    assert (found.sealed, found.numbered) == (True, True)
    path.write_bytes(b'{"at": 1, "from": "lab", "ev": "phase", "phase": "a"}\ngarbage\n')
    assert (read(path).sealed, read(path).numbered) == (True, False)


def test_the_last_line_counts_if_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "agent.jsonl"
    line = b'{"at": 1, "from": "lab", "n": 0, "ev": "sealed"}'
    path.write_bytes(line)
    assert not read(path).sealed
    assert "cut: {" in read(path).garbled
    path.write_bytes(line + b"\n")
    assert (read(path).sealed, read(path).garbled) == (True, "")


def test_a_line_is_read_up_to_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "agent.jsonl"
    line = b'{"at": 1, "from": "lab", "n": 0, "ev": "sealed"}'
    path.write_bytes(line + b"\n")
    monkeypatch.setattr(events, "LINE_BYTES", len(line))
    assert (read(path).sealed, read(path).garbled) == (True, "")
    monkeypatch.setattr(events, "LINE_BYTES", len(line) - 1)
    assert read(path).garbled.startswith(f"it is longer than {len(line) - 1} bytes")
    monkeypatch.setattr(events, "LINE_BYTES", len(line) - 2)
    assert "cut: {" in read(path).garbled


# -- what must not come twice, too early or too late -----------------------------------------------

SKIP = from_lab("skip", reason="no /x")
AGAIN = from_lab("request", id=9, words=["run", "10000", "0", "/bin/other"])


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([*WHOLE, from_lab("end", how="bye", detail="")], "the cell ends twice"),
        ([*WHOLE, from_lab("cell", cell="d")], "a second cell begins"),
        (before("exit", SKIP), "a cell is skipped whose workload ran"),
        (before("phase", SKIP), ""),
        (before("end", AGAIN), "a second workload is run"),
        ([*WHOLE, from_agent("out", id=RUN, text="late")],
         "the agent says 'out' after the cell's end"),
        ([*WHOLE, from_agent("beat")], "the agent says 'beat' after the cell's end"),
        (before("exit", from_agent("pong", id=77)),
         "the agent says 'pong': it answers request 77, which is not open"),
        (before("end", from_lab("request", id=3, words=["ping"])), "request 3 after request 7"),
        (before("exit", *sampled("after", 8, {})), "the agent says 'files': it answers request 8 "
         "before request 6"),
        (before("start", *sampled("before", 4, {})), "request 4 after request 6"),
        (before("end", *sampled("before", 8, {})), "the sample before the workload is taken again"),
        (before("end", *sampled("after", 8, {})), ""),
        (before("request", *sampled("after", 4, {})),
         "the sample after the workload is taken before its end"),
        (before("request", *sampled("before", 4, {})),
         "the sample before the workload is taken again"),
        (before("end", from_lab("sample", label="after", id=7)),
         "sample 'after' was not answered whole"),
        (before("end", from_lab("request", id=8, words=["sample"]),
                from_lab("sample", label="after", id=8)), "sample 'after' was not answered whole"),
        (before("end", from_lab("request", id=8, words=["sample"]),
                from_agent("files", id=8, files={"/a": ""}, errors={}, last=False),
                from_lab("sample", label="after", id=8)), "sample 'after' was not answered whole"),
    ],
    ids=["ends twice", "cell twice", "skip of a run", "skip before", "second run", "late out",
         "late beat", "no request", "number", "sample within", "sample of an old number",
         "before again", "after again", "after too early", "before twice", "sealed twice",
         "no answer", "half an answer"],
)  # fmt: skip
def test_what_comes_out_of_its_order_is_said(tmp_path: Path, lines: list[Line], why: str) -> None:
    assert saved(tmp_path, *lines).garbled == why


def test_what_is_out_of_its_order_is_not_believed(tmp_path: Path) -> None:
    late = saved(tmp_path, *WHOLE, from_agent("out", id=RUN, text="late"))
    assert late.stdout == list(KTAP_PASS)
    early = saved(tmp_path, *before("request", *sampled("after", 4, {"/a": "1"})))
    assert early.samples.get("after", {}) == saved(tmp_path, *WHOLE).samples["after"]
    again = saved(tmp_path, *before("end", *sampled("before", 8, {"/a": "1"})))
    assert "/a" not in again.samples["before"]
    number = saved(
        tmp_path, *before("end", from_lab("request", id=3, words=["run", "1", "0", "x"]))
    )
    assert number.program == "/bin/exclusive/mapcount"


def test_a_run_that_names_no_program_is_a_run(tmp_path: Path) -> None:
    for words, program in ((["run", "1", "0"], "?"), (["run-exact", "1", "0", "/x"], "/x"),
                           (["run", "1", "0", "/x", "-a"], "/x")):  # fmt: skip
        assert saved(tmp_path, from_lab("request", id=1, words=words)).program == program
    assert saved(tmp_path, from_lab("request", id=1, words=["ping"])).program == ""


# -- samples ---------------------------------------------------------------------------------------


def test_a_sample_is_its_files_the_unread_ones_and_the_free_pages(tmp_path: Path) -> None:
    found = saved(
        tmp_path,
        from_lab("request", id=1, words=["sample"]),
        from_agent("files", id=1, files={"/a": "1"}, errors={"/b": 13}, last=False),
        from_agent("files", id=1, files={"/c": "2"}, errors={"/d": 2}, last=True),
        from_lab("sample", label="before", id=1, free=105),
    )
    assert found.garbled == ""
    assert found.samples == {"before": {"/a": "1", "/c": "2", FREE: "105"}}
    assert found.unread == {"before": {"/b", "/d"}}


def test_files_that_answer_no_sample_are_in_none(tmp_path: Path) -> None:
    found = saved(
        tmp_path,
        from_lab("request", id=1, words=["read", "/a"]),
        from_agent("files", id=1, files={"/a": "1"}, errors={}, last=True),
        from_lab("sample", label="before", id=1),
    )
    assert found.garbled == "sample 'before' was not answered whole"
    assert found.samples == {}


def test_the_first_sample_is_that_of_a_templates_prologue() -> None:
    lines = sampled("before", 5, {"/a": "1", FREE: "7"})
    said = "".join(json.dumps({**line, "n": n + 1}) + "\n" for n, line in enumerate(lines)).encode()
    assert first_sample(said) == {"/proc/sys/kernel/tainted": "0\n", "/a": "1", FREE: "7"}
    assert first_sample(b"") == {}
    assert first_sample(b"garbage\n" + said)["/a"] == "1"


def test_a_line_of_a_template_is_read_as_any_other(tmp_path: Path) -> None:
    found = saved(tmp_path, {**from_lab("phase", phase="ready"), "template": True},
                  {**from_lab("nonsense"), "template": True})  # fmt: skip
    assert found.phase == "ready"
    assert "nonsense" in found.garbled


# -- what else is said -----------------------------------------------------------------------------


def test_the_last_audit_is_that_of_the_end(tmp_path: Path) -> None:
    out = from_agent("out", id=RUN, text="more")
    err = from_agent("err", id=RUN, text="more")
    for audits, ended in (
        ([audit()], True), ([audit("touch")], False), ([audit("touch"), audit()], True),
        ([audit(), out], False), ([audit(), err], False), ([audit(), audit("touch")], False),
    ):  # fmt: skip
        found = saved(tmp_path, *before("exit", *audits))
        assert found.audited_end is ended
        assert len(found.audits) == sum(one["ev"] == "audit" for one in audits)
    assert found.stderr == []
    assert saved(tmp_path, *before("exit", err)).stderr == ["more"]


def test_pages_are_registered_and_no_output(tmp_path: Path) -> None:
    pages = "# rmaplab: pages 77 0x7f00 64 exclusive"
    found = saved(tmp_path, *before("exit", from_agent("out", id=RUN, text=pages)))
    assert found.pages == [Pages(77, 0x7F00, 64, "exclusive")]
    assert found.stdout == list(KTAP_PASS)


@pytest.mark.parametrize(
    "line",
    ["", "ok 1", "# rmaplab: pages 77 7f00 64 x", "# rmaplab: pages 77 0x7f00 64 ",
     "# rmaplab: pages 77 0x7F00 64 x", " # rmaplab: pages 77 0x7f00 64 x",
     "# rmaplab: pages 77 0x7f00 64 " + "x" * 65, "# rmaplab: pages 1234567890 0x7f00 64 x"],
    ids=["empty", "KTAP", "no prefix", "no name", "capitals", "indented", "long name", "long pid"],
)  # fmt: skip
def test_other_lines_register_no_pages(line: str) -> None:
    assert registered(line) is None


def test_what_a_cell_owes_is_read(tmp_path: Path) -> None:
    ledger = from_lab("ledger", bounds={"a": [-1, 2]}, error="", leaves={"b": None}, cpus=2)
    found = saved(
        tmp_path,
        from_lab("audit"), ledger,
        from_lab("expected", version="1", section="mm", names=["a", "b"]),
        from_lab("not-built", error="no header"),
        from_lab("phase", phase="boot"), from_lab("phase", phase="test"),
    )  # fmt: skip
    assert found.garbled == ""
    assert found.audit_due
    assert found.ledger is not None
    assert (found.ledger.bounds, found.ledger.leaves) == ({"a": (-1, 2)}, {"b": None})
    assert found.expected == ExpectedSubtests("1", "mm", ("a", "b"))
    assert (found.not_built, found.phase) == ("no header", "test")


def test_what_was_not_kept_is_added_up(tmp_path: Path) -> None:
    found = saved(
        tmp_path,
        from_lab("console-cut", dropped=5), from_lab("console-cut", dropped=7),
        from_lab("transcript-cut", dropped=2), from_lab("transcript-cut", dropped=3),
        from_lab("console", bytes=99),
    )  # fmt: skip
    assert (found.console_dropped, found.dropped, found.console_bytes) == (12, 5, 99)
    flood = from_agent("flood", id=RUN, stream="out", dropped=3)
    assert [one.dropped for one in saved(tmp_path, *before("exit", flood)).floods] == [3]


def test_the_guests_memory_is_what_was_said_last(tmp_path: Path) -> None:
    kept = from_lab("memory", why="panic", seconds=2.0)
    lost = from_lab("memory-not-saved", why="panic", detail="disk full")
    gone = from_lab("memory-dropped", why="quota")
    assert isinstance(saved(tmp_path, kept).memory, events.MemorySaved)
    assert isinstance(saved(tmp_path, lost).memory, events.MemoryNotSaved)
    assert isinstance(saved(tmp_path, kept, lost).memory, events.MemoryNotSaved)
    assert saved(tmp_path, kept, gone).memory is None
    assert saved(tmp_path).memory is None


def test_a_cells_time_is_that_of_its_last_line_less_what_the_guest_stood_still(
    tmp_path: Path,
) -> None:
    def lasts(*lines: Line) -> float:
        return saved(tmp_path, *lines).duration_s

    phase = {**from_lab("phase", phase="test"), "at": 10.0}
    assert lasts(phase) == 10.0
    assert lasts(phase, {**from_lab("turn", waited_s=2.0), "at": 11.0}) == 9.0
    late = [{**from_lab("memory", why="x", seconds=3.0), "at": 50.0},
            {**from_lab("memory-not-saved", why="x"), "at": 51.0},
            {**from_lab("memory-dropped", why="x"), "at": 52.0},
            {**from_lab("console", bytes=1), "at": 53.0},
            {**from_lab("console-cut", dropped=1), "at": 54.0},
            {**from_lab("transcript-cut", dropped=1), "at": 55.0}]  # fmt: skip
    assert lasts(phase, *late) == 7.0
    assert lasts(phase, {**from_lab("turn", waited_s=2.0), "at": 11.0}, *late) == 6.0
    assert lasts({**phase, "at": 1.0}, *late) == 0.0


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ([("GUEST_PANICKED", {})], "panic"),
        ([("SHUTDOWN", {"guest": True, "reason": "guest-reset"})], "reset"),
        ([("SHUTDOWN", {"guest": True, "reason": "guest-shutdown"})], "poweroff"),
        ([("SHUTDOWN", {"guest": True})], "poweroff"),
        ([("SHUTDOWN", {"guest": False, "reason": "host-qmp-quit"})], ""),
        ([("SHUTDOWN", {"guest": 1, "reason": "guest-reset"})], ""),
        ([("SHUTDOWN", {})], ""),
        ([("RESET", {"guest": True})], ""),
        ([("GUEST_PANICKED", {}), ("SHUTDOWN", {"guest": True, "reason": "guest-reset"})],
         "panic"),
        ([("SHUTDOWN", {"guest": True, "reason": "guest-reset"}), ("GUEST_PANICKED", {})],
         "panic"),
    ],
    ids=["panic", "reset", "power-off", "no reason", "QMP", "no truth", "nothing", "another event",
         "panic and reset", "reset and panic"],
)  # fmt: skip
def test_qemus_word_on_the_guests_end(
    tmp_path: Path, said: list[tuple[str, dict[str, Any]]], end: str
) -> None:
    lines = [{"at": 1.0, "from": "qemu", "ev": name, "facts": facts} for name, facts in said]
    assert saved(tmp_path, *lines).guest_end == end


def test_the_exit_is_the_agents(tmp_path: Path) -> None:
    lines = [exited(3) if line["ev"] == "exit" else line for line in WHOLE]
    found = saved(tmp_path, *lines)
    assert found.exit is not None
    assert found.exit.status == 3
    assert transcript.AUDIT_END == "end"
