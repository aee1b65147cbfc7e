# SPDX-License-Identifier: GPL-2.0
"""Mails of robots, with source places: one splat each, in the function of the subject."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rmaplab.collect.splats import parse_console

GOLDEN = Path(__file__).resolve().parents[2] / "golden/console"
MAILS = {path.stem: path.read_text(encoding="utf-8") for path in GOLDEN.glob("wild-mail-*.log")}
FORMS: dict[str, Callable[[str], str]] = {
    "as mailed": lambda text: text,
    "quoted in an answer": lambda text: "".join(f"> {line}\n" for line in text.splitlines()),
    "stamped": lambda text: "".join(
        f"[   12.{number:06}] {line}\n" for number, line in enumerate(text.splitlines())
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", sorted(MAILS))
def test_a_mail_is_one_splat_in_the_function_of_its_subject(name: str, form: str) -> None:
    text = MAILS[name]
    subject = next(line for line in text.splitlines() if line.startswith("Subject: "))
    (splat,) = parse_console(FORMS[form](text).encode())
    assert splat.function == subject.rpartition(" in ")[2]
    assert not splat.corrupted
    assert splat.task == "gadget"
    assert any("lib/gadget.c" in source.summary for source in splat.sources)


def test_there_are_mails() -> None:
    assert len(MAILS) >= 9
