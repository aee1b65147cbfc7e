# SPDX-License-Identifier: GPL-2.0
"""Derive the functions that no title names from the sources of kernels.

    python tests/make_machinery.py TREE [TREE ...]

Writes rmaplab/collect/splats/data/machinery.txt. A title names the code that misbehaved, so it
passes over the functions that report, check, lock, allocate, sleep, defer or help. Which ones they
are follows from the file that defines them; which files, and what a rule of files gets wrong, is in
tests/machinery.yaml, each with its reason. Needs tree-sitter and its C grammar (the ``dev`` extra).
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tree_sitter_c
import yaml
from tree_sitter import Language, Node, Parser

OUTPUT = Path(__file__).resolve().parent.parent / "rmaplab/collect/splats/data/machinery.txt"
TABLE = Path(__file__).with_name("machinery.yaml")

# Files that a glob takes and that are tests, algorithms whose bugs are their own, or tools.
NOT_FILES = re.compile(
    r"(?:^|/)(?:test[_-]|[\w-]*_(?:test|kunit|benchmark)\.c|[\w-]*torture|rcuscale|refscale|"
    r"locking-selftest|decompress|inflate|find_bit_benchmark|dhry|bch\.c|btree\.c|fdt|digsig|"
    r"asn1_|glob\.c|lru_cache|objagg|parman|ts_(?:bm|fsm|kmp)|textsearch|bootconfig|test-|"
    r"packing|pldmfw|dim|earlycpio|842|sha\d|lib/vdso|nlattr|net_utils|cpu_rmap|stop_task)"
)


def _read_table() -> dict[str, dict[str, Any]]:
    """Return the table: group -> files, except, also, older."""
    table: dict[str, dict[str, Any]] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return table


GROUPS = _read_table()

_COMMENT = re.compile(rb"/\*.*?\*/|//[^\n]*", re.S)
# Attributes between a function's type and its name, and those behind its arguments.
_ATTRIBUTE = re.compile(
    rb"\b(?:__\w+|noinline\w*|notrace|asmlinkage|noinstr|inline|fastcall|FASTCALL|\w+_API|"
    rb"[A-Z_]+_ATTR)(?:[ \t]*\([^()\n;{}]*\))?(?=[ \t\n]+[A-Za-z_*])"
)
_BEHIND = re.compile(rb"\)(?:\s*\b__\w+(?:\([^()]*\))?)+\s*\{")
_IDTENTRY = re.compile(rb"^DEFINE_(?:IDTENTRY|FREDENTRY)\w*\(\s*(\w+)", re.M)
_ASSEMBLER = re.compile(
    rb"^\s*(?:SYM_(?:FUNC|CODE|INNER_LABEL|TYPED_FUNC)\w*START\w*|SYM_FUNC_ALIAS\w*|ENTRY|WEAK|"
    rb"_GLOBAL\w*|EXPORT_SYMBOL|LEAF|NESTED|FUNC_START)\(\s*(\w+)",
    re.M,
)
_WORDS_OF_REPORTS = re.compile(
    r"(?:\w*(?:print|pr_|warn|WARN|err|alert|emerg|crit|BUG|bug|panic|dump_stack|dump|log|msg|fmt|"
    r"vaf|message)\w*|va_\w+|oops\w*|add_taint|test_taint|unlikely|likely|sizeof|ARRAY_SIZE)"
)
_ENDS_IN = re.compile(r"(?:BUG|WARN(?:_ON|_ONCE|_ON_ONCE)?|panic|dump_stack)")
REPORTER_LINES = 20
"""Lines of a function that does nothing but report."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function's name, and whether it does nothing but report."""

    name: str
    reports: bool


def functions(path: Path) -> Iterator[Function]:
    """Return the functions that a file of C or assembler defines."""
    raw = path.read_bytes()
    if path.suffix == ".S":
        for match in _ASSEMBLER.finditer(raw):
            yield Function(match[1].decode(), False)
        return
    for match in _IDTENTRY.finditer(raw):
        yield Function(match[1].decode(), False)
        yield Function("asm_" + match[1].decode(), False)
    text = _COMMENT.sub(b" ", raw)
    text = _BEHIND.sub(b")\n{", _ATTRIBUTE.sub(b" ", text))
    root = Parser(Language(tree_sitter_c.language())).parse(text).root_node
    pending = [root]
    while pending:
        node = pending.pop()
        if node.type == "function_definition":
            name = _name(node)
            if name:
                yield Function(name, _only_reports(node))
        elif node.type != "compound_statement":
            pending += node.children


def _name(definition: Node) -> str:
    node = definition.child_by_field_name("declarator")
    while node is not None and node.type != "identifier":
        node = node.child_by_field_name("declarator") or next(
            (child for child in node.children if child.type.endswith("declarator")), None
        )
    return node.text.decode() if node is not None and node.text else ""


def _only_reports(definition: Node) -> bool:
    """Tell if a function is given a text, prints, warns or panics, and does nothing else."""
    body = definition.child_by_field_name("body")
    if (
        not _takes_a_text(definition)
        or body is None
        or body.end_point[0] - body.start_point[0] > REPORTER_LINES
    ):
        return False
    called: list[str] = []
    pending = [body]
    while pending:
        node = pending.pop()
        if node.type in {"for_statement", "while_statement", "do_statement", "switch_statement"}:
            return False
        if node.type == "call_expression":
            function = node.child_by_field_name("function")
            called.append(function.text.decode() if function is not None and function.text else "")
        pending += node.children
    if not any(_ENDS_IN.fullmatch(name) for name in called):
        return False
    return all(_WORDS_OF_REPORTS.fullmatch(name) for name in called)


def _takes_a_text(definition: Node) -> bool:
    """Tell if a function has an argument that is a string: what failed, in which file."""
    declarator = definition.child_by_field_name("declarator")
    text = declarator.text.decode("utf-8", "replace") if declarator and declarator.text else ""
    return re.search(r"\bchar\s+(?:const\s+)?\*", text) is not None


def in_group(tree: Path, globs: str) -> Iterator[tuple[Path, str]]:
    """Return the files of a group that a tree has, and which functions of each belong to it."""
    for entry in globs.split():
        glob, _, chosen = entry.partition(":")
        for path in sorted(tree.glob(glob)):
            named = path.relative_to(tree).as_posix()
            if path.suffix in {".c", ".h", ".S"} and not NOT_FILES.search(named):
                yield path, chosen or ".*"


def _excepted(group: str, name: str) -> bool:
    return any(
        re.fullmatch(pattern, name)
        for entry in GROUPS[group].get("except", [])
        for pattern in entry["names"].split()
    )


def derive(trees: list[Path]) -> dict[str, set[str]]:
    """Return group -> names, over all trees; a name is in one group."""
    found: dict[str, set[str]] = defaultdict(set)
    taken: set[str] = set()
    for group, table in GROUPS.items():
        for tree in trees:
            for path, chosen in in_group(tree, table["files"]):
                for name in {function.name for function in functions(path)} - taken:
                    known = len(name) > 3 and re.fullmatch(chosen, name)
                    if known and not _excepted(group, name):
                        found[group].add(name)
        taken |= found[group]
    return found


def elsewhere(tree: Path, known: set[str]) -> tuple[dict[str, set[str]], set[str]]:
    """Return where else a tree defines known names, and the functions there that only report."""
    machinery = {path for table in GROUPS.values() for path, _ in in_group(tree, table["files"])}
    others: dict[str, set[str]] = defaultdict(set)
    reporters: set[str] = set()
    for folder in ("fs", "net", "mm", "kernel", "block", "drivers", "sound", "security", "ipc",
                   "crypto", "io_uring", "virt", "init"):  # fmt: skip
        for path in sorted((tree / folder).rglob("*.c")):
            if path in machinery:
                continue
            for function in functions(path):
                if function.reports:
                    reporters.add(function.name)
                if function.name in known:
                    others[function.name].add(path.relative_to(tree).as_posix())
    return others, reporters


def version(tree: Path) -> str:
    """Return a tree's version."""
    text = (tree / "Makefile").read_text(encoding="utf-8")
    parts = [re.search(rf"^{key} = *(\d+)", text, re.M) for key in
             ("VERSION", "PATCHLEVEL", "SUBLEVEL")]  # fmt: skip
    return ".".join(part[1] for part in parts if part)


def patterns(group: str) -> Iterator[tuple[str, str]]:
    """Return the patterns of a group that no file gives, with their reasons."""
    for key in ("also", "older"):
        for entry in GROUPS[group].get(key, []):
            yield "|".join(entry["names"].split()), entry["why"]


def main() -> int:
    """Run the command line."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("trees", nargs="+", type=Path, metavar="TREE")
    trees = sorted(options.parse_args().trees, key=version)
    found = derive(trees)
    known = {name for names in found.values() for name in names}
    others, reporters = elsewhere(trees[-1], known)
    ambiguous = {name for name, paths in others.items() if len(paths) > 1 or "_" not in name}
    known_patterns = {g: re.compile("|".join(p for p, _ in patterns(g))) for g in GROUPS}
    lines = [
        "# SPDX-License-Identifier: GPL-2.0",
        "# Functions that no title names; made by tests/make_machinery.py, which says why.",
        "# From Linux " + ", ".join(version(tree) for tree in trees) + ".",
        "# A line with = is a pattern for names that no file gives, with its reason.",
    ]
    for group in GROUPS:
        names = found[group] - ambiguous
        if group == "assert":
            names |= {name for name in reporters if "_" in name or len(name) > 5} - known
        # A name that a pattern has need not be said again.
        names = {name for name in names if not known_patterns[group].fullmatch(name)}
        lines += ["", f"[{group}]"]
        lines += [f"= {pattern}  # {reason}" for pattern, reason in patterns(group)]
        lines += textwrap.wrap(" ".join(sorted(names)), 100, break_on_hyphens=False)
        print(f"{group}: {len(names)} names")
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(ambiguous)} names are defined elsewhere as well and left out")
    return 0


if __name__ == "__main__":
    sys.exit(main())
