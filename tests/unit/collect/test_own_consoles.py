# SPDX-License-Identifier: GPL-2.0
"""The consoles of the lab's own guests are read without learning prefixes."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab.collect.splats import SplatParser
from rmaplab.model import Splat

EXAMPLE = Path(__file__).resolve().parents[3] / "reports" / "example" / "cells"
CONSOLES = sorted(EXAMPLE.glob("*/console.log"))


def splats(console: bytes, *, learns: bool) -> list[Splat]:
    parser = SplatParser(learns=learns)
    parser.feed(console)
    return list(parser.finish())


@pytest.mark.parametrize("path", CONSOLES, ids=lambda path: path.parent.name)
def test_a_guests_console_says_the_same_without_learning(path: Path) -> None:
    console = path.read_bytes()
    assert splats(console, learns=False) == splats(console, learns=True)


def test_the_example_has_a_console_with_a_splat() -> None:
    assert any(splats(path.read_bytes(), learns=False) for path in CONSOLES)
