# SPDX-License-Identifier: GPL-2.0
"""The history of cells' durations, in the cache, for the next run's order and estimate.

No verdict depends on the history, and no error of it ends a run. SQLite keeps concurrent labs
apart. A file that is no history is dropped, with one line on the terminal.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import TypeVar

from rmaplab.log import log
from rmaplab.model import Cell, CellResult, Verdict
from rmaplab.store.cache import Cache

T = TypeVar("T")
Key = tuple[str, str, str, str]
"""Testcase, guest, settings, devices."""

_VERSION = 1
# A kernel or a testcase changes: what was measured long ago fades.
_MEMORY = 8
_TABLE = """
CREATE TABLE IF NOT EXISTS durations (
    testcase TEXT, guest TEXT, settings TEXT, devices TEXT, accelerator TEXT,
    seconds REAL, measured INTEGER, updated REAL,
    PRIMARY KEY (testcase, guest, settings, devices, accelerator))
"""
_DAMAGED = {
    sqlite3.SQLITE_ERROR,  # a table of another shape
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_SCHEMA,
    sqlite3.SQLITE_MISMATCH,
}


class History:
    """The history of one cache."""

    def __init__(self, cache: Cache) -> None:
        self.path = cache.path("history", "cells.sqlite")

    def expected(self, cells: Iterable[Cell], accelerator: str = "") -> dict[str, float]:
        """Return the seconds that each cell is expected to take, by its id; 0 for a skipped cell.

        They are the mean of the cell's own history, else of its testcase's on other guests and
        settings. A cell with neither is left out. Without an accelerator, the one that ran last
        counts.
        """
        known: dict[Key, float] = {}
        if self.path.exists():
            known = self._use(lambda database: _read(database, accelerator)) or {}
        by_testcase: dict[str, list[float]] = defaultdict(list)
        for (testcase, *_), seconds in known.items():
            by_testcase[testcase].append(seconds)
        found: dict[str, float] = {}
        for cell in cells:
            elsewhere = by_testcase.get(cell.testcase.name)
            if cell.skip:
                found[cell.id] = 0.0
            elif _key(cell) in known:
                found[cell.id] = known[_key(cell)]
            elif elsewhere:
                found[cell.id] = sum(elsewhere) / len(elsewhere)
        return found

    def learn(self, results: Iterable[CellResult], accelerator: str) -> None:
        """Add the durations of finished cells, except skipped ones and the lab's errors."""
        took: dict[Key, list[float]] = defaultdict(list)
        for result in results:
            if result.judgement.verdict not in {Verdict.SKIP, Verdict.ERROR}:
                took[_key(result.cell)].append(result.observation.duration_s)
        if took and accelerator:
            self._use(lambda database: _add(database, took, accelerator))

    def _use(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        for again in (True, False):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with closing(sqlite3.connect(self.path, timeout=5, isolation_level=None)) as base:
                    _prepare(base)
                    return work(base)
            except sqlite3.Error as error:
                code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
                if code not in _DAMAGED or not again:
                    log.info(f"the history of durations is not used: {self.path}: {error}")
                    return None
                log.info(f"the history of durations is damaged: dropping {self.path}: {error}")
                self.path.unlink(missing_ok=True)
            except OSError as error:
                log.info(f"the history of durations is not used: {self.path}: {error.strerror}")
                return None
        return None


def _key(cell: Cell) -> Key:
    return cell.testcase.name, cell.guest.name, cell.settings.name, cell.devices


def _prepare(database: sqlite3.Connection) -> None:
    if _version(database) == _VERSION:
        return
    database.execute("BEGIN IMMEDIATE")
    if _version(database) != _VERSION:  # another lab may have been quicker
        database.execute("DROP TABLE IF EXISTS durations")
        database.execute(_TABLE)
        database.execute(f"PRAGMA user_version = {_VERSION}")
    database.execute("COMMIT")


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _read(database: sqlite3.Connection, accelerator: str) -> dict[Key, float]:
    if not accelerator:
        newest = "SELECT accelerator FROM durations ORDER BY updated DESC LIMIT 1"
        accelerator = (database.execute(newest).fetchone() or ("",))[0]
    rows = database.execute(
        "SELECT testcase, guest, settings, devices, seconds FROM durations WHERE accelerator = ?",
        (accelerator,),
    )
    return {tuple(key): seconds for *key, seconds in rows if _makes_sense(seconds)}


def _makes_sense(seconds: object) -> bool:
    """Return whether a duration is a number of seconds: SQLite keeps values of any type."""
    return isinstance(seconds, float) and math.isfinite(seconds) and seconds >= 0


def _add(database: sqlite3.Connection, took: dict[Key, list[float]], accelerator: str) -> None:
    """Move each mean towards the new durations; old ones weigh as much as _MEMORY cells at most."""
    database.execute("BEGIN IMMEDIATE")
    for key, seconds in took.items():
        place = (*key, accelerator)
        row = database.execute(
            "SELECT seconds, measured FROM durations WHERE testcase = ? AND guest = ? AND "
            "settings = ? AND devices = ? AND accelerator = ?",
            place,
        ).fetchone()
        old, weight = row if row is not None else (0.0, 0)
        usable = _makes_sense(old) and isinstance(weight, int) and weight > 0
        old, weight = (old, min(weight, _MEMORY)) if usable else (0.0, 0)
        mean = (old * weight + sum(seconds)) / (weight + len(seconds))
        database.execute(
            "INSERT OR REPLACE INTO durations VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*place, mean, weight + len(seconds), time.time()),
        )
    database.execute("COMMIT")
