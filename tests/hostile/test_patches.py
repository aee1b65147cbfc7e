# SPDX-License-Identifier: GPL-2.0
"""Apply each hostile series: it is refused with a message, or changes what the lab says it does.

The control reads the same diffs by ``git apply --unsafe-paths`` or patch(1), which write outside.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rmaplab.errors import PatchError, RmaplabError, UserError
from rmaplab.source import patched
from rmaplab.source import series as series_source
from rmaplab.source import tree as tree_source
from tests.integration import fake_tree

from .patches import FAMILIES, GOOD, HostilePatches, link, new
from .world import World

MAIL = """From: A U Thor <author@example.com>
Date: Thu, 1 Jan 2026 00:00:00 +0000
Subject: [PATCH {n}/{m}] mm: change {n}

Because.
---

"""
ATTEMPTS = [
    pytest.param(one, id=one.name, marks=pytest.mark.family(f"patches: {family}"))
    for family, ones in FAMILIES.items()
    for one in ones
]


def saved(world: World, one: HostilePatches) -> Path:
    """Write the diffs as the mails of a series."""
    folder = world.root / "series"
    folder.mkdir()
    for n, diff in enumerate(one.diffs, start=1):
        head = MAIL.format(n=n, m=len(one.diffs)).encode()
        text = diff.replace(b"@home@", str(world.home).encode())
        (folder / f"{n:04}-x.patch").write_bytes(head + text + b"-- \n2.39.5\n")
    return folder


def contents(root: Path) -> dict[str, tuple[str, bytes]]:
    """The files and links of a tree: kind and mode, and content or target."""
    found: dict[str, tuple[str, bytes]] = {}
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        mode = f"{path.lstat().st_mode:o}"
        if path.is_symlink():
            found[name] = mode, bytes(path.readlink())
        elif path.is_file():
            found[name] = mode, path.read_bytes()
    return found


@pytest.mark.parametrize("one", ATTEMPTS)
def test_series(world: World, one: HostilePatches, capfd: pytest.CaptureFixture[str]) -> None:
    fake_tree.make(world.tree)
    tree = tree_source.fetch(f"dir:{world.tree}", world.cache)
    before = contents(tree.path)
    world.note(tree.path)
    folder = saved(world, one)
    try:
        series = series_source.load(str(folder), world.tree)
        after = contents(patched.source_of(tree, series, world.cache))
    except RmaplabError as error:
        refused(error)
        assert one.either or one.says is not None, error.message
        assert one.says is None or one.says in error.message
    else:
        differ = {
            name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
        }
        assert one.either or one.says is None, f"it was applied, and changed {differ}"
        assert differ <= set(series.files)
        assert one.either or differ == one.changes
        assert all(series.patches[n].files for n in range(len(one.diffs)))
    said = capfd.readouterr()
    assert world.harms(said.out, said.err) == []
    assert "\x1b" not in said.out + said.err


def refused(error: RmaplabError) -> None:
    """Hold that an attempt was refused as the series' or the user's fault, with words."""
    assert isinstance(error, PatchError | UserError), error
    assert error.message


def test_the_content_of_a_file_is_that_of_the_diff(world: World) -> None:
    """Attributes in the tree convert nothing."""
    fake_tree.make(world.tree, {".gitattributes": "* text eol=crlf ident filter=x\n"})
    tree = tree_source.fetch(f"dir:{world.tree}", world.cache)
    one = HostilePatches("x", [new("mm/x.txt", "a $Id$\n"), GOOD])
    series = series_source.load(str(saved(world, one)), world.tree)
    after = patched.source_of(tree, series, world.cache)
    assert (after / "mm/x.txt").read_bytes() == b"a $Id$\n"
    assert b"\r" not in (after / "mm/rmap.c").read_bytes()


@pytest.mark.control
@pytest.mark.family("patches: out")
def test_a_trusting_git_writes_outside(world: World) -> None:
    fake_tree.make(world.tree)
    world.note()
    subprocess.run(
        ["git", "apply", "--unsafe-paths", "-p1", "-"],
        cwd=world.root / "home", input=new("../home/evil"), check=True,
        env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert world.harms()


@pytest.mark.control
@pytest.mark.family("patches: out")
def test_a_link_that_is_followed_changes_the_home(world: World) -> None:
    fake_tree.make(world.tree)
    world.note()
    text = link("mm/home", "@home@").replace(b"@home@", str(world.home).encode())
    subprocess.run(["git", "apply", "-"], cwd=world.tree, input=text, check=True)
    (world.tree / "mm/home/evil").write_text("evil\n", encoding="utf-8")
    assert any("home/evil" in one for one in world.harms())
