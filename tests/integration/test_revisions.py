# SPDX-License-Identifier: GPL-2.0
"""Two revisions of a series against one base (``ab --vs``): real builds, guests with a script."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import ExitCode, UserError
from rmaplab.model import Change, LabOptions
from rmaplab.pipeline import labs
from rmaplab.pipeline import run as run_pipeline
from rmaplab.pipeline.evaluate import Evaluation, evaluate
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.pipeline.run import RunRequest
from rmaplab.report import terminal
from rmaplab.store.cache import Cache

from . import fake_tree
from .booted import follow
from .test_patchcheck import BROKEN, LAB, WORD

SCHEMA = Path(__file__).resolve().parents[2] / "rmaplab/schemas/results.schema.json"


def thread(tree: Path, path: Path) -> Path:
    """A box with v1, which breaks something, and v2, which does not, and has a patch more."""
    boxes = []
    for version, broken in ((1, BROKEN), (2, "\nint even;\n")):
        fake_tree.change(tree, "mm/ksm.c", "return FAKE;", "return FAKE + 1;", "mm/ksm: one more")
        fake_tree.change(tree, "mm/rmap.c", "}\n", "}\n" + broken, "mm/rmap: a global")
        if version == 2:
            fake_tree.change(tree, "mm/ksm.c", "}\n", "}\nint more;\n", "mm/ksm: another global")
        boxes.append(
            fake_tree.git(tree, "format-patch", "--stdout", f"--reroll-count={version}", "base")
        )
        fake_tree.git(tree, "reset", "--quiet", "--hard", "base")
    path.write_text("".join(boxes), encoding="utf-8")
    return path


def compared(tmp_path: Path, tree: Path, series: str, *versus: str) -> Evaluation:
    lab = tmp_path / "lab.yaml"
    lab.write_text(LAB.format(tree=tree), encoding="utf-8")
    catalogue = Catalogue()
    options = LabOptions(compared=True, series=series, versus=versus)
    asked = RunRequest(
        labs.read(lab, catalogue, options), ("./lab.py", "ab"), tmp_path / "reports",
        accelerator="tcg", jobs=1, comparison=(labs.BASE, labs.PATCHED), options=options,
        remember=False, previous=labs.PREVIOUS,
    )  # fmt: skip
    return run_pipeline.run(asked, KernelBuilder(catalogue, Cache(tmp_path / "cache"), 1))


def test_both_revisions_are_held_against_one_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    booted = follow(monkeypatch, WORD)
    tree = fake_tree.make(tmp_path / "tree")
    box = thread(tree, tmp_path / "thread.mbox")
    done = compared(tmp_path, tree, str(box), "v1", "v2")
    found, comparison = done.run.revisions, done.comparison
    assert found is not None
    assert comparison is not None
    assert len(booted) == 3
    assert [row.change for row in found.older.rows] == [Change.REGRESSED]
    assert [row.change for row in comparison.rows] == [Change.SAME_PASS]
    assert done.exit_code is ExitCode.OK  # the newer one decides
    ((old, new),) = found.differences(comparison)
    assert (old.change, new.change) == (Change.REGRESSED, Change.SAME_PASS)
    lines = found.range_diff.splitlines()
    assert [line[:2] for line in lines if line[:1] in "123-"][:3] == ["1:", "2:", "-:"]
    assert any(WORD in line for line in lines)
    assert [len(k.patches) for k in done.record.kernels.values()] == [0, 3, 2]
    again = evaluate(done.folder)
    assert again.run.revisions == found
    terminal.show_revisions(found, comparison, done.folder.path)
    assert "1 rows differ" in capsys.readouterr().out
    page = (done.folder.path / "summary.md").read_text(encoding="utf-8")
    assert "git range-diff of the two" in page
    results = json.loads((done.folder.path / "results.json").read_text(encoding="utf-8"))
    jsonschema.validate(results, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert results["previous"]["rows"][0]["change"] == "regressed"


def test_a_revision_that_is_not_there_is_said(tmp_path: Path) -> None:
    tree = fake_tree.make(tmp_path / "tree")
    box = thread(tree, tmp_path / "thread.mbox")
    with pytest.raises(UserError, match="there is no v3 in it: v1, v2"):
        compared(tmp_path, tree, str(box), "v2", "v3")
    with pytest.raises(UserError, match="are one series"):
        compared(tmp_path, tree, str(box), "v2", "v2")
