# SPDX-License-Identifier: GPL-2.0
"""Saved runs held against the present: each difference is named, and nothing else is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rmaplab.build import programs
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import UserError
from rmaplab.model import (
    ConfigSymbol,
    Kconfig,
    Kernel,
    LabOptions,
    ResolvedKernel,
    Series,
    Tree,
)
from rmaplab.model.digest import digest_of
from rmaplab.pipeline import holding, labs
from rmaplab.pipeline.kernels import facts_of
from rmaplab.store.runfolder import KernelFacts, Programs, RunFolder, SavedPatch

from .builders import lab, record
from .builders import testcase as make_testcase


def resolved(symbols: Mapping[str, str] | None = None, **changes: Any) -> ResolvedKernel:
    return ResolvedKernel(
        kernel=Kernel("base", "dir:linux", "", ("guest",)),
        tree=Tree("dir:linux", Path("/nonexistent"), "6.12.0", changes.pop("origin", "o1"),
                  changes.pop("digest", "d1")),
        series=Series("", "", changes.pop("patches", ())),
        kconfig=Kconfig(
            ("guest",),
            tuple(
                ConfigSymbol(name, value, "guest", 1)
                for name, value in ({"SWAP": "y"} if symbols is None else symbols).items()
            ),
            changes.pop("config", "c1"),
        ),
        toolchain=changes.pop("toolchain", "gcc 12"),
        recipe=changes.pop("recipe", "r1"),
        environment=changes.pop("environment", "e1"),
    )  # fmt: skip


FACTS = facts_of(resolved())


def said(facts: KernelFacts, now: ResolvedKernel) -> list[str]:
    return list(holding.of_kernel("base", facts, now))


# -- kernels ---------------------------------------------------------------------------------------


def test_a_kernel_that_is_as_it_was_has_no_difference() -> None:
    assert said(FACTS, resolved()) == []
    assert list(holding.of_kernels(record(lab(), [], kernels={"base": FACTS}),
                                   {"base": resolved()})) == []  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"digest": "d2", "origin": "o2"}, "kernel base: tree dir:linux: was o1, is o2"),
        ({"toolchain": "gcc 13"}, "kernel base: toolchain: was gcc 12, is gcc 13"),
        ({"environment": "e2"}, "kernel base: build environment: was e1, is e2"),
        ({"recipe": "r2"}, "kernel base: the lab's way to build kernels: was r1, is r2"),
        ({"symbols": {"SWAP": "n"}}, "kernel base: CONFIG_SWAP: was y, is n"),
        ({"symbols": {}}, "kernel base: CONFIG_SWAP: was y, is not asked for"),
        ({"symbols": {"SWAP": "y", "KSM": "y"}},
         "kernel base: CONFIG_KSM: was not asked for, is y"),
    ],
    ids=["tree", "toolchain", "environment", "recipe", "symbol", "symbol gone", "symbol new"],
)  # fmt: skip
def test_a_changed_part_of_a_kernel_is_named_alone(
    changed: dict[str, Any], difference: str
) -> None:
    now = resolved(**changed)
    assert said(FACTS, now) == [difference]
    # The key is of these parts: it is not told besides.
    assert list(holding.of_kernels(record(lab(), [], kernels={"base": FACTS}),
                                   {"base": now})) == [difference]  # fmt: skip


def test_a_key_is_told_if_nothing_else_explains_it() -> None:
    now = resolved(config="c2")
    assert list(holding.of_kernels(record(lab(), [], kernels={"base": FACTS}), {"base": now})) == [
        f"kernel base: its key: was {FACTS.key}, is {now.key}"
    ]


def test_each_kernel_is_held_against_its_own() -> None:
    """Of two kernels the second one changed."""
    now = {"base": resolved(), "patched": resolved(toolchain="gcc 13")}
    saved = record(lab(), [], kernels={"base": FACTS, "patched": FACTS})
    assert list(holding.of_kernels(saved, now)) == [
        "kernel patched: toolchain: was gcc 12, is gcc 13"
    ]


@pytest.mark.parametrize(("count", "more"), [(5, 0), (6, 1), (8, 3)])
def test_five_symbols_are_named_and_the_others_counted(count: int, more: int) -> None:
    now = resolved({"SWAP": "y"} | {f"S{n}": "y" for n in range(count)})
    named = [f"kernel base: CONFIG_S{n}: was not asked for, is y" for n in range(5)]
    rest = [f"kernel base: {more} more symbols of its configuration"] if more else []
    assert said(FACTS, now) == named + rest


# -- programs --------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Catalogue:
    for name in ("guests/agent.c", "testcases/lib/lib.c", "testcases/lib/lib.h"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    found = Catalogue(tmp_path)
    cases = {}
    for number in range(8):
        source = tmp_path / f"testcases/t{number}.c"
        source.write_text(str(number), encoding="utf-8")
        case = replace(make_testcase(f"exclusive/t{number}"), source=source)
        cases[case.name] = case
    found.__dict__["testcases"] = cases
    return found


def programs_differences(project: Catalogue, saved: dict[str, str] | None) -> list[str]:
    made = None if saved is None else Programs("i1", saved)
    return list(holding.of_programs(record(lab(), [], programs=made), project))


def test_programs_of_the_same_sources_have_no_difference(project: Catalogue) -> None:
    now = programs.sources(project.root, project.testcases.values())
    assert programs_differences(project, now) == []
    assert programs_differences(project, None) == []


def test_a_changed_program_is_named(project: Catalogue) -> None:
    now = programs.sources(project.root, project.testcases.values())
    assert programs_differences(project, {**now, "the agent": "old"}) == [
        f"the agent has other sources: digest was old, is {now['the agent']}"
    ]
    assert programs_differences(project, {**now, "exclusive/t0": "old"}) == [
        f"testcase exclusive/t0 has other sources: digest was old, is {now['exclusive/t0']}"
    ]
    assert programs_differences(project, {**now, "exclusive/gone": "old"}) == [
        "testcase exclusive/gone is gone: digest was old, is none"
    ]
    without = {part: digest for part, digest in now.items() if part != "exclusive/t3"}
    assert programs_differences(project, without) == [
        f"testcase exclusive/t3 is new: digest was none, is {now['exclusive/t3']}"
    ]


@pytest.mark.parametrize(("count", "more"), [(5, 0), (6, 1), (8, 3)])
def test_five_programs_are_named_and_the_others_counted(
    project: Catalogue, count: int, more: int
) -> None:
    now = programs.sources(project.root, project.testcases.values())
    old = {f"exclusive/t{n}": "old" for n in range(count)}
    found = programs_differences(project, now | old)
    assert [one.split()[1] for one in found[:5]] == [f"exclusive/t{n}" for n in range(5)]
    assert found[5:] == ([f"{more} more testcases have other sources"] if more else [])


# -- the lab ---------------------------------------------------------------------------------------


@pytest.fixture
def lab_file(tmp_path: Path) -> Path:
    path = tmp_path / "lab.yaml"
    path.write_text("the content is not read here\n", encoding="utf-8")
    return path


def test_a_lab_is_read_again_with_the_runs_options(
    lab_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, ...]] = []
    catalogue, options = Catalogue(), LabOptions(repeat=3)
    saved = record(replace(lab(), path=lab_file), [], options=options)

    def read(*words: object) -> object:
        asked.append(words)
        return saved.lab

    monkeypatch.setattr(labs, "read", read)
    assert list(holding.of_lab(saved, catalogue)) == []
    assert asked == [(lab_file, catalogue, options)]


@pytest.mark.parametrize("without", ["options", "file"])
def test_a_lab_that_cannot_be_read_again_is_not_read(
    lab_file: Path, monkeypatch: pytest.MonkeyPatch, without: str
) -> None:
    def read(*words: object) -> object:
        raise AssertionError("the lab was read")

    monkeypatch.setattr(labs, "read", read)
    saved = record(replace(lab(), path=lab_file), [], options=LabOptions())
    if without == "options":
        saved.options = None
    else:
        lab_file.unlink()
    assert list(holding.of_lab(saved, Catalogue())) == []


def test_a_lab_file_with_a_mistake_now_is_a_difference(
    lab_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*words: object) -> object:
        raise UserError("line 3: no such guest")

    monkeypatch.setattr(labs, "read", read)
    saved = record(replace(lab(), path=lab_file), [], options=LabOptions())
    assert list(holding.of_lab(saved, Catalogue())) == [
        f"{lab_file} cannot be read any more: line 3: no such guest"
    ]


@pytest.mark.parametrize(("count", "more"), [(1, 0), (5, 0), (6, 1), (8, 3)])
def test_five_differences_of_a_lab_are_named_and_the_others_counted(
    lab_file: Path, monkeypatch: pytest.MonkeyPatch, count: int, more: int
) -> None:
    was = [make_testcase(f"exclusive/t{n}") for n in range(8)]
    now = [replace(case, limit_s=20.0) if n < count else case for n, case in enumerate(was)]
    saved = record(replace(lab(testcases=was), path=lab_file), [], options=LabOptions())
    monkeypatch.setattr(labs, "read", lambda *words: replace(saved.lab, testcases=tuple(now)))
    named = [
        f"{lab_file}: testcases exclusive/t{n} limit_s: was 10.0, is 20.0"
        for n in range(min(count, 5))
    ]
    rest = [f"{lab_file}: {more} more differences"] if more else []
    assert list(holding.of_lab(saved, Catalogue())) == named + rest


NAMED = [{"name": "a", "v": 1}, {"name": "b", "v": 2}]


@pytest.mark.parametrize(
    ("value", "by_name"),
    [
        ([], []),
        ((1, "x"), [1, "x"]),
        (NAMED, {"a": {"name": "a", "v": 1}, "b": {"name": "b", "v": 2}}),
        (tuple(NAMED), {"a": {"name": "a", "v": 1}, "b": {"name": "b", "v": 2}}),
        ([NAMED[0], NAMED[0]], [NAMED[0], NAMED[0]]),
        ([NAMED[0], {"v": 2}], [NAMED[0], {"v": 2}]),
        ([NAMED[0], "b"], [NAMED[0], "b"]),
        ([NAMED[0], {"name": ""}], [NAMED[0], {"name": ""}]),
        ({"line": 1, "path": 2, "source": 3, "sources": 4}, {"sources": 4}),
        ({"one": [{"name": "a", "line": 1}]}, {"one": {"a": {"name": "a"}}}),
        (None, None),
    ],
    ids=["empty", "values", "named", "named tuple", "equal names", "one without", "one no mapping",
         "empty name", "places", "nested", "none"],
)  # fmt: skip
def test_named_things_are_compared_by_their_names(value: Any, by_name: Any) -> None:
    assert holding._by_name(value) == by_name


@pytest.mark.parametrize(
    ("was", "now", "differences"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {}, ["a: is gone"]),
        ({}, {"a": 1}, ["a: is new"]),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, ["a b c: was 1, is 2"]),
        ({"a": [1, 2, 3]}, {"a": [1, 5, 3]}, ["a 2: was 2, is 5"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a: was 1 entries, is 2 entries"]),
        ({"a": [1]}, {"a": {"b": 1}}, ["a: was 1 entries, is {'b': 1}"]),
        ({"a": {"b": 1}}, {"a": [1]}, ["a: was {'b': 1}, is 1 entries"]),
        ({"a": "x"}, {"a": None}, ["a: was 'x', is None"]),
        ({"b": 1, "a": 1}, {"c": 1, "b": 2}, ["b: was 1, is 2", "a: is gone", "c: is new"]),
        ({"a": "x" * 78}, {"a": ""}, [f"a: was '{'x' * 78}', is ''"]),
        ({"a": "x" * 79}, {"a": ""}, [f"a: was '{'x' * 76}..., is ''"]),
    ],
    ids=["equal", "gone", "new", "deep", "of a list", "longer list", "list to mapping",
         "mapping to list", "none", "order", "80 characters", "81 characters"],
)  # fmt: skip
def test_values_differ_where_they_differ(was: Any, now: Any, differences: list[str]) -> None:
    assert list(holding.of_values("", was, now)) == differences


# -- the run's folder ------------------------------------------------------------------------------

MAIL = b"Subject: x\n\n---\n--- a/mm/rmap.c\n+++ b/mm/rmap.c\n@@ -1 +1 @@\n-old\n+new\n-- \n2.39\n"
DIFF = b"--- a/mm/rmap.c\n+++ b/mm/rmap.c\n@@ -1 +1 @@\n-old\n+new\n"


@pytest.mark.parametrize(
    ("text", "difference"),
    [
        (MAIL, ""),
        (DIFF, ""),
        (MAIL.replace(b"+new", b"+other"), " has another diff than the kernel was built with"),
        (b"no diff\n", " is damaged"),
        (b"@@ -1 +1 @@\n" + MAIL, " is damaged"),
        (None, " is damaged"),
    ],
    ids=["as it was", "diff alone", "another diff", "no diff", "a hunk of no file", "gone"],
)
def test_a_saved_patch_is_the_one_that_was_built(
    tmp_path: Path, text: bytes | None, difference: str
) -> None:
    for name in ("0001-good.patch", "0002-x.patch"):
        path = tmp_path / "series/patched" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(MAIL)
    if text is None:
        (tmp_path / "series/patched/0002-x.patch").unlink()
    else:
        (tmp_path / "series/patched/0002-x.patch").write_bytes(text)
    patches = [SavedPatch(f"000{n}-{name}.patch", digest_of(DIFF))
               for n, name in ((1, "good"), (2, "x"))]  # fmt: skip
    saved = record(lab(), [], kernels={"patched": replace(FACTS, saved_patches=patches)})
    assert list(holding.of_folder(RunFolder(tmp_path), saved)) == (
        [f"series/patched/0002-x.patch{difference}"] if difference else []
    )


def test_a_saved_patch_that_leads_out_of_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(MAIL)
    patches = [SavedPatch("../../../elsewhere", digest_of(DIFF))]
    saved = record(lab(), [], kernels={"patched": replace(FACTS, saved_patches=patches)})
    assert list(holding.of_folder(RunFolder(tmp_path / "run"), saved)) == [
        "series/patched/../../../elsewhere is damaged"
    ]
