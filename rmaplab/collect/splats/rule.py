# SPDX-License-Identifier: GPL-2.0
"""The parts of a row of the table of kernel complaints."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass


class Where(enum.Enum):
    """Where the title's function is looked for."""

    NOWHERE = enum.auto()  # the title names none
    HEADLINE = enum.auto()  # the headline's function, the instruction pointer, the trace
    TRACE = enum.auto()  # the instruction pointer, the trace
    NAMED = enum.auto()  # a line that says "caller is foo" or "last function: foo", then the trace
    LOCK = enum.auto()  # the first ", at: foo" of the held or wanted locks, then the trace
    STALL = enum.auto()  # the handler in which the CPU is stuck


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table.

    ``signs`` are literals of which every headline contains one: a line with no row's sign is never
    looked at closer, so keep the signs few and rare. ``pattern`` finds the headline; it may have a
    group ``fn`` (a function) and others that ``title`` uses. ``absorbs`` names kinds that the same
    event goes on to print, such as the BUG of a check that first says what it saw; ``within`` names
    kinds of open reports that such a headline is part of. A ``prelude`` leads to another headline,
    which takes its place; it is a part of whatever report with a trace is open. A line with
    ``harmless`` says that the report is no complaint. ``needs_trace`` says that a splat without a
    trace was cut. ``leads`` names kinds whose headline, if it follows at once, says more of the
    same event and takes this one's place. ``event`` is a group of the pattern: a headline with the
    same text in it, soon after, is the same event.
    """

    kind: str
    signs: tuple[str, ...]
    pattern: re.Pattern[str]
    title: str
    where: Where
    absorbs: frozenset[str]
    needs_trace: bool
    within: frozenset[str] = frozenset()
    prelude: bool = False
    harmless: re.Pattern[str] | None = None
    leads: frozenset[str] = frozenset()
    event: str = ""


FN = (
    r"(?P<fn>(?:<[^<>+\n]{1,120}>(?:::\w+)+|[A-Za-z_$.][\w.$:]{0,199}))"
    r"(?:\+0x[0-9a-f]+/0x[0-9a-f]+)?"
)
OOPS = ("oops",)
CHECK = ("oops", "kernel-bug", "warning")


def row(
    kind: str,
    signs: str,
    pattern: str,
    title: str,
    where: Where = Where.TRACE,
    *,
    absorbs: tuple[str, ...] = (),
    trace: bool = True,
    within: tuple[str, ...] = (),
    prelude: bool = False,
    harmless: str = "",
    leads: tuple[str, ...] = (),
    event: str = "",
) -> Rule:
    """Make a row; ``signs`` are joined by ``|``, ``{FN}`` in ``pattern`` is a function's name."""
    compiled = re.compile(pattern.replace("{FN}", FN))
    return Rule(
        kind=kind,
        signs=tuple(signs.split("|")),
        pattern=compiled,
        title=title,
        where=where,
        absorbs=frozenset(absorbs),
        needs_trace=trace,
        within=frozenset(within),
        prelude=prelude,
        harmless=re.compile(harmless) if harmless else None,
        leads=frozenset(leads),
        event=event,
    )


def warning_at(files: str, kind: str, title: str) -> Rule:
    """Make the row of a WARN() in a check of the kernel: its caller is at fault, not the check."""
    pattern = rf"WARNING: (?:.{{0,200}}[ /])?(?:{files}):\d+(?: (?:at )?(?!at\b){{FN}})?"
    return row(kind, "WARNING:", pattern, title, Where.HEADLINE)


def bug_at(files: str, kind: str, title: str) -> Rule:
    """Make the row of a BUG() in one of the kernel's own checks."""
    pattern = rf"[Kk]ernel BUG at (?:\S{{0,200}}/)?(?:{files}):\d+"
    return row(kind, "BUG ", pattern, title, absorbs=(*OOPS, "kernel-bug"))
