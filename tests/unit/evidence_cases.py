# SPDX-License-Identifier: GPL-2.0
"""Cells' evidence of many ends, and events that somebody else than the agent may have sent."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rmaplab.collect.observe import observe_evidence
from rmaplab.evidence import events
from rmaplab.judge import judge
from rmaplab.model import FREE, Observation, Verdict

from .builders import (
    KTAP_FAIL,
    KTAP_PASS,
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
from .scripted_agent import audit_event

EXAMPLE = Path(__file__).resolve().parents[2] / "reports" / "example" / "cells"
SPLAT = b"[    2.5][   T77] BUG: Bad rss-counter state mm:00000000abcd type:MM_ANONPAGES val:1\n"

Lines = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Evidence:
    """The files that a cell left: its transcript's lines without the last two, and its console."""

    lines: tuple[Mapping[str, Any], ...]
    console: bytes = WHOLE

    def save(self, folder: Path) -> Path:
        """Leave it in a folder as the lab would: numbered and sealed."""
        return save(folder, self.lines, self.console)

    def files(self, folder: Path) -> tuple[bytes, bytes]:
        """The transcript and the console as the lab would leave them."""
        self.save(folder)
        return (folder / "agent.jsonl").read_bytes(), self.console


def observed(folder: Path, transcript: bytes, shown: bytes) -> Observation:
    """The Observation of these files; raises what the reading raises."""
    folder.mkdir(exist_ok=True)
    (folder / "agent.jsonl").write_bytes(transcript)
    (folder / "console.log").write_bytes(shown)
    return observe_evidence(folder)


def verdict(seen: Observation) -> Verdict:
    """The verdict of a lab without expectations."""
    return judge(cell(), seen, ()).verdict


def with_events(lines: Lines, *more: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The lines with others before the workload's exit."""
    where = at(lines, "exit")
    return [*lines[:where], *more, *lines[where:]]


CALM = {FREE: "1000", "/proc/vmstat": "nr_anon_pages 7\nnr_mlock 0\n",
        "/proc/meminfo": "SwapFree: 131068 kB\n"}  # fmt: skip
LEAKED = {**CALM, "/proc/vmstat": "nr_anon_pages 519\nnr_mlock 0\n"}
_LEDGER = from_lab("ledger", bounds={}, error="", leaves={}, cpus=1)
_MISMATCH = audit_event("end", kinds={"count": 8})


def _audited(*audits: Mapping[str, Any]) -> Evidence:
    lines = with_events(conversation(*KTAP_PASS), *(from_agent(**{
        "event": "audit", **{k: v for k, v in one.items() if k != "ev"}, "id": RUN,
    }) for one in audits))  # fmt: skip
    return Evidence((lines[0], from_lab("audit"), *lines[1:]))


def _exit(**facts: Any) -> Evidence:
    lines = conversation(*KTAP_PASS)
    lines[at(lines, "exit")] = exited(**facts)
    return Evidence(tuple(lines))


def _early(how: str) -> Evidence:
    lines = conversation(*KTAP_PASS)
    return Evidence((*lines[: at(lines, "exit")], from_lab("end", how=how, detail="why")))


@functools.cache
def cases() -> Mapping[str, Evidence]:
    """Evidence by what it is of; those that pass begin with ``pass``."""
    taint = conversation(*KTAP_PASS, before={TAINTED: "0\n"}, after={TAINTED: "512\n"})
    return {
        "pass": Evidence(tuple(conversation(*KTAP_PASS))),
        "pass audited": _audited(audit_event("touch"), audit_event("end")),
        "pass balanced": Evidence(
            (_LEDGER, *conversation(*KTAP_PASS, before=CALM, after=CALM))
        ),
        "fail": Evidence(tuple(conversation(*KTAP_FAIL, status=1))),
        "output cut": Evidence(tuple(conversation("KTAP version 1", "1..2", "ok 1 a"))),
        "taint": Evidence(tuple(taint)),
        "leak": Evidence((_LEDGER, *conversation(*KTAP_PASS, before=CALM, after=LEAKED))),
        "splat": Evidence(tuple(conversation(*KTAP_PASS)), console(SPLAT)),
        "splat at boot": Evidence(tuple(conversation(*KTAP_PASS)), console(boot=SPLAT)),
        "audit at a mark": _audited({**_MISMATCH, "name": "touch"}, audit_event("end")),
        "audit at the end": _audited(_MISMATCH),
        "audit that did not come": _audited(),
        "killed": _exit(status=-1, signal=9),
        "timeout": _exit(status=-1, signal=9, timeout=True),
        "left": _exit(left=2),
        "flood": Evidence(
            tuple(with_events(conversation(*KTAP_PASS),
                              from_agent("flood", id=RUN, stream="out", dropped=7)))
        ),
        "panic": _early("panic"),
        "silence": _early("silence"),
        "garbled": _early("garbled"),
        "no end": Evidence(tuple(conversation(*KTAP_PASS)[:-1])),
        "skip": Evidence(
            (from_lab("skip", reason="no swap"), from_lab("end", how="not-run", detail="no"))
        ),
        **dict(_real()),
    }  # fmt: skip


def _real() -> Iterator[tuple[str, Evidence]]:
    """The evidence of real cells; the patched kernel's pass."""
    for folder in sorted(EXAMPLE.iterdir()):
        said = map(json.loads, (folder / "agent.jsonl").read_bytes().splitlines())
        lines = tuple(line for line in said if line["ev"] not in {"console", "sealed"})
        kernel = "pass " if folder.name.startswith("patched.") else ""
        yield f"{kernel}{folder.name}", Evidence(lines, (folder / "console.log").read_bytes())


def forged(number: int) -> list[dict[str, Any]]:
    """An event of each kind of the agent's, as the answer to a request, but for output."""
    own = {"id": number}
    found = [
        from_agent("ready", protocol=2), from_agent("beat"), from_agent("pong", **own),
        from_agent("marked", **own), from_agent("wrote", errno=0, **own),
        from_agent("files", files={TAINTED: "0\n"}, errors={}, last=True, **own),
        from_agent("files", files={TAINTED: "512\n"}, errors={}, last=True, **own),
        from_agent("files", files=dict(_without_free(LEAKED)), errors={}, last=True, **own),
        from_agent("files", files=dict(_without_free(CALM)), errors={}, last=False, **own),
        from_agent("rehearsed", **own), from_agent("stats", stats={}, errors={}, **own),
        from_agent("swapped", errno=0, step="", **own),
        from_agent("khugepaged", errno=0, scans=1, **own),
        from_agent("auditing", on=False, pfns=0, **own),
        from_agent("drained", errno=0, free=1, pcp=1, steady=True, polls=1, **own),
        from_agent("staged", pid=1, **own), from_agent("awaiting", errno=0, **own),
        from_agent("bye", **own), from_agent("start", pid=77, **own),
        from_agent("flood", stream="out", dropped=0, **own), {**exited(), **own},
        from_agent("error", message="no", **own), from_agent("err", text="", **own),
    ]  # fmt: skip
    assert {line["ev"] for line in found} == {
        events.name_of(kind) for kind in events.AGENT_EVENTS
    } - {"out", "audit"}
    return found


def _without_free(files: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((path, text) for path, text in files.items() if path != FREE)
