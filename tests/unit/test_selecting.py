# SPDX-License-Identifier: GPL-2.0
"""A run with --touched: which rows stay, what is said of the others, what is kept for later."""

from __future__ import annotations

import dataclasses
import json
import types
from pathlib import Path
from typing import Any

import pytest

from rmaplab.build import programs
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import UserError
from rmaplab.evidence import blocks
from rmaplab.evidence.blocks import RunBlocks
from rmaplab.evidence.names import BLOCKS
from rmaplab.model import Kconfig, Kernel, Patch, ResolvedKernel, Series, Tree
from rmaplab.pipeline import selecting, touched
from rmaplab.pipeline.touched import Touched
from rmaplab.plan import plan
from rmaplab.store import reached
from rmaplab.store.cache import Cache
from rmaplab.store.runfolder import Programs, RunFolder
from rmaplab.touched import TouchedPlace

from .builders import (
    KTAP_PASS,
    conversation,
    facts,
    kernel,
    lab,
    run_folder,
    settings,
    testcase,
)

LAB = lab(
    kernels=[kernel("base"), kernel("patched", series="x")],
    testcases=[
        testcase("control/empty", id="C"),
        testcase("exclusive/a"),
        testcase("migrate/b", id="T2"),
        testcase("split/c", id="T3"),
    ],
)
NOTHING = Series("", "", ())
SERIES = Series("x", "x", (Patch("x", "x", "x", b"", "x", ("mm/rmap.c",)),))


def resolved(name: str, series: Series) -> ResolvedKernel:
    return ResolvedKernel(
        Kernel(name, "dir:x", "", ()), Tree("dir:x", Path("/x"), "6.12", "x", "x"), series,
        Kconfig((), (), "x"), "gcc", "1", "",
    )  # fmt: skip


KERNELS = {"base": resolved("base", NOTHING), "patched": resolved("patched", SERIES)}


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A builder whose base is built, and a memory of each testcase."""
    cache = Cache(tmp_path / "cache")
    built = types.SimpleNamespace(folder=tmp_path / "build")
    monkeypatch.setattr(programs, "sources", lambda *_: {})
    ran = {one.name: [RunBlocks((1,), (2,))] for one in LAB.testcases}
    reached.learn(cache, KERNELS["base"].key, ran, {})
    return types.SimpleNamespace(
        cache=cache, catalogue=Catalogue(), build=lambda kernels, keep: {"base": built}
    )


def narrow(
    builder: Any, monkeypatch: pytest.MonkeyPatch, *by: str, unbound: tuple[str, ...] = ()
) -> selecting.Selection:
    found = Touched((TouchedPlace("walk()", frozenset(by)),), unbound)
    monkeypatch.setattr(touched, "of_series", lambda *_: found)
    return selecting.narrow(plan(LAB), KERNELS, builder)


def test_both_kernels_keep_the_rows_that_reach_it_and_the_core(
    builder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = narrow(builder, monkeypatch, "exclusive/a")
    kept = {(row.first.kernel, row.first.testcase.name) for row in found.plan.rows}
    assert kept == {(side, name) for side in KERNELS for name in ("control/empty", "exclusive/a")}
    left = {one.reason for one in found.plan.left_out}
    assert left == {"reaches nothing that the series touches (--touched)"}
    assert found.words == "2 of 4 testcases, 2 reach nothing that the series touches"


def test_a_testcase_without_a_record_is_run(
    builder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    builder.cache = Cache(tmp_path / "other")
    ran = {name: [RunBlocks((1,), (2,))] for name in ("exclusive/a", "migrate/b")}
    reached.learn(builder.cache, KERNELS["base"].key, ran, {})
    found = narrow(builder, monkeypatch, "exclusive/a")
    assert "split/c" in {row.first.testcase.name for row in found.plan.rows}
    assert "1 of them because nothing is recorded of them" in found.words


def test_with_what_is_not_bound_to_code_nothing_is_left_out(
    builder: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = narrow(builder, monkeypatch, "exclusive/a", unbound=("rmap.h outside of functions",))
    assert found.plan == plan(LAB)
    assert "leaves nothing out: the series touches rmap.h" in capsys.readouterr().err


def test_without_a_series_there_is_nothing_to_choose_by(builder: Any) -> None:
    with pytest.raises(UserError, match="name it with --series"):
        selecting.narrow(plan(LAB), {"base": KERNELS["base"]}, builder)


def test_the_run_folder_has_each_testcase_and_why(
    builder: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    narrow(builder, monkeypatch, "exclusive/a").save(folder)
    said = json.loads((tmp_path / selecting.FILE).read_text("utf-8"))
    assert [one["testcase"] for one in said["testcases"]] == [t.name for t in LAB.testcases]
    assert all(one["why"] for one in said["testcases"])


def test_a_run_is_remembered_by_kernel_without_records_that_lack_something(
    builder: Any, tmp_path: Path
) -> None:
    cells = dict.fromkeys((one.id for one in plan(LAB).cells), conversation(*KTAP_PASS))
    folder = run_folder(
        tmp_path / "run", LAB, cells, comparison=("base", "patched"),
        kernels={"base": facts("b" * 16), "patched": facts("a" * 16)},
        programs=Programs("", {"exclusive/a": "s"}),
    )  # fmt: skip
    whole, lacking = RunBlocks((5,), (6,)), RunBlocks((5,), (6,), dropped=1)
    for name, ran in (("exclusive.a", whole), ("migrate.b", lacking)):
        place = folder.place(f"base.q35.thp-never.{name}.1")
        (place / BLOCKS).write_bytes(blocks.encode(ran))
    for name in cells:
        folder.journal("cell", cell=name)
    record = dataclasses.replace(folder.read_record())
    selecting.learn(folder, record, builder)
    names = [one.name for one in LAB.testcases]
    assert reached.known(builder.cache, "b" * 16, names, {"exclusive/a": "s"}) == {
        "exclusive/a": whole
    }
    assert reached.known(builder.cache, "a" * 16, names, {}) == {}


def test_too_many_rows_are_thinned_alike_on_both_kernels(
    builder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = dataclasses.replace(LAB, settings=(settings("thp-never"), settings("thp-always")))
    found = Touched((TouchedPlace("walk()", frozenset({"exclusive/a"})),), ())
    monkeypatch.setattr(touched, "of_series", lambda *_: found)
    selection = selecting.narrow(plan(wide), KERNELS, builder)
    kept = [(row.first.kernel, row.first.row) for row in selection.plan.rows]
    by = {side: [row for kernel, row in kept if kernel == side] for side in KERNELS}
    assert by["base"] == by["patched"]
    assert sorted(row[0] for row in by["base"]) == ["control/empty", "exclusive/a"]
    assert selection.words.endswith("in 2 of 4 rows")
    reasons = {one.reason for one in selection.plan.left_out}
    assert "its testcase is in other rows (--touched)" in reasons
