# SPDX-License-Identifier: GPL-2.0
"""Kernels: what is mistyped is told at once, each is resolved once, and a run's folder has it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rmaplab.build import kernel as build_kernel
from rmaplab.build.sandbox import STEP_LIMIT_S
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import BuildError, InfraError, UserError
from rmaplab.model import Build, Kernel, Patch, ResolvedKernel
from rmaplab.pipeline import holding, labs
from rmaplab.pipeline.kernels import KernelBuilder, facts_of, save_series
from rmaplab.source import debian, diff
from rmaplab.source import series as series_source
from rmaplab.source import tree as tree_source
from rmaplab.store.cache import Cache
from rmaplab.store.runfolder import KernelFacts, RunFolder

from .builders import kernel, lab, record
from .repositories import commit, git, repository

MAKEFILE = "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 1\n"
RMAP = "".join(f"line {n}\n" for n in range(1, 21))


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    repo = repository(tmp_path / "repo", {"Makefile": MAKEFILE, "mm/rmap.c": RMAP})
    git(repo, "tag", "base")
    commit(
        repo,
        "mm/rmap: ümlauts, and a cover-letter\n\nFrom here on.\n\nWith ü.",
        {"mm/rmap.c": RMAP.replace("line 5\n", "line five\n")},
    )
    latin = repo / "mm/latin.c"
    latin.write_bytes(b"/* \xfc */\r\nint x;\n-- \n2.39\n")
    commit(repo, "[tag] mm: a file that is no UTF-8")
    return repo


@pytest.fixture
def builder(tmp_path: Path) -> KernelBuilder:
    return KernelBuilder(Catalogue(), Cache(tmp_path / "cache"), 1)


@pytest.fixture
def patched(repo: Path) -> Kernel:
    git(repo, "checkout", "--quiet", "base")
    return kernel("patched", tree=f"dir:{repo}", series=f"git:{repo}#base..main")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "reports", "tiny")


def test_what_is_accepted_of_a_series_comes_with_its_kernel(
    builder: KernelBuilder, repo: Path, tmp_path: Path
) -> None:
    part = tmp_path / "part.patch"
    part.write_text(git(repo, "format-patch", "--stdout", "-1", "--start-number=2", "-N", "main~1")
                    .replace("[PATCH]", "[PATCH 2/7]"), encoding="utf-8")  # fmt: skip
    asked = kernel("patched", tree=f"dir:{repo}", series=str(part))
    with pytest.raises(UserError, match="missing"):
        builder.resolve(asked)
    assert len(builder.resolve(replace(asked, accept=("2/7",))).series.patches) == 1
    words = labs.command(lab(), replace(asked, accept=("2/7", "v1")), "tcg")
    assert " --accept 2/7 --accept v1 " in f"{' '.join(words)} "


# -- mistakes ----------------------------------------------------------------------------------


def test_every_mistyped_tree_and_series_is_told_at_once(
    builder: KernelBuilder, repo: Path, tmp_path: Path
) -> None:
    kernels = (
        kernel("a", tree="ftp:x", series="nowhere"),
        kernel("b", tree=f"git:{repo}#nope"),
        kernel("c", tree=f"dir:{repo}/none", series=f"git:{repo}#base..nope"),
        kernel("d", tree=f"dir:{repo}", series="nowhere"),
    )
    with pytest.raises(UserError) as caught:
        builder.resolve_all(lab(kernels=kernels))
    said = caught.value.message.splitlines()
    assert len([line for line in said if "fatal" not in line]) >= 5
    for part in ("'ftp:x'", "'nowhere'", "no commit 'nope'", "no Makefile", "base..nope"):
        assert sum(part in line for line in said) == 1, part
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("end", ["", "#sha256=1", f"#sha256={'0' * 64}"])
def test_a_mistyped_archive_is_told_before_anything_is_unpacked(
    builder: KernelBuilder, tmp_path: Path, end: str
) -> None:
    (tmp_path / "linux.tar").write_bytes(b"x")
    for place in (tmp_path / "linux.tar", tmp_path / "none.tar"):
        with pytest.raises(UserError):
            builder.check(lab(kernels=[kernel(tree=f"tar:{place}{end}")]))
    assert not (tmp_path / "cache").exists()


def test_a_host_that_cannot_look_is_no_mistake_of_a_plan(
    builder: KernelBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(package: str) -> str:
        raise InfraError("apt knows nothing")

    monkeypatch.setattr(debian, "wanted", unable)
    debians = lab(kernels=[kernel(tree="debian:linux-source-6.12")])
    builder.check_names(debians)
    with pytest.raises(InfraError):
        builder.check(debians)
    with pytest.raises(UserError, match="nowhere"):
        wrong = kernel(tree="debian:linux-source-6.12", series="nowhere")
        builder.check(lab(kernels=[wrong]))


# -- resolved once -----------------------------------------------------------------------------


def test_trees_and_series_are_read_once_and_a_later_edit_is_not_seen(
    builder: KernelBuilder, patched: Kernel, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = kernel(tree=patched.tree)
    first = builder.resolve_all(lab(kernels=[base, patched]))
    (repo / "mm/rmap.c").write_text("edited\n", encoding="utf-8")
    monkeypatch.setattr(series_source, "load", None)
    monkeypatch.setattr(tree_source, "find", None)
    monkeypatch.setattr(build_kernel, "toolchain", None)
    assert builder.resolve_all(lab(kernels=[base, patched])) == first
    assert builder.resolve(base).tree is builder.resolve(patched).tree
    assert (first["base"].tree.path / "mm/rmap.c").read_text(encoding="utf-8") == RMAP


def test_each_kernel_is_told_when_its_build_has_ended(
    builder: KernelBuilder, patched: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(
        wanted: ResolvedKernel, cache: Cache, *, jobs: int, keep: bool, limit_s: float
    ) -> Build:
        if wanted.kernel.name == "patched":
            raise BuildError("it does not compile")
        where = Path()
        return Build(wanted.key, "base", where, where, where, where, "6.12", 0.0, False)

    monkeypatch.setattr(build_kernel, "build", build)
    ends: dict[str, Any] = {}
    kernels = builder.resolve_all(lab(kernels=[kernel(tree=patched.tree), patched]))
    with pytest.raises(BuildError):
        builder.build(kernels, lambda name, end: ends.update({name: end}))
    assert isinstance(ends["base"], Build)
    assert isinstance(ends["patched"], BuildError)


# -- in a run's folder -------------------------------------------------------------------------


def saved(builder: KernelBuilder, wanted: Kernel, folder: RunFolder) -> KernelFacts:
    resolved = builder.resolve(wanted)
    facts = facts_of(resolved)
    facts.saved_patches = save_series(resolved, folder)
    return facts


def test_a_kernel_is_restored_from_the_runs_folder_alone(
    builder: KernelBuilder, patched: Kernel, repo: Path, folder: RunFolder
) -> None:
    facts = saved(builder, patched, folder)
    before = builder.resolve(patched)
    shutil.rmtree(repo)
    again = KernelBuilder(builder.catalogue, builder.cache, 1).restore(patched, facts, folder)
    assert again.key == before.key
    assert again.tree == before.tree
    assert [p.diff for p in again.series.patches] == [p.diff for p in before.series.patches]
    assert [p.subject for p in again.series.patches] == [p.subject for p in before.series.patches]
    assert "From here on.\n\nWith ü.\n" in again.series.patches[0].message
    assert list(holding.of_kernel("patched", facts, again)) == []


def test_git_am_applies_what_a_runs_folder_has(
    builder: KernelBuilder, patched: Kernel, repo: Path, folder: RunFolder
) -> None:
    facts = saved(builder, patched, folder)
    names = [f"{folder.path}/series/patched/{one.file}" for one in facts.saved_patches]
    assert all(Path(name).name.startswith(f"{n:04}-") for n, name in enumerate(names, start=1))
    git(repo, "am", "--quiet", "--keep-cr", *names)
    assert git(repo, "diff", "--stat", "HEAD", "main") == ""
    assert "cover-letter" in git(repo, "log", "-1", "--format=%s", "HEAD~1")


def test_a_series_on_top_of_another_is_restored_as_such(
    builder: KernelBuilder, patched: Kernel, repo: Path, folder: RunFolder
) -> None:
    wanted = kernel("mutant", tree=patched.tree)
    wanted = Kernel(
        "mutant", patched.tree, f"git:{repo}#main~1..main", ("guest",), f"git:{repo}#base..main~1"
    )
    facts = saved(builder, wanted, folder)
    before = builder.resolve(wanted)
    again = KernelBuilder(builder.catalogue, builder.cache, 1).restore(wanted, facts, folder)
    assert (facts.onto, len(facts.saved_patches)) == (1, 2)
    assert (again.key, again.base.key) == (before.key, before.base.key)
    assert again.own.patches[0].digest == before.own.patches[0].digest
    assert again.key == builder.resolve(patched).key


def test_a_saved_patch_that_was_changed_is_not_taken_for_the_one_of_the_run(
    builder: KernelBuilder, patched: Kernel, folder: RunFolder
) -> None:
    facts = saved(builder, patched, folder)
    whole = record(lab(), [], kernels={"patched": facts})
    assert list(holding.of_folder(folder, whole)) == []
    path = folder.path / "series/patched" / facts.saved_patches[0].file
    text = path.read_bytes()
    for damaged, said in (
        (text.replace(b"line five", b"line 5.0"), "has another diff than the kernel was built"),
        (text[:40], "is damaged"),
    ):
        path.write_bytes(damaged)
        assert [said in one for one in holding.of_folder(folder, whole)] == [True]
        with pytest.raises(UserError):
            builder.restore(patched, facts, folder)
    path.unlink()
    assert ["is damaged" in one for one in holding.of_folder(folder, whole)] == [True]
    with pytest.raises(UserError):
        builder.restore(patched, facts, folder)


# -- what differs ------------------------------------------------------------------------------


def differences(
    builder: KernelBuilder, facts: KernelFacts, wanted: Kernel, folder: RunFolder
) -> list[str]:
    fresh = KernelBuilder(builder.catalogue, builder.cache, 1)
    now = {wanted.name: fresh.restore(wanted, facts, folder)}
    return list(holding.of_kernels(record(lab(), [], kernels={wanted.name: facts}), now))


def test_an_edited_working_tree_is_no_difference_while_the_cache_has_the_snapshot(
    builder: KernelBuilder, patched: Kernel, repo: Path, folder: RunFolder
) -> None:
    facts = saved(builder, patched, folder)
    (repo / "mm/rmap.c").write_text("edited\n", encoding="utf-8")
    assert differences(builder, facts, patched, folder) == []
    shutil.rmtree(builder.cache.path("trees", facts.tree_entry))
    (said,) = differences(builder, facts, patched, folder)
    assert said.startswith(f"kernel patched: tree dir:{repo}: was {facts.origin}, is content ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"toolchain": "gcc 1"}, "kernel patched: toolchain: was gcc 1, is "),
        ({"recipe": "0"}, "kernel patched: the lab's way to build kernels: was 0, is 1"),
        ({"environment": "[]"}, "kernel patched: build environment: was [], is "),
        ({"symbols": {}}, "kernel patched: CONFIG_"),
        ({"key": "0"}, "kernel patched: its key: was 0, is "),
    ],
)
def test_what_a_kernel_is_made_with_is_compared_one_by_one(
    builder: KernelBuilder, patched: Kernel, folder: RunFolder,
    change: Mapping[str, Any], said: str,
) -> None:  # fmt: skip
    facts = saved(builder, patched, folder)
    for name, value in change.items():
        setattr(facts, name, value)
    found = differences(builder, facts, patched, folder)
    assert found
    assert all(one.startswith(said) or "more symbols" in one for one in found)


def test_a_changed_symbol_is_named_with_both_values(
    builder: KernelBuilder, patched: Kernel, folder: RunFolder
) -> None:
    facts = saved(builder, patched, folder)
    symbol, value = next(iter(facts.symbols.items()))
    facts.symbols[symbol] = "m"
    facts.symbols["GONE"] = "y"
    assert differences(builder, facts, patched, folder) == [
        f"kernel patched: CONFIG_{symbol}: was m, is {value}",
        "kernel patched: CONFIG_GONE: was y, is not asked for",
    ]


def test_a_diff_that_ends_as_a_mail_does_is_saved_whole() -> None:
    text = b"--- a/x\n+++ b/x\n@@ -1,2 +1 @@\n x\n-- \n2.39\n"
    mail = series_source.as_mail(Patch("p", "s", "", text, "", ("x",)), 1, 1)
    assert diff.trimmed(mail) == text


def test_the_time_of_a_make_is_the_environments_else_the_lab_files_else_the_labs(
    builder: KernelBuilder, patched: Kernel
) -> None:
    plain = builder.resolve(patched)
    hurried = builder.resolve(replace(patched, make_limit_s=60))
    assert (builder.limit_of(plain), builder.limit_of(hurried)) == (STEP_LIMIT_S, 60)
    assert plain.key == hurried.key
    builder.step_limit_s = 90.5
    assert builder.limit_of(hurried) == 90.5
