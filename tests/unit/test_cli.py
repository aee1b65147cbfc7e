# SPDX-License-Identifier: GPL-2.0
"""The command: exit codes, what it says to whom, and that it never ends in a traceback.

Kernels and guests are faked at the pipeline's edges; everything between is the real thing.
"""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rmaplab import cli, proc
from rmaplab.build import initramfs
from rmaplab.cli import runs
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import BuildError, InfraError, KernelError, PatchError, UserError
from rmaplab.guest import cell as guest_cell
from rmaplab.guest import plugin
from rmaplab.guest.cellsetup import CellSetup, CellTask
from rmaplab.guest.command import Launch
from rmaplab.guest.isolation import Turn
from rmaplab.model import Build, Cell
from rmaplab.pipeline import confirm, doctor, ending, postrun, userspaces
from rmaplab.pipeline import run as run_pipeline
from rmaplab.pipeline.doctor import Finding
from rmaplab.pipeline.kernels import KernelBuilder, Kernels
from rmaplab.pipeline.userspaces import Launches
from rmaplab.store import inuse
from rmaplab.store.cache import Cache
from rmaplab.store.runfolder import RunFolder

from .builders import KTAP_FAIL, KTAP_PASS, WHOLE, console, conversation, save
from .repositories import write

LAB = """\
name: tiny
kernels:
  - name: base
    tree: dir:linux
    config: [guest]
guests: [q35]
settings: [thp-never]
testcases: [exclusive/mapcount]
"""
MAKEFILE = "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 1\n"
PATCH = """\
From: A U Thor <author@example.com>
Subject: [PATCH] mm/rmap: change a line

Because.

---
--- a/mm/rmap.c
+++ b/mm/rmap.c
@@ -1 +1 @@
-old
+new
"""
MAPCOUNT_ONLY = LAB.replace("thp-never", "thp-madvise")
PASS = conversation(*KTAP_PASS)
FAIL = conversation(*KTAP_FAIL, status=1)
LOST = PASS[:-1]


@dataclass(frozen=True)
class Answer:
    """How the command ended, and what it said."""

    code: int
    out: str
    err: str


Command = Callable[..., Answer]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setenv("RMAPLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def call(*words: str | Path) -> Answer:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["rmaplab", "--color", "never", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Answer(int(ended.value.code), said.out, said.err)

    return call


@pytest.fixture
def lab_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(MAPCOUNT_ONLY, encoding="utf-8")
    write(tmp_path, {"linux/Makefile": MAKEFILE, "linux/mm/rmap.c": "old\n", "x": PATCH})
    return path


class FakeTemplates:
    """Every guest boots: nothing is saved."""

    def __init__(self, *words: object, **options: object) -> None:
        pass

    def prepare(self, *words: object) -> None:
        pass

    names: tuple[str, ...] = ()

    def setup(self, cell: Cell, boot: Launch) -> CellSetup:
        return CellSetup(boot, ())


class FakeExecutor:
    """Each cell leaves what ``guest_cell.run`` writes, which the tests replace."""

    ahead = 1

    def __init__(self, jobs: int) -> None:
        pass

    async def execute(self, task: CellTask, folder: Path, turn: Turn) -> None:
        async with turn:
            await guest_cell.run(task.cell, task.setup, folder, task.program)

    async def close(self) -> None:
        pass


Show = Callable[..., None]


@pytest.fixture
def guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Show:
    """Fake kernels and guests; call it with the evidence that each kernel's cells show."""

    def build(
        self: KernelBuilder,
        kernels: Kernels,
        on_end: Callable[..., None] = lambda *_: None,
        *,
        keep: bool = False,
    ) -> dict[str, Build]:
        needed = Catalogue().testcases["exclusive/mapcount"].requires.config
        config = "".join(f"CONFIG_{symbol}=y\n" for symbol in ("FAKE", *needed))
        builds = {}
        for name, kernel in kernels.items():
            folder = tmp_path / "builds" / name
            folder.mkdir(parents=True, exist_ok=True)
            for file in ("bzImage", "config", "build.log", "fragments.diff"):
                (folder / file).write_text(config, encoding="utf-8")
            builds[name] = Build(
                kernel.key, name, folder, folder / "bzImage", folder / "config",
                folder / "build.log", "6.12.0", 0.0, True,
            )  # fmt: skip
            on_end(name, builds[name])
        return builds

    monkeypatch.setattr(KernelBuilder, "build", build)
    monkeypatch.setattr(run_pipeline, "Templates", FakeTemplates)
    monkeypatch.setattr(run_pipeline, "LocalExecutor", FakeExecutor)
    monkeypatch.setattr(initramfs, "build", lambda *words: tmp_path / "initramfs")
    monkeypatch.setattr(plugin, "build", lambda *words: tmp_path / "blocks.so")
    monkeypatch.setattr(run_pipeline, "_tools", lambda emulators: {})

    def show(consoles: Mapping[str, bytes] | None = None, **evidence: Any) -> None:
        async def run(cell: Cell, setup: CellSetup, folder: Path, program: str) -> None:
            shown = evidence[cell.kernel]
            shown = shown(cell) if callable(shown) else shown
            save(folder, shown, (consoles or {}).get(cell.kernel, WHOLE))

        monkeypatch.setattr(guest_cell, "run", run)

    return show


def run_folder(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "reports").iterdir()
    return folder


# -- running -----------------------------------------------------------------------------------


def test_touched_without_a_series_is_a_users_mistake(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    guests(base=PASS)
    answer = command("run", lab_file, "--accel", "tcg", "--touched")
    assert answer.code == 2
    assert "name it with --series" in answer.err
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("words", "scope"),
    [((), "first"), (("--no-coverage",), "none"), (("--coverage",), "all")],
)
def test_an_ab_records_the_first_repeats_unless_it_is_told_otherwise(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path,
    words: tuple[str, ...], scope: str,
) -> None:  # fmt: skip
    guests(base=PASS, patched=PASS)
    command("ab", lab_file, "--accel", "tcg", "--series", tmp_path / "x", *words)
    said = json.loads((run_folder(tmp_path) / "run.json").read_text("utf-8"))
    assert said["lab"]["coverage"]["scope"] == scope


@pytest.mark.parametrize(("shown", "code"), [(PASS, 0), (FAIL, 1), (LOST, 69)])
def test_a_run_ends_with_the_code_of_its_cells(
    command: Command, guests: Show, lab_file: Path, shown: Any, code: int
) -> None:
    guests(base=shown)
    assert command("run", lab_file, "--accel", "tcg").code == code


def test_a_run_leaves_the_files_that_other_programs_read(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    guests(base=FAIL)
    answer = command("run", lab_file, "--accel", "tcg")
    folder = run_folder(tmp_path)
    for name in (
        "run.json",
        "events.jsonl",
        "results.json",
        "junit.xml",
        "summary.md",
        "report.html",
    ):
        assert (folder / name).stat().st_size, name
    (build,) = (folder / "builds").iterdir()
    assert (build / "build.log").stat().st_size
    assert (build / ".config").stat().st_size
    (cell,) = (folder / "cells").iterdir()
    for name in ("console.log", "agent.jsonl", "counters.json", "splats.json", "reproduce.sh"):
        assert (cell / name).exists(), name
    assert str(folder.relative_to(tmp_path)) in answer.err
    assert "the mapcount stays" in answer.out


def test_a_cell_can_be_run_again_by_the_command_that_it_carries(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    guests(base=PASS)
    command("run", lab_file, "--accel", "tcg", "--filter", "guest=q35")
    (script,) = run_folder(tmp_path).glob("cells/*/reproduce.sh")
    words = next(
        line for line in script.read_text(encoding="utf-8").splitlines() if "--filter" in line
    )
    assert words.endswith(
        "--filter kernel=base,guest=q35,settings=thp-madvise,testcase=exclusive/mapcount"
    )
    assert words.count("--filter") == 1
    assert str(lab_file) in words


def test_json_goes_to_standard_output_alone(command: Command, guests: Show, lab_file: Path) -> None:
    guests(base=PASS)
    answer = command("run", lab_file, "--accel", "tcg", "--format", "json")
    assert [cell["verdict"] for cell in json.loads(answer.out)["cells"]] == ["pass"]


@pytest.mark.parametrize(
    ("base", "patched", "code", "change"),
    [(FAIL, PASS, 0, "fixed"), (PASS, PASS, 0, "same-pass"), (PASS, FAIL, 1, "regressed"),
     (FAIL, LOST, 69, "missing")],
)  # fmt: skip
def test_an_ab_ends_with_the_code_of_its_rows(
    command: Command, guests: Show, lab_file: Path, base: Any, patched: Any, code: int, change: str
) -> None:
    guests(base=base, patched=patched)
    answer = command("ab", lab_file, "--series", "x", "--accel", "tcg", "--format", "json")
    assert answer.code == code
    (row,) = json.loads(answer.out)["comparison"]["rows"]
    assert row["change"] == change


# -- what is worse is run again ------------------------------------------------------------------


def rows_of(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "results.json").read_bytes())["comparison"][
        "rows"
    ]
    return found


def test_a_regression_is_run_again_base_and_patched_by_turns(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    guests(base=PASS, patched=FAIL)
    assert command("ab", lab_file, "--series", "x", "--accel", "tcg", "--jobs", "1").code == 1
    folder = run_folder(tmp_path)
    journal = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    ran = [one["cell"].split(".")[0] for one in journal if one["event"] == "cell"]
    assert ran[2:] == ["base", "patched", "base", "patched"]
    (row,) = rows_of(folder)
    assert (row["change"], row["detail"].partition(": ")[0]) == (
        "regressed", "3 of 3 against 0 of 3",
    )  # fmt: skip
    summed = json.loads((folder / "results.json").read_bytes())["summary"]
    assert (summed["state"], summed["counts"]["asked"]) == ("complete", 6)
    before = {name: (folder / name).read_bytes() for name in ("results.json", "junit.xml")}
    assert command("report", folder).code == 1
    assert {name: (folder / name).read_bytes() for name in before} == before


@pytest.mark.parametrize(("times", "cells"), [("0", 2), ("1", 4)])
def test_how_often_is_an_option(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path, times: str, cells: int
) -> None:
    guests(base=PASS, patched=FAIL)
    words = ("--series", "x", "--accel", "tcg", "--confirm", times)
    assert command("ab", lab_file, *words).code == 1
    assert len(list(run_folder(tmp_path).glob("cells/*"))) == cells


def test_what_is_not_seen_again_is_unstable_and_no_regression(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    guests(base=PASS, patched=lambda cell: FAIL if cell.repeat == 1 else PASS)
    assert command("ab", lab_file, "--series", "x", "--accel", "tcg").code == 1
    (row,) = rows_of(run_folder(tmp_path))
    assert (row["change"], row["detail"]) == ("unstable", "patched: 2 pass, 1 fail")


@pytest.mark.parametrize("patched", [PASS, FAIL])
def test_what_is_not_worse_is_not_run_again(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path, patched: Any
) -> None:
    guests(base=FAIL, patched=patched)
    assert command("ab", lab_file, "--series", "x", "--accel", "tcg").code == 0
    assert len(list(run_folder(tmp_path).glob("cells/*"))) == 2


def test_a_run_interrupted_while_it_confirms_goes_on_with_the_repeats(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    signals: list[str] = []

    def patched(cell: Cell) -> Any:
        if cell.repeat == 2 and not signals:
            signals.append(cell.id)
            signal.raise_signal(signal.SIGTERM)
        return FAIL

    guests(base=PASS, patched=patched)
    words = ("--series", "x", "--accel", "tcg", "--jobs", "1")
    assert command("ab", lab_file, *words).code == 130
    folder = run_folder(tmp_path)
    assert json.loads((folder / "results.json").read_bytes())["summary"]["state"] == "partial"
    assert command("resume", folder).code == 1
    (row,) = rows_of(folder)
    assert row["detail"].startswith("3 of 3 against 0 of 3: ")
    assert len(list(folder.glob("cells/*"))) == 6


@pytest.mark.parametrize("killed", [False, True])
def test_a_run_that_ended_just_before_it_confirms_does_so_when_it_goes_on(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, killed: bool,
) -> None:  # fmt: skip
    guests(base=PASS, patched=FAIL)

    def interrupted(*words: object) -> tuple[Cell, ...]:
        if not killed:
            signal.raise_signal(signal.SIGTERM)
        raise _KilledError

    with monkeypatch.context() as patch:
        patch.setattr(confirm, "cells_again", interrupted)
        words = ("--series", "x", "--accel", "tcg", "--jobs", "1")
        assert command("ab", lab_file, *words).code != 1
    folder = run_folder(tmp_path)
    assert len(list(folder.glob("cells/*"))) == 2
    if killed:  # then nobody noted the end
        made = RunFolder(folder).read_record()
        made.ended, made.interrupted, made.failure = "", False, ""
        RunFolder(folder).write_record(made)
    assert command("resume", folder).code == 1
    (row,) = rows_of(folder)
    assert row["detail"].startswith("3 of 3 against 0 of 3: ")
    assert len(list(folder.glob("cells/*"))) == 6


class _KilledError(Exception):
    pass


# -- splats ------------------------------------------------------------------------------------

RSS = b"[    2.500000][   T77] BUG: Bad rss-counter state mm:00000000abcd type:MM_ANONPAGES val:1\n"
IN_TEST = console(RSS)
AT_BOOT = console(boot=RSS)
ALLOW = "allow:\n  - {pattern: ^BUG. Bad rss, reason: seen on every kernel, until: %s}\n"


@pytest.mark.parametrize("shown", [PASS, FAIL])
def test_an_ab_shows_a_new_splat_with_its_text_and_exits_1(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path, shown: Any
) -> None:
    guests({"patched": IN_TEST}, base=shown, patched=shown)
    answer = command("ab", lab_file, "--series", "x", "--accel", "tcg")
    assert answer.code == 1
    assert "new splat: BUG: Bad rss-counter state [exclusive/mapcount]" in answer.out
    assert "type:MM_ANONPAGES val:1" in answer.out
    folder = run_folder(tmp_path)
    assert "new splats: base -&gt; patched" in (folder / "junit.xml").read_text("utf-8")
    assert "Bad rss-counter state | bad-rss-counter | new" in (folder / "summary.md").read_text(
        "utf-8"
    )
    assert "Bad rss-counter" in (folder / "report.html").read_text("utf-8")
    (splat,) = json.loads((folder / "results.json").read_text("utf-8"))["comparison"]["splats"]
    assert (splat["change"], splat["seen"], splat["rows"][0]["testcase"]) == (
        "new", 3, "exclusive/mapcount",
    )  # fmt: skip


def test_a_new_splat_is_the_kernels_fault_also_where_the_lab_lost_the_cell(
    command: Command, guests: Show, lab_file: Path
) -> None:
    guests({"patched": IN_TEST}, base=FAIL, patched=LOST)
    assert command("ab", lab_file, "--series", "x", "--accel", "tcg").code == 1


def test_a_splat_of_both_sides_is_no_regression(
    command: Command, guests: Show, lab_file: Path
) -> None:
    guests({"base": IN_TEST, "patched": IN_TEST}, base=PASS, patched=PASS)
    answer = command("ab", lab_file, "--series", "x", "--accel", "tcg")
    assert answer.code == 0
    assert "same splat: BUG: Bad rss-counter state" in answer.out


def test_an_allowed_splat_passes_and_is_listed(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    lab_file.write_text(MAPCOUNT_ONLY + ALLOW % "2999-12-31", encoding="utf-8")
    guests({"base": IN_TEST}, base=PASS)
    answer = command("run", lab_file, "--accel", "tcg")
    assert answer.code == 0
    said = "allowed splat in 1 cell: BUG: Bad rss-counter state: seen on every kernel"
    assert said in answer.out
    folder = run_folder(tmp_path)
    assert "seen on every kernel" in (folder / "summary.md").read_text("utf-8")
    (cell,) = json.loads((folder / "results.json").read_text("utf-8"))["cells"]
    (splat,) = cell["splats"]
    assert (splat["owner"], splat["allowed"]) == ("exclusive/mapcount", "seen on every kernel")


def test_an_entry_that_expired_allows_nothing_and_is_reported(
    command: Command, guests: Show, lab_file: Path
) -> None:
    lab_file.write_text(MAPCOUNT_ONLY + ALLOW % "2020-01-01", encoding="utf-8")
    guests({"base": IN_TEST}, base=PASS)
    answer = command("run", lab_file, "--accel", "tcg")
    assert answer.code == 1
    assert "tiny.yaml:10: allow '^BUG. Bad rss': expired after 2020-01-01" in _joined(answer.err)
    assert "matches no splat" not in answer.err


def test_a_saved_run_expires_by_the_day_on_which_it_began(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    lab_file.write_text(MAPCOUNT_ONLY + ALLOW % "2026-06-30", encoding="utf-8")
    guests({"base": IN_TEST}, base=PASS)
    command("run", lab_file, "--accel", "tcg")
    folder = run_folder(tmp_path)
    facts_ = json.loads((folder / "run.json").read_text("utf-8"))
    for began, code in (("2026-06-30T23:59:59+00:00", 0), ("2026-07-01T00:00:00+00:00", 1)):
        (folder / "run.json").write_text(json.dumps({**facts_, "began": began}), encoding="utf-8")
        assert command("report", folder).code == code


def test_an_entry_that_matches_nothing_is_reported(
    command: Command, guests: Show, lab_file: Path
) -> None:
    lab_file.write_text(MAPCOUNT_ONLY + ALLOW % "2999-12-31", encoding="utf-8")
    guests(base=PASS)
    answer = command("run", lab_file, "--accel", "tcg")
    assert answer.code == 0
    assert "matches no splat of this run" in _joined(answer.err)


def test_a_kernel_that_complains_at_boot_fails_everywhere_and_is_said_once(
    command: Command, guests: Show, lab_file: Path
) -> None:
    guests({"base": AT_BOOT}, base=PASS)
    answer = command("run", lab_file, "--accel", "tcg", "--repeat", "3")
    assert answer.code == 1
    assert _joined(answer.err).count("kernel base complains at boot on q35: BUG: Bad rss") == 1
    assert "splat: BUG: Bad rss-counter state (at boot)" in _joined(answer.out)


def _joined(text: str) -> str:
    return " ".join(text.split())


def test_a_saved_run_is_reported_with_the_same_code_and_files(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    guests(base=FAIL)
    command("run", lab_file, "--accel", "tcg")
    folder = run_folder(tmp_path)
    names = ("junit.xml", "results.json")
    before = [(folder / name).read_bytes() for name in names]
    for name in names:
        (folder / name).unlink()
    assert command("report", folder).code == 1
    assert [(folder / name).read_bytes() for name in names] == before


def test_a_skip_for_the_kernels_configuration_says_so(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    """The fake kernels have what exclusive/mapcount needs and nothing else."""
    guests(base=PASS)
    lab_file.write_text(MAPCOUNT_ONLY.replace("exclusive/mapcount", "selftest/panic"), "utf-8")
    answer = command("run", lab_file, "--accel", "tcg", "--format", "json")
    (cell,) = json.loads(answer.out)["cells"]
    assert cell["verdict"] == "skip"
    assert "CONFIG_MAGIC_SYSRQ" in cell["reason"]


def test_a_guest_that_the_kernel_cannot_run_is_a_skip_that_names_the_fragment(
    command: Command, guests: Show, lab_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guests(base=PASS)
    monkeypatch.setattr(userspaces, "launches", lambda _cells, boots, _shop: Launches(boots, {}))
    lab_file.write_text(MAPCOUNT_ONLY.replace("[q35]", "[q35, virtme]"), "utf-8")
    answer = command("run", lab_file, "--accel", "tcg", "--format", "json")
    cells = {cell["guest"]: cell for cell in json.loads(answer.out)["cells"]}
    assert cells["q35"]["verdict"] == "pass"
    assert cells["virtme"]["verdict"] == "skip"
    assert "the Kconfig fragment virtme" in cells["virtme"]["reason"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_exits_130_and_keeps_its_reports(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals,
) -> None:  # fmt: skip
    async def interrupted(cell: Cell, setup: CellSetup, folder: Path, program: str) -> None:
        if cell.repeat > 1:
            os.kill(os.getpid(), number)
            await asyncio.sleep(60)
        save(folder, PASS)

    guests()
    monkeypatch.setattr(guest_cell, "run", interrupted)
    # A shell starts a background job with SIGINT ignored, and pytest may be one.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        answer = command("run", lab_file, "--accel", "tcg", "--repeat", "3", "--jobs", "1")
    finally:
        signal.signal(signal.SIGINT, inherited)
    assert answer.code == 130
    folder = run_folder(tmp_path)
    assert str(folder.relative_to(tmp_path)) in answer.err
    assert json.loads((folder / "run.json").read_bytes())["interrupted"]
    results = json.loads((folder / "results.json").read_bytes())
    assert [cell["verdict"] for cell in results["cells"]] == ["pass"]
    assert command("report", folder).code == 130


def test_a_second_sigterm_changes_nothing(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = ending.finish

    def disturbed(*words: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return finish(*words)

    def shown(cell: Cell) -> Any:
        if cell.repeat > 1:
            signal.raise_signal(signal.SIGTERM)
        return PASS

    guests(base=shown)
    monkeypatch.setattr(ending, "finish", disturbed)
    answer = command("run", lab_file, "--accel", "tcg", "--repeat", "3", "--jobs", "1")
    assert answer.code == 130
    assert "no answer, partial run: interrupted after" in answer.err
    assert (run_folder(tmp_path) / "junit.xml").exists()


def test_sigterm_is_handled_as_before_when_the_cells_have_run(
    command: Command, guests: Show, lab_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(postrun, "look", lambda *_: seen.append(signal.getsignal(signal.SIGTERM)))
    guests(base=PASS)
    assert command("run", lab_file, "--accel", "tcg").code == 0
    assert seen == [signal.default_int_handler]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BuildError("make bzImage failed:\n  mm/rmap.c:3: error: no"), "mm/rmap.c:3: error: no"),
        (PatchError("patch 1/2 does not apply: x"), "patch 1/2 does not apply"),
    ],
)
def test_a_kernel_that_does_not_build_exits_3_and_says_so_in_junit(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, error: KernelError, said: str,
) -> None:  # fmt: skip
    def build(
        self: KernelBuilder, kernels: Kernels, on_end: Callable[..., None], *, keep: bool
    ) -> None:
        on_end("base", error)
        raise error

    monkeypatch.setattr(KernelBuilder, "build", build)
    answer = command("run", lab_file, "--accel", "tcg")
    assert answer.code == 3
    assert said in answer.err
    junit = (run_folder(tmp_path) / "junit.xml").read_text(encoding="utf-8")
    assert "<error" in junit
    assert said in junit


FULL = OSError(errno.ENOSPC, "No space left on device", "agent.jsonl")


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        caused(InfraError("cannot write x: No space left on device", hint="free some"), FULL),
        ExceptionGroup("several", [ValueError(), FULL]),
    ],
)
def test_a_lab_that_cannot_go_on_exits_69_and_keeps_what_was_measured(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, error: Exception,
) -> None:  # fmt: skip
    async def fails(cell: Cell, setup: CellSetup, folder: Path, program: str) -> None:
        if cell.repeat > 1:
            raise error
        save(folder, PASS)

    guests()
    monkeypatch.setattr(guest_cell, "run", fails)
    answer = command("run", lab_file, "--accel", "tcg", "--repeat", "3", "--jobs", "1")
    assert answer.code == 69
    assert "No space left on device" in answer.err
    results = json.loads((run_folder(tmp_path) / "results.json").read_bytes())
    assert [cell["verdict"] for cell in results["cells"]] == ["pass"]


@pytest.mark.parametrize(
    "error", [InfraError("QEMU refused to stop"), KeyError("steady"), OSError(errno.EMFILE, "many")]
)
def test_an_error_of_one_cell_is_that_cells_end_and_the_others_go_on(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, error: Exception,
) -> None:  # fmt: skip
    async def fails(cell: Cell, setup: CellSetup, folder: Path, program: str) -> None:
        save(folder, PASS if cell.repeat != 2 else PASS[:5])
        if cell.repeat == 2:
            raise error

    guests()
    monkeypatch.setattr(guest_cell, "run", fails)
    answer = command("run", lab_file, "--accel", "tcg", "--repeat", "3", "--jobs", "1")
    assert answer.code == 69
    assert "Traceback" not in answer.err
    folder = run_folder(tmp_path)
    results = json.loads((folder / "results.json").read_bytes())
    assert [cell["verdict"] for cell in results["cells"]] == ["pass", "error", "pass"]
    assert type(error).__name__ in results["cells"][1]["reason"]
    assert not json.loads((folder / "run.json").read_bytes())["interrupted"]


def test_a_disk_that_is_full_is_no_traceback(
    command: Command, lab_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*words: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/cache/x")

    monkeypatch.setattr(run_pipeline, "run", full)
    answer = command("run", lab_file)
    assert answer.code == 69
    assert "/cache/x: No space left on device" in answer.err


def test_an_output_that_cannot_be_written_exits_69(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    guests(base=PASS)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    answer = command("run", lab_file, "--accel", "tcg", "--output", tmp_path / "file/reports")
    assert answer.code == 69
    assert "--output" in answer.err


def test_a_missing_tool_exits_69_with_the_packages_name(
    command: Command, guests: Show, lab_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guests(base=PASS)
    found = proc.which
    monkeypatch.setattr(proc, "which", lambda name: None if "qemu" in name else found(name))
    answer = command("run", lab_file)
    assert answer.code == 69
    assert "qemu-system-x86_64 is not installed" in answer.err
    assert "apt-get install qemu-system-x86" in answer.err


# -- mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["run", "plan", "build"])
def test_a_broken_lab_file_exits_2_with_every_mistake(
    command: Command, lab_file: Path, verb: str
) -> None:
    text = MAPCOUNT_ONLY.replace("[q35]", "[q36]").replace("thp-madvise", "thp-madvis")
    lab_file.write_text(text + "name: again\n", encoding="utf-8")
    answer = command(verb, lab_file)
    assert answer.code == 2
    for said in (
        "tiny.yaml:6: unknown guest 'q36'; did you mean 'q35'?",
        "tiny.yaml:7: unknown settings 'thp-madvis'; did you mean 'thp-madvise'?",
        "tiny.yaml:9: the key 'name' is here twice (first in line 1)",
    ):
        assert said in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    "words",
    [
        ("fly",),
        ("run",),
        ("run", "none.yaml"),
        ("run", "tiny.yaml", "--accel", "warp"),
        ("run", "tiny.yaml", "--repeat", "0"),
        ("run", "tiny.yaml", "--jobs", "-1"),
        ("run", "tiny.yaml", "--filter", "moon=full"),
        ("run", "tiny.yaml", "--filter", "guest=none"),
        ("run", "tiny.yaml", "--tree", "ftp:x", "--accel", "tcg"),
        ("ab", "tiny.yaml"),
        ("ab", "tiny.yaml", "--series", ""),
        ("plan", "tiny.yaml", "--format", "xml"),
        ("report", "nowhere"),
        ("list", "testcase"),
        ("parse", "none.log"),
        ("clean", "--only", "everything"),
        ("shell", "tiny.yaml"),
    ],
)
def test_a_users_mistake_exits_2_without_a_traceback(
    command: Command, lab_file: Path, words: Sequence[str]
) -> None:
    answer = command(*words)
    assert answer.code == 2
    assert answer.err.strip()
    assert "Traceback" not in answer.err


# -- verbs that run nothing --------------------------------------------------------------------


def test_a_plan_lists_the_cells_and_runs_none(command: Command, lab_file: Path) -> None:
    answer = command("plan", lab_file, "--format", "json")
    assert answer.code == 0
    assert [cell["id"] for cell in json.loads(answer.out)["cells"]] == [
        "base.q35.thp-madvise.exclusive.mapcount.1"
    ]
    ab = json.loads(command("plan", lab_file, "--series", "x", "--format", "json").out)
    assert [cell["kernel"] for cell in ab["cells"]] == ["base", "patched"]
    assert "1 cells on 1 kernels" in command("plan", lab_file).out


MATRIX = """\
name: tiny
kernels:
  - {name: base, tree: dir:linux, config: [guest]}
guests: [q35, q35-numa]
settings: [thp-never, thp-madvise, thp-always]
testcases: [{name: exclusive/mapcount, repeat: 2}, exclusive/lifecycle]
exclude:
  - {settings: thp-always, guest: q35, reason: not enough memory}
include:
  - {settings: mthp-64k, testcase: T1, guest: q35}
"""


def test_a_plan_shows_its_size_and_why_a_cell_is_left_out(command: Command, lab_file: Path) -> None:
    lab_file.write_text(MATRIX + "cap: 10\n", encoding="utf-8")
    said = command("plan", lab_file, "--filter", "guest=q35").out.splitlines()[-7:]
    assert said == [
        "1 kernels x 2 guests x 3 settings x 2 testcases = 12 combinations",
        "    -6 not in --filter guest=q35",
        "    -2 excluded in line 8: not enough memory",
        "    +1 included",
        "5 combinations, with their repeats 8 cells",
        "expected time: unknown, none of these cells ran here before",
        "8 cells on 1 kernels",
    ]


def test_a_plan_says_that_a_run_would_be_refused(command: Command, lab_file: Path) -> None:
    lab_file.write_text(MATRIX + "cap: 10\n", encoding="utf-8")
    answer = command("plan", lab_file)
    assert answer.code == 2
    assert "more than the lab file's cap of 10: a run would be refused" in answer.out
    assert "17 cells are more than the cap of 10" in answer.err


def test_a_plan_as_json_has_the_same_facts(command: Command, lab_file: Path) -> None:
    lab_file.write_text(MATRIX + "cap: 10\n", encoding="utf-8")
    found = json.loads(command("plan", lab_file, "--jobs", "3", "--format", "json").out)
    assert (found["size"], found["cap"], found["jobs"]) == (17, 10, 3)
    assert found["dimensions"] == {"kernels": 1, "guests": 2, "settings": 3, "testcases": 2}
    assert found["expected_s"] is None
    assert {one["reason"] for one in found["left_out"]} == {"excluded in line 8: not enough memory"}


def test_a_plan_takes_repeats_and_a_sample(command: Command, lab_file: Path) -> None:
    lab_file.write_text(MATRIX, encoding="utf-8")
    whole = json.loads(command("plan", lab_file, "--repeat", "3", "--format", "json").out)
    some = json.loads(
        command("plan", lab_file, "--sample", "pairwise", "--repeat", "3", "--format", "json").out
    )
    assert whole["size"] == 33
    assert some["size"] < whole["size"]
    assert len(some["left_out"]) > len(whole["left_out"])
    assert command("plan", lab_file, "--sample", "triples").code == 2


def test_an_estimate_comes_from_what_the_cells_took_before(
    command: Command, guests: Show, lab_file: Path
) -> None:
    guests(base=PASS)
    command("run", lab_file, "--accel", "tcg")
    found = json.loads(command("plan", lab_file, "--jobs", "1", "--format", "json").out)
    assert found["expected_s"] == found["cells"][0]["expected_s"] > 0
    said = command("plan", lab_file, "--repeat", "60", "--jobs", "1").out
    assert "expected time: 2 min 30 s (1 at a time, without builds and boots)" in said


# -- a part of a lab ---------------------------------------------------------------------------


def test_more_cells_than_the_cap_are_refused_before_anything_is_made(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    guests(base=PASS)
    lab_file.write_text(MAPCOUNT_ONLY + "cap: 2\n", encoding="utf-8")
    answer = command("run", lab_file, "--accel", "tcg", "--repeat", "3")
    assert answer.code == 2
    assert "3 cells are more than the cap of 2" in answer.err
    assert not (tmp_path / "reports").exists()
    assert command("run", lab_file, "--accel", "tcg", "--repeat", "2").code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--filter", "guest=q35"), "7 of the lab's 12 cells were not run: --filter guest=q35"),
        (("--sample", "pairwise"), "4 of the lab's 12 cells were not run: --sample pairwise"),
    ],
)
def test_a_run_of_a_part_says_so_in_every_report(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path,
    words: tuple[str, str], said: str,
) -> None:  # fmt: skip
    guests(base=PASS)
    lab_file.write_text(MATRIX.replace(", repeat: 2", "").replace("T1, guest: q35", "T1"), "utf-8")
    answer = command("run", lab_file, "--accel", "tcg", *words)
    assert said in " ".join(answer.out.split())
    folder = run_folder(tmp_path)
    assert said in json.loads((folder / "results.json").read_bytes())["not_run"]
    for name in ("report.html", "summary.md"):
        text = (folder / name).read_text(encoding="utf-8").replace("&#39;", "'")
        assert said in text.replace("\\", ""), name


def test_a_run_of_the_whole_lab_speaks_of_no_part(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path
) -> None:
    guests(base=PASS)
    command("run", lab_file, "--accel", "tcg")
    folder = run_folder(tmp_path)
    assert json.loads((folder / "results.json").read_bytes())["not_run"] == ""
    assert "Part of the lab" not in (folder / "summary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["testcases", "guests", "settings", "series", "kernels"])
def test_a_list_has_a_name_and_a_summary_each(command: Command, kind: str) -> None:
    answer = command("list", kind, "--format", "json")
    assert answer.code == 0
    entries = json.loads(answer.out)
    assert entries
    assert all(entry["name"] and entry["summary"] for entry in entries)
    text = command("list", kind)
    assert text.code == 0
    assert entries[0]["name"] in text.out


def test_a_list_of_walkers_says_who_drives_them_or_why_nobody(command: Command) -> None:
    text = command("list", "--walkers")
    assert text.code == 0
    assert "try_to_unmap_one" in text.out
    assert "none: its one caller is DAX writeback" in " ".join(text.out.split())
    answer = command("list", "--walkers", "--format", "json")
    walkers = {one["name"]: one for one in json.loads(answer.out)}
    assert walkers["pfn_mkclean_range"]["testcases"] == []
    assert "dirty/msync-blockdev" in walkers["page_vma_mkclean_one"]["testcases"]
    assert command("list", "guests", "--walkers").code == 2


def test_a_saved_console_is_parsed(command: Command, tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    log.write_bytes(
        b"[    1.0] Kernel panic - not syncing: \x1b[2J evil\nKTAP version 1\n1..1\nnot ok 1 a\n"
    )
    answer = command("parse", log, "--format", "json")
    assert answer.code == 0
    found = json.loads(answer.out)
    assert [splat["kind"] for splat in found["splats"]] == ["panic"]
    assert [(test["name"], test["verdict"]) for test in found["tests"]] == [("a", "fail")]
    text = command("parse", log)
    assert "\x1b" not in text.out


def test_standard_input_is_parsed_as_it_comes(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    class Pipe(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            asked.append(size or 0)
            return super().read(size)

    log = b"chatter\n" * 200_000 + b"[    1.0] BUG: Bad rss-counter state mm:1 type:x val:1\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Pipe(log)))
    found = json.loads(command("parse", "-", "--format", "json").out)
    assert [splat["line"] for splat in found["splats"]] == [200_001]
    assert found["splats"][0]["severity"] == "error"
    assert len(asked) > 1
    assert all(0 < size <= 1 << 20 for size in asked)


@pytest.mark.parametrize("log", [b"", b"\x00\xff" * 5000, b"\n" * 5000, b"no line end"])
def test_a_log_with_nothing_in_it_is_no_mistake(
    command: Command, tmp_path: Path, log: bytes
) -> None:
    (tmp_path / "log").write_bytes(log)
    assert command("parse", "log").out == "no splat, no test result\n"
    found = json.loads(command("parse", "log", "--format", "json").out)
    assert found == {"splats": [], "tests": [], "problems": []}


def test_ktap_that_does_not_add_up_is_said(command: Command, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"KTAP version 1\n1..2\nok 1 a")
    found = json.loads(command("parse", "log", "--format", "json").out)
    assert [test["verdict"] for test in found["tests"]] == ["pass", "error"]
    assert found["problems"] == ["the log ends within a result line", "planned 2, saw 1"]
    assert "KTAP: planned 2, saw 1" in command("parse", "log").out


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_a_log_that_cannot_be_read_is_the_users_mistake(command: Command, name: str) -> None:
    answer = command("parse", name)
    assert answer.code == 2
    assert answer.err.startswith(f"error: {name}: ")


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([Finding("gcc", True, True, "gcc")], 0),
        ([Finding("QEMU with KVM", False, False, "none")], 0),
        ([Finding("gcc", False, True, "missing: gcc", "apt-get install gcc")], 69),
    ],
)
def test_doctor_says_what_is_missing(
    command: Command, monkeypatch: pytest.MonkeyPatch, findings: list[Finding], code: int
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda cache: findings)
    answer = command("doctor")
    assert answer.code == code
    assert findings[0].hint in answer.out
    found = json.loads(command("doctor", "--format", "json").out)
    assert found["ok"] is (code == 0)
    assert found["checks"][0]["name"] == findings[0].name


def test_clean_frees_what_it_named(command: Command, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    for section in ("builds", "trees"):
        cache.entry(section, "abc", lambda folder: None)
    assert command("clean", "--only", "builds", "--yes").code == 0
    assert [entry.section for entry in cache.entries()] == ["trees"]
    assert "trees" in command("clean", "--yes").out
    assert list(cache.entries()) == []
    assert "nothing to free" in command("clean").out


def _a_megabyte(folder: Path) -> None:
    (folder / "x").write_bytes(b"x" * (1 << 20))


def test_clean_keeps_what_was_used_last_within_a_size(command: Command, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    for age, name in enumerate(("new", "old")):
        folder = cache.entry("builds", name, _a_megabyte)
        os.utime(folder, (1e9 - age, 1e9 - age))
    assert "nothing to free" in command("clean", "--keep-within", "5M", "--yes").out
    assert command("clean", "--keep-within", "5 apples", "--yes").code == 2
    with inuse.shared(cache):
        assert command("clean", "--keep-within", "1.5M", "--yes").code == 2
    assert len(list(cache.entries())) == 2
    assert "in 1: kernels" in command("clean", "--keep-within", "1.5M", "--yes").out
    assert [entry.name for entry in cache.entries()] == ["new"]


def test_a_lab_leaves_no_more_than_the_environment_allows(
    command: Command, guests: Show, lab_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guests(base=PASS)
    cache = Cache(tmp_path / "cache")
    folder = cache.entry("builds", "old", _a_megabyte)
    os.utime(folder, (1, 1))
    monkeypatch.setenv("RMAPLAB_CACHE_LIMIT", "1M")
    assert command("run", lab_file, "--accel", "tcg").code == 0
    assert not folder.exists()
    assert {entry.section for entry in cache.entries()} == {"trees", "history"}
    monkeypatch.setenv("RMAPLAB_CACHE_LIMIT", "much")
    assert command("run", lab_file, "--accel", "tcg").code == 2


def test_the_version_and_the_help_are_no_mistake(command: Command) -> None:
    assert command("--version").code == 0
    assert "ab" in command("--help").out


@pytest.mark.parametrize("said", ["soon", "0", "-1", "nan", "inf"])
def test_a_limit_for_builds_that_is_no_number_of_seconds_is_refused(
    monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setenv("RMAPLAB_BUILD_LIMIT", said)
    with pytest.raises(UserError, match="RMAPLAB_BUILD_LIMIT"):
        runs.builder(Catalogue(), 1)


def test_a_limit_for_builds_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RMAPLAB_BUILD_LIMIT", raising=False)
    assert runs.builder(Catalogue(), 1).step_limit_s is None
    monkeypatch.setenv("RMAPLAB_BUILD_LIMIT", "90.5")
    assert runs.builder(Catalogue(), 1).step_limit_s == 90.5
