# SPDX-License-Identifier: GPL-2.0
"""The seal of a saved template: a file that changed, went or came since is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab.evidence.names import CONSOLE_LOG
from rmaplab.guest import template
from rmaplab.guest.template import SETUP_RESULT, STATE

RAM = "node0.ram"
FILES = {
    RAM: b"\0" * 8192 + b"memory",
    STATE: b"state",
    CONSOLE_LOG: b"console",
    SETUP_RESULT: b"x",
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    template._seal(tmp_path)
    return tmp_path


def test_a_template_that_is_as_it_was_saved_is_whole(saved: Path) -> None:
    assert template.broken(saved) == ""


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_changed_is_named(saved: Path, name: str) -> None:
    content = FILES[name]
    for other in (content[:-1] + b"?", content + b"\0", content[:-1]):
        (saved / name).write_bytes(other)
        assert template.broken(saved) == f"{name} is not as it was saved"
    (saved / name).write_bytes(content)
    assert template.broken(saved) == ""


def test_a_part_that_went_or_came_is_said(saved: Path) -> None:
    (saved / "node1.ram").write_bytes(b"")
    assert template.broken(saved) == f"it should hold {', '.join(sorted(FILES))}"
    (saved / "node1.ram").unlink()
    (saved / RAM).unlink()
    assert template.broken(saved) == f"it should hold {', '.join(sorted(FILES))}"


@pytest.mark.parametrize("seal", ["", "{", None])
def test_a_template_without_its_seal_is_broken(saved: Path, seal: str | None) -> None:
    (saved / "seal.json").unlink()
    if seal is not None:
        (saved / "seal.json").write_text(seal, encoding="utf-8")
    assert template.broken(saved).startswith("its seal cannot be read: ")
