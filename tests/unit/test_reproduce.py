# SPDX-License-Identifier: GPL-2.0
"""A cell's reproduce.sh runs that cell by its run's command, wherever it is called."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from rmaplab.cli import runs
from rmaplab.config import paths
from rmaplab.config.catalogue import Catalogue
from rmaplab.guest.command import Accelerator, Launch
from rmaplab.model import Cell
from rmaplab.model.prefixes import PatchFacts
from rmaplab.mutants import MutantBase
from rmaplab.pipeline import labs, reproduce
from rmaplab.pipeline import mutants as mutants_pipeline
from rmaplab.pipeline import run as run_pipeline
from rmaplab.pipeline.run import RunRequest
from rmaplab.plan import plan
from rmaplab.selection import choose
from rmaplab.store.runfolder import RunRecord, SavedPatch

from . import builders
from .test_mutants import mutant

LAUNCH = Launch(Path("/cache/bzImage"), Path("/cache/cpio"), Accelerator.TCG)
CELL = builders.cell(settings=builders.settings("it's"), device="dmirror")
FAKE = '#!/bin/sh\npwd\nprintf "<%s>" "$@"\nexit 3\n'
TERMS = "guest=q35,settings=it's,testcase=exclusive/mapcount,device=dmirror"


def a_record(directory: Path | str, *command: str) -> RunRecord:
    return builders.record(
        builders.lab(), [CELL.id], command=("./lab.py", *command), directory=str(directory)
    )


def called(
    tmp_path: Path, record: RunRecord, cell: Cell = CELL, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Call the cell's script from a folder that has nothing to do with the run."""
    script = tmp_path / "cells" / "reproduce.sh"
    script.parent.mkdir(exist_ok=True)
    script.write_text(reproduce.script(record, cell, LAUNCH), encoding="utf-8")
    env = {**os.environ, **environment}
    return subprocess.run(
        ["sh", str(script)], cwd="/", env=env, capture_output=True, text=True, check=False
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a command that says where and how it was called."""
    folder = tmp_path / 'my $HOME\'s "lab"'
    folder.mkdir()
    (folder / "lab.py").write_text(FAKE, encoding="utf-8")
    (folder / "lab.py").chmod(0o755)
    return folder


def test_the_command_is_called_where_the_run_was_and_chooses_the_cell(
    tmp_path: Path, checkout: Path
) -> None:
    done = called(tmp_path, a_record(checkout, "run", "a lab.yaml", "--exact"))
    assert done.stdout == (f"{checkout}\n<run><a lab.yaml><--exact><--filter><kernel=base,{TERMS}>")
    assert done.returncode == 3


def test_in_an_ab_both_kernels_run_the_cell(tmp_path: Path, checkout: Path) -> None:
    record = a_record(checkout, "ab", "x.yaml", "--series", "s")
    record.comparison = ("base", "patched")
    assert called(tmp_path, record).stdout.endswith(f"<--series><s><--filter><{TERMS}>")


@pytest.mark.parametrize("base", MutantBase)
def test_the_script_of_a_mutants_cell_runs_that_cell_and_no_other(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch, base: MutantBase
) -> None:
    whole = labs.read(Path("configs/rmap.yaml"), Catalogue())
    for side in mutants_pipeline.sides(whole, replace(mutant(), base=base)):
        command = labs.command(side.lab, side.kernel, "tcg", side.config)
        one = next(cell for cell in plan(side.lab).cells if not cell.skip)
        record = builders.record(side.lab, [one.id], command=command, directory=str(checkout))
        said = called(tmp_path, record, one).stdout.partition("\n<")[2]
        words = said.removesuffix(">").split("><")
        asked: list[RunRequest] = []

        def noted(request: RunRequest, builder: object, asked: list[RunRequest] = asked) -> None:
            asked.append(request)
            raise SystemExit(0)

        monkeypatch.setattr(run_pipeline, "run", noted)
        assert CliRunner().invoke(runs.run, words[1:]).exit_code == 0
        (request,) = asked
        assert request.lab.kernels == (side.kernel,)
        assert choose(request.lab, filter=request.filter).cells == (one,)


def test_without_a_device_set_the_filter_names_none(tmp_path: Path, checkout: Path) -> None:
    done = called(tmp_path, a_record(checkout, "run", "x"), replace(CELL, device=""))
    assert done.stdout.endswith("testcase=exclusive/mapcount>")


def test_on_another_machine_the_environment_names_the_folder(
    tmp_path: Path, checkout: Path
) -> None:
    # The folder is there when the script is written, and its name is another one afterwards.
    record = a_record(checkout, "run", "x")
    text = reproduce.script(record, CELL, LAUNCH)
    moved = checkout.rename(tmp_path / "moved")
    script = tmp_path / "reproduce.sh"
    script.write_text(text, encoding="utf-8")
    for environment, status in (({}, 69), ({"RMAPLAB_DIRECTORY": str(moved)}, 3)):
        done = subprocess.run(
            ["sh", str(script)], cwd="/", env={**os.environ, **environment},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == status
        assert done.stdout.startswith(f"{moved}\n") is (status == 3)


def test_a_command_of_a_checkout_that_was_called_elsewhere_has_its_path(tmp_path: Path) -> None:
    text = reproduce.script(a_record(tmp_path, "run", "x"), CELL, LAUNCH)
    assert f"exec {paths.project() / 'lab.py'} run x --filter" in text


def test_a_record_that_names_no_folder_is_called_in_the_present_one() -> None:
    assert "directory=.\n" in reproduce.script(a_record("", "run", "x"), CELL, LAUNCH)


def test_the_guest_alone_is_shown_as_a_comment() -> None:
    lines = reproduce.script(a_record("", "run"), CELL, LAUNCH).splitlines()
    assert lines[-1].startswith("# qemu-system-x86_64 ")
    assert "/cache/bzImage" in lines[-1]


def test_the_series_is_the_one_of_the_runs_folder_or_as_it_was_given(
    tmp_path: Path, checkout: Path
) -> None:
    record = a_record(checkout, "ab", "x.yaml", "--series", "my series")
    record.kernels["patched"] = replace(
        builders.facts(), saved_patches=[SavedPatch("0001-x.patch", "12")]
    )
    assert "<--series><my series>" in called(tmp_path, record).stdout
    text = reproduce.script(record, CELL, LAUNCH)
    script = tmp_path / "run" / "cells" / CELL.id / "reproduce.sh"
    script.parent.mkdir(parents=True)
    script.write_text(text, encoding="utf-8")
    (tmp_path / "run" / "series" / "patched").mkdir(parents=True)
    done = subprocess.run(["sh", str(script)], cwd="/", capture_output=True, text=True, check=False)
    assert f"<--series><{tmp_path / 'run' / 'series' / 'patched'}>" in done.stdout


@pytest.mark.parametrize(
    "given",
    [
        ("--series", "-"),
        ("--series", "a@b.c", "--archive", "https://x.example/mm", "--accept", "v2"),
        ("--accept=v2", "--series", "first", "--series", "second"),
    ],
)
def test_what_says_which_series_is_meant_is_not_said_of_the_saved_one(
    given: tuple[str, ...], tmp_path: Path, checkout: Path
) -> None:
    record = a_record(checkout, "ab", *given[:1], *given[1:], "x.yaml", "--jobs", "2")
    record.kernels["patched"] = replace(
        builders.facts(), saved_patches=[SavedPatch("0001-x.patch", "12")]
    )
    as_given = called(tmp_path, record).stdout
    assert all(f"<{word}>" in as_given for word in given)
    (tmp_path / "run" / "cells" / CELL.id).mkdir(parents=True)
    saved = tmp_path / "run" / "series" / "patched"
    saved.mkdir(parents=True)
    script = tmp_path / "run" / "cells" / CELL.id / "reproduce.sh"
    script.write_text(reproduce.script(record, CELL, LAUNCH), encoding="utf-8")
    done = subprocess.run(["sh", str(script)], cwd="/", capture_output=True, text=True, check=False)
    words = done.stdout.partition("\n<")[2].removesuffix(">").split("><")
    assert words.count("--series") == 1
    assert words[words.index("--series") + 1] == str(saved)
    assert not {"--accept", "--archive"} & {word.partition("=")[0] for word in words}
    assert {"x.yaml", "--jobs", "--filter"} <= set(words)


@pytest.mark.parametrize("kernel", ["base", "patch-02"])
def test_a_cell_of_a_prefix_is_run_with_the_patches_up_to_it(
    kernel: str, tmp_path: Path, checkout: Path
) -> None:
    record = a_record(checkout, "patchcheck", "x.yaml", "--series", "a@b.c", "--accept", "v2")
    record.patches = (PatchFacts(1, "one", "patch-01"), PatchFacts(2, "two", "patch-02"))
    cell = replace(CELL, kernel=kernel)
    script = tmp_path / "run" / "cells" / cell.id / "reproduce.sh"
    script.parent.mkdir(parents=True)
    script.write_text(reproduce.script(record, cell, LAUNCH), encoding="utf-8")
    folder = tmp_path / "run" / "series" / "patch-02"
    words = ["sh", str(script)]
    if kernel != "base":
        done = subprocess.run(words, cwd="/", capture_output=True, text=True, check=False)
        assert (done.returncode, "is not there" in done.stderr) == (69, True)
        folder.mkdir(parents=True)
    done = subprocess.run(words, cwd="/", capture_output=True, text=True, check=False)
    series = [f"<--series><{folder}>"] if kernel != "base" else []
    terms = f"<--filter><kernel={kernel},{TERMS}><--name><{kernel}>"
    assert done.stdout == f"{checkout}\n<run><x.yaml>" + "".join([*series, terms])


def test_a_cell_of_two_revisions_is_run_with_both_of_the_runs_folder(
    tmp_path: Path, checkout: Path
) -> None:
    given = ("--series", "a@b.c", "--vs", "v1", "v2", "--accept", "x@y.z")
    record = a_record(checkout, "ab", "x.yaml", *given, "--jobs", "2")
    record.comparison, record.previous = ("base", "patched"), "previous"
    script = tmp_path / "run" / "cells" / CELL.id / "reproduce.sh"
    script.parent.mkdir(parents=True)
    script.write_text(reproduce.script(record, CELL, LAUNCH), encoding="utf-8")
    words = ["sh", str(script)]
    done = subprocess.run(words, cwd="/", capture_output=True, text=True, check=False)
    as_given = "".join(f"<{word}>" for word in given)
    assert done.stdout == f"{checkout}\n<ab><x.yaml>{as_given}<--jobs><2><--filter><{TERMS}>"
    folders = [tmp_path / "run" / "series" / name for name in ("previous", "patched")]
    for folder in folders:
        folder.mkdir(parents=True)
    done = subprocess.run(words, cwd="/", capture_output=True, text=True, check=False)
    saved = "".join(f"<{folder}>" for folder in folders)
    assert done.stdout == f"{checkout}\n<ab><x.yaml><--vs>{saved}<--jobs><2><--filter><{TERMS}>"
