# SPDX-License-Identifier: GPL-2.0
"""Hold the table of helpers in docs/testcases.md against the library's headers."""

from __future__ import annotations

import re

from rmaplab.config.paths import project

# Called by ktap_run() and by other helpers only.
INTERNAL = {
    "audit_at_exit",
    "dmirror_buffer",
    "learn_exclusive_types",
    "learn_private_type",
    "measure_whole_begin",
    "measure_whole_end",
    "watch_reset",
    "watched_pfns_are_free",
}


def declared() -> set[str]:
    """Return the functions that the library's headers declare, but the operations of stress.h."""
    found: set[str] = set()
    for header in (project() / "testcases/lib").glob("*.h"):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(encoding="utf-8"), flags=re.DOTALL)
        for name in re.findall(r"^[a-z][\w \n]*?[ *]\**(\w+)\([^;{]*\)[^;{]*;", text, re.MULTILINE):
            found.add(name)
        found -= set(re.findall(r"bool (stress_\w+)\(", text))
    return found


def documented() -> set[str]:
    """Return the calls that docs/testcases.md names."""
    text = (project() / "docs/testcases.md").read_text(encoding="utf-8")
    return set(re.findall(r"\b([a-z]\w*)\(", text)) | set(re.findall(r"`(is_\w+)`", text))


def in_table() -> set[str]:
    """Return the calls in the right column of the table "I want to ... / call ..."."""
    text = (project() / "docs/testcases.md").read_text(encoding="utf-8")
    table = text.split("### I want to", 1)[1].split("\n### ", 1)[0]
    cells = [line.split("|")[2] for line in table.splitlines() if line.startswith("|")]
    return {name for cell in cells for name in re.findall(r"`(\w+)\(", cell)}


def test_the_library_declares_what_the_table_names() -> None:
    assert len(in_table()) > 100
    assert in_table() - declared() == set()


def test_the_documentation_names_each_helper() -> None:
    assert len(declared()) > 150
    assert declared() - documented() - INTERNAL == set()


def test_a_helper_that_is_internal_exists() -> None:
    assert declared() >= INTERNAL
