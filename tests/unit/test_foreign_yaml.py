# SPDX-License-Identifier: GPL-2.0
"""Lab files of strangers: refused with a line, soon, and in little memory."""

from __future__ import annotations

import os
import random
import resource
import time
from pathlib import Path

import pytest

from rmaplab.config import labfile, yamlsource
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import UserError
from rmaplab.plan import plan

from .foreign_yaml import GOOD, NAMED, spoilt


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    found = Catalogue()
    assert found.testcases
    assert found.guests
    assert found.fragments
    return found


def lab_file(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "lab.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_the_good_one_is_read(tmp_path: Path, catalogue: Catalogue) -> None:
    assert plan(labfile.read(lab_file(tmp_path, GOOD), catalogue)).rows


@pytest.mark.parametrize("name", NAMED)
def test_a_hostile_lab_file_is_refused(name: str, tmp_path: Path, catalogue: Catalogue) -> None:
    text, said = NAMED[name]
    path = lab_file(tmp_path, text if isinstance(text, str | bytes) else text())
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError) as caught:
        labfile.read(path, catalogue)
    took = time.process_time() - began
    more_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    assert said in caught.value.message
    assert str(path) in caught.value.message
    # The bombs took minutes and gigabytes.
    assert took < 20
    assert more_mb < 200


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, said in (
        (fifo, "a file of a special kind"),
        (tmp_path, "is a folder"),
        (Path("/dev/zero"), "a file of a special kind"),
        (tmp_path / "none", "No such file"),
        (Path("a\0b"), "null"),
    ):
        with pytest.raises(UserError, match=said):
            yamlsource.load(path)


def test_a_spoilt_lab_file_is_read_or_refused(tmp_path: Path, catalogue: Catalogue) -> None:
    """Nothing else is raised; a failure's seed makes its file again (foreign_yaml.spoilt)."""
    refused = 0
    for seed in range(400):
        path = lab_file(tmp_path, spoilt(random.Random(seed)))
        try:
            labfile.read(path, catalogue)
        except UserError as error:
            refused += 1
            assert str(path) in error.message, seed
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    assert refused > 100


def test_a_text_is_parsed_once_and_nobody_sees_what_another_reader_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text("a: [1]\na: 2\n", encoding="utf-8")
    first = yamlsource.load(path)
    monkeypatch.setattr(yamlsource, "_Loader", lambda text: pytest.fail("it was parsed again"))
    first.value["a"] = "changed"
    first.complain((), "another mistake")
    first.lines.clear()
    again = yamlsource.load(path)
    assert again.value != first.value
    assert len(again.mistakes) == 1
    assert again.lines


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    for text in ("a: 1\n", "a: 2\n", "a: 1\n"):
        path.write_text(text, encoding="utf-8")
        assert yamlsource.load(path).value == {"a": int(text[3])}
