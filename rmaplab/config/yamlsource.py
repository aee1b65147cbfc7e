# SPDX-License-Identifier: GPL-2.0
"""YAML files with positions: every value knows its line, and no key may come twice.

PyYAML reads; this module keeps the line of each node beside the value and refuses what YAML
allows and a lab file must not have: duplicate keys, keys that are not words, several documents.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from rmaplab.errors import Diagnostic, DiagnosticsError, UserError

T = TypeVar("T")

Location = tuple[str | int, ...]


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
        self.mistakes.append(Diagnostic(self.path, self.line(location), message))

    def check(self) -> None:
        """Raise DiagnosticsError with every mistake found so far, in the order of their lines."""
        if self.mistakes:
            unique = sorted(set(self.mistakes), key=lambda mistake: (mistake.line, mistake.message))
            raise DiagnosticsError(unique)


def load(path: Path) -> Document:
    """Read a YAML file. Raises UserError if it cannot be read or is not YAML at all."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}") from error
    loader = yaml.SafeLoader(text)
    try:
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
        loader.dispose()
    return document


def _value(loader: yaml.SafeLoader, node: yaml.Node, where: Location, document: Document) -> Any:
    document.lines.setdefault(where, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [
            _value(loader, child, (*where, number), document)
            for number, child in enumerate(node.value)
        ]
    if not isinstance(node, yaml.MappingNode):
        try:
            return loader.construct_object(node, deep=True)
        except ValueError as error:  # what looks like a date and is none
            raise yaml.MarkedYAMLError(problem=str(error), problem_mark=node.start_mark) from error
    mapping: dict[str, Any] = {}
    first_lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            message = f"a key has to be a word, not {key_node.value!r}: quote it"
            document.mistakes.append(Diagnostic(document.path, line, message))
            continue
        if key in mapping:
            message = f"the key {key!r} is here twice (first in line {first_lines[key]})"
            document.mistakes.append(Diagnostic(document.path, line, message))
        first_lines[key] = line
        document.lines[(*where, key)] = line
        mapping[key] = _value(loader, value_node, (*where, key), document)
    return mapping


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
