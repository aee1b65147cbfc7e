# SPDX-License-Identifier: GPL-2.0
"""Testcases of a user's own folder, and testcases in the place of a lab's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmaplab.config import paths, skeleton
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import DiagnosticsError, UserError
from rmaplab.model import Lab, LabOptions
from rmaplab.pipeline import labs
from rmaplab.plan import plan

LAB = Path("configs/rmap.yaml")


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(paths.VARIABLE, raising=False)
    yield
    paths.name_shares(())


@pytest.fixture
def share(tmp_path: Path) -> Path:
    return tmp_path / "mine"


def asked(*testcases: str) -> Lab:
    return labs.read(LAB, Catalogue(), LabOptions(testcases=testcases))


def rows(lab: Lab) -> set[tuple[str, str, str]]:
    return {(c.guest.name, c.settings.name, c.testcase.name) for c in plan(lab).cells}


# -- a user's folder ------------------------------------------------------------------------------


def test_a_folder_that_is_named_adds_testcases_guests_fragments_and_labs(share: Path) -> None:
    skeleton.create("reclaim/my-test", Catalogue(), share)
    shutil.copytree(paths.project() / "guests", share / "guests", ignore=lambda _, names: [
        name for name in names if name != "q35.yaml"])  # fmt: skip
    (share / "guests/q35.yaml").rename(share / "guests/mine.yaml")
    (share / "configs/kconfig").mkdir(parents=True)
    (share / "configs/kconfig/mine.config").write_text("CONFIG_KSM=y\n", "utf-8")
    text = (paths.project() / LAB).read_text("utf-8")
    (share / "configs/mine.yaml").write_text(text.replace("name: rmap", "name: mine", 1), "utf-8")
    assert "reclaim/my-test" not in Catalogue().testcases
    paths.name_shares([share])
    found = Catalogue()
    assert "reclaim/my-test" in found.testcases
    assert {"q35", "mine"} <= found.guests.keys()
    assert {"mm", "mine"} <= found.fragments.keys()
    assert labs.read(Path("configs/mine.yaml"), found).name == "mine"


def test_the_variable_names_folders_too(share: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skeleton.create("reclaim/my-test", Catalogue(), share)
    monkeypatch.setenv(paths.VARIABLE, str(share))
    assert "reclaim/my-test" in Catalogue().testcases
    assert paths.place_of_new() == share
    assert not paths.is_only_named(share)
    monkeypatch.setenv(paths.VARIABLE, "/nonexistent")
    with pytest.raises(UserError, match="there is no folder /nonexistent"):
        Catalogue()


def test_what_is_new_goes_to_the_first_folder_that_is_named(share: Path, tmp_path: Path) -> None:
    assert paths.place_of_new() == paths.project()
    paths.name_shares([share, tmp_path])
    assert paths.place_of_new() == share
    assert paths.is_only_named(share)


def test_a_name_that_is_there_already_is_a_mistake(share: Path) -> None:
    paths.name_shares([share])
    with pytest.raises(UserError, match="is there already"):
        skeleton.create("exclusive/mapcount", Catalogue(), share)
    folder = share / "testcases/exclusive"
    folder.mkdir(parents=True)
    for suffix in (".c", ".yaml"):
        shutil.copy(paths.project() / f"testcases/exclusive/mapcount{suffix}", folder)
    with pytest.raises(DiagnosticsError, match="there is a testcase exclusive/mapcount already"):
        _ = Catalogue().testcases


def test_the_id_of_a_new_testcase_is_no_other_ones(share: Path) -> None:
    paths.name_shares([share])
    skeleton.create("a/one", Catalogue(), share)
    skeleton.create("a/two", Catalogue(), share)
    found = Catalogue().testcases
    assert found["a/one"].id != found["a/two"].id


# -- --testcase -----------------------------------------------------------------------------------


def test_a_testcase_is_run_in_the_place_of_the_labs() -> None:
    found = rows(asked("fork/cow"))
    assert {name for _, _, name in found} == {"fork/cow"}


def test_patterns_and_ids_name_testcases_too() -> None:
    assert {name for _, _, name in rows(asked("control/e*", "T1"))} == {
        "control/empty", Catalogue().testcases["exclusive/mapcount"].name,
    }  # fmt: skip


def test_a_testcase_that_the_labs_settings_mean_nothing_to_has_its_own() -> None:
    assert rows(asked("host/vma")) == {("host", "none", "host/vma")}


def test_a_selftest_has_to_be_named() -> None:
    with pytest.raises(UserError, match="there is no testcase"):
        asked("selftest/*")
    assert rows(asked("selftest/nothing"))


def test_a_testcase_that_is_not_there_is_the_users_mistake() -> None:
    with pytest.raises(UserError, match="did you mean 'fork/cow'"):
        asked("fork/cov")


def test_a_lab_without_a_guest_for_it_says_so() -> None:
    with pytest.raises(UserError, match=r"no guest of .*host\.yaml runs fork/cow"):
        labs.read(Path("configs/host.yaml"), Catalogue(), LabOptions(testcases=("fork/cow",)))


def test_expectations_of_it_are_kept_and_others_are_not_stale() -> None:
    whole = labs.read(LAB, Catalogue())
    names = {known.testcase for known in whole.expectations}
    some = sorted(name for name in names if "*" not in name and "/" in name)[0]
    assert {known.testcase for known in asked(some).expectations} == {some}
