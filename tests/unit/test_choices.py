# SPDX-License-Identifier: GPL-2.0
"""Choices of Kconfig that nobody made: where they fell otherwise on another tree is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rmaplab.build import choices
from rmaplab.model import X86_64
from rmaplab.pipeline.drift import Configured, lines, of_run
from rmaplab.plan import plan
from rmaplab.store.cache import Cache
from rmaplab.store.runfolder import RunFolder

from .builders import KTAP_PASS, conversation, facts, lab, run_folder
from .test_cli import Command, command

__all__ = ["command"]

KCONFIG = """\
choice
	prompt "Preemption Model"
	default PREEMPT_LAZY if ARCH_HAS_PREEMPT_LAZY
	default PREEMPT_NONE

config PREEMPT_NONE
	bool "No Forced Preemption (Server)"

config PREEMPT_LAZY
	bool "Scheduler controlled preemption model"

endchoice

config CHOICE_OF_ITS_OWN
	bool "No choice"

choice
	bool "Access to memory"
config MEM_ALWAYS
	bool "Always"
config MEM_PTRACE
	bool "By ptrace"
endchoice
"""


def tree(root: Path, text: str = KCONFIG) -> Path:
    (root / "init").mkdir(parents=True)
    (root / "init" / "Kconfig").write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("config", "made"),
    [
        ({"PREEMPT_NONE": "y"}, {"Preemption Model": "PREEMPT_NONE"}),
        (
            {"PREEMPT_LAZY": "y", "PREEMPT_NONE": "n", "MEM_PTRACE": "y"},
            {"Preemption Model": "PREEMPT_LAZY", "Access to memory": "MEM_PTRACE"},
        ),
        ({"CHOICE_OF_ITS_OWN": "y"}, {}),
        ({}, {}),
    ],
)
def test_the_member_that_a_choice_fell_to(
    tmp_path: Path, config: dict[str, str], made: dict[str, str]
) -> None:
    assert choices.made(tree(tmp_path), config, X86_64) == made


OLD = Configured(
    "base", "6.12.117", {"LEVELS": "4", "GONE": "y", "KSM": "y", "LAZY": "n"},
    {"Preemption Model": "NONE"}, frozenset({"KSM"}),
)  # fmt: skip
NEW = replace(
    OLD, version="7.3.4", values={"LEVELS": "5", "CAME": "y", "KSM": "n", "LAZY": "y"},
    choices={"Preemption Model": "LAZY", "Only here": "A"},
)  # fmt: skip


def test_choices_and_values_that_differ_are_said_once() -> None:
    assert list(lines([OLD, NEW])) == [
        "Preemption Model: NONE on 6.12.117, LAZY on 7.3.4",
        "CONFIG_LEVELS: 4 on 6.12.117, 5 on 7.3.4",
    ]


def test_kernels_of_one_version_are_not_compared() -> None:
    assert list(lines([OLD, replace(NEW, version=OLD.version)])) == []
    assert list(lines([OLD])) == []


def run(path: Path, version: str, config: str) -> Path:
    wanted = lab()
    cells = [one.id for one in plan(wanted).cells]
    kernels = {one.name: replace(facts(), version=version) for one in wanted.kernels}
    run_folder(path, wanted, dict.fromkeys(cells, conversation(*KTAP_PASS)), kernels=kernels)
    place = path / "builds" / facts().key
    place.mkdir(parents=True)
    (place / ".config").write_text(config, encoding="utf-8")
    return path


def test_the_verb_says_it_from_the_runs(tmp_path: Path, command: Command) -> None:
    runs = (
        run(tmp_path / "a", "6.12.117", "CONFIG_PGTABLE_LEVELS=4\nCONFIG_A=y\n"),
        run(tmp_path / "b", "7.3.4", "CONFIG_PGTABLE_LEVELS=5\nCONFIG_A=y\n"),
    )
    answer = command("trees", *runs)
    assert answer.code == 0, answer.err
    line = "CONFIG_PGTABLE_LEVELS: 4 on 6.12.117, 5 on 7.3.4"
    assert f"Kconfig: {line}" in answer.out
    assert "CONFIG_A" not in answer.out
    assert "PGTABLE" in command("trees", *runs, "--format", "markdown").out


def test_a_run_without_a_configuration_says_nothing(tmp_path: Path) -> None:
    path = run(tmp_path / "a", "7.3.4", "CONFIG_A=y\n")
    (path / "builds" / facts().key / ".config").unlink()
    assert of_run(RunFolder(path), Cache(tmp_path / "cache")) == {}
