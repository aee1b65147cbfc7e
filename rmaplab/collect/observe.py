# SPDX-License-Identifier: GPL-2.0
"""From a cell's saved evidence to an Observation.

Fail closed: what is missing, cut or not understood never turns into a completed cell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rmaplab.collect import audit, counters, ledger, transcript, upstream, values
from rmaplab.collect.ktap import parse_ktap
from rmaplab.collect.splats import SplatParser
from rmaplab.collect.transcript import Saved
from rmaplab.collect.upstream import KSFT_SKIP
from rmaplab.evidence.names import CONSOLE_LOG, TRANSCRIPT
from rmaplab.model import (
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

# The lab's ``end`` line, outside the boot phase: what it means, and whose fault it is.
_ENDS: dict[str, tuple[Outcome, Fault]] = {
    "bye": (Outcome.COMPLETED, Fault.NONE),
    "panic": (Outcome.PANIC, Fault.KERNEL),
    "reset": (Outcome.LOST, Fault.KERNEL),
    "poweroff": (Outcome.LOST, Fault.KERNEL),
    "silence": (Outcome.HANG, Fault.KERNEL),
    "ready-limit": (Outcome.HANG, Fault.KERNEL),
    "test-limit": (Outcome.TIMEOUT, Fault.KERNEL),
    "closed": (Outcome.LOST, Fault.LAB),
    "qemu-exit": (Outcome.INFRA, Fault.LAB),
    "unusable": (Outcome.INFRA, Fault.LAB),
}
_INSTRUCTIONS = re.compile(r"# rmaplab: instructions (\d{1,18})(?: .{1,100})?")

_AT_BOOT = {"panic", "reset", "poweroff", "boot-limit"}


def observe(folder: Path) -> Observation:
    """The Observation of the cell whose evidence is in ``folder``."""
    saved = transcript.read(folder / TRANSCRIPT)
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
    """What a console says.

    ``begins`` is whether it has the kernel's first line, ``within_test`` whether it breaks off
    before the agent's mark of the test's end.
    """

    splats: tuple[Splat, ...]
    begins: bool
    within_test: bool = False


def read_console(path: Path) -> Console:
    """Read a cell's console, a piece at a time. Raises OSError.

    The agent marks the end of the boot, so on a console without any mark all is the boot's.
    """
    parser, begins, before = SplatParser(), False, b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            begins = begins or BANNER in before + chunk
            before = chunk[-len(BANNER) :]
            parser.feed(chunk)
    splats = (replace(splat, owner=splat.owner or OWNER_BOOT) for splat in parser.finish())
    return Console(tuple(splats), begins, parser.within_test)


def _outcome(saved: Saved, console: Console) -> tuple[Outcome, Fault, str]:
    if not saved.how:
        return Outcome.LOST, Fault.LAB, "the lab ended before the cell did"
    if saved.garbled:
        return Outcome.LOST, Fault.LAB, f"an event of the agent makes no sense: {saved.garbled}"
    if saved.how == "boot-limit" and not console.begins:
        return Outcome.INFRA, Fault.LAB, f"the kernel never began: {saved.detail}"
    if saved.phase == "boot" and saved.how in _AT_BOOT:
        return Outcome.BOOT_FAILED, Fault.KERNEL, saved.detail
    how = saved.guest_end if saved.how == "bye" and saved.guest_end else saved.how
    outcome, fault = _ENDS.get(how, (Outcome.LOST, Fault.LAB))
    if outcome is Outcome.COMPLETED:
        return _of_console(saved, console) or _of_completed(saved, console.splats)
    return outcome, fault, saved.detail


def _of_console(saved: Saved, console: Console) -> tuple[Outcome, Fault, str] | None:
    """What speaks against believing a quiet console: it is evidence only if it is whole."""
    if saved.console_dropped:
        return Outcome.LOST, Fault.LAB, f"{saved.console_dropped} bytes of console were not kept"
    if not console.begins:
        return Outcome.LOST, Fault.LAB, "the console does not begin with the boot: it is not whole"
    if console.within_test:
        return Outcome.LOST, Fault.LAB, "the console does not show the test's end: it is not whole"
    return None


def _of_completed(saved: Saved, splats: tuple[Splat, ...]) -> tuple[Outcome, Fault, str]:
    """A guest that lived to the end: did the workload, and did the kernel stay quiet?"""
    if saved.exit is not None and saved.exit.get("timeout"):
        return Outcome.TIMEOUT, Fault.KERNEL, "the workload was still running at its limit"
    if splats:
        return Outcome.SPLAT, Fault.KERNEL, splats[0].title
    if not saved.skip and saved.exit is None:
        return Outcome.LOST, Fault.LAB, "the agent said nothing about the workload's end"
    return Outcome.COMPLETED, Fault.NONE, ""


def _subtests(saved: Saved, changes: Mapping[str, CounterChange]) -> tuple[Subtest, ...]:
    """The workload's own results, then what the lab saw of its end and found out by itself."""
    if saved.skip or (saved.exit is None and not saved.stdout):
        return ()
    ours = (*audit.subtests(saved), *ledger.subtests(saved, changes))
    due = saved.expected
    if due is not None and due.section and due.names is None:
        return (*upstream.by_exit_status(saved), *_left_behind(saved), *ours)
    report = parse_ktap(saved.stdout)
    status = saved.exit.get("status") if saved.exit is not None else None
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
        said = ", ".join(f"{f.get('stream')}: {f.get('dropped')} bytes" for f in saved.floods)
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
    why, error = str(said.get("why", "")), str(said.get("detail", ""))
    if said.get("ev") != "memory":
        return SavedMemory(why, "", 0, error or "it is not known why")
    path = folder / memoryfile.NAME
    if not path.exists():
        return None
    size_mb = -(-path.stat().st_size >> 20)
    return SavedMemory(why, path.name, size_mb, "")


def _instructions(stdout: Sequence[str]) -> int | None:
    """What the workload counted between its marks (testcases/lib/measure.c), over all subtests."""
    found = [match for line in stdout if (match := _INSTRUCTIONS.fullmatch(line))]
    return sum(int(match[1]) for match in found) if found else None


def _exit_subtests(saved: Saved, expected: set[int]) -> list[Subtest]:
    if saved.exit is None or saved.exit.get("timeout"):
        return []
    found = []
    signal, status = saved.exit.get("signal", 0), saved.exit.get("status", -1)
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
    if saved.exit is None or saved.exit.get("timeout"):
        return []
    found = []
    if saved.exit.get("left"):
        found.append(
            Subtest(
                LAB_SUBTEST + "no process left",
                Verdict.FAIL,
                f"{saved.exit['left']} processes left behind",
            )
        )
    if saved.exit.get("rmdir"):
        found.append(
            Subtest(
                LAB_SUBTEST + "cgroup removed", Verdict.FAIL, f"rmdir: errno {saved.exit['rmdir']}"
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
