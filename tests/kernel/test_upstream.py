# SPDX-License-Identifier: GPL-2.0
"""The mm selftests of the tree under test, built from it and run in fast guests."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rmaplab.config.catalogue import Catalogue
from rmaplab.model import version_range
from rmaplab.source import tree
from rmaplab.store.cache import Cache

LAB = "configs/upstream.yaml"
TREE = "debian:linux-source-6.12"
TEST = "tools/testing/selftests/mm/madv_populate.c"
BEFORE, NOW = '"MADV_POPULATE_READ with PROT_READ', '"MADV_POPULATE_READ of what can be read'


def subtests(cell: dict[str, Any], verdict: str) -> list[str]:
    return [one["name"] for one in cell["subtests"] if one["verdict"] == verdict]


def test_all_58_hmm_tests_pass_with_coherent_memory(run_lab: Any, tmp_path: Path) -> None:
    run = run_lab("run", LAB, "--filter", "testcase=upstream/hmm", output=tmp_path)
    assert run.status == 0, run.stdout + run.stderr
    (cell,) = run.cells("upstream/hmm")
    assert cell["guest"] == "q35-coherent-large"
    names = subtests(cell, "pass")
    assert len(names) == len(cell["subtests"]) == 58
    assert sum("_device_coherent." in name for name in names) == 29


def renaming(folder: Path) -> Path:
    """A series whose one patch renames a subtest in the tree's own test."""
    old = (tree.fetch(TREE, Cache()).path / TEST).read_text("utf-8").splitlines(keepends=True)
    new = [line.replace(BEFORE, NOW) for line in old]
    assert sum(a != b for a, b in zip(old, new, strict=True)) == 1
    diff = "".join(difflib.unified_diff(old, new, f"a/{TEST}", f"b/{TEST}"))
    folder.mkdir()
    (folder / "0001-rename.patch").write_text(
        "From: A Tester <tester@example.org>\nDate: Thu, 1 Jan 2026 00:00:00 +0000\n"
        "Subject: [PATCH] selftests/mm: rename a subtest\n\nAnd nothing else.\n"
        f"---\n{diff}",
        encoding="utf-8",
    )
    return folder


def test_a_subtest_that_the_tree_renames_is_missing(run_lab: Any, tmp_path: Path) -> None:
    run = run_lab(
        "ab", LAB, "--series", str(renaming(tmp_path / "series")),
        "--filter", "testcase=upstream/madv-populate", output=tmp_path / "runs",
    )  # fmt: skip
    assert run.status == 1, run.stdout + run.stderr
    (row,) = run.rows("upstream/madv-populate")
    assert (row["base"], row["patched"], row["change"]) == ("pass", "fail", "regressed")
    cells = run.cells("upstream/madv-populate")  # what is worse is run again
    before = [cell for cell in cells if cell["kernel"] == "base"]
    after = [cell for cell in cells if cell["kernel"] == "patched"]
    assert len(before) == len(after) > 1
    for base, patched in zip(before, after, strict=True):
        (gone,) = subtests(patched, "fail")
        assert gone == f"test_prot_read: {BEFORE[1:]}"
        assert gone in subtests(base, "pass")
        (new,) = [one for one in patched["subtests"] if one["name"] == "lab: new subtests"]
        assert new["detail"].splitlines()[1:] == [f"test_prot_read: {NOW[1:]}"]
    assert "1 new subtests, which are not in the list: test_prot_read" in run.stdout + run.stderr


# -- run_vmtests.sh --------------------------------------------------------------------------------


def commands(script: str) -> Iterator[str]:
    """Yield each command that run_vmtests.sh gives to run_test(), without who runs it and how."""
    text = re.sub(r"\\\n\s*", "", script).replace("${uffd_stress_bin}", "./uffd-stress")
    for match in re.finditer(r"^[^#\n]*\brun_test ([^#\n]+)$", text, re.M):
        command = match[1].replace('"', "").removeprefix("sudo -u nobody ").removeprefix("bash ")
        yield command.removeprefix("sh -c ").removeprefix("./").strip()


def programs(makefile: str) -> set[str]:
    """Return the programs that a Makefile of selftests names."""
    lines = re.findall(
        r"^(?:TEST_GEN_(?:FILES|PROGS)|VMTARGETS)\s*[:+]?=([^\n$]*)$", makefile, re.M
    )
    return {name for line in lines for name in line.split()}


TREES = {"6.1": ("vm", 35), "6.12": ("mm", 60), "7.2": ("mm", 70), "7.3": ("mm", 70)}


@pytest.fixture(scope="module", params=TREES)
def selftests_of(request: pytest.FixtureRequest) -> tuple[str, Path]:
    """Give the version of a tree, and the folder of its selftests."""
    fetched = tree.fetch(f"debian:linux-source-{request.param}", Cache())
    return request.param, fetched.path / "tools/testing/selftests" / TREES[request.param][0]


def test_every_command_of_the_script_is_known(selftests_of: tuple[str, Path]) -> None:
    version, folder = selftests_of
    found = set(commands((folder / "run_vmtests.sh").read_text("utf-8")))
    assert len(found) >= TREES[version][1]
    known = {vmtest.command for vmtest in Catalogue().vmtests if vmtest.is_in(version)}
    assert found - known == set()


def test_no_command_vanished_from_the_script(selftests_of: tuple[str, Path]) -> None:
    version, folder = selftests_of
    found = set(commands((folder / "run_vmtests.sh").read_text("utf-8")))
    vmtests = Catalogue().vmtests
    # A testcase may run a program instead of a command: that is not the script's.
    instead = [one for one in vmtests if one.testcase and one.reason]
    due = {
        one.command
        for one in vmtests
        if one.is_in(version)
        and (
            one.reason
            or not any(one.testcase in (other.testcase, *other.reason.split()) for other in instead)
        )
    }
    assert due - found == set()


def test_every_program_of_the_makefile_is_known(selftests_of: tuple[str, Path]) -> None:
    version, folder = selftests_of
    made = programs((folder / "Makefile").read_text("utf-8"))
    ran = {
        command.split()[0] for command in commands((folder / "run_vmtests.sh").read_text("utf-8"))
    }
    ran |= {program.removesuffix("_64").removesuffix("_32") for program in ran}
    beside = {one.command for one in Catalogue().unscripted if one.is_in(version)}
    assert made - ran == beside


def test_every_program_that_a_testcase_names_is_in_the_trees_that_it_is_for(
    selftests_of: tuple[str, Path],
) -> None:
    version, folder = selftests_of
    missing = {
        testcase.name
        for testcase in Catalogue().testcases.values()
        if testcase.upstream is not None
        and version in version_range(testcase.requires.tree)
        and not (folder / f"{testcase.upstream.program.removesuffix('_64')}.c").is_file()
    }
    assert missing == set()
