# SPDX-License-Identifier: GPL-2.0
"""Claims of testcases to drive kernel functions, against what recorded cells ran."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rmaplab import cli
from rmaplab.build import functions
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import BuildError, UserError
from rmaplab.evidence import blocks
from rmaplab.evidence.blocks import RunBlocks
from rmaplab.evidence.names import BLOCKS
from rmaplab.model.coverage import Ranges
from rmaplab.pipeline import proven
from rmaplab.pipeline.kernels import KernelBuilder
from rmaplab.pipeline.proven import ProvenWalker
from rmaplab.plan import plan
from rmaplab.store.cache import Cache
from rmaplab.store.runfolder import RunFolder

from .builders import KTAP_PASS, conversation, facts, lab, run_folder, testcase

TEXT = 0xFFFF_FFFF_8100_0000
SYSTEM_MAP = f"""{TEXT:016x} T _text
{TEXT + 0x100:016x} t try_to_unmap_one
{TEXT + 0x180:016x} t __pfx_page_vma_mkclean_one
{TEXT + 0x190:016x} t page_vma_mkclean_one.constprop.0
{TEXT + 0x200:016x} t folio_referenced_one
{TEXT + 0x280:016x} D jiffies
"""
LAB = lab(testcases=[testcase("reclaim/anon-sharers"), testcase("dirty/msync-blockdev", id="T2")])
# Both are named by testcases of the catalogue; what the catalogue says is what counts.
ANON = "base.q35.thp-never.reclaim.anon-sharers.1"
DIRTY = "base.q35.thp-never.dirty.msync-blockdev.1"


def ran(*stretches: tuple[int, int]) -> bytes:
    begins, ends = zip(*((TEXT + b, TEXT + e) for b, e in stretches), strict=True)
    return blocks.encode(RunBlocks(begins, ends))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("RMAPLAB_CACHE", str(tmp_path / "cache"))
    found = Cache()
    place = found.path("builds", "a" * 16) / "obj"
    place.mkdir(parents=True)
    (place / "System.map").write_text(SYSTEM_MAP, encoding="ascii")

    def none(*_: object) -> dict[str, Ranges]:
        return {}

    monkeypatch.setattr(functions, "_by_debug_info", none)
    monkeypatch.setattr(proven, "patched", None)
    return found


def a_run(path: Path, **records: bytes) -> RunFolder:
    cells = dict.fromkeys((one.id for one in plan(LAB).cells), conversation(*KTAP_PASS))
    found = run_folder(path, LAB, cells, kernels={"base": facts("a" * 16)})
    names = {"anon": ANON, "dirty": DIRTY}
    for name, content in records.items():
        (found.place(names[name]) / BLOCKS).write_bytes(content)
    return found


def walkers(cache: Cache, *runs: RunFolder) -> dict[str, ProvenWalker]:
    builder = KernelBuilder(Catalogue(), cache, 1)
    found = proven.of_runs([run.path for run in runs], builder.catalogue, builder)
    return {one.walker.name: one for one in found}


def test_a_testcase_that_ran_its_function_keeps_its_claim(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proven, "_places", _places_of(cache))
    found = walkers(
        cache, a_run(tmp_path / "run", anon=ran((0x120, 0x124)), dirty=ran((0x1A0, 0x1B0)))
    )
    assert found["try_to_unmap_one"].proven == ("reclaim/anon-sharers",)
    assert found["page_vma_mkclean_one"].proven == ("dirty/msync-blockdev",)
    assert "reclaim/anon-sharers" in found["folio_referenced_one"].unproven
    said = list(proven.claims([*found.values()]))
    assert any(
        "reclaim/anon-sharers says that it drives folio_referenced_one()" in one for one in said
    )


def _places_of(cache: Cache):  # type: ignore[no-untyped-def]
    build = cache.path("builds", "a" * 16)
    wanted = {one.name: one.file for one in Catalogue().walkers}
    return lambda *_: functions.locate(wanted, build, Path)


def test_the_next_symbol_ends_a_function_and_parts_of_it_count(cache: Cache) -> None:
    build = cache.path("builds", "a" * 16)
    found = functions.locate({"page_vma_mkclean_one": "mm/rmap.c", "gone": "x.c"}, build, Path)
    assert found == {"page_vma_mkclean_one": ((TEXT + 0x190, TEXT + 0x200),)}
    assert functions.locate({"page_vma_mkclean_one": "mm/rmap.c"}, build, Path) == found


def test_a_damaged_memory_of_places_is_made_again(cache: Cache) -> None:
    build = cache.path("builds", "a" * 16)
    wanted = {"try_to_unmap_one": "mm/rmap.c"}
    first = functions.locate(wanted, build, Path)
    (build / functions.KNOWN).write_text('{"try_to_unmap_one": 3', encoding="ascii")
    assert functions.locate(wanted, build, Path) == first


def test_who_ran_a_function_without_a_claim_is_no_mistake(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proven, "_places", _places_of(cache))
    found = walkers(cache, a_run(tmp_path / "run", dirty=ran((0x120, 0x124), (0x190, 0x194))))
    assert found["try_to_unmap_one"].others == ("dirty/msync-blockdev",)
    assert list(proven.claims([*found.values()])) == []


def test_several_runs_are_one_answer(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proven, "_places", _places_of(cache))
    one = a_run(tmp_path / "one", anon=ran((0x120, 0x124)))
    two = a_run(tmp_path / "two", anon=ran((0x210, 0x214)))
    found = walkers(cache, one, two)
    for name in ("try_to_unmap_one", "folio_referenced_one"):
        assert "reclaim/anon-sharers" in found[name].proven


def test_a_run_without_a_record_is_a_users_mistake(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing was recorded"):
        walkers(cache, a_run(tmp_path / "run"))


def test_a_kernel_that_is_gone_is_said(cache: Cache, tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", anon=ran((0x120, 0x124)))
    (cache.path("builds", "a" * 16) / "obj/System.map").unlink()
    with pytest.raises(UserError, match="is not in the cache any more"):
        walkers(cache, run)


def test_proven_needs_walkers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["lab.py", "list", "--proven", "x"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "--proven speaks of --walkers" in capsys.readouterr().err


def test_the_verb_exits_with_1_for_a_claim_that_is_not_kept(
    cache: Cache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(proven, "_places", _places_of(cache))
    run = a_run(tmp_path / "run", anon=ran((0x120, 0x124)))
    words = ["lab.py", "list", "--walkers", "--proven", str(run.path)]
    for form, code in (("json", 1), ("text", 1)):
        monkeypatch.setattr("sys.argv", [*words, "--format", form])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == code
        said = capsys.readouterr()
        if form == "json":
            rows = {row["walker"]: row for row in json.loads(said.out)}
            assert rows["try_to_unmap_one"]["proven"] == ["reclaim/anon-sharers"]
        else:
            assert "no recorded cell of it did" in said.err


def test_an_odd_build_is_its_kernels_fault(cache: Cache) -> None:
    build = cache.path("builds", "a" * 16)
    (build / "obj/System.map").unlink()
    (build / "obj/System.map").symlink_to("/etc/passwd")
    with pytest.raises(BuildError):
        functions.locate({"x": "mm/rmap.c"}, build, Path)
