# SPDX-License-Identifier: GPL-2.0
"""Count the attempts: ``--figures FILE`` writes the table that the summary shows.

A test's family is the word of its ``family`` mark, else its file's name. ``control`` marks a test
in which the protection is off. A test of many attempts records how many, by pytest's
``record_property`` and the names in ``figures.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .figures import Figures, of_test, table
from .world import World

HERE = Path(__file__).parent
FAMILY = "family"
CONTROL = "control"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that says where the table goes."""
    parser.addoption("--figures", metavar="FILE", help="write the figures of hostile attempts")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note each attempt's family, so that a worker's report has it, too."""
    for item in items:
        if HERE not in item.path.parents:
            continue
        mark = item.get_closest_marker(FAMILY)
        name = str(mark.args[0]) if mark else item.path.stem.removeprefix("test_")
        item.user_properties.append((FAMILY, name.replace("_", " ")))
        if item.get_closest_marker(CONTROL):
            item.user_properties.append((CONTROL, "yes"))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table, and write it if that was asked for."""
    families: dict[str, Figures] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            noted = dict(report.user_properties)
            if report.when != "call" or FAMILY not in noted:
                continue
            numbers = {key: value for key, value in noted.items() if isinstance(value, int)}
            one = of_test(outcome == "passed", CONTROL in noted, numbers)
            families[noted[FAMILY]] = families.get(noted[FAMILY], Figures()) + one
    if not families:
        return
    text = table(families)
    terminalreporter.section("hostile attempts")
    terminalreporter.write_line(text)
    if place := config.getoption("--figures", None):
        Path(place).write_text(text + "\n", encoding="utf-8")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A user's home with secrets, a cache, services of the host, and what must not happen."""
    with World.made(monkeypatch) as found:
        yield found
