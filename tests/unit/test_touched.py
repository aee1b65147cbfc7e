# SPDX-License-Identifier: GPL-2.0
"""A choice of testcases by what they reach of a series, and the memory that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmaplab.build import changedcode
from rmaplab.evidence.blocks import RunBlocks
from rmaplab.model import Kconfig, Kernel, Patch, ResolvedKernel, Series, Tree
from rmaplab.model.coverage import (
    ChangedFile,
    ChangedFunction,
    ChangedLine,
    KernelChange,
    LineKind,
)
from rmaplab.pipeline import touched
from rmaplab.store import reached
from rmaplab.store.cache import Cache
from rmaplab.touched import ChosenTestcase, TouchedPlace, choose, spread, thinned

NAMES = [f"t{n}" for n in range(12)]
ROWS = dict.fromkeys(NAMES, 2)


def place(name: str, *by: int) -> TouchedPlace:
    return TouchedPlace(name, frozenset(f"t{n}" for n in by))


def taken(choices: tuple[ChosenTestcase, ...]) -> set[str]:
    return {one.testcase for one in choices if one.taken}


def test_who_reaches_nothing_is_left_out_and_it_is_said_why() -> None:
    found = choose([place("f()", 1, 2)], ROWS)
    assert taken(found) == {"t1", "t2"}
    assert {one.why for one in found if not one.taken} == {
        "reaches nothing that the series touches"
    }


def test_the_core_and_the_unrecorded_are_always_taken() -> None:
    found = choose([place("f()", 1)], ROWS, core=["t7"], unrecorded=["t8", "t9"])
    assert taken(found) == {"t1", "t7", "t8", "t9"}
    assert next(one.why for one in found if one.testcase == "t8").startswith("nothing is recorded")


def test_who_is_there_to_drive_it_keeps_its_rows_and_the_others_one_each() -> None:
    hot = TouchedPlace("hot()", frozenset(NAMES), frozenset({"t11", "elsewhere"}))
    rows = dict.fromkeys(NAMES, 3)
    found = choose([hot, place("rare()", 0, 1)], rows)
    why = {one.testcase: one.why for one in found}
    assert why["t11"] == "is there to drive hot()"
    assert why["t0"] == "reaches rare(), as 1 other does"
    kept = thinned(found, rows, share=15 / 36)
    assert kept == {**dict.fromkeys(NAMES, 1), "t11": 3, "t0": 2}
    assert thinned(found, rows, share=1) == rows


@given(
    st.dictionaries(st.sampled_from(NAMES), st.integers(1, 30), min_size=1),
    st.sets(st.sampled_from(NAMES)),
)
def test_each_taken_testcase_keeps_a_row_and_no_more_than_it_has(
    rows: dict[str, int], named: set[str]
) -> None:
    choices = tuple(ChosenTestcase(name, name in named, "") for name in rows)
    kept = thinned(choices, rows)
    assert kept.keys() == named & rows.keys()
    assert all(1 <= kept[name] <= rows[name] for name in kept)
    assert sum(kept.values()) <= max(len(kept), sum(rows.values()) // 3)


@given(st.integers(1, 50), st.integers(1, 50))
def test_rows_that_are_kept_are_apart(count: int, kept: int) -> None:
    kept = min(count, kept)
    found = spread(count, kept)
    assert len(set(found)) == kept
    assert set(found) <= set(range(count))


_PLACES = st.lists(
    st.builds(
        lambda n, by: TouchedPlace(f"f{n}()", frozenset(by)),
        st.integers(0, 99),
        st.sets(st.sampled_from(NAMES)),
    ),
    max_size=8,
)


@given(_PLACES, st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_every_place_keeps_a_testcase_and_everyone_is_named_once(
    places: list[TouchedPlace], core: set[str], unrecorded: set[str]
) -> None:
    found = choose(places, ROWS, core=core, unrecorded=unrecorded)
    assert [one.testcase for one in found] == NAMES
    assert all(one.why for one in found)
    chosen = taken(found)
    assert core | unrecorded <= chosen
    for one in places:
        assert one.by <= chosen


# -- what a series touches -----------------------------------------------------------------------

KERNEL = ResolvedKernel(
    Kernel("patched", "dir:x", "x", ()), Tree("dir:x", Path("/x"), "6.12", "x", "x"),
    Series("x", "x", (Patch("x", "x", "x", b"", "x", ("mm/rmap.c", "Kconfig")),)),
    Kconfig((), (), "x"), "gcc", "1", "",
)  # fmt: skip
REACHED = {"a": RunBlocks((0x10,), (0x20,)), "b": RunBlocks((0x18, 0x40), (0x20, 0x50))}


def of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *files: ChangedFile) -> touched.Touched:
    monkeypatch.setattr(changedcode, "touched", lambda *_: KernelChange(files))
    return touched.of_series(
        KERNEL, tmp_path, REACHED, {"walk": frozenset({"a", "z"})}, Cache(tmp_path)
    )


def test_lines_and_functions_are_reached_by_who_ran_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = of(
        monkeypatch, tmp_path,
        ChangedFile("mm/rmap.c", "", (ChangedLine(7, LineKind.CODE, ((0x44, 0x48),)),),
                    (ChangedFunction("walk", 3, ((0x10, 0x50),)),)),
    )  # fmt: skip
    assert {one.name: set(one.by) for one in found.places} == {
        "mm/rmap.c:7": {"b"}, "walk()": {"a", "b"},
    }  # fmt: skip
    assert {one.name: set(one.named & one.by) for one in found.places if one.named} == {
        "walk()": {"a"}
    }


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (ChangedFile("include/linux/rmap.h", "", loose=(4, 5)),
         "include/linux/rmap.h outside of functions (lines 4, 5)"),
        (ChangedFile("mm/ksm.c", "", note="mm/ksm.o: its code is another"),
         "mm/ksm.c: mm/ksm.o: its code is another"),
        (ChangedFile("mm/x.c", "", (ChangedLine(1, LineKind.NOT_BUILT),)),
         "mm/x.c: no function of it is in the kernel"),
    ],
)  # fmt: skip
def test_with_what_no_code_stands_for_nothing_can_be_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: ChangedFile, said: str
) -> None:
    found = of(monkeypatch, tmp_path, file)
    assert said in found.unbound


def test_a_file_of_another_kind_is_named_and_documentation_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = of(monkeypatch, tmp_path, ChangedFile("Documentation/x.rst", "", loose=(1,)))
    others = {f"{name}, a file of another kind" for name in ("mm/rmap.c", "Kconfig")}
    assert set(found.unbound) == others


# -- the memory ----------------------------------------------------------------------------------

SOURCES: Mapping[str, str] = {"a/b": "1", "c/d": "2"}


def test_what_was_learned_is_known_of_this_kernel_and_this_source(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    reached.learn(cache, "k1", {"a/b": [RunBlocks((1,), (3,))]}, SOURCES)
    reached.learn(cache, "k1", {"a/b": [RunBlocks((2, 9), (4, 10))]}, SOURCES)
    assert reached.known(cache, "k1", ["a/b", "c/d"], SOURCES) == {
        "a/b": RunBlocks((1, 9), (4, 10))
    }
    assert reached.known(cache, "k2", ["a/b"], SOURCES) == {}
    assert reached.known(cache, "k1", ["a/b"], {"a/b": "changed"}) == {}


def test_a_damaged_memory_is_none(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    reached.learn(cache, "k", {"a/b": [RunBlocks((1,), (3,))]}, SOURCES)
    (path,) = (tmp_path / "coverage/k").glob("*.bin")
    path.write_bytes(path.read_bytes()[:-3])
    assert reached.known(cache, "k", ["a/b"], SOURCES) == {}
    reached.learn(cache, "k", {"a/b": [RunBlocks((5,), (6,))]}, SOURCES)
    assert reached.known(cache, "k", ["a/b"], SOURCES) == {"a/b": RunBlocks((5,), (6,))}


def test_a_full_disk_costs_the_memory_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reached, "write_whole", full)
    reached.learn(Cache(tmp_path), "k", {"a/b": [RunBlocks((1,), (3,))]}, SOURCES)
    assert "not kept for later" in capsys.readouterr().err
