# SPDX-License-Identifier: GPL-2.0
"""Lab files with options, their programs, and the command that runs a kernel of a table again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rmaplab.build import programs
from rmaplab.cli import runs
from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import UserError
from rmaplab.judge import judge
from rmaplab.model import Expectation, Lab, LabOptions
from rmaplab.mutants import MutantBase
from rmaplab.pipeline import holding, labs
from rmaplab.pipeline import mutants as mutants_pipeline
from rmaplab.pipeline import run as run_pipeline
from rmaplab.pipeline.run import RunRequest
from rmaplab.plan import inherit

from .builders import cell, expectation, failed, kernel, lab, observation, passed, record
from .builders import testcase as make_testcase
from .repositories import commit, git, repository, write
from .test_mutants import mutant

RMAP = Path("configs/rmap.yaml")


def test_the_options_are_those_of_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[RunRequest] = []

    def noted(request: RunRequest, builder: object) -> None:
        asked.append(request)
        raise SystemExit(0)

    monkeypatch.setattr(run_pipeline, "run", noted)
    words = ["--repeat", "3", "--tree", "dir:x", "--postmortem", "2", "--no-ledger", "--no-audit",
             "--config", "debuginfo", "--jobs", "2", "--accel", "tcg", "--filter", "guest=q35",
             "--sample", "pairwise", "--output", "out"]  # fmt: skip
    CliRunner().invoke(runs.run, [str(RMAP), *words, "--exact"])
    accept = ["--accept", "a@example.org", "--accept", "v2"]
    CliRunner().invoke(runs.ab, [str(RMAP), "--series", "s", *accept, *words])
    one, both = asked
    assert one.options == LabOptions(
        tree="dir:x", config=("debuginfo",), repeat=3, exact=True, no_audit=True, no_ledger=True,
        memories=2,
    )  # fmt: skip
    assert both.options == replace(
        one.options, series="s", accept=("a@example.org", "v2"), compared=True, exact=False
    )
    assert [kernel.accept for kernel in both.lab.kernels] == [(), ("a@example.org", "v2")]
    assert (one.filter, one.sample, one.jobs) == ("guest=q35", "pairwise", 2)
    assert (one.accelerator, str(one.output)) == ("tcg", "out")
    assert (one.comparison, both.comparison) == (None, ("base", "patched"))
    assert {kernel.tree for kernel in (*one.lab.kernels, *both.lab.kernels)} == {"dir:x"}
    assert all(guest.icount for guest in one.lab.guests)
    assert (one.lab.repeat, one.lab.audit, one.lab.ledger) == (3, False, False)
    assert "debuginfo" in one.lab.kernels[0].fragments
    assert both.lab.postmortem.run == 2


@pytest.mark.parametrize("base", MutantBase)
@pytest.mark.parametrize("config", ["", "nodebug"])
def test_the_command_of_a_mutants_run_runs_its_kernel(
    monkeypatch: pytest.MonkeyPatch, base: MutantBase, config: str
) -> None:
    """Read back as a user's: the same kernel, the same guests, the same cells."""
    whole = labs.read(RMAP, Catalogue())
    for side in mutants_pipeline.sides(whole, replace(mutant(), base=base), config):
        words = labs.command(side.lab, side.kernel, "tcg", side.config)
        seen: list[Lab] = []

        def noted(request: RunRequest, builder: object, seen: list[Lab] = seen) -> None:
            seen.append(request.lab)
            raise SystemExit(0)

        monkeypatch.setattr(run_pipeline, "run", noted)
        assert words[:2] == ("./lab.py", "run")
        assert CliRunner().invoke(runs.run, words[2:]).exit_code == 0
        (again,) = seen
        assert again.kernels == (side.kernel,)
        assert again == side.lab


def test_a_change_of_any_file_of_a_program_is_a_change_of_its_part(tmp_path: Path) -> None:
    write(tmp_path, {
        "guests/agent/agent.c": "a", "guests/include/abi.h": "b", "guests/q35.yaml": "y",
        "testcases/lib/lib.c": "c", "exclusive/a.c": "d", "exclusive/b.py": "e",
    })  # fmt: skip
    cases = [
        replace(make_testcase(f"exclusive/{name}"), source=tmp_path / f"exclusive/{name}{suffix}")
        for name, suffix in (("a", ".c"), ("b", ".py"))
    ]

    def changed(name: str) -> set[str]:
        before = programs.sources(tmp_path, cases)
        (tmp_path / name).write_text("changed", encoding="utf-8")
        after = programs.sources(tmp_path, cases)
        return {part for part in before if before[part] != after[part]}

    assert changed("guests/agent/agent.c") == {"the agent"}
    assert changed("guests/include/abi.h") == {"the agent"}
    assert changed("guests/q35.yaml") == set()
    assert changed("testcases/lib/lib.c") == {"the testcase library"}
    assert changed("exclusive/a.c") == {"exclusive/a"}
    assert changed("exclusive/b.py") == {"exclusive/b"}
    (tmp_path / "exclusive/b.py").rename(tmp_path / "exclusive/c.py")
    assert programs.sources(tmp_path, cases)["exclusive/b"]


def test_the_project_in_another_folder_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    here = lab(expectations=[expectation()])
    there = replace(
        here,
        testcases=tuple(replace(t, source=Path("/elsewhere/x.c")) for t in here.testcases),
        expectations=tuple(replace(e, line=99) for e in here.expectations),
    )
    monkeypatch.setattr(labs, "read", lambda *words: there)
    saved = record(replace(here, path=Path(__file__)), [], options=LabOptions())
    assert list(holding.of_lab(saved, Catalogue())) == []
    monkeypatch.setattr(labs, "read", lambda *words: replace(there, repeat=2))
    assert list(holding.of_lab(saved, Catalogue())) == [f"{__file__}: repeat: was 1, is 2"]


def test_series_are_stacked_in_the_order_of_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[RunRequest] = []

    def noted(request: RunRequest, builder: object) -> None:
        asked.append(request)
        raise SystemExit(0)

    monkeypatch.setattr(run_pipeline, "run", noted)
    words = ["--series", "a", "--series", "b@c.d", "--archive", "https://x.example/mm/"]
    CliRunner().invoke(runs.run, [str(RMAP), *words])
    CliRunner().invoke(runs.ab, [str(RMAP), *words])
    for request in asked:
        kernel = request.lab.kernels[-1]
        assert kernel.all_series == ("a", "https://x.example/mm/b@c.d/")
    assert labs.command(asked[0].lab, asked[0].lab.kernels[0], "auto")[-4:] == (
        "--series", "a", "--series", "https://x.example/mm/b@c.d/",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "series", "accept"),
    [
        (["--series", "a", "--vs", "v1", "v2"], ["", "a", "a"], [(), ("v2",), ("v1",)]),
        (["--vs", "old", "new"], ["", "new", "old"], [(), (), ()]),
        (["--series", "a", "--accept", "x@y", "--vs", "v1", "b"], ["", "b", "a"],
         [(), ("x@y",), ("x@y", "v1")]),
    ],
)  # fmt: skip
def test_two_revisions_are_kernels_beside_one_base(
    words: list[str], series: list[str], accept: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    asked: list[RunRequest] = []

    def noted(request: RunRequest, builder: object) -> None:
        asked.append(request)
        raise SystemExit(0)

    monkeypatch.setattr(run_pipeline, "run", noted)
    CliRunner().invoke(runs.ab, [str(RMAP), *words])
    (request,) = asked
    kernels = request.lab.kernels
    assert [kernel.name for kernel in kernels] == ["base", "patched", "previous"]
    assert [kernel.series for kernel in kernels] == series
    assert [kernel.accept for kernel in kernels] == accept
    assert (request.comparison, request.previous) == (("base", "patched"), "previous")
    assert all(known.heirs == ("patched", "previous") for known in request.lab.expectations)


def test_the_base_that_is_found_is_the_tree_of_the_run_and_of_its_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    repo = repository(tmp_path / "linux", {"Makefile": "VERSION = 6\n", "mm/x.c": "one\n"})
    git(repo, "tag", "v6.1")
    commit(repo, "a change", {"mm/x.c": "two\n"})
    git(repo, "tag", "v6.2")
    commit(repo, "another", {"mm/x.c": "three\n"})
    series = f"git:{repo}#v6.1..v6.2"
    asked: list[RunRequest] = []

    def noted(request: RunRequest, builder: object) -> None:
        asked.append(request)
        raise SystemExit(0)

    monkeypatch.setattr(run_pipeline, "run", noted)
    words = ["ab", str(RMAP), "--series", series, "--base", f"git:{repo}", "--jobs", "2"]
    monkeypatch.setattr("sys.argv", ["./lab.py", *words])
    CliRunner().invoke(runs.ab, words[1:])
    (request,) = asked
    tree = f"git:{repo}#v6.1"
    assert {kernel.tree for kernel in request.lab.kernels} == {tree}
    assert request.options is not None
    assert request.options.tree == tree
    assert request.notes[0].startswith(f"base: {tree}: a tag on which the series applies")
    assert "--base" not in request.command
    assert request.command[-2:] == ("--tree", tree)
    both = CliRunner().invoke(runs.ab, [*words[1:], "--tree", tree])
    assert isinstance(both.exception, UserError)


@pytest.mark.parametrize("words", [["v1", "v2"], ["-", "a"], ["a", "a"]])
def test_revisions_that_make_no_sense_are_refused(words: list[str]) -> None:
    done = CliRunner().invoke(runs.ab, [str(RMAP), "--vs", *words])
    assert isinstance(done.exception, UserError)


@pytest.mark.parametrize("words", [["-", "-"], ["a", ""]])
def test_a_stack_that_makes_no_sense_is_refused(words: list[str]) -> None:
    options = [word for one in words for word in ("--series", one)]
    done = CliRunner().invoke(runs.ab, [str(RMAP), *options])
    assert isinstance(done.exception, UserError)


# -- expectations of kernels that are built on others ------------------------------------------


def known_of(kernel_name: str, **changes: Any) -> Expectation:
    return replace(expectation(kernel=kernel_name), **changes)


@pytest.mark.parametrize("name", ["base", "v6.12", "v6*"])
def test_an_abs_expectations_follow_the_base_whatever_its_name(name: str) -> None:
    first = "base" if name == "base" else "v6.12"
    wanted = labs.ab_lab(lab(kernels=[kernel(first)], expectations=[known_of(name)]), "patches/x")
    (known,) = wanted.expectations
    assert known.demands("base")
    assert known.heirs == ("patched",)


@pytest.mark.parametrize(
    ("pattern", "demanded"), [("*", False), ("p*", True), ("patched", True), ("base", False)]
)
def test_a_pattern_demands_no_failure_of_a_series_in_a_plain_run(
    pattern: str, demanded: bool
) -> None:
    here = lab(kernels=[kernel("base")], expectations=[known_of(pattern)])
    wanted = labs._on_one_kernel(here, LabOptions(series="patches/x"))
    (known,) = wanted.expectations
    assert known.demands("patched") is demanded
    seen = cell(kernel="patched")
    assert judge(seen, observation(failed()), [known]).as_expected
    assert judge(seen, observation(passed()), [known]).as_expected is not demanded


def test_a_pattern_demands_the_failure_of_a_kernel_that_is_built_on_none() -> None:
    here = lab(kernels=[kernel("base"), kernel("fixed", series="patches/x")])
    (known,) = inherit([known_of("*")], here.kernels)
    assert (known.demands("base"), known.demands("fixed"), known.heirs) == (True, False, ("fixed",))
    (known,) = inherit([known], [kernel("other")])
    assert (known.demands("other"), known.heirs) == (True, ())


def test_an_expectation_that_is_not_inherited_speaks_of_its_kernel_alone() -> None:
    alone = known_of("base", inherited=False)
    (known,) = labs.ab_lab(lab(expectations=[alone]), "patches/x").expectations
    assert (known.demands("base"), known.heirs) == (True, ())


def test_an_expectation_for_the_second_kernel_of_a_lab_is_no_base_of_an_ab() -> None:
    both = lab(kernels=[kernel("base"), kernel("other")], expectations=[known_of("other")])
    (known,) = labs.ab_lab(both, "patches/x").expectations
    assert (known.demands("base"), known.heirs) == (False, ())


def test_only_a_kernel_with_a_series_on_the_same_tree_inherits() -> None:
    kernels = [
        kernel("base"),
        kernel("patched", series="patches/x"),
        kernel("elsewhere", tree="dir:/other", series="patches/x"),
        replace(kernel("more", series="patches/x"), fragments=("guest", "mm")),
        replace(kernel("top", series="patches/y"), onto="patches/x"),
        kernel("again"),
    ]
    (known,) = inherit([known_of("base")], kernels)
    assert known.heirs == ("patched", "more", "top")
    (known,) = inherit([known_of("patched")], kernels)
    assert known.heirs == ("top",)


def test_an_abs_patched_kernel_is_built_on_base_with_its_series() -> None:
    wanted = labs.ab_lab(lab(kernels=[kernel("base", series="patches/x")]), "patches/y")
    base, patched = wanted.kernels
    assert (base.series, patched.onto, patched.series) == ("patches/x", "patches/x", "patches/y")
    assert patched.is_built_on(base)
    twice = replace(kernel("base", series="patches/x"), onto="patches/w")
    with pytest.raises(UserError, match="two series already"):
        labs.ab_lab(lab(kernels=[twice]), "patches/y")
