# SPDX-License-Identifier: GPL-2.0
"""junit.xml: one suite per kernel x guest x device x settings, through junit-xml.

The kernel's fault is a ``<failure>``, the lab's an ``<error>``. A known failure is ``<skipped>``,
so that a lab on an unpatched kernel can be green; one that ends otherwise than expected is a
``<failure>`` again, and so is a case that stands for the repeats of a testcase that differ.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO
from xml.etree import ElementTree

from junit_xml import TestCase, TestSuite, to_xml_report_string

from rmaplab.model import CellResult, Comparison, Splat, Unstable, Verdict
from rmaplab.stability import unstable
from rmaplab.store.cellfiles import ReadCounters
from rmaplab.store.runfolder import KernelFacts
from rmaplab.text import printable_lines

_Text = tuple[dict[str, str], str]
_AT_ONCE = 100
_TOTALS = frozenset({"disabled", "errors", "failures", "skipped", "tests", "time"})
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')


def clean(text: str) -> str:
    """Return a text that any XML parser takes: what XML cannot hold is not printable either."""
    return printable_lines(text)


def render(
    results: Sequence[CellResult],
    kernels: Mapping[str, KernelFacts],
    counters: ReadCounters,
    comparison: Comparison | None = None,
) -> str:
    """Return the file's text, which follows from the evidence byte for byte."""
    return "".join(pieces(results, kernels, counters, comparison))


def pieces(
    results: Sequence[CellResult],
    kernels: Mapping[str, KernelFacts],
    counters: ReadCounters,
    comparison: Comparison | None = None,
) -> Iterator[str]:
    """Yield the file's text in pieces, so that counters of thousands of cells fit into memory.

    ``counters`` reads a cell's counters by its id.
    """
    grouped: dict[tuple[str, str, str], list[CellResult]] = {}
    for result in results:
        cell = result.cell
        grouped.setdefault((cell.kernel, cell.place, cell.settings.name), []).append(result)
    with _spool() as body:
        sums: dict[str, str] = {}
        for key, members in grouped.items():
            sums = _sum(sums, _write_suite(body, ".".join(key), members, kernels, counters))
        for name, facts in kernels.items():
            if facts.error and not any(key[0] == name for key in grouped):
                attributes, text = _as_text(_unbuilt(name, facts))
                sums = _sum(sums, attributes)
                body.write(text)
        if comparison is not None and comparison.new_splats:
            attributes, text = _as_text(_new_splats(comparison))
            sums = _sum(sums, attributes)
            body.write(text)
        if not sums:
            yield str(to_xml_report_string([], prettyprint=True))
            return
        root = " ".join(f'{name}="{value}"' for name, value in sums.items() if name in _TOTALS)
        yield f'<?xml version="1.0" ?>\n<testsuites {root}>'
        yield from _content(body)
        yield "</testsuites>\n"


def _spool() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8", newline="")


def _content(spool: IO[str]) -> Iterator[str]:
    spool.seek(0)
    while piece := spool.read(1 << 16):
        yield piece


def _write_suite(
    body: IO[str],
    name: str,
    members: Sequence[CellResult],
    kernels: Mapping[str, KernelFacts],
    counters: ReadCounters,
) -> dict[str, str]:
    """Write a suite and return its totals.

    It is put together from small ones: as elements they take far more memory than as text.
    """
    sums: dict[str, str] = {}
    last = (len(members) - 1) // _AT_ONCE
    with _spool() as properties, _spool() as cases:
        for number in range(last + 1):
            some = members[number * _AT_ONCE : (number + 1) * _AT_ONCE]
            more = unstable(members) if number == last else ()
            part = TestSuite(
                clean(name),
                [*(_case(result) for result in some), *(_unstable(one) for one in more)],
                properties=(_identity(members, kernels) if not number else {})
                | _moved(some, counters),
            )
            attributes, inner = _opened("testsuite", _as_text(part)[1])
            sums = _sum(sums, attributes)
            own, rest = _opened_properties(inner)
            properties.write(own)
            cases.write(rest)
        head = " ".join(f'{key}="{value}"' for key, value in sums.items())
        body.write(f"\n\t<testsuite {head}>\n\t\t<properties>")
        body.writelines(_content(properties))
        body.write("\n\t\t</properties>")
        body.writelines(_content(cases))
        body.write("\n\t</testsuite>\n")
    return sums


def _opened(tag: str, text: str) -> tuple[dict[str, str], str]:
    """Return the attributes of the only element of a name, and the element's content."""
    root = re.search(rf"<{tag} ([^>]*[^/>])>", text)
    assert root is not None
    return dict(_ATTRIBUTE.findall(root[1])), text[root.end() : text.rindex(f"</{tag}>")]


def _opened_properties(inner: str) -> tuple[str, str]:
    """Return a suite's properties and the text behind them, both stripped at the end."""
    start, end = inner.find("<properties>"), inner.find("</properties>")
    if start < 0:
        return "", inner.rstrip()
    own = inner[start + len("<properties>") : end].rstrip()
    return own, inner[end + len("</properties>") :].rstrip()


def _sum(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    """Add the counts and times of two elements' attributes; the others are the second's."""
    found = dict(other)
    for name in _TOTALS & one.keys() & other.keys():
        number = float(one[name]) + float(other[name])
        found[name] = str(number if name == "time" else int(number))
    return found


def _as_text(suite: TestSuite) -> _Text:
    """Return a report of one suite: the attributes of its root element, and its content."""
    # Not printed pretty by junit-xml: it would have minidom make each element once more.
    root = ElementTree.fromstring(to_xml_report_string([suite], prettyprint=False))
    ElementTree.indent(root, "\t")
    return _opened("testsuites", ElementTree.tostring(root, "unicode"))


def _new_splats(comparison: Comparison) -> TestSuite:
    """Return a suite with a failure for each splat of B that A has not, also where both fail."""
    name = f"new splats: {comparison.a} -> {comparison.b}"
    cases = []
    for splat in comparison.new_splats:
        case = TestCase(clean(f"{splat.title} [{splat.fingerprint}]"), classname=clean(name))
        rows = [" ".join(filter(None, row)) for row in splat.rows]
        text = "\n".join([f"in {splat.seen} cells:", *rows, "", splat.excerpt])
        case.add_failure_info(
            message=clean(splat.title), output=clean(text), failure_type=splat.kind
        )
        cases.append(case)
    return TestSuite(clean(name), cases)


def _unbuilt(name: str, facts: KernelFacts) -> TestSuite:
    """Return a suite with the error of a kernel that was not built and so has no cells."""
    case = TestCase("build", classname=clean(name))
    case.add_error_info(
        message=clean(_first_line(facts.error)), output=clean(facts.error), error_type="build"
    )
    return TestSuite(clean(name), [case])


def _identity(members: Sequence[CellResult], kernels: Mapping[str, KernelFacts]) -> dict[str, str]:
    """Return the properties that tell what a suite ran on."""
    cell = members[0].cell
    facts = kernels.get(cell.kernel)
    found = {"kernel": cell.kernel, "guest": cell.guest.name, "settings": cell.settings.name,
             "device": cell.devices}  # fmt: skip
    if facts is not None:
        found |= {
            "tree": facts.tree,
            "origin": facts.origin,
            "series": facts.series,
            "build": facts.key,
            "release": facts.release,
        }
    return {clean(key): clean(value) for key, value in found.items()}


def _moved(members: Sequence[CellResult], counters: ReadCounters) -> dict[str, str]:
    """Return the counters of some cells that changed.

    junit-xml has properties for suites only, so a counter's name begins with its testcase's.
    """
    return {
        clean(f"{_name(result)}: {name}"): f"{change['before']} -> {change['after']} ({delta:+d})"
        for result in members
        for name, change in counters(result.cell.id).items()
        if (delta := change["delta"])
    }


def _name(result: CellResult) -> str:
    cell = result.cell
    return cell.testcase.name + (f" #{cell.repeat}" if cell.repeat > 1 else "")


def _case(result: CellResult) -> TestCase:
    cell, seen, judgement = result.cell, result.observation, result.judgement
    case = TestCase(
        clean(_name(result)),
        classname=clean(f"{cell.kernel}.{cell.place}.{cell.settings.name}"),
        elapsed_sec=seen.duration_s,
        stdout=clean(_output(result)),
    )
    message = clean(_first_line(judgement.reason))
    text = clean(
        "\n".join([judgement.reason, *(_splat(splat, allowed) for splat, allowed in result.splats)])
    )
    match judgement.verdict:
        case Verdict.SKIP:
            case.add_skipped_info(message=message)
        case Verdict.ERROR:
            case.add_error_info(message=message, output=text, error_type=str(result.outcome))
        case _ if not judgement.as_expected:
            case.add_failure_info(message=message, output=text, failure_type=str(result.outcome))
        case Verdict.FAIL:
            case.add_skipped_info(message=clean(f"known failure: {judgement.known}"), output=text)
    return case


def _unstable(one: Unstable) -> TestCase:
    """Return a failed case for repeats that differ, even if each of them is as expected."""
    classname = f"{one.kernel}.{one.place}.{one.settings}"
    case = TestCase(f"{clean(one.testcase)} repeats", classname=clean(classname))
    case.add_failure_info(
        message=f"unstable: {one.detail}", output="\n".join(one.cells), failure_type="unstable"
    )
    return case


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""


def _splat(splat: Splat, allowed: str) -> str:
    frames = "\n".join(f"  {frame}" for frame in splat.frames)
    note = f" (allowed: {allowed})" if allowed else ""
    return f"{splat.title}{note}\n{frames}\n\n{splat.excerpt}"


def _output(result: CellResult) -> str:
    """Return the verdict, the outcome and each subtest with its diagnostics, as text."""
    lines = [f"verdict: {result.judgement.verdict}", f"outcome: {result.outcome}"]
    for subtest in result.observation.results:
        lines.append(f"{subtest.verdict}: {subtest.name}")
        lines += [f"  {line}" for line in subtest.detail.splitlines()]
    # A case that is green shows nowhere else what it was allowed to complain about.
    lines += [f"allowed splat: {s.title}: {why}" for s, why in result.splats if why]
    memory = result.observation.memory
    if memory is not None:
        lines += [memory.phrase, *memory.report.splitlines()]
    return "\n".join(lines)
