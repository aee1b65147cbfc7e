# SPDX-License-Identifier: GPL-2.0
"""Every way to the terminal, fed with text that a guest or a patch wrote."""

from __future__ import annotations

import ast
import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.table import Table

import rmaplab
from rmaplab import cli
from rmaplab.errors import UserError
from rmaplab.log import log
from rmaplab.model import Change, ComparedSplat, Comparison, ComparisonRow, SplatChange, Verdict
from rmaplab.report import html, summary, terminal

from .builders import facts, failed, judgement, observation, reported, result, splat

PACKAGE = Path(rmaplab.__file__).parent
# Clears the screen, sets the title, makes a link, reorders what follows; rich's markup and emoji.
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b1m\x1b]8;;http://x\x1b\\ \u202e\u2066 [/red][bad]:fire: \\"
SHOWN = (
    "\\x1b[2J\\x1b]0;owned\\x07\\x9b1m\\x1b]8;;http://x\\x1b\\ \\u202e\\u2066 [/red][bad]:fire: \\"
)


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "300")  # so that no table folds
    log.configure(color="never", verbose=1)
    yield
    log.configure(color="auto", verbose=0)


def harmless(text: str) -> bool:
    return all(char.isprintable() or char in "\n\t" for char in text)


@pytest.mark.parametrize("say", [log.info, log.detail, log.warn, log.error, log.say])
def test_a_line_shows_control_characters_as_escapes(
    say: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    say(HOSTILE)
    said = capsys.readouterr()
    assert (said.out + said.err).endswith(SHOWN + "\n")


def test_a_steps_title_shows_control_characters_as_escapes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with log.step(HOSTILE):
        pass
    said = capsys.readouterr().err
    assert said.count(SHOWN) == 2
    assert harmless(said)


def test_a_table_shows_control_characters_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("\x1b[1mtitle")
    table.add_row("\x1b[31mred\u202e")
    log.stdout.print(table)
    said = capsys.readouterr().out
    assert "\\x1b[1mtitle" in said
    assert "\\x1b[31mred\\u202e" in said
    assert harmless(said)


def test_the_tables_of_a_run_show_what_a_guest_wrote_as_escapes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = result(observation(failed(HOSTILE, HOSTILE)), judged=judgement(Verdict.FAIL, HOSTILE))
    row = ComparisonRow(
        testcase="exclusive/mapcount", settings="thp-never", guest="q35", device="",
        base="pass", patched="fail", change=Change.REGRESSED, detail=HOSTILE,
    )  # fmt: skip
    new = ComparedSplat("0123456789ab", "warning", HOSTILE, SplatChange.NEW,
                        rows=(("exclusive/mapcount", "thp-never", "q35", ""),), seen=1,
                        excerpt=HOSTILE + "\n" + HOSTILE, allowed=HOSTILE)  # fmt: skip
    comparison = Comparison("base", "patched", (row,), (new,))
    terminal.show_cells([bad])
    terminal.show_comparison(comparison)
    terminal.show_allowed([replace(bad, observation=observation(splats=(splat(HOSTILE),)))])
    said = capsys.readouterr().out
    assert said.count("\\x1b]0;owned\\x07") >= 4
    assert harmless(said)
    kernels = {"base": replace(facts(), origin=HOSTILE, series=HOSTILE)}
    run = reported([bad], comparison, remarks=[HOSTILE], kernels=kernels)
    for page in (summary.render(run), html.render(run)):
        assert "owned" in page
        assert harmless(page)


def test_an_error_of_the_command_shows_control_characters_as_escapes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**_options: object) -> None:
        raise UserError(HOSTILE, hint=HOSTILE, evidence=Path("/\x1b[1m"))

    monkeypatch.setattr("sys.argv", ["rmaplab", *("--color", "never"), "doctor"])
    monkeypatch.setattr(cli.cli.commands["doctor"], "callback", fails)
    with pytest.raises(SystemExit):
        cli.main()
    said = capsys.readouterr().err
    assert said.count(SHOWN) == 2
    assert "evidence: /\\x1b[1m" in said
    assert harmless(said)


def test_the_traceback_of_a_bug_shows_control_characters_as_escapes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**_options: object) -> None:
        raise ValueError(HOSTILE)

    monkeypatch.setattr("sys.argv", ["rmaplab", *("--color", "never"), "doctor"])
    monkeypatch.setattr(cli.cli.commands["doctor"], "callback", fails)
    with pytest.raises(SystemExit):
        cli.main()
    said = capsys.readouterr().err
    assert f"ValueError: {SHOWN}" in said
    assert harmless(said)


def test_json_holds_the_text_itself_and_no_control_character(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.json(json.dumps({"text": HOSTILE + "\x7f"}) + "\n")
    said = capsys.readouterr().out
    assert json.loads(said) == {"text": HOSTILE + "\x7f"}
    assert harmless(said)


def test_steps_of_two_threads_do_not_indent_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    inside, other_has_said = threading.Event(), threading.Event()

    def one() -> None:
        with log.step("one"):
            inside.set()
            assert other_has_said.wait(30)
            log.info("in one")

    thread = threading.Thread(target=one)
    thread.start()
    assert inside.wait(30)
    log.info("other")
    other_has_said.set()
    thread.join()
    assert capsys.readouterr().err.splitlines()[:3] == ["one ...", "other", "  in one"]


def test_a_reader_that_closes_the_pipe_changes_no_exit_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Closed())
    log.configure(color="never", verbose=0)
    log.say("nobody reads this")
    log.json("{}")
    log.say("nor this")


def test_no_color_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    log.configure(color="auto", verbose=0)
    assert log.stdout.no_color
    log.configure(color="never", verbose=0)
    assert log.stdout.no_color


def test_the_width_of_a_log_is_that_of_columns_if_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "77")
    log.configure(color="never", verbose=0)
    assert log.stdout.width == 77
    monkeypatch.delenv("COLUMNS")
    log.configure(color="never", verbose=0)
    assert log.stdout.width == 140


# The prerequisites are installed before rich is; drgn's report is printed into a pipe that the lab
# reads, and its lines are made printable where they are made.
_OTHER_WRITERS = {
    "log.py", "prerequisites.py", "postmortem/__main__.py", "dwarf/__main__.py",
}  # fmt: skip
_WRITERS = {
    "print", "pprint", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write",
    "sys.__stdout__.write", "sys.__stderr__.write", "sys.stdout.buffer.write",
    "sys.stderr.buffer.write", "sys.stdout.writelines", "sys.stderr.writelines", "os.write",
    "traceback.print_exc", "traceback.print_exception", "traceback.print_stack", "warnings.warn",
}  # fmt: skip


# With these rich shows a str by way of a console; with its Text, control characters get through.
_HARMLESS = {
    "rich", "rich.box", "rich.live", "rich.markup", "rich.progress", "rich.progress_bar",
    "rich.table",
}  # fmt: skip


def writers(source: str) -> list[str]:
    """Return the lines of a source that write to the terminal past the log, or could."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _WRITERS:
            found.append(f"{node.lineno}: {ast.unparse(node.func)}")
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names = [name.name for name in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            found += [
                f"{node.lineno}: {name}"
                for name in names
                if name.startswith("rich") and name not in _HARMLESS
            ]
    return found


def test_the_log_alone_writes_to_the_terminal() -> None:
    found = {
        f"{path.relative_to(PACKAGE)}:{call}"
        for path in PACKAGE.rglob("*.py")
        if str(path.relative_to(PACKAGE)) not in _OTHER_WRITERS
        for call in writers(path.read_text(encoding="utf-8"))
    }
    assert found == set()


def test_a_direct_print_is_found() -> None:
    source = "def f():\n    print('x')\n    click.echo(1)\nfrom rich.text import Text\n"
    assert sorted(writers(source)) == ["2: print", "3: click.echo", "4: rich.text"]


def test_the_help_is_shown_as_it_is() -> None:
    assert "Exit codes" in CliRunner().invoke(cli.cli, ["--help"]).output
