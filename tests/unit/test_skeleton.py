# SPDX-License-Identifier: GPL-2.0
"""A new testcase is one that the lab takes: the catalogue reads it, the compiler likes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rmaplab import proc
from rmaplab.build import initramfs
from rmaplab.config import skeleton
from rmaplab.config.catalogue import Catalogue
from rmaplab.config.paths import project
from rmaplab.errors import UserError
from rmaplab.model import X86_64
from rmaplab.store.cache import Cache


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with the real library and agent, and no testcase."""
    root = tmp_path / "root"
    shutil.copytree(project() / "testcases/lib", root / "testcases/lib")
    shutil.copytree(project() / "guests/agent", root / "guests/agent")
    shutil.copytree(project() / "guests/include", root / "guests/include")
    return root


def test_the_catalogue_has_it(root: Path) -> None:
    source, settings = skeleton.create("reclaim/my-test", Catalogue(root), root)
    assert (source, settings) == (
        root / "testcases/reclaim/my-test.c",
        root / "testcases/reclaim/my-test.yaml",
    )
    testcase = Catalogue(root).testcases["reclaim/my-test"]
    assert (testcase.id, testcase.source) == ("N1", source)


def test_each_has_an_id_of_its_own(root: Path) -> None:
    for name in ("a/one", "a/two", "b/one"):
        skeleton.create(name, Catalogue(root), root)
    assert {one.id for one in Catalogue(root).testcases.values()} == {"N1", "N2", "N3"}


@pytest.mark.skipif(
    proc.which(X86_64.compiler) is None or proc.which("cpio") is None,
    reason="needs musl-gcc and cpio",
)
def test_it_compiles_without_a_warning(root: Path, tmp_path: Path) -> None:
    skeleton.create("reclaim/my-test", Catalogue(root), root)
    archive = initramfs.build(
        root, Catalogue(root).testcases.values(), Cache(tmp_path / "cache"), X86_64
    )
    assert b"bin/reclaim/my-test" in archive.read_bytes()


@pytest.mark.parametrize("name", ["mine", "a/b/c", "A/b", "../x", "a/", "lib/x", "a/b.c", ""])
def test_what_is_no_name_is_the_users_mistake(root: Path, name: str) -> None:
    with pytest.raises(UserError, match="no name for a testcase"):
        skeleton.create(name, Catalogue(root), root)


def test_nothing_is_overwritten(root: Path) -> None:
    source, _ = skeleton.create("reclaim/my-test", Catalogue(root), root)
    source.write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="is there already"):
        skeleton.create("reclaim/my-test", Catalogue(root), root)
    assert source.read_text("utf-8") == "mine"
