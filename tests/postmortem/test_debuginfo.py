# SPDX-License-Identifier: GPL-2.0
"""A real crash of a real kernel with debug info: file and line, tasks, folios, who maps them.

What is expected is what an unpatched 6.12 does (docs/postmortem.md quotes it).
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from rmaplab.source import tree
from rmaplab.store.cache import Cache

from .conftest import Crashed, command

BUG = "migrate/move-pages-partial-thp"
WARNING = "exclusive/pagemap-scan-wp"
HANG = "selftest/hang"


def first_splat(crashed: Crashed, testcase: str) -> dict[str, Any]:
    found: dict[str, Any] = crashed.cells[testcase]["splats"][0]
    return found


def block(text: str, head: str) -> str:
    """A line of a report that begins so, and what is indented below it."""
    match = re.search(rf"^( *){head}.*\n(?:\1 +.*\n)*", text, re.M)
    assert match is not None, f"no {head!r} in:\n{text}"
    return match[0]


def test_each_crash_is_what_it_is_and_leaves_a_memory(crashed: Crashed) -> None:
    seen = {name: (c["outcome"], bool(c["memory"])) for name, c in crashed.cells.items()}
    assert seen == {
        BUG: ("panic", True),
        WARNING: ("splat", True),
        HANG: ("timeout", True),
        "control/empty": ("completed", False),
    }


def test_the_instruction_pointer_has_file_and_line_and_what_is_inlined(crashed: Crashed) -> None:
    sources = first_splat(crashed, BUG)["sources"]
    assert sources[0]["at"].startswith("try_to_migrate_one+0x")
    assert [re.sub(r"\d+$", "N", line) for line in sources[0]["lines"]] == [
        "PageAnonExclusive at include/linux/page-flags.h:N",
        "try_to_migrate_one at mm/rmap.c:N",
    ]


@pytest.mark.parametrize(
    ("testcase", "frame", "file"),
    [
        (BUG, "rmap_walk_anon", "mm/rmap.c"),
        (BUG, "migrate_pages", "mm/migrate.c"),
        (WARNING, "pagemap_scan_pmd_entry", "fs/proc/task_mmu.c"),
        (WARNING, "__walk_page_range", "mm/pagewalk.c"),
    ],
)
def test_each_frame_has_file_and_line(
    crashed: Crashed, testcase: str, frame: str, file: str
) -> None:
    splat = first_splat(crashed, testcase)
    assert frame in splat["frames"]
    assert re.search(rf" {frame}\+0x\w+/0x\w+ \({file}:\d+[;)]", splat["excerpt"])


def test_a_line_is_that_of_the_call_and_not_of_the_statement_behind_it(crashed: Crashed) -> None:
    # try_to_migrate() ends with one call of rmap_walk().
    source = (
        line
        for place in first_splat(crashed, BUG)["sources"]
        for line in place["lines"]
        if line.startswith("try_to_migrate at ")
    )
    path, number = next(source).split(" at ")[1].split(":")
    assert path == "mm/rmap.c"
    kernel = tree.fetch("debian:linux-source-6.12", Cache()).path
    text = (kernel / path).read_text(encoding="utf-8").splitlines()
    assert "rmap_walk" in text[int(number) - 1]


def test_the_report_has_the_crashed_task_with_its_stack(crashed: Crashed) -> None:
    task = block(crashed.report(BUG), r"move-pages-part, PID \d+, state R: running")
    assert "the workload's" in task
    assert re.search(r"try_to_migrate_one at mm/rmap\.c:\d+", task)
    assert re.search(r"__x64_sys_move_pages at mm/migrate\.c:\d+", task)


def test_the_report_has_the_folio_of_the_pages_that_the_workload_registered(
    crashed: Crashed,
) -> None:
    thp = block(crashed.report(BUG), r"THP: process \d+")
    assert "512 pages" in thp
    first = block(thp, "  page 0: migration entry")
    assert "order 9, flags locked" in first
    assert "head" in first
    rest = block(thp, "  pages 1 to 511: device-exclusive entry")
    assert "mapcount 0, folio mapcount 0, refcount 512, mapping anon_vma 0x" in rest
    assert "entries that really map it: 1, but the mapcount is 0" in rest


def test_a_warning_is_looked_at_while_its_workload_is_there(crashed: Crashed) -> None:
    text = crashed.report(WARNING)
    assert "the workload's" in text
    spaced = block(text, r"exclusive: process \d+")
    # How far the scan had come is chance; all it is about are the pages that are exclusive.
    exclusive = block(spaced, r"  pages? \d+.*: device-exclusive entry")
    assert "order 0" in exclusive
    assert "anon_exclusive" in exclusive


def test_a_workload_that_never_ends_is_seen_in_user_space(crashed: Crashed) -> None:
    assert "in user space, at 0x" in block(crashed.report(HANG), r"hang, PID \d+, state R: running")


def test_the_terminal_says_how_to_look(crashed: Crashed) -> None:
    assert f"./lab.py inspect {crashed.cells[WARNING]['id']} --run" in crashed.stdout


def test_inspect_runs_a_script_on_a_memory(crashed: Crashed, tmp_path: Any) -> None:
    script = tmp_path / "look.py"
    script.write_text(
        "import sys\n"
        "from drgn.helpers.linux.pid import find_task\n"
        "print(find_task(prog, 1).comm.string_().decode(), sys.argv[1:])\n",
        encoding="utf-8",
    )
    cell = crashed.cells[BUG]["id"]
    done = command("inspect", cell, "--run", str(crashed.folder), "--script", str(script), "a", "b")
    assert (done.returncode, done.stdout) == (0, "init ['a', 'b']\n"), done.stderr


def test_inspect_makes_the_same_report_again(crashed: Crashed) -> None:
    done = command("inspect", crashed.cells[BUG]["id"], "--run", str(crashed.folder), "--report")
    assert done.stdout == crashed.report(BUG)
