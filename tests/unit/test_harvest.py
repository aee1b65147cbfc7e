# SPDX-License-Identifier: GPL-2.0
"""Take regular files alone from a folder that foreign code wrote, and leave the host's alone."""

from __future__ import annotations

import ast
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

import rmaplab
from rmaplab.build import harvest
from rmaplab.errors import BuildError

SECRET = "machine example.org password hunter2\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of a user, with a file that nobody else may read, change or move."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / ".netrc").write_text(SECRET, encoding="utf-8")
    return folder


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    folder = tmp_path / "obj"
    (folder / "boot").mkdir(parents=True)
    (folder / "boot/image").write_bytes(b"kernel")
    return folder


def link(path: Path, home: Path) -> None:
    path.symlink_to(home / ".netrc")


def relative_link(path: Path, home: Path) -> None:
    path.symlink_to(os.path.relpath(home / ".netrc", path.parent))


def dangling_link(path: Path, home: Path) -> None:
    path.symlink_to(home / "made")


def fifo(path: Path, home: Path) -> None:
    os.mkfifo(path)


def folder(path: Path, home: Path) -> None:
    path.mkdir()


def zeroes(path: Path, home: Path) -> None:
    path.symlink_to("/dev/zero")


def bound_socket(path: Path, home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def sparse(path: Path, home: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def nothing(path: Path, home: Path) -> None:
    pass


Odd = Callable[[Path, Path], None]
ODD: tuple[Odd, ...] = (
    link, relative_link, dangling_link, fifo, folder, zeroes, bound_socket, sparse, nothing,
)  # fmt: skip


def state(home: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in home.iterdir()}


@pytest.mark.parametrize("odd", ODD)
def test_only_a_regular_file_of_a_usual_size_is_read_moved_or_appended_to(
    objects: Path, home: Path, odd: Odd
) -> None:
    odd(objects / "product", home)
    uses: list[Callable[[], object]] = [
        lambda: harvest.text(objects, "product"),
        lambda: harvest.append(objects, "product", "more\n"),
        lambda: harvest.take(objects, "product", objects / "taken", limit=1 << 20),
    ]
    for use in uses:
        with pytest.raises(BuildError, match="product"):
            use()
    assert state(home) == {".netrc": SECRET}
    assert not (objects / "taken").exists()


@pytest.mark.parametrize("odd", [link, fifo, folder, zeroes])
def test_what_is_no_regular_file_is_not_taken_for_one(objects: Path, home: Path, odd: Odd) -> None:
    odd(objects / "product", home)
    assert not harvest.is_file(objects, "product")
    with pytest.raises(BuildError, match="product"):
        harvest.modified(objects, "product")


def test_a_folder_of_the_path_that_is_a_link_leads_nowhere(objects: Path, home: Path) -> None:
    (objects / "mm").symlink_to(home)
    before = (home / ".netrc").stat()
    uses: list[Callable[[], object]] = [
        lambda: harvest.text(objects, "mm/.netrc"),
        lambda: harvest.append(objects, "mm/.netrc", "more\n"),
        lambda: harvest.take(objects, "mm/.netrc", objects / "taken", limit=1 << 20),
        lambda: harvest.drop(objects, "mm/.netrc"),
        lambda: harvest.modified(objects, "mm/.netrc"),
        lambda: harvest.files(objects, "mm"),
        lambda: harvest.copy_folder(objects, "mm", objects / "copied"),
    ]
    for use in uses:
        with pytest.raises(BuildError, match=r"as a symbolic link"):
            use()
    harvest.set_modified(objects, "mm/.netrc", 1.0)
    assert state(home) == {".netrc": SECRET}
    assert (home / ".netrc").stat().st_mtime == before.st_mtime
    assert not harvest.is_folder(objects, "mm")
    assert not harvest.is_file(objects, "mm/.netrc")
    assert harvest.is_link(objects, "mm/.netrc")


@pytest.mark.parametrize("name", ["../home/.netrc", "boot/../../home/.netrc", "/etc/hostname", "",
                                  "boot//image", "./boot/image", "boot/image\0"])  # fmt: skip
def test_a_name_that_is_no_path_beneath_is_refused(objects: Path, home: Path, name: str) -> None:
    with pytest.raises(BuildError, match="is no path in a tree"):
        harvest.text(objects, name)
    with pytest.raises(BuildError, match="is no path in a tree"):
        harvest.drop(objects, name)
    assert state(home) == {".netrc": SECRET}


def test_a_file_that_is_dropped_is_a_link_only(objects: Path, home: Path) -> None:
    link(objects / "a.o", home)
    harvest.drop(objects, "a.o")
    harvest.drop(objects, "a.o")
    harvest.drop(objects, "none/a.o")
    assert not (objects / "a.o").is_symlink()
    assert state(home) == {".netrc": SECRET}


def test_a_file_that_is_taken_is_moved_whole(objects: Path, tmp_path: Path) -> None:
    harvest.take(objects, "boot/image", tmp_path / "image", limit=6)
    assert (tmp_path / "image").read_bytes() == b"kernel"
    assert (tmp_path / "image").stat().st_mode & 0o777 == 0o644
    assert not harvest.is_file(objects, "boot/image")
    assert harvest.modified(objects, "boot/image") is None


def test_a_file_above_the_limit_stays_where_it_is(objects: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="has 6 bytes; the lab takes 5"):
        harvest.take(objects, "boot/image", tmp_path / "image", limit=5)
    assert (objects / "boot/image").read_bytes() == b"kernel"


def test_only_regular_files_of_usual_names_are_programs(objects: Path, home: Path) -> None:
    for odd in (link, fifo, folder):
        odd(objects / "boot" / odd.__name__, home)
    for name in ("-rf", ".hidden", "two words", "new\nline", "esc\x1b[2J"):
        (objects / "boot" / name).touch()
    assert harvest.files(objects, "boot") == ["image"]


def test_a_folder_with_more_files_than_a_tree_has_is_refused(
    objects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harvest, "MAX_FILES", 3)
    for number in range(3):
        (objects / "boot" / f"p{number}").touch()
    with pytest.raises(BuildError, match="has 4 entries; the lab takes 3"):
        harvest.files(objects, "boot")


def test_a_copy_of_a_folder_keeps_links_as_links(objects: Path, home: Path, tmp_path: Path) -> None:
    link(objects / "boot/.config", home)
    harvest.copy_folder(objects, "boot", tmp_path / "copy")
    assert (tmp_path / "copy/image").read_bytes() == b"kernel"
    assert (tmp_path / "copy/.config").is_symlink()


def test_a_folder_with_a_fifo_is_not_copied(objects: Path, home: Path, tmp_path: Path) -> None:
    (objects / "boot/deep").mkdir()
    fifo(objects / "boot/deep/pipe", home)
    with pytest.raises(BuildError, match="is a FIFO"):
        harvest.copy_folder(objects, "boot", tmp_path / "copy")


# -- who else opens such paths -----------------------------------------------------------------

FOREIGN = {"objects", "built", "OBJECTS"}
"""The names in rmaplab/ of folders that a sandbox wrote, and of paths in them."""


def paths_in_foreign_folders(text: str) -> list[str]:
    """Return the expressions that go into a folder that a sandbox wrote, past the harvest."""

    def is_foreign(node: ast.expr) -> bool:
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str) and node.value.split("/")[0] in {"obj", "kselftest"}
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
        return name in FOREIGN

    tree = ast.parse(text)
    joined = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and is_foreign(node.left)
    ]
    called = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"open", "glob", "rglob", "iterdir", "read_text", "joinpath"}
        and is_foreign(node.func.value)
    ]
    deeper = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Div)
        and isinstance(node.right, ast.Constant)
        and is_foreign(node.right)
    ]
    return [ast.unparse(node) for node in (*joined, *called, *deeper)]


def test_no_other_module_opens_paths_in_what_a_sandbox_wrote() -> None:
    package = Path(rmaplab.__file__).parent
    found = {
        str(path.relative_to(package)): said
        for path in package.rglob("*.py")
        if path.name != "harvest.py"
        and (said := paths_in_foreign_folders(path.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "text",
    ["(site.objects / '.config').read_text()", "objects / made", "folder / 'obj' / 'vmlinux'",
     "built.glob('*')", "objects.rglob('*.o')", "entry / 'kselftest/mm'"],
)  # fmt: skip
def test_a_path_past_the_harvest_is_found(text: str) -> None:
    assert paths_in_foreign_folders(text)
