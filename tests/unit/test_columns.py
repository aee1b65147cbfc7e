# SPDX-License-Identifier: GPL-2.0
"""Tables fit the terminal, or the pipe, and say all that they have to say."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rmaplab.log import log
from rmaplab.report import columns

TITLES = ("testcase", "base", "patched", "change", "rows", "why")
WHY = "lab: audit vm-rss: exclusive: 64 pages have another mapcount than entries that map them"


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)


def shown(
    capsys: pytest.CaptureFixture[str], width: int, rows: Sequence[Sequence[columns.Cell]]
) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        log.configure(color="never", verbose=0)
        columns.show(TITLES, rows)
    log.configure(color="never", verbose=0)
    return capsys.readouterr().out


ROW = ("exclusive/unsupported-mappings", "fail", "pass", ("regressed", "bad"), "139", WHY)


@pytest.mark.parametrize("width", [60, 72, 80, 100, 140])
def test_no_line_is_wider_and_no_word_is_folded(
    capsys: pytest.CaptureFixture[str], width: int
) -> None:
    text = shown(capsys, width, [ROW])
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert not any(line.endswith(" ") for line in lines)
    assert WHY in re.sub(r"\s+", " ", text)
    assert "regressed  139" in text


def test_the_reason_is_readable_at_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, 80, [ROW])
    assert min(len(line) for line in text.splitlines()[3:-1]) >= 60


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.text(max_size=40), min_size=6, max_size=6), st.integers(60, 200))
def test_any_text_is_printable_in_a_table(
    capsys: pytest.CaptureFixture[str], cells: list[str], width: int
) -> None:
    for line in shown(capsys, width, [cells]).splitlines():
        assert line.isprintable()
        assert line == line.rstrip(" ")


def test_a_table_without_rows_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, 80, []) == ""


def test_no_color_leaves_no_escape_unless_it_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    log.configure(color="auto", verbose=0)
    columns.show(TITLES, [ROW])
    assert "\x1b" not in capsys.readouterr().out
    log.configure(color="always", verbose=0)
    columns.show(TITLES, [ROW])
    assert "\x1b[" in capsys.readouterr().out
    log.configure(color="never", verbose=0)
