# SPDX-License-Identifier: GPL-2.0
"""Learn from a log what it puts in front of each message, and behind it.

syslog, the journal, dmesg's options, CI jobs, serial loggers and vendors all write something else
there, so nothing here lists formats. Some lines of a kernel report can be told wherever they stand:
a frame of a call trace, the line with CPU and task, the registers. What comes before such an
*anchor* is the log's own; the heads of a region's anchors are compared cell by cell (a run of
letters and digits, or one other character), and what they have in common is a *template*: constant
cells, numbers, words, and a gap where lines differ in more than that.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_HEAD = 240
"""Characters in front of a message that are looked at."""
MAX_TEMPLATES = 6
LEAST_VOTES = 2
LEAST_SHARE = 0.3
"""Anchors that have to agree on a template, at least, and their share of all."""
LEAST_LINES = 3
MANY_VOTES = 4
FEW_OF_MANY = 0.1
"""A share that is enough for so many anchors: parts of a log may have prefixes of their own."""
MAX_GAP = 64

_OFFSET = "+0x"
_FRAME_TAIL = re.compile(
    r"\+0x[0-9a-f]{1,8}(?:/0x[0-9a-f]{1,8})?(?: \[[\w -]{1,80}\])?(?: \([\w./:+ -]{1,200}\))?"
    r"(?: [\w./+-]{2,200}:\d{1,7})? {0,80}(?P<suffix>[^\w\s]{0,8})\s*$"
)
_DECORATION = re.compile(r"<[/A-Z#0-9]{3,12}>|\(?\[<?[0-9a-f]{8,16}>?\]\)?|#\d+|\?")
# Words in front of a function in a line that is no frame: registers, locks, callers.
_NO_FRAME = re.compile(
    r"(?:\b(?:at|in|is|from|to|by|of|on|RIP|EIP|IP|PC|LR|NIP|pc|lr|ra|epc|function|workfn|caller)"
    r"|[=(@,])\s{0,3}:?$|(?:^|[\s\]>])[A-Za-z]{1,5}\d{0,2}\s{0,4}:\s{0,4}(?:[0-9a-f]{8,16}\s)?$|<$"
    r"|\b[0-9a-f]{4}:$|\bdis?abled at |\benabled at "
)
# Lines that a report has wherever it comes from: lib/dump_stack.c:dump_stack_print_info,
# arch/*/kernel/{dumpstack,process,traps}.c:show_regs, include/asm-generic/bug.h, kernel/panic.c.
_STRONG = re.compile(
    r"(?<![A-Za-z0-9_])(?=[CMHRFPNLKATWEe<\-psluxwb])(?:"
    r"Call [Tt]race:[^\w\s]{0,3}\s*$|</?(?:TASK|IRQ|NMI|SOFTIRQ|EOI)>[^\w\s]{0,3}\s*$|"
    r"-{8,}\[ cut here \]-{8,}|-{3}\[ end (?:trace|Kernel panic)|Modules linked in:|"
    r"CPU: \d+ (?:UID: \d+ )?PID: -?\d+ Comm: |Pid: \d+, comm: |"
    r"Hardware name: |Code: (?:Bad|[0-9a-f]{2,8} |\()|"
    r"RIP: [0-9a-f]{4}:|RSP: [0-9a-f]{4}:|[RE]AX: [0-9a-f]{8}|CR2: [0-9a-f]{8}|"
    r"FS:  [0-9a-f]{8}|CS:  [0-9a-f]{4} DS|PC is at |LR is at |pc : |lr : |pstate: |"
    r"sp : [0-9a-f]{8}|x29: [0-9a-f]{16}|NIP \[|NIP:  ?[0-9a-f]{8}|LR \[[0-9a-f]|epc ?: |"
    r"Krnl PSW :|(?:Allocated|Freed) by task \d|The buggy address |Memory state around|"
    r"unreferenced object 0x|backtrace \(crc |Workqueue: |which lock already depends|"
    r"but task is already holding|stack backtrace:)"
)
_WEAK = re.compile(
    r"BUG: |WARNING: |INFO: |UBSAN: |Kernel panic - not|Linux version \d|Unable to handle |"
    r"Internal error: |Oops: |general protection fault|kernel BUG at |Out of memory: |"
    r"Command line: |list_(?:add|del) corruption|refcount_t: |rmaplab: |Booting Linux on "
)
# Words of who only mentions a line of the kernel: a program that waits for one, a test that expects
# one (drivers/of/unittest.c:EXPECT_BEGIN), a command that looks for one.
MENTION = re.compile(
    r"\b(?:prompt|match(?:ed|es|ing)?|patterns?|regex(?:p|es)?|expect(?:ed|ing|s)?|EXPECT\w*|"
    r"e?grep|search(?:ing)?|wait(?:ed|ing)?(?: for)?|look(?:ing)? for|echo|printf|string|"
    r"signature|keyword)\b[^A-Za-z]{0,24}$"
)
# The parts of a line's head, for one that has no other lines to be compared with.
_CLOCK = r"\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?"
_GRAMMAR = re.compile(
    r"(?:(?:"
    r"<\d{1,3}>(?:\d )?|"
    r"\[[ +<]{0,8}\d{1,10}\.\d{1,9}[^\]\n]{0,48}\]|"
    r"\[\d{1,3}:[^\]\n]{1,32}\]|"
    rf"\[?(?:[A-Z][a-z]{{2}} )?[A-Z][a-z]{{2}} ?[ \d]?\d (?:\d{{4}} )?{_CLOCK}(?: \d{{4}})?\]?|"
    r"\[[A-Z][a-z]{2} ?\d{1,2} \d\d:\d\d\]|"
    rf"\[?\d{{4}}-\d\d-\d\d[T ]{_CLOCK}(?:Z|[+-]\d\d:?\d\d| [+-]\d{{4}})?\]?|"
    rf"\[?{_CLOCK}\]?|"
    r"\d{10}\.\d{1,9}|"
    r"\d{1,3},\d{1,20},\d{1,20},[^;\n]{1,40};|"
    r"[\w.-]{1,64} kernel(?:\[\d+\])?:|kernel:|"
    r"kern {0,2}:[a-z]{3,8} {0,4}:|"
    r"\d{3}:(?= )|"
    r"(?:> ?){1,8}|"
    r"[:|](?= )"
    r")[ \t]?)+"
)
_TOKEN = re.compile(r"[^\W_]+|\s+|.", re.S)


@dataclass(frozen=True, slots=True)
class Template:
    """The head that lines have in common, as a pattern of cells; how many anchors had it."""

    pattern: re.Pattern[str]
    votes: int
    cells: int


@dataclass(frozen=True, slots=True)
class Prefixes:
    """The text around the messages of a region's lines.

    ``outer`` stands in front of a printk stamp or of a line without one, ``inner`` behind the
    stamp. ``suffix`` ends most lines of the region, and is empty where there is none.
    ``unlearned`` says that messages do not begin at the line's start, and that no template says
    where.
    """

    outer: tuple[Template, ...] = ()
    inner: tuple[Template, ...] = ()
    suffix: str = ""
    unlearned: bool = False

    def strip(self, text: str, stamped: bool) -> tuple[str, bool]:
        """Return a line's message, and whether something stood in front of it."""
        if self.suffix and (bare := text.rstrip()).endswith(self.suffix):
            text = bare.removesuffix(self.suffix)
        for template in self.inner if stamped else self.outer:
            if match := template.pattern.match(text):
                return text[match.end() :], True
        if match := _GRAMMAR.match(text):
            return text[match.end() :], True
        if self.unlearned and not stamped:
            start = anchor(text)
            if start:
                return text[start:], True
        return text, False

    def is_head(self, text: str) -> bool:
        """Tell if a text that stands in front of a printk stamp is the log's own."""
        if not text.strip():
            return True
        if any(template.pattern.fullmatch(text) for template in self.outer):
            return True
        match = _GRAMMAR.match(text)
        return match is not None and match.end() == len(text)


NO_PREFIX = Prefixes()


def _frame_start(text: str) -> int:
    """Return where a frame of a call trace begins in a line that is nothing else; -1 if none."""
    at = text.find(_OFFSET)
    if at <= 0 or _FRAME_TAIL.match(text, at) is None:
        return -1
    start = at
    while start and (text[start - 1].isalnum() or text[start - 1] in "_.$:"):
        start -= 1
    if ":" in text[start:at]:
        start = text.rfind(":", start, at) + 1 if "::" not in text[start:at] else start
    if start == at:
        return -1
    head = text[:start]
    while (bare := head.rstrip()) and _DECORATION.fullmatch(last := bare.rsplit(None, 1)[-1]):
        head = bare.removesuffix(last)
    if _NO_FRAME.search(head) or _WEAK.search(head):
        return -1
    return len(head)


def anchor(text: str) -> int:
    """Return where the message of an anchor begins; -1 if the line is none."""
    if match := _STRONG.search(text):
        return match.start()
    return _frame_start(text)


def _cells(head: str) -> list[tuple[str, bool]]:
    """Return the cells of a head, each with whether a blank comes before it."""
    cells: list[tuple[str, bool]] = []
    blank = False
    for token in _TOKEN.findall(head):
        if token.isspace():
            blank = True
        else:
            cells.append((token, blank))
            blank = False
    return cells


def _skeleton(cells: Sequence[tuple[str, bool]]) -> str:
    return "".join("w" if token[0].isalnum() else token for token, _ in cells)


def _cell_pattern(tokens: Sequence[str], blanks: Iterable[bool]) -> str | None:
    """Return what matches one cell of all heads; None if they have nothing in common."""
    found = set(tokens)
    before = r"\s*" if any(blanks) else ""
    if len(found) == 1 and (len(tokens) > 1 or _is_plain(tokens[0])):
        only = found.pop()
        return before + (r"\d+" if only.isdigit() else re.escape(only))
    if all(token.isdigit() for token in found):
        return before + r"\d+"
    if all(token[0].isalnum() for token in found):
        return before + r"[^\W_]+"
    return None


def _is_plain(token: str) -> bool:
    """Tell if a cell is a number, a word or a sign, not a number with letters in it."""
    return token.isdigit() or not any(map(str.isdigit, token))


def _patterns(rows: Sequence[Sequence[tuple[str, bool]]]) -> list[str]:
    """Return the patterns of the leading cells that rows of them have in common."""
    patterns: list[str] = []
    for column in zip(*rows, strict=False):
        pattern = _cell_pattern([t for t, _ in column], (b for _, b in column))
        if pattern is None:
            break
        patterns.append(pattern)
    return patterns


def _trailing(heads: Sequence[str]) -> str:
    """Return what matches the blanks that end every head: more of them are indentation."""
    least = min(len(head) - len(head.rstrip()) for head in heads)
    return rf"\s{{0,{least}}}" if least else ""


def _same_shape(heads: Sequence[str]) -> Template | None:
    """Return the template of heads that have the same skeleton."""
    patterns = _patterns([_cells(head) for head in heads])
    if not patterns:
        return None
    pattern = re.compile("".join(patterns) + _trailing(heads))
    return Template(pattern, len(heads), len(patterns))


def _with_gap(heads: Sequence[str]) -> Template | None:
    """Return the template of heads that begin and end alike, and differ in between."""
    rows = [_cells(head) for head in heads]
    first = _patterns(rows)
    rest = [row[len(first) :] for row in rows]
    last = _patterns([row[::-1] for row in rest])[::-1]
    if not any(one[-1] not in "+" for one in last):
        return None
    pattern = "".join(first) + rf".{{0,{MAX_GAP}}}?" + "".join(last) + _trailing(heads)
    return Template(re.compile(pattern), len(heads), len(first) + len(last))


def templates(heads: Sequence[str], lines: Sequence[str]) -> tuple[Template, ...]:
    """Return the templates of the heads of anchors, the longest first.

    One counts if a share of the anchors has it, or if it fits a share of all lines.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for head in heads:
        groups[_skeleton(_cells(head))].append(head)
    groups.pop("", None)
    found: list[Template] = []
    covered = len(heads) - sum(map(len, groups.values()))
    for group in sorted(groups.values(), key=len, reverse=True)[: 4 * MAX_TEMPLATES]:
        template = _same_shape(group)
        if template is not None and _counts(template, heads, lines):
            found.append(template)
            covered += len(group)
    if groups and covered < 0.95 * len(heads):
        everything = [head for group in groups.values() for head in group]
        template = _with_gap(everything)
        if template is not None and _counts(template, heads, lines):
            found.append(template)
    # The longest is tried first: the end of a head may look like the beginning of a frame.
    return tuple(sorted(found[:MAX_TEMPLATES], key=lambda one: -one.cells))


def _counts(template: Template, heads: Sequence[str], lines: Sequence[str]) -> bool:
    if template.votes < LEAST_VOTES:
        return False
    least = LEAST_SHARE if template.votes < MANY_VOTES else FEW_OF_MANY
    if template.votes >= least * len(heads):
        return True
    fit = sum(template.pattern.match(line) is not None for line in lines)
    return fit >= LEAST_SHARE * len(lines)


def _by_headlines(lines: Sequence[str]) -> tuple[Template, ...]:
    """Return the templates of a region without an anchor, from its headlines.

    What stands in front of one counts if most of the other lines have it, too.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        match = _WEAK.search(line)
        if match is not None and 0 < match.start() <= MAX_HEAD:
            head = line[: match.start()]
            groups[_skeleton(_cells(head))].append(head)
    found: list[Template] = []
    for group in list(groups.values())[: 4 * MAX_TEMPLATES]:
        template = _same_shape(group)
        if template is None:
            continue
        fit = sum(template.pattern.match(line) is not None for line in lines)
        if fit >= LEAST_LINES and fit > len(lines) / 2:
            found.append(template)
    return tuple(found[:MAX_TEMPLATES])


def _suffix(lines: Sequence[str]) -> str:
    """Return what ends the frames of a region, and most of its lines."""
    ends: dict[str, int] = defaultdict(int)
    frames = 0
    for line in lines:
        at = line.find(_OFFSET)
        if at > 0 and (match := _FRAME_TAIL.match(line, at)):
            frames += 1
            ends[match["suffix"].strip()] += 1
    best = max(ends, key=ends.__getitem__, default="")
    if not best or ends[best] < LEAST_VOTES or ends[best] < frames * 0.8:
        return ""
    return best if sum(line.rstrip().endswith(best) for line in lines) > len(lines) / 2 else ""


def _heads(lines: Sequence[str]) -> list[str]:
    heads = []
    for line in lines:
        start = anchor(line)
        if 0 <= start <= MAX_HEAD and not MENTION.search(line[:start]):
            heads.append(line[:start])
    return heads


def learn(outer: Sequence[str], plain: Sequence[str], stamped: Sequence[str]) -> Prefixes:
    """Return what the lines of a region have around their messages.

    ``outer`` are the texts in front of printk stamps, ``plain`` the lines without a stamp,
    ``stamped`` what came behind a stamp.
    """
    outer = [head if head.strip() and len(head) <= MAX_HEAD else "" for head in outer]
    plain_heads = _heads(plain)
    in_front = [*outer, *plain_heads]
    found = templates(in_front, [*outer, *plain])
    # A frame at a line's start says that nothing stands in front: "watchdog: BUG" is all message.
    if not found and all(head.strip() for head in plain_heads):
        found = _by_headlines(plain)
    stamped_heads = _heads(stamped)
    inner = templates(stamped_heads, stamped) if any(map(str.strip, stamped_heads)) else ()
    displaced = sum(bool(head.strip()) for head in plain_heads)
    return Prefixes(
        outer=found,
        inner=inner,
        suffix=_suffix([*plain, *stamped]),
        unlearned=not found and displaced >= max(LEAST_LINES, len(plain_heads) / 2),
    )
