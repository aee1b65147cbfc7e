# SPDX-License-Identifier: GPL-2.0
"""Read a cell's saved evidence into an Observation.

Fail closed: what is missing, cut or not understood never turns into a completed cell. What a
pass needs is in docs/run-folder.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rmaplab.collect import audit, counters, hosttest, ledger, transcript, upstream, values
from rmaplab.collect.ktap import KtapReport, parse_ktap
from rmaplab.collect.splats import SplatParser
from rmaplab.collect.splats.owner import program_mark
from rmaplab.collect.transcript import Saved
from rmaplab.collect.upstream import KSFT_SKIP
from rmaplab.evidence.ends import EndCause, Phase, SampleLabel
from rmaplab.evidence.events import MemoryNotSaved
from rmaplab.evidence.names import CONSOLE_LOG, TRANSCRIPT
from rmaplab.model import (
    FREE,
    OWNER_BOOT,
    CounterChange,
    CounterSample,
    ExpectedSubtests,
    Fault,
    Finding,
    FindingKind,
    Observation,
    Outcome,
    SavedMemory,
    Severity,
    Splat,
    Subtest,
    Verdict,
)
from rmaplab.store import memoryfile
from rmaplab.text import printable

BANNER = b"Linux version"
CHUNK = 1 << 20

# The meaning of an early end outside the boot phase, and whose fault it is.
_ENDS: dict[str, tuple[Outcome, Fault]] = {
    EndCause.PANIC: (Outcome.PANIC, Fault.KERNEL),
    EndCause.RESET: (Outcome.LOST, Fault.KERNEL),
    EndCause.POWEROFF: (Outcome.LOST, Fault.KERNEL),
    EndCause.SILENCE: (Outcome.HANG, Fault.KERNEL),
    EndCause.READY_LIMIT: (Outcome.HANG, Fault.KERNEL),
    EndCause.TEST_LIMIT: (Outcome.TIMEOUT, Fault.KERNEL),
    EndCause.CLOSED: (Outcome.LOST, Fault.LAB),
    EndCause.GARBLED: (Outcome.LOST, Fault.LAB),
    EndCause.QEMU_EXIT: (Outcome.INFRA, Fault.LAB),
    EndCause.UNUSABLE: (Outcome.INFRA, Fault.LAB),
    EndCause.LAB_ERROR: (Outcome.INFRA, Fault.LAB),
}
_FLAGS = re.compile(r"[0-9]{1,19}\n?")
_INSTRUCTIONS = re.compile(r"# rmaplab: instructions ([0-9]{1,18})(?: .{1,100})?")

_AT_BOOT = {EndCause.PANIC, EndCause.RESET, EndCause.POWEROFF, EndCause.BOOT_LIMIT}


def observe(folder: Path, cell: str = "") -> Observation:
    """Return the Observation of the cell whose evidence is in ``folder``; never raises.

    Evidence of another cell than ``cell``, if that is given, is none of it.
    """
    try:
        return observe_evidence(folder, cell)
    except OSError as error:
        why = f"the evidence cannot be read: {error.filename}: {error.strerror}"
        return Observation(ended=Outcome.INFRA, detail=why)
    except Exception as error:  # a mistake of the lab's must not look like a quiet kernel
        why = f"the evidence cannot be read: {type(error).__name__}: {error}"
        return Observation(ended=Outcome.INFRA, detail=why)


def observe_evidence(folder: Path, cell: str = "") -> Observation:
    """Return the Observation of a cell. Raises OSError if its evidence cannot be read."""
    saved = transcript.read(folder / TRANSCRIPT)
    if cell and saved.cell not in ("", cell):
        why = f"the evidence is that of another cell, {printable(saved.cell)}"
        return Observation(ended=Outcome.INFRA, detail=why)
    if saved.how == EndCause.NOT_RUN and saved.skip:
        return Observation(Outcome.COMPLETED, Fault.NONE, "", skip=saved.skip)
    if saved.how == EndCause.NOT_RUN and saved.not_built:
        failed = Finding(FindingKind.BUILD, Verdict.FAIL, saved.not_built)
        return Observation(Outcome.COMPLETED, Fault.NONE, "", findings=(failed,))
    if saved.host_test is not None:
        return _of_host_test(folder, saved)
    try:
        console = read_console(folder / CONSOLE_LOG)
    except FileNotFoundError:
        return Observation(ended=Outcome.INFRA, detail=saved.detail or "there is no console")
    changes = _counters(saved)
    ended, fault, detail = _ended(saved, console)
    subtests, findings = _results(saved, changes)
    mask = _new_taint(changes)
    return Observation(
        ended=ended,
        fault=fault,
        detail=detail,
        skip=saved.skip,
        subtests=tuple(map(_with_reason, subtests)),
        findings=tuple(findings),
        splats=console.splats,
        tainted=0 if _explains_taint(console.splats) else mask,
        counters=changes,
        settings_read=saved.settings,
        instructions=_instructions(saved.stdout),
        values=values.values(subtests),
        costs=values.costs(subtests),
        duration_s=round(saved.duration_s, 3),
        memory=_memory(saved, folder),
    )


def _of_host_test(folder: Path, saved: Saved) -> Observation:
    """Return the Observation of a program that ran on the host; no kernel was booted."""
    path = folder / CONSOLE_LOG
    size = path.stat().st_size if path.exists() else 0
    ended, fault, detail = _ended_on_host(saved, size)
    if ended not in {Outcome.COMPLETED, Outcome.TIMEOUT}:
        return Observation(ended, fault, detail, duration_s=round(saved.duration_s, 3))
    subtests, findings = hosttest.results(hosttest.lines(path), saved)
    return Observation(
        ended=ended,
        fault=fault,
        detail=detail,
        subtests=tuple(map(_with_reason, subtests)),
        findings=tuple(findings),
        values=values.values(subtests),
        duration_s=round(saved.duration_s, 3),
    )


def _ended_on_host(saved: Saved, size: int) -> tuple[Outcome, Fault, str]:
    """Return how a host test ended; ``size`` is its output's. What is not whole is lost."""
    end = saved.host_end
    if not saved.how:
        return Outcome.LOST, Fault.LAB, "the lab ended before the program did"
    if saved.how != EndCause.PROGRAM_ENDED:
        return *_ENDS.get(saved.how, (Outcome.LOST, Fault.LAB)), saved.detail
    if end is None or (missing := _missing_on_host(saved, size)):
        return Outcome.LOST, Fault.LAB, missing if end else "nobody noted the program's end"
    if end.short:
        return Outcome.INFRA, Fault.LAB, f"this host fell short: {end.short}"
    if end.timeout:
        return Outcome.TIMEOUT, Fault.KERNEL, "the program was still running at its limit"
    return Outcome.COMPLETED, Fault.NONE, ""


def _missing_on_host(saved: Saved, size: int) -> str:
    """Return what the evidence of a host test lacks; an empty string if it is whole."""
    if saved.dropped or saved.garbled or not saved.sealed:
        return f"the transcript makes no sense: {saved.garbled or 'it is not whole'}"
    if saved.console_dropped:
        return f"{saved.console_dropped} bytes of the output were not kept"
    if saved.console_bytes != size:
        return f"the output has {size} of {saved.console_bytes or 0} bytes: it is not whole"
    return ""


@dataclass(frozen=True, slots=True)
class Console:
    """Hold what a console says.

    ``begins`` is whether it has the kernel's first line, ``within_test`` whether it breaks off
    before the agent's mark of the test's end, ``ended_test`` the test that the agent began and
    ended last, as ``program_mark`` names it. ``size`` is in bytes.
    """

    splats: tuple[Splat, ...]
    begins: bool
    within_test: bool = False
    ended_test: str = ""
    size: int = 0


def read_console(path: Path) -> Console:
    """Read a cell's console, a piece at a time. Raises OSError.

    The agent marks the end of the boot, so on a console without any mark all is the boot's.
    """
    parser, begins, before, size = SplatParser(learns=False), False, b"", 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            begins = begins or BANNER in before + chunk
            before = chunk[-len(BANNER) :]
            size += len(chunk)
            parser.feed(chunk)
    splats = (replace(splat, owner=splat.owner or OWNER_BOOT) for splat in parser.finish())
    return Console(tuple(splats), begins, parser.within_test, parser.ended_test, size)


def _ended(saved: Saved, console: Console) -> tuple[Outcome, Fault, str]:
    """Return how the guest and its workload ended; what the console says is left out of account."""
    how = saved.guest_end if saved.how == EndCause.BYE and saved.guest_end else saved.how
    if how != EndCause.BYE:
        return _of_end(how, saved, console)
    if missing := next(_missing(saved, console), ""):
        return Outcome.LOST, Fault.LAB, missing
    if saved.exit is not None and saved.exit.timeout:
        return Outcome.TIMEOUT, Fault.KERNEL, "the workload was still running at its limit"
    return Outcome.COMPLETED, Fault.NONE, ""


def _of_end(how: str, saved: Saved, console: Console) -> tuple[Outcome, Fault, str]:
    """Return what an early end of a guest means."""
    if not how:
        return Outcome.LOST, Fault.LAB, "the lab ended before the cell did"
    if how == EndCause.BOOT_LIMIT and not console.begins:
        return Outcome.INFRA, Fault.LAB, f"the kernel never began: {saved.detail}"
    if saved.phase == Phase.BOOT and how in _AT_BOOT:
        return Outcome.BOOT_FAILED, Fault.KERNEL, saved.detail
    return *_ENDS.get(how, (Outcome.LOST, Fault.LAB)), saved.detail


def _missing(saved: Saved, console: Console) -> Iterator[str]:
    """Yield what a cell lacks that a completed one has: the table in docs/run-folder.md."""
    if saved.dropped:
        yield f"{saved.dropped} bytes of the transcript were not kept"
    if saved.garbled:
        yield f"the transcript makes no sense: {saved.garbled}"
    if not saved.sealed:
        yield "the transcript has no last line: it is not whole"
    if saved.console_dropped:
        yield f"{saved.console_dropped} bytes of console were not kept"
    if saved.console_bytes is None and saved.numbered:
        yield "nobody noted how large the console is"
    if saved.console_bytes is not None and console.size < saved.console_bytes:
        yield f"the console has {console.size} of {saved.console_bytes} bytes: it is not whole"
    if not console.begins:
        yield "the console does not begin with the boot: it is not whole"
    if console.within_test:
        yield "the console does not show the test's end: it is not whole"
    if not saved.skip:
        yield from _missing_of_workload(saved, console)


def _missing_of_workload(saved: Saved, console: Console) -> Iterator[str]:
    """Yield what a cell lacks whose workload was to run."""
    if saved.exit is None:
        yield "the agent said nothing about the workload's end"
    if console.ended_test != program_mark(saved.program) or not saved.program:
        yield f"the console does not show where {saved.program or 'a workload'} began and ended"
    shown = {}
    for label in SampleLabel:
        if label not in saved.samples:
            yield f"the sample {label} the workload is missing"
            return
        shown[label] = (saved.samples[label].keys() | saved.unread[label]) - {FREE}
        if not _FLAGS.fullmatch(saved.samples[label].get(counters.TAINTED_FILE, "")):
            yield f"the sample {label} the workload does not have the kernel's taint flags"
    if other := shown[SampleLabel.BEFORE] ^ shown[SampleLabel.AFTER]:
        yield f"one of the two samples does not have {min(other)}"


def _results(
    saved: Saved, changes: Mapping[str, CounterChange]
) -> tuple[Sequence[Subtest], Sequence[Finding]]:
    """Return the workload's own results, and what the lab found out by itself."""
    if saved.skip or (saved.exit is None and not saved.stdout):
        return (), ()
    ours = (*audit.findings(saved), *ledger.findings(saved, changes))
    due = saved.expected
    if due is not None and due.section and due.names is None:
        own, found = upstream.by_exit_status(saved)
        return own, (*found, *_left_behind(saved), *ours)
    report = parse_ktap(saved.stdout)
    status = saved.exit.status if saved.exit is not None else None
    if report.skip_all is not None and not report.subtests and status in {0, KSFT_SKIP}:
        return (Subtest("plan", Verdict.SKIP, report.skip_all),), ours
    own = list(report.subtests) if due is None else list(map(upstream.named, report.subtests))
    found = [*_of_output(report, due, saved)]
    if due is not None:
        missing, listed = upstream.against(due, own, saved)
        own, found = own + missing, found + listed
    verdicts = {one.verdict for one in own} | {one.verdict for one in found}
    expected = {0} | ({1} if Verdict.FAIL in verdicts else set())
    if due is not None and Verdict.SKIP in verdicts:
        expected.add(KSFT_SKIP)
    return own, (*found, *_of_exit(saved, expected), *_left_behind(saved), *ours)


def _of_output(report: KtapReport, due: ExpectedSubtests | None, saved: Saved) -> Iterator[Finding]:
    """Yield what is wrong with a workload's output as a whole."""
    if report.bailed_out is not None:
        yield Finding(FindingKind.BAIL_OUT, Verdict.FAIL, report.bailed_out)
    problems = report.problems if due is None else upstream.problems(report)
    if problems:
        # A test of the tree's that prints something else than its list says is the tree's fault.
        whose = Verdict.FAIL if due is not None and due.section else Verdict.ERROR
        yield Finding(FindingKind.KTAP, whose, problems[0], more="\n".join(problems[1:]))
    if saved.floods:
        said = ", ".join(f"{one.stream}: {one.dropped} bytes" for one in saved.floods)
        yield Finding(FindingKind.OUTPUT, Verdict.ERROR, f"dropped {said}")


def _of_exit(saved: Saved, expected: set[int]) -> Iterator[Finding]:
    """Yield that a workload was killed, or ended with another status than its results ask for."""
    if saved.exit is None or saved.exit.timeout:
        return
    # Status 1 goes with a failed result; without one, the workload knows more than it said.
    if saved.exit.signal:
        how = f"killed by signal {saved.exit.signal}"
    elif saved.exit.status not in expected:
        how = f"exit status {saved.exit.status}"
    else:
        return
    yield Finding(FindingKind.EXIT, Verdict.FAIL, how, more="\n".join(saved.stderr[-10:]).strip())


def _left_behind(saved: Saved) -> Iterator[Finding]:
    """Yield what is left of a workload that ended by itself."""
    if saved.exit is None or saved.exit.timeout:
        return
    if left := saved.exit.left:
        text = f"{left} processes left behind"
        yield Finding(FindingKind.PROCESS_LEFT, Verdict.FAIL, text)
    if errno := saved.exit.rmdir:
        yield Finding(FindingKind.CGROUP, Verdict.FAIL, f"rmdir: errno {errno}")


_MARK = "FAILED:"
"""The mark of the line in which testcases/lib/ktap.c says why a result failed."""


def reason(detail: str) -> str:
    """Return the line of a result's diagnostics that says why it ended so: marked, or the last."""
    said = [line.strip() for line in detail.splitlines() if line.strip()]
    marked = [line.removeprefix(_MARK).strip() for line in said if line.startswith(_MARK)]
    return (marked or said[-1:] or [""])[0]


def _with_reason(subtest: Subtest) -> Subtest:
    return subtest if subtest.why else replace(subtest, why=reason(subtest.detail))


def _memory(saved: Saved, folder: Path) -> SavedMemory | None:
    """Return what became of the guest's memory; None if nobody kept it, or removed it since."""
    said = saved.memory
    if said is None:
        return None
    if isinstance(said, MemoryNotSaved):
        return SavedMemory(said.why, "", 0, said.detail or "it is not known why")
    path = folder / memoryfile.NAME
    if not path.exists():
        return None
    size_mb = -(-path.stat().st_size >> 20)
    return SavedMemory(said.why, path.name, size_mb, "")


def _instructions(stdout: Sequence[str]) -> int | None:
    """Sum the instructions that the workload's subtests counted (testcases/lib/measure.c)."""
    found = [match for line in stdout if (match := _INSTRUCTIONS.fullmatch(line))]
    return sum(int(match[1]) for match in found) if found else None


def _counters(saved: Saved) -> dict[str, CounterChange]:
    if SampleLabel.BEFORE not in saved.samples:
        return {}
    before = counters.sample(saved.samples[SampleLabel.BEFORE])
    after = saved.samples.get(SampleLabel.AFTER)
    return counters.changes(before, counters.sample(after) if after else CounterSample({}))


def _explains_taint(splats: tuple[Splat, ...]) -> bool:
    """Return whether a splat of the cell's own time explains a taint flag; a notice sets none."""
    return any(s.severity is not Severity.NOTICE and not s.at_boot for s in splats)


def _new_taint(changes: Mapping[str, CounterChange]) -> int:
    """Return the taint flags that came during the cell: a witness that needs no console.

    Documentation/admin-guide/tainted-kernels.rst: a warning, a bad page and an oops each set one.
    """
    change = changes.get(counters.TAINTED)
    if change is None or change.before is None or change.after is None:
        return 0
    return change.after & ~change.before
