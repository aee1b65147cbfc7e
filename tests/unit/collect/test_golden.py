# SPDX-License-Identifier: GPL-2.0
"""Golden logs: consoles with what has to be read out of them.

``tests/make_golden_logs.py`` records ``NAME.log`` from guests that the lab boots; ``wild-NAME.log``
was written by hand, for what logs from elsewhere do. ``NAME.json`` is the expected part.
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

from rmaplab.collect.splats import SplatParser, parse_console
from rmaplab.collect.splats.tally import MAX_SPLATS
from rmaplab.model import Splat

GOLDEN = Path(__file__).resolve().parents[2] / "golden/console"
LOGS = sorted(GOLDEN.glob("*.log"))
LEAST = 25


def facts(splat: Splat) -> dict[str, Any]:
    """Return the expected facts of a splat: all but its text, of which the first line is enough."""
    found = dataclasses.asdict(splat)
    found["excerpt"] = splat.excerpt.splitlines()[0]
    found["frames"] = list(splat.frames)
    found["sources"] = [[source.at, *source.lines] for source in splat.sources]
    if not found["sources"]:
        del found["sources"]
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


QUIET = [log for log in LOGS if log.stem.startswith(("quiet", "wild-quiet", "wild-first-boot"))]


@pytest.mark.parametrize("log", QUIET, ids=lambda log: log.stem)
def test_what_a_healthy_guest_prints_is_no_splat(log: Path) -> None:
    assert parse_console(log.read_bytes()) == ()


@pytest.mark.parametrize("name", ["warning", "bad-page-map"])
def test_a_fingerprint_is_the_same_on_a_kernel_with_kasan_and_lockdep(name: str) -> None:
    plain, debug = (
        [splat.fingerprint for splat in parse_console((GOLDEN / f"{one}.log").read_bytes())]
        for one in (name, f"debug-{name}")
    )
    assert plain == debug


def _splats(name: str) -> tuple[Splat, ...]:
    return parse_console((GOLDEN / f"{name}.log").read_bytes())


@pytest.mark.parametrize("tool", ["syzbot", "decode-stacktrace"])
def test_a_symbolised_report_has_the_fingerprint_of_the_raw_one_and_places(tool: str) -> None:
    (raw,) = _splats("wild-symbolised-raw-twin")
    (symbolised,) = _splats(f"wild-symbolised-by-{tool}")
    assert symbolised.fingerprint == raw.fingerprint
    assert (symbolised.kind, symbolised.title) == (raw.kind, raw.title)
    assert not raw.sources
    places = {source.at.partition("+")[0]: source.summary for source in symbolised.sources}
    assert places["gadget_unlink"].startswith("lib/gadget.c:53")
    assert "lib/gadget.c:37" in places["gadget_unlink"]


def test_sixty_four_of_one_kind_hide_no_other_and_what_is_left_out_is_counted() -> None:
    parser = SplatParser()
    parser.feed((GOLDEN / "wild-many-different-of-one-kind.log").read_bytes())
    splats = parser.finish()
    assert splats[-1].kind == "kasan"
    assert len(splats) == MAX_SPLATS
    assert parser.left_out == {"warning": 80 + 1 - MAX_SPLATS}


def test_repeats_of_one_complaint_are_counted() -> None:
    repeated, other = _splats("wild-many-of-one-kind")
    assert (repeated.kind, repeated.count, other.kind) == ("bad-rss-counter", 90, "kasan")


def test_each_boot_of_a_log_has_its_own_splats() -> None:
    boots = [(splat.boot, splat.kind) for splat in _splats("wild-panic-of-each-boot")]
    assert boots == [(1, "panic"), (2, "unexpected-reboot"), (2, "panic")]


@pytest.mark.parametrize("log", [log for log in LOGS if log.stem.startswith("wild-arch-")], ids=str)
@pytest.mark.parametrize("prefix", [b"", b"host kernel: ", b"[   12.345678] "])
def test_the_oops_of_each_architecture_is_one_splat_in_its_function(
    log: Path, prefix: bytes
) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    console = b"".join(prefix + line.partition(b"] ")[2] for line in lines)
    (splat,) = parse_console(console)
    assert (splat.function, splat.task, splat.corrupted) == ("gadget_write", "gadget", False)
