# SPDX-License-Identifier: GPL-2.0
"""Run the hostile workloads on real guests, in one run of the command with honest cells between.

The project's folders are those of the checkout, with the hostile testcases beside the others.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rmaplab.config.paths import project

from .guests import GUESTS, LAB, YAML, HostileGuest
from .test_workloads import UNSAFE

pytestmark = [
    pytest.mark.whole,
    pytest.mark.kernel,
    pytest.mark.family("workloads: real guests"),
    pytest.mark.timeout(45 * 60),
]
RUN = """\
import sys
from pathlib import Path
from rmaplab.config import catalogue, paths

place = Path(sys.argv.pop(1))
catalogue.project = paths.project = lambda: place
from rmaplab.cli import main
main()
"""
"""The command, with another project folder: its argument goes before the command's."""


@dataclass(frozen=True)
class Ran:
    """The run, with what the command said."""

    folder: Path
    status: int
    said: str

    def cell(self, name: str) -> dict[str, Any]:
        """The result of a testcase."""
        results = json.loads((self.folder / "results.json").read_text(encoding="utf-8"))
        (cell,) = [one for one in results["cells"] if one["testcase"] == f"hostile/{name}"]
        found: dict[str, Any] = cell
        return found

    def evidence(self, name: str) -> Path:
        """The folder of a testcase's evidence."""
        return self.folder / "cells" / str(self.cell(name)["id"])


def set_up(place: Path) -> Path:
    """Make a project's folder with the hostile testcases, and return their lab file."""
    own = project()
    for name in ("guests", "configs", "patches"):
        (place / name).symlink_to(own / name)
    (place / "testcases").mkdir()
    for path in (own / "testcases").iterdir():
        (place / "testcases" / path.name).symlink_to(path)
    hostile = place / "testcases/hostile"
    hostile.mkdir()
    for number, one in enumerate(GUESTS, start=1):
        (hostile / f"{one.name}.c").write_text(one.source, encoding="utf-8")
        text = YAML.format(number=number, limit_s=one.limit_s)
        (hostile / f"{one.name}.yaml").write_text(text, encoding="utf-8")
    lab = place / "hostile.yaml"
    names = [f"  - hostile/{one.name}\n" for one in GUESTS]
    lab.write_text(LAB + "".join(names), encoding="utf-8")
    return lab


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Carry out the run."""
    place = tmp_path_factory.mktemp("project")
    lab = set_up(place)
    output = tmp_path_factory.mktemp("reports")
    env = {**os.environ, "RMAPLAB_TEST_TOKEN": "token-of-the-lab"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, place, "run", lab, "--output", output, "--jobs", "1"],
        cwd=project(), env=env, capture_output=True, text=True, errors="surrogateescape",
        check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    folders = list(output.iterdir())
    assert len(folders) == 1, said
    return Ran(folders[0], done.returncode, said)


@pytest.mark.parametrize("one", GUESTS, ids=lambda one: one.name)
def test_guest(ran: Ran, one: HostileGuest) -> None:
    cell = ran.cell(one.name)
    folder = ran.evidence(one.name)
    console = (folder / "console.log").read_bytes()
    transcript = (folder / "agent.jsonl").read_bytes()
    assert b"# ran: " in transcript or b"hostile: it ran" in console, "the attempt did not run"
    assert b"# HARM" not in transcript
    assert cell["verdict"] in {str(verdict) for verdict in one.verdicts}, cell["reason"]
    for path in folder.iterdir():
        assert path.stat().st_size < 66 << 20, path


@pytest.mark.family("workloads: real guests")
def test_the_run_ends_and_tells_no_secret(ran: Ran) -> None:
    assert ran.status == 1
    assert "Traceback" not in ran.said
    assert not UNSAFE.search(ran.said)
    for path in ran.folder.rglob("*"):
        if path.is_file():
            assert b"token-of-the-lab" not in path.read_bytes(), path
