# SPDX-License-Identifier: GPL-2.0
"""Hold what a selftest of the kernel tree printed against what it is known to print.

A subtest that is expected and did not come fails as missing, whether it vanished or was renamed;
one that nobody expected counts by its own verdict and is said to be new. A program that prints no
KTAP is judged by its exit status (Documentation/dev-tools/kselftest.rst: 0 pass, 4 skip).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from rmaplab.collect.ktap import NO_VERSION, KtapReport, parse_ktap
from rmaplab.collect.transcript import Saved
from rmaplab.model import ExpectedSubtests, Finding, FindingKind, Subtest, Verdict

KSFT_SKIP = 4  # tools/testing/selftests/kselftest.h
EXIT_STATUS = "exit status"
_SHOWN_LINES = 15
# Lines that tests print before a result: the harness, which up to 6.8 does not name a skipped one;
# cow.c and others, whose result says what came out of it.
_HARNESS_RUN = re.compile(r"RUN {5,}(\S+) \.\.\.")
_RUN = re.compile(r"\[RUN\] (.+)")


def named(subtest: Subtest) -> Subtest:
    """Give a result the name that its list has for it.

    With the harness, the test's; where something else was said to be run, ``that: result``, since
    the result's line alone may be the same for hundreds.
    """
    if name := _said(_HARNESS_RUN, subtest):
        if name == subtest.name:
            return subtest
        return replace(subtest, name=name, detail=f"{subtest.name}\n{subtest.detail}")
    run = _said(_RUN, subtest)
    return replace(subtest, name=f"{run}: {subtest.name}") if run else subtest


def _said(pattern: re.Pattern[str], subtest: Subtest) -> str:
    """Return what a result's diagnostics say last in that form, or an empty string."""
    found = [m[1] for line in subtest.detail.splitlines() if (m := pattern.fullmatch(line))]
    return found[-1] if found else ""


def printed(saved: Saved) -> tuple[tuple[str, ...] | None, str]:
    """Return the names of what a program printed, to be listed, and why that is no list, if so.

    None for the names if it printed no KTAP.
    """
    report = parse_ktap(saved.stdout)
    if not report.began:
        return None, ""
    why = problems(report) or (() if report.subtests else ("it printed no result",))
    return tuple(named(subtest).name for subtest in report.subtests), "; ".join(why)


def problems(report: KtapReport) -> tuple[str, ...]:
    """Return what does not add up in a program's output; before 6.9 some print no version line."""
    return tuple(one for one in report.problems if one != NO_VERSION)


def against(
    due: ExpectedSubtests, seen: Sequence[Subtest], saved: Saved
) -> tuple[list[Subtest], list[Finding]]:
    """Return the listed subtests that did not come, and what the list says of those that came."""
    if not due.section:
        why = f"there is none for {due.version}: a subtest that is gone would not be missed"
        more = "make one from this run: lab.py new subtests RUN"
        return [], [Finding(FindingKind.UNLISTED, Verdict.ERROR, why, more=more)]
    listed = Counter(due.names or ())
    came = Counter(subtest.name for subtest in seen)
    missing, new = list((listed - came).elements()), list((came - listed).elements())
    for pattern in [name for name in missing if "*" in name]:
        name = next((name for name in new if matches(pattern, name)), None)
        if name is not None:
            missing.remove(pattern)
            new.remove(name)
    for subtest in seen:
        if subtest.verdict is not Verdict.PASS and subtest.name in new:
            _came_otherwise(subtest, missing, new)
    ended = saved.exit is not None and not saved.exit.timeout
    gone = Verdict.FAIL if ended else Verdict.ERROR  # what was cut off, nobody knows
    why = f"missing: it is in the list of {due.section} and did not come"
    absent = [Subtest(name, gone, f"FAILED: {why}", why) for name in missing]
    return absent, _new(f"{len(new)} are not in the list of {due.section}:", sorted(new))


def _new(text: str, names: Sequence[str]) -> list[Finding]:
    """Return the finding that some subtests are new, if there are any."""
    if not names:
        return []
    return [
        Finding(
            FindingKind.NEW_SUBTESTS, Verdict.PASS, text,
            amount=len(names), more="\n".join(names), names=tuple(names),
        )
    ]  # fmt: skip


def matches(listed: str, name: str) -> bool:
    """Return whether a name is the listed one, whose ``*`` stands for what differs between runs."""
    return re.fullmatch(".*".join(map(re.escape, listed.split("*"))), name) is not None


def _came_otherwise(subtest: Subtest, missing: list[str], new: list[str]) -> None:
    """Take off a test that was run and said why it did not pass: it is neither missing nor new."""
    run = _said(_RUN, subtest)
    listed = next((name for name in missing if run and name.startswith(f"{run}: ")), None)
    if listed is not None:
        missing.remove(listed)
        new.remove(subtest.name)


def by_exit_status(saved: Saved) -> tuple[list[Subtest], list[Finding]]:
    """Return the one result of a program without KTAP, and what it prints of that after all."""
    report = parse_ktap(saved.stdout)
    found = [named(subtest) for subtest in report.subtests]
    new = _new("it prints KTAP, which its list does not know:", [one.name for one in found])
    if saved.exit is None or saved.exit.timeout:
        return found, new
    signal, status = saved.exit.signal, saved.exit.status
    verdict = {0: Verdict.PASS, KSFT_SKIP: Verdict.SKIP}.get(status, Verdict.FAIL)
    said = [line for line in (*saved.stdout, *saved.stderr) if line.strip()][-_SHOWN_LINES:]
    how = f"killed by signal {signal}" if signal else f"exit status {status}"
    why = f"FAILED: {how}" if verdict is Verdict.FAIL else how
    return [*found, Subtest(EXIT_STATUS, verdict, "\n".join([*said, why]), how)], new
