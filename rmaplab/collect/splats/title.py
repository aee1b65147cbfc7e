# SPDX-License-Identifier: GPL-2.0
"""Titles: one line that names a complaint the same way on every boot."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rmaplab.collect.splats.rule import Rule

MAX_TITLE = 120
UNKNOWN = "corrupted"

# mm/debug.c:dump_page; "because: ..." follows, if the caller says why.
_DUMPED = "page dumped"
_ACCESS = re.compile(r"\b(Read|Write|READ|WRITE) (?:of size \d+|at addr)")
_NORMALISED = (
    (re.compile(r"\+0x[0-9a-f]+/0x[0-9a-f]+"), ""),
    (re.compile(r"\b0x[0-9a-fA-F]+\b|\b[0-9a-f]{16}\b|\b[0-9a-f]{12}\b"), "ADDR"),
    (re.compile(r"\b\d+|\d{5,}"), "NUM"),
)
_PANIC_TAIL = re.compile(r"\s*(?:exitcode=.*|\.\.\.|\[\s*$|\s-\s.*)$")
_ASSERT = re.compile(r".{0,200}ASSERT FAILED at \([^)]{0,200}\): ")
_TRUSTY = re.compile(r"ASSERT FAILED at \([^)]*\): |panic \(caller [^)]*\): ")


def normalise(text: str) -> str:
    """Return a message without the addresses, offsets and numbers that differ between boots."""
    for pattern, replacement in _NORMALISED:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())


def _access(texts: Sequence[str]) -> str:
    for text in texts[:12]:
        if match := _ACCESS.search(text):
            return match[1].capitalize()
    return ""


def _because(texts: Sequence[str]) -> str:
    for text in texts:
        if text.startswith(_DUMPED):
            return normalise(text)
    return _DUMPED


def _trusty(texts: Sequence[str]) -> str:
    for text in texts:
        if "ASSERT FAILED" in text:
            return "ASSERT FAILED: " + _ASSERT.sub("", text).strip()
    return "panic: " + normalise(_TRUSTY.sub("", texts[0]).split("trusty: ", 1)[-1])


def fill_title(rule: Rule, match: re.Match[str], texts: Sequence[str], function: str | None) -> str:
    """Return the title of a report: the rule's, with its groups and the function filled in.

    ``texts`` are the report's lines, the headline first.
    """
    groups = {name: value or "" for name, value in match.groupdict().items()}
    values = {name: normalise(value) for name, value in groups.items() if name != "fn"}
    values["fn"] = function or UNKNOWN
    values["fn0"] = normalise(groups.get("fn", "")) or UNKNOWN
    if "{access}" in rule.title:
        values["access"] = _access(texts)
        if not values["access"]:
            return _raw_title(match.group(0) + texts[0][match.end() :])
    if "{next}" in rule.title:
        values["next"] = normalise(texts[1] if len(texts) > 1 else "panic")
    if "{why}" in rule.title:
        values["why"] = normalise(_PANIC_TAIL.sub("", groups.get("why", ""))) or UNKNOWN
    if "{because}" in rule.title:
        values["because"] = _because(texts)
    if "{trusty}" in rule.title:
        values["trusty"] = _trusty(texts)
    return rule.title.format(**values)[:MAX_TITLE]


def _raw_title(headline: str) -> str:
    return normalise(headline.removeprefix("BUG: "))[:MAX_TITLE]
