# SPDX-License-Identifier: GPL-2.0
"""Say what Kconfig chose by itself, and what it chose otherwise for another tree.

A lab that requests the same of two trees may still compare two kinds of kernel: a choice that
nobody made falls to the tree's default (Documentation/kbuild/kconfig-language.rst). This reads
``choice`` blocks as ``build.dependencies`` reads ``config`` entries: a hint, never a verdict.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from rmaplab.build.dependencies import kconfig_files
from rmaplab.model import Architecture

_CHOICE = re.compile(r"^choice\b(.*?)^endchoice\b", re.M | re.S)
_PROMPT = re.compile(r'^\s+(?:prompt|bool|tristate)\s+"([^"\n]+)"', re.M)
_MEMBER = re.compile(r"^config\s+(\w+)\s*$", re.M)

Values = Mapping[str, str]


def made(tree: Path, config: Values, architecture: Architecture) -> dict[str, str]:
    """Return the member that each choice of a tree fell to, by the choice's prompt."""
    found = {}
    for _, text in kconfig_files(tree, architecture):
        for block in _CHOICE.findall(text):
            members = _MEMBER.findall(block)
            head, _, _ = block.partition("\nconfig ")
            prompt = _PROMPT.search(head)
            taken = next((name for name in members if config.get(name) == "y"), None)
            if prompt and taken:
                found[prompt[1]] = taken
    return found


def choices_apart(
    before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Yield the choices that fell otherwise: their prompt, and the member on either side."""
    for prompt in sorted(before.keys() & after.keys()):
        if before[prompt] != after[prompt]:
            yield prompt, before[prompt], after[prompt]


def symbols_apart(
    before: Values, after: Values, but: frozenset[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield the symbols that have a value in both configurations, and not the same one.

    ``but`` are those that are left out: what was requested.
    """
    for name in sorted(before.keys() & after.keys() - but):
        if before[name] != after[name]:
            yield name, before[name], after[name]
