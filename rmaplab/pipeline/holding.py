# SPDX-License-Identifier: GPL-2.0
"""A saved run held against what it would go on with: what differs, in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from rmaplab.build import programs
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import UserError
from rmaplab.model import Lab, ResolvedKernel
from rmaplab.model.digest import digest_of
from rmaplab.pipeline import labs
from rmaplab.source import diff
from rmaplab.source.diff import DiffError
from rmaplab.store.runfolder import SERIES, KernelFacts, RunFolder, RunRecord

MAX_NAMED = 5
"""Differences of one kind that are named one by one."""
# Where something stands in its file says nothing of it.
_NOT_COMPARED = frozenset({"line", "path", "source", "heirs"})


def of_kernel(name: str, facts: KernelFacts, now: ResolvedKernel) -> Iterator[str]:
    """Yield what differs between a kernel that a run began with and the same kernel now."""
    if facts.digest != now.tree.digest:
        yield f"kernel {name}: tree {facts.tree}: was {facts.origin}, is {now.tree.origin}"
    symbols = {symbol.name: symbol.value for symbol in now.kconfig.symbols}
    changes = list(_of_mappings(facts.symbols, symbols))
    for symbol, was, value in changes[:MAX_NAMED]:
        yield f"kernel {name}: CONFIG_{symbol}: {_change(was, value)}"
    if len(changes) > MAX_NAMED:
        yield f"kernel {name}: {len(changes) - MAX_NAMED} more symbols of its configuration"
    for noun, was, value in (
        ("toolchain", facts.toolchain, now.toolchain),
        ("build environment", facts.environment, now.environment),
        ("the lab's way to build kernels", facts.recipe, now.recipe),
    ):
        if was != value:
            yield f"kernel {name}: {noun}: was {was}, is {value}"


def _change(was: str, now: str) -> str:
    return f"was {was or 'not asked for'}, is {now or 'not asked for'}"


def of_kernels(record: RunRecord, now: Mapping[str, ResolvedKernel]) -> Iterator[str]:
    """Yield what differs between the kernels that a run began with and those of now."""
    for name, facts in record.kernels.items():
        found = list(of_kernel(name, facts, now[name]))
        yield from found
        if not found and facts.key != now[name].key:
            yield f"kernel {name}: its key: was {facts.key}, is {now[name].key}"


def of_programs(record: RunRecord, catalogue: Catalogue) -> Iterator[str]:
    """Yield the parts of a guest's programs whose sources changed since the run began."""
    if record.programs is None:
        return
    now = programs.sources(catalogue.root, catalogue.testcases.values())
    changes = list(_of_mappings(record.programs.sources, now))
    for part, was, value in changes[:MAX_NAMED]:
        what = "is new" if not was else "is gone" if not value else "has other sources"
        yield f"{_part(part)} {what}: digest was {was or 'none'}, is {value or 'none'}"
    if len(changes) > MAX_NAMED:
        yield f"{len(changes) - MAX_NAMED} more testcases have other sources"


def _part(name: str) -> str:
    return name if name in programs.SHARED else f"testcase {name}"


def of_lab(record: RunRecord, catalogue: Catalogue) -> Iterator[str]:
    """Yield what differs between a run's lab and its lab file now, read with the same options.

    Nothing if the record does not say the options, or if the file is not there any more: a run
    goes by the lab that it has saved.
    """
    if record.options is None or not record.lab.path.is_file():
        return
    try:
        now = labs.read(record.lab.path, catalogue, record.options)
    except UserError as error:
        yield f"{record.lab.path} cannot be read any more: {error.message}"
        return
    found = list(of_values("", _comparable(record.lab), _comparable(now)))
    for change in found[:MAX_NAMED]:
        yield f"{record.lab.path}: {change}"
    if len(found) > MAX_NAMED:
        yield f"{record.lab.path}: {len(found) - MAX_NAMED} more differences"


def _comparable(lab: Lab) -> Any:
    """Return a lab as mappings of its values, the things that it lists by their names."""
    return _by_name(dataclasses.asdict(lab))


def _by_name(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _by_name(v) for k, v in value.items() if k not in _NOT_COMPARED}
    if not isinstance(value, list | tuple):
        return value
    inner = [_by_name(one) for one in value]
    names = [one.get("name") if isinstance(one, dict) else None for one in inner]
    if inner and all(names) and len(set(names)) == len(names):
        return dict(zip(names, inner, strict=True))
    return inner


def of_values(where: str, was: Any, now: Any) -> Iterator[str]:
    """Yield the places in which two nested values differ, as ``where: was X, is Y``."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in [*was, *(key for key in now if key not in was)]:
            place = f"{where} {key}".strip()
            if key not in now:
                yield f"{place}: is gone"
            elif key not in was:
                yield f"{place}: is new"
            else:
                yield from of_values(place, was[key], now[key])
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for number, (old, new) in enumerate(zip(was, now, strict=True), start=1):
            yield from of_values(f"{where} {number}", old, new)
    elif was != now:
        yield f"{where}: was {_short(was)}, is {_short(now)}"


def _short(value: Any) -> str:
    text = f"{len(value)} entries" if isinstance(value, list) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _of_mappings(was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield name, old and new value of what differs; an empty value for what is not there."""
    for name in [*was, *(name for name in now if name not in was)]:
        if was.get(name) != now.get(name):
            yield name, was.get(name, ""), now.get(name, "")


def of_folder(folder: RunFolder, record: RunRecord) -> Iterator[str]:
    """Yield what of a run's folder is not as its run.json says."""
    for name, facts in record.kernels.items():
        for patch in facts.saved_patches:
            place = f"{SERIES}/{name}/{patch.file}"
            try:
                text = diff.trimmed(folder.inside(place).read_bytes())
            except (OSError, DiffError, UserError):
                text = b""
            found = digest_of(text) if text else ""
            if found != patch.digest:
                what = "has another diff than the kernel was built with" if found else "is damaged"
                yield f"{place} {what}"
