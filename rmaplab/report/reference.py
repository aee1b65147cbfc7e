# SPDX-License-Identifier: GPL-2.0
"""Make the page on every key of the files that people write, from the models that read them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rmaplab.report import schemas

KINDS = ("lab", "guest", "testcase")
_HEAD = """\
<!-- SPDX-License-Identifier: GPL-2.0 -->
# Every key of the YAML files

Made by `./lab.py schema reference` from the models that read the files, so that it is what the
lab takes. What the keys are for: [lab-files.md](lab-files.md), [guests.md](guests.md),
[testcases.md](testcases.md).
"""
_PLACES = {"lab": "configs/NAME.yaml", "guest": "guests/NAME.yaml",
           "testcase": "testcases/FOLDER/NAME.yaml"}  # fmt: skip

Schema = Mapping[str, Any]


def text() -> str:
    """Return the page, as Markdown."""
    return "\n".join([_HEAD, *(line for kind in KINDS for line in _kind(kind))])


def _kind(kind: str) -> Iterator[str]:
    """Yield the lines on a kind of file: its own keys, then those of its entries."""
    whole = schemas.MODELS[kind].model_json_schema()
    yield f"## A {kind} file: {_PLACES[kind]}"
    yield ""
    yield from _table(whole)
    for one in whole.get("$defs", {}).values():
        if "properties" in one:
            yield f"### {_first(one)}"
            yield ""
            yield from _table(one)


def _first(one: Schema) -> str:
    return str(one.get("description", one["title"])).splitlines()[0].rstrip(".")


def _table(one: Schema) -> Iterator[str]:
    """Yield the table of an object's keys."""
    required = set(one.get("required", ()))
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    for name, field in one["properties"].items():
        default = "required" if name in required else _default(field.get("default"))
        yield f"| `{name}` | {_value(field)} | {default} | {field.get('description', '')} |"
    yield ""


def _default(value: Any) -> str:
    return "" if value in (None, "", [], {}) else f"`{json.dumps(value)}`"


def _value(field: Schema) -> str:
    """Return what a value may be, in words."""
    words = _BY_KEY.get(next((key for key in _BY_KEY if key in field), ""))
    if words is not None:
        return words(field)
    kind = field.get("type", "")
    if kind == "array":
        inner = field.get("items", {})
        return "a list of entries, see below" if "$ref" in inner else f"a list of: {_value(inner)}"
    if kind == "object":
        return f"a mapping to: {_value(field.get('additionalProperties', {}))}"
    return _NOUNS.get(kind, "text") + _bounds(field)


def _any(field: Schema) -> str:
    words = [_value(one) for one in field["anyOf"] if one.get("type") != "null"]
    return " or ".join(dict.fromkeys(words))


_BY_KEY: Mapping[str, Callable[[Schema], str]] = {
    "$ref": lambda _: "an entry, see below",
    "enum": lambda field: " or ".join(f"`{one}`" for one in field["enum"]),
    "const": lambda field: f"`{field['const']}`",
    "anyOf": _any,
}
_NOUNS = {"integer": "a whole number", "number": "a number", "boolean": "`true` or `false`"}


def _bounds(field: Schema) -> str:
    """Return the bounds of a number, and the form of a text."""
    low = field.get("minimum", field.get("exclusiveMinimum"))
    high = field.get("maximum")
    if high is not None:
        return f", {low} to {high}" if low is not None else f", up to {high}"
    if low is not None:
        return f", more than {low}" if "exclusiveMinimum" in field else f", {low} or more"
    return f" like `{field['pattern']}`".replace("|", "\\|") if "pattern" in field else ""
