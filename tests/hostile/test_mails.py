# SPDX-License-Identifier: GPL-2.0
"""Read each hostile mail: it is refused with a message, or the series is what a reader sees.

What is taken is saved as the lab saves it in a run's folder, and read again: the same patches.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmaplab import text
from rmaplab.errors import PatchError, RmaplabError, UserError
from rmaplab.model import Series
from rmaplab.source import series as series_source

from .mails import FAMILIES, HostileMails, box, mail
from .world import World

LIMIT_S = 20
MEMORY = 3 << 30
ATTEMPTS = [
    pytest.param(one, id=one.name, marks=pytest.mark.family(f"mails: {family}"))
    for family, ones in FAMILIES.items()
    for one in ones
]


@pytest.fixture(autouse=True)
def bounded_memory() -> Iterator[None]:
    """A mail that takes much memory ends in MemoryError, and not in the death of this host."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def saved(world: World, one: HostileMails) -> Path:
    """Write the files of an attempt, and return what the series is named by."""
    folder = world.root / "series"
    folder.mkdir()
    for name, content in one.files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content())
    return folder / "box" if list(one.files) == ["box"] else folder


def loaded(world: World, place: Path) -> Series | RmaplabError:
    """The series, or the error that refuses it; any other exception is raised."""
    try:
        return series_source.load(str(place), world.root)
    except RmaplabError as error:
        return error


@pytest.mark.parametrize("one", ATTEMPTS)
def test_mail(world: World, one: HostileMails, capfd: pytest.CaptureFixture[str]) -> None:
    world.tree.mkdir()
    place = saved(world, one)
    world.note()
    began = time.process_time() + sum(os.times()[2:4])
    found = loaded(world, place)
    assert time.process_time() + sum(os.times()[2:4]) - began < LIMIT_S
    said = capfd.readouterr()
    assert world.harms(said.out, said.err) == []
    assert "\x1b" not in said.out + said.err
    if isinstance(found, RmaplabError):
        assert isinstance(found, UserError | PatchError), found
        assert one.either or one.patches is None, found.message
        assert one.says in found.message
        return
    assert one.either or len(found.patches) == one.patches, found
    whole(found, world.root / "again")
    assert not [name for name in found.files if "evil" in name], "somebody else's patch"


def whole(series: Series, folder: Path) -> None:
    """Hold that the lab's own copy of a series is the series: no header forged another."""
    folder.mkdir()
    many = len(series.patches)
    for n, patch in enumerate(series.patches, start=1):
        path = folder / f"{n:04}-{series_source.slug(patch.subject)}.patch"
        path.write_bytes(series_source.as_mail(patch, n, many))
    again = series_source.load(str(folder), folder)
    for before, after in zip(series.patches, again.patches, strict=True):
        assert after.diff == before.diff
        assert after.files == before.files
        assert after.subject.split() == " ".join(before.subject.split()).split()
        assert text.printable(after.subject).isprintable()


@pytest.fixture
def odd_file(world: World, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file that blocks or never ends."""
    world.tree.mkdir()
    folder = world.root / "series"
    folder.mkdir()
    path = folder / "0001-x.patch"
    match request.param:
        case "a FIFO":
            os.mkfifo(path)
        case "a link to /dev/zero":
            path.symlink_to("/dev/zero")
        case "a link to a password":
            path.symlink_to(world.home / ".netrc")
        case "a link to itself":
            path.symlink_to(path)
        case "a folder":
            path.mkdir()
    yield path


@pytest.mark.timeout(60)
@pytest.mark.family("mails: folders")
@pytest.mark.parametrize(
    "odd_file",
    ["a FIFO", "a link to /dev/zero", "a link to a password", "a link to itself", "a folder"],
    indirect=True,
)
@pytest.mark.parametrize("named", ["the file", "its folder", "a quilt series"])
def test_a_file_that_is_none_is_refused(world: World, odd_file: Path, named: str) -> None:
    if named == "a quilt series":
        (odd_file.parent / "series").write_text(f"{odd_file.name}\n", encoding="utf-8")
    found = loaded(world, odd_file if named == "the file" else odd_file.parent)
    assert isinstance(found, UserError)
    world.note()
    assert world.harms(found.message) == []


@pytest.mark.family("mails: folders")
@pytest.mark.parametrize(
    "spec",
    ["/dev/zero", "/dev/stdin", "a\0b", "x" * 10_000, "git:@root@#--output=@home@/x..y",
     "git:@root@#..", "git:--upload-pack=touch @home@/x#a..b", "git:ext::sh -c touch@home@#a..b",
     "git:#a..b", "git:/dev/null#a..b", "git:@home@#HEAD..\x1b[2J", "\x1b[2J\u202e"],
)  # fmt: skip
def test_a_name_of_no_series_is_refused(
    world: World, spec: str, capfd: pytest.CaptureFixture[str]
) -> None:
    world.tree.mkdir()
    world.note()
    with pytest.raises(UserError) as caught:
        series_source.load(world.filled(spec), world.root)
    said = capfd.readouterr()
    assert world.harms(caught.value.message, said.out, said.err) == []


@pytest.mark.control
@pytest.mark.family("mails: headers")
def test_an_honest_mail_is_taken(world: World) -> None:
    place = saved(world, HostileMails("honest", {"box": box(mail())}))
    found = loaded(world, place)
    assert isinstance(found, Series)
    assert found.patches[0].subject == "mm: x"
