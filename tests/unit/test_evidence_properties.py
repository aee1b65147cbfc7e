# SPDX-License-Identifier: GPL-2.0
"""Evidence never raises, and never passes with a part gone or with somebody's forgery in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from rmaplab.collect import transcript
from rmaplab.evidence.events import Garbled, Line, decode
from rmaplab.model import Outcome, Verdict

from .builders import (
    BEGIN,
    BOOTED,
    END,
    READY,
    RUN,
    TAINTED,
    WHOLE,
    at,
    from_agent,
    from_lab,
    sampled,
)
from .evidence_cases import Evidence, cases, forged, observed, verdict
from .evidence_fuzz import once
from .scripted_agent import audit_event

ALL = list(cases())
PASSING = [name for name in ALL if name.startswith("pass")]
OTHERS = [name for name in ALL if name not in PASSING]
SHORT = [name for name in ALL if "." not in name]

fast = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=200,
    deadline=None,
)


@pytest.mark.parametrize("name", ALL)
def test_the_cases_are_what_they_are_called(tmp_path: Path, name: str) -> None:
    seen = observed(tmp_path, *cases()[name].files(tmp_path))
    assert (verdict(seen) is Verdict.PASS) is (name in PASSING), seen.detail
    if name in PASSING:
        assert seen.ended is Outcome.COMPLETED


# -- evidence that is taken away -------------------------------------------------------------------


@fast
@given(st.data())
def test_a_cell_that_lost_any_lines_of_its_transcript_is_no_pass(
    tmp_path: Path, data: st.DataObject
) -> None:
    text, shown = cases()[data.draw(st.sampled_from(ALL))].files(tmp_path)
    lines = text.splitlines(keepends=True)
    gone = data.draw(st.sets(st.integers(0, len(lines) - 1), min_size=1, max_size=8))
    kept = b"".join(line for number, line in enumerate(lines) if number not in gone)
    assert verdict(observed(tmp_path, kept, shown)) is not Verdict.PASS


@fast
@given(st.data())
def test_a_cell_that_lost_any_end_of_its_transcript_is_no_pass(
    tmp_path: Path, data: st.DataObject
) -> None:
    text, shown = cases()[data.draw(st.sampled_from(ALL))].files(tmp_path)
    size = data.draw(st.integers(0, len(text) - 1))
    assert verdict(observed(tmp_path, text[:size], shown)) is not Verdict.PASS


@pytest.mark.parametrize("name", PASSING)
def test_a_cell_that_lost_any_number_of_its_last_lines_is_no_pass(
    tmp_path: Path, name: str
) -> None:
    text, shown = cases()[name].files(tmp_path)
    lines = text.splitlines(keepends=True)
    for kept in range(len(lines)):
        assert verdict(observed(tmp_path, b"".join(lines[:kept]), shown)) is not Verdict.PASS, kept


def test_a_line_behind_the_last_one_is_no_pass(tmp_path: Path) -> None:
    text, shown = cases()["pass"].files(tmp_path)
    number = text.count(b"\n")
    line = json.dumps({**from_lab("console", bytes=1), "n": number}).encode() + b"\n"
    seen = observed(tmp_path, text + line, shown)
    assert "after the last one" in seen.detail
    assert verdict(seen) is not Verdict.PASS


@fast
@given(st.data())
def test_a_cell_that_lost_any_part_of_its_console_is_no_pass(
    tmp_path: Path, data: st.DataObject
) -> None:
    text, shown = cases()[data.draw(st.sampled_from(ALL))].files(tmp_path)
    start = data.draw(st.integers(0, len(shown) - 1))
    end = data.draw(st.integers(start + 1, len(shown)))
    left = shown[:start] + shown[end:]
    assert verdict(observed(tmp_path, text, left)) is not Verdict.PASS


@fast
@given(st.data())
def test_a_cell_whose_lines_came_twice_or_in_another_order_is_no_pass(
    tmp_path: Path, data: st.DataObject
) -> None:
    text, shown = cases()[data.draw(st.sampled_from(ALL))].files(tmp_path)
    lines = text.splitlines(keepends=True)
    number = data.draw(st.integers(0, len(lines) - 1))
    where = data.draw(st.integers(0, len(lines)))
    if data.draw(st.booleans()):
        changed = [*lines[:where], lines[number], *lines[where:]]
    else:
        rest = [*lines[:number], *lines[number + 1 :]]
        changed = [*rest[:where], lines[number], *rest[where:]]
    assume(changed != lines)
    assert verdict(observed(tmp_path, b"".join(changed), shown)) is not Verdict.PASS


# -- what a pass needs (docs/run-folder.md), although the rest is whole ----------------------------

NEEDED = {"request", "start", "exit", "files", "sample", "end", "audit"}


@pytest.mark.parametrize("name", PASSING)
def test_a_conversation_that_never_had_what_a_pass_needs_is_none(tmp_path: Path, name: str) -> None:
    whole = cases()[name]
    for number, line in enumerate(whole.lines):
        # The set-up of a template, and audits at marks, may as well not have been asked for.
        if line["ev"] not in NEEDED or line.get("template") or line.get("name", "end") != "end":
            continue
        if line["from"] == "lab" and line["ev"] in {"audit", "start"}:  # that one is QEMU's
            continue
        rest = whole.lines[:number] + whole.lines[number + 1 :]
        files = Evidence(rest, whole.console).files(tmp_path)
        assert verdict(observed(tmp_path, *files)) is not Verdict.PASS, line


@pytest.mark.parametrize(
    "shown",
    [
        READY + BEGIN + END,
        BOOTED,
        BOOTED + READY,
        BOOTED + READY + BEGIN,
        BOOTED + READY + END,
        BOOTED + READY + END + BEGIN,
        BOOTED + READY + BEGIN + END.replace(b"mapcount", b"lifecycle"),
        BOOTED + READY + (BEGIN + END).replace(b"mapcount", b"lifecycle"),
        BOOTED + READY + (BEGIN + END).replace(b"T1]", b"T77]"),
        WHOLE[:150],
    ],
)
def test_a_console_without_the_marks_of_the_cells_program_is_no_pass(
    tmp_path: Path, shown: bytes
) -> None:
    whole = cases()["pass"]
    seen = observed(tmp_path, *Evidence(whole.lines, shown).files(tmp_path))
    assert (seen.ended, verdict(seen)) == (Outcome.LOST, Verdict.ERROR)


@pytest.mark.parametrize("without", [("before",), ("after",), ("before", "after")])
def test_samples_without_the_taint_flags_are_no_pass(
    tmp_path: Path, without: tuple[str, ...]
) -> None:
    lines = list(cases()["pass"].lines)
    for label in without:
        number = next(n for n, line in enumerate(lines) if line.get("label") == label)
        lines[number - 2] = {**lines[number - 2], "files": {}}
    seen = observed(tmp_path, *Evidence(tuple(lines)).files(tmp_path))
    assert (seen.ended, verdict(seen)) == (Outcome.LOST, Verdict.ERROR)


@pytest.mark.parametrize("event", ["beat", "out"])
def test_an_agent_that_speaks_after_its_cells_end_is_no_pass(tmp_path: Path, event: str) -> None:
    facts = {"id": RUN, "text": "ok"} if event == "out" else {}
    lines = (*cases()["pass"].lines, from_agent(event, **facts))
    seen = observed(tmp_path, *Evidence(lines).files(tmp_path))
    assert "after the cell's end" in seen.detail
    assert (seen.ended, verdict(seen)) == (Outcome.LOST, Verdict.ERROR)


def test_samples_of_different_files_are_no_pass(tmp_path: Path) -> None:
    lines = list(cases()["pass"].lines)
    number = next(n for n, line in enumerate(lines) if line["ev"] == "files")
    more = {TAINTED: "0\n", "/proc/vmstat": "nr_anon_pages 1\n"}
    lines[number] = {**lines[number], "files": more}
    seen = observed(tmp_path, *Evidence(tuple(lines)).files(tmp_path))
    assert "does not have /proc/vmstat" in seen.detail


def test_evidence_from_before_lines_were_numbered_is_still_read(tmp_path: Path) -> None:
    text, shown = cases()["pass"].files(tmp_path)
    lines = [json.loads(line) for line in text.splitlines()]
    old = [{k: v for k, v in line.items() if k != "n"} for line in lines[:-2]]
    said = b"".join(json.dumps(line).encode() + b"\n" for line in old)
    assert verdict(observed(tmp_path, said, shown)) is Verdict.PASS
    mixed = said + text.splitlines(keepends=True)[-1]
    assert verdict(observed(tmp_path, mixed, shown)) is not Verdict.PASS


# -- what somebody else says -----------------------------------------------------------------------


def ids(evidence: Evidence) -> list[int]:
    """The numbers of requests, and two of none."""
    known = {line["id"] for line in evidence.lines if line["ev"] == "request"}
    return [*sorted(known), 0, 4000]


def forgeries(name: str, number: int) -> list[dict[str, Any]]:
    """The events that a workload may send in a cell of that name, as answers to a request."""
    found = [*forged(number), from_agent(**_audit(number))]
    # A forged audit in place of one that never came cannot be told from the agent's.
    return [one for one in found if "did not come" not in name or one["ev"] != "audit"]


@pytest.mark.parametrize("name", ["leak", "taint"])
def test_no_forged_answer_anywhere_makes_a_leak_or_a_taint_a_pass(
    tmp_path: Path, name: str
) -> None:
    whole = cases()[name]
    for number in (5, RUN, 7):
        for line in forgeries(name, number):
            if line["ev"] not in {"files", "exit", "drained", "error"}:
                continue
            for where in range(len(whole.lines) + 1):
                lines = (*whole.lines[:where], line, *whole.lines[where:])
                seen = observed(tmp_path, *Evidence(lines, whole.console).files(tmp_path))
                assert verdict(seen) is not Verdict.PASS, (line, where)


@fast
@given(st.data())
def test_no_forged_events_anywhere_make_a_pass(tmp_path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(OTHERS))
    whole = cases()[name]
    lines = list(whole.lines)
    for _ in range(data.draw(st.integers(1, 4))):
        line = data.draw(st.sampled_from(forgeries(name, data.draw(st.sampled_from(ids(whole))))))
        lines.insert(data.draw(st.integers(0, len(lines))), line)
    seen = observed(tmp_path, *Evidence(tuple(lines), whole.console).files(tmp_path))
    assert verdict(seen) is not Verdict.PASS


def _audit(number: int) -> dict[str, Any]:
    facts = {key: value for key, value in audit_event().items() if key != "ev"}
    return {"event": "audit", "id": number, **facts}


@fast
@given(st.data())
def test_an_answer_that_comes_behind_the_genuine_one_loses_its_cell(
    tmp_path: Path, data: st.DataObject
) -> None:
    whole = cases()[data.draw(st.sampled_from(PASSING))]
    number = data.draw(st.sampled_from(ids(whole)))
    answers = [one for one in forged(number) if one["ev"] not in {"beat", "ready"}]
    first = max([n for n, one in enumerate(whole.lines) if one.get("id") == number], default=0)
    where = data.draw(st.integers(first + 1, len(whole.lines)))
    lines = (*whole.lines[:where], data.draw(st.sampled_from(answers)), *whole.lines[where:])
    seen = observed(tmp_path, *Evidence(lines, whole.console).files(tmp_path))
    assert (seen.ended, verdict(seen)) == (Outcome.LOST, Verdict.ERROR)


def test_a_sample_is_sealed_when_it_is_taken(tmp_path: Path) -> None:
    """A leak of 512 pages, and a later event that says that they were there before."""
    whole = cases()["leak"]
    first = next(line for line in whole.lines if line["ev"] == "files")
    rewritten = {**first, "files": {**first["files"], "/proc/vmstat": "nr_anon_pages 519\n"}}
    again = from_lab("sample", label="before", id=5, free=488)
    for where in range(at(whole.lines, "sample") + 1, len(whole.lines) + 1):
        for more in ([rewritten], [again], [rewritten, again]):
            lines = (*whole.lines[:where], *more, *whole.lines[where:])
            seen = observed(tmp_path, *Evidence(lines, whole.console).files(tmp_path))
            assert (seen.ended, verdict(seen)) == (Outcome.LOST, Verdict.ERROR)


@pytest.mark.parametrize(
    "more",
    [
        [from_agent("exit", id=RUN, status=0, signal=0, timeout=False, left=0, rmdir=0,
                    start_t=1.0, end_t=2.0)],
        [from_lab("end", how="bye", detail="")],
        [from_lab("cell", cell="another")],
        [from_lab("request", id=1, words=["ping"])],
        [from_lab("request", id=8, words=[])],
        [from_lab("request", id=8, words=["run", "1", "0", "/bin/x"])],
        [from_lab("sample", label="after", id=6)],
        sampled("before", 8, {}),
        [from_lab("skip", reason="no swap")],
        [{**from_lab("end", how="bye", detail=""), "from": "agent"}],
        [{**from_agent("beat"), "from": "lab"}],
        [{**from_agent("beat"), "from": "nobody"}],
        [{"ev": "beat", "t": 1.0}],
    ],
    ids=str,
)  # fmt: skip
def test_what_may_come_once_or_from_one_speaker_is_lost_if_it_comes_otherwise(
    tmp_path: Path, more: list[dict[str, Any]]
) -> None:
    whole = cases()["pass"]
    for where in range(at(whole.lines, "exit") + 1, len(whole.lines) + 1):
        lines = (*whole.lines[:where], *more, *whole.lines[where:])
        seen = observed(tmp_path, *Evidence(lines).files(tmp_path))
        assert (seen.ended, verdict(seen)) == (Outcome.LOST, Verdict.ERROR), where


def test_a_sample_that_was_taken_before_the_workload_is_none_after_it(tmp_path: Path) -> None:
    lines = [{**one, "id": 8} if one.get("id") == RUN else one for one in cases()["pass"].lines]
    after = next(n for n, one in enumerate(lines) if one.get("id") == 7)
    early, rest = lines[after : after + 4], lines[:after] + lines[after + 4 :]
    began = next(n for n, one in enumerate(rest) if one.get("id") == 8)
    seen = observed(tmp_path, *Evidence((*rest[:began], *early, *rest[began:])).files(tmp_path))
    assert "is taken before its end" in seen.detail
    assert (seen.ended, verdict(seen)) == (Outcome.LOST, Verdict.ERROR)


# -- any bytes -------------------------------------------------------------------------------------

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from([10**400, -1, "5", "0x", "1" * 5000, "agent:free"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)  # fmt: skip


@fast
@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_garbled(raw: bytes) -> None:
    assert isinstance(decode(raw), Line | Garbled)


@fast
@given(st.binary(max_size=400), st.binary(max_size=400))
def test_any_bytes_are_evidence_that_is_no_pass(tmp_path: Path, said: bytes, shown: bytes) -> None:
    assert verdict(observed(tmp_path, said, shown)) is not Verdict.PASS


@fast
@given(st.data())
def test_a_line_that_says_anything_else_raises_nothing(tmp_path: Path, data: st.DataObject) -> None:
    whole = cases()[data.draw(st.sampled_from(SHORT))]
    number = data.draw(st.integers(0, len(whole.lines) - 1))
    line = dict(whole.lines[number])
    key = data.draw(st.sampled_from([*line, "id", "free", "more"]))
    line[key] = data.draw(values)
    lines = (*whole.lines[:number], line, *whole.lines[number + 1 :])
    observed(tmp_path, *Evidence(lines, whole.console).files(tmp_path))


@pytest.mark.parametrize("digits", [20, 400, 5000])
def test_numbers_without_end_in_the_guests_files_are_no_counters(
    tmp_path: Path, digits: int
) -> None:
    number = "9" * digits
    files = {
        TAINTED: number, "/proc/vmstat": f"nr_anon_pages {number}\n",
        "/proc/meminfo": f"SwapFree: {number} kB\n",
        "/proc/buddyinfo": f"Node 0, zone Normal {number} {number}\n",
        "/sys/fs/cgroup/cgroup.stat": f"nr_descendants {number}\n",
        f"/sys/kernel/mm/hugepages/hugepages-{number}kB/nr_hugepages": number,
    }  # fmt: skip
    lines = [
        {**line, "files": files} if line.get("files") else line for line in cases()["leak"].lines
    ]
    observed(tmp_path, *Evidence(tuple(lines)).files(tmp_path))


@pytest.mark.parametrize("seed", range(0, 1000, 100))
def test_a_short_fuzz_finds_nothing(tmp_path: Path, seed: int) -> None:
    for number in range(seed, seed + 20):
        once(number, tmp_path)


def test_a_transcript_without_lines_is_read_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "agent.jsonl"
    with path.open("wb") as file:
        file.truncate(1 << 26)
    with path.open("rb") as file:
        assert len(file.readline(100)) == 100
    assert "longer" in transcript.read(path).garbled
