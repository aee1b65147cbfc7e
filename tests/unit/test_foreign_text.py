# SPDX-License-Identifier: GPL-2.0
"""Text of strangers in every format of a run, and rich's markup that none of it may become."""

from __future__ import annotations

import ast
import dataclasses
import enum
import functools
import json
import xml.dom.minidom
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import rmaplab
from rmaplab.log import log
from rmaplab.report import html, junit, summary, terminal
from rmaplab.report.formats import FORMATS, FormatOptions
from rmaplab.report.reported import ReportedRun
from rmaplab.store.cellfiles import CounterFacts
from rmaplab.text import json_printable

from .foreign_runs import Place, evaluation_of

PACKAGE = Path(rmaplab.__file__).parent
HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07\x9b1m\x00\r\n\u202e\u2066\u2028\ufeff\U000e0041 [/red][bad][link=http://x]x[/link]"
    " </script><script>1</script> <!-- ]]> & \" ' `|` \\ # *x* @x :fire: {{ 7 * 7 }}"
)
# Fields whose text the lab reads itself: a time, a name of a file's version.
_READ = frozenset({"began", "ended", "until", "time", "id"})


def harmless(text: str) -> bool:
    return all(char.isprintable() or char in "\n\t" for char in text)


def poisoned(value: Any, name: str = "") -> Any:
    """A run with the hostile text behind every text, alike wherever the same text stands."""
    if isinstance(value, enum.Enum) or name in _READ:
        return value
    if isinstance(value, str):
        return value + HOSTILE if value else value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {
            field.name: poisoned(getattr(value, field.name), field.name)
            for field in dataclasses.fields(value)
            if field.init
        }
        return dataclasses.replace(value, **changed)
    if isinstance(value, dict):
        return {poisoned(key): poisoned(one) for key, one in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(poisoned, value))
    if isinstance(value, list | tuple | frozenset):
        return type(value)(poisoned(one) for one in value)
    return value


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ReportedRun:
    """The example with a hostile text in each of its texts."""
    good = evaluation_of(Place.made(tmp_path_factory.mktemp("run")).run).run
    found = poisoned(dataclasses.replace(good, remarks=("a remark",)))
    assert isinstance(found, ReportedRun)
    assert HOSTILE in found.results[0].cell.testcase.summary
    return found


def no_counters(_cell: str) -> CounterFacts:
    return {f"vmstat.x{HOSTILE}": {"before": 1, "after": 3, "delta": 2}}


def in_format(name: str, run: ReportedRun) -> str:
    options = FormatOptions(url=f"http://x/{HOSTILE}", tester=HOSTILE)
    return "".join(FORMATS[name](run, no_counters, options))


PAGES: dict[str, Callable[[ReportedRun], str]] = {
    "summary.md": summary.render,
    "report.html": html.render,
    "junit.xml": lambda run: "".join(junit.pieces(run)),
    **{name: functools.partial(in_format, name) for name in FORMATS},
}


@pytest.mark.parametrize("name", PAGES)
def test_no_format_of_a_run_has_a_control_character(name: str, run: ReportedRun) -> None:
    text = PAGES[name](run)
    assert "owned" in text
    assert harmless(text)
    text.encode("utf-8")
    if name in {"json", "kcidb", "patchwork", "github"}:
        json.loads(text)
    if name == "junit.xml":
        xml.dom.minidom.parseString(text)
    if name == "report.html":
        assert "<script>1" not in text
        assert "</script><script>" not in text
    if name == "summary.md":
        assert "<script>" not in text.replace(r"\<script", "")


def test_the_terminal_shows_a_hostile_run_as_text(
    run: ReportedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure(color="always", verbose=1)
    try:
        terminal.show_kernels(run.record)
        terminal.show_cells(run.results)
        terminal.show_allowed(run.results)
        assert run.comparison is not None
        terminal.show_comparison(run.comparison)
        terminal.show_memories(run.results, Path("x"))
    finally:
        log.configure(color="auto", verbose=0)
    said = capsys.readouterr().out
    assert "owned" in said
    # With colour on, rich's own sequences are there, and no other: none that makes a link.
    assert "\x1b]" not in said
    assert "\x1b[2J" not in said
    assert not {char for char in said if not (char.isprintable() or char in "\x1b\n\t")}


def test_json_of_the_lab_shows_what_is_not_printable_as_escapes() -> None:
    given = json.dumps({"a": HOSTILE + "\u00fc\U0001f525\U000e0041"}, ensure_ascii=False)
    shown = json_printable(given)
    assert harmless(shown)
    assert "\u00fc\U0001f525" in shown
    assert json.loads(shown) == json.loads(given)


def test_the_record_of_a_run_is_harmless(tmp_path: Path) -> None:
    place = Place.made(tmp_path)
    evaluation = evaluation_of(place.run)
    record = evaluation.record
    record.narrowed = record.directory = HOSTILE
    evaluation.folder.write_record(record)
    text = (place.run / "run.json").read_text("utf-8")
    assert harmless(text)
    assert evaluation.folder.read_record() == record


# -- markup --------------------------------------------------------------------------------------

# The text of a table's cell, or of a line without markup=False, is markup to rich; what is named
# here is the lab's own.
_OWN = {
    "cli/inspect.py: walker.name", "cli/inspect.py: walker.file",
    "cli/inspect.py: ', '.join(walker.through)", "cli/inspect.py: name",
    "report/terminal.py: style", "report/columns.py: style",
    "report/terminal.py: verdict", "report/terminal.py: note", "report/terminal.py: change",
    "report/terminal.py: EXCERPT_LINES",
    "report/mutants.py: *cells", "report/columns.py: ''.join(parts)",
    "pipeline/progress.py: style", "pipeline/progress.py: judgement.verdict",
    "cli/upkeep.py: style", "cli/upkeep.py: word", "cli/upkeep.py: total",
    "build/progress.py: bar", "report/trees.py: *map(_standing, row.counts)",
    "report/trees.py: shown",
}  # fmt: skip
# Functions whose result is escaped, or numbers and the lab's own words.
_ESCAPING = {"escape", "str", "tally", "comparison_tally", "_why", "_where", "len"}


def markups(source: str) -> Iterator[tuple[int, str]]:
    """Yield each expression that rich may take for markup, with its line."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        off = any(
            k.arg == "markup" and isinstance(k.value, ast.Constant) and k.value.value is False
            for k in node.keywords
        )
        printed = node.func.attr == "print" and not off
        if printed or node.func.attr == "add_row":
            for argument in node.args:
                yield from ((node.lineno, ast.unparse(one)) for one in _loose(argument))


def _loose(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the parts of an expression that are neither constant nor escaped."""
    match node:
        case ast.Constant():
            return
        case ast.JoinedStr():
            for part in node.values:
                if isinstance(part, ast.FormattedValue):
                    yield from _loose(part.value)
        case ast.BinOp():
            yield from _loose(node.left)
            yield from _loose(node.right)
        case ast.IfExp():
            yield from _loose(node.body)
            yield from _loose(node.orelse)
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _ESCAPING:
            return
        case ast.Name(id="table"):
            return
        case _:
            yield node


def test_no_text_of_a_stranger_is_markup() -> None:
    found = {
        f"{path.relative_to(PACKAGE)}: {text}"
        for path in PACKAGE.rglob("*.py")
        if path.name not in {"log.py", "prerequisites.py"}
        for _, text in markups(path.read_text("utf-8"))
    }
    assert found - _OWN == set()


def test_markup_of_a_stranger_is_found() -> None:
    source = (
        "log.stdout.print(f'{title}')\ntable.add_row(escape(a), b)\n"
        "log.stdout.print(x, markup=False)"
    )
    assert [text for _, text in markups(source)] == ["title", "b"]
