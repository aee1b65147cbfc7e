# SPDX-License-Identifier: GPL-2.0
"""What a selftest of the kernel tree printed, against what it is known to print.

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
from rmaplab.model import LAB_SUBTEST, ExpectedSubtests, Subtest, Verdict

KSFT_SKIP = 4  # tools/testing/selftests/kselftest.h
EXIT_STATUS = "exit status"
NEW = LAB_SUBTEST + "new subtests"
UNLISTED = LAB_SUBTEST + "list of subtests"
BUILD = LAB_SUBTEST + "build"
_SHOWN_LINES = 15
# What tests say before a result: the harness, which up to 6.8 does not name one that is skipped;
# cow.c and others, whose result says what came out of it.
_HARNESS_RUN = re.compile(r"RUN {5,}(\S+) \.\.\.")
_RUN = re.compile(r"\[RUN\] (.+)")


def named(subtest: Subtest) -> Subtest:
    """A result by the name that its list has for it.

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
    """What a result's diagnostics say last in that form, or an empty string."""
    found = [m[1] for line in subtest.detail.splitlines() if (m := pattern.fullmatch(line))]
    return found[-1] if found else ""


def printed(saved: Saved) -> tuple[tuple[str, ...] | None, str]:
    """The names of what a program printed, to be listed, and why that is no list, if so.

    None for the names if it printed no KTAP.
    """
    report = parse_ktap(saved.stdout)
    if not report.began:
        return None, ""
    why = problems(report) or (() if report.subtests else ("it printed no result",))
    return tuple(named(subtest).name for subtest in report.subtests), "; ".join(why)


def problems(report: KtapReport) -> tuple[str, ...]:
    """What does not add up in a program's output; before 6.9 some print no version line."""
    return tuple(one for one in report.problems if one != NO_VERSION)


def against(due: ExpectedSubtests, seen: Sequence[Subtest], saved: Saved) -> list[Subtest]:
    """What the list of a program says of the results that it printed."""
    if not due.section:
        return [
            Subtest(
                UNLISTED, Verdict.ERROR,
                f"there is none for {due.version}: a subtest that is gone would not be missed\n"
                "make one from this run: lab.py new subtests RUN",
            )
        ]  # fmt: skip
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
    why = f"FAILED: missing: it is in the list of {due.section} and did not come"
    found = [Subtest(name, gone, why) for name in missing]
    if new:
        text = "\n".join([f"{len(new)} are not in the list of {due.section}:", *sorted(new)])
        found.append(Subtest(NEW, Verdict.PASS, text))
    return found


def matches(listed: str, name: str) -> bool:
    """Whether a name is the listed one, in which ``*`` stands for what differs between runs."""
    return re.fullmatch(".*".join(map(re.escape, listed.split("*"))), name) is not None


def _came_otherwise(subtest: Subtest, missing: list[str], new: list[str]) -> None:
    """A test that was run and did not pass may say why: that is neither missing nor new."""
    run = _said(_RUN, subtest)
    listed = next((name for name in missing if run and name.startswith(f"{run}: ")), None)
    if listed is not None:
        missing.remove(listed)
        new.remove(subtest.name)


def by_exit_status(saved: Saved) -> list[Subtest]:
    """The one result of a program that prints no KTAP, and those that it prints after all."""
    report = parse_ktap(saved.stdout)
    found = [named(subtest) for subtest in report.subtests]
    if found:
        text = "\n".join(
            ["it prints KTAP, which its list does not know:", *(s.name for s in found)]
        )
        found.append(Subtest(NEW, Verdict.PASS, text))
    if saved.exit is None or saved.exit.timeout:
        return found
    signal, status = saved.exit.signal, saved.exit.status
    verdict = {0: Verdict.PASS, KSFT_SKIP: Verdict.SKIP}.get(status, Verdict.FAIL)
    said = [line for line in (*saved.stdout, *saved.stderr) if line.strip()][-_SHOWN_LINES:]
    how = f"killed by signal {signal}" if signal else f"exit status {status}"
    why = f"FAILED: {how}" if verdict is Verdict.FAIL else how
    return [*found, Subtest(EXIT_STATUS, verdict, "\n".join([*said, why]))]
