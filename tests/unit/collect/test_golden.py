# SPDX-License-Identifier: GPL-2.0
"""Golden logs: consoles of guests that the lab booted, with what has to be read out of them.

``tests/make_golden_logs.py`` records ``NAME.log``; ``NAME.json`` is the expected part.
``REWRITE_GOLDEN=1 pytest tests/unit/collect/test_golden.py`` writes all of those anew: read the
difference before you commit it.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from rmaplab.collect.splats import parse_console
from rmaplab.model import Splat

GOLDEN = Path(__file__).resolve().parents[2] / "golden/console"
LOGS = sorted(GOLDEN.glob("*.log"))
LEAST = 25


def facts(splat: Splat) -> dict[str, Any]:
    """Return the expected facts of a splat: all but its text, of which the first line is enough."""
    found = dataclasses.asdict(splat)
    found["excerpt"] = splat.excerpt.splitlines()[0]
    found["frames"] = list(splat.frames)
    assert not found.pop("sources"), "source lines come from debug info, not from a console"
    return found


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_a_golden_log_is_read_as_it_was(log: Path) -> None:
    found = [facts(splat) for splat in parse_console(log.read_bytes())]
    expected = log.with_suffix(".json")
    if os.environ.get("REWRITE_GOLDEN"):
        expected.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        pytest.skip("rewritten")
    assert found == json.loads(expected.read_text(encoding="utf-8"))


def test_there_are_logs_of_many_kinds_and_each_has_its_expectation() -> None:
    assert {log.stem for log in LOGS} == {path.stem for path in GOLDEN.glob("*.json")}
    kinds = {
        splat["kind"]
        for path in GOLDEN.glob("*.json")
        for splat in json.loads(path.read_text(encoding="utf-8"))
    }
    assert len(kinds) >= LEAST, sorted(kinds)


@pytest.mark.parametrize("log", [log for log in LOGS if log.stem.startswith("quiet")], ids=str)
def test_what_a_healthy_guest_prints_is_no_splat(log: Path) -> None:
    assert parse_console(log.read_bytes()) == ()


@pytest.mark.parametrize("name", ["warning", "bad-page-map"])
def test_a_fingerprint_is_the_same_on_a_kernel_with_kasan_and_lockdep(name: str) -> None:
    plain, debug = (
        [splat.fingerprint for splat in parse_console((GOLDEN / f"{one}.log").read_bytes())]
        for one in (name, f"debug-{name}")
    )
    assert plain == debug
