# SPDX-License-Identifier: GPL-2.0
"""The Kconfig symbols of virtme-ng's guests, as the installed virtme-ng prints them.

``virtme-configkernel --dry-run`` prints its request in sections that begin with ``##:``. The
sections before the architecture's are optional by virtme-ng's own word: BPF, graphics, sound, and a
list of symbols to turn off, which contradicts the lab's fragments (``CRYPTO``, which swap on zram
needs). A guest needs the architecture's section and all sections after it.

The tool appends its request to a ``.config`` and checks nothing. In the lab each symbol has to
survive. Two kinds are left out, by name and with the reason, in the build's ``fragments.diff``:
symbols that the tree does not have, and those of ``not_wanted()``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from rmaplab import proc
from rmaplab.build import dependencies
from rmaplab.build.fragments import digest
from rmaplab.errors import InfraError
from rmaplab.model import Architecture, ConfigSymbol, Kconfig, LeftOutSymbol

FRAGMENT = "virtme"
TOOL = "virtme-configkernel"
_SECTION = "##:"
_FIRST_NEEDED = "##: Arch-specific options"
_SET = re.compile(r'CONFIG_(\w+)=("[^"]*"|\S+)$')
_NOT_SET = re.compile(r"# CONFIG_(\w+) is not set$")

_NESTING = "for guests inside the guest; it depends on VIRTUALIZATION, which the tool leaves out"


def command(architecture: Architecture) -> list[str]:
    """Return the command that prints the request for an architecture."""
    return [TOOL, "--dry-run", "--arch", architecture.vng]


def not_wanted(architecture: Architecture) -> Mapping[str, str]:
    """Return the symbols that the tool requests and the lab does not, with the reasons."""
    return {
        **dict.fromkeys(architecture.kvm_symbols, _NESTING),
        "DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT": "no guest needs it: the fragment debuginfo has DWARF",
    }


def extend(kconfig: Kconfig, tree: Path, architecture: Architecture) -> Kconfig:
    """Add what the tool asks of a guest's kernel to a request that names the fragment ``virtme``.

    The fragments' own files win. Raises InfraError if the tool is missing or not understood.
    """
    asked = parse(proc.run(command(architecture)).text.splitlines())
    known = dependencies.declared(asked, tree, architecture)
    unwanted = not_wanted(architecture)
    left_out = tuple(
        LeftOutSymbol(name, value, why)
        for name, value in asked.items()
        if (why := unwanted.get(name) or _unknown(name, value, known))
    )
    dropped = {symbol.name for symbol in left_out}
    symbols = {
        name: ConfigSymbol(name, value, TOOL, 0)
        for name, value in asked.items()
        if name not in dropped
    }
    symbols.update({symbol.name: symbol for symbol in kconfig.symbols})
    ordered = tuple(symbols.values())
    return replace(kconfig, symbols=ordered, digest=digest(ordered), left_out=left_out)


def parse(lines: Iterable[str]) -> dict[str, str]:
    """Parse the tool's output into values by symbol; the last value of a symbol counts.

    A module becomes built in: the lab's kernels have no modules. Raises InfraError if the output
    has another form than this module knows.
    """
    asked: dict[str, str] = {}
    needed = False
    for line in map(str.strip, lines):
        if line.startswith(_SECTION):
            needed = needed or line == _FIRST_NEEDED
        elif match := _SET.match(line) or _NOT_SET.match(line):
            if needed:
                value = match[2] if match.re is _SET else "n"
                asked.pop(match[1], None)
                asked[match[1]] = "y" if value == "m" else value
        elif line and not line.startswith("#"):
            raise InfraError(f"{TOOL} --dry-run printed a line that is no request: {line[:80]!r}")
    if not asked:
        raise InfraError(
            f"{TOOL} --dry-run printed no section {_FIRST_NEEDED!r}",
            hint="this virtme-ng is another one than pyproject.toml asks for: run make setup",
        )
    return asked


def _unknown(name: str, value: str, known: frozenset[str]) -> str:
    # A symbol that is to be off need not exist; that it is not on is checked with the others.
    return "this tree has no such symbol" if value != "n" and name not in known else ""
