# SPDX-License-Identifier: GPL-2.0
"""A pytest plugin of tests/mutation.py: note the test that fails under a mutant, and its exception.

A mutant's worker process ends with the status of a failed test for other reasons as well: pytest
does not find a test by its name, the worker raises. Only a failure that stands here is a test's.

A worker is a fork of a process that ran all tests without a mutant, so functions that keep their
results (functools.lru_cache) would give those of the code without it: they begin anew. So they do
before each test while mutmut learns which test reaches which function.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from pathlib import Path

import pytest

WITNESSES = "RMAPLAB_MUTATION_WITNESSES"
"""The environment variable that has the path of the file to append to."""


def pytest_sessionstart() -> None:
    """Empty the caches of the package's functions."""
    _forget(os.environ.get("MUTANT_UNDER_TEST", ""))


def pytest_runtest_setup() -> None:
    """Empty the caches of the package's functions, while mutmut learns which test reaches what."""
    if os.environ.get("MUTANT_UNDER_TEST") == "stats":
        _forget("")


def _forget(mutant: str) -> None:
    """Empty the caches that have a bound, and of a mutant's own module those without one.

    The latter keep one thing that is expensive to make.
    """
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "rmaplab":
            for value in list(vars(module).values()):
                if isinstance(value, functools._lru_cache_wrapper) and (
                    value.cache_parameters()["maxsize"] is not None or mutant.startswith(f"{name}.")
                ):
                    value.cache_clear()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Append a line of JSON for a failed phase of a test: mutant, test, phase, exception."""
    mutant = os.environ.get("MUTANT_UNDER_TEST", "")
    place = os.environ.get(WITNESSES)
    if not report.failed or not mutant or place is None:
        return
    said = report.longreprtext.strip().splitlines()
    note = {
        "mutant": mutant,
        "test": report.nodeid,
        "phase": report.when,
        "error": said[-1][:200] if said else "",
        "text": "\n".join(said[-15:])[:2000],
    }
    with Path(place).open("a", encoding="utf-8") as file:
        file.write(json.dumps(note) + "\n")
