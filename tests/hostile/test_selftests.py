# SPDX-License-Identifier: GPL-2.0
"""Build hostile selftests of a tree: what is no program is none, and nothing outside is touched."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from rmaplab.build import selftests
from rmaplab.errors import BuildError, PatchError, RmaplabError
from tests.integration import fake_tree
from tests.integration.test_selftests import INNER, OUTER, TESTS

from . import kernels
from .mails import mail
from .patches import new
from .world import World

MM = "tools/testing/selftests/mm"
SCRIPT = f"{MM}/hostile.sh"
COMPILED = frozenset({"good", "seeded"})
"""The programs of the tree that compile, whatever the attempt does."""


@dataclass(frozen=True)
class HostileSelftests:
    """One attempt: a script behind the programs' rules, or instead of the outer Makefile's end.

    ``programs`` are the programs that come of it; None if the build has to fail as the kernel's,
    with ``says`` in its message.
    """

    name: str
    script: str
    programs: frozenset[str] | None = COMPILED
    says: str = ""
    outer: bool = False


def _inner(name: str, script: str, *programs: str) -> HostileSelftests:
    return HostileSelftests(name, script, COMPILED | set(programs))


def _failed(name: str, script: str, says: str, *, outer: bool = True) -> HostileSelftests:
    return HostileSelftests(name, script, None, says, outer)


_TESTS = "$O/kselftest/mm"
ATTEMPTS = (
    _inner("a link to a password", "ln -s @home@/.netrc $OUTPUT/link"),
    _inner("a link to a program of the host", "ln -s /bin/sh $OUTPUT/sh"),
    _inner("FIFO, folder and socket", "mkfifo $OUTPUT/fifo; mkdir $OUTPUT/dir; "
           "perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => qq($ENV{OUTPUT}/sock), "
           "Listen => 1)'"),
    _inner("names that are options, paths or none", "cd $OUTPUT; touch -- -rf --help '*' ' ' "
           "'a b' '$(id)' ';id' '`id`' \"'\" '\"' '~' .hidden"),
    _inner("names for a terminal", "cd $OUTPUT; perl -e 'for (1..31, 127..255) { "
           "open(F, q(>), q(x).chr($_)) }'"),
    _inner("a name of 255 characters", "touch $OUTPUT/$(perl -e 'print q(x) x 255')"),
    _inner("a program that is set-user-id", "cp /bin/true $OUTPUT/su; chmod 6755 $OUTPUT/su", "su"),
    _inner("a program that nobody may read", "cp /bin/true $OUTPUT/no; chmod 000 $OUTPUT/no", "no"),
    _inner("a program with two names", "ln $OUTPUT/good $OUTPUT/again", "again"),
    _inner("a file of the home by a hard link", "ln @home@/.netrc $OUTPUT/hard"),
    _inner("a folder 3000 levels deep", "cd $OUTPUT; perl -e 'for (1..3000) { mkdir q(d); "
           "chdir q(d) or last }'"),
    _inner("print a password", "cat @home@/.netrc; env; cat /proc/[0-9]*/environ"),
    _inner("write to the source", "echo evil >> /kernel/source/mm/ksm.c; "
           "echo evil >> ../mm/good.c; echo evil >> @tree@/mm/ksm.c"),
    _inner("leave a daemon", "WORD=@word@ setsid sleep 60.5 > /dev/null 2>&1 &"),
    _failed("a program of 20 GB", f"truncate -s 20G {_TESTS}/huge", "bytes"),
    _failed("3000 programs", f"cd {_TESTS}; seq 3000 | xargs touch", "entries"),
    _failed("no program", f"rm -rf {_TESTS}; mkdir {_TESTS}", "nothing was built"),
    _failed("a link in the place of the programs", f"rm -rf {_TESTS}; ln -s @home@ {_TESTS}",
            "link"),
    _failed("a link in the place of all tests", "rm -rf $O/kselftest; ln -s @root@ $O/kselftest",
            "link"),
    _failed("a file in the place of the programs", f"rm -rf {_TESTS}; touch {_TESTS}", "file"),
    _failed("a FIFO in the place of the programs", f"rm -rf {_TESTS}; mkfifo {_TESTS}", "FIFO"),
)  # fmt: skip


@pytest.mark.parametrize("one", ATTEMPTS, ids=lambda one: one.name)
def test_selftests(world: World, one: HostileSelftests, capfd: pytest.CaptureFixture[str]) -> None:
    run = f"echo {kernels.RAN}-{world.word}; O=$(O) OUTPUT=$(OUTPUT) sh"
    outer, inner = OUTER.replace("@$(MAKE)", "-@$(MAKE)"), INNER
    if one.outer:
        outer += f"\t-@{run} mm/hostile.sh\n"
    else:
        inner += f"all: hostile\nhostile: $(OUTPUT)/good\n\t-@{run} hostile.sh\n"
    files = {
        "tools/testing/selftests/Makefile": outer,
        f"{MM}/Makefile": inner,
        SCRIPT: world.filled(one.script) + "\n:\n",
    }
    fake_tree.make(world.tree, {**TESTS, **files})
    world.note()
    built, error, log = None, None, ""
    try:
        built = selftests.build(kernels.request(world), world.cache, jobs=1)
    except RmaplabError as caught:
        error = caught
        if caught.evidence is not None:
            log = caught.evidence.read_bytes().decode("utf-8", "replace")
    else:
        (entry,) = (one.path for one in world.cache.entries(("selftests",)))
        log = (entry / selftests._LOG).read_bytes().decode("utf-8", "replace")
    said = capfd.readouterr()
    told = "" if error is None else error.message
    assert world.harms(told, said.out, said.err) == []
    if one.programs is None:
        assert isinstance(error, BuildError | PatchError), error
        assert one.says in error.message
    else:
        assert built is not None, told
        assert set(built.programs) == set(one.programs)
        for path in built.programs.values():
            assert path.stat().st_mode & 0o7022 == 0
    assert f"{kernels.RAN}-{world.word}" in log, "the attempt did not run"


def test_a_series_with_a_folder_1500_levels_deep(world: World) -> None:
    fake_tree.make(world.tree, TESTS)
    folder = world.root / "series"
    folder.mkdir()
    (folder / "0001-deep.patch").write_bytes(mail(diff=new(f"{MM}/{'d/' * 1500}x")))
    world.note()
    try:
        built = selftests.build(kernels.request(world, str(folder)), world.cache, jobs=1)
        assert set(built.programs) == COMPILED
    except (BuildError, PatchError) as error:
        assert error.message
    assert world.harms() == []
