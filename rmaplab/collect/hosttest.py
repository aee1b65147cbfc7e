# SPDX-License-Identifier: GPL-2.0
"""Read what a host test of the kernel tree printed: a program of tools/testing, in its own words.

There is no one format. The forms are those of tools/testing/memblock (result lines as of KTAP,
without version and plan), tools/testing/vma ("Test NAME FAILED", "N tests run, ..."), lib/test_*.c
as the radix-tree programs include them ("XArray: N of N tests passed", "BUG at function:line"), and
lines that a testcase's file says have to come. The reports of the compiler's sanitizers and of
assert(3) are read everywhere. Nothing of that is a pass by itself: a program that prints no result,
that is killed, or whose status says more than its results fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from rmaplab.collect.ktap import NO_VERSION, parse_ktap
from rmaplab.collect.transcript import Saved
from rmaplab.model import Finding, FindingKind, Subtest, Verdict

LINE_BYTES = 4000
MAX_LINES = 1_000_000
SHOWN_LINES = 15
MAX_FOUND = 200
"""Results and reports of one kind that a cell keeps: the first ones."""

_RESULT = re.compile(r"\s*(?:not )?ok \d{1,9}\b")
# ": memblock_add: top-down: check: passed", of tools/testing/memblock.
_SPOKEN = re.compile(r":? ?(.+?)(?:: (?:passed|failed))?")
_FAILED = re.compile(r"Test (\w{1,200}) FAILED")
_RUN = re.compile(r"(\d{1,9}) tests run, (\d{1,9}) passed, (\d{1,9}) failed\.?")
_COUNT = re.compile(r"(\w[\w -]{0,60}): (\d{1,18}) of (\d{1,18}) tests passed")
_BUG = re.compile(r"BUG at (\w{1,200}):(\d{1,9})\b.*")
_PART = re.compile(r"(regression test \d{1,3}),? (?:done|passed)")
# WARN_ON() of tools/include/asm/bug.h; what is between these marks is brought about on purpose.
_WARNED = re.compile(r"assertion failed at (\S{1,200}):(\d{1,9})")
_ON_PURPOSE, _OVER = "vvv Ignore ", "^^^ "
_ASSERT = re.compile(r"\S{1,200}: (\S{1,200}:\d{1,9}: \w{1,200}: Assertion .{1,300} failed\.)")
_SANITIZER = re.compile(r"(?:==\d+==)?(?:ERROR|WARNING): (\w+Sanitizer): (.{1,300})")
_SUMMARY = re.compile(r"SUMMARY: (\w+Sanitizer): (.{1,300})")
_UBSAN = re.compile(r"(\S{1,300}?):(\d{1,9}):\d{1,9}: runtime error: (.{1,300})")
_PLACE = re.compile(r"(\S+) (\S+?):(\d+)(?::\d+)?(?: in (\w+))?")
_SOURCE = re.compile(r"(?:/kernel/source/)?(?:tools/testing/[\w-]+/)?(?:\.\./)*")
# include/linux/kern_levels.h
_LEVEL = re.compile(r"^\x01[0-7cd]")
_SIGNALS = {6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV"}


def lines(path: Path) -> Iterator[str]:
    """Yield the lines of a program's output, each up to a bounded length. Raises OSError."""
    with path.open("rb") as file:
        count = 0
        while (raw := file.readline(LINE_BYTES)) and count < MAX_LINES:
            count += 1
            yield raw.decode("utf-8", "replace").rstrip("\r\n")


@dataclass(slots=True)
class _Read:
    """The meaning of a program's lines; ``context`` are the lines since the last result."""

    subtests: list[Subtest] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    broken: dict[str, list[str]] = field(default_factory=dict)
    reports: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    sums: list[tuple[int, int, int]] = field(default_factory=list)
    context: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    asserted: str = ""
    on_purpose: bool = False
    last: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    sanitizer: str = ""


def results(printed: Iterable[str], saved: Saved) -> tuple[list[Subtest], list[Finding]]:
    """Return the results of a host test, and what the lab found by itself, of its output."""
    begun = saved.host_test
    read = _Read(waiting=list(begun.says if begun is not None else ()))
    for line in printed:
        _take(read, line)
    _finish_sanitizer(read)
    _results_as_ktap(read)
    _of_vma(read, saved)
    for name, where in read.broken.items():
        _add(read, name, Verdict.FAIL, "\n".join(where[:SHOWN_LINES]), where[0])
    for line in read.said:
        _add(read, line, Verdict.PASS, "")
    _of_silence(read, saved)
    read.findings += _reported(read)
    read.findings += _of_end(read, saved)
    return read.subtests, read.findings


def _take(read: _Read, line: str) -> None:
    """Take a line of the output."""
    text = _LEVEL.sub("", line).strip()
    if not text:
        return
    read.last = [*read.last[-(SHOWN_LINES - 1) :], text]
    if _take_sanitizers(read, text):
        return
    if read.waiting and text.startswith(read.waiting[0]):
        read.said.append(read.waiting.pop(0))
    elif _RESULT.match(line):
        read.results += [*read.context, line]
        read.context = []
    elif match := _FAILED.fullmatch(text):
        read.failed.setdefault(match[1], "\n".join(read.context[-SHOWN_LINES:]))
        read.context = []
    elif match := _RUN.fullmatch(text):
        read.sums.append((int(match[1]), int(match[2]), int(match[3])))
    elif match := _COUNT.fullmatch(text):
        _of_count(read, match[1], int(match[2]), int(match[3]))
    elif match := _PART.fullmatch(text):
        _add(read, match[1], Verdict.PASS, "")
    else:
        _take_complaint(read, text)
        read.context = [*read.context[-(SHOWN_LINES - 1) :], text]


def _take_complaint(read: _Read, text: str) -> None:
    """Take a line that says that a check failed, if it does."""
    if text.startswith(_ON_PURPOSE):
        read.on_purpose = True
    elif text.startswith(_OVER):
        read.on_purpose = False
    elif match := _BUG.fullmatch(text):
        read.broken.setdefault(match[1], []).append(f"FAILED: BUG at {match[1]}:{match[2]}")
    elif (match := _WARNED.fullmatch(text)) and not read.on_purpose:
        name = f"assertion in {_SOURCE.sub('', match[1], count=1)}"
        read.broken.setdefault(name, []).append(f"FAILED: line {match[2]}")
    elif match := _ASSERT.fullmatch(text):
        read.asserted = read.asserted or match[1]


def _of_count(read: _Read, name: str, passed: int, run: int) -> None:
    """Add the result of a line such as ``XArray: 5 of 5 tests passed``."""
    if passed == run and run > 0:
        _add(read, name, Verdict.PASS, f"{run} checks passed")
    else:
        why = f"{passed} of {run} checks passed"
        _add(read, name, Verdict.FAIL, f"FAILED: {why}", why)


def _add(read: _Read, name: str, verdict: Verdict, detail: str, why: str = "") -> None:
    if len(read.subtests) < MAX_FOUND:
        why = why.removeprefix("FAILED: ")
        read.subtests.append(Subtest(name, verdict, detail, why))


# -- result lines --------------------------------------------------------------------------------


def _results_as_ktap(read: _Read) -> None:
    """Add the results of lines as KTAP has them; they need neither version nor plan."""
    if not read.results:
        return
    report = parse_ktap(read.results)
    found = [replace(one, name=_spoken(one.name)) for one in report.subtests]
    if found and read.asserted and found[-1].verdict is Verdict.FAIL:
        # The result comes first, and assert(3) says then what it was.
        found[-1] = replace(found[-1], why=read.asserted)
    read.subtests += found
    problems = [one for one in report.problems if one not in {NO_VERSION, "no plan"}]
    if problems:
        more = "\n".join(problems[1:])
        read.findings.append(Finding(FindingKind.KTAP, Verdict.ERROR, problems[0], more=more))


def _spoken(name: str) -> str:
    """Return the name of a result without the word that says how it ended."""
    match = _SPOKEN.fullmatch(name)
    return match[1] if match else name


# -- tools/testing/vma ---------------------------------------------------------------------------


def _of_vma(read: _Read, saved: Saved) -> None:
    """Add the results of a program that names the tests that fail, and counts the others.

    Those that pass are in the program, as what it would say of them. Where these do not agree with
    the count, the tests that passed have numbers.
    """
    names = (saved.expected.names or ()) if saved.expected is not None else ()
    if len(read.sums) != 1:
        for name, detail in read.failed.items():
            _add(read, name, Verdict.FAIL, detail, detail.rpartition("\n")[2])
        return
    run, passed, failed = read.sums[0]
    agree = run == passed + failed and failed == len(read.failed)
    if agree and run == len(names) and not read.failed.keys() - set(names):
        read.subtests += [
            Subtest(name, Verdict.FAIL, d, d.rpartition("\n")[2])
            if (d := read.failed.get(name)) is not None
            else Subtest(name, Verdict.PASS)
            for name in names
        ]
        return
    for name, detail in read.failed.items():
        _add(read, name, Verdict.FAIL, detail, detail.rpartition("\n")[2])
    if agree and run > 0:
        for number in range(1, passed + 1):  # so that one that is gone is missed
            _add(read, f"test without a name {number}", Verdict.PASS, "")
    else:
        why = (
            f"{run} tests run, {passed} passed, {failed} failed, {len(read.failed)} named as failed"
        )
        _add(read, "count of tests", Verdict.FAIL, f"FAILED: {why}", why)


# -- sanitizers ----------------------------------------------------------------------------------


def _take_sanitizers(read: _Read, text: str) -> bool:
    """Take a line of a sanitizer's report; return whether it was one."""
    if match := _UBSAN.fullmatch(text):
        what = re.sub(r"0x[0-9a-f]+|\d+", "N", match[3])
        name = f"{_SOURCE.sub('', match[1], count=1)}: {what}"
        read.reports.setdefault(name, (text, []))[1].append(text)
        return True
    if match := _SANITIZER.fullmatch(text):
        _finish_sanitizer(read)
        read.sanitizer = f"{match[1]}: {match[2].split(' on ')[0]}"
        return True
    if match := _SUMMARY.fullmatch(text):
        place = _PLACE.fullmatch(match[2])
        name = match[2]
        if place is not None:
            where = place[4] or _SOURCE.sub("", place[2], count=1)
            name = f"{place[1]} in {where}"
        read.reports.setdefault(f"{match[1]}: {name}", (text, list(read.last)))
        read.sanitizer = ""
        return True
    return False


def _finish_sanitizer(read: _Read) -> None:
    """Keep a report that was begun and has no summary: the program died over it."""
    if read.sanitizer:
        read.reports.setdefault(read.sanitizer, (read.sanitizer, list(read.last)))
        read.sanitizer = ""


def _reported(read: _Read) -> Iterator[Finding]:
    for name, (text, more) in list(read.reports.items())[:MAX_FOUND]:
        yield Finding(
            FindingKind.SANITIZER, Verdict.FAIL, text, about=name[:200],
            more="\n".join(more[-SHOWN_LINES:]),
        )  # fmt: skip


# -- the end -------------------------------------------------------------------------------------


def _of_silence(read: _Read, saved: Saved) -> None:
    """Add what a program had to say and did not."""
    end = saved.host_end
    cut = end is None or end.stopped or end.status > 128
    for line in read.waiting:
        # A program that was cut off might have said it; one that went to its end did not.
        verdict = Verdict.ERROR if cut else Verdict.FAIL
        why = "missing: the program did not print it"
        _add(read, line, verdict, f"FAILED: {why}", why)


def _of_end(read: _Read, saved: Saved) -> Iterator[Finding]:
    """Yield what the end of a program says beyond its results."""
    end = saved.host_end
    if end is None or end.timeout or end.short:
        return
    verdicts = {one.verdict for one in read.subtests} | {one.verdict for one in read.findings}
    failed = Verdict.FAIL in verdicts
    if end.stopped:
        how = f"ended by the lab: {end.stopped}"
    elif end.status > 128:
        signal = end.status - 128
        how = f"killed by signal {signal}" + (
            f" ({_SIGNALS[signal]})" if signal in _SIGNALS else ""
        )
    elif end.status and not failed:
        how = f"exit status {end.status}"
    elif not read.subtests and not failed:
        text = "the program printed nothing that is a result"
        yield Finding(FindingKind.NO_RESULT, Verdict.FAIL, text, more="\n".join(read.last))
        return
    else:
        return
    text = f"{how}: {read.asserted}" if read.asserted else how
    yield Finding(FindingKind.EXIT, Verdict.FAIL, text, more="\n".join(read.last))
