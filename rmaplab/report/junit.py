# SPDX-License-Identifier: GPL-2.0
"""junit.xml: a case for each item of a run's summary, through junit-xml.

In an A/B a case is a row, in a plain run a cell: what is red is red here, and nothing else is. The
kernel's fault is a ``<failure>``, the lab's an ``<error>``; a known failure and a skip are
``<skipped>``. A suite is a testcase, on each kernel of a plain run.

The file is valid by the junit-10.xsd of Jenkins' xunit plugin. What junit-xml does otherwise is
mended in one place, ``_by_schema``.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from junit_xml import TestCase, TestSuite, to_xml_report_string

from rmaplab.model import (
    CellResult,
    ComparedSplat,
    ComparisonRow,
    Item,
    ItemKind,
    RowKey,
    Splat,
    Standing,
    Verdict,
)
from rmaplab.report.reported import ReportedRun
from rmaplab.store.runfolder import KernelFacts, RunRecord
from rmaplab.text import printable_lines

MAX_OUTPUT = 64 << 10
"""Characters of the output of a case; the evidence has all of it."""
_TOTALS = ("tests", "failures", "errors")


def clean(text: str) -> str:
    """Return a text that any XML parser takes: what XML cannot hold is not printable either."""
    return printable_lines(text)


def render(run: ReportedRun) -> str:
    """Return the file's text, which follows from the evidence byte for byte."""
    return "".join(pieces(run))


def pieces(run: ReportedRun) -> Iterator[str]:
    """Yield the file's text in pieces: the suites of thousands of cells are long."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as body:
        totals = dict.fromkeys(_TOTALS, 0)
        seconds = 0.0
        for suite in _suites(run):
            element = _by_schema(suite)
            for name in _TOTALS:
                totals[name] += int(element.get(name, "0"))
            seconds += float(element.get("time", "0"))
            _write(body, element)
        sums = " ".join(f'{name}="{count}"' for name, count in totals.items())
        name = quoteattr(clean(f"rmaplab {run.record.lab.name}"))
        yield '<?xml version="1.0" encoding="UTF-8"?>\n'
        yield f'<testsuites name={name} {sums} time="{seconds:.3f}">\n'
        body.seek(0)
        while piece := body.read(1 << 16):
            yield piece
        yield "</testsuites>\n"


def without_run(name: str, message: str) -> str:
    """Return the file of a job that has no run, for a reason that is an error of its one case."""
    case = TestCase("the run comes to its end", "rmaplab.run")
    case.add_error_info(message=clean(_first_line(message)), output=_cut(clean(message)))
    body = io.StringIO()
    _write(body, _by_schema(TestSuite("rmaplab", [case])))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<testsuites name={quoteattr(clean(f'rmaplab {name}'))} "
        f'tests="1" failures="0" errors="1" time="0.000">\n{body.getvalue()}</testsuites>\n'
    )


def _write(body: IO[str], element: ElementTree.Element) -> None:
    ElementTree.indent(element, "\t", 1)
    body.write(f"\t{ElementTree.tostring(element, 'unicode').rstrip()}\n")


def _by_schema(suite: TestSuite) -> ElementTree.Element:
    """Return the suite as an element that the schema allows.

    junit-xml writes ``disabled``, which the schema does not have, and numbers that may have an
    exponent; it writes nothing for a time of 0.
    """
    root = ElementTree.fromstring(to_xml_report_string([suite], prettyprint=False))
    (element,) = root
    element.attrib.pop("disabled", None)
    for one in (element, *element.iter("testcase")):
        one.set("time", f"{float(one.get('time', '0')):.3f}")
    return element


def _suites(run: ReportedRun) -> Iterator[TestSuite]:
    """Yield the suites: of the run and its kernels, of each testcase, of the new splats."""
    cases = _Cases(run)
    suites: dict[tuple[str, str], list[Item]] = {}
    for item in run.summary.items:
        suites.setdefault(_suite_of(item), []).append(item)
    sources = {one.name: str(one.source) for one in run.record.lab.every_testcase}
    for (kernel, name), items in suites.items():
        shown = f"{kernel}.{name}" if kernel else name
        source = sources.get(name, "")
        yield TestSuite(
            clean(shown),
            [cases.of(item) for item in items],
            hostname=clean(run.record.host.get("name", "")) or None,
            timestamp=run.record.began.partition("+")[0] or None,
            file=clean(_below_testcases(source)) or None,
            properties=_identity(run.record, kernel),
        )


def _suite_of(item: Item) -> tuple[str, str]:
    """Return the kernel and the name of an item's suite."""
    match item.kind:
        case ItemKind.RUN | ItemKind.KERNEL:
            return "", "rmaplab"
        case ItemKind.SPLAT:
            return "", f"new splats: {item.base} -> {item.patched}"
    return item.kernel, item.name


def _below_testcases(source: str) -> str:
    """Return a testcase's source relative to the project, whatever host the run was on."""
    _, found, rest = source.rpartition("/testcases/")
    return f"testcases/{rest}" if found else ""


def _identity(record: RunRecord, kernel: str) -> dict[str, str]:
    """Return the properties that tell what a suite ran on; of an A/B's for each kernel."""
    kernels = {kernel: record.kernels[kernel]} if kernel in record.kernels else record.kernels
    found: dict[str, str] = {"accelerator": record.accelerator}
    for name, facts in kernels.items():
        of = "" if kernel else f"{name}."
        found |= {f"{of}{key}": value for key, value in _facts(name, facts).items()}
    return {clean(key): clean(value) for key, value in found.items()}


def _facts(name: str, facts: KernelFacts) -> dict[str, str]:
    return {
        "kernel": name,
        "tree": facts.tree,
        "origin": facts.origin,
        "series": facts.series,
        "build": facts.key,
        "release": facts.release,
    }


class _Cases:
    """Make the case of an item, with what its cells showed."""

    def __init__(self, run: ReportedRun) -> None:
        self._results = {result.cell.id: result for result in run.results}
        comparison = run.comparison
        self._rows: Mapping[RowKey, ComparisonRow] = {}
        self._splats: Mapping[str, ComparedSplat] = {}
        if comparison is not None:
            self._rows = {(r.testcase, r.settings, r.guest, r.device): r for r in comparison.rows}
            self._splats = {splat.fingerprint: splat for splat in comparison.new_splats}

    def of(self, item: Item) -> TestCase:
        """Return the case: the item's standing decides its colour."""
        results = [self._results[cell] for cell in item.cells if cell in self._results]
        if item.kind is ItemKind.REPEATS:
            results = []  # each has a case of its own
        case = TestCase(
            clean(_name(item)),
            classname=clean(_class(item)),
            elapsed_sec=sum(result.observation.duration_s for result in results),
            stdout=self._output(item, results) or None,
        )
        _colour(case, item, self._type(item, results), self._text(item, results))
        return case

    def _type(self, item: Item, results: Sequence[CellResult]) -> str:
        """Return the type of a failure: a row's change, a cell's outcome, a splat's kind."""
        match item.kind:
            case ItemKind.KERNEL:
                return "build"
            case ItemKind.REPEATS:
                return "unstable"
            case ItemKind.SPLAT:
                return self._splats[item.fingerprint].kind
            case ItemKind.CELL:
                return str(results[0].outcome)
        return item.what

    def _output(self, item: Item, results: Sequence[CellResult]) -> str:
        lines = [f"{item.base} -> {item.patched}: {item.what}"] if item.base else []
        lines += [item.why] if item.why and not item.standing.is_red else []
        lines += [f"failure {name}" for name in item.failures]
        lines += [item.quarantine] if item.quarantine not in item.why else []
        row = self._rows.get((item.name, item.settings, item.guest, item.device))
        if item.kind is ItemKind.ROW and row is not None:
            lines += [counter.phrase for counter in row.counters]
            lines += [cost.phrase for cost in row.costs if cost.differs]
            lines += [value.phrase for value in row.values]
        for result in results:
            lines += ["", f"{result.cell.id}:"] if len(results) > 1 else []
            lines += _shown(result)
            lines += [f"evidence: cells/{result.cell.id}/"]
        return _cut(clean("\n".join(lines).strip()))

    def _text(self, item: Item, results: Sequence[CellResult]) -> str:
        """Return the text of a failure: the reason, then the splats of the cells."""
        lines = [item.why]
        if item.kind is ItemKind.SPLAT:
            new = self._splats[item.fingerprint]
            rows = [" ".join(filter(None, row)) for row in new.rows]
            lines = [f"in {new.seen} cells:", *rows, "", new.excerpt]
        if item.kind is ItemKind.REPEATS:
            lines += item.cells
        seen: set[str] = set()
        for result in reversed(results):  # of an A/B patched's first
            for splat, allowed in result.splats:
                if splat.fingerprint not in seen:
                    seen.add(splat.fingerprint)
                    lines += ["", f"{result.cell.id}:", _splat(splat, allowed)]
        return _cut(clean("\n".join(lines)))


def _colour(case: TestCase, item: Item, of_type: str, text: str) -> None:
    """Make a case what its item's standing says; one that stays as it is passed."""
    message = clean(_first_line(item.why) or item.what)
    match item.standing:
        case Standing.ERROR:
            case.add_error_info(message=message, output=text, error_type=clean(of_type))
        case Standing.BAD:
            if item.change is not None:
                message = f"{item.change}: {message}"
            case.add_failure_info(message=message, output=text, failure_type=clean(of_type))
        case Standing.QUARANTINED:
            case.add_skipped_info(message=f"quarantined: {message}", output=text)
        case Standing.KNOWN:
            known = clean(_first_line(item.known)) or "base fails, too"
            case.add_skipped_info(message=f"known failure: {known}", output=text)
        case Standing.SKIPPED:
            case.add_skipped_info(message=message)


def _name(item: Item) -> str:
    """Return a case's name, the same in each run; repeats have a number."""
    match item.kind:
        case ItemKind.KERNEL:
            return f"build of {item.name}"
        case ItemKind.RUN:
            return "the run comes to its end"
        case ItemKind.SPLAT:
            return f"{item.name} [{item.fingerprint}]"
    number = f" #{item.repeat}" if item.repeat > 1 else ""
    repeats = " repeats" if item.kind is ItemKind.REPEATS else ""
    return f"{item.name} [{item.where}]{number}{repeats}"


def _class(item: Item) -> str:
    """Return a case's class: its testcase, with the group as the package."""
    match item.kind:
        case ItemKind.RUN | ItemKind.KERNEL:
            return "rmaplab.run"
        case ItemKind.SPLAT:
            return "rmaplab.new-splats"
    return item.name.replace("/", ".")


def _cut(text: str) -> str:
    if len(text) <= MAX_OUTPUT:
        return text
    return f"{text[:MAX_OUTPUT]}\n({len(text) - MAX_OUTPUT} more characters in results.json)"


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""


def _splat(splat: Splat, allowed: str) -> str:
    frames = "\n".join(f"  {frame}" for frame in splat.frames)
    note = f" (allowed: {allowed})" if allowed else ""
    return f"{splat.title}{note}\n{frames}\n\n{splat.excerpt}"


def _shown(result: CellResult) -> Iterator[str]:
    """Yield the verdict, the outcome and each subtest with its diagnostics."""
    yield f"verdict: {result.judgement.verdict}, outcome: {result.outcome}"
    for subtest in result.observation.results:
        yield f"{subtest.word}: {subtest.name}"
        if subtest.verdict is not Verdict.PASS:
            yield from (f"  {line}" for line in subtest.detail.splitlines())
    # A case that is green shows nowhere else what it was allowed to complain about.
    yield from (f"allowed splat: {s.title}: {why}" for s, why in result.splats if why)
    memory = result.observation.memory
    if memory is not None:
        yield memory.phrase
        yield from memory.report.splitlines()
