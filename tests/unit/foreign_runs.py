# SPDX-License-Identifier: GPL-2.0
"""Spoil a run's folder as a stranger might, and judge what is left of it."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import random
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rmaplab.cli import runs
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import ExitCode, RmaplabError, UserError
from rmaplab.log import log
from rmaplab.model import Tree
from rmaplab.pipeline import postrun, upstream
from rmaplab.pipeline import run as run_pipeline
from rmaplab.pipeline.evaluate import Evaluation, evaluate, write_reports
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.store.cache import Cache
from rmaplab.store.runfolder import RunFolder

EXAMPLE = Path(__file__).parents[2] / "reports" / "example"
_READ = ("run.json", "events.jsonl")
_EVIDENCE = ("agent.jsonl", "console.log", "counters.json", "splats.json")
_ODD: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 10**18, 10**400, 1.5, float("nan"), float("inf"), "", "x", "..",
    "../../outside/x", "/etc/passwd", "a/b", ".", "\x00", "\x1b[2J", "\u202e", "\ud800", "\n", "*",
    "[", "(a+)+$", "9" * 5000, "x" * 70_000, [], {}, [[]], [None], {"a": {}}, ["x"] * 5000,
    "2026-13-45", "completed", "pass", "base", "patched",
)  # fmt: skip
_RAW = (
    b"", b"\n", b"{}", b"[]", b"null", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe\x00", b"NaN",
    b"1" * 6000, b"\x00" * 4096, b'{"event": "cell"}', b'{"event": "cell", "cell": 1}',
    b'{"event": "cell", "cell": "../../outside/x"}', b'{"event": "cell", "cell": "a\\u0000b"}',
    b"\r\n", b"\xe2\x80\xae", b'"\\ud800"', b'{"event": null}', b'{"event": 1, "time": []}',
)  # fmt: skip


# Entries that the example's lab does not have.
_MORE: dict[str, Any] = {
    "allowances": [
        {
            "pattern": "page table check",
            "kind": "",
            "reason": "r",
            "until": "2030-01-01",
            "line": 3,
        },
        {"pattern": "BUG", "kind": "", "reason": "r", "until": "", "line": 4},
    ],
    "limits": [
        {"name": "instructions", "more": 2.0, "is_percent": True, "line": 9},
        {"name": "thp_split_page", "more": 0.0, "is_percent": False, "line": 9},
    ],
}


@dataclasses.dataclass(frozen=True)
class Place:
    """A run's folder to be spoilt, and a folder beside it that nobody may touch."""

    run: Path
    outside: Path

    @classmethod
    def made(cls, parent: Path) -> Place:
        """Copy the example into a folder."""
        place = cls(parent / "run", parent / "outside")
        shutil.rmtree(place.run, ignore_errors=True)
        shutil.copytree(EXAMPLE, place.run, ignore=shutil.ignore_patterns("builds"))
        record = json.loads((place.run / "run.json").read_text("utf-8"))
        record["lab"] |= _MORE
        (place.run / "run.json").write_text(json.dumps(record), encoding="utf-8")
        if not place.outside.exists():
            place.outside.mkdir()
            for name in ("x", "run.json", "console.log", "agent.jsonl"):
                (place.outside / name).write_text("mine\n", encoding="utf-8")
        return place

    def fingerprint(self) -> dict[str, str]:
        """The names and digests of what is beside the run's folder."""
        return {
            str(path.relative_to(self.run.parent)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.run.parent.rglob("*"))
            if self.run not in path.parents and path.is_file() and not path.is_symlink()
        }


def spoil(rng: random.Random, place: Place) -> list[str]:
    """Spoil a run's folder in one to three ways; return what was done."""
    done = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        way = rng.choice(_WAYS)
        path = _a_file(rng, place.run)
        if path is not None:
            done.append(f"{way.__name__} {path.relative_to(place.run)}")
            way(rng, path, place)
    return done


def _a_file(rng: random.Random, run: Path) -> Path | None:
    if rng.random() < 0.55:
        found = [p for p in (run / name for name in _READ) if _is_plain(p)]
    else:
        files = (p for p in sorted(run.rglob("*")) if _is_plain(p))
        found = [p for p in files if p.name in _EVIDENCE or rng.random() < 0.1]
    return rng.choice(found) if found else None


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 23


def flip(rng: random.Random, path: Path, _place: Place) -> None:
    """Change a few bytes."""
    raw = bytearray(path.read_bytes())
    for _ in range(rng.randrange(1, 9) if raw else 0):
        raw[rng.randrange(len(raw))] = rng.randrange(256)
    path.write_bytes(raw)


def cut(rng: random.Random, path: Path, _place: Place) -> None:
    """Take bytes out."""
    raw = path.read_bytes()
    start = rng.randrange(len(raw) + 1)
    end = len(raw) if rng.random() < 0.5 else start + rng.randrange(400)
    path.write_bytes(raw[:start] + raw[end:])


def insert(rng: random.Random, path: Path, _place: Place) -> None:
    """Put odd bytes in, or in the place of all."""
    raw = path.read_bytes()
    start = rng.randrange(len(raw) + 1)
    odd = rng.choice(_RAW)
    path.write_bytes(odd if rng.random() < 0.3 else raw[:start] + odd + raw[start:])


def shuffle(rng: random.Random, path: Path, _place: Place) -> None:
    """Put lines into another order, twice or nowhere."""
    lines = path.read_bytes().splitlines(keepends=True)
    rng.shuffle(lines)
    path.write_bytes(b"".join(rng.choice((lines, lines * 2, lines[: len(lines) // 2]))))


def value(rng: random.Random, path: Path, _place: Place) -> None:
    """Replace, drop or add a value of JSON."""
    text = path.read_text("utf-8", "replace")
    try:
        if path.suffix == ".jsonl":
            lines = text.splitlines()
            number = rng.randrange(len(lines))
            lines[number] = json.dumps(_changed(rng, json.loads(lines[number])))
            text = "\n".join(lines) + "\n"
        else:
            text = json.dumps(_changed(rng, json.loads(text)))
    except (ValueError, RecursionError):
        return
    path.write_text(text, encoding="utf-8", errors="replace")


def _changed(rng: random.Random, given: Any) -> Any:
    """A value with one place deep inside changed."""
    if rng.random() < 0.93:
        if isinstance(given, dict) and given:
            key = rng.choice(sorted(given))
            odd = rng.random()
            if odd < 0.1:
                return {k: v for k, v in given.items() if k != key}
            if odd < 0.14:
                return {**given, rng.choice(("more", "", "\x1b", "x" * 5000, "schema_version")): 1}
            return {**given, key: _changed(rng, given[key])}
        if isinstance(given, list) and given:
            number = rng.randrange(len(given))
            odd = rng.random()
            if odd < 0.1:
                return [*given[:number], *given[number + 1 :]]
            if odd < 0.2:
                return given * 2
            return [*given[:number], _changed(rng, given[number]), *given[number + 1 :]]
    return rng.choice(_ODD)


def link(rng: random.Random, path: Path, place: Place) -> None:
    """Put a link in the place of a file or of a folder."""
    if rng.random() < 0.4 and path.parent != place.run:
        path = path.parent
        shutil.rmtree(path)
    else:
        path.unlink()
    path.symlink_to(rng.choice((place.outside, place.outside / path.name, Path("/dev/zero"),
                                Path(path.name), Path("/nowhere"))))  # fmt: skip


def special(rng: random.Random, path: Path, _place: Place) -> None:
    """Put a FIFO, a folder, a socket's name or nothing in the place of a file."""
    path.unlink()
    match rng.randrange(4):
        case 0:
            os.mkfifo(path)
        case 1:
            path.mkdir()
        case 2:
            os.mknod(path, stat.S_IFSOCK | 0o600)


def grow(rng: random.Random, path: Path, _place: Place) -> None:
    """Make a file sparse and very large, or repeat it often."""
    if rng.random() < 0.5:
        with path.open("ab") as file:
            file.truncate(rng.choice((1 << 26, 1 << 36)))
    else:
        raw = path.read_bytes()
        path.write_bytes(raw * min(30, 1 + (1 << 21) // (len(raw) + 1)))


def half(rng: random.Random, path: Path, place: Place) -> None:
    """Put something where the lab will write: its half files, its lock."""
    target = path.with_name(rng.choice((f".{path.name}.half", ".lock", ".report.html.half")))
    if target.exists() or target.is_symlink():
        return
    match rng.randrange(3):
        case 0:
            target.symlink_to(place.outside / "x")
        case 1:
            target.mkdir()
        case _:
            os.mkfifo(target)


_WAYS: tuple[Callable[[random.Random, Path, Place], None], ...] = (
    flip, cut, insert, insert, shuffle, value, value, value, value, value, value, link, special,
    grow, half,
)  # fmt: skip


class NoTrees(KernelBuilder):
    """A builder of a host that has no kernel trees, and fetches none."""

    def __init__(self, cache: Path) -> None:
        super().__init__(Catalogue(), Cache(cache), 1)

    def tree(self, spec: str) -> Tree:
        raise UserError(f"there is no tree {spec!r} here")


def resumed(place: Place) -> str:
    """Go on with the run as ``resume`` does, on a host that cannot build its kernels."""
    cache = place.run.parent / "cache"
    try:
        run_pipeline.resume(RunFolder.open(place.run), NoTrees(cache), 1)
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    raise AssertionError("a run without its kernels went on")


def inspected(place: Place) -> str:
    """Look for the memory of a cell as ``inspect`` does."""
    cells = sorted(p.name for p in (place.run / "cells").glob("*")) or ["none"]
    found = postrun.find(cells[0], place.run, Cache(place.run.parent / "cache"))
    assert place.run in found.memory.parents
    return "found"


def recorded(place: Place) -> str:
    """Make lists of the run's subtests as ``new subtests`` does."""
    known = Catalogue().testcases
    found = upstream.record(RunFolder.open(place.run), known)
    assert all(path.is_relative_to(Catalogue().root) for path in found.lists)
    return "recorded"


def _shown(evaluation: Evaluation) -> str:
    """Return what ``report`` prints."""
    before = log.stdout.file, log.stderr.file
    said = io.StringIO()
    try:
        log.stdout.file = log.stderr.file = said
        runs.show(evaluation, "text")
        runs.show(evaluation, "json")
    finally:
        log.stdout.file, log.stderr.file = before
    return said.getvalue()


def _check_shown(run: Path, printed: str) -> None:
    """Raise AssertionError for a control character on the terminal or in a report."""
    names = ("summary.md", "junit.xml", "report.html", "results.json")
    texts = {name: (run / name).read_bytes().decode("utf-8") for name in names}
    for name, text in {**texts, "terminal": printed}.items():
        odd = {char for char in text if not (char.isprintable() or char in "\n\t")}
        assert not odd, f"{name} has {odd}"


def evaluation_of(run: Path) -> Evaluation:
    """Judge a run's folder."""
    return evaluate(RunFolder.open(run))


def judged(place: Place) -> str:
    """Report on the run as ``report`` does; return what it came to.

    Raises AssertionError if something is dropped without a word.
    """
    folder = RunFolder.open(place.run)
    with folder.lock():
        evaluation = evaluate(folder)
        write_reports(evaluation)
    _check_shown(place.run, _shown(evaluation))
    ids = [result.cell.id for result in evaluation.results]
    asked = set(evaluation.record.cells)
    if missing := asked - set(ids):
        said = evaluation.exit_code is not ExitCode.OK or evaluation.remarks
        assert said, f"{len(missing)} cells were dropped without a word"
    assert len(set(ids)) == len(ids)
    return f"exit {int(evaluation.exit_code)}"


def _make_fit(run: Path, verb: Callable[[Place], str]) -> None:
    """Change the example into a run that a verb has something to do with."""
    record = json.loads((run / "run.json").read_text("utf-8"))
    if verb is resumed:
        record["ended"] = ""
    for path in (run / "cells").glob("*") if verb is inspected else ():
        (path / "memory.elf.zst").write_bytes(b"memory")
    if verb is recorded:
        for testcase in record["lab"]["testcases"]:
            testcase["upstream"] = {"program": "x"}
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")


def attempt(rng: random.Random, parent: Path) -> str:
    """Spoil a folder and report on it; raise AssertionError if it is not borne."""
    place = Place.made(parent)
    before = place.fingerprint()
    verb = rng.choice((judged, judged, judged, resumed, inspected, recorded))
    if verb is not judged:
        _make_fit(place.run, verb)
    done = [verb.__name__, *spoil(rng, place)]
    try:
        end = verb(place)
    except RmaplabError as error:
        assert error.message, done
        error.message.encode()
        end = type(error).__name__
    except AssertionError as error:
        raise AssertionError(f"{done}: {error}") from error
    except Exception as error:
        raise AssertionError(f"{done}: {error!r}") from error
    assert place.fingerprint() == before, f"{done}: something outside was changed"
    return end
