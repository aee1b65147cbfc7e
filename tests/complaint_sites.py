# SPDX-License-Identifier: GPL-2.0
"""List the places of a kernel tree that print a complaint, and what the rules make of each.

    python tests/complaint_sites.py TREE [--all]

Looks at each call of printk and its like, and of dump_stack(), in mm/, kernel/ and lib/. A text
that looks like a complaint, or that comes before a stack dump in the same function, has to be a
headline of the rules, or to be in tests/complaint_sites.yaml with the reason why it is none. WARN()
and BUG() need no list: their headline does not depend on the text. Exits 1 if a site is neither.
Needs tree-sitter and its C grammar (the ``dev`` extra).
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tree_sitter_c
import yaml
from tree_sitter import Language, Node, Parser

from rmaplab.collect.splats.rules import match_rule

TABLE = Path(__file__).with_name("complaint_sites.yaml")
FOLDERS = ("mm", "kernel", "lib")

_PRINTERS = re.compile(
    r"(?:_?printk(?:_\w+)?|pr_(?:emerg|alert|crit|err|error|warn|warning|notice|info|cont)\w*|"
    r"(?:slab|object)_(?:err|bug)|printk_\w+|seq_buf_printf|nmi_panic|panic|vpanic)"
)
_GRAVE = re.compile(r"(?:pr_(?:emerg|alert|crit)\w*|.*KERN_(?:EMERG|ALERT|CRIT)\b.*)")
_LOOKS_LIKE_ONE = re.compile(
    r"\bBUG\b|WARNING|\bcorrupt|\b[Bb]ad (?:page|swap|rss|pte|pmd|entry|magic|unlock|value)|"
    r"[Uu]nable to handle|\bunderflow|stack overflow|memory leak|\bstall(?:s|ed)?\b|LOCKUP|lockup|"
    r"\bhung\b|blocked for|deadlock|[Ss]uspicious|inconsistent|imbalance|Poison|double free|"
    r"use.after.free|panicked|\bOops|^INFO: |while atomic|invalid context|redzone|[Rr]edzone|"
    r"overwritten|still (?:in use|has)|nobody cared|not initiali[sz]ed object|freed twice|leaked"
)
_FORMAT = re.compile(
    r"%[-+ #0]*(?:\d+|\*)?(?:\.(?:\d+|\*))?(?:hh|h|ll|l|z|t|L)?([diouxXcspeEfgG%])(\w*)"
)
_ESCAPE = {"\\n": "\n", "\\t": "\t", '\\"': '"', "\\\\": "\\"}
_PR_FMT = re.compile(r"^#\s*define\s+pr_fmt\(fmt\)\s+(.*)$", re.M)
_TESTS = re.compile(
    r"(?:^|/)(?:tests?/|test[_-]|[\w-]*_(?:test|kunit|selftest)\.|[\w-]*torture|locking-selftest|"
    r"rcuscale|refscale|backtracetest|kgdb|debug/(?:debug_core|gdbstub|kdb))"
)


@dataclass(frozen=True, slots=True)
class Site:
    """A text that the kernel prints: ``file:line``, the function, the text with its values."""

    where: str
    function: str
    text: str
    dumps: bool

    @property
    def kind(self) -> str:
        """The kind that the rules give the text; empty if it is no headline."""
        for line in self.text.split("\n"):
            if (found := match_rule(line)) is not None:
                return found[0].kind
        return ""


def _value(match: re.Match[str]) -> str:
    """Return something that a conversion of printk may print."""
    kind, more = match[1], match[2]
    if kind == "%":
        return "%"
    if kind == "p":
        return "demo+0x12/0x34" if more[:1] in {"S", "s", "B"} else "00000000deadbeef" + more[1:]
    return {"s": "demo", "c": "R"}.get(kind, "17") + more


def spoken(text: str) -> str:
    """Return a format with values in the place of its conversions."""
    return _FORMAT.sub(_value, text)


def _string(node: Node, macros: dict[str, str]) -> str:
    """Return the text of a string, or of several beside one another."""
    if node.type == "string_literal":
        raw = node.text.decode("utf-8", "replace")[1:-1] if node.text else ""
        for escape, char in _ESCAPE.items():
            raw = raw.replace(escape, char)
        return raw
    if node.type == "identifier":
        name = node.text.decode() if node.text else ""
        return macros.get(name, "")
    return "".join(_string(child, macros) for child in node.children)


def _calls(node: Node) -> Iterator[tuple[str, Node]]:
    pending = [node]
    while pending:
        one = pending.pop()
        if one.type == "call_expression":
            function = one.child_by_field_name("function")
            if function is not None and function.text:
                yield function.text.decode("utf-8", "replace"), one
        pending += reversed(one.children)


def _functions(root: Node) -> Iterator[tuple[str, Node]]:
    pending = [root]
    while pending:
        node = pending.pop()
        if node.type == "function_definition":
            declarator = node.child_by_field_name("declarator")
            raw = declarator.text if declarator and declarator.text else b""
            match = re.search(r"(\w+)\s*\(", raw.decode("utf-8", "replace"))
            yield (match[1] if match else "?"), node
        elif node.type != "compound_statement":
            pending += node.children


def sites(path: Path, named: str) -> Iterator[Site]:
    """Return the sites of a file that print a complaint."""
    raw = path.read_text(encoding="utf-8", errors="replace")
    fmt = _PR_FMT.search(raw)
    before_fmt = fmt[1].partition("fmt")[0] if fmt and "fmt" in fmt[1] else ""
    module = before_fmt.replace("KBUILD_MODNAME", f'"{path.stem}"')
    prefix = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', module)).replace("%s", "demo")
    root = Parser(Language(tree_sitter_c.language())).parse(raw.encode()).root_node
    for name, function in _functions(root):
        before: list[Site] = []
        for called, call in sorted(_calls(function), key=lambda one: one[1].start_byte):
            line = call.start_point[0] + 1
            if called in {"dump_stack", "dump_stack_lvl"}:
                yield from _dumped(before, Site(f"{named}:{line}", name, "", dumps=True))
                before = []
                continue
            if _PRINTERS.fullmatch(called) is None:
                continue
            arguments = call.child_by_field_name("arguments")
            literal = _string(arguments, {}) if arguments is not None else ""
            if not literal.strip() or called in {"panic", "nmi_panic", "vpanic"}:
                continue
            text = spoken((prefix if called.startswith("pr_") else "") + literal).strip("\n")
            site = Site(f"{named}:{line}", name, text, dumps=False)
            before.append(site)
            spelled = call.text.decode("utf-8", "replace") if call.text else ""
            if _LOOKS_LIKE_ONE.search(literal) or _GRAVE.match(spelled.split("\n")[0]):
                yield site


def _dumped(before: list[Site], alone: Site) -> Iterator[Site]:
    """Return what a stack dump belongs to: a headline among the texts before it, or the first."""
    known = next((site for site in before if site.kind), None)
    first = known or next(iter(before), None)
    yield Site(alone.where, alone.function, first.text if first else "", dumps=True)


def reasons() -> list[dict[str, Any]]:
    """Return the list of texts that are no headline: where, text, why."""
    table: list[dict[str, Any]] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return table


def reason_for(site: Site, table: list[dict[str, Any]]) -> str:
    """Return why a site is no headline; empty if nobody said so."""
    for entry in table:
        place = f"{site.where.rpartition(':')[0]}:{site.function}"
        if re.search(entry.get("where", ""), place) and re.search(entry.get("text", ""), site.text):
            return str(entry["why"])
    return ""


def main() -> int:
    """Run the command line."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("tree", type=Path)
    options.add_argument("--all", action="store_true", help="print the sites that are known, too")
    given = options.parse_args()
    table, verdicts = reasons(), Counter[str]()
    for folder in FOLDERS:
        for path in sorted((given.tree / folder).rglob("*.[ch]")):
            named = path.relative_to(given.tree).as_posix()
            if _TESTS.search(named):
                continue
            for site in sites(path, named):
                why = site.kind or reason_for(site, table)
                verdicts["in the rules" if site.kind else "in the list" if why else "neither"] += 1
                if given.all or not why:
                    text = " / ".join(site.text.split("\n"))[:150]
                    print(f"{site.where} {site.function}: {why or 'neither'}: {text}")
    print(", ".join(f"{number} {what}" for what, number in sorted(verdicts.items())))
    return 1 if verdicts["neither"] else 0


if __name__ == "__main__":
    sys.exit(main())
