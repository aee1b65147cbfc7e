# SPDX-License-Identifier: GPL-2.0
"""Measure the console parser against a folder of logs with known answers.

    python tests/measure_console_logs.py FOLDER [--half tuning|held] [--all]

A log starts with a header (``TITLE:``, ``ALT:``, ``CORRUPTED: Y``), a blank line, then the console;
a section ``REPORT:`` at the end is not console. A log without ``TITLE:`` shows no crash.

The logs fall into two halves, by a hash of their names. Rules and tables may be tuned on the tuning
half alone, so print only that one while you work (``--half tuning``): how far the held half falls
behind it says how much the tables were fitted to their data. Exits 1 when a rate is below its
threshold, or the halves are further apart than 3 points.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from rmaplab.collect.splats import parse_console
from rmaplab.model import Splat

DETECTED, KIND, FUNCTION = 0.995, 0.98, 0.92
GAP = 0.03
HALVES = ("tuning", "held")
_HEADER = re.compile(r"^([A-Z]+): ?(.*)$")
_FUNCTION = re.compile(r"^(?P<kind>.*?) in (?P<fn>[\w./<>:]+)$")
# Titles that name their family in another way than ours do: family by the start of a title.
_FAMILIES = (
    ("KASAN: ", "kasan"), ("KFENCE: ", "kfence"), ("KMSAN: ", "kmsan"), ("KCSAN: ", "kcsan"),
    ("UBSAN: ", "ubsan"), ("memory leak", "memory-leak"), ("possible deadlock", "lockdep"),
    ("inconsistent lock", "lockdep"), ("INFO: rcu detected stall", "rcu-stall"),
    ("INFO: task ", "hung-task"), ("BUG: soft lockup", "soft-lockup"),
    ("WARNING: refcount bug", "refcount"), ("WARNING: ODEBUG", "debugobjects"),
    ("WARNING in ", "warning"), ("kernel BUG", "kernel-bug"),
    ("BUG: unable to handle", "page-fault"),
    ("general protection", "general-protection"), ("divide error", "divide-error"),
    ("kernel panic", "panic"), ("BUG: Bad page state", "bad-page-state"),
    ("BUG: Bad page map", "bad-page-map"), ("BUG: Bad rss", "bad-rss-counter"),
    ("BUG: corrupted list", "list-corruption"), ("PANIC: double", "double-fault"),
    ("BUG: scheduling while", "scheduling-while-atomic"), ("BUG: sleeping", "sleeping-function"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Log:
    """A log and its answer; ``titles`` is empty where nothing crashed."""

    name: str
    titles: tuple[str, ...]
    corrupted: bool
    console: bytes


def read_log(path: Path) -> Log:
    """Read one log of the folder."""
    raw = path.read_bytes()
    titles: list[str] = []
    corrupted = False
    position = 0
    for line in raw.split(b"\n"):
        text = line.decode("utf-8", "replace")
        match = _HEADER.match(text)
        if text.startswith("#"):
            position += len(line) + 1
            continue
        if match is None:
            break
        position += len(line) + 1
        if match[1] in {"TITLE", "ALT"} and match[2].strip():
            titles.append(match[2])
        corrupted = corrupted or match[1] == "CORRUPTED"
    console = raw[position:].split(b"\nREPORT:\n")[0]
    return Log(path.name, tuple(titles), corrupted, console)


def split_title(title: str) -> tuple[str, str]:
    """A title's kind and its function, empty where it names none."""
    match = _FUNCTION.match(title)
    return (match["kind"], match["fn"]) if match else (title, "")


def _kind_agrees(log: Log, splat: Splat) -> bool:
    kinds = {split_title(title)[0] for title in log.titles[:1]}
    by_family = all(
        splat.kind == kind for start, kind in _FAMILIES if log.titles[0].startswith(start)
    )
    return by_family and split_title(splat.title)[0] in kinds


def _function_agrees(log: Log, splat: Splat) -> bool:
    wanted = {split_title(title)[1] for title in log.titles if " in " in title} or {""}
    return (splat.function or "") in wanted or split_title(splat.title)[1] in wanted


def half_of(name: str) -> str:
    """Return the half that a log belongs to."""
    return HALVES[hashlib.sha256(name.encode()).digest()[0] & 1]


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates of a half: detection, kind, function, title; and how many false alarms.

    ``function`` leaves out the logs that are marked as corrupted.
    """

    detected: float
    kind: float
    function: float
    title: float
    false: int
    logs: int

    @property
    def hold(self) -> bool:
        """True if every rate reaches its threshold."""
        rates = self.detected >= DETECTED and self.kind >= KIND and self.function >= FUNCTION
        return rates and not self.false


def measure(logs: list[Log], show_all: bool) -> Rates:
    """Parse each log, print the disagreements, and return the rates."""
    crashed = [log for log in logs if log.titles]
    detected, kinds, functions, titles = 0, 0, 0, 0
    for log in crashed:
        splats = parse_console(log.console)
        if not splats:
            print(f"{log.name}: missed: {log.titles[0]}")
            continue
        detected += 1
        first = splats[0]
        kind, function = _kind_agrees(log, first), _function_agrees(log, first)
        kinds += kind
        titles += first.title in log.titles
        if not log.corrupted:
            functions += function
        if not kind or (not function and (show_all or not log.corrupted)):
            what = ("" if kind else " kind") + ("" if function else " function")
            print(
                f"{log.name}:{what}: want {log.titles[0]!r}\n"
                f"      got {first.title!r} ({first.kind})"
            )
    false = 0
    for log in logs:
        if not log.titles and (splats := parse_console(log.console)):
            false += 1
            print(f"{log.name}: false positive: {splats[0].title!r} at line {splats[0].line}")
    clean = max(sum(not log.corrupted for log in crashed), 1)
    known = max(len(crashed), 1)
    return Rates(
        detected / known, kinds / known, functions / clean, titles / known, false, len(logs)
    )


def main() -> int:
    """Run the command line."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--half", choices=HALVES, help="measure this half alone")
    options.add_argument("--all", action="store_true", help="show corrupted logs' functions too")
    given = options.parse_args()
    if not given.folder.is_dir():
        print(f"{given.folder} is not there: nothing was measured")
        return 0
    logs = [read_log(path) for path in sorted(given.folder.iterdir()) if path.name.isdigit()]
    found: dict[str, Rates] = {}
    for half in [given.half] if given.half else HALVES:
        found[half] = measure([log for log in logs if half_of(log.name) == half], given.all)
    print("half     logs  detected    kind  function  exact title  false")
    for half, rates in found.items():
        print(
            f"{half:8} {rates.logs:4}  {rates.detected:8.2%} {rates.kind:7.2%}  "
            f"{rates.function:8.2%}  {rates.title:11.2%}  {rates.false:5}"
        )
    functions = [rates.function for rates in found.values()]
    close = max(functions) - min(functions) < GAP
    return 0 if close and all(rates.hold for rates in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
