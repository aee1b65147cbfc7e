#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Mutate the lab's deciding code and count which mutants the unit tests notice (make mutation).

mutmut makes the mutants and runs the tests that reach each one (``[tool.mutmut]`` of
pyproject.toml). A mutant counts as noticed only if a test failed under it, or did not end: mutmut
also takes a worker for a failed test that pytest gave a name it does not find, so each failure is
held against ``mutation_witness.py``. The survivors are held against ``mutation_survivors.yaml``: a
survivor without a reason there, or less than GOAL noticed, is a failure.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import yaml
from mutation_witness import WITNESSES  # type: ignore[import-not-found]
from mutmut.mutation.diff_apply import get_diff_for_mutant

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "mutants"
NOTES = WORK / "witnesses.jsonl"
STATISTICS = WORK / "mutmut-stats.json"
"""Which tests reach which function, and how long they take."""
SURVIVORS = Path(__file__).with_name("mutation_survivors.yaml")
GOAL = 0.90
"""The least share of mutants that the unit tests have to notice."""


class End(StrEnum):
    """How the tests of a mutant ended."""

    NOTICED = "noticed"
    TIMEOUT = "timeout"
    SURVIVED = "survived"
    NO_TEST = "no test"
    NOT_RUN = "not run"
    BROKEN = "broken"
    """The worker failed, and no test did."""


# mutmut's exit statuses of a mutant's worker (mutmut/stats.py): SIGXCPU, as mutmut ends a worker
# that takes too long, is 24 in three spellings.
_ENDS = {0: End.SURVIVED, 33: End.NO_TEST, None: End.NOT_RUN} | dict.fromkeys(
    (24, -24, 152, 36), End.TIMEOUT
)
_FAILED_TEST = 1


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mutant, the module's path below the project, and how its tests ended."""

    module: str
    name: str
    end: End

    @property
    def noticed(self) -> bool:
        """Return whether a test failed because of the mutant, or did not end."""
        return self.end in {End.NOTICED, End.TIMEOUT}

    @property
    def function(self) -> str:
        """Return mutmut's name of the function that was mutated."""
        return self.name.rpartition("__mutmut_")[0]


@dataclass(frozen=True, slots=True)
class Survivor:
    """A change of a function that no test notices, as ``mutation_survivors.yaml`` has it."""

    function: str
    change: str


def main() -> int:
    """Run mutmut, print the table, and check the survivors; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--report", action="store_true", help="only report what was run before")
    parser.add_argument("--again", action="store_true", help="run what was not noticed before")
    parser.add_argument(
        "names", nargs="*", help="mutants or patterns of them, as mutmut takes them"
    )
    options = parser.parse_args()
    names = options.names
    if options.again:
        names = [mutant.name for mutant in _mutants() if not mutant.noticed]
        # With it mutmut forgets all that it ran, if the list of test files has changed.
        STATISTICS.unlink(missing_ok=True)
    elif not (names or options.report):
        # The mutants of another version have the same names.
        shutil.rmtree(WORK, ignore_errors=True)
    if not options.report:
        if unnamed := _tests_without_a_name():
            sys.exit(f"mutation: pytest does not find by its name: {unnamed}")
        _run(options.jobs, names)
    found = list(_mutants())
    if not found:
        sys.exit(f"mutation: no result below {WORK}")
    _show(found)
    return _judge(found)


def _run(jobs: int, names: Sequence[str]) -> None:
    """Have mutmut run the tests of the named mutants, or of all."""
    argv = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", str(jobs)]
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parent),
        "PYTEST_ADDOPTS": "-p mutation_witness",
        WITNESSES: str(NOTES),
    }
    done = subprocess.run([*argv, *names], cwd=ROOT, check=False, env=environment)
    if done.returncode:
        sys.exit(f"mutation: mutmut ended with status {done.returncode}")


def _tests_without_a_name() -> str:
    """Return what pytest says of tests that it collects and does not find by their names."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    selected = settings["tool"]["mutmut"]["pytest_add_cli_args_test_selection"]
    pytest = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider"]
    listed = subprocess.run(
        [*pytest, *selected], cwd=ROOT, check=True, text=True, capture_output=True
    )
    names = [line for line in listed.stdout.splitlines() if "::" in line]
    again = subprocess.run([*pytest, *names], cwd=ROOT, check=False, text=True, capture_output=True)
    said = [
        line for line in again.stdout.splitlines() + again.stderr.splitlines() if "ERROR" in line
    ]
    return "; ".join(said) or ("" if again.returncode == 0 else again.stdout[-500:])


def _mutants() -> Iterator[Mutant]:
    witnessed = _witnessed()
    for path in sorted(WORK.rglob("*.py.meta")):
        module = str(path.relative_to(WORK)).removesuffix(".meta")
        statuses = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        for name, status in statuses.items():
            end = _ENDS.get(status, End.BROKEN)
            if status == _FAILED_TEST and name in witnessed:
                end = End.NOTICED
            yield Mutant(module, name, end)


def _witnessed() -> frozenset[str]:
    """Return the mutants under which a test failed, by other errors than a test tool's own."""
    if not NOTES.exists():
        return frozenset()
    notes = [json.loads(line) for line in NOTES.read_text(encoding="utf-8").splitlines()]
    return frozenset(
        note["mutant"] for note in notes if not note["error"].startswith("hypothesis.errors.")
    )


def _show(found: Sequence[Mutant]) -> None:
    total: dict[str, Counter[str]] = {}
    for mutant in found:
        for row in (mutant.module, "all"):
            total.setdefault(row, Counter()).update([mutant.end])
    ends = list(End)
    print(f"{'module':32} {'mutants':>8}" + "".join(f"{end:>10}" for end in ends) + f"{'share':>8}")
    for row, count in sorted(total.items(), key=lambda item: item[0] == "all"):
        mutants = sum(count[end] for end in ends)
        run = mutants - count[End.NOT_RUN]
        share = (count[End.NOTICED] + count[End.TIMEOUT]) / run if run else 0.0
        numbers = "".join(f"{count[end]:10}" for end in ends)
        print(f"{row:32} {mutants:8}{numbers}{share:8.1%}")


def _judge(found: Sequence[Mutant]) -> int:
    """Return 1 if too many mutants survived, one has no reason, or was not run."""
    run = [mutant for mutant in found if mutant.end is not End.NOT_RUN]
    known = _known()
    left = {mutant: _change(mutant) for mutant in run if not mutant.noticed}
    unread = [
        mutant for mutant, change in left.items() if Survivor(mutant.function, change) not in known
    ]
    for mutant in unread:
        print(
            f"- {mutant.end}, without a reason in {SURVIVORS.name}: {mutant.name}\n{left[mutant]}"
        )
    functions = {mutant.function for mutant in found}
    stale = known - {Survivor(mutant.function, change) for mutant, change in left.items()}
    for survivor in sorted(stale, key=lambda one: (one.function, one.change)):
        what = "noticed" if survivor.function in functions else "of a function that is gone"
        print(f"- {what}, and still in {SURVIVORS.name}: {survivor.function}\n{survivor.change}")
    share = sum(mutant.noticed for mutant in run) / len(run) if run else 0.0
    print(
        f"{share:.1%} noticed, goal {GOAL:.0%}; {len(unread)} survivors without a reason, "
        f"{len(stale)} reasons without a survivor; {len(found) - len(run)} not run"
    )
    return int(share < GOAL or bool(unread) or bool(stale) or len(run) < len(found))


def _change(mutant: Mutant) -> str:
    """Return the lines that a mutant removes and adds, without the diff's context."""
    diff = get_diff_for_mutant(mutant.name, path=Path(mutant.module))
    return "\n".join(
        line[0] + " " + line[1:].strip()
        for line in diff.splitlines()
        if line[:1] in {"+", "-"} and line[:3] not in {"+++", "---"}
    )


def _known() -> frozenset[Survivor]:
    """Return the survivors that have a reason."""
    if not SURVIVORS.exists():
        return frozenset()
    entries = yaml.safe_load(SURVIVORS.read_text(encoding="utf-8")) or []
    return frozenset(
        Survivor(entry["function"], change.strip())
        for entry in entries
        if entry["reason"]
        for change in entry["changes"]
    )


if __name__ == "__main__":
    sys.exit(main())
