# SPDX-License-Identifier: GPL-2.0
"""The verb ``mutants``: exit codes, its folder, and that an interruption loses nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rmaplab.build import kernel as build_kernel
from rmaplab.errors import BuildError, PatchError
from rmaplab.guest import cell as guest_cell
from rmaplab.model import Build, Kernel
from rmaplab.pipeline import mutants as pipeline
from rmaplab.pipeline.kernels import KernelBuilder, Kernels

from .test_cli import FAIL, LOST, PASS, Command, Show, command, guests, lab_file
from .test_mutants import write

# Fixtures of test_cli.
__all__ = ["command", "guests", "lab_file"]

HEADERS = "Base: base\nTestcases: exclusive/mapcount"


@pytest.fixture(autouse=True)
def kernels(monkeypatch: pytest.MonkeyPatch, guests: Show) -> None:
    """No kernel is built."""
    monkeypatch.setattr(build_kernel, "build", lambda *words, **options: None)


@pytest.fixture
def patches(tmp_path: Path) -> Path:
    folder = tmp_path / "patches"
    folder.mkdir()
    return write(folder, HEADERS, "one")


@pytest.fixture
def mutants(command: Command, patches: Path, lab_file: Path) -> Command:
    def call(*words: str | Path) -> Any:
        labs = () if "--resume" in words else (lab_file, "--patches", patches)
        return command("mutants", *labs, "--accel", "tcg", *words)

    return call


def saved(tmp_path: Path) -> list[dict[str, Any]]:
    (folder,) = (tmp_path / "reports").iterdir()
    found: list[dict[str, Any]] = json.loads((folder / "mutants.json").read_text("utf-8"))[
        "mutants"
    ]
    return found


@pytest.mark.parametrize(
    ("base", "mutant", "verdict", "code"),
    [(PASS, FAIL, "caught", 0), (PASS, PASS, "missed", 1), (FAIL, FAIL, "error", 69),
     (PASS, LOST, "error", 69), (LOST, FAIL, "error", 69)],
)  # fmt: skip
def test_the_exit_code_is_that_of_the_verdicts(
    mutants: Command, guests: Show, tmp_path: Path, base: Any, mutant: Any, verdict: str, code: int
) -> None:
    guests(base=base, mutant=mutant)
    assert mutants().code == code
    (one,) = saved(tmp_path)
    assert one["verdict"] == verdict


def test_a_row_that_told_is_run_again(mutants: Command, guests: Show, tmp_path: Path) -> None:
    guests(base=PASS, mutant=FAIL)
    answer = mutants("--format", "json")
    (one,) = json.loads(answer.out)["mutants"]
    assert {catch["told_again"] for catch in one["catches"]} == {2}
    names = sorted(path.name.partition("-")[2][7:] for path in tmp_path.glob("reports/*/runs/*"))
    assert names == ["tiny.base.base.1", "tiny.base.mutant.one.again-1", "tiny.base.mutant.one.all"]


def test_a_mutant_that_does_not_build_is_not_caught(
    mutants: Command, guests: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guests(base=PASS, mutant=FAIL)
    build = KernelBuilder.build

    def fails(self: KernelBuilder, kernels: Kernels, *words: Any) -> dict[str, Build]:
        if "mutant" in kernels:
            raise BuildError("mm/rmap.c:12: error: expected ';'")
        return build(self, kernels, *words)

    monkeypatch.setattr(KernelBuilder, "build", fails)
    assert mutants().code == 3
    (one,) = saved(tmp_path)
    assert (one["verdict"], one["by"]) == ("build-broken", [])
    assert "expected ';'" in one["detail"]


def test_a_mutant_of_another_tree_is_neither_broken_nor_caught(
    mutants: Command, guests: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guests(base=PASS, mutant=FAIL)
    build = KernelBuilder.build

    def fails(self: KernelBuilder, kernels: Kernels, *words: Any) -> dict[str, Build]:
        if "mutant" in kernels:
            raise PatchError("one does not apply to 7.3.4")
        return build(self, kernels, *words)

    monkeypatch.setattr(KernelBuilder, "build", fails)
    assert mutants().code == 3
    (one,) = saved(tmp_path)
    assert (one["verdict"], one["by"], one["rows"]) == ("does-not-apply", [], 0)
    assert "7.3.4" in one["detail"]


def test_a_mutant_whose_base_does_not_apply_ends_no_table(
    mutants: Command, guests: Show, patches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(patches, HEADERS.replace("base", "patched"), "two")
    guests(base=PASS, mutant=FAIL)

    def fails(wanted: Any, *words: Any, **options: Any) -> None:
        if wanted.series.patches:
            raise PatchError("0001 does not apply to 7.3.4")

    monkeypatch.setattr(build_kernel, "build", fails)
    assert mutants().code == 3
    one, two = saved(tmp_path)
    assert (one["verdict"], two["verdict"]) == ("caught", "does-not-apply")
    assert "patches/device-exclusive: 0001 does not apply to 7.3.4" in two["detail"]


def test_the_variant_for_the_labs_tree_is_run(
    mutants: Command, guests: Show, patches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = "6.12.117"
    monkeypatch.setattr(
        pipeline, "versions_of", lambda labs, _: {one.name: version for one in labs}
    )
    write(patches, "Base: base\nTree: <7.2\nTestcases: exclusive/mapcount", "one")
    write(patches, "Base: base\nTree: >=7.2\nTestcases: exclusive/mapcount", "one.7")
    write(patches, "Base: base\nTree: >=7.2\nTestcases: exclusive/mapcount", "two")
    guests(base=PASS, mutant=FAIL)
    answer = mutants()
    assert answer.code == 0
    assert "two (>=7.2)" in answer.err
    (one,) = saved(tmp_path)
    assert (one["name"], one["tree"], one["verdict"]) == ("one", "<7.2", "caught")
    answer = mutants("--only", "two")
    assert answer.code == 2
    assert "no mutant is a patch to 6.12.117: two (>=7.2)" in " ".join(answer.err.split())


def test_an_equivalent_mutant_that_is_caught_is_said_loudly(
    mutants: Command, guests: Show, patches: Path
) -> None:
    write(patches, HEADERS + "\nEquivalent: nobody reads it", "one")
    guests(base=PASS, mutant=FAIL)
    answer = mutants()
    assert answer.code == 1
    assert "CAUGHT ALTHOUGH DECLARED EQUIVALENT" in answer.out
    guests(base=PASS, mutant=PASS)
    assert mutants().code == 0


def test_an_interrupted_table_goes_on_where_it_was(
    mutants: Command, guests: Show, patches: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(patches, HEADERS, "two")
    guests(base=PASS, mutant=FAIL)
    run = guest_cell.run
    ran: list[Path] = []

    async def counted(cell: Any, setup: Any, folder: Path, program: str) -> None:
        if "mutant.two" in str(folder) and len(ran) < 9:
            raise KeyboardInterrupt
        ran.append(folder)
        await run(cell, setup, folder, program)

    monkeypatch.setattr(guest_cell, "run", counted)
    answer = mutants()
    assert answer.code == 130
    assert [one["name"] for one in saved(tmp_path)] == ["one"]
    (folder,) = (tmp_path / "reports").iterdir()
    assert f"mutants --resume {folder.relative_to(tmp_path)}" in " ".join(answer.err.split())
    before = list(ran)
    ran += [Path()] * 9
    assert mutants("--resume", folder).code == 0
    assert [one["verdict"] for one in saved(tmp_path)] == ["caught", "caught"]
    assert all("mutant.two" in str(path) for path in ran[len(before) + 9 :])
    assert mutants("--resume", folder).code == 0


@pytest.mark.parametrize(
    ("headers", "words", "said"),
    [
        ("Base: base\nTestcases: control/rss", (), "no testcase of one is in the given labs"),
        (HEADERS, ("--only", "three"), "no mutant matches 'three'"),
        ("Base: basis\nTestcases: control/rss", (), "'basis' is none of"),
    ],
)
def test_a_users_mistake_ends_with_2_before_anything_runs(
    mutants: Command, patches: Path, tmp_path: Path, headers: str, words: tuple[str, ...], said: str
) -> None:
    write(patches, headers, "one")
    answer = mutants(*words)
    assert answer.code == 2
    assert said in " ".join(answer.err.split())
    assert not (tmp_path / "reports").exists()


def test_a_table_needs_a_lab_or_an_earlier_one(command: Command, tmp_path: Path) -> None:
    assert command("mutants").code == 2
    assert command("mutants", "--resume", tmp_path).code == 2


def test_the_kernels_are_named_as_in_an_ab(
    mutants: Command, guests: Show, patches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An expectation of ``base`` then holds for the base, and for no mutant."""
    write(patches, HEADERS.replace("base", "patched"), "one")
    seen: list[Kernel] = []
    build = KernelBuilder.build

    def noted(self: KernelBuilder, kernels: Kernels, *words: Any, **more: Any) -> Any:
        seen.extend(one.kernel for one in kernels.values())
        return build(self, kernels, *words, **more)

    monkeypatch.setattr(KernelBuilder, "build", noted)
    guests(patched=PASS, mutant=PASS)
    mutants()
    mutant = next(kernel for kernel in seen if kernel.name == "mutant")
    base = next(kernel for kernel in seen if kernel.name == "patched")
    assert (base.series, base.onto) == ("patches/device-exclusive", "")
    assert (mutant.onto, Path(mutant.series).name) == ("patches/device-exclusive", "one.patch")


def test_a_cell_of_a_mutant_carries_a_command_that_runs_its_kernel(
    mutants: Command, guests: Show, patches: Path, lab_file: Path, tmp_path: Path
) -> None:
    write(patches, HEADERS.replace("base", "patched"), "one")
    guests(patched=PASS, mutant=PASS)
    mutants()
    (script,) = tmp_path.glob("reports/*/runs/*mutant.one.all/cells/*/reproduce.sh")
    (line,) = [one for one in script.read_text("utf-8").splitlines() if "--filter" in one]
    words = line.split()
    assert "run" in words[:4]
    assert words[words.index("run") + 1] == str(lab_file)
    assert words[words.index("--series") + 1] == str(patches / "one.patch")
    assert words[words.index("--onto") + 1] == "patches/device-exclusive"
    assert words[words.index("--name") + 1] == "mutant"
    assert words[words.index("--filter") + 1].startswith("kernel=mutant,")


@pytest.mark.parametrize("result", ["7", "null", '{"mutant": []}', '{"mutant": {"name": "one"}}'])
def test_a_damaged_result_costs_its_mutant_alone(
    mutants: Command, guests: Show, tmp_path: Path, result: str
) -> None:
    guests(base=PASS, mutant=FAIL)
    assert mutants().code == 0
    (folder,) = (tmp_path / "reports").iterdir()
    journal = folder / "events.jsonl"
    asked = journal.read_bytes().splitlines(keepends=True)[0]
    line = f'{{"event": "mutant", "result": {result}}}\n'.encode()
    journal.write_bytes(asked + b"\xff\n" + line)
    answer = mutants("--resume", folder)
    assert answer.code == 0
    assert "a damaged result is left out" in answer.err
    assert [one["verdict"] for one in saved(tmp_path)] == ["caught"]
    journal.write_bytes(b'{"event": "asked", "labs": 7}\n')
    assert mutants("--resume", folder).code == 2
