# SPDX-License-Identifier: GPL-2.0
"""Measure the console parser against a folder of logs with known answers.

    python tests/measure_console_logs.py FOLDER [--all]

A log starts with a header (``TITLE:``, ``ALT:``, ``CORRUPTED: Y``), a blank line, then the console;
a section ``REPORT:`` at the end is not console. A log without ``TITLE:`` shows no crash. Exits 1
when a rate is below its threshold.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from rmaplab.collect.splats import parse_console
from rmaplab.model import Splat

DETECTED, KIND, FUNCTION = 0.99, 0.97, 0.90
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


def measure(folder: Path, show_all: bool) -> bool:
    """Measure every log of a folder, print rates and disagreements; whether all rates hold."""
    logs = [read_log(path) for path in sorted(folder.iterdir()) if path.name.isdigit()]
    crashed = [log for log in logs if log.titles]
    detected, kinds, functions, clean, titles = 0, 0, 0, 0, 0
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
            clean += 1
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
    missed_clean = sum(not log.corrupted for log in crashed)
    rates = (detected / len(crashed), kinds / len(crashed), functions / max(missed_clean, 1))
    print(f"{len(logs)} logs, {len(crashed)} crashed, {missed_clean} of those not corrupted")
    print(f"detected {detected}/{len(crashed)} = {rates[0]:.2%}, false positives {false}")
    print(f"kind {kinds}/{len(crashed)} = {rates[1]:.2%}, exact title {titles}/{len(crashed)}")
    print(f"function {functions}/{missed_clean} = {rates[2]:.2%}")
    return rates[0] >= DETECTED and rates[1] >= KIND and rates[2] >= FUNCTION and not false


def main() -> int:
    """Run the command line."""
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--all", action="store_true", help="show corrupted logs' functions too")
    chosen = options.parse_args()
    if not chosen.folder.is_dir():
        print(f"{chosen.folder} is not there: nothing was measured")
        return 0
    return 0 if measure(chosen.folder, chosen.all) else 1


if __name__ == "__main__":
    sys.exit(main())
