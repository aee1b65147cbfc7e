# SPDX-License-Identifier: GPL-2.0
"""The verdicts of earlier runs, and the failures that people called invalid, in one database.

A run is added in one transaction and under one name, so that adding it again replaces it: nothing
is there twice, and a killed lab leaves the store as it was. No verdict depends on the store. One
that is locked, full or of a newer lab is left alone and said; a damaged one is set aside.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import TypeVar

import filelock

from rmaplab.log import log
from rmaplab.model import (
    HistoryPoint,
    Mark,
    PastCell,
    PastKernel,
    PastPlace,
    PastRun,
    Verdict,
)
from rmaplab.store.cache import Cache

T = TypeVar("T")

VERSION = 1
WAIT_S = 10.0
"""Seconds to wait for another lab that writes; it takes a fraction of one."""
MAX_MARKS = 10_000
_TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, began TEXT NOT NULL, lab TEXT NOT NULL,
    folder TEXT NOT NULL, mode TEXT NOT NULL, host TEXT NOT NULL, answer TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS kernels (
    identity TEXT PRIMARY KEY, line TEXT NOT NULL, tree TEXT NOT NULL, origin TEXT NOT NULL,
    version TEXT NOT NULL, series TEXT NOT NULL, patches INTEGER NOT NULL, config TEXT NOT NULL)
    STRICT;
CREATE TABLE IF NOT EXISTS places (
    id INTEGER PRIMARY KEY, testcase TEXT NOT NULL, kind TEXT NOT NULL, kernel TEXT NOT NULL,
    guest TEXT NOT NULL, devices TEXT NOT NULL, settings TEXT NOT NULL, mode TEXT NOT NULL,
    UNIQUE (testcase, kernel, guest, devices, settings, mode)) STRICT;
CREATE TABLE IF NOT EXISTS texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS cells (
    place INTEGER NOT NULL, run INTEGER NOT NULL, name TEXT NOT NULL, repeat INTEGER NOT NULL,
    program TEXT NOT NULL, verdict TEXT NOT NULL, outcome TEXT NOT NULL, expected INTEGER NOT NULL,
    alarm INTEGER NOT NULL, seconds REAL NOT NULL, instructions INTEGER, reason INTEGER NOT NULL,
    failure TEXT NOT NULL, PRIMARY KEY (place, run, name, repeat)) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cells_of_run ON cells (run);
CREATE INDEX IF NOT EXISTS cells_of_alarm ON cells (alarm) WHERE alarm;
CREATE TABLE IF NOT EXISTS marks (
    fingerprint TEXT PRIMARY KEY, reason TEXT NOT NULL, owner TEXT NOT NULL, at TEXT NOT NULL)
    STRICT;
"""
_DAMAGED = {
    sqlite3.SQLITE_ERROR,  # tables of another shape
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_SCHEMA,
    sqlite3.SQLITE_MISMATCH,
}
_PASS, _FAIL, _SKIP = (f"'{verdict}'" for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.SKIP))
_REASON = 500
"""Characters of a reason that are kept: the run's folder has all of it."""


class _Newer(Exception):
    """The store is one of a newer lab's."""


class VerdictStore:
    """The store of one cache. Each of its methods says why it could not, and raises nothing."""

    def __init__(self, cache: Cache, wait_s: float = WAIT_S) -> None:
        self.path = cache.path("history", "verdicts.sqlite")
        self._wait_s = wait_s

    def add(self, run: PastRun, kernels: Iterable[PastKernel], cells: Sequence[PastCell]) -> str:
        """Add a run, or put it in the place of what the store has of it.

        Return why it could not be done, as it was told; empty if it was.
        """
        return self._use(lambda base: _add(base, run, tuple(kernels), cells))[1]

    def mark(self, mark: Mark) -> str:
        """Keep a mark; the last one of a failure counts. Return as ``add`` does."""
        return self._use(lambda base: _mark(base, mark))[1]

    def unmark(self, fingerprint: str) -> bool:
        """Take a mark back; return whether there was one."""
        found, _ = self._use(
            lambda base: base.execute("DELETE FROM marks WHERE fingerprint = ?", (fingerprint,))
        )
        return found is not None and found.rowcount > 0

    def marks(self) -> tuple[Mark, ...]:
        """Return all marks, the last of them first."""
        return self._read(_marks, ())

    def knows(self, fingerprint: str) -> bool:
        """Return whether a cell of the store has a failure."""
        query = "SELECT 1 FROM cells WHERE failure = ? LIMIT 1"
        return self._read(lambda base: bool(base.execute(query, (fingerprint,)).fetchone()), False)

    def runs(self) -> dict[int, PastRun]:
        """Return the runs by their numbers, the first first."""
        return self._read(_runs, {})

    def kernels(self) -> dict[str, PastKernel]:
        """Return the kernels by their identities, those of the last runs first."""
        return self._read(_kernels, {})

    def places(self) -> dict[int, PastPlace]:
        """Return the places by their numbers."""
        return self._read(_places, {})

    def last_kernels(self, places: Iterable[int], runs: Iterable[int]) -> frozenset[str]:
        """Return the kernels of the first of some runs that has one of these places."""
        wanted, order = frozenset(places), tuple(runs)
        return self._read(lambda base: _last_kernels(base, wanted, order), frozenset())

    def points(self, places: Iterable[int]) -> dict[int, list[HistoryPoint]]:
        """Return what each run says of these places, by place, in the order of the runs."""
        wanted = frozenset(places)
        return self._read(lambda base: _points(base, wanted), {})

    def alarms(self, places: Iterable[int]) -> list[tuple[int, str, bool]]:
        """Return the alarms of these places: place, fingerprint, and if it also passed there."""
        wanted = frozenset(places)
        return self._read(lambda base: _alarms(base, wanted), [])

    # -- the file --------------------------------------------------------------------------------

    def _read(self, work: Callable[[sqlite3.Connection], T], default: T) -> T:
        try:
            self.path.stat()
        except FileNotFoundError:
            return default
        except OSError:
            pass  # the reason is told below
        found, _ = self._use(work)
        return default if found is None else found

    def _use(self, work: Callable[[sqlite3.Connection], T]) -> tuple[T | None, str]:
        """Return what came of the work, and the reason why nothing did."""
        why = ""
        for again in (True, False):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                return self._once(work), ""
            except sqlite3.Error as error:
                why = f"{self.path}: {error}"
                if again and _code(error) in _DAMAGED and self._set_aside(why):
                    continue
                break
            except _Newer:
                why = f"{self.path} is of a newer version of the lab"
                break
            except OSError as error:
                why = f"{error.filename or self.path}: {error.strerror}"
                break
        log.warn(f"the history is not used: {why}")
        return None, why

    def _once(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with closing(
            sqlite3.connect(self.path, timeout=self._wait_s, isolation_level=None)
        ) as base:
            _prepare(base)
            return work(base)

    def _set_aside(self, why: str) -> bool:
        """Put a damaged store aside unless another lab has; return whether to try again."""
        with filelock.FileLock(self.path.with_name(f".{self.path.name}.lock")):
            try:
                with closing(sqlite3.connect(self.path, timeout=self._wait_s)) as base:
                    _check(base)
                return True  # another lab was quicker
            except _Newer:
                return True
            except sqlite3.Error as error:
                if _code(error) not in _DAMAGED:
                    return False
            aside = next(
                path
                for number in itertools.count(1)
                if not (path := self.path.with_name(f"damaged-{number}.sqlite")).exists()
            )
            for suffix in ("-journal", ""):
                part = self.path.with_name(self.path.name + suffix)
                if part.exists():
                    part.rename(aside.with_name(aside.name + suffix))
            log.warn(f"the history is damaged: {why}: it is kept as {aside}, and a new one begun")
            return True


def _code(error: sqlite3.Error) -> int:
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def _version(base: sqlite3.Connection) -> int:
    found = int(base.execute("PRAGMA user_version").fetchone()[0])
    if found > VERSION:
        raise _Newer
    return found


def _prepare(base: sqlite3.Connection) -> None:
    """Make the tables if there are none."""
    if _version(base) == VERSION:
        return
    with _transaction(base):
        if _version(base) != VERSION:  # another lab may have been quicker
            for statement in _TABLES.split(";\n"):
                base.execute(statement)
            base.execute(f"PRAGMA user_version = {VERSION}")


def _check(base: sqlite3.Connection) -> None:
    """Raise sqlite3.Error if the store is damaged."""
    if _version(base) != VERSION:
        _prepare(base)
    said = base.execute("PRAGMA quick_check(1)").fetchone()[0]
    for table, column in (
        ("runs", "answer"), ("kernels", "config"), ("places", "mode"), ("texts", "text"),
        ("cells", "failure"), ("marks", "at"),
    ):  # fmt: skip
        base.execute(f"SELECT {column} FROM {table} LIMIT 1").fetchone()
    if said != "ok":
        error = sqlite3.DatabaseError(said)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


@contextlib.contextmanager
def _transaction(base: sqlite3.Connection) -> Iterator[None]:
    """Do the block whole or not at all, with no other lab writing."""
    base.execute("BEGIN IMMEDIATE")
    try:
        yield
        base.execute("COMMIT")
    except BaseException:
        if base.in_transaction:
            base.execute("ROLLBACK")
        raise


# -- writing -------------------------------------------------------------------------------------


def _add(
    base: sqlite3.Connection,
    run: PastRun,
    kernels: Sequence[PastKernel],
    cells: Sequence[PastCell],
) -> None:
    with _transaction(base):
        base.execute(
            "INSERT INTO runs (uid, began, lab, folder, mode, host, answer) VALUES (?,?,?,?,?,?,?) "
            "ON CONFLICT (uid) DO UPDATE SET folder = excluded.folder, answer = excluded.answer, "
            "mode = excluded.mode",
            (run.uid, run.began, run.lab, run.folder, run.mode, run.host, run.answer),
        )
        (number,) = base.execute("SELECT id FROM runs WHERE uid = ?", (run.uid,)).fetchone()
        base.execute("DELETE FROM cells WHERE run = ?", (number,))
        base.executemany(
            "INSERT OR IGNORE INTO kernels VALUES (?,?,?,?,?,?,?,?)",
            (
                (k.identity, k.line, k.tree, k.origin, k.version, k.series, k.patches, k.config)
                for k in kernels
            ),
        )
        places = _numbers_of_places(base, {cell.place for cell in cells})
        texts = _numbers_of_texts(base, {cell.reason[:_REASON] for cell in cells})
        base.executemany(
            "INSERT OR REPLACE INTO cells VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                (
                    places[cell.place], number, cell.name, cell.repeat, cell.program,
                    str(cell.verdict), str(cell.outcome), int(cell.as_expected), int(cell.alarm),
                    float(cell.seconds), cell.instructions, texts[cell.reason[:_REASON]],
                    cell.failure,
                )
                for cell in cells
            ),
        )  # fmt: skip


def _numbers_of_places(
    base: sqlite3.Connection, places: Iterable[PastPlace]
) -> dict[PastPlace, int]:
    found: dict[PastPlace, int] = {}
    for one in places:
        key = (one.testcase, one.kernel, one.guest, one.devices, one.settings, one.mode)
        base.execute(
            "INSERT INTO places (testcase, kernel, guest, devices, settings, mode, kind) "
            "VALUES (?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET kind = excluded.kind",
            (*key, one.kind),
        )
        (found[one],) = base.execute(
            "SELECT id FROM places WHERE testcase = ? AND kernel = ? AND guest = ? AND devices = ? "
            "AND settings = ? AND mode = ?",
            key,
        ).fetchone()
    return found


def _numbers_of_texts(base: sqlite3.Connection, texts: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for text in texts:
        safe = text.encode("utf-8", "backslashreplace").decode()  # no database has a surrogate
        base.execute("INSERT OR IGNORE INTO texts (text) VALUES (?)", (safe,))
        (found[text],) = base.execute("SELECT id FROM texts WHERE text = ?", (safe,)).fetchone()
    return found


def _mark(base: sqlite3.Connection, mark: Mark) -> None:
    base.execute(
        "INSERT OR REPLACE INTO marks VALUES (?,?,?,?)",
        (mark.fingerprint, mark.reason, mark.owner, mark.at),
    )


# -- reading -------------------------------------------------------------------------------------


def _marks(base: sqlite3.Connection) -> tuple[Mark, ...]:
    query = "SELECT fingerprint, reason, owner, at FROM marks ORDER BY at DESC, fingerprint LIMIT ?"
    return tuple(Mark(*row) for row in base.execute(query, (MAX_MARKS,)))


def _runs(base: sqlite3.Connection) -> dict[int, PastRun]:
    query = "SELECT id, uid, began, lab, folder, mode, host, answer FROM runs ORDER BY began, id"
    return {number: PastRun(*rest) for number, *rest in base.execute(query)}


def _kernels(base: sqlite3.Connection) -> dict[str, PastKernel]:
    query = (
        "SELECT identity, line, tree, origin, version, series, patches, config FROM kernels "
        "ORDER BY rowid DESC"
    )
    return {row[0]: PastKernel(*row) for row in base.execute(query)}


def _places(base: sqlite3.Connection) -> dict[int, PastPlace]:
    query = "SELECT id, testcase, kind, kernel, guest, devices, settings, mode FROM places"
    return {number: PastPlace(*rest) for number, *rest in base.execute(query)}


def _last_kernels(
    base: sqlite3.Connection, places: frozenset[int], runs: Sequence[int]
) -> frozenset[str]:
    for run in runs:
        query = (
            "SELECT DISTINCT cells.place, kernel FROM cells JOIN places ON places.id = place "
            "WHERE run = ?"
        )
        found = {kernel for place, kernel in base.execute(query, (run,)) if place in places}
        if found:
            return frozenset(found)
    return frozenset()


def _points(base: sqlite3.Connection, places: frozenset[int]) -> dict[int, list[HistoryPoint]]:
    order = {number: place for place, number in enumerate(_runs(base))}
    found: dict[int, list[HistoryPoint]] = {}
    kernels = {number: place.kernel for number, place in _places(base).items()}
    # The workload is the same in all repeats of a run.
    query = f"""
        SELECT cells.place, run, program, sum(verdict = {_PASS}), sum(verdict = {_FAIL}),
            sum(verdict = {_SKIP}), count(*), sum(alarm),
            avg(CASE WHEN verdict IN ({_PASS}, {_FAIL}) THEN coalesce(instructions, seconds) END)
        FROM cells {_chosen(base, places)} GROUP BY cells.place, run
        """
    for place, run, program, passed, failed, skipped, all_, alarms, cost in base.execute(query):
        if run in order:
            errors = all_ - passed - failed - skipped
            point = HistoryPoint(
                run, kernels[place], program, passed, failed, skipped, errors, alarms, cost
            )
            found.setdefault(place, []).append(point)
    for points in found.values():
        points.sort(key=lambda point: order[point.run])
    return found


def _alarms(base: sqlite3.Connection, places: frozenset[int]) -> list[tuple[int, str, bool]]:
    rows = base.execute(
        f"""
        SELECT cells.place, failure, EXISTS (
            SELECT 1 FROM cells AS other WHERE other.place = cells.place
            AND other.program = cells.program AND other.verdict = {_PASS})
        FROM cells {_chosen(base, places)} WHERE alarm
        """
    )
    return [(place, failure, bool(passed)) for place, failure, passed in rows]


def _chosen(base: sqlite3.Connection, places: frozenset[int]) -> str:
    """Return the clause that joins the cells with some places."""
    base.execute("CREATE TEMP TABLE IF NOT EXISTS chosen (place INTEGER PRIMARY KEY)")
    base.execute("DELETE FROM chosen")
    base.executemany("INSERT INTO chosen VALUES (?)", zip(places, strict=True))
    return "JOIN chosen ON chosen.place = cells.place"
