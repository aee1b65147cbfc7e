# SPDX-License-Identifier: GPL-2.0
"""Configure Debian's kernel with a hostile series: Kconfig and kbuild run programs, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmaplab.build import kernel as build_kernel
from rmaplab.config.paths import project
from rmaplab.errors import BuildError
from rmaplab.model import Kernel, Tree
from rmaplab.source import patched
from rmaplab.source import series as series_source
from rmaplab.source import tree as tree_source
from rmaplab.store.cache import Cache

from .mails import mail
from .world import World

TREE = "debian:linux-source-6.12"
USERS_CACHE = Cache()
pytestmark = [pytest.mark.whole, pytest.mark.kernel, pytest.mark.timeout(900),
              pytest.mark.family("builds: real tree")]  # fmt: skip
RAN = "it-ran"
ATTEMPTS = {
    "Kconfig runs a program": ("init/Kconfig", "config EVIL\n\tstring\n\tdefault "
                               '"$(shell,cat @home@/.netrc; touch @home@/evil /tmp/@word@)"\n'),
    "Kconfig prints a password": ("init/Kconfig", "$(warning-if,y,$(shell,cat @home@/.netrc))\n"),
    "Kconfig prints an environment": ("init/Kconfig", "$(warning-if,y,$(shell,"
                                      "cat /proc/*/environ; env))\n"),
    "Kconfig reads a file of the home": ("init/Kconfig", 'osource "@home@/.netrc"\n'),
    "kbuild runs a program": ("Makefile", "$(info $(shell cat @home@/.netrc; touch @home@/x))\n"),
    "kbuild includes a file": ("Makefile", "-include @home@/.netrc\n"),
    "a script of kbuild's": ("scripts/Kbuild.include",
                             "$(info $(shell bash -c 'exec 3<>/dev/tcp/127.0.0.1/@port@'))\n"),
}  # fmt: skip


@pytest.fixture(scope="module")
def tree() -> Tree:
    """Debian's tree, from the user's own cache."""
    return tree_source.fetch(TREE, USERS_CACHE)


def appended(tree: Tree, name: str, more: str) -> bytes:
    """Return a diff that puts lines at a file's end."""
    lines = (tree.path / name).read_text(encoding="utf-8").splitlines()
    number = len(lines)
    return (
        f"--- a/{name}\n+++ b/{name}\n@@ -{number},1 +{number},{1 + more.count(chr(10))} @@\n"
        f" {lines[-1]}\n" + "".join(f"+{line}\n" for line in more.splitlines())
    ).encode()


@pytest.mark.parametrize("name", ATTEMPTS)
def test_configuration(
    world: World, tree: Tree, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    where, text = ATTEMPTS[name]
    mark = f"$(info {RAN}-{world.word})\n" if where != "init/Kconfig" else (
        f"$(info,{RAN}-{world.word})\n"
    )  # fmt: skip
    folder = world.root / "series"
    folder.mkdir()
    diff = appended(tree, where, mark + world.filled(text))
    (folder / "0001-x.patch").write_bytes(mail(diff=diff))
    world.tree.mkdir()
    world.note()
    wanted = build_kernel.resolve(
        Kernel("patched", TREE, str(folder), ("guest",)), tree,
        series_source.load(str(folder), world.root), [project() / "configs/kconfig/guest.config"],
    )  # fmt: skip
    build = world.root / "build"
    build.mkdir()
    source = patched.source_of(tree, wanted.series, world.cache)
    told = ""
    try:
        build_kernel.configure(wanted, source, build)
    except BuildError as error:
        told = error.message
    log = (build / "build.log").read_bytes().decode("utf-8", "replace")
    said = capfd.readouterr()
    assert f"{RAN}-{world.word}" in log, "the attempt did not run"
    assert world.harms(told, log, said.out, said.err) == []
    Path(source, where).unlink()  # the copy shares its other files with the tree
