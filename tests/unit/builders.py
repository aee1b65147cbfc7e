# SPDX-License-Identifier: GPL-2.0
"""The model's nouns with defaults that a test does not care about."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rmaplab.collect.observe import reason
from rmaplab.judge import judge
from rmaplab.model import (
    FREE,
    Cell,
    CellResult,
    Comparison,
    CounterChange,
    Device,
    Dimm,
    Exclusion,
    Expectation,
    Fault,
    Finding,
    FindingKind,
    Guest,
    HugepageSettings,
    Inclusion,
    Isolation,
    Judgement,
    Kernel,
    Lab,
    Limits,
    Mark,
    NumaNode,
    Observation,
    Outcome,
    Quarantine,
    QuarantineEntry,
    Requirements,
    Splat,
    Subtest,
    Testcase,
    TestcaseKind,
    Verdict,
    Write,
    place,
)
from rmaplab.report.reported import ReportedRun
from rmaplab.store import cellfiles
from rmaplab.store.cellfiles import ReadCounters
from rmaplab.store.runfolder import KernelFacts, RunFolder, RunRecord
from rmaplab.summarize import RunEnd, summarize

_LIMITS = Limits(15, 5, 5)
_NEEDS_NOTHING = Requirements()
BOOTED = b"[    0.000000] Linux version 6.12.0 (rmaplab@rmaplab) #1 SMP\n"
PROGRAM = "/bin/exclusive/mapcount"
READY = b"[    1.000000][    T1] rmaplab: ready\n"
BEGIN = b"[    2.000000][    T1] rmaplab: begin " + PROGRAM.encode() + b"\n"
END = b"[    3.000000][    T1] rmaplab: end " + PROGRAM.encode() + b"\n"
RUN = 6
"""The number of the request that runs the workload, in ``conversation``."""
TAINTED = "/proc/sys/kernel/tainted"
ENABLED = "/sys/kernel/mm/transparent_hugepage/enabled"


def guest(
    name: str = "q35",
    *,
    nodes: Sequence[NumaNode] = (NumaNode(512, (0,)),),
    devices: Sequence[str] = ("dmirror",),
    swap_mb: int = 128,
    isolation: Isolation = Isolation.BOOT,
    limits: Limits = _LIMITS,
    cmdline: Sequence[str] = (),
    dimms: Sequence[Dimm] = (),
) -> Guest:
    return Guest(
        name=name,
        summary="a guest",
        machine="q35",
        cpu="qemu64",
        cpus=sum(len(node.cpus) for node in nodes),
        nodes=tuple(nodes),
        devices=tuple(Device(one, "a device", (f"/dev/{one}0",)) for one in devices),
        swap_mb=swap_mb,
        cmdline=tuple(cmdline),
        isolation=isolation,
        limits=limits,
        dimms=tuple(dimms),
    )


def settings(name: str = "thp-never") -> HugepageSettings:
    return HugepageSettings(name, "settings", (Write(ENABLED, "never", "never"),))


def testcase(
    name: str = "exclusive/mapcount",
    *,
    id: str = "T1",
    kind: str = "test",
    requires: Requirements = _NEEDS_NOTHING,
    settings: Sequence[str] = ("thp-never", "thp-always"),
    limit_s: float = 10.0,
) -> Testcase:
    return Testcase(
        name=name,
        id=id,
        summary="a testcase",
        kind=TestcaseKind(kind),
        walkers=("try_to_unmap_one",),
        requires=requires,
        settings=tuple(settings),
        limit_s=limit_s,
        args=(),
        source=Path("/nonexistent") / f"{name}.c",
    )


testcase.__test__ = False  # type: ignore[attr-defined]  # a builder, whatever its name says


def kernel(name: str = "base", *, tree: str = "dir:/nonexistent", series: str = "") -> Kernel:
    return Kernel(name, tree, series, ("guest",))


_GUEST = guest()
_SETTINGS = settings()
_TESTCASE = testcase()
_KERNEL = kernel()


def lab(
    *,
    kernels: Sequence[Kernel] = (_KERNEL,),
    guests: Sequence[Guest] = (_GUEST,),
    settings: Sequence[HugepageSettings] = (_SETTINGS,),
    testcases: Sequence[Testcase] = (_TESTCASE,),
    repeat: int = 1,
    expectations: Sequence[Expectation] = (),
    **matrix: Any,
) -> Lab:
    return Lab(
        name="tiny",
        path=Path("/nonexistent/tiny.yaml"),
        kernels=tuple(kernels),
        guests=tuple(guests),
        settings=tuple(settings),
        testcases=tuple(testcases),
        repeat=repeat,
        expectations=tuple(expectations),
        **matrix,
    )


def exclusion(reason: str = "known to be slow", **patterns: str) -> Exclusion:
    every = dict.fromkeys(("kernel", "guest", "settings", "device", "testcase"), ("*",))
    return Exclusion(
        **{**every, **{field: (p,) for field, p in patterns.items()}}, reason=reason, line=7
    )


def inclusion(
    *,
    kernel: str = "*",
    guests: Sequence[Guest] = (_GUEST,),
    settings: Sequence[HugepageSettings] = (_SETTINGS,),
    testcases: Sequence[Testcase] = (_TESTCASE,),
    devices: Sequence[str] = ("",),
) -> Inclusion:
    return Inclusion(
        (kernel,), tuple(guests), tuple(settings), tuple(devices), tuple(testcases), line=9
    )


def cell(
    *,
    kernel: str = "base",
    guest: Guest = _GUEST,
    settings: HugepageSettings = _SETTINGS,
    testcase: Testcase = _TESTCASE,
    repeat: int = 1,
    skip: str = "",
    device: str = "",
) -> Cell:
    name = testcase.name.replace("/", ".")
    return Cell(
        id=f"{kernel}.{place(guest.name, device)}.{settings.name}.{name}.{repeat}",
        kernel=kernel,
        guest=guest,
        settings=settings,
        testcase=testcase,
        repeat=repeat,
        skip=skip,
        device=device,
    )


_CELL = cell()


def expectation(
    testcase: str = "exclusive/*",
    *,
    kernel: str = "*",
    outcome: Outcome = Outcome.COMPLETED,
    splat: str = "",
    guest: str = "*",
    settings: str = "*",
    subtests: tuple[str, ...] = (),
    tree: str = "",
) -> Expectation:
    return Expectation(
        kernel=kernel,
        testcase=testcase,
        guest=guest,
        settings=settings,
        verdict=Verdict.FAIL,
        outcome=outcome,
        splat=splat,
        subtests=subtests,
        reason="known",
        line=12,
        tree=tree,
    )


def quarantined(testcase: str = "exclusive/*", **changes: Any) -> QuarantineEntry:
    entry = QuarantineEntry(
        testcase=(testcase,),
        guest=("*",),
        settings=("*",),
        device=("*",),
        outcomes=(Outcome.COMPLETED,),
        reason="it races with khugepaged",
        owner="me@example.org",
        until="2026-12-31",
        line=14,
    )
    return replace(entry, **changes)


def splat(
    title: str = "WARNING in demo_unmap",
    *,
    kind: str = "warning",
    fingerprint: str = "",
    following: bool = False,
    excerpt: str = "",
) -> Splat:
    return Splat(
        kind=kind,
        title=title,
        function="demo_unmap",
        corrupted=False,
        tainted=False,
        frames=("demo_unmap", "demo_walk"),
        fingerprint=fingerprint or title,
        line=1,
        excerpt=excerpt or title,
        following=following,
    )


def passed(name: str = "the mapcount stays") -> Subtest:
    return Subtest(name, Verdict.PASS)


def failed(name: str = "the mapcount stays", detail: str = "mapcount is 0, wanted 1") -> Subtest:
    return Subtest(name, Verdict.FAIL, detail, reason(detail))


def finding(
    kind: FindingKind = FindingKind.LEDGER, text: str = "changed by +1", **facts: Any
) -> Finding:
    return Finding(kind, **{"verdict": Verdict.FAIL, "text": text, **facts})


def observation(
    *subtests: Subtest,
    outcome: Outcome = Outcome.COMPLETED,
    fault: Fault | None = None,
    detail: str = "",
    skip: str = "",
    splats: Sequence[Splat] = (),
    findings: Sequence[Finding] = (),
    counters: Mapping[str, CounterChange] | None = None,
) -> Observation:
    # A splat is no end of a guest's; without one, the kernel said it with a taint flag alone.
    ended = Outcome.COMPLETED if outcome is Outcome.SPLAT else outcome
    if fault is None:
        fault = Fault.NONE if ended is Outcome.COMPLETED else Fault.KERNEL
    return Observation(
        ended=ended,
        tainted=512 if outcome is Outcome.SPLAT and not splats else 0,
        fault=fault,
        detail=detail,
        skip=skip,
        subtests=subtests,
        findings=tuple(findings),
        splats=tuple(splats),
        counters=counters or {},
        duration_s=1.5,
    )


def judgement(
    verdict: Verdict = Verdict.PASS, reason: str = "", *, as_expected: bool | None = None
) -> Judgement:
    fine = verdict in {Verdict.PASS, Verdict.SKIP} if as_expected is None else as_expected
    return Judgement(verdict, reason, Verdict.PASS, fine)


def result(
    seen: Observation | None = None,
    *,
    judged: Judgement | None = None,
    cell: Cell | None = None,
) -> CellResult:
    """A cell's result; the judgement follows from the observation if it is not given."""
    shown = seen or observation(passed())
    where = cell or _CELL
    derived = judge(where, shown, ())
    if judged is not None:
        derived = replace(judged, outcome=derived.outcome, splats=derived.splats)
    return CellResult(where, shown, derived)


def counters(*results: CellResult) -> ReadCounters:
    """A reader of the counters of these results, which tests leave in the observation."""
    found = {one.cell.id: one.observation.counters for one in results}
    return lambda cell: cellfiles.facts(found[cell])


# -- evidence ----------------------------------------------------------------------------------


def console(during: bytes = b"", *, boot: bytes = b"") -> bytes:
    """A whole console, and what the kernel said at boot and during the workload."""
    return BOOTED + boot + READY + BEGIN + during + END


def from_lab(event: str, **facts: Any) -> dict[str, Any]:
    return {"at": 1.0, "from": "lab", "ev": event, **facts}


def from_agent(event: str, **facts: Any) -> dict[str, Any]:
    return {"at": 1.0, "from": "agent", "ev": event, "t": 0.5, **facts}


def exited(status: int = 0, **facts: Any) -> dict[str, Any]:
    whole = {"signal": 0, "timeout": False, "left": 0, "rmdir": 0, "start_t": 1.0, "end_t": 1.25}
    return from_agent("exit", id=RUN, status=status, **{**whole, **facts})


def sampled(label: str, number: int, files: Mapping[str, str]) -> list[dict[str, Any]]:
    """The lines of a sample of these files, and of the kernel's taint flags."""
    facts = {"free": int(files[FREE])} if FREE in files else {}
    files = {path: text for path, text in files.items() if path != FREE}
    return [
        from_lab("request", id=number, words=["sample"]),
        from_agent("files", id=number, files={TAINTED: "0\n", **files}, errors={}, last=False),
        from_agent("files", id=number, files={}, errors={}, last=True),
        from_lab("sample", label=label, id=number, **facts),
    ]


def at(lines: Sequence[Mapping[str, Any]], event: str) -> int:
    """Where the first line of that event is."""
    return next(n for n, line in enumerate(lines) if line["ev"] == event)


def conversation(
    *said: str,
    end: str = "bye",
    detail: str = "",
    status: int = 0,
    before: Mapping[str, str] | None = None,
    after: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """The transcript of a cell whose workload printed ``said``."""
    return [
        from_lab("cell", cell="base.q35.thp-never.exclusive.mapcount.1"),
        from_lab("phase", phase="boot", limit_s=15),
        from_agent("ready", protocol=2),
        from_lab("phase", phase="ready", limit_s=5),
        from_lab("setting", path=ENABLED, wanted="never", got="never"),
        *sampled("before", 5, before or after or {}),
        from_lab("phase", phase="test", limit_s=10),
        from_lab("request", id=RUN, words=["run", "10000", "0", PROGRAM]),
        from_agent("start", id=RUN, pid=77),
        *(from_agent("out", id=RUN, text=line) for line in said),
        exited(status),
        from_lab("phase", phase="after", limit_s=5),
        *sampled("after", 7, after or before or {}),
        {**from_lab("end", how=end, detail=detail), "at": 2.5},
    ]


KTAP_PASS = ("KTAP version 1", "1..1", "ok 1 the mapcount stays")
KTAP_FAIL = ("KTAP version 1", "1..1", "# mapcount is 0", "not ok 1 the mapcount stays")


WHOLE = console()


def save(folder: Path, lines: Sequence[Mapping[str, Any]], console: bytes = WHOLE) -> Path:
    """Leave a cell's evidence in a folder, as the lab would: numbered, and with its last lines.

    In a run's folder the evidence is that of the cell whose folder it is in.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if folder.parent.name == "cells":
        lines = [{**one, "cell": folder.name} if one["ev"] == "cell" else one for one in lines]
    whole = [*lines, from_lab("console", bytes=len(console)), from_lab("sealed")]
    text = "".join(json.dumps({**line, "n": n}) + "\n" for n, line in enumerate(whole))
    (folder / "agent.jsonl").write_text(text, encoding="utf-8")
    (folder / "console.log").write_bytes(console)
    return folder


def facts(key: str = "0123456789abcdef", *, error: str = "") -> KernelFacts:
    return KernelFacts(
        tree="dir:/nonexistent",
        origin="content 1234",
        version="6.12.0",
        digest="1234",
        series="",
        patches=[],
        config=["guest"],
        toolchain="gcc 12",
        key=key,
        release="6.12.0",
        error=error,
    )


def record(wanted: Lab, cells: Sequence[str], **changes: Any) -> RunRecord:
    made = RunRecord(
        lab=wanted,
        cells=tuple(cells),
        command=("./lab.py", "run", "tiny.yaml"),
        began="2025-01-01T00:00:00+00:00",
        ended="2025-01-01T00:01:00+00:00",
        kernels={one.name: facts() for one in wanted.kernels},
        accelerator="tcg",
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


_NO_QUARANTINE = Quarantine()


def reported(
    results: Sequence[CellResult],
    comparison: Comparison | None = None,
    *,
    asked: int | None = None,
    remarks: Sequence[str] = (),
    quarantine: Quarantine = _NO_QUARANTINE,
    marks: Sequence[Mark] = (),
    **changes: Any,
) -> ReportedRun:
    """A run as the reports get it; ``changes`` are those of its record."""
    names = tuple(dict.fromkeys(one.cell.kernel for one in results)) or ("base",)
    if comparison is not None:
        names = (comparison.a, comparison.b)
        changes.setdefault("comparison", names)
    wanted = lab(kernels=[kernel(name) for name in names])
    made = record(wanted, [one.cell.id for one in results], **changes)
    end = RunEnd(
        made.lab.name,
        len(results) if asked is None else asked,
        made.is_whole,
        made.not_built,
        made.failure,
        made.failure_code,
        quarantine=quarantine,
        marks=tuple(marks),
    )
    summary = summarize(end, results, comparison)
    return ReportedRun(made, tuple(results), comparison, summary, tuple(remarks))


def run_folder(
    path: Path, wanted: Lab, transcripts: Mapping[str, Sequence[Mapping[str, Any]]], **changes: Any
) -> RunFolder:
    """A finished run on disk: its record, and the evidence of the named cells."""
    folder = RunFolder(path)
    folder.write_record(record(wanted, tuple(transcripts), **changes))
    for name, lines in transcripts.items():
        save(path / "cells" / name, lines)
        folder.journal("cell", cell=name)
    return folder
