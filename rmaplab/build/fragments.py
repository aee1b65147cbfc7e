# SPDX-License-Identifier: GPL-2.0
"""Kconfig fragments: requested symbols, and whether they survived ``make olddefconfig``.

A fragment holds ``CONFIG_X=y`` or ``# CONFIG_X is not set`` lines. ``# since 6.12`` after a symbol
says which kernel brought it, ``# until 7.3`` which one is the first without it; other trees do
without. ``# or Y`` names what a symbol is called in trees that have no X. Silently losing a symbol
is the classic way to test something else than was asked (tools/testing/kunit/kunit_kernel.py checks
for it too).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rmaplab.errors import Diagnostic, DiagnosticsError, UserError
from rmaplab.model import Architecture, ConfigSymbol, Kconfig, version_numbers
from rmaplab.model.digest import digest_of

_SET = re.compile(r'CONFIG_(\w+)=("[^"]*"|\S+?)\s*(?:#\s*(.*))?$')
_NOT_SET = re.compile(r"# CONFIG_(\w+) is not set\s*$")
_SINCE = re.compile(r"since (\d+(?:\.\d+)+)")
_UNTIL = re.compile(r"until (\d+(?:\.\d+)+)")
_OR = re.compile(r"^or ([A-Z0-9_]+)")

Declared = Callable[[Iterable[str]], frozenset[str]]
"""Says which of some symbols a tree has."""


def read(
    paths: Iterable[Path],
    version: str,
    architecture: Architecture,
    declared: Declared = frozenset,
) -> Kconfig:
    """Return the request of several fragments for a kernel version; a later fragment wins.

    ``declared`` is asked for the symbols that have another name in other trees. What only an
    architecture has is in a file of the fragment's name in the architecture's folder beside it,
    which is read after it. Raises DiagnosticsError with every line that is no Kconfig request,
    UserError if a fragment cannot be read.
    """
    symbols: dict[str, ConfigSymbol] = {}
    mistakes: list[Diagnostic] = []
    paths = list(paths)
    for path, name in _files(paths, architecture.kconfig_folder):
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from error
        for number, line in enumerate(text.splitlines(), start=1):
            symbol = _symbol(line, name, number)
            if symbol is None and line.strip() and not line.startswith("#"):
                mistakes.append(
                    Diagnostic(path, number, f"not a Kconfig request: {line.strip()!r}")
                )
            elif symbol is not None and is_known_to(version, symbol.since, symbol.until):
                symbols[symbol.name] = symbol
    if mistakes:
        raise DiagnosticsError(mistakes, hint="write CONFIG_X=y or # CONFIG_X is not set")
    ordered = tuple(_by_name_here(symbols.values(), declared))
    return Kconfig(
        fragments=tuple(path.stem for path in paths),
        symbols=ordered,
        digest=digest(ordered),
    )


def _files(paths: Iterable[Path], folder: str) -> Iterator[tuple[Path, str]]:
    """Yield each file of the fragments and the name that mistakes in it are told by."""
    for path in paths:
        yield path, path.stem
        own = path.parent / folder / path.name
        if own.exists():
            yield own, f"{folder}/{path.stem}"


def digest(symbols: Iterable[ConfigSymbol]) -> str:
    """Return the content address of a request."""
    return digest_of(*(f"{symbol.name}={symbol.value}" for symbol in symbols))


def _symbol(line: str, fragment: str, number: int) -> ConfigSymbol | None:
    if match := _NOT_SET.match(line):
        return ConfigSymbol(match[1], "n", fragment, number)
    if match := _SET.match(line):
        since, until, other = (
            found[1] if (found := mark.search(match[3] or "")) else ""
            for mark in (_SINCE, _UNTIL, _OR)
        )
        return ConfigSymbol(match[1], match[2], fragment, number, since, until, other)
    return None


def _by_name_here(symbols: Iterable[ConfigSymbol], declared: Declared) -> Iterator[ConfigSymbol]:
    """Yield the symbols, each by the name that the tree has for it."""
    symbols = list(symbols)
    asked = [name for s in symbols if s.other for name in (s.name, s.other)]
    here = declared(asked) if asked else frozenset()
    for symbol in symbols:
        renamed = symbol.other in here and symbol.name not in here
        yield replace(symbol, name=symbol.other) if renamed else symbol


def is_known_to(version: str, since: str, until: str = "") -> bool:
    """Return whether a kernel version has a symbol that came ``since`` and went with ``until``."""
    numbers = version_numbers(version)
    return (not since or numbers >= version_numbers(since)) and (
        not until or numbers < version_numbers(until)
    )


def as_config(kconfig: Kconfig) -> str:
    """Return a request as lines to append to a ``.config``."""
    return "".join(
        f"# CONFIG_{s.name} is not set\n" if s.value == "n" else f"CONFIG_{s.name}={s.value}\n"
        for s in kconfig.symbols
    )


def parse_config(text: str) -> dict[str, str]:
    """Parse a ``.config`` into values by symbol; a symbol that is not set has the value ``n``."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        if match := re.match(r"CONFIG_(\w+)=(.*)$", line):
            values[match[1]] = match[2]
        elif match := _NOT_SET.match(line):
            values[match[1]] = "n"
    return values


@dataclass(frozen=True, slots=True)
class Dropped:
    """A requested symbol that did not survive; ``got`` is None if the tree does not have it."""

    symbol: ConfigSymbol
    got: str | None


def dropped(kconfig: Kconfig, config: Mapping[str, str]) -> list[Dropped]:
    """Return the requested symbols that have another value in the final configuration."""
    return [
        Dropped(symbol, config.get(symbol.name))
        for symbol in kconfig.symbols
        if config.get(symbol.name, "n") != symbol.value
    ]


def difference(kconfig: Kconfig, config: str) -> str:
    """Return a final configuration as a difference from the request: ``+`` came with it.

    ``-`` marks a symbol that a tool asked for and the lab left out, with the reason.
    """
    final = parse_config(config)
    asked = {symbol.name for symbol in kconfig.symbols}
    return "".join(
        f"{' ' if name in asked else '+'}CONFIG_{name}={value}\n"
        for name, value in sorted(final.items())
        if value != "n" or name in asked
    ) + "".join(f"-CONFIG_{s.name}={s.value} # {s.reason}\n" for s in kconfig.left_out)
