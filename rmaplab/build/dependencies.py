# SPDX-License-Identifier: GPL-2.0
"""Explain why Kconfig dropped a symbol, by a static reading of a tree's Kconfig files.

``make olddefconfig`` does not explain it. This module reads ``config`` entries with their
``depends on`` lines and the ``if`` and ``menu`` blocks around them, and evaluates those against the
final configuration (Documentation/kbuild/kconfig-language.rst). Nothing of the tree is run: the
value of a ``$(...)`` macro is unknown, so an answer is a hint and never a verdict.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rmaplab.build import harvest
from rmaplab.model import Architecture

_FOLDERS = ("init", "mm", "kernel", "lib", "drivers", "fs", "crypto", "block", "net",
            "security", "virt", "sound", "certs", "io_uring", "usr", "rust")  # fmt: skip
_ENTRY = re.compile(r"^(?:menu)?config\s+(\w+)\s*$", re.M)
_TOKEN = re.compile(r'\s*(&&|\|\||!=|!|\(|\)|=|"[^"]*"|\$\([^()]*\)|[\w.-]+)')


@dataclass(frozen=True, slots=True)
class Definition:
    """One ``config`` entry: its file and line, its dependencies, whether a user can set it."""

    place: str
    depends: tuple[str, ...]
    has_prompt: bool


def explain(symbol: str, tree: Path, config: Mapping[str, str], architecture: Architecture) -> str:
    """Explain in a line why a symbol is not as requested; an empty string if that is not clear."""
    definitions = list(_definitions(symbol, tree, architecture))
    if not definitions:
        near = difflib.get_close_matches(symbol, _names(tree, architecture), n=3)
        return "this tree has no such symbol" + (f"; near it: {', '.join(near)}" if near else "")
    reasons = []
    for definition in definitions:
        unmet = [text for text in definition.depends if _evaluate(text, config) == "n"]
        if unmet:
            values = ", ".join(_values(" ".join(unmet), config))
            reasons.append(f"{definition.place} depends on {' && '.join(unmet)} ({values})")
        elif not definition.has_prompt:
            reasons.append(f"{definition.place} has no prompt: other symbols select it")
    return "; ".join(reasons)


def declared(symbols: Iterable[str], tree: Path, architecture: Architecture) -> frozenset[str]:
    """Return those of the symbols that a tree's Kconfig files have an entry for."""
    return frozenset(symbols) & _names(tree, architecture)


def _names(tree: Path, architecture: Architecture) -> frozenset[str]:
    return frozenset(
        name for _, text in kconfig_files(tree, architecture) for name in _ENTRY.findall(text)
    )


def kconfig_files(tree: Path, architecture: Architecture) -> Iterator[tuple[Path, str]]:
    """Yield the Kconfig files of a tree, with their text."""
    for folder in (architecture.kernel_folder, *_FOLDERS):
        for path in sorted((tree / folder).rglob("Kconfig*")):
            name = str(path.relative_to(tree))
            if harvest.is_file(tree, name):  # a series may have made it a link to anywhere
                yield path, harvest.text(tree, name)


def _definitions(symbol: str, tree: Path, architecture: Architecture) -> Iterator[Definition]:
    needle = re.compile(rf"^(menu)?config\s+{re.escape(symbol)}\s*$", re.M)
    for path, text in kconfig_files(tree, architecture):
        if needle.search(text):
            yield from _read(symbol, text, str(path.relative_to(tree)))


_TYPES = frozenset({"bool", "tristate", "string", "int", "hex", "prompt"})
_BLOCKS = {"if": "endif", "menu": "endmenu", "choice": "endchoice"}


class _Reader:
    """A reader of one Kconfig file for one symbol; ``_blocks`` are the open if and menu blocks."""

    def __init__(self, symbol: str, name: str) -> None:
        self.symbol = symbol
        self.name = name
        self.found: list[Definition] = []
        self._blocks: list[list[str]] = []
        self._depends: list[str] | None = None
        self._place = ""
        self._prompt = False
        self._in_help = False
        self._in_block_head = False

    def line(self, number: int, line: str) -> None:
        """Take one logical line."""
        words = line.split()
        if not words:
            return
        at_margin = not line[0].isspace()
        if self._in_help and not at_margin:
            return
        self._in_help = words[0] == "help"
        if at_margin:
            self.close()
            self._margin(words, number, line)
        elif words[0] == "depends":
            self._depends_on(" ".join(words[2:]))
        elif words[0] in _TYPES and '"' in line:
            self._prompt = True

    def close(self) -> None:
        """End the entry that is open."""
        if self._depends is not None:
            self.found.append(Definition(self._place, tuple(self._depends), self._prompt))
        self._depends = None

    def _margin(self, words: list[str], number: int, line: str) -> None:
        self._in_block_head = words[0] in {"menu", "choice"}
        if words[0] in _BLOCKS:
            self._blocks.append([line.split(None, 1)[1].strip()] if words[0] == "if" else [])
        elif words[0] in _BLOCKS.values() and self._blocks:
            self._blocks.pop()
        elif words[0] in {"config", "menuconfig"} and words[1:2] == [self.symbol]:
            self._place = f"{self.name}:{number}"
            self._depends = [text for block in self._blocks for text in block]
            self._prompt = False

    def _depends_on(self, condition: str) -> None:
        if self._depends is not None:
            self._depends.append(condition)
        elif self._in_block_head:
            self._blocks[-1].append(condition)


def _read(symbol: str, text: str, name: str) -> Iterator[Definition]:
    reader = _Reader(symbol, name)
    for number, line in _logical_lines(text):
        reader.line(number, line)
    reader.close()
    yield from reader.found


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines without comments, continued ones joined, with the first line's number."""
    held, first = "", 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = re.sub(r"(^|\s)#.*$", "", raw).rstrip()
        first = first if held else number
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        yield first, held + line
        held = ""


def _values(text: str, config: Mapping[str, str]) -> list[str]:
    names = dict.fromkeys(re.findall(r"\b[A-Z][A-Z0-9_]+\b", text))
    return [f"{name}={config.get(name, 'n')}" for name in names]


def _evaluate(text: str, config: Mapping[str, str]) -> str:
    """Evaluate a Kconfig expression to ``y``, ``n`` or ``?``; a module counts as ``y``."""
    tokens = _TOKEN.findall(text)
    answer, rest = _either(tokens, config)
    return answer if not rest else "?"


def _either(tokens: list[str], config: Mapping[str, str]) -> tuple[str, list[str]]:
    left, rest = _both(tokens, config)
    while rest[:1] == ["||"]:
        right, rest = _both(rest[1:], config)
        left = "y" if "y" in (left, right) else "?" if "?" in (left, right) else "n"
    return left, rest


def _both(tokens: list[str], config: Mapping[str, str]) -> tuple[str, list[str]]:
    left, rest = _term(tokens, config)
    while rest[:1] == ["&&"]:
        right, rest = _term(rest[1:], config)
        left = "n" if "n" in (left, right) else "?" if "?" in (left, right) else "y"
    return left, rest


def _term(tokens: list[str], config: Mapping[str, str]) -> tuple[str, list[str]]:
    if not tokens:
        return "?", []
    first, rest = tokens[0], tokens[1:]
    if first == "!":
        answer, rest = _term(rest, config)
        return {"y": "n", "n": "y"}.get(answer, "?"), rest
    if first == "(":
        answer, rest = _either(rest, config)
        return answer, rest[1:]
    if rest[:1] in (["="], ["!="]) and len(rest) > 1:
        same = _literal(first, config) == _literal(rest[1], config)
        return "y" if same == (rest[0] == "=") else "n", rest[2:]
    if first.startswith("$"):
        return "?", rest
    value = _literal(first, config)
    return ("n" if value == "n" else "y"), rest


def _literal(token: str, config: Mapping[str, str]) -> str:
    if token.startswith('"'):
        return token.strip('"')
    if token in {"y", "m", "n"} or token.isdigit():
        return token
    return config.get(token, "n").strip('"')
