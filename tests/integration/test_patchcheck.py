# SPDX-License-Identifier: GPL-2.0
"""A series checked patch by patch: real builds of a small tree, guests that follow a script.

A guest's testcase fails if its kernel's image has a word in it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import ExitCode, UserError
from rmaplab.model import Change, LabOptions
from rmaplab.pipeline import labs, patchcheck
from rmaplab.pipeline.evaluate import Evaluation, evaluate
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.pipeline.run import RunRequest
from rmaplab.report import terminal
from rmaplab.store.cache import Cache

from . import fake_tree
from .booted import follow

LAB = """\
name: patchcheck
kernels:
  - name: base
    tree: dir:{tree}
    config: [guest]
guests: [q35]
settings: [thp-never]
testcases: [control/empty]
"""
WORD = "BROKEN"
BROKEN = f'\nconst char *odd = "{WORD}";\n'


@pytest.fixture
def booted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The builds that guests were started with."""
    return follow(monkeypatch, WORD)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return fake_tree.make(tmp_path / "tree")


def checked(tmp_path: Path, tree: Path, *, filter: str = "") -> Evaluation:
    """The series of the commits on the tree's ``base``, patch by patch."""
    series = tmp_path / "series"
    if not series.exists():
        fake_tree.series_of(tree, series)
    lab = tmp_path / "lab.yaml"
    lab.write_text(LAB.format(tree=tree), encoding="utf-8")
    catalogue = Catalogue()
    options = LabOptions(compared=True, series=str(series))
    asked = RunRequest(
        labs.read(lab, catalogue, options), ("./lab.py", "patchcheck"), tmp_path / "reports",
        accelerator="tcg", jobs=1, filter=filter, comparison=("base", "patched"), options=options,
        remember=False,
    )  # fmt: skip
    return patchcheck.check(asked, KernelBuilder(catalogue, Cache(tmp_path / "cache"), 1))


def seeded(tree: Path) -> None:
    """A series whose third patch breaks what the last mends, and whose fourth does not build."""
    fake_tree.change(tree, "mm/ksm.c", "return FAKE;", "return FAKE + 1;", "mm/ksm: one more")
    fake_tree.change(tree, "mm/ksm.c", "}\n", "}\n/* The end. */\n", "mm/ksm: say the end")
    fake_tree.change(
        tree, "mm/rmap.c", "}\n", "}\n" + BROKEN + "int *odder = 5;\n", "mm/rmap: a bug"
    )
    fake_tree.change(tree, "mm/ksm.c", "int ksm", "int it ksm", "mm/ksm: a typo")
    fake_tree.change(tree, "mm/ksm.c", "int it ksm", "int ksm", "mm/ksm: no typo")
    fake_tree.change(tree, "mm/rmap.c", BROKEN, "", "mm/rmap: no bug")


def test_each_patch_is_built_and_run_and_the_table_says_which_breaks_what(
    tmp_path: Path, tree: Path, booted: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    seeded(tree)
    done = checked(tmp_path, tree)
    table = done.run.patches
    assert table is not None
    assert [patch.kernel for patch in table.patches] == [
        "patch-01", "patch-01", "patch-03", "", "patch-03", "patch-06",
    ]  # fmt: skip
    (episode,) = table.episodes
    assert (episode.testcase, episode.since, episode.until) == ("control/empty", 3, 6)
    assert (episode.change, episode.phrase) == (
        Change.REGRESSED, "broken by patch 3, mended by patch 6",
    )  # fmt: skip
    assert table.marks("control/empty") == "..X!X."
    assert "it ksm" in table.patches[3].error or "expected" in table.patches[3].error
    assert [len(patch.warnings) for patch in table.patches] == [0, 0, 1, 0, 0, 0]
    assert "mm/rmap.c:" in table.patches[2].warnings[0]
    assert done.exit_code is ExitCode.BUILD
    assert len(done.results) == len(booted) == 4
    patches = {name: len(list((done.folder.path / "series" / name).glob("*.patch")))
               for name in ("patch-01", "patch-03", "patch-06")}  # fmt: skip
    assert patches == {"patch-01": 1, "patch-03": 3, "patch-06": 6}
    again = evaluate(done.folder)
    assert again.run.patches == table
    assert again.summary == done.summary
    terminal.show_patches(table)
    said = capsys.readouterr().out
    assert "broken by patch 3, mended by patch 6" in " ".join(said.split())
    assert "control/empty  ..X!X." in said


def test_each_prefix_is_built_from_the_one_before(
    tmp_path: Path, tree: Path, booted: list[str]
) -> None:
    fake_tree.change(tree, "mm/ksm.c", "return FAKE;", "return FAKE + 1;")
    fake_tree.change(tree, "mm/rmap.c", "return FAKE;", "return FAKE + 2;")
    done = checked(tmp_path, tree)
    assert done.exit_code is ExitCode.OK
    logs = {
        name: (done.folder.path / "builds" / facts.key / "build.log").read_text(encoding="utf-8")
        for name, facts in done.record.kernels.items()
    }
    compiled = {name: text.count("  CC ") for name, text in logs.items()}
    assert compiled == {"base": 2, "patch-01": 1, "patch-02": 1}
    assert "mm/rmap" in logs["patch-02"]


def test_a_series_that_changes_no_object_runs_nothing_more(
    tmp_path: Path, tree: Path, booted: list[str]
) -> None:
    fake_tree.change(tree, "mm/ksm.c", "}\n", "}\n/* The end. */\n")
    fake_tree.change(tree, "mm/Kconfig", "config FAKE", "# more\nconfig FAKE")
    done = checked(tmp_path, tree)
    table = done.run.patches
    assert table is not None
    assert [patch.kernel for patch in table.patches] == ["base", "base"]
    assert len(booted) == 1
    assert "2 with the image of the kernel before" in done.summary.headline


def test_what_base_fails_too_is_not_the_series_fault(
    tmp_path: Path, tree: Path, booted: list[str]
) -> None:
    fake_tree.change(tree, "mm/rmap.c", "}\n", "}\n" + BROKEN)
    fake_tree.git(tree, "tag", "--force", "base")
    fake_tree.change(tree, "mm/ksm.c", "return FAKE;", "return FAKE + 1;")
    fake_tree.change(tree, "mm/rmap.c", BROKEN, "")
    done = checked(tmp_path, tree)
    table = done.run.patches
    assert table is not None
    assert table.marks("control/empty") == "f+"
    assert [one.phrase for one in table.episodes] == ["fixed by patch 2"]
    assert done.exit_code is ExitCode.OK


def test_nothing_is_built_if_nothing_would_run(tmp_path: Path, tree: Path) -> None:
    fake_tree.change(tree, "mm/ksm.c", "return FAKE;", "return FAKE + 1;")
    with pytest.raises(UserError):
        checked(tmp_path, tree, filter="testcase=no/such")
    assert not (tmp_path / "cache/builds").exists()
