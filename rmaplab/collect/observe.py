# SPDX-License-Identifier: GPL-2.0
"""From a cell's saved evidence to an Observation.

Fail closed: what is missing, cut or not understood never turns into a completed cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rmaplab.collect import audit, counters, ledger, transcript, upstream, values
from rmaplab.collect.ktap import parse_ktap
from rmaplab.collect.splats import SplatParser
from rmaplab.collect.splats.owner import program_mark
from rmaplab.collect.transcript import Saved
from rmaplab.collect.upstream import KSFT_SKIP
from rmaplab.evidence.ends import EndCause, Phase, SampleLabel
from rmaplab.evidence.events import MemoryNotSaved
from rmaplab.evidence.names import CONSOLE_LOG, TRANSCRIPT
from rmaplab.model import (
    FREE,
    LAB_SUBTEST,
    OWNER_BOOT,
    CounterChange,
    CounterSample,
    Fault,
    Observation,
    Outcome,
    SavedMemory,
    Severity,
    Splat,
    Subtest,
    Verdict,
)
from rmaplab.store import memoryfile

BANNER = b"Linux version"
CHUNK = 1 << 20

# What an early end means outside the boot phase, and whose fault it is.
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
_INSTRUCTIONS = re.compile(r"# rmaplab: instructions (\d{1,18})(?: .{1,100})?")

_AT_BOOT = {EndCause.PANIC, EndCause.RESET, EndCause.POWEROFF, EndCause.BOOT_LIMIT}


def observe(folder: Path) -> Observation:
    """The Observation of the cell whose evidence is in ``folder``."""
    try:
        saved = transcript.read(folder / TRANSCRIPT)
    except OSError as error:
        why = f"the transcript cannot be read: {error.strerror}"
        return Observation(outcome=Outcome.INFRA, detail=why)
    if saved.how == "not-run" and saved.skip:
        return Observation(Outcome.COMPLETED, Fault.NONE, "", skip=saved.skip)
    if saved.how == "not-run" and saved.not_built:
        failed = Subtest(upstream.BUILD, Verdict.FAIL, saved.not_built)
        return Observation(Outcome.COMPLETED, Fault.NONE, "", subtests=(failed,))
    try:
        console = read_console(folder / CONSOLE_LOG)
    except OSError as error:
        why = saved.detail or f"the console cannot be read: {error.strerror}"
        return Observation(outcome=Outcome.INFRA, detail=why)
    except Exception as error:  # a mistake of the parser's must not look like a quiet console
        why = f"the console cannot be parsed: {type(error).__name__}: {error}"
        return Observation(outcome=Outcome.INFRA, detail=why)
    changes = _counters(saved)
    outcome, fault, detail = _outcome(saved, console)
    beneath, _, _ = _outcome(saved, replace(console, splats=()))
    mask = _new_taint(changes)
    if mask and not _explains_taint(console.splats):
        if outcome is Outcome.COMPLETED:
            outcome, fault = Outcome.SPLAT, Fault.KERNEL
            detail = f"the kernel tainted itself ({mask}), and the console does not say why"
        beneath = Outcome.SPLAT if beneath is Outcome.COMPLETED else beneath
    subtests = _subtests(saved, changes)
    return Observation(
        outcome=outcome,
        fault=fault,
        detail=detail,
        skip=saved.skip if beneath is Outcome.COMPLETED else "",
        subtests=subtests,
        splats=console.splats,
        counters=changes,
        settings_read=saved.settings,
        instructions=_instructions(saved.stdout),
        values=values.values(subtests),
        costs=values.costs(subtests),
        duration_s=round(saved.duration_s, 3),
        beneath=beneath,
        memory=_memory(saved, folder),
    )


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
    parser, begins, before, size = SplatParser(), False, b"", 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            begins = begins or BANNER in before + chunk
            before = chunk[-len(BANNER) :]
            size += len(chunk)
            parser.feed(chunk)
    splats = (replace(splat, owner=splat.owner or OWNER_BOOT) for splat in parser.finish())
    return Console(tuple(splats), begins, parser.within_test, parser.ended_test, size)


def _outcome(saved: Saved, console: Console) -> tuple[Outcome, Fault, str]:
    how = saved.guest_end if saved.how == EndCause.BYE and saved.guest_end else saved.how
    if how != EndCause.BYE:
        return _of_end(how, saved, console)
    if missing := next(_missing(saved, console), ""):
        return Outcome.LOST, Fault.LAB, missing
    if saved.exit is not None and saved.exit.timeout:
        return Outcome.TIMEOUT, Fault.KERNEL, "the workload was still running at its limit"
    if console.splats:
        return Outcome.SPLAT, Fault.KERNEL, console.splats[0].title
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
    if saved.garbled:
        yield f"the transcript makes no sense: {saved.garbled}"
    if not saved.sealed:
        yield "the transcript has no last line: it is not whole"
    if saved.dropped:
        yield f"{saved.dropped} bytes of the transcript were not kept"
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
        if counters.TAINTED_FILE not in saved.samples[label]:
            yield f"the sample {label} the workload does not have the kernel's taint flags"
    if other := shown[SampleLabel.BEFORE] ^ shown[SampleLabel.AFTER]:
        yield f"one of the two samples does not have {min(other)}"


def _subtests(saved: Saved, changes: Mapping[str, CounterChange]) -> tuple[Subtest, ...]:
    """The workload's own results, then what the lab saw of its end and found out by itself."""
    if saved.skip or (saved.exit is None and not saved.stdout):
        return ()
    ours = (*audit.subtests(saved), *ledger.subtests(saved, changes))
    due = saved.expected
    if due is not None and due.section and due.names is None:
        return (*upstream.by_exit_status(saved), *_left_behind(saved), *ours)
    report = parse_ktap(saved.stdout)
    status = saved.exit.status if saved.exit is not None else None
    if report.skip_all is not None and not report.subtests and status in {0, KSFT_SKIP}:
        return (Subtest("plan", Verdict.SKIP, report.skip_all), *ours)
    found = list(report.subtests) if due is None else list(map(upstream.named, report.subtests))
    own = tuple(found)
    if report.bailed_out is not None:
        found.append(Subtest(LAB_SUBTEST + "bail out", Verdict.FAIL, report.bailed_out))
    problems = report.problems if due is None else upstream.problems(report)
    if problems:
        # A test of the tree's that prints something else than its list says is the tree's fault.
        whose = Verdict.FAIL if due is not None and due.section else Verdict.ERROR
        found.append(Subtest(LAB_SUBTEST + "KTAP output", whose, "\n".join(problems)))
    if saved.floods:
        said = ", ".join(f"{one.stream}: {one.dropped} bytes" for one in saved.floods)
        found.append(
            Subtest(LAB_SUBTEST + "output within bounds", Verdict.ERROR, f"dropped {said}")
        )
    if due is not None:
        found += upstream.against(due, own, saved)
    verdicts = {subtest.verdict for subtest in found}
    expected = {0} | ({1} if Verdict.FAIL in verdicts else set())
    if due is not None and Verdict.SKIP in verdicts:
        expected.add(KSFT_SKIP)
    return (*found, *_exit_subtests(saved, expected), *ours)


def _memory(saved: Saved, folder: Path) -> SavedMemory | None:
    """What became of the guest's memory, if it was to be kept and nobody removed it since."""
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
    """What the workload counted between its marks (testcases/lib/measure.c), over all subtests."""
    found = [match for line in stdout if (match := _INSTRUCTIONS.fullmatch(line))]
    return sum(int(match[1]) for match in found) if found else None


def _exit_subtests(saved: Saved, expected: set[int]) -> list[Subtest]:
    if saved.exit is None or saved.exit.timeout:
        return []
    found = []
    signal, status = saved.exit.signal, saved.exit.status
    said = "\n".join(saved.stderr[-10:])
    if signal:
        found.append(
            Subtest(
                LAB_SUBTEST + "exit", Verdict.FAIL, f"{said}\nkilled by signal {signal}".strip()
            )
        )
    elif status not in expected:
        # Status 1 goes with a failed result; without one, the workload knows more than it said.
        found.append(
            Subtest(LAB_SUBTEST + "exit", Verdict.FAIL, f"{said}\nexit status {status}".strip())
        )
    return [*found, *_left_behind(saved)]


def _left_behind(saved: Saved) -> list[Subtest]:
    if saved.exit is None or saved.exit.timeout:
        return []
    found = []
    if saved.exit.left:
        found.append(
            Subtest(
                LAB_SUBTEST + "no process left",
                Verdict.FAIL,
                f"{saved.exit.left} processes left behind",
            )
        )
    if saved.exit.rmdir:
        found.append(
            Subtest(
                LAB_SUBTEST + "cgroup removed", Verdict.FAIL, f"rmdir: errno {saved.exit.rmdir}"
            )
        )
    return found


def _counters(saved: Saved) -> dict[str, CounterChange]:
    if "before" not in saved.samples:
        return {}
    before = counters.sample(saved.samples["before"])
    after = saved.samples.get("after")
    return counters.changes(before, counters.sample(after) if after else CounterSample({}))


def _explains_taint(splats: tuple[Splat, ...]) -> bool:
    """Whether a report of the cell's own time goes with a new taint flag; a notice sets none."""
    return any(s.severity is not Severity.NOTICE and not s.at_boot for s in splats)


def _new_taint(changes: Mapping[str, CounterChange]) -> int:
    """The taint flags that came during the cell: a witness that needs no console.

    Documentation/admin-guide/tainted-kernels.rst: a warning, a bad page and an oops each set one.
    """
    change = changes.get(counters.TAINTED)
    if change is None or change.before is None or change.after is None:
        return 0
    return change.after & ~change.before
