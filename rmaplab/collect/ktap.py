# SPDX-License-Identifier: GPL-2.0
"""KTAP, the kernel's test output: lines in, results out.

The format is Documentation/dev-tools/ktap.rst of the kernel; what it leaves open is read as
tools/testing/selftests/kselftest.h and lib/kunit/test.c write it. What a program printed is
evidence of unknown quality, so nothing here raises: whatever is wrong becomes a problem.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from rmaplab.model import Subtest, Verdict

MAX_DETAIL = 16384
"""Characters of diagnostics that one result keeps: the last ones, which say how it ended."""
MAX_RESULTS = 20_000
MAX_DETAILS = 8 << 20
"""Characters of diagnostics over all results; beyond them a result keeps only its own note."""
MAX_PROBLEMS = 200
MAX_DEPTH = 16
MAX_NAME = 1000
MAX_MISSING = 1000
"""Missing results that are reported one by one; more than that is a plan gone mad."""

NO_VERSION = "no version line"
"""The one problem that leaves the results as certain as they were."""

# A console puts a time stamp before what goes through kmsg.
_STAMP = re.compile(r"^\[ {0,6}\d{1,9}\.\d{6}\](?:\[ {0,8}[TC]\d{1,8}\])? ")
_VERSION = re.compile(r"(K?)TAP version (\d{1,4})\s*$")
_VERSIONS = {"K": {"1"}, "": {"12", "13", "14"}}
"""KTAP's, and those of TAP that tests printed before there was KTAP."""
_PLAN = re.compile(r"1\.\.(\d{1,9})\s*(?:#\s*(.*))?$")
_RESULT = re.compile(
    r"(not )?ok(?:\s+(\d{1,9})\b(?:\s*-(?=\s|$))?|\s*-(?=\s)|(?=\s*(?:#|$)))\s*(.*)$"
)
# A directive stands behind a hash sign; a hash sign with blanks around it begins a note.
_HASH = re.compile(
    r"(?:^|\s)#(?:(?P<note>\s)|(?=(?:SKIP|TODO|XFAIL|XPASS|TIMEOUT|ERROR)\b)|$)", re.I
)
_NESTED = re.compile(r"(?P<hashes>(?:# ?)+)(?P<line>(?:K?TAP version|1\.\.\d|(?:not )?ok \d).*)$")
_DIRECTIVE = re.compile(r"(SKIP|TODO|XFAIL|XPASS|TIMEOUT|ERROR)\b:?\s*(.*)$", re.IGNORECASE)
_BAIL = re.compile(r"Bail out!\s*(.*)$", re.IGNORECASE)
_SUBTEST = re.compile(r"# Subtest: (.+)$")
_SKIP_ALL = re.compile(r"SKIP(?:PED)?\b:?\s*(.*)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class KtapReport:
    """The results of a test program.

    ``subtests`` are the results in their order, parents after their children, plus one error for
    each that a plan promised and nobody printed. ``planned`` is the outermost plan or None;
    ``problems`` say what does not add up: with one of them, no result may be called a pass.
    ``bailed_out`` and ``skip_all`` are the reasons given (maybe empty) or None. ``began`` says that
    a line of KTAP came.
    """

    subtests: tuple[Subtest, ...]
    planned: int | None
    problems: tuple[str, ...]
    bailed_out: str | None
    skip_all: str | None
    began: bool = True


@dataclass(slots=True)
class _Level:
    """One level of nesting, by the indentation of its lines."""

    indent: int
    plan: int | None = None
    seen: set[int] = field(default_factory=set)
    last: int = 0
    saw: int = 0
    results: list[Subtest] = field(default_factory=list)
    diagnostics: deque[str] = field(default_factory=deque)
    size: int = 0
    name: str = ""
    started: bool = False

    def keep(self, text: str) -> None:
        """Keep a line of diagnostics for the next result, and no more than it can keep."""
        self.diagnostics.append(text)
        self.size += len(text) + 1
        while self.size > MAX_DETAIL:
            self.size -= len(self.diagnostics.popleft()) + 1


def parse_ktap(lines: Iterable[str]) -> KtapReport:
    """Read KTAP out of the lines of a program; anything else between them is diagnostics."""
    parser = KtapParser()
    for line in lines:
        parser.line(line)
    return parser.report()


class KtapParser:
    """Takes lines one by one, in constant memory but for the results; see ``parse_ktap``.

    ``began`` is whether a line of KTAP came; ``ended_in_result`` whether the last one that did was
    a result.
    """

    def __init__(self) -> None:
        self._levels = [_Level(0)]
        self._problems: list[str] = []
        self._bailed_out: str | None = None
        self._skip_all: str | None = None
        self._count = 0
        self._kept = 0
        self.began = False
        self.ended_in_result = False
        self._has_version = False
        self._nested: set[int] = set()

    # -- lines ---------------------------------------------------------------------------------

    def line(self, raw: str) -> None:
        """Take one line."""
        text = _STAMP.sub("", raw.rstrip("\r\n"), count=1).expandtabs(8)
        body = text.lstrip(" ")
        indent = len(text) - len(body)
        if body.startswith("#") and (nested := self._without_hashes(body)):
            body, hashes = nested
            indent += 2 * hashes
        if not body or self._bailed_out is not None:
            return
        self.ended_in_result = False
        if match := _VERSION.match(body):
            self._version(indent, match[1], match[2])
        elif match := _PLAN.match(body):
            self._plan(indent, int(match[1]), match[2] or "")
        elif match := _BAIL.match(body):
            self._bailed_out = match[1].strip()
        elif match := _RESULT.match(body):
            self._result(indent, match)
        else:
            self._diagnostic(body)

    def _version(self, indent: int, kind: str, number: str) -> None:
        self.began = self._has_version = True
        if number not in _VERSIONS[kind]:
            self.problem(f"{kind}TAP version {number} is not known")
        level = self._level(indent)
        if level.started and indent == 0:
            self.problem("a second version line at the top")
        level.started = True

    def _plan(self, indent: int, planned: int, comment: str) -> None:
        self.began = True
        level = self._level(indent)
        if level.plan is not None:
            self.problem(f"a second plan 1..{planned}{self._where(level)}")
            return
        level.plan = planned
        if planned == 0 and len(self._levels) == 1:
            match = _SKIP_ALL.match(comment)
            self._skip_all = match[1].strip() if match else comment.strip()

    def _result(self, indent: int, match: re.Match[str]) -> None:
        self.began = self.ended_in_result = True
        child = self._child_of(indent)
        level = self._level(indent)
        if not self._room():
            return
        number = self._number(level, match[2])
        description, tail = self._split(match[3], number, level)
        verdict, note, known = _judge(bool(match[1]), tail.strip())
        # kselftest.h prints a skipped test's name behind the directive.
        name = (description.strip() or note or f"test {number}")[:MAX_NAME]
        diagnostics = level.diagnostics
        if child is not None:
            bubbled = self._bubble_up(name, verdict, child.results)
            verdict, known = bubbled, known and bubbled is verdict
            level.results += [_inside(name, result) for result in child.results]
            diagnostics = diagnostics + child.diagnostics
        if self._kept > MAX_DETAILS:
            diagnostics = deque()
        detail = "\n".join([*([note] if note else []), *diagnostics])[-MAX_DETAIL:]
        self._kept += len(detail)
        level.diagnostics, level.size = deque(), 0
        level.results.append(Subtest(name, verdict, detail, known=known))

    def _without_hashes(self, body: str) -> tuple[str, int] | None:
        """Return a nested line of KTAP without its hash signs, and their number; None for others.

        The kernel's kselftest/runner.sh puts "# " in front of all that a program prints, so a whole
        report in KTAP is nested that way: it begins with a version line.
        """
        match = _NESTED.match(body)
        if match is None:
            return None
        hashes = match["hashes"].count("#")
        if _VERSION.match(match["line"]):
            self._nested.add(hashes)
        return (match["line"], hashes) if hashes in self._nested else None

    def _split(self, text: str, number: int, level: _Level) -> tuple[str, str]:
        """Return a result's description and the text behind its hash sign.

        ktap.rst forbids a hash sign in a description, and tests print it there ("page #1"): only a
        directive, or a note with blanks around the sign, ends it.
        """
        found = _HASH.search(text)
        if found is None:
            return text, ""
        tail = text[found.end() :]
        match = _DIRECTIVE.match(tail)
        if match is not None and not found["note"] and not match[1].isupper():
            where = self._where(level)
            self.problem(
                f"result {number}{where}: #{match[1]} may be a directive or part of a name"
            )
        return text[: found.start()], tail

    def _room(self) -> bool:
        self._count += 1
        if self._count > MAX_RESULTS:
            self.problem(f"more than {MAX_RESULTS} results")
        return self._count <= MAX_RESULTS

    def _diagnostic(self, body: str) -> None:
        level = self._levels[-1]
        if match := _SUBTEST.match(body):
            level.name = match[1].strip()
            return
        while body.startswith("#"):
            body = body.removeprefix("#").lstrip()
        level.keep(body.strip()[:MAX_DETAIL])

    # -- levels --------------------------------------------------------------------------------

    def _child_of(self, indent: int) -> _Level | None:
        """Return the nested level that a result line with that indentation closes, or None."""
        while len(self._levels) > 1 and self._levels[-1].indent > indent:
            if self._levels[-2].indent <= indent:
                child = self._levels.pop()
                self._settle(child)
                return child
            self._orphan()
        return None

    def _level(self, indent: int) -> _Level:
        """Return the level of lines with that indentation; deeper ones are over."""
        while len(self._levels) > 1 and self._levels[-1].indent > indent:
            self._orphan()
        if indent > self._levels[-1].indent and len(self._levels) < MAX_DEPTH:
            self._levels.append(_Level(indent))
        return self._levels[-1]

    def _orphan(self) -> None:
        """Close a nested level whose parent's result never came."""
        level = self._levels.pop()
        self._settle(level)
        parent = self._levels[-1]
        name = level.name or f"test {parent.saw + 1}"
        if level.results:
            self.problem(f"no result for {name}, whose subtests have some")
        parent.results += [_inside(name, child) for child in level.results]
        for text in level.diagnostics:
            parent.keep(text)

    def _settle(self, level: _Level) -> None:
        """Compare what a level printed with its plan."""
        saw = level.saw
        if level.plan is None:
            if saw:
                self.problem(f"no plan{self._where(level)}")
            return
        if level.plan != saw:
            self.problem(f"planned {level.plan}, saw {saw}{self._where(level)}")
        absent = sorted(set(range(1, min(level.plan, saw + MAX_MISSING) + 1)) - level.seen)
        for number in absent[: max(level.plan - saw, 0)]:
            if not self._room():
                break
            level.results.append(Subtest(f"test {number}", Verdict.ERROR, "missing"))

    def _number(self, level: _Level, text: str | None) -> int:
        expected = level.last + 1
        number = int(text) if text is not None else expected
        if text is None:
            self.problem(f"a result without a number{self._where(level)}")
        elif number in level.seen:
            self.problem(f"result {number} came twice{self._where(level)}")
        elif number != expected:
            self.problem(f"result {number} came where {expected} was due{self._where(level)}")
        level.seen.add(number)
        level.last = number
        level.saw += 1
        return number

    def _bubble_up(self, name: str, verdict: Verdict, children: list[Subtest]) -> Verdict:
        """Judge a test no better than its subtests (ktap.rst, "bubbling up")."""
        bad = [child.verdict for child in children if child.verdict in _BAD]
        if verdict in _BAD or not bad:
            return verdict
        self.problem(f"{name} says {verdict.value} over a subtest that does not")
        return Verdict.ERROR if Verdict.ERROR in bad else Verdict.FAIL

    def _where(self, level: _Level) -> str:
        return f" in {level.name}" if level.name else ""

    def problem(self, text: str) -> None:
        """Note what does not add up."""
        if len(self._problems) < MAX_PROBLEMS and text not in self._problems[-3:]:
            self._problems.append(text)

    # -- the end -------------------------------------------------------------------------------

    def report(self) -> KtapReport:
        """Return the results of all lines together."""
        while len(self._levels) > 1:
            self._orphan()
        top = self._levels[0]
        self._settle(top)
        if self._bailed_out is not None:
            self.problem(f"bailed out: {self._bailed_out}".rstrip(": "))
        elif not self.began:
            self.problem("no KTAP output")
        elif not self._has_version:
            self.problem(NO_VERSION)
        elif not top.results and self._skip_all is None:
            self.problem("no results")
        return KtapReport(
            subtests=tuple(top.results),
            planned=top.plan,
            problems=tuple(self._problems),
            bailed_out=self._bailed_out,
            skip_all=self._skip_all,
            began=self.began,
        )


_BAD = frozenset({Verdict.FAIL, Verdict.ERROR})


def _inside(parent: str, child: Subtest) -> Subtest:
    name = f"{parent}/{child.name}"[:MAX_NAME]
    return Subtest(name, child.verdict, child.detail, known=child.known)


def _judge(not_ok: bool, tail: str) -> tuple[Verdict, str, bool]:
    """Return a result line's verdict, the note behind its hash sign, and if it is a known failure.

    SKIP skips whatever the result says. TODO and XFAIL expect a failure (ktap.rst), so failing is
    no regression, and nothing was shown to work either. kselftest.h prints "ok" with XFAIL. A TODO
    that passes is a pass. TIMEOUT and ERROR come with "not ok"; one that says "ok" contradicts
    itself.
    """
    verdict = Verdict.FAIL if not_ok else Verdict.PASS
    match = _DIRECTIVE.match(tail)
    if match is None:
        return verdict, tail, False
    directive, note = match[1].upper(), match[2].strip()
    if directive == "SKIP":
        return Verdict.SKIP, note, False
    known = directive == "XFAIL" or (directive == "TODO" and not_ok)
    if known:
        verdict = Verdict.SKIP
    elif directive == "TIMEOUT":
        verdict = Verdict.FAIL
    elif directive == "ERROR":
        verdict = Verdict.ERROR
    return verdict, f"{directive}: {note}".rstrip(": "), known
