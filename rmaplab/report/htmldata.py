# SPDX-License-Identifier: GPL-2.0
"""The data that the script of report.html reads: each row and cell, and details of cells.

A page of 10,000 cells has to stay below 15 MB. Rows and cells are all there; their details come for
the gravest first, until a bound is reached (htmldetails.py). A cell without them says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rmaplab.model import Cell, CellResult, ComparisonRow, Item, ItemKind, RowHistory, RowKey
from rmaplab.model.summary import gravity
from rmaplab.report.htmldetails import details_of
from rmaplab.report.htmlpool import Blocks, Pool
from rmaplab.report.htmlsources import PageSources
from rmaplab.report.reported import ReportedRun

_NUMBERS = 60
"""Numbers of one kind that a row shows; results.json has all."""


def page_data(run: ReportedRun, sources: PageSources) -> dict[str, Any]:
    """Return the data, with texts as numbers of ``texts``."""
    pool, blocks = Pool(), Blocks()
    index = {result.cell.id: number for number, result in enumerate(run.results)}
    compared = _compared(run)
    cells_by_id = {result.cell.id: result.cell for result in run.results}
    history = {
        (one.testcase, one.kernel, one.guest, one.devices, one.settings): one
        for one in sources.history.rows
    }
    rows = []
    for item in rows_of(run):
        row = _row(item, index, pool)
        found = compared.get((item.name, item.settings, item.guest, item.device))
        if found is not None:
            row |= _numbers(found, pool)
        if earlier := _earlier(item, cells_by_id, history, pool):
            row["history"] = earlier
        rows.append(row)
    details = details_of(run, sources, pool, blocks)
    files: dict[tuple[str, ...], int] = {}
    cells = [_cell(one, details.get(one.cell.id), sources, files, pool) for one in run.results]
    return {
        "compared": pool.lines(run.summary.compared),
        "rows": rows,
        "cells": cells,
        "files": [pool.lines(names) for names in files],
        "stages": [[pool.line(s.name), s.begin_s, s.end_s] for s in sources.stages],
        "history": {
            "runs": pool.lines(sources.history.runs),
            "alarms": pool.line(sources.history.alarms),
        },
        "blocks": blocks.blocks,
        "texts": pool.texts,
    }


def rows_of(run: ReportedRun) -> list[Item]:
    """Return a run's rows as items, the gravest first; the repeats of a cell are one row."""
    if run.comparison is not None:
        found = [item for item in run.summary.items if item.kind is ItemKind.ROW]
    else:
        groups: dict[tuple[str, ...], list[Item]] = {}
        for item in run.summary.items:
            if item.kind in {ItemKind.CELL, ItemKind.REPEATS}:
                key = (item.kernel, item.name, item.settings, item.guest, item.device)
                groups.setdefault(key, []).append(item)
        found = [_of_repeats(members) for members in groups.values()]
    return sorted(found, key=gravity)


def _of_repeats(members: Sequence[Item]) -> Item:
    """Return the item that stands for all repeats of a cell."""
    worst = min(members, key=gravity)
    return Item(
        ItemKind.CELL, worst.standing, worst.name, worst.why, kernel=worst.kernel,
        guest=worst.guest, settings=worst.settings, device=worst.device, known=worst.known,
        cells=tuple(dict.fromkeys(name for one in members for name in one.cells)),
        failures=tuple(dict.fromkeys(name for one in members for name in one.failures)),
        quarantine=worst.quarantine,
    )  # fmt: skip


_Place = tuple[str, str, str, str, str]
"""Testcase, kernel, guest, devices, settings."""


def _earlier(
    item: Item,
    cells: Mapping[str, Cell],
    known: Mapping[_Place, RowHistory],
    pool: Pool,
) -> list[list[Any]]:
    """Return the earlier runs of an item's row: each kernel's name with its points."""
    found: dict[str, list[Any]] = {}
    for cell in (cells[name] for name in item.cells if name in cells):
        place = (
            cell.testcase.name, cell.kernel, cell.guest.name, cell.devices, cell.settings.name,
        )  # fmt: skip
        if place in known:
            points = [list(point) for point in known[place].points]
            found[cell.kernel] = [pool.line(cell.kernel), points]
    return list(found.values())


def _compared(run: ReportedRun) -> dict[RowKey, ComparisonRow]:
    rows = run.comparison.rows if run.comparison is not None else ()
    return {(row.testcase, row.settings, row.guest, row.device): row for row in rows}


def _row(item: Item, index: Mapping[str, int], pool: Pool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": pool.line(item.name),
        "guest": pool.line(item.guest),
        "settings": pool.line(item.settings),
        "standing": str(item.standing),
        "what": item.what,
        "cells": [index[one] for one in item.cells if one in index],
    }
    for name in ("kernel", "device", "why", "known", "base", "patched", "quarantine"):
        if value := getattr(item, name):
            row[name] = pool.line(value)
    if item.failures:
        row["failures"] = pool.lines(item.failures)
    return row


def _numbers(row: ComparisonRow, pool: Pool) -> dict[str, Any]:
    """Return the numbers that differ in a row, and the costs that both kernels measured."""
    found = {
        "values": [
            [pool.line(one.phrase), str(one.direction), pool.line(one.subtest)]
            for one in row.values[:_NUMBERS]
        ],
        "costs": [
            [pool.line(one.phrase), round(one.percent, 2), int(one.differs)]
            for one in row.costs[:_NUMBERS]
        ],
        "counters": [
            [pool.line(one.name), list(one.base[:16]), list(one.patched[:16])]
            for one in row.counters[:_NUMBERS]
        ],
    }
    return {name: value for name, value in found.items() if value}


def _cell(
    result: CellResult,
    details: tuple[int, int] | None,
    sources: PageSources,
    files: dict[tuple[str, ...], int],
    pool: Pool,
) -> list[Any]:
    """Return a cell as a list, which is shorter than its keys would be."""
    cell, judged = result.cell, result.judgement
    names = sources.evidence(cell.id)
    command, _, filters = sources.again(cell.id).partition(" --filter ")
    return [
        pool.line(cell.id),
        pool.line(cell.kernel),
        cell.repeat,
        str(judged.verdict),
        str(result.outcome),
        int(judged.as_expected),
        pool.line(judged.reason),
        pool.line(judged.known),
        round(result.observation.duration_s, 3),
        result.observation.instructions,
        files.setdefault(names, len(files)),
        [pool.line(command), pool.line(filters)],
        list(details) if details is not None else None,
    ]
