# SPDX-License-Identifier: GPL-2.0
"""junit.xml: one suite per kernel x guest x device x settings, through junit-xml.

The kernel's fault is a ``<failure>``, the lab's an ``<error>``. A known failure is ``<skipped>``,
so that a lab on an unpatched kernel can be green; one that ends otherwise than expected is a
``<failure>`` again, and so is a case that stands for the repeats of a testcase that differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from junit_xml import TestCase, TestSuite, to_xml_report_string

from rmaplab.model import CellResult, Splat, Unstable, Verdict
from rmaplab.stability import unstable
from rmaplab.store.runfolder import KernelFacts

# Everything that is no Char of XML 1.0 (production 2), and what it discourages: C1 controls and
# noncharacters. junit-xml drops those without a trace.
_NONCHARACTERS = "".join(
    chr(plane << 16 | low) for plane in range(1, 17) for low in (0xFFFE, 0xFFFF)
)
_NO_XML = re.compile(
    "[^\t\n\r -\x7e\x85\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]"
    f"|[{_NONCHARACTERS}]"
)


_ROOT = re.compile(r"<testsuites ([^>]*)>")
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')


def clean(text: str) -> str:
    """Text that any XML parser takes: what XML cannot hold becomes visible as ``\\x1b``."""
    return _NO_XML.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def render(results: Sequence[CellResult], kernels: Mapping[str, KernelFacts]) -> str:
    """The file's text; the same for the same evidence, byte for byte."""
    grouped: dict[tuple[str, str, str], list[CellResult]] = {}
    for result in results:
        cell = result.cell
        grouped.setdefault((cell.kernel, cell.place, cell.settings.name), []).append(result)
    # A suite at a time: as XML elements they take many times the memory of their text.
    texts = [_as_text(_suite(key, members, kernels)) for key, members in grouped.items()]
    texts += [
        _as_text(_unbuilt(name, facts))
        for name, facts in kernels.items()
        if facts.error and not any(key[0] == name for key in grouped)
    ]
    return _joined(texts)


def _suite(
    key: tuple[str, str, str], members: Sequence[CellResult], kernels: Mapping[str, KernelFacts]
) -> TestSuite:
    return TestSuite(
        clean(".".join(key)),
        [*(_case(result) for result in members), *(_unstable(one) for one in unstable(members))],
        properties=_properties(members, kernels),
    )


def _as_text(suite: TestSuite) -> tuple[dict[str, str], str]:
    """A report of one suite: the attributes of its root element, and what is in there."""
    text = str(to_xml_report_string([suite], prettyprint=True))
    root = _ROOT.search(text)
    assert root is not None
    return dict(_ATTRIBUTE.findall(root[1])), text[root.end() : text.rindex("</testsuites>")]


def _joined(texts: Sequence[tuple[dict[str, str], str]]) -> str:
    """One report of several: the root's attributes are sums."""
    if not texts:
        return str(to_xml_report_string([], prettyprint=True))
    sums = {name: sum(float(attributes[name]) for attributes, _ in texts) for name in texts[0][0]}
    root = " ".join(
        f'{name}="{value if name == "time" else int(value)}"' for name, value in sums.items()
    )
    inner = "".join(inner for _, inner in texts)
    return f'<?xml version="1.0" ?>\n<testsuites {root}>{inner}</testsuites>\n'


def _unbuilt(name: str, facts: KernelFacts) -> TestSuite:
    """A kernel that has no cells because it was not built, so that the error is not silent."""
    case = TestCase("build", classname=clean(name))
    case.add_error_info(
        message=clean(_first_line(facts.error)), output=clean(facts.error), error_type="build"
    )
    return TestSuite(clean(name), [case])


def _properties(
    members: Sequence[CellResult], kernels: Mapping[str, KernelFacts]
) -> dict[str, str]:
    """The suite's identity, and each testcase's counters that moved.

    junit-xml has properties for suites only, so a counter's name begins with its testcase's.
    """
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
    for result in members:
        for name, change in result.observation.counters.items():
            if change.delta:
                text = f"{change.before} -> {change.after} ({change.delta:+d})"
                found[f"{_name(result)}: {name}"] = text
    return {clean(key): clean(value) for key, value in found.items()}


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
    text = clean("\n".join([judgement.reason, *(_splat(splat) for splat in seen.splats)]))
    match judgement.verdict:
        case Verdict.SKIP:
            case.add_skipped_info(message=message)
        case Verdict.ERROR:
            case.add_error_info(message=message, output=text, error_type=str(seen.outcome))
        case _ if not judgement.as_expected:
            case.add_failure_info(message=message, output=text, failure_type=str(seen.outcome))
        case Verdict.FAIL:
            case.add_skipped_info(message=clean(f"known failure: {judgement.known}"), output=text)
    return case


def _unstable(one: Unstable) -> TestCase:
    """A case for repeats that differ: each may be as expected, all of them together are not."""
    classname = f"{one.kernel}.{one.place}.{one.settings}"
    case = TestCase(f"{clean(one.testcase)} repeats", classname=clean(classname))
    case.add_failure_info(
        message=f"unstable: {one.detail}", output="\n".join(one.cells), failure_type="unstable"
    )
    return case


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""


def _splat(splat: Splat) -> str:
    frames = "\n".join(f"  {frame}" for frame in splat.frames)
    return f"{splat.title}\n{frames}\n\n{splat.excerpt}"


def _output(result: CellResult) -> str:
    """Each subtest with its diagnostics."""
    lines = [f"verdict: {result.judgement.verdict}", f"outcome: {result.observation.outcome}"]
    for subtest in result.observation.subtests:
        lines.append(f"{subtest.verdict}: {subtest.name}")
        lines += [f"  {line}" for line in subtest.detail.splitlines()]
    return "\n".join(lines)
