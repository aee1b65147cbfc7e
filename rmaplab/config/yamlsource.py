# SPDX-License-Identifier: GPL-2.0
"""YAML files with positions: every value knows its line, and no key may come twice.

PyYAML reads; this module keeps the line of each node beside the value and refuses what YAML
allows and a lab file must not have: duplicate keys, keys that are not words, several documents,
anchors, aliases, tags, control characters. Bytes, nodes and depth have limits that are checked
while the file is read: a kilobyte of aliases could fill the memory.
"""

from __future__ import annotations

import copy
import functools
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from rmaplab.errors import Diagnostic, DiagnosticsError, UserError

T = TypeVar("T")

Location = tuple[str | int, ...]

MAX_BYTES = 256 << 10
MAX_NODES = 20_000
MAX_DEPTH = 20
MAX_MISTAKES = 100
"""Limits of a file: many times what a lab with every testcase has."""
_MAX_NUMBER = 100
# Neither a line end nor a tab: no name, path or pattern has one; a lone surrogate is no character.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(slots=True)
class Document:
    """A YAML file's content: ``value``, the line of each location, and mistakes found so far."""

    path: Path
    value: Any
    lines: dict[Location, int] = field(default_factory=dict)
    mistakes: list[Diagnostic] = field(default_factory=list)

    def line(self, location: Location) -> int:
        """Return the line of a location, or of its nearest ancestor that is in the file."""
        for end in range(len(location), -1, -1):
            if location[:end] in self.lines:
                return self.lines[location[:end]]
        return 1

    def complain(self, location: Location, message: str) -> None:
        """Note a mistake at a location."""
        self.note(self.line(location), message)

    def note(self, line: int, message: str) -> None:
        """Note a mistake in a line. Raises DiagnosticsError if there are very many."""
        self.mistakes.append(Diagnostic(self.path, line, message))
        if len(self.mistakes) >= MAX_MISTAKES:
            message = f"and maybe more: the first {MAX_MISTAKES} mistakes are told"
            raise DiagnosticsError([*self.mistakes, Diagnostic(self.path, 0, message)])

    def check(self) -> None:
        """Raise DiagnosticsError with every mistake found so far, in the order of their lines."""
        if self.mistakes:
            unique = sorted(set(self.mistakes), key=lambda mistake: (mistake.line, mistake.message))
            raise DiagnosticsError(unique)


def load(path: Path) -> Document:
    """Read a YAML file. Raises UserError if it cannot be read or is not YAML at all.

    A text that was parsed before, under the same path, is not parsed again.
    """
    parsed = _parsed(path, _text(path))
    lines, mistakes = dict(parsed.lines), list(parsed.mistakes)
    return Document(path, copy.deepcopy(parsed.value), lines, mistakes)


@functools.lru_cache(maxsize=1024)
def _parsed(path: Path, text: str) -> Document:
    """Parse the text of a file; the result is shared, so nobody may change it."""
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        document = Document(path, None)
        if node is not None:
            document.value = _value(loader, node, (), document)
        if document.value is None:
            document.complain((), "the file is empty")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 0
        said = " ".join(filter(None, (error.context, error.problem)))
        raise DiagnosticsError([Diagnostic(path, line, f"not valid YAML: {said}")]) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DiagnosticsError([Diagnostic(path, 0, f"not valid YAML: {error}")]) from error
    finally:
        if loader is not None:
            loader.dispose()
    return document


def _text(path: Path) -> str:
    """Return the text of a file. Raises UserError for one that is no file of a sensible size."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            noun = "folder" if stat.S_ISDIR(about.st_mode) else "file of a special kind"
            raise UserError(f"{path} is a {noun}, not a file to read")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # a name that no file can have
        raise UserError(f"{str(path)!r}: {error}") from error
    if len(raw) > MAX_BYTES:
        raise UserError(f"{path}: it has more than {MAX_BYTES >> 10} KB")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}") from error


class _Loader(yaml.SafeLoader):
    """A loader of what a lab file may have."""

    def __init__(self, text: str) -> None:
        self._nodes = 0
        self._depth = 0
        super().__init__(text)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Read a node and what is below it. Raises MarkedYAMLError for what a file may not have."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _refused("an alias (*) is not read here: write the value out", event)
        if event.anchor is not None:
            raise _refused("an anchor (&) is not read here: write the value out", event)
        if event.tag is not None:
            raise _refused("a tag (!) is not read here: write the value without it", event)
        self._nodes += 1
        self._depth += 1
        if self._nodes > MAX_NODES:
            raise _refused(f"the file has more than {MAX_NODES} values", event)
        if self._depth > MAX_DEPTH:
            raise _refused(f"values are more than {MAX_DEPTH} levels deep", event)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _refused(what: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=what, problem_mark=event.start_mark)


def _value(loader: yaml.SafeLoader, node: yaml.Node, where: Location, document: Document) -> Any:
    document.lines.setdefault(where, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [
            _value(loader, child, (*where, number), document)
            for number, child in enumerate(node.value)
        ]
    if not isinstance(node, yaml.MappingNode):
        return _scalar(loader, node)
    mapping: dict[str, Any] = {}
    first_lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = _scalar(loader, key_node) if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            said = repr(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "a list"
            document.note(line, f"a key has to be a word, not {said}: quote it")
            continue
        if key in mapping:
            document.note(line, f"the key {key!r} is here twice (first in line {first_lines[key]})")
        first_lines[key] = line
        document.lines[(*where, key)] = line
        mapping[key] = _value(loader, value_node, (*where, key), document)
    return mapping


def _scalar(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    """Return a value that has none below it. Raises MarkedYAMLError for one that is none."""
    if isinstance(node.value, str):
        # YAML has numbers in base 60, whose reading takes the square of their length.
        if len(node.value) > _MAX_NUMBER and node.tag != "tag:yaml.org,2002:str":
            raise yaml.MarkedYAMLError(
                problem="a number of so many digits", problem_mark=node.start_mark
            )
        if found := _CONTROL.search(node.value):
            raise yaml.MarkedYAMLError(
                problem=f"the control character {found[0]!r} in a text",
                problem_mark=node.start_mark,
            )
    try:
        return loader.construct_object(node, deep=True)
    except ValueError as error:  # what looks like a date and is none
        raise yaml.MarkedYAMLError(problem=str(error), problem_mark=node.start_mark) from error


def items(mapping: object, key: str, kind: type[T]) -> list[tuple[int, T]]:
    """Return a mapping's list entries of one type with their indices; none if it has no list."""
    value = mapping.get(key) if isinstance(mapping, dict) else None
    found = enumerate(value) if isinstance(value, list) else ()
    return [(number, item) for number, item in found if isinstance(item, kind) and item != ""]


def words(value: object, location: Location) -> list[tuple[Location, str]]:
    """Return the words at a location, one by itself or a list, each with its own location.

    An entry of the list may be a mapping with a ``name``.
    """
    for part in location:
        try:
            value = value[part]  # type: ignore[index]
        except (TypeError, KeyError, IndexError):
            return []
    if isinstance(value, str):
        return [(location, value)] if value else []
    found: list[tuple[Location, str]] = []
    for number, item in enumerate(value) if isinstance(value, list) else ():
        if isinstance(item, dict):
            name = item.get("name")
            if isinstance(name, str) and name:
                found.append(((*location, number, "name"), name))
        elif isinstance(item, str) and item:
            found.append(((*location, number), item))
    return found
