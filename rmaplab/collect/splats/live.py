# SPDX-License-Identifier: GPL-2.0
"""Tell if a console complains right now: cheaper, and less certain, than the parser.

It reads headlines alone, so it may be wrong either way. Nothing is judged by it: it decides when to
save a guest's memory.
"""

from __future__ import annotations

from rmaplab.collect.splats.lines import logical_lines
from rmaplab.collect.splats.parser import has_sign
from rmaplab.collect.splats.rules import CONSOLE_CUT, match_rule
from rmaplab.collect.splats.severity import severity_of
from rmaplab.model import Severity

# Kinds that say nothing of where the kernel is: missing lines, boots, and a page that is dumped,
# which is no complaint if offlining asked for it, and leads to a headline if it is one.
_NO_MOMENT = frozenset({CONSOLE_CUT, "unexpected-reboot", "page-dump"})


def complaint_in(lines: bytes) -> str:
    """Return the kind of the first complaint in whole lines of a console; empty for none.

    A notice is none.
    """
    if not has_sign(lines):
        return ""
    for raw in lines.splitlines():
        for line in logical_lines(raw, 1):
            found = match_rule(line.text)
            if found is None or found[0].kind in _NO_MOMENT:
                continue
            if severity_of(found[0].kind) is not Severity.NOTICE:
                return found[0].kind
    return ""
