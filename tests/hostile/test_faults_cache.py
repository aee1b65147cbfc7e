# SPDX-License-Identifier: GPL-2.0
"""Labs that meet on one cache, and disks that are full: nothing is lost, and it is said."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rmaplab.config.paths import project
from rmaplab.store import inuse
from rmaplab.store.cache import Cache

from .faults import KILL, RUN, Labs, Site, Toll, shim

# A test that is ended amid a command leaves the server of labs without use, and hosts may be busy.
pytestmark = pytest.mark.timeout(900)
Record = Callable[[str, int], None]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Site, Site]]:
    """Two sites with one cache, each with a server of its own."""
    library = shim(tmp_path)
    with ExitStack() as stack:
        made = [
            Site.made(tmp_path / name, stack.enter_context(Labs.served(library)))
            for name in ("one", "two")
        ]
        for site in made:
            site.env["RMAPLAB_CACHE"] = str(tmp_path / "cache")
        yield made[0], made[1]


@pytest.mark.family("faults: two labs")
def test_two_labs_at_once_on_one_cache(two: tuple[Site, Site], record_property: Record) -> None:
    one, other = two
    for site in two:
        site.begin(*RUN)
    ended = [site.labs.end(site.place) for site in two]
    assert [end.code for end in ended] == [0, 0], [end.err for end in ended]
    assert one.results() == other.results()
    assert set(one.journalled().values()) == set(other.journalled().values()) == {1}
    record_property("tried", 2)


@pytest.mark.family("faults: two labs")
def test_two_labs_do_not_go_on_with_one_run_at_once(two: tuple[Site, Site]) -> None:
    one, other = two
    one.command(*RUN, signal=f"{KILL}:300:1")
    assert one.folder is not None
    true = Site.made(other.place / "true", other.labs)
    true.env = other.env
    assert true.command(*RUN).code == 0
    before = one.journalled()
    one.begin("resume", str(one.folder))
    other.begin("resume", str(one.folder))
    codes = [site.labs.end(site.place) for site in two]
    # The one that came second was refused, or found all done; no cell has run twice.
    assert sorted(end.code for end in codes) in ([0, 2], [0, 0]), [end.err for end in codes]
    toll = Toll(tried=1)
    toll.held_against(one, before, true.results())
    assert toll.notes == []
    assert set(one.journalled().values()) == {1}


@pytest.mark.family("faults: two labs")
def test_clean_takes_nothing_from_a_lab_that_runs(two: tuple[Site, Site]) -> None:
    one, other = two
    assert one.command(*RUN).code == 0
    with inuse.shared(Cache(Path(one.env["RMAPLAB_CACHE"]))):
        refused = other.command("clean", "--yes")
        assert refused.code == 2
        assert "a lab is using the cache" in refused.said
    assert other.command("clean", "--yes").code == 0
    again = one.command(*RUN)
    assert again.code == 0, again.err
    assert set(one.journalled().values()) == {1}


# -- a real file system that is full ---------------------------------------------------------------

FULL = """\
    import os, shutil, subprocess, sys, time
    from collections import Counter
    from pathlib import Path
    from tests.hostile.faults import RUN, Labs, Site, Toll

    place, library, cells = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    with Labs.served(library) as labs:
        site = Site.made(place, labs)
        ballast = place / "reports" / "ballast"
        pid = site.begin(*RUN)
        while sum(site.journalled().values()) < cells:
            time.sleep(0.002)
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        ended = labs.end(place)
        told = ended.err.count("No space left on device")
        print("full:", ended.code, told, "Traceback" in ended.err)
        before = site.journalled()
        ballast.unlink()
        again = site.again()
        print("then:", again.code, "Traceback" in again.err)
        now = site.journalled()
        print("cells:", len(site.results()), sum(now[c] != 1 for c in before),
              sum(one["verdict"] == "error" for one in site.results()))
"""


@pytest.mark.parametrize("cells", [0, pytest.param(2, marks=pytest.mark.whole),
                                   pytest.param(5, marks=pytest.mark.whole)])  # fmt: skip
@pytest.mark.family("faults: full disk")
def test_a_disk_that_fills_up_while_cells_run(tmp_path: Path, cells: int) -> None:
    reports = tmp_path / "site" / "reports"
    reports.mkdir(parents=True)
    small = ["bwrap", "--dev-bind", "/", "/", "--size", str(4 << 20), "--tmpfs", str(reports)]
    program = [sys.executable, "-c", textwrap.dedent(FULL)]
    done = subprocess.run(
        [*small, "--", *program, str(reports.parent), str(shim(tmp_path)), str(cells)],
        cwd=project(),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(project())},
    )
    assert done.returncode == 0, done.stderr
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    code, told, traceback = said["full"].split()
    assert (code, traceback) == ("69", "False"), done.stdout
    assert int(told) >= 1
    assert said["then"] == "0 False"
    assert said["cells"] == "8 0 0"
