# SPDX-License-Identifier: GPL-2.0
"""Memories and source lines in a run's folder, and what inspect says is missing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from rmaplab.collect import transcript
from rmaplab.collect.observe import observe
from rmaplab.collect.transcript import Pages, registered
from rmaplab.errors import InfraError, UserError
from rmaplab.pipeline import postrun
from rmaplab.pipeline.evaluate import evaluate, write_reports
from rmaplab.plan import plan
from rmaplab.report import terminal
from rmaplab.store import memoryfile
from rmaplab.store.cache import Cache
from rmaplab.store.runfolder import RunFolder

from .builders import (
    BOOTED,
    KTAP_PASS,
    conversation,
    facts,
    from_agent,
    from_lab,
    kernel,
    lab,
    run_folder,
    save,
    testcase,
)
from .test_lines import ASKED, BUG

LAB = lab(kernels=[kernel()], testcases=[testcase("exclusive/a")])
(CELL,) = [one.id for one in plan(LAB).cells]
KEY = "0123456789abcdef"
KEPT = from_lab("memory", why="panic", complaint="", file=memoryfile.NAME, bytes=5 << 20,
                memory_bytes=1 << 29, seconds=1.5)  # fmt: skip
NOT_KEPT = from_lab("memory-not-saved", why="silence", detail="it took too long: 3 MB had come")
PASSED = conversation(*KTAP_PASS)
PANICKED = [*PASSED[:-1], from_lab("end", how="panic", detail="it panicked"), KEPT]

Said = Sequence[Mapping[str, Any]]


def a_run(path: Path, said: Said = PANICKED, *, kept: bool = True) -> RunFolder:
    folder = run_folder(path, LAB, {CELL: said}, kernels={"base": facts(KEY)})
    (folder.path / "cells" / CELL / "console.log").write_bytes(BOOTED + BUG)
    if kept:
        memoryfile.of(folder, CELL).write_bytes(bytes((5 << 20) + 1))
    return folder


def reports(folder: RunFolder) -> dict[str, str]:
    write_reports(evaluate(folder))
    names = ("results.json", "report.html", "junit.xml")
    return {name: (folder.path / name).read_text(encoding="utf-8") for name in names}


# -- the evidence ---------------------------------------------------------------------------------


def test_a_memory_that_was_kept_is_observed(tmp_path: Path) -> None:
    a_run(tmp_path / "run")
    memory = observe(tmp_path / "run/cells" / CELL).memory
    assert memory is not None
    assert (memory.why, memory.file, memory.size_mb, memory.error) == (
        "panic", memoryfile.NAME, 6, "",
    )  # fmt: skip


def test_one_that_somebody_removed_is_not_spoken_of(tmp_path: Path) -> None:
    a_run(tmp_path / "run", kept=False)
    assert observe(tmp_path / "run/cells" / CELL).memory is None


def test_one_that_could_not_be_kept_says_why_and_changes_no_verdict(tmp_path: Path) -> None:
    with_it = observe(save(tmp_path / "a", [*PASSED, NOT_KEPT]))
    without = observe(save(tmp_path / "b", PASSED))
    assert with_it.memory is not None
    assert "too long" in with_it.memory.phrase
    assert (with_it.ended, with_it.subtests) == (without.ended, without.subtests)


def test_the_time_that_a_guest_stood_still_is_no_time_of_the_cell(tmp_path: Path) -> None:
    held = from_lab("memory", why="complaint", file=memoryfile.NAME, seconds=1.5)
    said = [*PASSED[:-1], {**held, "at": 2.2}, PASSED[-1]]
    assert transcript.read(save(tmp_path, said) / "agent.jsonl").duration_s == 1.0


def test_registered_pages_are_read_and_are_no_part_of_the_results(tmp_path: Path) -> None:
    line = "# rmaplab: pages 46 0x7fa377f7b000 16 E0, moved"
    saved = transcript.read(
        save(tmp_path, conversation(*KTAP_PASS[:2], line, *KTAP_PASS[2:])) / "agent.jsonl"
    )
    assert saved.pages == [Pages(46, 0x7FA377F7B000, 16, "E0, moved")]
    assert saved.stdout == list(KTAP_PASS)


@pytest.mark.parametrize(
    "line",
    ["# rmaplab: pages", "# rmaplab: pages x 0x1 1 n", "# rmaplab: pages 1 0x1 99999999999 n",
     "# rmaplab: pages 1 0x1ffffffffffffffff 1 n", "# rmaplab: instructions 5"],
)  # fmt: skip
def test_what_is_no_range_is_output_like_any_other(line: str) -> None:
    assert registered(line) is None


# -- the reports ----------------------------------------------------------------------------------


def test_reports_name_the_memory_and_show_what_drgn_said(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run")
    folder.write(f"cells/{CELL}/{memoryfile.REPORT}", "== tasks\n<b>init</b>, PID 1\n")
    texts = reports(folder)
    (cell,) = json.loads(texts["results.json"])["cells"]
    assert cell["memory"] == {
        "why": "panic", "file": "memory.elf.zst", "size_mb": 6, "error": "",
        "report": "postmortem.txt",
    }  # fmt: skip
    assert "memory kept, after its end: panic: memory.elf.zst, 6 MB" in texts["report.html"]
    assert "&lt;b&gt;init&lt;/b&gt;, PID 1" in texts["report.html"]
    assert "&lt;b&gt;init&lt;/b&gt;, PID 1" in texts["junit.xml"]


def test_the_terminal_says_how_to_look_only_where_there_is_something_to_see(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = a_run(tmp_path / "run")

    def shown(text: str) -> str:
        folder.write(f"cells/{CELL}/{memoryfile.REPORT}", text)
        terminal.show_memories(evaluate(folder).results, folder.path)
        return capsys.readouterr().out

    assert f"./lab.py inspect {CELL} --run {folder.path}" in shown("== tasks\n")
    without = shown("no report: the kernel was built without debug info\n")
    assert "6 MB; no report: the kernel was built without debug info" in without
    assert "inspect" not in without


def test_a_cell_without_a_memory_says_so(tmp_path: Path) -> None:
    texts = reports(a_run(tmp_path / "run", PASSED, kept=False))
    assert json.loads(texts["results.json"])["cells"][0]["memory"] is None


def test_source_lines_of_the_runs_folder_are_in_every_report(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run")
    found = {"error": "", "lines": {ASKED[0]: ["try_to_migrate_one at mm/rmap.c:2131"]}}
    folder.write(f"builds/{KEY}/lines.json", json.dumps(found))
    texts = reports(folder)
    assert all("0xa08 (mm/rmap.c:2131)" in text for text in texts.values())
    (splat,) = json.loads(texts["results.json"])["cells"][0]["splats"]
    assert splat["sources"] == [{"at": ASKED[0], "lines": ["try_to_migrate_one at mm/rmap.c:2131"]}]


@pytest.mark.parametrize("text", ["", "[]", '{"error": "", "lines": []}', "{", '{"lines": {}}'])
def test_damaged_lines_lose_no_splat(tmp_path: Path, text: str) -> None:
    folder = a_run(tmp_path / "run")
    folder.write(f"builds/{KEY}/lines.json", text)
    (splat,) = json.loads(reports(folder)["results.json"])["cells"][0]["splats"]
    assert "try_to_migrate_one+0x2b6/0xa08\n" in splat["excerpt"]


def test_why_there_are_no_lines_is_said_once(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run")
    folder.write(f"builds/{KEY}/lines.json", json.dumps({"error": "no awk", "lines": {}}))
    said = [remark for remark in evaluate(folder).remarks if "no awk" in remark]
    assert said == ["kernel base: no source lines: no awk"]


# -- inspect --------------------------------------------------------------------------------------


def cache_with(path: Path, config: str | None) -> Cache:
    cache = Cache(path)
    if config is not None:
        build = cache.path("builds", KEY)
        (build / "obj").mkdir(parents=True)
        (build / "config").write_text(config, encoding="utf-8")
        (build / "obj/vmlinux").write_bytes(b"\x7fELF")
    return cache


def refusal(cell: str, run: Path | None, parent: Path) -> str:
    with pytest.raises(UserError) as caught:
        postrun.find(cell, run, Cache(parent / "cache"), parent)
    assert caught.value.hint
    return caught.value.message


def test_a_cell_is_found_by_its_id_its_folder_and_in_the_latest_run(tmp_path: Path) -> None:
    old, new = a_run(tmp_path / "reports/1"), a_run(tmp_path / "reports/2")
    cache = Cache(tmp_path / "cache")
    in_new = memoryfile.of(new, CELL)
    assert postrun.find(CELL, None, cache, tmp_path / "reports").memory == in_new
    assert postrun.find(CELL, old.path, cache).memory == memoryfile.of(old, CELL)
    found = postrun.find(str(in_new.parent), None, cache)
    assert (found.memory, found.build) == (in_new, cache.path("builds", KEY))


def test_a_cell_that_is_not_there(tmp_path: Path) -> None:
    run = a_run(tmp_path / "1").path
    assert "has no cell base.q35.x" in refusal("base.q35.x", run, tmp_path)
    assert f"did you mean '{CELL}'" in refusal(CELL[:-3] + ".1", run, tmp_path)
    assert "no run below" in refusal(CELL, None, tmp_path / "empty")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (PASSED, "its guest ended with: bye"),
        ([*PASSED, NOT_KEPT], "it took too long"),
        (PANICKED, "removed since"),
    ],
)
def test_a_memory_that_is_not_there_says_why(tmp_path: Path, said: Said, why: str) -> None:
    run = a_run(tmp_path / "1", said, kept=False).path
    assert why in refusal(CELL, run, tmp_path)


def test_a_kernel_without_debug_info_or_gone(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="without debug info"):
        postrun.vmlinux_for(cache_with(tmp_path / "a", "CONFIG_MM=y\n").path("builds", KEY))
    with pytest.raises(InfraError, match="not in the cache any more"):
        postrun.vmlinux_for(cache_with(tmp_path / "b", None).path("builds", KEY))
    build = cache_with(tmp_path / "c", "CONFIG_DEBUG_INFO=y\n").path("builds", KEY)
    assert postrun.vmlinux_for(build) == build / "obj/vmlinux"


def test_drgn_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(InfraError, match="drgn is not installed") as caught:
        postrun.require_drgn()
    assert "pip install" in caught.value.hint


def test_a_report_that_fails_says_so_in_the_cells_folder(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run", [*PANICKED, from_agent("out", text="x")])
    seen = observe(folder.path / "cells" / CELL)
    (cell,) = plan(LAB).cells
    build: Any = type("B", (), {"folder": tmp_path / "nowhere", "key": KEY, "kernel": "base"})
    kernels: Any = {"base": None}
    postrun.look(folder, kernels, {"base": build}, Cache(tmp_path / "cache"), [(cell, seen)])
    text = memoryfile.of(folder, CELL).with_name(memoryfile.REPORT).read_text("utf-8")
    assert "no report: the kernel is not in the cache any more" in text
