# SPDX-License-Identifier: GPL-2.0
"""The kernel's complaints on a console: found, named, kept apart."""

from rmaplab.collect.splats.live import complaint_in
from rmaplab.collect.splats.parser import SplatParser, is_fatal_line, parse_console
from rmaplab.collect.splats.places import places_of, with_sources
from rmaplab.collect.splats.rule import Rule
from rmaplab.collect.splats.rules import CONSOLE_CUT, RULES
from rmaplab.collect.splats.severity import SEVERITIES, severity_of

KINDS = tuple(dict.fromkeys(rule.kind for rule in RULES))
"""Every value that ``Splat.kind`` can have."""

__all__ = [
    "CONSOLE_CUT",
    "KINDS",
    "RULES",
    "SEVERITIES",
    "Rule",
    "SplatParser",
    "complaint_in",
    "is_fatal_line",
    "parse_console",
    "places_of",
    "severity_of",
    "with_sources",
]  # fmt: skip
